//! The LLM surface: requests to models, in the vendors' own wire formats, through the same plugins as everything else.
//!
//! A request is read whole, since its model decides where it may go, and looked at once, at its outermost level; what
//! nobody changes goes to the vendor as the bytes it came in as. The answer goes back as it comes: no task, no queue and
//! no copy where no plugin wants to see it. Where one does, texts pass through its windows before they go out, or the
//! answer is held until it is whole, as the plugin says of itself.
//!
//! What the wire formats are is the matter of the crate `mortise-llm`; this module knows sockets, callers and plugins.

mod account;
mod ask;
mod attempt;
mod call;
mod checks;
mod choose;
mod generated;
mod guard;
mod guarded;
mod headers;
mod ledger;
mod listing;
pub(crate) mod metrics;
mod passing;
mod place;
mod record;
mod refusal;
mod spoken;
mod table;
mod turned;

#[cfg(test)]
mod tests;

use std::{path::Path, sync::Arc, time::Duration};

use ledger::Ledger;
use record::Recorder;

pub(crate) use ask::Ask;
pub(crate) use call::family_at;
pub(crate) use place::Place;
pub(crate) use refusal::{RefusedBy, refused, unauthorized};
pub use table::{LlmError, Llms};

/// How long a client may take to send a body.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);

/// The surface: what all its requests share, whatever the configuration.
pub struct LlmSurface {
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) recorder: Recorder,
}

impl LlmSurface {
    /// A surface that keeps what apps have spent in this folder.
    #[must_use]
    pub fn new(state_dir: &Path) -> Arc<Self> {
        Arc::new(Self { ledger: Ledger::open(state_dir), recorder: Recorder::default() })
    }

    /// Writes down what apps have spent, now and then, for ever.
    pub async fn keep(&self) {
        self.ledger.keep().await;
    }

    /// Waits for records that are still on their way, `patience` at most, and writes down what apps have spent.
    pub async fn stop(&self, patience: Duration) {
        self.recorder.stop(patience).await;
        self.ledger.write().await;
    }
}

impl std::fmt::Debug for LlmSurface {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LlmSurface").field("recorder", &self.recorder).finish_non_exhaustive()
    }
}
