//! OpenAI's shapes, and those of the many that are compatible with it.

pub(crate) mod assemble;
pub(crate) mod chat;
pub(crate) mod chat_stream;
pub(crate) mod completions;
pub(crate) mod embeddings;
pub(crate) mod responses;
pub(crate) mod responses_stream;
pub(crate) mod text;
