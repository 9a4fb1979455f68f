//! Which hooks the gateway runs.
//!
//! The table has more: hooks of surfaces that are not built, and of other programs. A plugin that is at none of these
//! is not started. The list is held against the source by a test, since a hook that runs and is missing here would
//! leave its plugins unstarted.

use mortise_plugin_api::{
    Hook, HookId,
    hooks::{
        AuthPostCheck, HttpAuthCheckPermission, HttpAuthResolveUser, HttpPostForwardingCall, HttpPostRequest,
        HttpPreForwardingCall, HttpPreRequest, LlmInput, LlmOutput, PromptPostFetch, PromptPreFetch,
        RecordAnalytics, RecordBudgetUsage, RecordProxyLog, ResourcePostFetch, ResourcePreFetch,
        ToolPostInvoke, ToolPreInvoke,
    },
};

/// The hooks that the gateway runs.
pub const LIVE_HOOKS: &[HookId] = &[
    HttpPreRequest::ID,
    HttpAuthResolveUser::ID,
    AuthPostCheck::ID,
    HttpAuthCheckPermission::ID,
    HttpPreForwardingCall::ID,
    HttpPostForwardingCall::ID,
    HttpPostRequest::ID,
    ToolPreInvoke::ID,
    ToolPostInvoke::ID,
    PromptPreFetch::ID,
    PromptPostFetch::ID,
    ResourcePreFetch::ID,
    ResourcePostFetch::ID,
    LlmInput::ID,
    LlmOutput::ID,
    RecordProxyLog::ID,
    RecordAnalytics::ID,
    RecordBudgetUsage::ID,
];

#[cfg(test)]
mod tests {
    use std::path::Path;

    use mortise_plugin_api::HookTable;

    use super::*;

    /// All source text of a folder but tests and this file.
    fn source(folder: &Path, text: &mut String) {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let (path, name) = (entry.path(), entry.file_name());
            if path.is_dir() {
                source(&path, text);
            } else if name != "live.rs" && name != "tests.rs" && path.extension().is_some_and(|e| e == "rs") {
                text.push_str(&std::fs::read_to_string(&path).unwrap());
            }
        }
    }

    /// `tool_pre_invoke` → `ToolPreInvoke`.
    fn type_name(hook: &str) -> String {
        let words = hook.split('_').map(|word| word[..1].to_uppercase() + &word[1..]);
        words.collect()
    }

    #[test]
    fn every_hook_that_the_source_names_is_live_and_no_other() {
        let mut text = String::new();
        source(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut text);
        let table = HookTable::standard();
        let named = |id: HookId| {
            let row = table.spec(id).unwrap();
            !row.name.contains('.') && text.contains(&format!("{}::ID", type_name(&row.name)))
        };
        for row in table.rows() {
            // Whoever runs a pair names one of the two.
            let runs = named(row.id) || row.pair.is_some_and(named);
            assert_eq!(LIVE_HOOKS.contains(&row.id), runs, "{}", row.name);
        }
    }
}
