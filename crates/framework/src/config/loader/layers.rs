//! Files laid over one another, each after its includes.

use std::path::{Path, PathBuf};

use super::folder;
use crate::config::Dialect;
use crate::config::diagnostic::{Diagnostic, DiagnosticKind, Notice};
use crate::config::environment::Environment;
use crate::config::expand::{Unset, expand};
use crate::config::merge::{merge, name_of};
use crate::config::node::{Node, Value};
use crate::config::source::{Limits, Source, Span};
use crate::config::{entry::duplicate_names, path};
use crate::config::{looked_at, template, yaml};

const DEEPEST_INCLUDE: usize = 16;

/// The layers so far, and everything that was found on the way.
pub(in crate::config) struct Layers<'a> {
    env: &'a Environment,
    dialect: Dialect,
    limits: &'a Limits,
    /// Files being read, outermost first, to see circles.
    open: Vec<PathBuf>,
    pub(in crate::config) node: Option<Node>,
    pub(in crate::config) errors: Vec<Diagnostic>,
    pub(in crate::config) notices: Vec<Notice>,
    pub(in crate::config) files: Vec<PathBuf>,
    pub(in crate::config) unset: Vec<Unset>,
    /// Whether a file could not be read, so that nobody knows what else there is.
    pub(in crate::config) incomplete: bool,
}

impl<'a> Layers<'a> {
    pub(in crate::config) fn new(env: &'a Environment, dialect: Dialect, limits: &'a Limits) -> Self {
        Self {
            env,
            dialect,
            limits,
            open: Vec::new(),
            node: None,
            errors: Vec::new(),
            notices: Vec::new(),
            files: Vec::new(),
            unset: Vec::new(),
            incomplete: false,
        }
    }

    /// Lays a file over what is there. A missing file is an error if it is `required`.
    pub(in crate::config) fn add_file(&mut self, path: &Path, required: bool) {
        looked_at::note(path);
        if required || path.exists() {
            self.file(path, None);
        }
    }

    fn file(&mut self, path: &Path, included_at: Option<&Span>) {
        if let Err(error) = self.try_file(path) {
            self.incomplete = true;
            self.errors.extend(error.into_iter().map(|e| match (e.span.is_none(), included_at) {
                (true, Some(span)) => e.at(span.clone()).path("include"),
                _ => e,
            }));
        }
    }

    fn try_file(&mut self, path: &Path) -> Result<(), Vec<Diagnostic>> {
        let real = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
        self.refuse_circle(&real, path)?;
        if self.files.len() >= self.limits.files {
            let message = format!("more than {} files are included", self.limits.files);
            return Err(vec![Diagnostic::new(DiagnosticKind::Limit, message)]);
        }
        let source = Source::read(path, self.limits)?;
        self.files.push(path.to_path_buf());
        let rendered = match self.dialect {
            Dialect::Own => None,
            Dialect::Foreign { .. } => template::render(&source, self.env, self.limits)?,
        };
        let node = yaml::parse(&source, rendered.as_ref(), self.dialect, self.limits)?;
        let mut node = node.filter(|n| !n.is_null()).unwrap_or_else(|| Node::empty_map(source.span_at(0, 1)));
        if node.as_map().is_none() {
            let message = format!("a configuration file holds a map of keys, found {}", node.kind_word());
            return Err(vec![Diagnostic::new(DiagnosticKind::WrongType, message).at(node.span().clone())]);
        }
        self.unset.extend(expand(&mut node, self.env));
        self.refuse_duplicate_plugins(&node);
        self.open.push(real);
        if let Some(include) = node.as_map_mut().and_then(|map| map.shift_remove("include")) {
            self.includes(&include.node, &folder(path));
        }
        self.open.pop();
        self.node = Some(match self.node.take() {
            Some(below) => merge(below, node),
            None => node,
        });
        Ok(())
    }

    fn refuse_circle(&self, real: &Path, path: &Path) -> Result<(), Vec<Diagnostic>> {
        let shown = path.display();
        let message = if self.open.iter().any(|open| open == real) {
            let chain: Vec<String> = self.open.iter().map(|p| p.display().to_string()).collect();
            format!("{shown} includes itself: {} -> {shown}", chain.join(" -> "))
        } else if self.open.len() >= DEEPEST_INCLUDE {
            format!("{shown} is included more than {DEEPEST_INCLUDE} files deep")
        } else {
            return Ok(());
        };
        Err(vec![Diagnostic::new(DiagnosticKind::Include, message)])
    }

    fn refuse_duplicate_plugins(&mut self, node: &Node) {
        let plugins = node.get("plugins").and_then(Node::as_list).unwrap_or_default();
        let named = plugins.iter().enumerate().filter_map(|(index, plugin)| {
            let span = plugin.get("name")?.span();
            Some((name_of(plugin)?, span, path::with_index("plugins", index)))
        });
        self.errors.extend(duplicate_names(named));
    }

    fn includes(&mut self, include: &Node, folder: &Path) {
        let patterns: Vec<&Node> = match include.value() {
            Value::List(items) => items.iter().collect(),
            Value::Null => Vec::new(),
            _ => vec![include],
        };
        for pattern in patterns {
            match self.matching(pattern, folder) {
                Ok(paths) => paths.iter().for_each(|path| self.file(path, Some(pattern.span()))),
                Err(error) => {
                    self.incomplete = true;
                    self.errors.push(error.at(pattern.span().clone()).path("include"));
                }
            }
        }
    }

    /// The files a pattern names, in order of their names. A pattern without wildcard names one file, which must
    /// exist.
    fn matching(&self, pattern: &Node, folder: &Path) -> Result<Vec<PathBuf>, Diagnostic> {
        let problem = |message: String| Diagnostic::new(DiagnosticKind::Include, message);
        let text = pattern.as_str().ok_or_else(|| {
            problem(format!("an include is a file name or pattern, found {}", pattern.kind_word()))
        })?;
        if !text.contains(['*', '?', '[']) {
            return Ok(vec![folder.join(text)]);
        }
        let absolute = Path::new(text).is_absolute();
        let base = glob::Pattern::escape(&folder.display().to_string());
        let full = if absolute { text.to_owned() } else { format!("{base}/{text}") };
        looked_at::note_pattern(&full);
        let options = glob::MatchOptions { require_literal_leading_dot: true, ..glob::MatchOptions::new() };
        let found = glob::glob_with(&full, options)
            .map_err(|e| problem(format!("not a valid pattern: {}", e.msg)))?;
        let mut paths = Vec::new();
        for path in found {
            let path =
                path.map_err(|e| problem(format!("cannot look into {}: {}", e.path().display(), e.error())))?;
            if path.is_file() {
                paths.push(path);
            }
            if paths.len() > self.limits.files {
                return Err(Diagnostic::new(
                    DiagnosticKind::Limit,
                    format!("the pattern matches more than {} files", self.limits.files),
                ));
            }
        }
        paths.sort();
        Ok(paths)
    }
}
