//! What vendors of language models speak, without sockets.
//!
//! Everything here takes bytes or values and gives bytes or values; nothing waits, spawns or reads a clock, so all of it
//! is driven from tests with plain data. Who has a socket uses it: the gateway.
//!
//! What nobody looks at or changes stays the bytes it came in as. Requests are read at their outermost level only,
//! streams are cut into frames that keep their bytes, and texts are found where they stand and replaced there. Only
//! conversions between vendors build trees, since there every byte changes in any case.
//!
//! | module | for |
//! |---|---|
//! | [`vendor`], [`family`], [`shape`] | who there is, whose shapes they speak, what shapes there are |
//! | [`path`], [`client`], [`request`] | what a request asks for: by its path, its key, its body |
//! | [`fault`] | errors as each vendor writes them, in answers and in streams |
//! | [`stream`] | streams as frames: server-sent events, Amazon's event stream, a JSON array |
//! | [`text`] | the texts in a stream's events, and other texts in their places |
//! | [`meter`], [`price`] | tokens, why a model stopped, and what it cost |
//! | [`assemble`] | a stream put together as a whole answer |
//! | [`convert`] | requests, answers and streams from one vendor's shape to another's |
//! | [`sigv4`] | signatures for Amazon |

mod anthropic;
pub mod assemble;
mod bedrock;
pub mod client;
pub mod convert;
pub mod family;
pub mod fault;
mod gemini;
mod json;
pub mod meter;
mod openai;
pub mod path;
pub mod price;
pub mod request;
pub mod shape;
pub mod sigv4;
pub mod stream;
pub mod text;
pub mod vendor;
