//! Re-typing a scalar to what the schema wants.
//!
//! A value that came from `${PRIO}` is a text although a number is meant; `version: 1.0` is a number although a text
//! is meant. The schema decides, after the fact: only where validation found the wrong type is a scalar read again.

use jsonschema::JsonType;

use super::diagnostic::{Diagnostic, DiagnosticKind, Notice};
use super::node::{Flags, Node, Value};
use super::scalar;

/// What a coercion did.
pub(super) enum Coerced {
    /// Nothing: the value cannot be what is wanted.
    No,
    /// Re-typed.
    Yes,
    /// Re-typed, and the reader should know.
    WithNotice(Notice),
}

/// Re-types a scalar in place to one of the wanted types.
pub(super) fn coerce(node: &mut Node, wanted: &[JsonType], path: &str, under_secret: bool) -> Coerced {
    let wants = |kind| wanted.contains(&kind);
    let new = match node.value() {
        Value::String(text) => {
            let number =
                || scalar::number(text).filter(|n| wants(JsonType::Number) || n.is_i64() || n.is_u64());
            if wants(JsonType::Integer) || wants(JsonType::Number) {
                number().map(Value::Number)
            } else if wants(JsonType::Boolean) {
                scalar::boolean(text).map(Value::Bool)
            } else {
                None
            }
        }
        Value::Bool(_) | Value::Number(_) if wants(JsonType::String) && node.has(Flags::PLAIN) => {
            node.written().map(|text| Value::String(text.to_owned()))
        }
        _ => None,
    };
    let Some(new) = new else { return Coerced::No };
    let was_text = node.as_str().is_some();
    let shown = node.shown(under_secret);
    node.set(new);
    if was_text || node.is_expanded() {
        return Coerced::Yes;
    }
    Coerced::WithNotice(
        Diagnostic::new(DiagnosticKind::Remark, format!("{shown} is read as text"))
            .at(node.span().clone())
            .path(path)
            .help("put it in quotes"),
    )
}
