//! Shapes: what the body of an operation looks like, and how its stream is framed.

use crate::{family::Family, stream::Framing};

/// What an operation's request, answer and stream look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Shape {
    /// OpenAI chat completions.
    Chat,
    /// OpenAI's older completions of a prompt.
    Completions,
    /// OpenAI responses.
    Responses,
    /// OpenAI embeddings.
    Embeddings,
    /// A list of models, or one of them.
    Models,
    /// Anthropic messages.
    Messages,
    /// Counting tokens of a request, at any vendor.
    CountTokens,
    /// Gemini's `generateContent`.
    Generate,
    /// Gemini's `embedContent` and `batchEmbedContents`.
    GenerateEmbed,
    /// Bedrock Converse.
    Converse,
    /// Bedrock InvokeModel of a model that takes another shape than these.
    Invoke,
    /// Bedrock InvokeModel of one of Anthropic's models: messages, streamed in frames of their own.
    InvokeMessages,
    /// Anything else: files, images, audio, batches.
    Other,
}

impl Shape {
    /// Whose shape it is. What is nobody's in particular counts as OpenAI's.
    #[must_use]
    pub const fn family(self) -> Family {
        match self {
            Self::Messages => Family::Anthropic,
            Self::Generate | Self::GenerateEmbed => Family::Gemini,
            Self::Converse | Self::Invoke | Self::InvokeMessages => Family::Bedrock,
            _ => Family::OpenAi,
        }
    }

    /// Whether a model writes text in its answer.
    #[must_use]
    pub const fn generates(self) -> bool {
        matches!(
            self,
            Self::Chat
                | Self::Completions
                | Self::Responses
                | Self::Messages
                | Self::Generate
                | Self::Converse
                | Self::Invoke
                | Self::InvokeMessages
        )
    }

    /// The word for it in logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Completions => "completions",
            Self::Responses => "responses",
            Self::Embeddings => "embeddings",
            Self::Models => "models",
            Self::Messages => "messages",
            Self::CountTokens => "count_tokens",
            Self::Generate => "generate",
            Self::GenerateEmbed => "generate_embed",
            Self::Converse => "converse",
            Self::Invoke => "invoke",
            Self::InvokeMessages => "invoke_messages",
            Self::Other => "other",
        }
    }

    /// How its stream is framed where this is the query. Answers say so too, in their content type:
    /// [`Framing::of_content_type`] knows better once there is one.
    #[must_use]
    pub fn framing(self, query: Option<&str>) -> Framing {
        match self {
            Self::Converse | Self::Invoke | Self::InvokeMessages => Framing::EventStream,
            Self::Generate if !query.unwrap_or_default().split('&').any(|pair| pair == "alt=sse") => {
                Framing::JsonArray
            }
            _ => Framing::Sse,
        }
    }
}
