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
mod bucket;
mod call;
mod checks;
mod choose;
mod generated;
mod guard;
mod guarded;
mod headers;
mod held;
mod ledger;
mod listing;
pub(crate) mod metrics;
mod passing;
mod place;
mod prices;
mod record;
mod refusal;
mod spoken;
mod table;
pub(crate) mod told;
mod turned;

#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use ledger::Ledger;
use record::Recorder;

use crate::{config::Records, storage::Storage};

pub(crate) use ask::Ask;
pub(crate) use call::family_at;
pub(crate) use place::Place;
pub(crate) use prices::Prices;
pub(crate) use refusal::{RefusedBy, refused, unauthorized};
pub use table::{LlmError, Llms};

/// How long a client may take to send a body.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);

/// The surface: what all its requests share, whatever the configuration.
pub struct LlmSurface {
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) recorder: Recorder,
    storage: Arc<Storage>,
}

impl LlmSurface {
    /// A surface that keeps what apps have spent, and records, in this storage.
    #[must_use]
    pub fn new(storage: Arc<Storage>) -> Arc<Self> {
        let (ledger, recorder) = (Ledger::new(storage.clone()), Recorder::new(storage.clone()));
        Arc::new(Self { ledger, recorder, storage })
    }

    /// Reads which limits were used up when an earlier run ended.
    pub async fn begin(&self) {
        self.ledger.begin().await;
    }

    /// Prices that are kept.
    pub(crate) fn prices(&self) -> Arc<Prices> {
        Arc::clone(&self.storage.prices())
    }

    /// Which records are kept.
    fn kept(&self) -> &Records {
        &self.storage.settings().records
    }

    /// Writes down what apps have spent, now and then, for ever.
    pub async fn keep(&self) {
        self.ledger.keep().await;
    }

    /// Waits for records that are still on their way, `patience` at most, and writes down what apps have spent.
    pub async fn stop(&self, patience: Duration) {
        let ending = async { tokio::join!(self.recorder.stop(patience), self.ledger.stop()) };
        if tokio::time::timeout(patience, ending).await.is_err() {
            tracing::warn!("what the last calls have spent was not written down in time");
        }
    }
}

impl std::fmt::Debug for LlmSurface {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LlmSurface").field("recorder", &self.recorder).finish_non_exhaustive()
    }
}
