//! Compiled schemas by tool, and errors without the values they are about.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use jsonschema::{PatternOptions, Validator};
use mortise_plugin_api::{BuildError, Request};
use serde_json::Value;

use crate::shared::Shared;

/// Errors that are told of one value.
const MAX_ERRORS: usize = 10;
/// Longest error told, in bytes.
const MAX_ERROR_LENGTH: usize = 300;
/// Largest compiled program of one pattern, in bytes.
const PATTERN_SIZE: usize = 1 << 20;

/// One compiled schema.
#[derive(Debug)]
pub(super) struct Schema(Validator);

impl Schema {
    /// What is wrong with `value`, each with its place; never the value itself, which may be a secret.
    pub(super) fn errors(&self, value: &Value) -> Vec<String> {
        if self.0.is_valid(value) {
            return Vec::new();
        }
        self.0.iter_errors(value).take(MAX_ERRORS).map(|error| told(&error)).collect()
    }
}

fn told(error: &jsonschema::ValidationError<'_>) -> String {
    let place = error.instance_path().to_string();
    let place = if place.is_empty() { "/" } else { &place };
    let mut told = format!("{place}: {}", error.masked());
    if told.len() > MAX_ERROR_LENGTH {
        told.truncate(told.floor_char_boundary(MAX_ERROR_LENGTH));
        told.push('…');
    }
    told
}

/// All compiled schemas, by their text.
static COMPILED: Shared<String, Schema> = Shared::new();

/// Schemas by the name of their tool.
#[derive(Debug, Default)]
pub(super) struct Schemas(HashMap<String, Arc<Schema>>);

impl Schemas {
    /// Compiles the schemas of the key `field`.
    ///
    /// # Errors
    /// The first schema that is none, or that refers to something outside it.
    pub(super) fn compile(field: &str, schemas: &BTreeMap<String, Value>) -> Result<Self, BuildError> {
        let compile = |(tool, schema): (&String, &Value)| {
            let made = COMPILED.get(schema.to_string(), || {
                jsonschema::options()
                    .with_pattern_options(PatternOptions::regex().size_limit(PATTERN_SIZE))
                    .build(schema)
                    .map(Schema)
            });
            made.map(|made| (tool.clone(), made)).map_err(|error| {
                BuildError::new(format!("{field}.{tool}"), format!("is no usable JSON Schema: {error}"))
            })
        };
        schemas.iter().map(compile).collect::<Result<_, _>>().map(Self)
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The schema of a tool, by the name it is exposed by, else by its name at the upstream.
    pub(super) fn of(&self, tool: &str, request: &Request) -> Option<&Schema> {
        if self.0.is_empty() {
            return None;
        }
        let found = self.0.get(tool).or_else(|| self.0.get(request.original_name.as_deref()?));
        found.map(|schema| &**schema)
    }
}
