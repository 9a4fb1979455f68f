//! Configuration of the output length guard.

use mortise_plugin_api::BuildError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Configuration of the output length guard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Fewest characters (Unicode scalar values) of a text; only `block` can do something about less.
    pub min_chars: usize,
    /// Most characters of a text; unset for no limit but `max_text_length`.
    pub max_chars: Option<usize>,
    /// Fewest estimated tokens, under `limit_mode: token`.
    pub min_tokens: usize,
    /// Most estimated tokens, under `limit_mode: token`.
    pub max_tokens: Option<usize>,
    /// Characters that one token is estimated at.
    #[schemars(range(min = 1))]
    pub chars_per_token: usize,
    /// What is counted.
    pub limit_mode: LimitMode,
    /// What happens to a text out of bounds.
    pub strategy: Strategy,
    /// What stands at the end of a cut text, within the limit.
    pub ellipsis: String,
    /// Cut between words, where a space stands in the last fifth of what may stay.
    pub word_boundary: bool,
    /// Most characters of a text whatever the other limits.
    pub max_text_length: usize,
    /// Accepted for compatibility, without effect: texts are found without building a structure.
    pub max_structure_size: usize,
    /// Accepted for compatibility, without effect: texts are found without recursion.
    pub max_recursion_depth: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            min_chars: 0,
            max_chars: None,
            min_tokens: 0,
            max_tokens: None,
            chars_per_token: 4,
            limit_mode: LimitMode::Character,
            strategy: Strategy::Truncate,
            ellipsis: "…".to_owned(),
            word_boundary: false,
            max_text_length: 1_000_000,
            max_structure_size: 10_000,
            max_recursion_depth: 100,
        }
    }
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LimitMode {
    /// Characters.
    Character,
    /// Tokens, estimated from characters.
    Token,
}

/// What happens to a text out of bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Strategy {
    /// What is too long is cut; what is too short passes.
    Truncate,
    /// The call is blocked.
    Block,
}

impl Config {
    /// Checks what the schema cannot.
    ///
    /// # Errors
    /// A minimum above its maximum, or zero characters for a token.
    pub fn check(&self) -> Result<(), BuildError> {
        if self.chars_per_token == 0 {
            return Err(BuildError::new("chars_per_token", "must be 1 or more"));
        }
        let above = |min: usize, max: Option<usize>| max.is_some_and(|max| min > max);
        if above(self.min_chars, self.max_chars) {
            return Err(BuildError::new("min_chars", "must not be above max_chars"));
        }
        if above(self.min_tokens, self.max_tokens) {
            return Err(BuildError::new("min_tokens", "must not be above max_tokens"));
        }
        Ok(())
    }
}
