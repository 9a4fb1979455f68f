//! MCP over pipes: newline-delimited JSON to and from a child process, or any pair of byte streams.
//!
//! [`child`] is the process, [`connection`] the conversation, [`upstream`] both together, restarted when
//! they end.

pub mod child;
pub mod connection;
pub(crate) mod lines;
pub mod upstream;
