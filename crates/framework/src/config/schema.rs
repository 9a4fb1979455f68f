//! JSON Schemas as this crate uses them: generated from the serde types, compiled once per check.
//!
//! Patterns run on the linear regex engine: a plugin's schema may come from a stranger.

use jsonschema::{PatternOptions, Validator};
use serde_json::Value;

use super::diagnostic::{Diagnostic, DiagnosticKind};

/// A schema, and the validator made from it: compiled once, used for every entry of a kind.
pub struct Compiled {
    root: Value,
    validator: Validator,
}

impl Compiled {
    /// Compiles a schema.
    ///
    /// # Errors
    ///
    /// When the schema itself is not valid.
    pub fn new(schema: &schemars::Schema) -> Result<Self, Diagnostic> {
        let root = schema.as_value();
        let validator = jsonschema::options()
            .with_pattern_options(PatternOptions::regex())
            .build(root)
            .map_err(|error| {
                let message = format!("the schema to check against is not valid itself: {error}");
                Diagnostic::new(DiagnosticKind::InvalidValue, message)
            })?;
        Ok(Self { root: root.clone(), validator })
    }

    pub(super) fn validator(&self) -> &Validator {
        &self.validator
    }

    /// Whether a top-level key is accepted only since others have it: its description begins with
    /// `Accepted for compatibility, without effect`. The words are what a reader of the schema sees, so that what is
    /// documented and what is told cannot differ.
    pub(super) fn is_without_effect(&self, key: &str) -> bool {
        let property = self.root.get("properties").and_then(|properties| properties.get(key));
        let description = property.and_then(|schema| schema.get("description")).and_then(Value::as_str);
        description.is_some_and(|text| text.starts_with("Accepted for compatibility, without effect"))
    }

    /// The keys that the object schema around a keyword allows, references followed.
    pub(super) fn keys_beside(&self, keyword_pointer: &str) -> Vec<&str> {
        let object = keyword_pointer.rsplit_once('/').map_or("", |(parent, _)| parent);
        self.root.pointer(object).map(|schema| self.keys(schema, 0)).unwrap_or_default()
    }

    fn keys<'s>(&'s self, schema: &'s Value, depth: usize) -> Vec<&'s str> {
        const DEEPEST_REFERENCE: usize = 8;
        let mut keys: Vec<&str> = Vec::new();
        if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
            keys.extend(properties.keys().map(String::as_str));
        }
        if depth < DEEPEST_REFERENCE {
            let referenced = schema.get("$ref").and_then(Value::as_str).and_then(|r| r.strip_prefix('#'));
            if let Some(target) = referenced.and_then(|pointer| self.root.pointer(pointer)) {
                keys.extend(self.keys(target, depth + 1));
            }
            for part in ["allOf", "oneOf", "anyOf"].iter().filter_map(|k| schema.get(k)?.as_array()).flatten()
            {
                keys.extend(self.keys(part, depth + 1));
            }
        }
        keys
    }
}

impl std::fmt::Debug for Compiled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Compiled").finish_non_exhaustive()
    }
}

/// The top-level keys a schema allows; none when it allows any.
pub(super) fn top_keys(schema: &schemars::Schema) -> Option<Vec<&str>> {
    let root = schema.as_value();
    let open = root.get("additionalProperties") != Some(&Value::Bool(false));
    let keys = root.get("properties")?.as_object()?.keys().map(String::as_str).collect();
    (!open).then_some(keys)
}
