//! OpenAPI documents as tools: which operations there are, what may be given to them, and the HTTP request that a call
//! becomes. Without sockets: who sends the request, with which address and whose key, is others' business.
//!
//! Documents of 3.0 and 3.1 are read, from JSON that came of JSON or YAML. They are read by hand and not into the types
//! of a library: those that are kept well know one of the two versions each, and a typed model drops the keywords of a
//! schema that it does not know, which are what a model is told of a tool.
//!
//! A document is not believed. References that lead out of it are never followed, an operation that cannot be called
//! right is left out and said so, and what is given to a call cannot leave its place: a value in a path is no segment
//! of its own, a header holds no line break, a query no second parameter.

mod arguments;
mod document;
mod encode;
mod operation;
mod parameter;
mod refs;
mod request;
mod schema;
mod security;

#[cfg(test)]
mod tests;

pub use document::{Document, DocumentError, LeftOut};
pub use operation::{Body, Media, Operation};
pub use parameter::{Parameter, Place};
pub use request::{ArgumentError, Request};
pub use security::{Credential, Scheme, SecurityError};
