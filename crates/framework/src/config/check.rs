//! Checking a tree against a JSON Schema, with errors a person understands.
//!
//! The schema library says what is wrong in the words of JSON Schema ("not valid under any of the schemas"). Here
//! its findings are flattened to the branch the writer probably meant ([`flatten`]), put back to where the value
//! was written, and worded with what is allowed. All findings are reported, not the first. Scalars of the wrong
//! type are re-typed where that is unambiguous, and what belongs to an unset `${NAME}` is left alone.

mod flatten;
mod salvage;

use super::Dialect;
use super::coerce::{Coerced, coerce};
use super::diagnostic::{Diagnostic, DiagnosticKind, Errors, Notice};
use super::nearest;
use super::node::{Flags, MapEntry, Node};
use super::path;
use super::schema::Compiled;
use flatten::{Finding, What};

pub use salvage::{Gaps, Salvaged};
pub(super) use salvage::{Rest, salvage};

/// What a successful [`check`] leaves behind.
#[derive(Debug)]
pub struct Checked {
    /// The tree with scalars re-typed as the schema wants them and, where unknown keys are tolerated, without them.
    pub node: Node,
    /// What was tolerated.
    pub notices: Vec<Notice>,
}

/// Checks a tree, for example a plugin's `config`, against a schema. `prefix` is the dotted path of the tree in its
/// file, for the errors.
///
/// # Errors
///
/// Everything that does not fit the schema, and the schema itself if it is not valid.
pub fn check(
    mut node: Node,
    schema: &schemars::Schema,
    prefix: &str,
    dialect: Dialect,
) -> Result<Checked, Errors> {
    let (errors, notices) = check_in_place(&mut node, schema, prefix, dialect);
    Errors::unless_empty(errors, Checked { node, notices })
}

/// The same on a tree that is kept even if there are errors, so that later steps can add theirs.
pub(super) fn check_in_place(
    node: &mut Node,
    schema: &schemars::Schema,
    prefix: &str,
    dialect: Dialect,
) -> (Vec<Diagnostic>, Vec<Notice>) {
    match Compiled::new(schema) {
        Ok(compiled) => check_compiled(node, &compiled, prefix, dialect),
        Err(error) => (vec![error.path(prefix)], Vec::new()),
    }
}

/// The same against a schema that was compiled before.
pub(super) fn check_compiled(
    node: &mut Node,
    compiled: &Compiled,
    prefix: &str,
    dialect: Dialect,
) -> (Vec<Diagnostic>, Vec<Notice>) {
    let mut notices = Vec::new();
    let mut findings = find(compiled, node);
    // Each round can reveal a scalar one level further into a choice of shapes; few schemas nest those.
    for _round in 0..4 {
        if !retype(node, &findings, prefix, &mut notices) {
            break;
        }
        findings = find(compiled, node);
    }
    let mut errors = Vec::new();
    let mut dropped = Vec::new();
    for finding in findings {
        if let What::Unknown(keys) = &finding.what {
            let report = unknown_keys(compiled, node, &finding, keys, prefix);
            if dialect.refuses_unknown_keys() {
                errors.extend(report);
            } else {
                notices.extend(report);
                dropped.push((finding.pointer.clone(), keys.clone()));
            }
        } else if let Some(error) = word(node, &finding, prefix) {
            errors.push(error);
        }
    }
    for (pointer, keys) in dropped {
        if let Some(map) = node.pointer_mut(&pointer).and_then(Node::as_map_mut) {
            map.retain(|key, _| !keys.contains(key));
        }
    }
    (errors, notices)
}

fn find(compiled: &Compiled, node: &Node) -> Vec<Finding> {
    let json = node.to_json();
    let errors = compiled.validator().iter_errors(&json);
    errors.flat_map(|error| flatten::flatten(&error)).collect()
}

/// Re-types what can be; whether anything was.
fn retype(node: &mut Node, findings: &[Finding], prefix: &str, notices: &mut Vec<Notice>) -> bool {
    let mut changed = false;
    for finding in findings {
        let What::Type(wanted) = &finding.what else { continue };
        let (found, dotted, secret) = node.locate(&finding.pointer);
        if found.has(Flags::UNSET) {
            continue;
        }
        let dotted = join(prefix, &dotted);
        let Some(target) = node.pointer_mut(&finding.pointer) else { continue };
        match coerce(target, wanted, &dotted, secret) {
            Coerced::No => {}
            Coerced::Yes => changed = true,
            Coerced::WithNotice(notice) => {
                changed = true;
                notices.push(notice);
            }
        }
    }
    changed
}

fn unknown_keys(
    compiled: &Compiled,
    root: &Node,
    finding: &Finding,
    keys: &[String],
    prefix: &str,
) -> Vec<Diagnostic> {
    let (map, dotted, _) = root.locate(&finding.pointer);
    let allowed = compiled.keys_beside(&finding.schema_pointer);
    let make = |key: &String| {
        let span = map.key_span(key).unwrap_or(map.span()).clone();
        let entry = map.as_map().and_then(|entries| entries.get(key));
        let shown = entry.map_or_else(|| key.clone(), |entry| entry.shown_key(key));
        let typed = if entry.is_some_and(MapEntry::has_hidden_key) { "" } else { key };
        let error = Diagnostic::new(DiagnosticKind::UnknownKey, format!("unknown key `{shown}`"))
            .at(span)
            .path(join(prefix, &path::with_key(&dotted, &shown)));
        match nearest::advice(typed, &allowed) {
            Some(help) => error.help(help),
            None => error,
        }
    };
    keys.iter().map(make).collect()
}

/// The error in words; none where an unset `${NAME}` is the cause and is told elsewhere.
fn word(root: &Node, finding: &Finding, prefix: &str) -> Option<Diagnostic> {
    let (node, dotted, secret) = root.locate(&finding.pointer);
    if node.has(Flags::UNSET) {
        return None;
    }
    let at = |kind, message: String| {
        Diagnostic::new(kind, message).at(node.span().clone()).path(join(prefix, &dotted))
    };
    let shown = || node.shown(secret);
    Some(match &finding.what {
        What::Unknown(_) => return None,
        What::Missing(key) => at(DiagnosticKind::MissingKey, format!("the key `{key}` is missing"))
            .path(join(prefix, &path::with_key(&dotted, key))),
        What::Type(wanted) => {
            at(DiagnosticKind::WrongType, format!("expected {}, found {}", flatten::words(wanted), shown()))
        }
        What::Word(allowed) => {
            let allowed: Vec<&str> = allowed.iter().map(String::as_str).collect();
            let error = at(DiagnosticKind::InvalidValue, format!("{} is not allowed here", shown()));
            let typed = if secret || node.is_expanded() { None } else { node.written() };
            match nearest::advice(typed.unwrap_or_default(), &allowed) {
                Some(help) => error.help(help),
                None => error,
            }
        }
        What::Other(rule) => at(DiagnosticKind::InvalidValue, format!("{} {rule}", shown())),
    })
}

pub(super) fn join(prefix: &str, dotted: &str) -> String {
    match (prefix.is_empty(), dotted.is_empty()) {
        (true, _) => dotted.to_owned(),
        (_, true) => prefix.to_owned(),
        _ if dotted.starts_with('[') => format!("{prefix}{dotted}"),
        _ => format!("{prefix}.{dotted}"),
    }
}
