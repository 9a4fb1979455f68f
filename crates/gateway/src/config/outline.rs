//! A configuration as a flat list of settings: to see whether two differ, and to say in what.
//!
//! Each setting is its path, a digest of its value, and the value as it may be shown. Secrets are compared by digest
//! and shown as `***`: what a telling key holds, what came from a variable or file, and by place the headers,
//! variables and arguments that upstreams and plugins are given. A changed secret is thus a change from `***` to `***`.
//!
//! Lists of named things are keyed by name, so that adding one in the middle is one change. An app is one setting
//! without a value: there may be 100,000, and the outline is kept as long as the configuration is in force.

use std::{
    collections::{BTreeMap, BTreeSet, hash_map::DefaultHasher},
    hash::{Hash, Hasher},
};

use mortise_framework::config::{Node, PluginSettings, Source, Value as NodeValue, is_secret_key};
use mortise_telemetry::redact;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Spec, Transport, Upstream, place};
use crate::overrides::Overrides;

/// Longest text of a value that is shown, in characters.
const LONGEST: usize = 200;

/// Keys under which every text is hidden, wherever they stand.
const HIDDEN_UNDER: [&str; 4] = ["headers", "env", "args", "metadata"];

/// The outline of a configuration.
#[derive(Clone, Debug, Default)]
pub struct Outline(BTreeMap<String, Setting>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Setting {
    digest: u64,
    /// `None` where no value is kept.
    shown: Option<Value>,
}

/// One difference between two configurations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Change {
    /// The setting: `plugins[pii].config.detect_email`.
    pub path: String,
    /// `added`, `removed` or `changed`.
    pub change: ChangeKind,
    /// The value before, as far as it may be shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Value>,
    /// The value after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Value>,
}

/// What happened to a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// It was not there.
    Added,
    /// It is not there any more.
    Removed,
    /// It has another value.
    Changed,
}

impl Outline {
    /// Of the own tree, the tree of the plugin files below it, and what both say of all plugins.
    pub(super) fn new(own: &Node, foreign: Option<&Node>, settings: &PluginSettings) -> Self {
        let mut outline = Self::default();
        for (key, entry) in own.as_map().into_iter().flatten() {
            match key.as_str() {
                "plugins" | "plugin_settings" | "include" | "plugins_files" | "watch" => {}
                "apps" => outline.apps(&entry.node),
                _ => outline.add(key, &entry.node, is_secret_key(key)),
            }
        }
        // Entries of the own file replace those of the same name.
        for file in foreign.into_iter().chain([own]) {
            for plugin in file.get("plugins").and_then(Node::as_list).into_iter().flatten() {
                let Some(name) = plugin.get("name").and_then(Node::as_str) else { continue };
                let path = named("plugins", name);
                outline.remove(&path);
                outline.add(&path, plugin, false);
            }
        }
        if let Ok(Value::Object(settings)) = serde_json::to_value(settings) {
            for (key, value) in settings {
                outline.put(format!("plugin_settings.{key}"), &value.to_string(), Some(value));
            }
        }
        outline
    }

    /// This one with these overrides instead of others; `enabled`: whether plugins run at all.
    #[must_use]
    pub fn with_overrides(&self, overrides: &Overrides, enabled: bool) -> Self {
        let mut outline = self.clone();
        outline.0.retain(|path, _| !(path.starts_with("plugins[") && path.contains("].override.")));
        for (name, over) in &overrides.plugins {
            let Ok(over) = serde_json::to_value(&over.overlay) else { continue };
            let span = Source::from_text("", "").start();
            outline.add(
                &format!("{}.override", named("plugins", name)),
                &Node::from_json(&over, &span),
                false,
            );
        }
        outline.put("plugins_enabled".to_owned(), &enabled.to_string(), Some(enabled.into()));
        outline
    }

    /// With a plugin or LLM that is kept in storage, at its path.
    pub(super) fn add_kept(&mut self, path: &str, node: &Node) {
        self.remove(path);
        self.add(path, node, false);
    }

    /// With the OpenAPI document of a tool, which may stand in a file of its own: told when it changes, never shown.
    pub(super) fn add_document(&mut self, upstream: &Upstream) {
        if let Transport::OpenApi(tool) = &upstream.transport
            && let Spec::Read(_, digest) = &tool.spec
        {
            let path = place::key(&place::key("tools", &upstream.name), "document");
            self.put(path, &digest.to_hex(), None);
        }
    }

    /// With what the code of a plugin depends on beside its entry: told when it changes, never shown.
    pub(super) fn add_beside(&mut self, plugin: &str, beside: &Value) {
        if !beside.is_null() {
            self.put(format!("{}.code", named("plugins", plugin)), &beside.to_string(), None);
        }
    }

    /// What is different in `next`, in order of the paths.
    #[must_use]
    pub fn changes_to(&self, next: &Self) -> Vec<Change> {
        let paths: BTreeSet<&String> = self.0.keys().chain(next.0.keys()).collect();
        let change = |path: &String| {
            let (from, to) = (self.0.get(path), next.0.get(path));
            let change = match (from, to) {
                (Some(from), Some(to)) if from.digest == to.digest => return None,
                (Some(_), Some(_)) => ChangeKind::Changed,
                (None, _) => ChangeKind::Added,
                (_, None) => ChangeKind::Removed,
            };
            let shown = |setting: Option<&Setting>| setting.and_then(|setting| setting.shown.clone());
            Some(Change { path: path.clone(), change, from: shown(from), to: shown(to) })
        };
        paths.into_iter().filter_map(change).collect()
    }

    /// This one with a single plugin as it is in `other`.
    #[must_use]
    pub fn with_plugin(&self, name: &str, other: &Self) -> Self {
        let path = named("plugins", name);
        let mut outline = self.clone();
        outline.remove(&path);
        let others = other.0.iter().filter(|(at, _)| is_within(at, &path));
        outline.0.extend(others.map(|(at, setting)| (at.clone(), setting.clone())));
        outline
    }

    fn remove(&mut self, path: &str) {
        self.0.retain(|at, _| !is_within(at, path));
    }

    fn apps(&mut self, apps: &Node) {
        for (index, app) in apps.as_list().into_iter().flatten().enumerate() {
            let path = app.get("name").and_then(Node::as_str).map(|name| named("apps", name));
            let path = path.unwrap_or_else(|| format!("apps[{index}]"));
            self.put(path, &app.to_json().to_string(), None);
        }
        if apps.as_list().is_none_or(<[Node]>::is_empty) {
            self.put("apps".to_owned(), "", Some(Value::Array(Vec::new())));
        }
    }

    fn add(&mut self, path: &str, node: &Node, secret: bool) {
        let secret = secret || node.is_expanded();
        match node.value() {
            NodeValue::Map(map) if !map.is_empty() => {
                for (at, (key, entry)) in map.iter().enumerate() {
                    let secret = secret || is_secret_key(key) || HIDDEN_UNDER.contains(&key.as_str());
                    // What a template printed may be no name but a secret.
                    let path = match entry.has_hidden_key() {
                        true => place::key(path, &format!("***{at}")),
                        false => place::key(path, key),
                    };
                    match entry.node.as_list() {
                        Some(words) if key == "command" => self.command(path, &entry.node, words, secret),
                        _ => self.add(&path, &entry.node, secret),
                    }
                }
            }
            NodeValue::List(items) if items.iter().any(|item| item.as_map().is_some()) => {
                let mut seen = BTreeSet::new();
                for (index, item) in items.iter().enumerate() {
                    let name = ["name", "plugin"].iter().find_map(|key| item.get(key)?.as_str());
                    let name = name.filter(|name| seen.insert(name.to_string()));
                    let at = name.map_or_else(|| format!("{path}[{index}]"), |name| named(path, name));
                    self.add(&at, item, secret);
                }
            }
            _ => {
                let shown = if secret { hidden(node) } else { shown(node.to_masked_json()) };
                self.put(path.to_owned(), &node.to_json().to_string(), Some(shown));
            }
        }
    }

    /// A command is shown by its program: arguments may hold anything.
    fn command(&mut self, path: String, node: &Node, words: &[Node], secret: bool) {
        let program = words.first().filter(|_| !secret).map(|word| shown(word.to_masked_json()));
        let shown = match program {
            Some(program) if words.len() > 1 => Value::Array(vec![program, redact::HIDDEN.into()]),
            Some(program) => Value::Array(vec![program]),
            None => redact::HIDDEN.into(),
        };
        self.put(path, &node.to_json().to_string(), Some(shown));
    }

    fn put(&mut self, path: String, value: &str, shown: Option<Value>) {
        let mut digest = DefaultHasher::new();
        value.hash(&mut digest);
        self.0.insert(path, Setting { digest: digest.finish(), shown });
    }
}

fn named(list: &str, name: &str) -> String {
    format!("{list}[{name}]")
}

fn is_within(path: &str, of: &str) -> bool {
    path.strip_prefix(of).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

fn hidden(node: &Node) -> Value {
    match node.value() {
        NodeValue::Null => Value::Null,
        NodeValue::Bool(flag) if !node.is_expanded() => (*flag).into(),
        _ => redact::HIDDEN.into(),
    }
}

/// A value short enough to be shown, and without what addresses may hide.
fn shown(value: Value) -> Value {
    match value {
        Value::String(text) if text.contains("://") => shortened(&redact::url(&text)).into(),
        Value::String(text) => shortened(&text).into(),
        Value::Array(items) => {
            let shown: Vec<Value> = items.into_iter().map(shown).collect();
            let text = Value::Array(shown.clone()).to_string();
            if text.chars().count() > LONGEST { shortened(&text).into() } else { shown.into() }
        }
        other => other,
    }
}

fn shortened(text: &str) -> String {
    if text.chars().count() <= LONGEST {
        return text.to_owned();
    }
    text.chars().take(LONGEST).chain(['…']).collect()
}
