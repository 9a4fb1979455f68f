//! Configuration of the decision point.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::rules::Rule;

/// Configuration of the decision point.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The engines. `native` decides here, by its rules; an entry that has others switched on is unavailable.
    pub engines: Vec<Engine>,
    /// What counts of several engines. With the one there is, all come to the same.
    pub combination_mode: Combination,
    /// What is decided where no engine is switched on.
    pub default_decision: Decision,
    /// Accepted, without effect: rules are read faster than a decision is looked up.
    pub cache: Option<Map<String, Value>>,
    /// Accepted, without effect: rules never wait.
    pub performance: Option<Map<String, Value>>,
}

/// An engine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Engine {
    /// Which one.
    pub name: EngineName,
    /// Whether it decides. Default true.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Accepted, without effect: there is one.
    #[serde(default)]
    pub priority: i64,
    /// What it goes by.
    #[serde(default)]
    pub settings: Settings,
}

/// The engines there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EngineName {
    /// Rules about roles.
    Native,
    /// Levels of clearance.
    Mac,
    /// An Open Policy Agent.
    Opa,
    /// A Cedar agent.
    Cedar,
}

impl EngineName {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Mac => "mac",
            Self::Opa => "opa",
            Self::Cedar => "cedar",
        }
    }
}

/// What the native engine goes by; other engines' keys are accepted.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Settings {
    /// The rules.
    pub rules: Option<Vec<Rule>>,
    /// A JSON file with the rules, a list or an object with `rules`; read when the plugin starts, relative to the
    /// working folder. `rules` count where both are given.
    pub rules_file: Option<String>,
    /// Keys of other engines.
    #[serde(flatten)]
    pub others: Map<String, Value>,
}

/// What counts of several engines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Combination {
    /// All must allow.
    #[default]
    AllMustAllow,
    /// One must.
    AnyAllow,
    /// The first that decides.
    FirstMatch,
}

/// A decision.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// The call may go on.
    Allow,
    /// It may not.
    #[default]
    Deny,
}

fn yes() -> bool {
    true
}
