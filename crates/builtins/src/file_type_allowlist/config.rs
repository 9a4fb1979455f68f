//! Configuration of the list of file types.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Configuration of the list of file types.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// MIME types that may be read, such as `text/markdown` or `image/*`; all where empty.
    pub allowed_mime_types: Vec<String>,
    /// File extensions that may be read, with or without a dot; all where empty.
    pub allowed_extensions: Vec<String>,
}
