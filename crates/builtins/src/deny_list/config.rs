//! Configuration of the deny list.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Configuration of the deny list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Words that no text may contain, whatever the case of their letters.
    pub words: Vec<String>,
}
