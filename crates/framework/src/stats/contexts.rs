//! How many requests have memory of plugins at the moment, and how many had.
//!
//! A request's memory is made when a plugin first writes to it and ends with the request, so nothing has to be
//! cleaned up by the clock; these counters show that nothing is left behind. They are of the whole process, as the
//! memory itself belongs to no framework, and a request whose plugins write nothing touches none of them.

use std::sync::LazyLock;

use mortise_telemetry::counts::Counts;

const BEGUN: usize = 0;
const ENDED: usize = 1;

static CONTEXTS: LazyLock<Counts<2>> = LazyLock::new(Counts::default);

/// Stands in the memory of a request while there is some.
#[derive(Debug)]
pub(crate) struct Held(());

impl Held {
    pub(crate) fn begin() -> Self {
        CONTEXTS.add(BEGUN, 1);
        Self(())
    }
}

impl Clone for Held {
    fn clone(&self) -> Self {
        Self::begin()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        CONTEXTS.add(ENDED, 1);
    }
}

/// Requests of this process whose plugins remember something at the moment.
pub fn active() -> u64 {
    // Ends first: what begins and ends between the two readings must not make it negative.
    let ended = CONTEXTS.total(ENDED);
    CONTEXTS.total(BEGUN).saturating_sub(ended)
}

/// Requests of this process that ended and took what plugins remembered with them.
pub fn ended() -> u64 {
    CONTEXTS.total(ENDED)
}
