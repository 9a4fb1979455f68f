//! The last step: a checked tree into its serde type.
//!
//! After the check this fails only where a type asks for more than its schema says (a duration in words, an address);
//! the error is then put back to the place it is about, and no value that must stay hidden is quoted in it.

use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;

use super::check::join;
use super::diagnostic::{Diagnostic, DiagnosticKind};
use super::node::{Node, Value};
use super::path;
use super::secret::{self, MASK};

/// Deserialises a tree; `prefix` is its dotted path.
pub(super) fn deserialize<T: DeserializeOwned>(node: &Node, prefix: &str) -> Result<T, Diagnostic> {
    serde_path_to_error::deserialize(node.to_json()).map_err(|error| {
        let (mut found, mut dotted, mut secret) = (node, String::new(), false);
        for segment in error.path() {
            let next = match segment {
                Segment::Map { key } => found.as_map().and_then(|map| map.get(key)).map(|entry| {
                    secret |= secret::is_secret_key(key);
                    (&entry.node, path::with_key(&dotted, entry.path_key(key)))
                }),
                Segment::Seq { index } => found
                    .as_list()
                    .and_then(|items| Some((items.get(*index)?, path::with_index(&dotted, *index)))),
                _ => None,
            };
            let Some((next, at)) = next else { continue };
            (found, dotted) = (next, at);
        }
        let mut message = error.inner().to_string();
        hide(found, secret, &mut message);
        Diagnostic::new(DiagnosticKind::InvalidValue, message)
            .at(found.span().clone())
            .path(join(prefix, &dotted))
    })
}

/// Takes the secrets at and below a node out of a message.
fn hide(node: &Node, under_secret_key: bool, message: &mut String) {
    match node.value() {
        Value::List(items) => items.iter().for_each(|item| hide(item, under_secret_key, message)),
        Value::Map(map) => {
            for (key, entry) in map.iter() {
                if entry.has_hidden_key() && !key.is_empty() {
                    *message = message.replace(key.as_str(), MASK);
                }
                hide(&entry.node, under_secret_key || secret::is_secret_key(key), message);
            }
        }
        Value::String(_) | Value::Number(_) if under_secret_key || node.is_expanded() => {
            let text = node.written().map_or_else(|| node.to_json().to_string(), str::to_owned);
            for form in [format!("{text:?}").trim_matches('"').to_owned(), text] {
                if !form.is_empty() {
                    *message = message.replace(&form, MASK);
                }
            }
        }
        _ => {}
    }
}
