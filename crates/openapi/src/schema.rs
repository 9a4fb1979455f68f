//! Schemas of a document as JSON Schema of one tool: references become definitions of its own, and what OpenAPI 3.0
//! says in its own way is said in JSON Schema's.

use std::collections::HashMap;

use serde_json::{Map, Value};

use crate::refs;

/// Nested schemas.
const DEEPEST: usize = 64;

/// Keywords and definitions of one operation: a bound for documents that describe everything by everything.
const MOST_KEYWORDS: usize = 50_000;

/// Keywords with one schema.
const ONE: [&str; 12] = [
    "additionalItems",
    "additionalProperties",
    "contains",
    "contentSchema",
    "else",
    "if",
    "items",
    "not",
    "propertyNames",
    "then",
    "unevaluatedItems",
    "unevaluatedProperties",
];

/// Keywords with a list of schemas.
const LIST: [&str; 4] = ["allOf", "anyOf", "oneOf", "prefixItems"];

/// Keywords with schemas by name.
const NAMED: [&str; 5] = ["$defs", "definitions", "dependentSchemas", "patternProperties", "properties"];

/// Keywords that mean nothing outside the document, or something else.
const DROPPED: [&str; 10] = [
    "$anchor",
    "$dynamicAnchor",
    "$dynamicRef",
    "$id",
    "$schema",
    "discriminator",
    "example",
    "externalDocs",
    "nullable",
    "xml",
];

/// The schemas of one operation.
pub(crate) struct Schemas<'d> {
    root: &'d Value,
    /// Whether the document is of 3.0, whose schemas are not quite JSON Schema.
    is_3_0: bool,
    /// References that were met, and the names of their definitions.
    names: HashMap<&'d str, String>,
    defs: Map<String, Value>,
    keywords: usize,
}

impl<'d> Schemas<'d> {
    pub(crate) fn new(root: &'d Value, is_3_0: bool) -> Self {
        Self { root, is_3_0, names: HashMap::new(), defs: Map::new(), keywords: 0 }
    }

    /// The definitions that converted schemas refer to.
    pub(crate) fn into_defs(self) -> Map<String, Value> {
        self.defs
    }

    /// A schema of the document as one of the tool.
    pub(crate) fn convert(&mut self, schema: &'d Value) -> Result<Value, String> {
        self.at(schema, 0)
    }

    fn at(&mut self, schema: &'d Value, depth: usize) -> Result<Value, String> {
        let Value::Object(keywords) = schema else {
            // `true` and `false` are schemas; anything else is none, and says nothing.
            return Ok(if schema.is_boolean() { schema.clone() } else { Value::Bool(true) });
        };
        self.keywords += keywords.len() + 1;
        if depth > DEEPEST || self.keywords > MOST_KEYWORDS {
            return Err("its schemas are too large".to_owned());
        }
        let mut out = Map::new();
        if let Some(reference) = keywords.get("$ref").and_then(Value::as_str) {
            let name = self.define(reference, depth)?;
            out.insert("$ref".to_owned(), format!("#/$defs/{name}").into());
            if self.is_3_0 {
                // There, what stands beside a reference does not count.
                return Ok(out.into());
            }
        }
        for (keyword, value) in keywords {
            let word = keyword.as_str();
            if word == "$ref" || DROPPED.contains(&word) || word.starts_with("x-") {
                continue;
            }
            let value = match value {
                _ if ONE.contains(&word) => self.at(value, depth + 1)?,
                Value::Array(items) if LIST.contains(&word) => {
                    let items: Result<Vec<_>, _> =
                        items.iter().map(|item| self.at(item, depth + 1)).collect();
                    items?.into()
                }
                Value::Object(named) if NAMED.contains(&word) => {
                    let mut schemas = Map::new();
                    for (name, schema) in named {
                        schemas.insert(name.clone(), self.at(schema, depth + 1)?);
                    }
                    schemas.into()
                }
                _ => value.clone(),
            };
            out.insert(keyword.clone(), value);
        }
        if let Some(example) = keywords.get("example")
            && !keywords.contains_key("examples")
        {
            out.insert("examples".to_owned(), vec![example.clone()].into());
        }
        if self.is_3_0 {
            as_json_schema(keywords, &mut out);
        }
        Ok(out.into())
    }

    /// The name of the definition for a reference, made now where it is the first.
    fn define(&mut self, reference: &'d str, depth: usize) -> Result<String, String> {
        if let Some(name) = self.names.get(reference) {
            return Ok(name.clone());
        }
        let wanted = refs::last_word(reference);
        let mut name = wanted.clone();
        let mut number = 1_usize;
        while self.defs.contains_key(&name) {
            number += 1;
            name = format!("{wanted}_{number}");
        }
        // Taken before its inside is looked at, which may refer to it again.
        self.names.insert(reference, name.clone());
        self.defs.insert(name.clone(), Value::Bool(true));
        let target = refs::find(self.root, reference)?;
        let schema = self.at(target, depth + 1)?;
        self.defs.insert(name.clone(), schema);
        Ok(name)
    }
}

/// What 3.0 says otherwise: `nullable`, and bounds that are excluded by a flag.
fn as_json_schema(keywords: &Map<String, Value>, out: &mut Map<String, Value>) {
    for (flag, bound) in [("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")] {
        match keywords.get(flag) {
            Some(Value::Bool(true)) => {
                out.remove(flag);
                if let Some(value) = out.remove(bound) {
                    out.insert(flag.to_owned(), value);
                }
            }
            Some(Value::Bool(false)) => drop(out.remove(flag)),
            _ => {}
        }
    }
    if keywords.get("nullable") != Some(&Value::Bool(true)) {
        return;
    }
    if let Some(Value::String(word)) = out.get("type") {
        let both = vec![Value::from(word.as_str()), Value::from("null")];
        out.insert("type".to_owned(), both.into());
    }
    if let Some(Value::Array(values)) = out.get_mut("enum")
        && !values.contains(&Value::Null)
    {
        values.push(Value::Null);
    }
}

/// The type a schema names, as far as one is enough to tell how a text is meant.
pub(crate) fn type_of<'d>(root: &'d Value, schema: &'d Value) -> Option<&'d str> {
    let schema = refs::resolve(root, schema).ok()?;
    match schema.get("type")? {
        Value::String(word) => Some(word),
        Value::Array(words) => words.iter().filter_map(Value::as_str).find(|word| *word != "null"),
        _ => None,
    }
}
