//! Configuration of the SQL sanitizer.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Configuration of the SQL sanitizer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Names of the arguments that are looked at (in nested data, of the nearest member); unset for all.
    pub fields: Option<Vec<String>>,
    /// Regular expressions for statements that are not allowed, searched outside of literals, quoted names and
    /// comments; letters match whatever their case.
    pub blocked_statements: Vec<String>,
    /// Refuse `DELETE` without `WHERE`.
    pub block_delete_without_where: bool,
    /// Refuse `UPDATE` without `WHERE`.
    pub block_update_without_where: bool,
    /// Take comments out of the arguments.
    pub strip_comments: bool,
    /// Refuse statements with literal values or interpolation marks where placeholders should stand.
    pub require_parameterization: bool,
    /// Block the call; otherwise the issues only stand in the metadata.
    pub block_on_violation: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            fields: None,
            blocked_statements: ["DROP", "TRUNCATE", "ALTER", "GRANT", "REVOKE"]
                .map(|w| format!(r"\b{w}\b"))
                .to_vec(),
            block_delete_without_where: true,
            block_update_without_where: true,
            strip_comments: true,
            require_parameterization: false,
            block_on_violation: true,
        }
    }
}
