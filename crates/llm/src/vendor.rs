//! Vendors: where they are, how they are asked, and what they are sent beside the body.
//!
//! A vendor is more than the shape it speaks: ten of them speak OpenAI's, and differ in address and key. What differs
//! in shape stands in [`Family`] and [`Shape`], so that nothing else asks which vendor it is.

use std::{fmt, str::FromStr};

use crate::{family::Family, path::encoded, shape::Shape};

/// Who serves models.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Vendor {
    /// OpenAI, and whoever speaks its shape without a name here.
    OpenAi,
    /// Azure OpenAI.
    Azure,
    /// vLLM's server.
    Vllm,
    /// Ollama.
    Ollama,
    /// Mistral.
    Mistral,
    /// Groq.
    Groq,
    /// DeepSeek.
    DeepSeek,
    /// OpenRouter.
    OpenRouter,
    /// Anthropic.
    Anthropic,
    /// Google's Gemini API.
    Gemini,
    /// Google's Vertex AI.
    Vertex,
    /// Amazon Bedrock.
    Bedrock,
}

/// How a vendor is sent its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyPlacement {
    /// `Authorization: Bearer KEY`.
    Bearer,
    /// A header of its own, lower case.
    Header(&'static str),
    /// Requests are signed ([`sigv4`](crate::sigv4)); a key that is no pair of keys goes as `Authorization: Bearer`.
    SigV4,
}

/// No vendor has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("could not find the vendor `{0}`: it is one of {names}", names = Vendor::names())]
pub struct UnknownVendor(pub String);

struct Facts {
    vendor: Vendor,
    name: &'static str,
    aliases: &'static [&'static str],
    family: Family,
    endpoint: Option<&'static str>,
    key: KeyPlacement,
}

const fn openai(
    vendor: Vendor,
    name: &'static str,
    aliases: &'static [&'static str],
    endpoint: Option<&'static str>,
) -> Facts {
    Facts { vendor, name, aliases, family: Family::OpenAi, endpoint, key: KeyPlacement::Bearer }
}

/// In the order of [`Vendor`].
const FACTS: [Facts; 12] = [
    openai(Vendor::OpenAi, "openai", &["open_ai", "openai_compatible"], Some("https://api.openai.com/v1")),
    Facts {
        vendor: Vendor::Azure,
        name: "azure",
        aliases: &["azure_openai", "azureopenai"],
        family: Family::OpenAi,
        endpoint: None,
        key: KeyPlacement::Header("api-key"),
    },
    openai(Vendor::Vllm, "vllm", &[], Some("http://127.0.0.1:8000/v1")),
    openai(Vendor::Ollama, "ollama", &[], Some("http://127.0.0.1:11434/v1")),
    openai(Vendor::Mistral, "mistral", &["mistralai"], Some("https://api.mistral.ai/v1")),
    openai(Vendor::Groq, "groq", &[], Some("https://api.groq.com/openai/v1")),
    openai(Vendor::DeepSeek, "deepseek", &[], Some("https://api.deepseek.com/v1")),
    openai(Vendor::OpenRouter, "openrouter", &[], Some("https://openrouter.ai/api/v1")),
    Facts {
        vendor: Vendor::Anthropic,
        name: "anthropic",
        aliases: &[],
        family: Family::Anthropic,
        endpoint: Some("https://api.anthropic.com/v1"),
        key: KeyPlacement::Header("x-api-key"),
    },
    Facts {
        vendor: Vendor::Gemini,
        name: "gemini",
        aliases: &["google", "google_ai", "googleai"],
        family: Family::Gemini,
        endpoint: Some("https://generativelanguage.googleapis.com/v1beta"),
        key: KeyPlacement::Header("x-goog-api-key"),
    },
    Facts {
        vendor: Vendor::Vertex,
        name: "vertex",
        aliases: &["vertexai", "vertex_ai"],
        family: Family::Gemini,
        endpoint: None,
        key: KeyPlacement::Bearer,
    },
    Facts {
        vendor: Vendor::Bedrock,
        name: "bedrock",
        aliases: &["aws_bedrock", "amazon_bedrock"],
        family: Family::Bedrock,
        endpoint: Some("https://bedrock-runtime.us-east-1.amazonaws.com"),
        key: KeyPlacement::SigV4,
    },
];

impl Vendor {
    /// All, in the order in which they are listed to people.
    pub const ALL: [Self; 12] = [
        Self::OpenAi,
        Self::Azure,
        Self::Vllm,
        Self::Ollama,
        Self::Mistral,
        Self::Groq,
        Self::DeepSeek,
        Self::OpenRouter,
        Self::Anthropic,
        Self::Gemini,
        Self::Vertex,
        Self::Bedrock,
    ];

    fn facts(self) -> &'static Facts {
        &FACTS[self as usize]
    }

    /// Its name in configurations.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.facts().name
    }

    /// All names, for messages: `openai, azure, …`.
    #[must_use]
    pub fn names() -> String {
        Self::ALL.map(Self::name).join(", ")
    }

    /// Whose shapes it speaks.
    #[must_use]
    pub fn family(self) -> Family {
        self.facts().family
    }

    /// Where it is reached unless said otherwise, with the version that its own client libraries put into their base
    /// address. `None` where that depends on the customer.
    #[must_use]
    pub fn default_endpoint(self) -> Option<&'static str> {
        self.facts().endpoint
    }

    /// How it is sent its key.
    #[must_use]
    pub fn key(self) -> KeyPlacement {
        self.facts().key
    }

    /// Headers it requires; to be added where the client sent none of the name.
    #[must_use]
    pub fn headers(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Anthropic => &[("anthropic-version", "2023-06-01")],
            _ => &[],
        }
    }

    /// The shape of its conversations.
    #[must_use]
    pub fn chat_shape(self) -> Shape {
        self.family().chat_shape()
    }

    /// The path, with query, of an operation below the endpoint; `None` where this vendor has no such operation.
    ///
    /// Below `default_endpoint` or one like it: Azure's ends in `/openai` (or in `/openai/v1`, whose paths are
    /// OpenAI's: then ask [`Vendor::OpenAi`]), Vertex's in `/locations/LOCATION/publishers/google`.
    #[must_use]
    pub fn path(self, shape: Shape, model: &str, streams: bool) -> Option<String> {
        let model = || encoded(model);
        Some(match (self.family(), shape) {
            (Family::OpenAi, Shape::Models) if self != Self::Azure => "/models".to_owned(),
            (Family::OpenAi, _) => {
                let below = match shape {
                    Shape::Chat => "/chat/completions",
                    Shape::Completions => "/completions",
                    Shape::Responses => "/responses",
                    Shape::Embeddings => "/embeddings",
                    _ => return None,
                };
                match self {
                    Self::Azure => format!("/deployments/{}{below}?api-version=2024-10-21", model()),
                    _ => below.to_owned(),
                }
            }
            (Family::Anthropic, Shape::Messages) => "/messages".to_owned(),
            (Family::Anthropic, Shape::CountTokens) => "/messages/count_tokens".to_owned(),
            (Family::Anthropic, Shape::Models) => "/models".to_owned(),
            (Family::Gemini, Shape::Generate) if streams => {
                format!("/models/{}:streamGenerateContent?alt=sse", model())
            }
            (Family::Gemini, Shape::Generate) => format!("/models/{}:generateContent", model()),
            (Family::Gemini, Shape::GenerateEmbed) => format!("/models/{}:batchEmbedContents", model()),
            (Family::Gemini, Shape::Models) => "/models".to_owned(),
            (Family::Bedrock, Shape::Converse) if streams => format!("/model/{}/converse-stream", model()),
            (Family::Bedrock, Shape::Converse) => format!("/model/{}/converse", model()),
            _ => return None,
        })
    }
}

impl fmt::Display for Vendor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Vendor {
    type Err = UnknownVendor;

    /// Takes names and their usual synonyms in any letter case, `-` as `_`.
    fn from_str(word: &str) -> Result<Self, UnknownVendor> {
        let known = word.trim().to_ascii_lowercase().replace('-', "_");
        FACTS
            .iter()
            .find(|facts| facts.name == known || facts.aliases.contains(&known.as_str()))
            .map(|facts| facts.vendor)
            .ok_or_else(|| UnknownVendor(word.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_stand_in_the_order_of_vendors() {
        for vendor in Vendor::ALL {
            assert_eq!(vendor.facts().vendor, vendor);
            assert_eq!(vendor.name().parse::<Vendor>().unwrap(), vendor);
            for alias in vendor.facts().aliases {
                assert_eq!(alias.to_uppercase().parse::<Vendor>().unwrap(), vendor);
            }
        }
    }

    #[test]
    fn unknown_vendor_is_told_what_there_is() {
        let error = "cohere".parse::<Vendor>().unwrap_err().to_string();
        assert!(
            error.contains("`cohere`") && error.contains("anthropic") && error.contains("bedrock"),
            "{error}"
        );
    }

    #[test]
    fn models_in_paths_are_encoded() {
        let path = Vendor::Bedrock.path(Shape::Converse, "arn:aws:x/y", true).unwrap();
        assert_eq!(path, "/model/arn%3Aaws%3Ax%2Fy/converse-stream");
        let path = Vendor::Gemini.path(Shape::Generate, "gemini-2.5-pro", true).unwrap();
        assert_eq!(path, "/models/gemini-2.5-pro:streamGenerateContent?alt=sse");
        assert_eq!(Vendor::Anthropic.path(Shape::Embeddings, "x", false), None);
    }
}
