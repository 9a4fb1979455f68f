//! Configuration of the moderation: own keys, and those that ContextForge's content moderation has.
//!
//! A configuration that names a `provider` is one of the latter kind and means what it means there: its defaults are
//! other ones. The only provider here is the one whose wire this plugin speaks.

use std::collections::BTreeMap;

use mortise_plugin_api::BuildError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::categories::{Measure, Rule};
use crate::service::{Action, OnFailure, Reach};

/// Where OpenAI's own endpoint is.
const OPENAI: &str = "https://api.openai.com/v1/moderations";
/// Its model.
const MODEL: &str = "omni-moderation-latest";
/// Categories that ContextForge knows.
const KNOWN: [&str; 8] =
    ["hate", "violence", "sexual", "self_harm", "harassment", "spam", "profanity", "toxic"];
/// Score from which on they count there.
const THRESHOLD: f64 = 0.7;

/// Configuration of the moderation. It has no `Debug`: it holds credentials.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Address that is posted to; OpenAI's where unset.
    pub url: Option<String>,
    /// Key that is sent as `authorization: Bearer`.
    pub api_key: Option<String>,
    /// Headers that are sent beside.
    pub headers: BTreeMap<String, String>,
    /// Model that is asked; empty to name none.
    pub model: Option<String>,
    /// Categories that count, by the service's names. Unset, all count, by the service's own word.
    pub categories: Option<BTreeMap<String, Category>>,
    /// What becomes of calls with a category that names no action itself: `block`, or `audit` (they pass, and metadata
    /// say so).
    pub action: Action,
    /// What stands for text of categories whose action is `redact`.
    pub redaction_text: String,
    /// Log each text that is of a category that counts.
    pub audit_decisions: bool,
    /// Milliseconds for one request.
    pub timeout_ms: u64,
    /// Largest answer that is read, in bytes.
    pub max_answer_bytes: usize,
    /// What becomes of a call without a verdict: `block` (an error, of which the entry's mode decides) or `pass`.
    pub on_failure: Option<OnFailure>,
    /// Longest text that is judged in one piece, in characters; longer ones are judged in several.
    pub max_text_length: usize,
    /// Most bytes of text of one call; more is no verdict.
    pub max_text_bytes: usize,
    /// Seconds that what was said of a text is kept; 0 for not at all.
    pub cache_seconds: u64,
    /// Most texts of which it is kept.
    pub cache_entries: usize,
    /// ContextForge: who moderates. `openai` is what there is.
    pub provider: Option<Provider>,
    /// ContextForge: who does where the provider does not.
    pub fallback_provider: Option<Provider>,
    /// ContextForge: what becomes of a call without a verdict: `block` it; with any other word it passes.
    pub fallback_on_error: Option<Measured>,
    /// ContextForge: keys of the provider: `api_key`, `api_url`, `model`, `timeout` (seconds).
    pub openai: Option<OpenAi>,
    /// ContextForge: keys of a provider that is not here.
    pub ibm_watson: Option<Map<String, Value>>,
    /// ContextForge: keys of a provider that is not here.
    pub ibm_granite: Option<Map<String, Value>>,
    /// ContextForge: keys of a provider that is not here.
    pub azure: Option<Map<String, Value>>,
    /// ContextForge: keys of a provider that is not here.
    pub aws: Option<Map<String, Value>>,
    /// ContextForge: whether verdicts are kept.
    pub enable_caching: bool,
    /// ContextForge: seconds that verdicts are kept.
    pub cache_ttl: Option<u64>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            url: None,
            api_key: None,
            headers: BTreeMap::new(),
            model: None,
            categories: None,
            action: Action::Block,
            redaction_text: "[REDACTED]".to_owned(),
            audit_decisions: false,
            timeout_ms: 5000,
            max_answer_bytes: 1_048_576,
            on_failure: None,
            max_text_length: 10_000,
            max_text_bytes: 1_000_000,
            cache_seconds: 3600,
            cache_entries: 10_000,
            provider: None,
            fallback_provider: None,
            fallback_on_error: None,
            openai: None,
            ibm_watson: None,
            ibm_granite: None,
            azure: None,
            aws: None,
            enable_caching: true,
            cache_ttl: None,
        }
    }
}

/// What is configured of a category.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Category {
    /// Score from which on it counts, 0 to 1; the service's own word where unset.
    pub threshold: Option<f64>,
    /// What becomes of text that is of it; as `action` of the plugin where unset.
    pub action: Option<Measured>,
    /// ContextForge: accepted, without effect.
    pub providers: Option<Vec<String>>,
    /// ContextForge: accepted, without effect.
    pub custom_patterns: Option<Vec<String>>,
}

/// What becomes of text that is of a category.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Measured {
    /// The call is blocked.
    Block,
    /// The call passes, and metadata say so.
    Warn,
    /// The text is replaced.
    Redact,
    /// As `redact`.
    Transform,
}

/// Who moderates, in ContextForge.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "names of services")]
pub enum Provider {
    IbmWatson,
    IbmGranite,
    #[serde(rename = "openai")]
    OpenAi,
    Azure,
    Aws,
}

/// Keys of the provider in ContextForge.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct OpenAi {
    /// Key that is sent as `authorization: Bearer`.
    pub api_key: Option<String>,
    /// Address that is posted to.
    pub api_url: Option<String>,
    /// Model that is asked.
    pub model: Option<String>,
    /// Seconds for one request.
    pub timeout: Option<u64>,
}

/// What a configuration means, of whichever kind it is.
pub(super) struct Settled {
    pub(super) rules: BTreeMap<String, Rule>,
    pub(super) others: Option<Rule>,
    pub(super) model: String,
    pub(super) longest: usize,
    pub(super) cache_seconds: u64,
    /// What is asked for and not here.
    pub(super) missing: Option<String>,
    url: String,
    api_key: Option<String>,
    headers: BTreeMap<String, String>,
    timeout_ms: u64,
    max_answer_bytes: usize,
    on_failure: OnFailure,
}

impl Settled {
    pub(super) fn reach(&self) -> Reach<'_> {
        Reach {
            name: "the moderation service",
            field: "url",
            url: &self.url,
            token: self.api_key.as_deref(),
            headers: &self.headers,
            timeout_ms: self.timeout_ms,
            max_answer_bytes: self.max_answer_bytes,
            on_failure: self.on_failure,
        }
    }
}

impl Config {
    /// What it means.
    ///
    /// # Errors
    /// A number out of its range.
    pub(super) fn settle(&self) -> Result<Settled, BuildError> {
        crate::service::between("max_text_length", self.max_text_length as u64, 1, 1_000_000)?;
        let foreign = self.provider.is_some();
        let block = OpenAi::default();
        let block = self.openai.as_ref().unwrap_or(&block);
        let first = |own: &Option<String>, theirs: &Option<String>| own.clone().or_else(|| theirs.clone());
        let (rules, others) = self.rules(foreign);
        Ok(Settled {
            rules,
            others,
            model: first(&self.model, &block.model).unwrap_or_else(|| MODEL.to_owned()),
            longest: self.max_text_length,
            cache_seconds: if self.enable_caching { self.cache_ttl.unwrap_or(self.cache_seconds) } else { 0 },
            missing: self.missing(),
            url: first(&self.url, &block.api_url).unwrap_or_else(|| OPENAI.to_owned()),
            api_key: first(&self.api_key, &block.api_key),
            headers: self.headers.clone(),
            timeout_ms: block.timeout.map_or(self.timeout_ms, |seconds| seconds.saturating_mul(1000)),
            max_answer_bytes: self.max_answer_bytes,
            on_failure: self.failure(foreign),
        })
    }

    fn failure(&self, foreign: bool) -> OnFailure {
        match (self.on_failure, self.fallback_on_error) {
            (Some(own), _) => own,
            (None, Some(Measured::Block)) => OnFailure::Block,
            (None, Some(_)) => OnFailure::Pass,
            (None, None) if foreign => OnFailure::Pass,
            (None, None) => OnFailure::Block,
        }
    }

    fn rules(&self, foreign: bool) -> (BTreeMap<String, Rule>, Option<Rule>) {
        let usual = match self.action {
            Action::Audit => Measure::Warn,
            Action::Block if foreign => Measure::Warn,
            Action::Block => Measure::Block,
        };
        let threshold = foreign.then_some(THRESHOLD);
        let rule = |category: &Category| Rule {
            threshold: category.threshold.or(threshold),
            measure: category.action.map_or(usual, |action| match action {
                Measured::Block => Measure::Block,
                Measured::Warn => Measure::Warn,
                Measured::Redact | Measured::Transform => Measure::Redact,
            }),
        };
        let mut rules = BTreeMap::new();
        if foreign {
            rules.extend(KNOWN.map(|name| (name.to_owned(), rule(&Category::default()))));
        }
        let named = self.categories.iter().flatten();
        rules.extend(named.map(|(name, category)| (name.clone(), rule(category))));
        let others = (self.categories.is_none() && !foreign).then(|| rule(&Category::default()));
        (rules, others)
    }

    fn missing(&self) -> Option<String> {
        let openai = Some(Provider::OpenAi);
        if self.provider.is_none() || self.provider == openai || self.fallback_provider == openai {
            return None;
        }
        let name = serde_json::to_value(self.provider).ok()?;
        let name = name.as_str().unwrap_or_default().to_owned();
        Some(format!(
            "the moderation provider {name} is not part of this version; `openai` is, and services that speak as it does"
        ))
    }
}
