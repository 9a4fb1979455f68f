//! Configuration of the header injector.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Configuration of the header injector. It has no `Debug`: values of headers may be secret.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Headers to add, by name; they replace others of the same name.
    pub headers: BTreeMap<String, String>,
    /// Beginnings of the URIs of resources that get them; unset for all.
    pub uri_prefixes: Option<Vec<String>>,
}
