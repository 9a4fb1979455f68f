//! What is wrong with a plan, beyond what the schema of a kind can say: told all at once, and where it is written.

use std::sync::Arc;

use mortise_plugin_api::{HookId, Plugin};

use super::{Framework, Plan, Prepared, merged};
use crate::{
    config::{Compiled, Diagnostic, DiagnosticKind, Notice, PluginEntry, nearest},
    pipeline::scope::{Binding, Required},
    runtime::Runtime,
};

impl Framework {
    pub(super) fn no_such_kind(&self, entry: &PluginEntry) -> Diagnostic {
        let known: Vec<String> = self.0.runtimes.iter().flat_map(|runtime| runtime.kind_names()).collect();
        // Without what they all begin with, in which nobody errs and which makes them all look alike.
        let plain = |kind: &'_ str| kind.strip_prefix("builtin.").unwrap_or(kind).to_owned();
        let (wanted, names) = (plain(&entry.kind), known.iter().map(|kind| plain(kind)).collect::<Vec<_>>());
        let near: Vec<String> = nearest(&wanted, names.iter().map(String::as_str))
            .into_iter()
            .map(|name| format!("`builtin.{name}`"))
            .collect();
        let list = "`mortise plugins kinds` lists what is built in";
        let help = if near.is_empty() {
            list.to_owned()
        } else {
            format!("did you mean {}? {list}", near.join(" or "))
        };
        // What stands in the file may be shown; what a variable has put there may not.
        let is_written = entry.place("kind").source().text().contains(&entry.kind);
        let message = match is_written {
            true => format!("there is no built-in plugin `{}`", entry.kind),
            false => "there is no built-in plugin of this name".to_owned(),
        };
        Diagnostic::new(DiagnosticKind::InvalidValue, message)
            .at(entry.place("kind").clone())
            .path(format!("{}.kind", entry.path))
            .help(help)
    }

    /// Bindings that would shadow each other, never hold, or require hooks that are none. Their words are not quoted,
    /// as they may come from variables.
    pub(super) fn check_scopes(
        &self,
        plan: &Plan,
        prepared: &[Prepared],
        errors: &mut Vec<Diagnostic>,
        notices: &mut Vec<Notice>,
    ) {
        for (at, binding) in plan.bindings.iter().enumerate() {
            let error = |message: String, field: &str| {
                Diagnostic::new(DiagnosticKind::InvalidValue, message).path(format!("bindings[{at}]{field}"))
            };
            let same = |other: &&Binding| other.plugin == binding.plugin && other.scope == binding.scope;
            if plan.bindings.iter().take(at).any(|other| same(&other)) {
                let message = "two bindings of one plugin have the same scope".to_owned();
                let help = "one of them would never hold: put their keys into one";
                errors.push(error(message, ".scope").help(help));
            }
            if let Required::At(hooks) = &binding.required {
                for (index, _) in hooks.iter().enumerate().filter(|(_, hook)| self.0.hooks.id(hook).is_none())
                {
                    let error = error("there is no such hook".to_owned(), &format!(".required[{index}]"));
                    errors.push(error.help("`mortise hooks` lists them"));
                }
            }
            let entry = prepared.iter().find(|prepared| prepared.entry.name == binding.plugin);
            let hooks = entry.map(|prepared| &prepared.hooks).filter(|hooks| !hooks.is_empty());
            let holds = |hook: &HookId| {
                self.0.hooks.spec(*hook).is_some_and(|row| binding.scope.can_hold(row.family))
            };
            if hooks.is_some_and(|hooks| !hooks.iter().any(holds)) {
                let message = "this binding never holds: no hook of its plugin is about what the scope names";
                let notice = Diagnostic::new(DiagnosticKind::Remark, message);
                notices.push(notice.path(format!("bindings[{at}].scope")));
            }
        }
    }

    pub(super) fn check_bindings(&self, plan: &Plan, prepared: &Prepared, errors: &mut Vec<Diagnostic>) {
        let Some(runtime) = prepared.runtime.as_ref().filter(|_| prepared.entry.problems.is_empty()) else {
            return;
        };
        for binding in plan.bindings.iter().filter(|binding| binding.plugin == prepared.entry.name) {
            let Some(over) = &binding.config else { continue };
            let config = merged(&prepared.config, over);
            let created: Result<Arc<dyn Plugin>, _> = runtime.create(&prepared.entry, &config);
            if let Err(error) = created {
                let message = format!("binding of `{}`: {}", binding.plugin, error.message);
                errors.push(
                    Diagnostic::new(DiagnosticKind::InvalidValue, message)
                        .path(format!("bindings.{}", error.field)),
                );
            }
        }
    }
}

/// Values of one `config:` that are found wrong one after another.
const FAULTS: usize = 32;

/// What is wrong with values in a `config:` beyond its schema, such as patterns that do not compile: all of it, found
/// by leaving out what was found so far. What does not fit the schema is left out too; of what follows from that
/// nothing is said.
pub(super) fn faults(
    entry: &PluginEntry,
    runtime: &dyn Runtime,
    schema: Option<&Compiled>,
) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let Some(mut left) = entry.salvage_config(schema) else { return found };
    while found.len() < FAULTS {
        let Err(error) = runtime.create(entry, &left.to_json()) else { break };
        let Some((span, field)) = left.take_out(&error.field) else { break };
        let diagnostic = Diagnostic::new(DiagnosticKind::InvalidValue, error.message);
        found.push(diagnostic.at(span).path(format!("{}.config.{field}", entry.path)));
    }
    found
}

/// An error inside an entry's `config:`, at the place of the field where that is known.
pub(super) fn config_error(entry: &PluginEntry, field: &str, message: &str) -> Diagnostic {
    let first = field.split('.').next().unwrap_or_default();
    if entry.kind == "process" && ["command", "process"].contains(&first) {
        let error = Diagnostic::new(DiagnosticKind::InvalidValue, message.to_owned());
        return error.at(entry.place(first).clone()).path(format!("{}.{field}", entry.path));
    }
    let transport = ["mcp", "grpc", "unix_socket"].into_iter();
    let mut block =
        transport.filter(|key| field.split('.').next() == Some(key) && entry.places.contains_key(*key));
    if let Some(key) = block.next() {
        let error = Diagnostic::new(DiagnosticKind::InvalidValue, format!("`{field}` {message}"));
        return error.at(entry.place(key).clone()).path(format!("{}.{field}", entry.path));
    }
    let at = entry.config.at(field).unwrap_or(&entry.config);
    let path = if field.is_empty() {
        format!("{}.config", entry.path)
    } else {
        format!("{}.config.{field}", entry.path)
    };
    Diagnostic::new(DiagnosticKind::InvalidValue, message.to_owned()).at(at.span().clone()).path(path)
}
