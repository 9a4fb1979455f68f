//! Configuration of the rules.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::service::{Action, OnFailure};

/// Configuration of the rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The rules, in order; the first that refuses decides.
    pub rules: Vec<RuleConfig>,
    /// What becomes of calls that are refused: `block`, or `audit` (they pass, and log and metadata say so).
    #[serde(default)]
    pub action: Action,
    /// What becomes of a call on which a rule cannot be evaluated: `block` (an error, of which the entry's mode decides)
    /// or `pass`.
    #[serde(default)]
    pub on_failure: OnFailure,
}

/// A rule: exactly one of `deny` and `require`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RuleConfig {
    /// What it is called in violations and logs.
    pub name: String,
    /// Hooks at which it applies; all at which the plugin runs where empty.
    pub hooks: Vec<String>,
    /// Expression that says whether it applies; always, where unset.
    pub when: Option<String>,
    /// Expression that refuses the call where it is true.
    pub deny: Option<String>,
    /// Expression that refuses the call unless it is true.
    pub require: Option<String>,
    /// The reason that is given.
    pub reason: String,
    /// Code of the violation.
    pub code: String,
}
