//! The Model Context Protocol without sockets: envelope, versions, framing, bridging.
//!
//! Everything here takes bytes or values and gives bytes or values; nothing waits, spawns or reads a clock, so
//! all of it is driven from tests with plain data. Who has a socket uses it: the transports and the gateway.
//!
//! One decision runs through all modules: messages travel as the text they came in as ([`raw::Raw`]) and only
//! what someone must know is looked at. Unknown methods, unknown fields and integers of any size arrive as they
//! were sent.
//!
//! | module | for |
//! |---|---|
//! | [`raw`] | JSON as text, shallow looks, edits of single members |
//! | [`envelope`] | requests, notifications, responses, batches |
//! | [`params`] | what `tools/call` and its like ask for, and asking for something else instead |
//! | [`version`] | protocol revisions and what differs between them |
//! | [`sse`], [`framing`] | messages on an event stream, messages as lines |
//! | [`bridge`] | one connection shared by many: ids, progress tokens, cancellation |
//! | [`catalog`] | the lists of many upstreams as one |
//! | [`initialize`] | opening a session, as server and as client |
//! | [`stateless`] | the revision without sessions, and its translation from and to the others |
//! | [`errors`] | what a blocked call looks like to a client |

pub mod bridge;
pub mod catalog;
pub mod envelope;
pub mod errors;
pub mod framing;
pub mod initialize;
pub mod params;
pub mod raw;
pub mod sse;
pub mod stateless;
pub mod version;
