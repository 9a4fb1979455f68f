//! Amazon Bedrock's Converse.

pub(crate) mod assemble;
pub(crate) mod converse;
pub(crate) mod converse_stream;
pub(crate) mod text;
