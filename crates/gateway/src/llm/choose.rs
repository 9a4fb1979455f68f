//! Which LLM a request goes to, where several could take it: by weight among those that are well.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use super::table::{Llm, Llms};

/// Failures in a row from which an LLM counts as away.
const TOO_MANY: u32 = 5;

/// How long it counts as away, from the last failure on.
const PAUSE: Duration = Duration::from_secs(10);

/// Whether an LLM answers.
#[derive(Debug, Default)]
pub(crate) struct Health {
    failures: AtomicU32,
    /// Milliseconds after the first use of the clock.
    failed_at: AtomicU64,
}

fn now() -> u64 {
    static START: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
    u64::try_from(START.elapsed().as_millis()).unwrap_or(u64::MAX)
}

impl Health {
    pub(super) fn answered(&self) {
        if self.failures.load(Relaxed) != 0 {
            self.failures.store(0, Relaxed);
        }
    }

    pub(super) fn failed(&self) {
        self.failures.fetch_add(1, Relaxed);
        self.failed_at.store(now(), Relaxed);
    }

    pub(super) fn is_well(&self) -> bool {
        let pause = u64::try_from(PAUSE.as_millis()).unwrap_or(u64::MAX);
        self.failures.load(Relaxed) < TOO_MANY || now().saturating_sub(self.failed_at.load(Relaxed)) > pause
    }
}

/// The LLM for a model, of those that speak what is asked in; `turn` numbers requests, so that weights come out even.
///
/// A model may be written `llm/model`, to say which one is meant: then the name that the vendor is asked for comes with it.
pub(super) fn by_model<'m>(
    llms: &Llms,
    may_use: impl Fn(&str) -> bool,
    speaks: impl Fn(&Llm) -> bool,
    model: Option<&'m str>,
    turn: u64,
) -> Option<(Arc<Llm>, Option<&'m str>)> {
    let usable = |llm: &&Arc<Llm>| speaks(llm) && may_use(&llm.name);
    if let Some((name, rest)) = model.and_then(|model| model.split_once('/'))
        && let Some(llm) = llms.get(name).filter(usable).filter(|llm| llm.has_model(rest))
    {
        return Some((llm.clone(), Some(rest)));
    }
    let takes = |llm: &&Arc<Llm>| match model {
        Some(model) => llm.has_model(model),
        None => llm.settings.default_model.is_some() || llm.settings.models.is_none(),
    };
    let fitting: Vec<&Arc<Llm>> = llms.all().iter().filter(usable).filter(takes).collect();
    let named: Vec<&Arc<Llm>> = fitting.iter().copied().filter(|llm| llm.settings.models.is_some()).collect();
    // One that names the model goes before those that take any.
    let fitting = if named.is_empty() { fitting } else { named };
    let well: Vec<&Arc<Llm>> = fitting.iter().copied().filter(|llm| llm.health.is_well()).collect();
    weighed(if well.is_empty() { &fitting } else { &well }, turn).map(|llm| (llm.clone(), None))
}

fn weighed<'l>(llms: &[&'l Arc<Llm>], turn: u64) -> Option<&'l Arc<Llm>> {
    let whole: u64 = llms.iter().map(|llm| u64::from(llm.settings.weight)).sum();
    let Some(mut at) = turn.checked_rem(whole) else { return llms.first().copied() };
    llms.iter().copied().find(|llm| match at.checked_sub(u64::from(llm.settings.weight)) {
        Some(rest) => {
            at = rest;
            false
        }
        None => true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_fails_in_a_row_is_away_until_it_answers() {
        let health = Health::default();
        for _ in 0..TOO_MANY {
            assert!(health.is_well());
            health.failed();
        }
        assert!(!health.is_well());
        health.answered();
        assert!(health.is_well());
    }
}
