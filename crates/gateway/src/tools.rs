//! Tools over HTTP: the operations of an API with an OpenAPI document, called like every other tool.
//!
//! A tool is one more upstream ([`ToolApi`]): its operations stand in the merged lists, and a call of one goes the way
//! of every call, with the same hooks, records and counters. What is different is at its end, where an HTTP request is
//! made of the arguments, and that it has a place of its own, `/tools/{slug}`, where a client without a word of MCP calls
//! operations by their ids (`serve`); there the call is put into the form that it has everywhere, and its answer taken
//! out of it again.
//!
//! Where requests go is the configuration's to say, never the document's or the caller's; redirects are not followed.

mod admit;
mod api;
mod fetch;
mod listed;
mod outcome;
mod refusal;
mod serve;

#[cfg(test)]
mod tests;

pub(crate) use admit::{Wanted, admit};
pub use api::ToolApi;
pub(crate) use refusal::{refused, refused_because, wrong_method};
pub(crate) use serve::serve;
