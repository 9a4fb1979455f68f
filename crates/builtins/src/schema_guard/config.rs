//! Configuration of the schema guard.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Configuration of the schema guard.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// JSON Schemas of arguments, by tool: the name it is exposed by, or its name at the upstream.
    pub arg_schemas: BTreeMap<String, Value>,
    /// JSON Schemas of results, by tool.
    pub result_schemas: BTreeMap<String, Value>,
    /// Block what does not match. Otherwise the errors only stand in metadata.
    pub block_on_violation: bool,
    /// What of a result is compared with its schema.
    pub result_part: ResultPart,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            arg_schemas: BTreeMap::new(),
            result_schemas: BTreeMap::new(),
            block_on_violation: true,
            result_part: ResultPart::Result,
        }
    }
}

/// What of a result is compared with its schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ResultPart {
    /// All of it, as it goes over the wire: `content`, `structuredContent`, `isError`.
    Result,
    /// `structuredContent`, or the JSON of its only text where there is none. Results that say `isError` pass.
    Structured,
}
