//! Families: whose shapes a vendor speaks.

use crate::shape::Shape;

/// Whose shapes, errors and streams a vendor speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// OpenAI's and those compatible with it.
    OpenAi,
    /// Anthropic's.
    Anthropic,
    /// Google's `generateContent`.
    Gemini,
    /// Amazon's Converse and InvokeModel.
    Bedrock,
}

impl Family {
    /// The shape of its conversations.
    #[must_use]
    pub const fn chat_shape(self) -> Shape {
        match self {
            Self::OpenAi => Shape::Chat,
            Self::Anthropic => Shape::Messages,
            Self::Gemini => Shape::Generate,
            Self::Bedrock => Shape::Converse,
        }
    }
}
