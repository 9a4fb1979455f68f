//! From checked nodes to entries.
//!
//! The schema has spoken before; here is what a schema cannot say: hook names against the table, names used twice,
//! transports that exclude each other, and which problems cost only the entry.

use std::collections::HashMap;

use mortise_plugin_api::hooks::words;
use serde_json::{Map, Value as Json};

use super::{EntryRules, PluginEntry, Problem, ProblemKind, RawPluginEntry, dependencies};
use crate::config::check::salvage;
use crate::config::diagnostic::{Diagnostic, DiagnosticKind, Errors, Notice};
use crate::config::nearest;
use crate::config::node::{Flags, Node, Value};
use crate::config::path;
use crate::config::schema::Compiled;
use crate::config::settings::BreakerKeys;
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
    let mut read = Reading::read(list, prefix, rules);
    read.errors.append(&mut read.untyped);
    Errors::unless_empty(read.errors, (read.entries, read.notices))
}

/// Reads the entries of a `plugins` list as far as that is possible: those that have errors too, without what is wrong
/// in them. Told is only what the check of the list has not.
#[must_use]
pub fn read_partial_entries(
    list: &Node,
    prefix: &str,
    rules: &EntryRules<'_>,
) -> (Vec<PluginEntry>, Vec<Diagnostic>) {
    let read = Reading::read(list, prefix, rules);
    (read.entries, read.errors)
}

/// What reading a list found.
#[derive(Default)]
pub(in crate::config) struct Reading {
    pub(in crate::config) entries: Vec<PluginEntry>,
    /// What no schema can see.
    pub(in crate::config) errors: Vec<Diagnostic>,
    /// Entries that do not deserialise: echoes, where the check before has complained.
    pub(in crate::config) untyped: Vec<Diagnostic>,
    pub(in crate::config) notices: Vec<Notice>,
    /// Made for the first entry that needs it.
    schema: Option<Compiled>,
}

impl Reading {
    pub(in crate::config) fn read(list: &Node, prefix: &str, rules: &EntryRules<'_>) -> Self {
        let mut reading = Self::default();
        for (index, node) in list.as_list().unwrap_or_default().iter().enumerate() {
            reading.entry(node, path::with_index(prefix, index), rules);
        }
        reading.errors.extend(duplicates(&reading.entries));
        reading
    }

    fn entry(&mut self, node: &Node, path: String, rules: &EntryRules<'_>) {
        let hooks = check_hooks(node, &path, rules, &mut self.errors, &mut self.notices);
        let dependencies = dependencies::read(node, &path, &mut self.errors);
        let (errors, notices) = super::transport::check(node, &path, rules);
        self.errors.extend(errors);
        self.notices.extend(notices);
        let mut problems = unset_problems(node, rules);
        match transport(node, &path) {
            Ok(problem) => problems.extend(problem),
            Err(error) => self.errors.push(error),
        }
        match raw(node, &path) {
            Ok(raw) => {
                let entry = entry(raw, hooks, problems, node, path, rules);
                self.entries.push(PluginEntry { dependencies, ..entry });
            }
            Err(error) => {
                self.untyped.push(error);
                if let Some(raw) = self.salvaged(node) {
                    let entry = entry(raw, hooks, problems, node, path, rules);
                    self.entries.push(PluginEntry { dependencies, ..entry });
                }
            }
        }
    }

    /// The entry without what is wrong in it: an error has been told, and others may be told with it.
    fn salvaged(&mut self, node: &Node) -> Option<RawPluginEntry> {
        if self.schema.is_none() {
            self.schema = Compiled::new(&schemars::schema_for!(RawPluginEntry)).ok();
        }
        let rest = salvage(&mut node.clone(), self.schema.as_ref()?)?;
        Some(rest.value)
    }
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

fn raw(node: &Node, path: &str) -> Result<RawPluginEntry, Diagnostic> {
    match typed::deserialize(node, path) {
        Err(_) if node.any(Flags::UNSET) => typed::deserialize(&without_unset(node), path),
        result => result,
    }
}

/// At most one transport, and an external plugin needs one.
fn transport(node: &Node, path: &str) -> Result<Option<Problem>, Diagnostic> {
    let transports: Vec<&str> = ["mcp", "grpc", "unix_socket"]
        .into_iter()
        .filter(|key| node.get(key).is_some_and(|n| !n.is_null()))
        .collect();
    if transports.len() > 1 {
        let message = format!("only one transport can be given, found {}", nearest::listed(&transports));
        return Err(diagnostic(node, transports.last().copied(), path, message));
    }
    let is_external = node.get("kind").and_then(Node::as_str) == Some("external");
    let reason = "an external plugin needs one of `mcp`, `grpc` or `unix_socket`".to_owned();
    let missing = is_external && transports.is_empty();
    Ok(missing.then_some(Problem { kind: ProblemKind::NoTransport, reason }))
}

fn entry(
    raw: RawPluginEntry,
    hooks: Vec<String>,
    problems: Vec<Problem>,
    node: &Node,
    path: String,
    rules: &EntryRules<'_>,
) -> PluginEntry {
    let config = node.get("config").filter(|c| !c.is_null()).cloned();
    let span = node.get("name").unwrap_or(node).span().clone();
    let config = config.unwrap_or_else(|| Node::empty_map(span.clone()));
    let given = node.as_map().map(|map| map.keys().cloned().collect()).unwrap_or_default();
    let config_json = object(config.to_json());
    let circuit_breaker = BreakerKeys {
        enabled: raw.circuit_breaker_enabled,
        failure_threshold: raw.circuit_breaker_failure_threshold,
        timeout: raw.circuit_breaker_timeout,
    };
    // There the documents have them, for plugins behind a transport.
    let documents =
        if raw.kind == "external" { BreakerKeys::in_config(&config_json) } else { BreakerKeys::default() };
    PluginEntry {
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
        circuit_breaker: circuit_breaker.or(documents),
        priority: raw.priority,
        conditions: raw.conditions.into_vec(),
        applied_to: raw.applied_to,
        config_json,
        config,
        mcp: raw.mcp,
        grpc: raw.grpc,
        unix_socket: raw.unix_socket,
        permissions: raw.permissions,
        max_content_size: raw.max_content_size,
        command: raw.command.into_vec(),
        process: raw.process.unwrap_or_default(),
        offers: raw.offers,
        dependencies: Vec::new(),
        manifest: None,
        given,
        span,
        places: places(node),
        path,
        dialect: rules.dialect,
        problems,
        overlaid: None,
        surroundings: std::sync::Arc::default(),
    }
}

/// Where each key stands, and the values that errors are about.
fn places(node: &Node) -> HashMap<String, Span> {
    let keys = node.as_map().into_iter().flatten();
    let mut places: HashMap<String, Span> =
        keys.map(|(key, entry)| (key.clone(), entry.key_span.clone())).collect();
    if let Some(kind) = node.get("kind") {
        places.insert("kind".to_owned(), kind.span().clone());
    }
    for hook in node.get("hooks").and_then(Node::as_list).unwrap_or_default() {
        places.insert(format!("hooks.{}", hook.as_str().unwrap_or_default()), hook.span().clone());
    }
    places
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
    rules: &EntryRules<'_>,
    errors: &mut Vec<Diagnostic>,
    notices: &mut Vec<Notice>,
) -> Vec<String> {
    let items = node.get("hooks").and_then(Node::as_list).unwrap_or_default();
    let mut kept: Vec<String> = Vec::new();
    for (index, item) in items.iter().enumerate().filter(|(_, item)| !item.has(Flags::UNSET)) {
        let Some(hook) = item.as_str() else { continue };
        let at = path::with_index(&path::with_key(path, "hooks"), index);
        let say = |kind, message: String| Diagnostic::new(kind, message).at(item.span().clone()).path(at);
        let shown = item.shown_scalar(false);
        if kept.iter().any(|known| known == hook) {
            notices.push(say(DiagnosticKind::Remark, format!("the hook `{shown}` is named twice")));
        } else if rules.known_hooks.is_empty() || rules.known_hooks.contains(&hook) {
            kept.push(hook.to_owned());
        } else if let meant @ [_, ..] = words::of_word(hook) {
            for (_, name) in meant {
                if !kept.iter().any(|known| known == name) {
                    kept.push((*name).to_owned());
                }
            }
        } else {
            let error = say(DiagnosticKind::InvalidValue, format!("there is no hook `{shown}`"));
            let typed = if item.is_expanded() { "" } else { hook };
            errors.push(error.help(nearest::advice(typed, rules.known_hooks).unwrap_or_default()));
        }
    }
    kept
}
