//! Places in a configuration: dotted paths of keys, and what relative file names are relative to.

use std::path::{Path, PathBuf};

use mortise_framework::config::{Diagnostic, DiagnosticKind, Loaded, Node};

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

/// Gathers errors with the places of what they are about.
pub(super) struct Findings<'a> {
    loaded: &'a Loaded<Config>,
    pub(super) directory: &'a Path,
    pub(super) errors: Vec<Diagnostic>,
    pub(super) notices: Vec<Diagnostic>,
}

impl<'a> Findings<'a> {
    pub(super) fn new(loaded: &'a Loaded<Config>, directory: &'a Path) -> Self {
        Self { loaded, directory, errors: Vec::new(), notices: Vec::new() }
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
