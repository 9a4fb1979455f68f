//! What a plugin's own side says of how it is to run, laid under its configured entry.
//!
//! A server of plugins has an entry for each of them, which an operator need not repeat: what the local entry does not
//! name counts as the server has it. Key by key, and only where the pipeline reads it; the plugin's own settings stay
//! on its server. It is known once the plugin has started, so it is laid under when pipelines are compiled; a server
//! that says something else later is followed at the next reload. A binding's own mode and order win over both.

use std::{borrow::Cow, sync::Arc};

use mortise_plugin_api::HookTable;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::{
    config::{Condition, PluginEntry},
    instance::Instance,
    pipeline::Member,
};

/// Members and listed instances under the entries that come of it; as they are where no plugin says anything.
pub(crate) fn laid_under<'m>(
    members: &'m [Member],
    listed: Vec<Arc<Instance>>,
    table: &HookTable,
) -> (Cow<'m, [Member]>, Vec<Arc<Instance>>) {
    let all = members.iter().map(|member| &member.instance).chain(&listed);
    let mut merged: Vec<(Arc<Instance>, Arc<Instance>)> = Vec::new();
    for instance in all {
        if merged.iter().any(|(before, _)| Arc::ptr_eq(before, instance)) {
            continue;
        }
        if let Some(served) = instance.plugin().and_then(|plugin| plugin.served_entry()) {
            let entry = over(&instance.entry, &served, table);
            merged.push((instance.clone(), Arc::new(instance.under(Arc::new(entry)))));
        }
    }
    if merged.is_empty() {
        return (Cow::Borrowed(members), listed);
    }
    let now = |instance: &Arc<Instance>| {
        let found = merged.iter().find(|(before, _)| Arc::ptr_eq(before, instance));
        found.map_or_else(|| instance.clone(), |(_, now)| now.clone())
    };
    let members = members.iter().map(|member| {
        let (before, instance) = (&member.instance.entry, now(&member.instance));
        let entry = &instance.entry;
        // What a binding says differs from its entry, and stays.
        let mode = if member.mode == before.mode { entry.mode } else { member.mode };
        let priority = if member.priority == before.priority { entry.priority } else { member.priority };
        let on_error = member.on_error.or(entry.on_error);
        let hooks = if before.hooks.is_empty() && !entry.hooks.is_empty() {
            entry.hooks.iter().filter_map(|name| table.id(name)).collect()
        } else {
            member.hooks.clone()
        };
        Member { mode, priority, on_error, hooks, instance, ..member.clone() }
    });
    let members = members.collect();
    (Cow::Owned(members), listed.iter().map(now).collect())
}

/// The entry with what it does not name as the server has it.
fn over(local: &PluginEntry, served: &Map<String, Value>, table: &HookTable) -> PluginEntry {
    let mut entry = local.clone();
    let keys = Keys { local, served };
    let known = |names: Vec<String>| names.into_iter().filter(|name| table.id(name).is_some()).collect();
    if let Some(hooks) = keys.read("hooks") {
        entry.hooks = known(hooks);
    }
    if let Some(mode) = keys.read("mode") {
        entry.mode = mode;
    }
    if let Some(priority) = keys.read("priority") {
        entry.priority = priority;
    }
    if let Some(conditions) = keys.read::<Vec<Condition>>("conditions") {
        entry.conditions = conditions;
    }
    if let Some(tags) = keys.read("tags") {
        entry.tags = tags;
    }
    entry.on_error = entry.on_error.or_else(|| keys.read("on_error"));
    for (key, field) in [
        ("description", &mut entry.description),
        ("author", &mut entry.author),
        ("version", &mut entry.version),
        ("namespace", &mut entry.namespace),
    ] {
        if let Some(text) = keys.read(key) {
            *field = Some(text);
        }
    }
    entry
}

struct Keys<'a> {
    local: &'a PluginEntry,
    served: &'a Map<String, Value>,
}

impl Keys<'_> {
    /// The server's value of a key that the entry does not name.
    fn read<T: DeserializeOwned>(&self, key: &str) -> Option<T> {
        let value = self.served.get(key).filter(|value| !value.is_null())?;
        if self.local.given.iter().any(|given| given == key) {
            return None;
        }
        match T::deserialize(value) {
            Ok(read) => Some(read),
            Err(error) => {
                tracing::warn!(plugin = self.local.name, key, %error, "its server's entry is not followed here");
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::Mode;

    #[expect(clippy::needless_pass_by_value, reason = "values are written where they are given")]
    fn merged(given: &[&str], served: Value) -> PluginEntry {
        let mut local = PluginEntry::new("guard", "external");
        local.given = given.iter().map(|key| (*key).to_owned()).collect();
        local.priority = 7;
        over(&local, served.as_object().unwrap(), &HookTable::standard())
    }

    #[test]
    fn keys_the_entry_names_win_and_all_others_are_the_servers() {
        let served = json!({ "mode": "audit", "priority": 3, "hooks": ["tool_pre_invoke", "made_up"],
            "conditions": [{ "tools": ["a"], "prompts": null }], "tags": ["x"], "version": "1.2", "author": null });
        let entry = merged(&["priority"], served.clone());
        assert_eq!((entry.mode, entry.priority), (Mode::Audit, 7));
        assert_eq!(entry.hooks, ["tool_pre_invoke"]);
        assert_eq!(entry.conditions[0].tools, ["a"]);
        assert_eq!((entry.version.as_deref(), entry.author), (Some("1.2"), None));
        let entry = merged(&["mode", "hooks", "conditions"], served);
        assert_eq!((entry.mode, entry.priority), (Mode::Enforce, 3));
        assert!(entry.hooks.is_empty() && entry.conditions.is_empty());
    }

    #[test]
    fn what_cannot_be_read_is_as_if_it_were_not_said() {
        let entry = merged(&[], json!({ "mode": "sometimes", "priority": "high", "conditions": {} }));
        assert_eq!((entry.mode, entry.priority), (Mode::Enforce, 7));
    }
}
