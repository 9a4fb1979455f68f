//! The content view: the human-readable text of any payload, readable and replaceable.
//!
//! A guardrail (a PII filter, a deny list, a secrets scanner) is written against text, not against tool arguments
//! or chat messages. [`Payload::texts`](crate::Payload::texts) shows it every piece of text a payload carries;
//! [`Edits`](edits::Edits) replace some of it. Texts inside JSON are found by scanning the JSON text itself, so a
//! payload that nobody changes is never parsed into a tree, and one that is changed keeps every other byte.
//!
//! Streams come as [windows](window): a text that arrives in pieces is shown so that any match is seen whole, and
//! the result is the same however it was split.

pub mod edits;
pub mod scan;
pub mod view;
pub mod window;
