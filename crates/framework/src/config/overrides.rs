//! Single values laid over the files: `MORTISE_A__B=value` and flags.
//!
//! The value is YAML, so lists and maps can be given too. Names in the environment are upper case and know no
//! dashes, so each step of a path finds the key that is there already, whatever its case.

use std::sync::Arc;

use super::Dialect;
use super::diagnostic::{Diagnostic, DiagnosticKind};
use super::environment::Environment;
use super::merge::name_of;
use super::node::{Flags, MapEntry, Node, Value};
use super::path::{self, Step};
use super::source::{Limits, Source, Span};
use super::yaml;

/// One value to lay over the files.
#[derive(Debug, Clone)]
pub struct Override {
    steps: Vec<Step>,
    node: Node,
    from_environment: bool,
}

impl Override {
    /// A value from the command line: a dotted path such as `listen.address`, YAML for the value, and how errors
    /// name it (`--host`). A text that opens no structure and is no YAML is taken as it is.
    ///
    /// # Errors
    ///
    /// When `path` is empty or the value opens a list, map or quote and is not valid YAML.
    pub fn from_flag(flag: &str, path: &str, value: &str) -> Result<Self, Diagnostic> {
        let steps = path::parse(path);
        if steps.is_empty() || steps.iter().any(|step| *step == Step::Key(String::new())) {
            let message = format!("`{path}` from {flag} is no path; write for example `listen.address`");
            return Err(Diagnostic::new(DiagnosticKind::InvalidValue, message));
        }
        Ok(Self { steps, node: value_node(flag, value)?, from_environment: false })
    }

    /// The overrides in an environment: variables that start with `MORTISE_`, `__` between steps.
    pub(super) fn from_environment(env: &Environment) -> (Vec<Self>, Vec<Diagnostic>) {
        let (mut found, mut errors) = (Vec::new(), Vec::new());
        for (name, value) in env.iter() {
            let Some(rest) = name.strip_prefix("MORTISE_").filter(|rest| !rest.is_empty()) else { continue };
            let steps = rest.split("__").map(|step| Step::Key(step.to_lowercase())).collect();
            match value_node(&format!("environment variable {name}"), value) {
                Ok(mut node) => {
                    mark_expanded(&mut node);
                    found.push(Self { steps, node, from_environment: true });
                }
                Err(error) => errors.push(error),
            }
        }
        (found, errors)
    }

    /// The first step and how the override is named.
    pub(super) fn head(&self) -> (String, &Span) {
        let head = match self.steps.first() {
            Some(Step::Key(key)) => key.clone(),
            Some(Step::Index(index)) => index.to_string(),
            None => String::new(),
        };
        (head, self.node.span())
    }

    pub(super) fn is_from_environment(&self) -> bool {
        self.from_environment
    }

    /// Lays the value on a tree that is no configuration yet: a null is written and takes nothing away.
    ///
    /// # Errors
    ///
    /// When the path names an item that a list does not have.
    pub fn laid_on(self, root: &mut Node) -> Result<(), Diagnostic> {
        self.apply(root)
    }

    /// Lays the value on the tree.
    pub(super) fn apply(self, root: &mut Node) -> Result<(), Diagnostic> {
        let span = self.node.span().clone();
        set(root, &self.steps, self.node, &span)
    }
}

impl Node {
    /// Reads YAML or JSON as a tree, without includes, templates or variables; nothing where there is none. `name` is
    /// how errors call it.
    ///
    /// # Errors
    ///
    /// When it is no YAML.
    pub fn parse(name: &str, text: &str) -> Result<Self, Diagnostic> {
        let source = Source::from_text(name, text);
        match yaml::parse(&source, None, Dialect::Own, &Limits::default()) {
            Ok(node) => Ok(node.unwrap_or_else(|| Self::new(Value::Null, source.start()))),
            Err(problems) => Err(problems.into_iter().next().unwrap_or_else(|| {
                Diagnostic::new(DiagnosticKind::Syntax, "this is no YAML").at(source.start())
            })),
        }
    }
}

fn mark_expanded(node: &mut Node) {
    node.flag(Flags::EXPANDED);
    match node.value_mut() {
        Value::List(items) => items.iter_mut().for_each(mark_expanded),
        Value::Map(map) => map.values_mut().for_each(|entry| mark_expanded(&mut entry.node)),
        _ => {}
    }
}

fn value_node(name: &str, value: &str) -> Result<Node, Diagnostic> {
    let source = Source::from_value(name, value);
    let span = source.span_at(0, 1);
    match yaml::parse(&source, None, Dialect::Own, &Limits::default()) {
        Ok(node) => Ok(node.unwrap_or_else(|| Node::new(Value::Null, span))),
        Err(_) if !value.trim_start().starts_with(['[', '{', '"', '\'']) => {
            Ok(Node::new(Value::String(value.to_owned()), span))
        }
        Err(problems) => {
            let why = problems.into_iter().next().map(|p| p.message).unwrap_or_default();
            Err(Diagnostic::new(DiagnosticKind::Syntax, why).at(span))
        }
    }
}

fn set(node: &mut Node, steps: &[Step], value: Node, origin: &Span) -> Result<(), Diagnostic> {
    let Some((step, rest)) = steps.split_first() else {
        *node = value;
        if node.is_null() {
            node.flag(Flags::REMOVED);
        }
        return Ok(());
    };
    if !matches!(node.value(), Value::List(_) | Value::Map(_)) {
        *node = Node::empty_map(origin.clone());
    }
    match node.value_mut() {
        Value::List(items) => {
            let word = match step {
                Step::Key(key) => key.clone(),
                Step::Index(index) => index.to_string(),
            };
            let by_name = |item: &Node| name_of(item).is_some_and(|name| same_word(name, &word));
            let place = items.iter().position(by_name).or_else(|| word.parse().ok());
            match place.and_then(|index| items.get_mut(index)) {
                Some(item) => set(item, rest, value, origin),
                None => {
                    let message = format!("the list has no item named or numbered `{word}`");
                    Err(Diagnostic::new(DiagnosticKind::InvalidValue, message).at(origin.clone()))
                }
            }
        }
        Value::Map(map) => {
            let wanted = match step {
                Step::Key(key) => key.clone(),
                Step::Index(index) => index.to_string(),
            };
            let known = map.contains_key(&wanted).then(|| wanted.clone());
            let key =
                known.or_else(|| map.keys().find(|key| same_word(key, &wanted)).cloned()).unwrap_or(wanted);
            let entry = map.entry(key).or_insert_with(|| MapEntry {
                key_span: origin.clone(),
                node: Node::new(Value::Null, origin.clone()),
            });
            if rest.is_empty() {
                entry.key_span = origin.clone();
            }
            set(&mut entry.node, rest, value, origin)
        }
        _ => Ok(()),
    }
}

fn same_word(a: &str, b: &str) -> bool {
    let plain = |text: &str| text.to_lowercase().replace('-', "_");
    plain(a) == plain(b)
}

/// A root without any file: what overrides are laid on when there is none.
pub(super) fn nowhere() -> Arc<Source> {
    Source::from_value("defaults", "")
}
