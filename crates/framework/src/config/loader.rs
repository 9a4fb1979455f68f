//! From files, environment and flags to one typed configuration.
//!
//! The order is fixed: for each file its includes, then itself; files in the order given; then `MORTISE_*` variables;
//! then flags. Errors of all layers are gathered as far as one can go on, so a broken include does not hide a typing
//! error elsewhere.

mod layers;

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use super::Dialect;
use super::check::{Gaps, Rest, check_compiled, salvage};
use super::diagnostic::{Diagnostic, DiagnosticKind, Errors, Notice, sorted};
use super::environment::Environment;
use super::expand::Unset;
use super::merge::prune;
use super::nearest;
use super::node::Node;
use super::overrides::{Override, nowhere};
use super::schema::{self, Compiled};
use super::source::{Limits, Span};
use super::typed;

pub(super) use layers::Layers;

/// Loads Mortise's own configuration into the root type of the program that asks.
#[derive(Debug)]
pub struct Loader {
    env: Environment,
    files: Vec<(PathBuf, bool)>,
    overrides: Vec<Override>,
    ignored: Vec<String>,
    limits: Limits,
}

/// A configuration, typed and as the tree it came from.
#[derive(Debug)]
pub struct Loaded<T> {
    /// The typed configuration.
    pub value: T,
    /// The merged and checked tree, for looking up places.
    pub node: Node,
    /// What was tolerated.
    pub notices: Vec<Notice>,
    /// Every file that was read, includes too: what a reload has to watch.
    pub files: Vec<PathBuf>,
    /// Unset `${NAME}`s that were tolerated; always empty for Mortise's own file.
    pub unset: Vec<Unset>,
}

/// A configuration as far as it could be read.
#[derive(Debug)]
pub struct Partial<T> {
    /// What could be read, without what is wrong; none when a file is missing or no YAML. Complete when there are no
    /// errors.
    pub loaded: Option<Loaded<T>>,
    /// The tree with what is wrong; none when nothing is, or nothing could be read.
    pub whole: Option<Node>,
    /// What is missing from lists of the one that is not in those of the other.
    pub gaps: Gaps,
    /// Everything that is wrong.
    pub errors: Vec<Diagnostic>,
}

impl<T> Loaded<T> {
    /// Where the value at a dotted path was written.
    #[must_use]
    pub fn span_of(&self, dotted: &str) -> Option<&Span> {
        self.node.at(dotted).map(Node::span)
    }

    /// An error about the value at a dotted path, for rules that no schema can say.
    #[must_use]
    pub fn error(&self, dotted: &str, message: impl Into<String>) -> Diagnostic {
        let error = Diagnostic::new(DiagnosticKind::InvalidValue, message).path(dotted);
        match self.span_of(dotted) {
            Some(span) => error.at(span.clone()),
            None => error,
        }
    }
}

impl Loader {
    /// A loader that knows these variables and no files.
    #[must_use]
    pub fn new(env: Environment) -> Self {
        Self { env, files: Vec::new(), overrides: Vec::new(), ignored: Vec::new(), limits: Limits::default() }
    }

    /// Adds a file that must exist; later files lie over earlier ones.
    #[must_use]
    pub fn own_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.files.push((path.into(), true));
        self
    }

    /// Adds a file that may be missing: the default one that nobody named.
    #[must_use]
    pub fn own_file_if_present(mut self, path: impl Into<PathBuf>) -> Self {
        self.files.push((path.into(), false));
        self
    }

    /// Adds values from the command line; later ones win.
    #[must_use]
    pub fn overrides(mut self, overrides: impl IntoIterator<Item = Override>) -> Self {
        self.overrides.extend(overrides);
        self
    }

    /// Names `MORTISE_*` variables that mean something else than a key, such as `MORTISE_CONFIG`.
    #[must_use]
    pub fn ignore_variables<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.ignored.extend(names.into_iter().map(Into::into));
        self
    }

    /// Replaces the bounds on size and depth.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Reads, merges, checks and deserialises.
    ///
    /// # Errors
    ///
    /// Everything that is wrong, in the order of the text.
    pub fn load<T: DeserializeOwned + JsonSchema>(self) -> Result<Loaded<T>, Errors> {
        let Partial { loaded, errors, .. } = self.load_partial();
        Errors::unless_empty(errors, ())?;
        loaded.ok_or_else(|| Diagnostic::new(DiagnosticKind::File, "nothing could be read").into())
    }

    /// The same, going on with what could be read: for checks that come after, so that all errors are told at once.
    #[must_use]
    pub fn load_partial<T: DeserializeOwned + JsonSchema>(self) -> Partial<T> {
        let schema = schemars::schema_for!(T);
        let mut layers = Layers::new(&self.env, Dialect::Own, &self.limits);
        for (path, required) in &self.files {
            layers.add_file(path, *required);
        }
        let Layers { node, mut errors, mut notices, files, unset, incomplete, .. } = layers;
        errors.extend(unset.iter().map(Unset::to_error));
        let mut node = node.unwrap_or_else(|| Node::empty_map(nowhere().span_at(0, 1)));
        let (variables, problems) = Override::from_environment(&self.env_without_ignored());
        errors.extend(problems);
        let keys = schema::top_keys(&schema);
        for value in variables.into_iter().chain(self.overrides) {
            if let Some(notice) = stray_variable(&value, keys.as_deref()) {
                notices.push(notice);
            } else if let Err(error) = value.apply(&mut node) {
                errors.push(error);
            }
        }
        prune(&mut node);
        // What is missing altogether would only make what is there look wrong.
        let readable = |e: &Diagnostic| matches!(e.kind, DiagnosticKind::Unset | DiagnosticKind::Duplicate);
        let mut partial = Partial { loaded: None, whole: None, gaps: Gaps::default(), errors };
        if incomplete || !partial.errors.iter().all(readable) {
            return partial;
        }
        let compiled = match Compiled::new(&schema) {
            Ok(compiled) => compiled,
            Err(error) => {
                partial.errors.push(error);
                return partial;
            }
        };
        let (found, remarks) = check_compiled(&mut node, &compiled, "", Dialect::Own);
        partial.errors.extend(found);
        notices.extend(remarks);
        let read = if partial.errors.is_empty() { typed::deserialize(&node, "").ok() } else { None };
        let value = read.or_else(|| {
            partial.whole = Some(node.clone());
            let Rest { value, gaps, untyped } = salvage(&mut node, &compiled)?;
            partial.gaps = gaps;
            partial.errors.extend(untyped);
            Some(value)
        });
        if value.is_none() && partial.errors.is_empty() {
            partial.errors.extend(typed::deserialize::<T>(&node, "").err());
        }
        let notices = sorted(notices);
        partial.loaded = value.map(|value| Loaded { value, node, notices, files, unset: Vec::new() });
        partial
    }

    fn env_without_ignored(&self) -> Environment {
        Environment::new(self.env.iter().filter(|(name, _)| !self.ignored.iter().any(|i| i == name)))
    }
}

/// A `MORTISE_*` variable whose first step is no key: told, not refused, as clusters inject variables named after a
/// service that happens to be called mortise.
fn stray_variable(value: &Override, keys: Option<&[&str]>) -> Option<Notice> {
    let (head, span) = value.head();
    let keys = keys.filter(|keys| value.is_from_environment() && !keys.contains(&head.as_str()))?;
    let notice = Diagnostic::new(
        DiagnosticKind::UnknownKey,
        format!("there is no key `{head}`; the variable is ignored"),
    )
    .at(span.clone());
    Some(match nearest::suggestion(&head, keys.iter().copied()) {
        Some(help) => notice.help(help),
        None => notice,
    })
}

/// The folder a file is in, for what it names relatively.
pub(super) fn folder(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
        _ => PathBuf::from("."),
    }
}
