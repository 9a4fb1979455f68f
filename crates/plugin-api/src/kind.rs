//! Kinds of native plugins: what a configuration's `kind:` names, and how a plugin is made of its `config:`.

use std::sync::Arc;

use schemars::{JsonSchema, Schema};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{HookId, Native, Plugin};

/// Why a plugin cannot be made of its configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct BuildError {
    /// Dotted path of the field inside `config:`, may be empty.
    pub field: String,
    /// What is wrong with it and what is allowed.
    pub message: String,
}

impl BuildError {
    /// An error about `field`.
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }
}

/// One kind of native plugin.
///
/// Validating is pure and separate from starting: `build` touches nothing outside, so a configuration can be
/// checked without running it. What needs the outside belongs into [`Plugin::initialize`].
#[derive(Clone)]
pub struct NativeKind {
    /// Name after `builtin.`: `pii_filter`.
    pub name: &'static str,
    /// Class paths under which other frameworks know the same plugin.
    pub class_paths: &'static [&'static str],
    /// What it does, in one sentence.
    pub about: &'static str,
    /// Hooks it runs at when an entry lists none.
    pub hooks: &'static [HookId],
    /// JSON Schema of its `config:`, with defaults.
    pub config_schema: fn() -> Schema,
    /// Makes a plugin of a `config:` that matched the schema.
    pub build: fn(&Value) -> Result<Arc<dyn Plugin>, BuildError>,
}

impl NativeKind {
    /// Reads a typed config, with errors that name the field.
    ///
    /// # Errors
    /// When `config` does not fit `C`.
    pub fn read<C: DeserializeOwned + JsonSchema>(config: &Value) -> Result<C, BuildError> {
        let config = if config.is_null() { Value::Object(serde_json::Map::new()) } else { config.clone() };
        serde_json::from_value(config).map_err(|error| BuildError::new("", error.to_string()))
    }

    /// The schema of a config type.
    pub fn schema_of<C: JsonSchema>() -> Schema {
        schemars::schema_for!(C)
    }
}

impl std::fmt::Debug for NativeKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NativeKind").field("name", &self.name).finish_non_exhaustive()
    }
}

impl<P: Send + Sync + 'static> From<Native<P>> for Arc<dyn Plugin> {
    fn from(native: Native<P>) -> Self {
        native.into_plugin()
    }
}
