//! Configuration of the detector of harmful content, and its own lexicon.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Phrases that are looked for where nothing is configured: of self-harm, violence and hate.
const OWN: [(&str, &[&str]); 3] = [
    (
        "self_harm",
        &[
            r"\b(?:kill|hurt|harm|cut)(?:ing)?\s+my\s?self\b",
            r"\b(?:commit|committing|attempt|attempting)\s+suicide\b",
            r"\bsuicid(?:e|al)\s+(?:note|plan|method|thought|ideation)s?\b",
            r"\b(?:want|going|wish)\s+to\s+(?:die|end\s+my\s+life)\b",
        ],
    ),
    (
        "violence",
        &[
            r"\b(?:kill|murder|shoot|stab|strangle|torture)\s+(?:him|her|them|you|everyone|people|someone|somebody)\b",
            r"\b(?:build|make|assemble|plant)\s+(?:a|an|the)\s+(?:pipe\s+)?(?:bomb|explosive)s?\b",
            r"\bmass\s+shooting\b",
        ],
    ),
    (
        "hate",
        &[
            r"\b(?:exterminate|eradicate|wipe\s+out)\s+(?:all\s+)?(?:the\s+)?(?:jews|muslims|christians|blacks|whites|gays|immigrants|foreigners)\b",
            r"\bethnic\s+cleansing\s+(?:is|was)\s+(?:good|right|needed|justified)\b",
            r"\b(?:racial|master)\s+(?:superiority|race)\b",
        ],
    ),
];

/// Configuration of the detector of harmful content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Linear regular expressions by category, in any letter case. Unset: a short lexicon of `self_harm`, `violence` and
    /// `hate`.
    pub categories: Option<BTreeMap<String, Vec<String>>>,
    /// Categories that block; others stand in metadata.
    pub block_on: Vec<String>,
    /// Replace what is found, of any category, instead of blocking.
    pub redact: bool,
    /// What stands for what is found.
    pub redaction_text: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            categories: None,
            block_on: OWN.map(|(name, _)| name.to_owned()).to_vec(),
            redact: false,
            redaction_text: "[REDACTED]".to_owned(),
        }
    }
}

impl Config {
    pub(super) fn blocks(&self, category: &str) -> bool {
        self.block_on.iter().any(|name| name == category)
    }

    pub(super) fn lexicon(&self) -> BTreeMap<String, Vec<String>> {
        self.categories.clone().unwrap_or_else(|| {
            let own = |(name, patterns): (&str, &[&str])| {
                (name.to_owned(), patterns.iter().map(|pattern| (*pattern).to_owned()).collect())
            };
            OWN.map(own).into()
        })
    }
}
