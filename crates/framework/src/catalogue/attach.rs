//! What manifests mean for configured plugins.

use mortise_plugin_api::HookTable;
use mortise_plugin_api::manifest::Needed;

use super::{Catalogue, Item, Origin};
use crate::config::{DependsOn, Diagnostic, DiagnosticKind, Notice, PluginEntry, Problem, ProblemKind};

impl Catalogue {
    /// Gives each entry the manifest of its kind, and with it its dependencies, its hooks where the entry names none,
    /// and, where the manifest wants another framework, the reason why it cannot run.
    ///
    /// `is_native` says of a kind whether its code is part of this program. A manifest that describes other code
    /// under the same class path then says nothing of it, and is not attached.
    pub fn attach(
        &self,
        entries: &mut [PluginEntry],
        hooks: &HookTable,
        is_native: impl Fn(&str) -> bool,
    ) -> Vec<Notice> {
        let mut notices = Vec::new();
        for entry in entries {
            let other_code = is_native(&entry.kind) && !entry.kind.starts_with("builtin.");
            let item = self.of_kind(&entry.kind).filter(|item| item.origin != Origin::BuiltIn && !other_code);
            if let Some(item) = item {
                self.attach_one(item, entry, hooks, &mut notices);
            }
            for depends in &mut entry.dependencies {
                let item = self.of_name(&depends.dependency.name);
                depends.hint = item.map(|item| hint(item).into_boxed_str());
            }
        }
        notices
    }

    fn attach_one(&self, item: &Item, entry: &mut PluginEntry, hooks: &HookTable, notices: &mut Vec<Notice>) {
        let manifest = &item.manifest;
        if let Some(problem) = manifest.framework_problem() {
            let place = item.span.as_ref().map(|span| format!(" ({})", span.file())).unwrap_or_default();
            let reason = format!("its manifest {problem}{place}");
            entry.problems.push(Problem { kind: ProblemKind::Other, reason });
        }
        for (dependency, span) in manifest.dependencies.iter().zip(&item.dependencies) {
            let mut dependency = dependency.clone();
            let mut others = self.named(&dependency.name).filter(|known| known.origin != Origin::BuiltIn);
            if dependency.needed == Needed::Unsaid && others.next().is_some() {
                dependency.needed = Needed::Plugin;
            }
            if dependency.needed != Needed::Package {
                let path = "dependencies".to_owned();
                entry.dependencies.push(DependsOn { dependency, span: span.clone(), path, hint: None });
            }
        }
        if entry.hooks.is_empty() {
            entry.hooks.clone_from(&manifest.available_hooks);
        } else if !manifest.available_hooks.is_empty() {
            notices.extend(foreign_hooks(entry, item, hooks));
        }
        entry.manifest = Some(manifest.clone());
    }
}

/// Where a plugin that is not configured can be had.
fn hint(item: &Item) -> String {
    let kind = item.manifest.kind.as_ref().map(|kind| format!(" with `kind: {kind}`")).unwrap_or_default();
    let place = match item.origin.path() {
        Some(path) => format!(" ({})", path.display()),
        None => String::new(),
    };
    format!("the catalogue has `{}`{place}: add an entry{kind}", item.name)
}

/// Hooks at which an entry wants to run and its manifest says it cannot.
fn foreign_hooks(entry: &PluginEntry, item: &Item, hooks: &HookTable) -> Option<Notice> {
    let listed = |hook: &str| {
        let name = hooks.get(hook).map_or(hook, |row| &row.name);
        item.manifest.available_hooks.iter().any(|known| known == name)
    };
    let mut others = entry.hooks.iter().filter(|hook| !listed(hook)).peekable();
    others.peek()?;
    let others: Vec<String> = others.map(|hook| format!("`{hook}`")).collect();
    let message = format!("the manifest of `{}` does not list {}", item.name, others.join(", "));
    let notice = Diagnostic::new(DiagnosticKind::Remark, message).at(entry.span.clone());
    let notice = notice.path(format!("{}.hooks", entry.path));
    Some(match &item.span {
        Some(span) => notice.related(span.clone(), "the manifest is here"),
        None => notice,
    })
}
