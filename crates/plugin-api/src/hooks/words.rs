//! What process plugins call the moments they act at, in the words of their manifests.
//!
//! No aliases of hooks: one of their words can mean several hooks, as one call of theirs sees what here are several
//! moments. So a word is replaced by the hooks it means where it is read.

use super::{
    HttpAuthResolveUser, HttpPostForwardingCall, HttpPreRequest, LlmInput, LlmOutput, RecordAnalytics,
    RecordBudgetUsage, RecordProxyLog,
};
use crate::{Hook, HookId};

/// A hook by id and name.
type Named = (HookId, &'static str);

const fn named<H: Hook>() -> Named {
    (H::ID, H::NAME)
}

/// The words, each with the hooks it means.
pub const PROCESS_WORDS: &[(&str, &[Named])] = &[
    ("pre_auth", &[named::<HttpPreRequest>()]),
    ("auth", &[named::<HttpAuthResolveUser>()]),
    ("post_auth", &[named::<LlmInput>()]),
    ("on_response", &[named::<HttpPostForwardingCall>(), named::<LlmOutput>()]),
    ("response", &[named::<HttpPostForwardingCall>(), named::<LlmOutput>()]),
    (
        "data_collection",
        &[named::<RecordProxyLog>(), named::<RecordAnalytics>(), named::<RecordBudgetUsage>()],
    ),
    ("proxy_log", &[named::<RecordProxyLog>()]),
    ("analytics", &[named::<RecordAnalytics>()]),
    ("budget", &[named::<RecordBudgetUsage>()]),
];

/// The hooks that a word means; none where it is no such word, but a hook's own name or something a plugin offers.
#[must_use]
pub fn of_word(word: &str) -> &'static [Named] {
    PROCESS_WORDS.iter().find(|(known, _)| *known == word).map_or(&[], |(_, hooks)| hooks)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::HookTable;

    #[test]
    fn no_word_is_a_hooks_name_and_each_means_hooks_of_the_table() {
        let table = HookTable::standard();
        for (word, hooks) in PROCESS_WORDS {
            assert_eq!(table.id(word), None, "{word}");
            assert!(hooks.iter().all(|(id, name)| table.id(name) == Some(*id)), "{word}");
        }
        assert_eq!(of_word("on_response").len(), 2);
        assert!(of_word("custom_endpoint").is_empty() && of_word("http_pre_request").is_empty());
    }
}
