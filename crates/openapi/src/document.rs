//! A document: its operations, and how it wants requests authenticated.

use std::collections::HashSet;

use serde_json::Value;

use crate::{Credential, Operation, Scheme, SecurityError, operation::Written, refs};

/// Most operations that a tool may have: each is a tool that every client is told of.
const MOST_OPERATIONS: usize = 1_000;

/// Methods of operations, as documents write them and as HTTP does.
const METHODS: [(&str, &str); 7] = [
    ("get", "GET"),
    ("put", "PUT"),
    ("post", "POST"),
    ("delete", "DELETE"),
    ("options", "OPTIONS"),
    ("head", "HEAD"),
    ("patch", "PATCH"),
];

/// A document, as far as tools need it.
#[derive(Clone, Debug)]
pub struct Document {
    /// Its title.
    pub title: Option<String>,
    /// What it is about.
    pub description: Option<String>,
    /// The operations that may be called, in the order they are written in.
    pub operations: Vec<Operation>,
    /// Those that are wanted and cannot be called.
    pub left_out: Vec<LeftOut>,
    schemes: Vec<(String, Option<Scheme>)>,
}

/// An operation that cannot be called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// Its id.
    pub id: String,
    /// Why.
    pub reason: String,
}

/// Why a document is none that tools can be made of.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DocumentError {
    /// It does not say that it is an OpenAPI document.
    #[error("this is no OpenAPI document: it has no `openapi: 3.0.x` or `3.1.x`")]
    NotOpenApi,
    /// It is of another version.
    #[error("OpenAPI {found} is not read; 3.0 and 3.1 are")]
    Version {
        /// The version.
        found: String,
    },
    /// It has no paths.
    #[error("the OpenAPI document has no `paths`")]
    NoPaths,
    /// It has too many operations that are wanted.
    #[error("more than {most} operations of the OpenAPI document are wanted; name fewer")]
    TooMany {
        /// The limit.
        most: usize,
    },
}

impl Document {
    /// Reads a document; of its operations those that `wanted` says are.
    ///
    /// # Errors
    /// See [`DocumentError`]. An operation that cannot be called is none: it is [`left out`](Self::left_out).
    pub fn read(root: &Value, wanted: &dyn Fn(&str) -> bool) -> Result<Self, DocumentError> {
        let is_3_0 = version(root)?;
        let paths = root.get("paths").and_then(Value::as_object).ok_or(DocumentError::NoPaths)?;
        let info = |key: &str| root.get("info")?.get(key)?.as_str().map(str::to_owned);
        let mut document = Self {
            title: info("title"),
            description: info("description"),
            operations: Vec::new(),
            left_out: Vec::new(),
            schemes: schemes(root),
        };
        let mut ids = HashSet::new();
        for (path, item) in paths.iter().filter(|(path, _)| path.starts_with('/')) {
            let Ok(item) = refs::resolve(root, item) else { continue };
            let shared = item.get("parameters").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
            for (key, method) in METHODS {
                let Some(operation) = item.get(key) else { continue };
                let id = operation.get("operationId").and_then(Value::as_str);
                let Some(id) = id.filter(|id| wanted(id)) else { continue };
                let written = Written { root, is_3_0, method, path, shared, operation };
                let read = if ids.insert(id) {
                    Operation::read(id, &written)
                } else {
                    Err("another operation has the same id".to_owned())
                };
                match read {
                    Ok(operation) => document.operations.push(operation),
                    Err(reason) => document.left_out.push(LeftOut { id: id.to_owned(), reason }),
                }
                if document.operations.len() + document.left_out.len() > MOST_OPERATIONS {
                    return Err(DocumentError::TooMany { most: MOST_OPERATIONS });
                }
            }
        }
        Ok(document)
    }

    /// The operation of an id.
    #[must_use]
    pub fn operation(&self, id: &str) -> Option<&Operation> {
        self.operations.iter().find(|operation| operation.id == id)
    }

    /// What is added to every request for a key to be sent by a security scheme.
    ///
    /// # Errors
    /// See [`SecurityError`].
    pub fn credential(&self, scheme: &str, key: &str) -> Result<Credential, SecurityError> {
        match self.schemes.iter().find(|(name, _)| name == scheme) {
            Some((_, Some(scheme))) => Ok(scheme.credential(key)),
            Some((name, None)) => Err(SecurityError::Unusable { name: name.clone() }),
            None => Err(SecurityError::Unknown {
                name: scheme.to_owned(),
                known: self.schemes.iter().map(|(name, _)| name.clone()).collect(),
            }),
        }
    }
}

/// Whether it is of 3.0; if not, it is of 3.1.
fn version(root: &Value) -> Result<bool, DocumentError> {
    let Some(version) = root.get("openapi") else {
        return Err(match root.get("swagger").and_then(Value::as_str) {
            Some(swagger) => DocumentError::Version { found: swagger.chars().take(20).collect() },
            None => DocumentError::NotOpenApi,
        });
    };
    // `openapi: 3.1` without quotes is a number.
    let text = version.as_str().map_or_else(|| version.to_string(), str::to_owned);
    let is =
        |minor: &str| text == minor || text.strip_prefix(minor).is_some_and(|rest| rest.starts_with('.'));
    match (is("3.0"), is("3.1")) {
        (true, _) => Ok(true),
        (_, true) => Ok(false),
        _ => Err(DocumentError::Version { found: text.chars().take(20).collect() }),
    }
}

fn schemes(root: &Value) -> Vec<(String, Option<Scheme>)> {
    let schemes = root.pointer("/components/securitySchemes").and_then(Value::as_object);
    let schemes = schemes.into_iter().flatten();
    schemes.map(|(name, written)| (name.clone(), Scheme::read(root, written))).collect()
}
