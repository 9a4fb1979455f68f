//! Configuration of the policies.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::service::{Action, OnFailure};

/// Configuration of the policies.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The policies, as text; `${file:policies.cedar}` reads them from a file.
    pub policies: String,
    /// Entities that policies refer to, in Cedar's JSON: a list of `{uid, attrs, parents}`. Who calls and what is called
    /// are entities too, and need not stand here; where they do, they are what stands here.
    #[serde(default)]
    pub entities: Option<Vec<Value>>,
    /// What becomes of calls that are refused: `block`, or `audit` (they pass, and log and metadata say so).
    #[serde(default)]
    pub action: Action,
    /// What becomes of a call on which a policy cannot be evaluated: `block` (an error, of which the entry's mode
    /// decides) or `pass`.
    #[serde(default)]
    pub on_failure: OnFailure,
}
