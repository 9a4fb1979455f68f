//! Google's `generateContent`, at the Gemini API and on Vertex.

pub(crate) mod assemble;
pub(crate) mod generate;
pub(crate) mod generate_stream;
pub(crate) mod text;
