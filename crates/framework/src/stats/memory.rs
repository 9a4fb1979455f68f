//! Memory of plugins that run in processes of their own, read when somebody scrapes or asks.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use mortise_telemetry::memory::resident;

use crate::pipeline::Pipelines;

/// Bytes by plugin. One that bindings let run in several processes has what these hold together.
pub(super) fn of_plugins(pipelines: &Pipelines) -> BTreeMap<Arc<str>, u64> {
    let mut processes: BTreeMap<&Arc<str>, BTreeSet<u32>> = BTreeMap::new();
    for instance in pipelines.all_instances().iter().filter(|instance| instance.foreign) {
        if let Some(pid) = instance.plugin().and_then(|plugin| plugin.process_id()) {
            processes.entry(&instance.name).or_default().insert(pid);
        }
    }
    // Plugins may share a process: it is looked at once.
    let mut seen: BTreeMap<u32, Option<u64>> = BTreeMap::new();
    processes
        .into_iter()
        .filter_map(|(name, pids)| {
            let held: Vec<u64> = pids
                .into_iter()
                .filter_map(|pid| *seen.entry(pid).or_insert_with(|| resident(pid)))
                .collect();
            (!held.is_empty()).then(|| (name.clone(), held.iter().sum()))
        })
        .collect()
}
