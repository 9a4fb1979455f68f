//! `dependencies` of an entry: plugins that must have started before it.

use mortise_plugin_api::manifest::Dependency;

use crate::config::diagnostic::{Diagnostic, DiagnosticKind};
use crate::config::node::{Flags, Node};
use crate::config::path;
use crate::config::source::Span;

/// A dependency and where it was written: in the entry itself, or in the manifest of its kind.
#[derive(Debug, Clone)]
pub struct DependsOn {
    /// What is needed.
    pub dependency: Dependency,
    /// Where it was written.
    pub span: Span,
    /// Its dotted path there.
    pub path: String,
    /// Where such a plugin can be had, if it is not configured.
    pub hint: Option<Box<str>>,
}

/// The dependencies of an entry; an error for each that is none.
pub(super) fn read(node: &Node, path: &str, errors: &mut Vec<Diagnostic>) -> Vec<DependsOn> {
    let items = node.get("dependencies").and_then(Node::as_list).unwrap_or_default();
    let mut read = Vec::new();
    for (index, item) in items.iter().enumerate().filter(|(_, item)| !item.has(Flags::UNSET)) {
        let Some(text) = item.as_str() else { continue };
        let path = path::with_index(&path::with_key(path, "dependencies"), index);
        let span = item.span().clone();
        match Dependency::on_plugin(text) {
            Ok(dependency) => read.push(DependsOn { dependency, span, path, hint: None }),
            Err(error) => {
                let error = Diagnostic::new(DiagnosticKind::InvalidValue, error.to_string());
                errors.push(error.at(span).path(path));
            }
        }
    }
    read
}
