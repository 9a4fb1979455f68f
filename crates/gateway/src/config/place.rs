//! Places in a configuration: dotted paths of keys, and what relative file names are relative to.

use std::path::{Path, PathBuf};

use mortise_framework::config::{Diagnostic, DiagnosticKind, Gaps, Loaded, Node, Span};

use super::Config;

/// Appends a key to a dotted path, quoted where it holds a dot or bracket.
pub(super) fn key(path: &str, key: &str) -> String {
    let plain = !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-'));
    if plain { format!("{path}.{key}") } else { format!("{path}.{key:?}") }
}

/// The folder that a file name written at `node` is relative to: its file's, or `directory` for a value from a
/// variable or flag. Files are loaded by paths that include `directory` already.
pub(super) fn folder(node: Option<&Node>, directory: &Path) -> PathBuf {
    let file = node.map(Node::span).filter(|span| span.line().is_some());
    match file.and_then(|span| Path::new(span.file()).parent()) {
        Some(parent) => parent.to_path_buf(),
        None => directory.to_path_buf(),
    }
}

/// Whether any of these is about something at or below a key.
pub(super) fn any_below(errors: &[Diagnostic], key: &str) -> bool {
    errors.iter().any(|error| is_within(&error.path, key))
}

fn is_within(path: &str, parent: &str) -> bool {
    path.strip_prefix(parent).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// Gives an error the path it has in the files, not in what is left of them. Entries of `plugins` are read from the
/// whole.
pub(super) fn as_written(error: &mut Diagnostic, gaps: &Gaps) {
    if !is_within(&error.path, "plugins") {
        error.path = gaps.written(&error.path);
    }
}

/// Whether an error may come only from what was taken out because of others.
pub(super) fn is_echo(error: &Diagnostic, of: &[Diagnostic]) -> bool {
    let file = |error: &Diagnostic| error.span.as_ref().map(Span::file).map(str::to_owned);
    let same_file = |other: &Diagnostic| match (file(error), file(other)) {
        (Some(one), Some(other)) => one == other,
        _ => true,
    };
    let about_the_same = |other: &&Diagnostic| {
        is_within(&error.path, &other.path)
            || (is_within(&other.path, &error.path) && error.kind != DiagnosticKind::Duplicate)
    };
    let told =
        |other: &&Diagnostic| !error.path.is_empty() && !other.path.is_empty() && about_the_same(other);
    of.iter().filter(told).any(same_file)
}

/// What is written down and could not be read, for not calling it missing.
#[derive(Clone, Copy, Default)]
pub(super) struct Unread<'a> {
    /// The own configuration with its errors, if it has any.
    pub(super) whole: Option<&'a Node>,
    /// Whether there may be plugins that nobody knows of.
    pub(super) plugins: bool,
}

impl Unread<'_> {
    /// Whether something of this sort and name may be there, although it is not among what was read.
    pub(super) fn may_be(&self, what: &str, name: &str) -> bool {
        let section = match what {
            "plugin" => "plugins",
            "upstream" => "upstreams",
            "virtual server" => "servers",
            "LLM" => "llms",
            "tool" => "tools",
            "data source" => "datasources",
            "app" => "apps",
            _ => return false,
        };
        (what == "plugin" && self.plugins)
            || self.whole.and_then(|whole| whole.get(section)).is_some_and(|section| may_hold(section, name))
    }
}

/// Whether a map has this key, or a list an item of this name or one that cannot be told.
pub(super) fn may_hold(section: &Node, name: &str) -> bool {
    if let Some(map) = section.as_map() {
        return map.contains_key(name);
    }
    let Some(items) = section.as_list() else { return !section.is_null() };
    items.iter().any(|item| match item.get("name").and_then(Node::as_str) {
        Some(written) => written == name || written.is_empty() || written.contains("${"),
        None => true,
    })
}

/// Gathers errors with the places of what they are about.
pub(super) struct Findings<'a> {
    loaded: &'a Loaded<Config>,
    pub(super) directory: &'a Path,
    pub(super) errors: Vec<Diagnostic>,
    pub(super) notices: Vec<Diagnostic>,
    pub(super) unread: Unread<'a>,
}

impl<'a> Findings<'a> {
    pub(super) fn new(loaded: &'a Loaded<Config>, directory: &'a Path) -> Self {
        let (errors, notices) = (Vec::new(), Vec::new());
        Self { loaded, directory, errors, notices, unread: Unread::default() }
    }

    /// What is written at a dotted path.
    pub(super) fn node(&self, dotted: &str) -> Option<&'a Node> {
        self.loaded.node.at(dotted)
    }

    /// An error about the value at `dotted`, or about its nearest parent that is written down.
    pub(super) fn error(&mut self, dotted: &str, message: impl Into<String>) -> &mut Diagnostic {
        let error = self.diagnostic(DiagnosticKind::InvalidValue, dotted, message.into());
        self.errors.push(error);
        let last = self.errors.len() - 1;
        &mut self.errors[last]
    }

    /// The same where the source line must not be shown, since it may hold a secret.
    pub(super) fn secret_error(&mut self, dotted: &str, message: impl Into<String>) -> &mut Diagnostic {
        let error = self.error(dotted, message);
        hide(error);
        error
    }

    /// An error about a key of the map at `parent`.
    pub(super) fn key_error(
        &mut self,
        parent: &str,
        name: &str,
        message: impl Into<String>,
    ) -> &mut Diagnostic {
        let span = self.node(parent).and_then(|map| map.key_span(name)).cloned();
        let error = self.error(&key(parent, name), message);
        error.span = span.or(error.span.take());
        error
    }

    /// A word about the value at `dotted`.
    pub(super) fn notice(&mut self, dotted: &str, message: impl Into<String>) {
        let notice = self.diagnostic(DiagnosticKind::Remark, dotted, message.into());
        self.notices.push(notice);
    }

    fn diagnostic(&self, kind: DiagnosticKind, dotted: &str, message: String) -> Diagnostic {
        let found = Diagnostic::new(kind, message).path(dotted);
        let mut at = dotted;
        loop {
            if let Some(node) = self.node(at) {
                // The root's place says nothing.
                return if at.is_empty() { found } else { found.at(node.span().clone()) };
            }
            at = at.rfind(['.', '[']).map_or("", |end| &at[..end]);
        }
    }

    /// A file name as written at `dotted`, made independent of the working folder.
    pub(super) fn path(&self, dotted: &str, written: &str) -> PathBuf {
        folder(self.node(dotted), self.directory).join(written)
    }
}

/// Keeps the source line out of what is shown of an error.
pub(super) fn hide(error: &mut Diagnostic) {
    *error = error.clone().hide_line();
}
