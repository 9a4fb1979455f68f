//! Anthropic's messages.

pub(crate) mod assemble;
pub(crate) mod messages;
pub(crate) mod messages_stream;
pub(crate) mod text;
