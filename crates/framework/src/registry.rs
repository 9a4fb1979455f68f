//! Which configured plugins start, and in which order.
//!
//! Two questions that the pipeline does not ask, answered from the entries alone, before anything starts. **Order**: a
//! plugin starts after those it depends on and ends before them; one that is missing, too old, or needs itself by way
//! of others is an error of the configuration. **Idleness**: a plugin at none of whose hooks anything ever happens is
//! not started. It keeps its place in the chains of its hooks all the same: were one of them run after all, its mode
//! would decide, as for any plugin that cannot run, since a guard that is silently not there is worse than one in the
//! way.

mod graph;

#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::future::join_all;
use mortise_plugin_api::{HookId, HookTable};

use crate::config::{Diagnostic, Mode, Notice, PluginEntry};
use graph::Graph;

/// What is wrong with the dependencies between entries, and what deserves a word.
#[must_use]
pub fn check(entries: &[PluginEntry]) -> (Vec<Diagnostic>, Vec<Notice>) {
    let entries: Vec<&PluginEntry> = entries.iter().collect();
    let (graph, mut found) = Graph::checked(&entries);
    found.errors.extend(graph.circles(&entries));
    (found.errors, found.notices)
}

/// An order in which each stands after what it depends on, and as far as that allows in the order given: positions.
/// What goes round in a circle keeps its order at the end.
#[must_use]
pub fn order(entries: &[&PluginEntry]) -> Vec<usize> {
    Graph::of(entries).order()
}

/// Sorts anything that has an entry into that order.
pub(crate) fn sort<T>(items: &mut Vec<T>, entry_of: impl Fn(&T) -> &PluginEntry) {
    let order = order(&items.iter().map(&entry_of).collect::<Vec<_>>());
    if order.is_sorted() {
        return;
    }
    let mut slots: Vec<Option<T>> = std::mem::take(items).into_iter().map(Some).collect();
    items.extend(order.into_iter().filter_map(|at| slots.get_mut(at)?.take()));
}

/// Starts all items: at the same time those that do not depend on each other, after one another those that do.
pub(crate) async fn start_in_order<'i, T, F: Future<Output = ()>>(
    items: &'i [T],
    entry_of: impl Fn(&T) -> &PluginEntry,
    start: impl Fn(&'i T) -> F,
) {
    let levels = Graph::of(&items.iter().map(&entry_of).collect::<Vec<_>>()).levels();
    for level in 0..=levels.iter().copied().max().unwrap_or(0) {
        let wave = items.iter().zip(&levels).filter(|(_, at)| **at == level);
        join_all(wave.map(|(item, _)| start(item))).await;
    }
}

/// Why entries would not be started although their mode is not `disabled`: for each the reason, if there is one.
/// `hooks_of` says where an entry runs; `dormant` are the hooks that this program never runs.
pub(crate) fn idle<'e, T>(
    items: &'e [T],
    entry_of: impl Fn(&'e T) -> &'e PluginEntry,
    hooks_of: impl Fn(&'e T) -> Vec<HookId>,
    table: &HookTable,
    dormant: &HashSet<HookId>,
) -> Vec<Option<Arc<str>>> {
    let entries: Vec<&PluginEntry> = items.iter().map(entry_of).collect();
    let hooks: Vec<Vec<HookId>> = items.iter().map(hooks_of).collect();
    let busy = |at: usize| {
        let entry = entries[at];
        entry.mode != Mode::Disabled
            && (!entry.offers.is_empty() || hooks[at].iter().any(|hook| !dormant.contains(hook)))
    };
    let busy: Vec<usize> = (0..entries.len()).filter(|at| busy(*at)).collect();
    let needed = Graph::of(&entries).reachable(busy);
    (0..entries.len())
        .map(|at| {
            let idle = entries[at].mode != Mode::Disabled && !needed[at];
            idle.then(|| reason(&hooks[at], table).into())
        })
        .collect()
}

fn reason(hooks: &[HookId], table: &HookTable) -> String {
    let names: Vec<String> =
        hooks.iter().filter_map(|hook| table.spec(*hook)).map(|row| format!("`{}`", row.name)).collect();
    match names.as_slice() {
        [] => "not started: it runs at no hook, and nothing that runs depends on it".to_owned(),
        [one] => {
            format!("not started: nothing here runs its hook {one}, and nothing that runs depends on it")
        }
        several => format!(
            "not started: nothing here runs its hooks {}, and nothing that runs depends on it",
            several.join(", ")
        ),
    }
}
