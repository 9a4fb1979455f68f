//! The tree of a configuration: JSON's shapes, plus where each key and value was written.
//!
//! Not `serde_json::Value`, because a value must remember its [`Span`], the text it was written as (so `1.10` can
//! still become the text "1.10" where a text is wanted) and whether it may be shown.

use std::fmt;

use indexmap::IndexMap;
use serde_json::Number;

use super::path::{self, Step};
use super::secret::{self, MASK};
use super::source::Span;

/// Bits of what is known about a node beside its value.
#[derive(Clone, Copy, Default)]
pub(super) struct Flags(u8);

impl Flags {
    /// Written without quotes.
    pub(super) const PLAIN: Self = Self(1);
    /// Came, wholly or in part, from a variable, a file or a template: never shown.
    pub(super) const EXPANDED: Self = Self(2);
    /// Contains a `${NAME}` that nothing resolves.
    pub(super) const UNSET: Self = Self(4);
    /// As an overlay it replaces what is below it, even where both are maps.
    pub(super) const REPLACES: Self = Self(8);
    /// A null that took something away.
    pub(super) const REMOVED: Self = Self(16);
    /// The key above it came, wholly or in part, from a template or an expanded alias: never shown.
    pub(super) const KEY_COMPUTED: Self = Self(32);

    pub(super) fn has(self, flag: Self) -> bool {
        self.0 & flag.0 != 0
    }

    pub(super) fn add(&mut self, flag: Self) {
        self.0 |= flag.0;
    }
}

/// One value of a configuration with its place.
#[derive(Clone)]
pub struct Node {
    value: Value,
    span: Span,
    text: Option<Box<str>>,
    flags: Flags,
}

/// What a [`Node`] holds.
#[derive(Clone)]
pub enum Value {
    /// Nothing.
    Null,
    /// True or false.
    Bool(bool),
    /// An integer or a finite decimal.
    Number(Number),
    /// Text.
    String(String),
    /// A list.
    List(Vec<Node>),
    /// Keys and values in the order they were written.
    Map(Box<Map>),
}

/// The keys of a map, in the order they were written.
pub type Map = IndexMap<String, MapEntry>;

/// What stands under a key.
#[derive(Clone)]
pub struct MapEntry {
    /// Where the key was written.
    pub key_span: Span,
    /// Its value.
    pub node: Node,
}

impl MapEntry {
    /// Its key for a person: cut short, and `***` where a template printed it. Names are shown, but what a template
    /// prints may be a secret that slipped out of its place (`password:{{ env.PW }}`, a space too few).
    #[must_use]
    pub fn shown_key(&self, key: &str) -> String {
        if self.has_hidden_key() {
            return MASK.to_owned();
        }
        key.chars().map(|c| if c.is_control() { ' ' } else { c }).take(60).collect()
    }

    /// Its key as a step of a path.
    pub(super) fn path_key<'k>(&self, key: &'k str) -> &'k str {
        if self.has_hidden_key() { MASK } else { key }
    }

    /// Whether the key must not be shown.
    #[must_use]
    pub fn has_hidden_key(&self) -> bool {
        self.node.flags.has(Flags::KEY_COMPUTED)
    }
}

impl Node {
    /// A node holding `value`, written at `span`.
    #[must_use]
    pub fn new(value: Value, span: Span) -> Self {
        Self { value, span, text: None, flags: Flags::default() }
    }

    /// An empty map.
    #[must_use]
    pub fn empty_map(span: Span) -> Self {
        Self::new(Value::Map(Box::default()), span)
    }

    /// A tree made of JSON instead of a file; everything in it stands at `span`.
    #[must_use]
    pub fn from_json(json: &serde_json::Value, span: &Span) -> Self {
        let value = match json {
            serde_json::Value::Null => Value::Null,
            serde_json::Value::Bool(flag) => Value::Bool(*flag),
            serde_json::Value::Number(number) => Value::Number(number.clone()),
            serde_json::Value::String(text) => Value::String(text.clone()),
            serde_json::Value::Array(items) => {
                Value::List(items.iter().map(|item| Self::from_json(item, span)).collect())
            }
            serde_json::Value::Object(members) => {
                let entry = |(key, value): (&String, &serde_json::Value)| {
                    (key.clone(), MapEntry { key_span: span.clone(), node: Self::from_json(value, span) })
                };
                Value::Map(Box::new(members.iter().map(entry).collect()))
            }
        };
        Self::new(value, span.clone())
    }

    pub(super) fn plain(mut self, text: &str) -> Self {
        self.flags.add(Flags::PLAIN);
        if !matches!(self.value, Value::String(_)) {
            self.text = Some(text.into());
        }
        self
    }

    pub(super) fn flag(&mut self, flag: Flags) {
        self.flags.add(flag);
    }

    pub(super) fn has(&self, flag: Flags) -> bool {
        self.flags.has(flag)
    }

    /// The value.
    #[must_use]
    pub fn value(&self) -> &Value {
        &self.value
    }

    pub(super) fn value_mut(&mut self) -> &mut Value {
        &mut self.value
    }

    pub(super) fn into_value(self) -> Value {
        self.value
    }

    /// Replaces the value and keeps the place.
    pub(super) fn set(&mut self, value: Value) {
        self.value = value;
    }

    /// Where the value was written. For a value that came from an alias: where its anchor is.
    #[must_use]
    pub fn span(&self) -> &Span {
        &self.span
    }

    /// The text a scalar was written as.
    pub(super) fn written(&self) -> Option<&str> {
        match &self.value {
            Value::String(text) => Some(text),
            _ => self.text.as_deref(),
        }
    }

    /// Whether the value came from a variable, a file or a template, and so is never shown.
    #[must_use]
    pub fn is_expanded(&self) -> bool {
        self.flags.has(Flags::EXPANDED)
    }

    /// Whether there is no value.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }

    /// The text, when it is text.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        if let Value::String(text) = &self.value { Some(text) } else { None }
    }

    /// The items, when it is a list.
    #[must_use]
    pub fn as_list(&self) -> Option<&[Node]> {
        if let Value::List(items) = &self.value { Some(items) } else { None }
    }

    /// The keys and values, when it is a map.
    #[must_use]
    pub fn as_map(&self) -> Option<&Map> {
        if let Value::Map(map) = &self.value { Some(map) } else { None }
    }

    pub(super) fn as_map_mut(&mut self) -> Option<&mut Map> {
        if let Value::Map(map) = &mut self.value { Some(map) } else { None }
    }

    /// The value under `key`, when this is a map that has it.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.as_map()?.get(key).map(|entry| &entry.node)
    }

    /// Where `key` was written, when this is a map that has it.
    #[must_use]
    pub fn key_span(&self, key: &str) -> Option<&Span> {
        self.as_map()?.get(key).map(|entry| &entry.key_span)
    }

    /// The value at a dotted path such as `plugins[2].config.detect_ssn` (an empty path is the node itself).
    #[must_use]
    pub fn at(&self, dotted: &str) -> Option<&Node> {
        path::parse(dotted).iter().try_fold(self, |node, step| match (step, &node.value) {
            (Step::Key(key), Value::List(items)) => items.get(key.parse::<usize>().ok()?),
            (Step::Key(key), _) => node.get(key),
            (Step::Index(index), Value::List(items)) => items.get(*index),
            (Step::Index(index), _) => node.get(&index.to_string()),
        })
    }

    /// The deepest value on the way along a JSON Pointer, its dotted path, and whether a step before it, or it
    /// itself, is under a telling key.
    pub(super) fn locate(&self, pointer: &str) -> (&Node, String, bool) {
        let (mut node, mut dotted, mut secret) = (self, String::new(), false);
        for segment in path::pointer_segments(pointer) {
            let next = match &node.value {
                Value::Map(map) => map
                    .get(&segment)
                    .map(|entry| (&entry.node, path::with_key(&dotted, entry.path_key(&segment)))),
                Value::List(items) => segment
                    .parse::<usize>()
                    .ok()
                    .and_then(|i| Some((items.get(i)?, path::with_index(&dotted, i)))),
                _ => None,
            };
            let Some((next, path)) = next else { break };
            secret |= secret::hides(&segment);
            (node, dotted) = (next, path);
        }
        (node, dotted, secret)
    }

    /// The value at a JSON Pointer, to be changed.
    pub(super) fn pointer_mut(&mut self, pointer: &str) -> Option<&mut Node> {
        path::pointer_segments(pointer).try_fold(self, |node, segment| match &mut node.value {
            Value::Map(map) => map.get_mut(&segment).map(|entry| &mut entry.node),
            Value::List(items) => items.get_mut(segment.parse::<usize>().ok()?),
            _ => None,
        })
    }

    /// The same tree as JSON, secrets included: for deserialising, never for showing.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(b) => (*b).into(),
            Value::Number(n) => n.clone().into(),
            Value::String(s) => s.clone().into(),
            Value::List(items) => items.iter().map(Node::to_json).collect(),
            Value::Map(map) => map.iter().map(|(k, e)| (k.clone(), e.node.to_json())).collect(),
        }
    }

    /// The same tree as JSON with secrets as `***`: for logs, answers and debug output.
    #[must_use]
    pub fn to_masked_json(&self) -> serde_json::Value {
        self.masked(false)
    }

    fn masked(&self, secret: bool) -> serde_json::Value {
        let secret = secret || self.is_expanded();
        match &self.value {
            Value::Number(_) | Value::String(_) if secret => MASK.into(),
            Value::List(items) => items.iter().map(|item| item.masked(secret)).collect(),
            Value::Map(map) => map
                .iter()
                .enumerate()
                .map(|(at, (key, e))| {
                    // Numbered, so that none takes the place of another.
                    let shown = if e.has_hidden_key() { format!("{MASK}{at}") } else { key.clone() };
                    (shown, e.node.masked(secret || secret::is_secret_key(key)))
                })
                .collect(),
            _ => self.to_json(),
        }
    }

    /// The kind of value in a reader's words: "the text", "a list".
    pub(super) fn kind_word(&self) -> &'static str {
        match &self.value {
            Value::Null => "nothing (null)",
            Value::Bool(_) => "the boolean",
            Value::Number(_) => "the number",
            Value::String(_) => "the text",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }

    /// Kind and value for an error message, `***` where it must not be shown.
    pub(super) fn shown(&self, under_secret_key: bool) -> String {
        match &self.value {
            Value::Null | Value::List(_) | Value::Map(_) => self.kind_word().to_owned(),
            Value::Bool(b) if !self.is_expanded() => format!("the boolean `{b}`"),
            _ => format!("{} `{}`", self.kind_word(), self.shown_scalar(under_secret_key)),
        }
    }

    /// A scalar's text for an error message, shortened, `***` where it must not be shown.
    pub(super) fn shown_scalar(&self, under_secret_key: bool) -> String {
        if under_secret_key || self.is_expanded() {
            return MASK.to_owned();
        }
        let text = match &self.value {
            Value::String(text) => text.clone(),
            _ => self.text.as_deref().map_or_else(|| self.to_json().to_string(), str::to_owned),
        };
        let text = secret::without_url_secrets(&text);
        let cleaned: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(61).collect();
        if cleaned.chars().count() > 60 {
            cleaned.chars().take(57).chain("...".chars()).collect()
        } else {
            cleaned
        }
    }

    /// Whether anything at or below this node is expanded or unset.
    pub(super) fn any(&self, flag: Flags) -> bool {
        self.flags.has(flag)
            || match &self.value {
                Value::List(items) => items.iter().any(|item| item.any(flag)),
                Value::Map(map) => map.values().any(|entry| entry.node.any(flag)),
                _ => false,
            }
    }
}

/// Equality of values alone; places do not matter.
impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        match (&self.value, &other.value) {
            (Value::Null, Value::Null) => true,
            (Value::Bool(a), Value::Bool(b)) => a == b,
            (Value::Number(a), Value::Number(b)) => a == b,
            (Value::String(a), Value::String(b)) => a == b,
            (Value::List(a), Value::List(b)) => a == b,
            (Value::Map(a), Value::Map(b)) => {
                a.len() == b.len() && a.iter().all(|(k, e)| b.get(k).is_some_and(|o| o.node == e.node))
            }
            _ => false,
        }
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.to_masked_json(), self.span)
    }
}
