//! Configuration of the policy agent: own keys, and those of ContextForge's filter.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::service::{Action, OnFailure};

/// Where an agent listens by default.
const LOCAL: &str = "http://127.0.0.1:8181";
/// Path of its data API.
const DATA: &str = "/v1/data/";

/// Configuration of the policy agent. It has no `Debug`: it holds credentials.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Address of the agent.
    pub url: String,
    /// Path of the decision, such as `mortise/authz/allow`; dots are taken for slashes.
    pub path: Option<String>,
    /// Member of a decision that is an object which says whether the call may go on.
    pub allow: String,
    /// Token that is sent as `authorization: Bearer`.
    pub token: Option<String>,
    /// Headers that are sent beside.
    pub headers: BTreeMap<String, String>,
    /// Show the agent the payload, with arguments or result.
    pub include_payload: bool,
    /// What becomes of calls that are refused: `block`, or `audit` (they pass, and log and metadata say so).
    pub action: Action,
    /// Milliseconds for one request.
    pub timeout_ms: u64,
    /// Largest answer that is read, in bytes.
    pub max_answer_bytes: usize,
    /// Largest input that is sent, in bytes; of larger calls there is no decision.
    pub max_input_bytes: usize,
    /// What becomes of a call without a decision: `block` (an error, of which the entry's mode decides) or `pass`.
    pub on_failure: OnFailure,
    /// Seconds that a decision is kept for equal inputs, the caller included; 0 for not at all.
    pub cache_seconds: u64,
    /// Most decisions that are kept.
    pub cache_entries: usize,
    /// ContextForge: address of the data API, with a slash at its end; used instead of `url`.
    pub opa_base_url: Option<String>,
    /// ContextForge: which policies are asked about which tools, prompts and resources. Where something is named, only
    /// that is asked about, unless `path` is given too. May stand beside `config` in the entry, too.
    pub applied_to: Option<Applied>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            url: LOCAL.to_owned(),
            path: None,
            allow: "allow".to_owned(),
            token: None,
            headers: BTreeMap::new(),
            include_payload: true,
            action: Action::Block,
            timeout_ms: 2000,
            max_answer_bytes: 262_144,
            max_input_bytes: 4_194_304,
            on_failure: OnFailure::Block,
            cache_seconds: 0,
            cache_entries: 10_000,
            opa_base_url: None,
            applied_to: None,
        }
    }
}

impl Config {
    /// Address of the data API, with a slash at its end.
    pub(super) fn base(&self) -> String {
        match &self.opa_base_url {
            Some(base) => format!("{}/", base.trim_end_matches('/')),
            None => format!("{}{DATA}", self.url.trim_end_matches('/')),
        }
    }
}

/// What policies are asked about.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Applied {
    /// Tools, by name.
    pub tools: Vec<AppliedTool>,
    /// Prompts, by name.
    pub prompts: Vec<AppliedPrompt>,
    /// Resources, by URI.
    pub resources: Vec<AppliedResource>,
}

/// A tool and its policy.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AppliedTool {
    /// Name of the tool.
    pub tool_name: String,
    /// Its policy.
    #[serde(default)]
    pub extensions: Option<Policy>,
    /// Accepted, without effect.
    #[serde(flatten)]
    pub others: Map<String, Value>,
}

/// A prompt and its policy.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AppliedPrompt {
    /// Name of the prompt.
    pub prompt_name: String,
    /// Its policy.
    #[serde(default)]
    pub extensions: Option<Policy>,
    /// Accepted, without effect.
    #[serde(flatten)]
    pub others: Map<String, Value>,
}

/// A resource and its policy.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AppliedResource {
    /// URI of the resource.
    pub resource_uri: String,
    /// Its policy.
    #[serde(default)]
    pub extensions: Option<Policy>,
    /// Accepted, without effect.
    #[serde(flatten)]
    pub others: Map<String, Value>,
}

/// A policy.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Policy {
    /// Its path below the address.
    pub policy: String,
    /// Its rules: one for each hook, which has the hook in its name, or one for all.
    #[serde(default)]
    pub policy_endpoints: Vec<String>,
    /// The same, where there is just one.
    #[serde(default)]
    pub policy_endpoint: Option<String>,
    /// Accepted, without effect: the whole payload is shown.
    #[serde(default)]
    pub policy_modality: Option<Value>,
}
