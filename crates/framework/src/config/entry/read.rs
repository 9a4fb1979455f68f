//! From checked nodes to entries.
//!
//! The schema has spoken before; here is what a schema cannot say: hook names against the table, names used twice,
//! transports that exclude each other, and which problems cost only the entry.

use std::collections::HashMap;

use serde_json::{Map, Value as Json};

use super::{EntryRules, PluginEntry, Problem, ProblemKind, RawPluginEntry};
use crate::config::diagnostic::{Diagnostic, DiagnosticKind, Errors, Notice};
use crate::config::nearest;
use crate::config::node::{Flags, Node, Value};
use crate::config::path;
use crate::config::source::Span;
use crate::config::typed;

/// Reads the entries of a checked `plugins` list; `prefix` is its dotted path.
///
/// # Errors
///
/// Unknown hook names, names used twice, more than one transport, and whatever does not deserialise: all at once.
pub fn read_entries(
    list: &Node,
    prefix: &str,
    rules: &EntryRules<'_>,
) -> Result<(Vec<PluginEntry>, Vec<Notice>), Errors> {
    let (mut entries, mut errors, mut notices) = (Vec::new(), Vec::new(), Vec::new());
    for (index, node) in list.as_list().unwrap_or_default().iter().enumerate() {
        let path = path::with_index(prefix, index);
        match read_entry(node, path, rules, &mut errors, &mut notices) {
            Ok(entry) => entries.push(entry),
            Err(error) => errors.push(error),
        }
    }
    errors.extend(duplicates(&entries));
    Errors::unless_empty(errors, (entries, notices))
}

/// An error for each entry whose name an earlier one has, naming both places.
#[must_use]
pub fn duplicates(entries: &[PluginEntry]) -> Vec<Diagnostic> {
    duplicate_names(entries.iter().map(|e| (e.name.as_str(), &e.span, e.path.clone())))
}

/// The same for any names with places.
pub(in crate::config) fn duplicate_names<'a>(
    names: impl Iterator<Item = (&'a str, &'a Span, String)>,
) -> Vec<Diagnostic> {
    let (mut first, mut errors) = (HashMap::new(), Vec::new());
    for (name, span, path) in names {
        if let Some(known) = first.get(name) {
            let message = format!("two plugins have the name `{name}`");
            let error = Diagnostic::new(DiagnosticKind::Duplicate, message)
                .at(span.clone())
                .path(path)
                .related(Span::clone(known), "the first is here");
            errors.push(error);
        } else {
            first.insert(name, span.clone());
        }
    }
    errors
}

fn read_entry(
    node: &Node,
    path: String,
    rules: &EntryRules<'_>,
    errors: &mut Vec<Diagnostic>,
    notices: &mut Vec<Notice>,
) -> Result<PluginEntry, Diagnostic> {
    let raw: RawPluginEntry = match typed::deserialize(node, &path) {
        Err(_) if node.any(Flags::UNSET) => typed::deserialize(&without_unset(node), &path)?,
        result => result?,
    };
    let mut problems = unset_problems(node, rules);
    let hooks = check_hooks(node, &path, &raw.hooks, rules, errors, notices);
    let transports: Vec<&str> = ["mcp", "grpc", "unix_socket"]
        .into_iter()
        .filter(|key| node.get(key).is_some_and(|n| !n.is_null()))
        .collect();
    if transports.len() > 1 {
        let message = format!("only one transport can be given, found {}", nearest::listed(&transports));
        errors.push(diagnostic(node, transports.last().copied(), &path, message));
    }
    if raw.kind == "external" && transports.is_empty() {
        let reason = "an external plugin needs one of `mcp`, `grpc` or `unix_socket`".to_owned();
        problems.push(Problem { kind: ProblemKind::NoTransport, reason });
    }
    let config = node.get("config").filter(|c| !c.is_null()).cloned();
    let span = node.get("name").unwrap_or(node).span().clone();
    let config = config.unwrap_or_else(|| Node::empty_map(span.clone()));
    let given = node.as_map().map(|map| map.keys().cloned().collect()).unwrap_or_default();
    Ok(PluginEntry {
        name: raw.name,
        kind: raw.kind,
        description: raw.description,
        author: raw.author,
        version: raw.version,
        namespace: raw.namespace,
        hooks,
        tags: raw.tags,
        mode: raw.mode,
        on_error: raw.on_error,
        priority: raw.priority,
        conditions: raw.conditions.into_vec(),
        applied_to: raw.applied_to,
        config_json: object(config.to_json()),
        config,
        mcp: raw.mcp,
        grpc: raw.grpc,
        unix_socket: raw.unix_socket,
        permissions: raw.permissions,
        max_content_size: raw.max_content_size,
        command: raw.command.into_vec(),
        offers: raw.offers,
        given,
        span,
        path,
        dialect: rules.dialect,
        problems,
    })
}

fn object(json: Json) -> Map<String, Json> {
    if let Json::Object(map) = json { map } else { Map::new() }
}

fn diagnostic(node: &Node, key: Option<&str>, path: &str, message: String) -> Diagnostic {
    let span = key.and_then(|key| node.key_span(key)).unwrap_or(node.span()).clone();
    let path = key.map_or_else(|| path.to_owned(), |key| path::with_key(path, key));
    Diagnostic::new(DiagnosticKind::InvalidValue, message).at(span).path(path)
}

/// The entry without its unset values, so that what is left tells name, kind and mode.
fn without_unset(node: &Node) -> Node {
    let mut node = node.clone();
    strip(&mut node);
    node
}

pub(in crate::config) fn strip(node: &mut Node) {
    match node.value_mut() {
        Value::List(items) => {
            items.retain(|item| !item.has(Flags::UNSET));
            items.iter_mut().for_each(strip);
        }
        Value::Map(map) => {
            map.retain(|key, entry| {
                // Name and kind are texts anyway, and needed.
                !entry.node.has(Flags::UNSET) || matches!(key.as_str(), "name" | "kind")
            });
            map.values_mut().for_each(|entry| strip(&mut entry.node));
        }
        _ => {}
    }
}

fn unset_problems(node: &Node, rules: &EntryRules<'_>) -> Vec<Problem> {
    let mut spans = Vec::new();
    collect_unset(node, &mut spans);
    let mut problems: Vec<Problem> = Vec::new();
    for unset in spans.iter().flat_map(|span| rules.unset.iter().filter(move |u| u.span == **span)) {
        let reason = format!("`${{{}}}` {} ({})", unset.name, unset.reason, unset.span);
        let problem = Problem { kind: ProblemKind::Unset, reason };
        if !problems.contains(&problem) {
            problems.push(problem);
        }
    }
    if problems.is_empty() && !spans.is_empty() {
        problems.push(Problem { kind: ProblemKind::Unset, reason: "a `${...}` has no value".to_owned() });
    }
    problems
}

fn collect_unset<'n>(node: &'n Node, spans: &mut Vec<&'n Span>) {
    if node.has(Flags::UNSET) {
        spans.push(node.span());
    }
    match node.value() {
        Value::List(items) => items.iter().for_each(|item| collect_unset(item, spans)),
        Value::Map(map) => map.values().for_each(|entry| collect_unset(&entry.node, spans)),
        _ => {}
    }
}

/// The hooks, each once; an error for each that is not in the table.
fn check_hooks(
    node: &Node,
    path: &str,
    hooks: &[String],
    rules: &EntryRules<'_>,
    errors: &mut Vec<Diagnostic>,
    notices: &mut Vec<Notice>,
) -> Vec<String> {
    let list = node.get("hooks");
    let mut kept: Vec<String> = Vec::new();
    for (index, hook) in hooks.iter().enumerate() {
        let item = list.and_then(Node::as_list).and_then(|items| items.get(index));
        let span = item.or(list).unwrap_or(node).span().clone();
        let at = path::with_index(&path::with_key(path, "hooks"), index);
        let shown = item.map_or_else(|| hook.clone(), |item| item.shown_scalar(false));
        if item.is_some_and(|item| item.has(Flags::UNSET)) {
            continue;
        }
        if kept.contains(hook) {
            let message = format!("the hook `{shown}` is named twice");
            notices.push(Diagnostic::new(DiagnosticKind::Remark, message).at(span).path(at));
        } else if rules.known_hooks.is_empty() || rules.known_hooks.contains(&hook.as_str()) {
            kept.push(hook.clone());
        } else {
            let error = Diagnostic::new(DiagnosticKind::InvalidValue, format!("there is no hook `{shown}`"));
            let help = nearest::advice(hook, rules.known_hooks).unwrap_or_default();
            errors.push(error.at(span).path(at).help(help));
        }
    }
    kept
}
