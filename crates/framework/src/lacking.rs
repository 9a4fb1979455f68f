//! Hooks that an entry lists and its code does not have.
//!
//! At such a hook the plugin is as unavailable as one that did not start: its mode decides, and under `enforce` every
//! call is refused. Right as a default and a riddle to whoever finds out from a refused call, so it is told where the
//! hook is written: as an error in an own file, and, since files of the ContextForge format must load, as a notice in
//! these and as degraded wherever plugins are listed.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use mortise_plugin_api::{HookTable, Plugin};

use crate::{
    config::{Diagnostic, DiagnosticKind, PluginEntry},
    endpoints::listed,
};

/// The hooks that `entry` lists and `plugin` does not have, as they are written.
pub(crate) fn hooks<'e>(entry: &'e PluginEntry, plugin: &dyn Plugin, table: &HookTable) -> Vec<&'e str> {
    let lacking = |name: &&String| table.id(name).is_some_and(|id| plugin.needs(id).is_none());
    entry.hooks.iter().filter(lacking).map(String::as_str).collect()
}

/// What that means, for a list of plugins; `None` where none is lacking.
pub(crate) fn reason(hooks: &[&str]) -> Option<String> {
    let what = match hooks {
        [] => return None,
        [one] => format!("the hook {}", in_marks(&[one])),
        several => format!("the hooks {}", in_marks(several)),
    };
    Some(format!("it does not have {what}: there it is unavailable, and its mode decides about calls"))
}

/// A diagnostic at each hook that is lacking.
pub(crate) fn check(entry: &PluginEntry, plugin: &dyn Plugin, table: &HookTable) -> Vec<Diagnostic> {
    let lacking = hooks(entry, plugin, table);
    if lacking.is_empty() {
        return Vec::new();
    }
    let rows = table.rows().iter().filter(|row| plugin.needs(row.id).is_some());
    let has: Vec<&str> = rows.map(|row| &*row.name).collect();
    let help =
        if has.is_empty() { "it has no hooks".to_owned() } else { format!("it has {}", in_marks(&has)) };
    let at_hook = |hook: &&str| {
        let message = format!(
            "the plugin kind `{}` does not have the hook `{hook}`: it would be unavailable there",
            entry.kind
        );
        let foreign = entry.dialect.is_foreign();
        let kind = if foreign { DiagnosticKind::Remark } else { DiagnosticKind::InvalidValue };
        Diagnostic::new(kind, message)
            .at(entry.place(&format!("hooks.{hook}")).clone())
            .path(format!("{}.hooks", entry.path))
            .help(help.clone())
    };
    lacking.iter().map(at_hook).collect()
}

/// A diagnostic where an entry offers endpoints and its code has none.
pub(crate) fn endpoints(entry: &PluginEntry, plugin: Arc<dyn Plugin>) -> Option<Diagnostic> {
    if !listed(entry) || plugin.endpoints().is_some() {
        return None;
    }
    let foreign = entry.dialect.is_foreign();
    let kind = if foreign { DiagnosticKind::Remark } else { DiagnosticKind::InvalidValue };
    let message = format!("the plugin kind `{}` has no endpoints of its own", entry.kind);
    Some(
        Diagnostic::new(kind, message)
            .at(entry.place("offers").clone())
            .path(format!("{}.offers", entry.path)),
    )
}

fn in_marks(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
