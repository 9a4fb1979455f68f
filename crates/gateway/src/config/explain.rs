//! `explain`: what is kept of calls so that they can be explained.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is kept of the last calls, for `mortise explain` and `mortise top`: which plugins ran, how long they took, what
/// each changed, and who blocked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ExplainConfig {
    /// How many of the last calls are kept at which something happened (a plugin changed or blocked, an error), each about
    /// a kilobyte beside its payloads; of those that passed untouched, each worker keeps an eighth, and never fewer than
    /// 64 of so many. 0 keeps none, and calls are not followed. Default 1,000.
    #[schemars(range(max = 100_000))]
    pub keep: usize,
    /// Most bytes of payloads that are kept with them; past that fewer calls are kept. Payloads are kept only where a
    /// plugin changed them. Default 16,777,216 (16 MiB).
    pub max_bytes: usize,
    /// Whether an explanation shows the text that a plugin changed, before and after, and the description and details of
    /// violations. Without it, only where the text stood and how long it was, and the violation's code and reason.
    /// Default false.
    pub show_text: bool,
}

impl Default for ExplainConfig {
    fn default() -> Self {
        Self { keep: 1_000, max_bytes: 16 << 20, show_text: false }
    }
}
