//! What is agreed with a server when it is reached: under which name the plugin is called, and at which hooks.
//!
//! The server's entry counts where the local one says nothing. A hook that the local entry lists and the server does
//! not have is an error then, and not at the first call: a guard that can never answer must not look like one.

use std::sync::Arc;

use mortise_plugin_api::{HookId, HookTable, PluginError};
use serde_json::{Map, Value};

use crate::link::Remote;

/// What the local entry says.
#[derive(Debug)]
pub(crate) struct Local {
    pub(crate) name: Arc<str>,
    /// The hooks it lists; empty where it leaves that to the server.
    pub(crate) hooks: Vec<HookId>,
}

/// What is agreed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Terms {
    /// The plugin's name as the server writes it.
    pub(crate) plugin: Arc<str>,
    /// Where it is called.
    pub(crate) hooks: Vec<HookId>,
    /// The server's entry, with the hooks that were agreed.
    pub(crate) entry: Map<String, Value>,
}

impl Terms {
    /// Lays what the local entry says over what the server says.
    ///
    /// # Errors
    /// Hooks that the server does not offer, or none at all.
    pub(crate) fn of(local: &Local, remote: &Remote, table: &HookTable) -> Result<Self, PluginError> {
        let offered = remote.hooks.as_ref().map(|names| ids(names.iter().map(String::as_str), table));
        let theirs = remote.entry.as_ref().and_then(|entry| listed(entry)).map(|names| ids(names, table));
        let has = |id: &HookId| {
            offered.as_ref().is_none_or(|offered| offered.contains(id))
                && theirs.as_ref().is_none_or(|theirs| theirs.is_empty() || theirs.contains(id))
        };
        let hooks = if local.hooks.is_empty() {
            theirs.clone().or_else(|| offered.clone()).unwrap_or_default().into_iter().filter(has).collect()
        } else {
            let lacking: Vec<_> = local.hooks.iter().filter(|id| !has(id)).collect();
            if !lacking.is_empty() {
                let known = theirs.as_ref().filter(|theirs| !theirs.is_empty()).or(offered.as_ref());
                return Err(not_offered(&lacking, known.map_or(&[][..], Vec::as_slice), table));
            }
            local.hooks.clone()
        };
        if hooks.is_empty() {
            return Err(PluginError::InvalidAnswer(
                "its server says of no hook that the plugin has it, and the entry lists none".to_owned(),
            ));
        }
        let named = remote.entry.as_ref().and_then(|entry| entry.get("name")).and_then(Value::as_str);
        let same = |name: &&str| name.eq_ignore_ascii_case(&local.name);
        let plugin = named.filter(same).map_or_else(|| local.name.clone(), Arc::from);
        let mut entry = remote.entry.clone().unwrap_or_default();
        let agreed = hooks.iter().filter_map(|id| Some(Value::from(&*table.spec(*id)?.name))).collect();
        entry.insert("hooks".to_owned(), Value::Array(agreed));
        // What its server runs it with is the server's business, and may be secret.
        entry.retain(|key, _| !matches!(key.as_str(), "config" | "mcp" | "grpc" | "unix_socket"));
        Ok(Self { plugin, hooks, entry })
    }

    pub(crate) fn has(&self, hook: HookId) -> bool {
        self.hooks.contains(&hook)
    }
}

fn listed(entry: &Map<String, Value>) -> Option<impl Iterator<Item = &str>> {
    Some(entry.get("hooks")?.as_array()?.iter().filter_map(Value::as_str))
}

/// Each once; names that are no hooks here are left out.
fn ids<'n>(names: impl Iterator<Item = &'n str>, table: &HookTable) -> Vec<HookId> {
    let mut ids = Vec::new();
    for id in names.filter_map(|name| table.id(name)) {
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    ids
}

fn not_offered(lacking: &[&HookId], known: &[HookId], table: &HookTable) -> PluginError {
    let listed = |ids: &mut dyn Iterator<Item = HookId>| {
        let names = ids.filter_map(|id| Some(format!("`{}`", table.spec(id)?.name)));
        names.collect::<Vec<_>>().join(", ")
    };
    let (lacking, known) = (listed(&mut lacking.iter().map(|id| **id)), listed(&mut known.iter().copied()));
    let known = if known.is_empty() { "none that is known here".to_owned() } else { known };
    PluginError::InvalidAnswer(format!("its server does not offer the hooks {lacking}; it offers {known}"))
}

#[cfg(test)]
mod tests {
    use mortise_plugin_api::Hook;
    use mortise_plugin_api::hooks::{ToolPostInvoke, ToolPreInvoke};
    use serde_json::json;

    use super::*;

    #[expect(clippy::needless_pass_by_value, reason = "tests write their JSON in place")]
    fn agreed(local: &[HookId], entry: Value, hooks: Option<&[&str]>) -> Result<Terms, PluginError> {
        let local = Local { name: "Guard".into(), hooks: local.to_vec() };
        let hooks = hooks.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
        let remote = Remote { entry: entry.as_object().cloned(), hooks };
        Terms::of(&local, &remote, &HookTable::standard())
    }

    #[test]
    fn hooks_come_from_the_server_where_the_entry_lists_none() {
        let terms = agreed(&[], json!({ "hooks": ["tool_pre_invoke", "made_up"] }), None).unwrap();
        assert_eq!(terms.hooks, [ToolPreInvoke::ID]);
        let terms = agreed(&[], Value::Null, Some(&["tool_post_invoke", "get_plugin_config"])).unwrap();
        assert_eq!(terms.hooks, [ToolPostInvoke::ID]);
    }

    #[test]
    fn the_entry_narrows_what_the_server_has() {
        let entry = json!({ "hooks": ["tool_pre_invoke", "tool_post_invoke"] });
        assert_eq!(agreed(&[ToolPostInvoke::ID], entry, None).unwrap().hooks, [ToolPostInvoke::ID]);
    }

    #[test]
    fn a_hook_the_server_does_not_offer_is_an_error_that_names_both() {
        let error = agreed(&[ToolPostInvoke::ID], json!({ "hooks": ["tool_pre_invoke"] }), None).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("`tool_post_invoke`; it offers `tool_pre_invoke`"), "{text}");
        let error = agreed(&[ToolPostInvoke::ID], Value::Null, Some(&["tool_pre_invoke"])).unwrap_err();
        assert!(error.to_string().contains("`tool_post_invoke`"), "{error}");
    }

    #[test]
    fn without_any_hook_there_is_nothing_to_call() {
        assert!(agreed(&[], json!({}), None).is_err());
    }

    #[test]
    fn the_server_is_called_with_its_own_spelling_of_the_name() {
        let terms = agreed(&[], json!({ "name": "GUARD", "hooks": ["tool_pre_invoke"] }), None).unwrap();
        assert_eq!(&*terms.plugin, "GUARD");
        let terms = agreed(&[], json!({ "name": "other", "hooks": ["tool_pre_invoke"] }), None).unwrap();
        assert_eq!(&*terms.plugin, "Guard");
    }
}
