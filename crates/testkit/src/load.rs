//! A load generator for HTTP/1.1 with keep-alive: how many calls per second, and how long each takes.
//!
//! Cheap on purpose: generator, gateway and upstream share the same few cores in a bench, and what the generator
//! spends is missing elsewhere. It writes prepared bytes and reads only what it must of the answer; no client
//! library. Every answer is checked, so that a server that answers quickly with something else is not fast but
//! wrong: each request carries its own number, and the answer must bring it back.
//!
//! Two ways: [`closed`] sends the next request of a connection when the answer of the last has come, and finds
//! throughput. [`open`] sends at a fixed rate whatever comes back, and finds latency; there the clock of a request
//! starts when it should have been sent, so that a stall is seen by every request it delayed.

mod connection;
mod histogram;
mod request;
mod runs;

pub use histogram::Histogram;
pub use request::{Request, RequestError};
pub use runs::{Report, Until, closed, open};

#[cfg(test)]
mod tests;
