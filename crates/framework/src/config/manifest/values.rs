//! What no schema can say of the values in a manifest.

use std::str::FromStr;

use mortise_plugin_api::HookTable;
use mortise_plugin_api::manifest::{
    Action, Dependency, FRAMEWORK_NAME, FrameworkRange, Permission, PermissionError, RangeError, Release,
    VersionRange,
};
use semver::Version;

use super::items_mut;
use crate::config::check::join;
use crate::config::diagnostic::{Diagnostic, DiagnosticKind, Notice};
use crate::config::nearest;
use crate::config::node::{Node, Value};
use crate::config::path;

/// Languages that the specification names. Others are as good; a typing error in one of these is told.
const LANGUAGES: [&str; 5] = ["python", "typescript", "go", "rust", "java"];

/// Hooks by the words that older manifests use.
const OLD_HOOKS: [(&str, &str); 4] = [
    ("prompt_pre_hook", "prompt_pre_fetch"),
    ("prompt_post_hook", "prompt_post_fetch"),
    ("tool_pre_hook", "tool_pre_invoke"),
    ("tool_post_hook", "tool_post_invoke"),
];

/// Addresses that a link may have. What is shown in a browser must not be able to run there.
const WEB: [&str; 2] = ["https://", "http://"];
const REPOSITORIES: [&str; 7] =
    ["https://", "http://", "ssh://", "git://", "git+https://", "git+ssh://", "git@"];

/// Checks values and brings hooks and language to their usual form.
pub(super) fn check(
    node: &mut Node,
    prefix: &str,
    hooks: &HookTable,
    errors: &mut Vec<Diagnostic>,
    notices: &mut Vec<Notice>,
) {
    let mut values = Values { prefix, hooks, errors, notices };
    values.texts(node);
    values.each(
        node,
        "version",
        |text| Version::from_str(text).map(drop),
        |text, error| (format!("`{text}` is no semantic version: {error}"), Some(version_advice(text))),
    );
    values.ranges(node);
    values.each(
        node,
        "dependencies",
        |text| Dependency::from_str(text).map(drop),
        |_, error| (error.to_string(), None),
    );
    values.permissions(node);
    values.links(node, "homepage", &WEB);
    values.links(node, "repository", &REPOSITORIES);
    values.language(node);
    values.hooks(node);
}

struct Values<'v> {
    prefix: &'v str,
    hooks: &'v HookTable,
    errors: &'v mut Vec<Diagnostic>,
    notices: &'v mut Vec<Notice>,
}

impl Values<'_> {
    fn error(&mut self, node: &Node, field: &str, message: String, help: Option<String>) {
        let error = Diagnostic::new(DiagnosticKind::InvalidValue, message).at(node.span().clone());
        let error = error.path(join(self.prefix, field));
        self.errors.push(match help {
            Some(help) => error.help(help),
            None => error,
        });
    }

    /// The texts at a path: one, or those of a list. What is no text the schema has told.
    fn each<E>(
        &mut self,
        root: &Node,
        field: &str,
        parse: impl Fn(&str) -> Result<(), E>,
        word: impl Fn(&str, E) -> (String, Option<String>),
    ) {
        let Some(node) = root.at(field) else { return };
        let items = match node.value() {
            Value::List(items) => {
                items.iter().enumerate().map(|(at, item)| (item, path::with_index(field, at))).collect()
            }
            _ => vec![(node, field.to_owned())],
        };
        for (item, field) in items {
            if let Some(Err(error)) = item.as_str().map(&parse) {
                let (message, help) = word(&item.shown_scalar(false), error);
                self.error(item, &field, message, help);
            }
        }
    }

    fn ranges(&mut self, root: &Node) {
        let plain = |_: &str, error: RangeError| (error.to_string(), None);
        let release = |text: &str| Release::from_str(text).map(drop);
        self.each(root, "requirements.python_version", |text| VersionRange::from_str(text).map(drop), plain);
        self.each(root, "compatibility.min_framework_version", release, plain);
        self.each(root, "compatibility.max_framework_version", release, plain);
        self.each(root, "compatibility.python_versions", release, plain);
        self.each(
            root,
            "framework_compatibility",
            |text| FrameworkRange::from_str(text).map(drop),
            |_, error| {
                let help = format!("write `{FRAMEWORK_NAME}>=1.0.0,<2.0.0`");
                (error.to_string(), Some(help))
            },
        );
        self.empty_ranges(root);
    }

    /// A range that no version can be in is a mistake, whatever it was meant to be.
    fn empty_ranges(&mut self, root: &Node) {
        let text = |field: &str| root.at(field).and_then(Node::as_str);
        let release = |field: &str| text(field).and_then(|text| Release::from_str(text).ok());
        let min = release("compatibility.min_framework_version");
        if let (Some(min), Some(max)) = (min, release("compatibility.max_framework_version"))
            && !min.and_above().overlaps(&max.and_below())
        {
            let field = "compatibility.max_framework_version";
            let message = format!("the greatest version {max} is below the least version {min}");
            self.error(root.at(field).unwrap_or(root), field, message, None);
        }
        if let Some(Ok(range)) = text("framework_compatibility").map(FrameworkRange::from_str)
            && range.range().is_empty()
        {
            let message = format!("no version is in `{range}`");
            let field = "framework_compatibility";
            self.error(root.at(field).unwrap_or(root), field, message, None);
        }
    }

    fn permissions(&mut self, root: &Node) {
        let hooks = self.hooks;
        let parse = |text: &str| -> Result<(), (String, Option<String>)> {
            match Permission::from_str(text) {
                Ok(Permission { action: Action::HookInvoke, scope: Some(hook) }) if *hook != *"*" => {
                    hook_name(&hook, hooks).map(drop)
                }
                Ok(_) => Ok(()),
                Err(error @ PermissionError::Word(_)) => {
                    // A scope behind the word would make every word look far away.
                    let words: Vec<&str> = text.splitn(3, ':').take(2).collect();
                    Err((error.to_string(), nearest::advice(&words.join(":"), &Action::words())))
                }
                Err(error) => Err((error.to_string(), None)),
            }
        };
        self.each(root, "capabilities", parse, |_, told| told);
    }

    fn links(&mut self, root: &Node, field: &str, schemes: &[&str]) {
        let parse = |text: &str| {
            let known = schemes.iter().any(|scheme| text.to_ascii_lowercase().starts_with(scheme));
            if known || text.is_empty() { Ok(()) } else { Err(()) }
        };
        self.each(root, field, parse, |text, ()| {
            (format!("`{text}` is no address"), Some(format!("it starts with {}", nearest::listed(schemes))))
        });
    }

    fn language(&mut self, root: &mut Node) {
        let Some(entry) = root.as_map_mut().and_then(|map| map.get_mut("language")) else { return };
        let Some(written) = entry.node.as_str() else { return };
        let lower = written.trim().to_lowercase();
        if !LANGUAGES.contains(&lower.as_str())
            && let Some(near) = nearest::suggestion(&lower, LANGUAGES)
        {
            let message =
                format!("`{}` is a language that nobody else names", entry.node.shown_scalar(false));
            let notice = Diagnostic::new(DiagnosticKind::Remark, message).at(entry.node.span().clone());
            self.notices.push(notice.path(join(self.prefix, "language")).help(near));
        }
        entry.node.set(Value::String(lower));
    }

    /// Hooks by their names in the table, each once.
    fn hooks(&mut self, root: &mut Node) {
        let hooks = self.hooks;
        let Some(items) = items_mut(root, "available_hooks") else { return };
        let mut kept: Vec<Node> = Vec::new();
        for (at, mut item) in std::mem::take(items).into_iter().enumerate() {
            let field = path::with_index("available_hooks", at);
            let Some(written) = item.as_str() else { continue };
            match hook_name(written, hooks) {
                Ok(name) => {
                    if name != written && OLD_HOOKS.iter().any(|(old, _)| *old == written) {
                        let message = format!("`{written}` is read as the hook `{name}`");
                        let notice = Diagnostic::new(DiagnosticKind::Remark, message).at(item.span().clone());
                        self.notices.push(notice.path(join(self.prefix, &field)));
                    }
                    if !kept.iter().any(|known| known.as_str() == Some(&name)) {
                        item.set(Value::String(name));
                        kept.push(item);
                    }
                }
                Err((message, help)) => self.error(&item, &field, message, help),
            }
        }
        if let Some(items) = items_mut(root, "available_hooks") {
            *items = kept;
        }
    }

    /// Names and tags are not empty, and nothing that is shown can move a terminal's cursor.
    fn texts(&mut self, root: &Node) {
        for field in ["name", "kind", "tags"] {
            let blank = |text: &str| if text.trim().is_empty() { Err(()) } else { Ok(()) };
            self.each(root, field, blank, |_, ()| ("must not be empty".to_owned(), None));
        }
        let spaced = |text: &str| if text.trim().contains(char::is_whitespace) { Err(()) } else { Ok(()) };
        self.each(root, "kind", spaced, |text, ()| (format!("`{text}` is no kind: it holds a space"), None));
        self.control(root, "");
    }

    fn control(&mut self, node: &Node, field: &str) {
        match node.value() {
            Value::String(text)
                if text.contains(|c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) =>
            {
                self.error(node, field, "a control character is not allowed here".to_owned(), None);
            }
            Value::List(items) => {
                for (at, item) in items.iter().enumerate() {
                    self.control(item, &path::with_index(field, at));
                }
            }
            Value::Map(map) => {
                for (key, entry) in
                    map.iter().filter(|(key, _)| !(field.is_empty() && *key == "default_config"))
                {
                    self.control(&entry.node, &path::with_key(field, key));
                }
            }
            _ => {}
        }
    }
}

/// The name in the table, or what is wrong and what was probably meant.
fn hook_name(written: &str, hooks: &HookTable) -> Result<String, (String, Option<String>)> {
    let name = OLD_HOOKS.iter().find(|(old, _)| *old == written).map_or(written, |(_, name)| name);
    match hooks.get(name) {
        Some(row) => Ok(row.name.to_string()),
        None => {
            let shown: String = written.chars().filter(|c| !c.is_control()).take(60).collect();
            Err((format!("there is no hook `{shown}`"), nearest::advice(written, &hooks.names())))
        }
    }
}

/// `1.0` was meant as `1.0.0`.
fn version_advice(text: &str) -> String {
    match Release::from_str(text) {
        Ok(release) => format!("write `{}`", release.lowest()),
        Err(_) => "write it as `1.2.3`".to_owned(),
    }
}
