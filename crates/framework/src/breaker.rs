//! The circuit breaker of a plugin: after failures in a row it is not called for a while, so that requests stop
//! waiting for what does not answer, and what is overloaded gets room to come back.
//!
//! Closed, open, half open. Open, calls are refused as "not available", and the plugin's mode decides what that means
//! for the request. When its time is up, exactly one call goes through as a probe: its success closes the breaker,
//! its failure opens it again for twice as long. A probe whose request is given up has shown nothing, and the next
//! call is the probe.
//!
//! All of it is one word, so that a closed breaker costs a look at a word nobody writes to. Only a probe may end the
//! half-open state: calls that began while the breaker was closed come back late and say nothing of now. Not here:
//! which failures count, which is decided where calls are made (`pipeline/call.rs`).

use std::{
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant, SystemTime},
};

/// What the breaker of a plugin goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Failures in a row that open it; 0 where there is no breaker. Default 5.
    pub failures: u32,
    /// How long it stays open at first; each failed probe doubles that, up to eight times. Default 30 s.
    pub cooldown: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { failures: 5, cooldown: Duration::from_secs(30) }
    }
}

impl Limits {
    /// No breaker.
    pub const OFF: Self = Self { failures: 0, cooldown: Duration::ZERO };

    /// Whether there is a breaker.
    pub fn is_on(self) -> bool {
        self.failures > 0
    }

    /// How long it stays open after this many failures in a row, in milliseconds.
    fn pause(self, failures: u64) -> u64 {
        let doublings = failures.saturating_sub(self.failures.into()).min(MOST_DOUBLINGS);
        millis(self.cooldown) << doublings
    }
}

/// Where a breaker stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stand {
    /// Calls go through.
    Closed,
    /// Calls are refused.
    Open,
    /// The next call is the probe, or the probe is under way.
    HalfOpen,
}

impl Stand {
    /// A stable word: `closed`, `open`, `half_open`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

/// What is to be seen of a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Where it stands.
    pub stand: Stand,
    /// Failures in a row, up to 65,535.
    pub failures: u32,
    /// When it last opened or closed; `None` where it never opened.
    pub since: Option<SystemTime>,
    /// How long it still refuses calls; zero unless it is open.
    pub remaining: Duration,
}

impl Reading {
    /// Why calls do not go through; `None` where they do.
    pub fn reason(&self) -> Option<String> {
        (self.stand != Stand::Closed).then(|| self.refusal())
    }

    /// The same for a call that was refused, wherever the breaker stands by now.
    pub(crate) fn refusal(&self) -> String {
        format!("its circuit breaker is open after {} failures in a row", self.failures)
    }
}

/// Doublings of the pause: eight times the first one is the longest.
const MOST_DOUBLINGS: u64 = 3;

const OPEN: u64 = 1 << 63;
const PROBING: u64 = 1 << 62;
/// Below the marks: failures in a row, then the millisecond until which it is open.
const UNTIL_BITS: u32 = 46;
const UNTIL: u64 = (1 << UNTIL_BITS) - 1;
const MOST_FAILURES: u64 = 0xffff;

fn failures_in(word: u64) -> u64 {
    (word >> UNTIL_BITS) & MOST_FAILURES
}

fn with_failures(failures: u64) -> u64 {
    failures.min(MOST_FAILURES) << UNTIL_BITS
}

fn open_until(failures: u64, until: u64) -> u64 {
    OPEN | with_failures(failures) | until.min(UNTIL)
}

/// The word, so that a model checker can put its own in.
pub(crate) trait Word: Default {
    fn load(&self) -> u64;
    fn exchange(&self, was: u64, is: u64) -> Result<u64, u64>;
}

// The word stands for nothing but itself, so no order towards other memory is needed.
impl Word for AtomicU64 {
    #[inline]
    fn load(&self) -> u64 {
        self.load(Relaxed)
    }

    fn exchange(&self, was: u64, is: u64) -> Result<u64, u64> {
        self.compare_exchange(was, is, Relaxed, Relaxed)
    }
}

/// Whether a call may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// As any other.
    Through,
    /// As the probe: the caller must [settle](Switch::settle) it.
    Probe,
    /// Not now.
    Refused,
}

/// What became of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Probed {
    Passed,
    Failed,
    /// Its request was given up.
    Abandoned,
}

/// The states and what leads from one to the other. Times are milliseconds since whenever.
#[derive(Debug, Default)]
pub(crate) struct Switch<W>(W);

impl<W: Word> Switch<W> {
    /// Whether a call need not ask.
    #[inline]
    pub(crate) fn is_closed(&self) -> bool {
        self.0.load() & OPEN == 0
    }

    /// Whether a success has nothing to reset.
    #[inline]
    pub(crate) fn is_clear(&self) -> bool {
        self.0.load() == 0
    }

    /// Replaces the word by what `next` makes of it; says what it was.
    fn change(&self, mut next: impl FnMut(u64) -> Option<u64>) -> Result<u64, u64> {
        let mut word = self.0.load();
        loop {
            let Some(becomes) = next(word) else { return Err(word) };
            match self.0.exchange(word, becomes) {
                Ok(was) => return Ok(was),
                Err(now) => word = now,
            }
        }
    }

    /// Asks whether a call may be made.
    pub(crate) fn admit(&self, now: u64) -> Admission {
        let probe = |word: u64| {
            let due = word & OPEN != 0 && word & PROBING == 0 && word & UNTIL <= now;
            due.then(|| OPEN | PROBING | with_failures(failures_in(word)))
        };
        match self.change(probe) {
            Ok(_) => Admission::Probe,
            Err(word) if word & OPEN == 0 => Admission::Through,
            Err(_) => Admission::Refused,
        }
    }

    /// Counts a failure of a call that is no probe; says whether that opened the breaker.
    pub(crate) fn failed(&self, limits: Limits, now: u64) -> bool {
        let count = |word: u64| {
            let failures = failures_in(word) + 1;
            let opens = failures >= u64::from(limits.failures);
            (word & OPEN == 0).then(|| {
                if opens {
                    open_until(failures, now + limits.pause(failures))
                } else {
                    with_failures(failures)
                }
            })
        };
        let before = self.change(count);
        before.is_ok_and(|word| failures_in(word) + 1 >= u64::from(limits.failures))
    }

    /// A call that is no probe succeeded: failures are no longer in a row.
    pub(crate) fn passed(&self) {
        let _ = self.change(|word| (word & OPEN == 0 && word != 0).then_some(0));
    }

    /// Closes it, since it counts for nothing any more. A probe under way stays one.
    pub(crate) fn reset(&self) {
        let _ = self.change(|word| (word & PROBING == 0 && word != 0).then_some(0));
    }

    /// Ends the half-open state; for the probe alone.
    pub(crate) fn settle(&self, probed: Probed, limits: Limits, now: u64) {
        let _ = self.change(|word| {
            let failures = failures_in(word);
            (word & PROBING != 0).then(|| match probed {
                Probed::Passed => 0,
                Probed::Failed => open_until(failures + 1, now + limits.pause(failures + 1)),
                Probed::Abandoned => open_until(failures, now),
            })
        });
    }

    fn reading(&self, now: u64) -> (Stand, u32, Duration) {
        let word = self.0.load();
        let remaining = if word & PROBING == 0 { (word & UNTIL).saturating_sub(now) } else { 0 };
        let stand = match (word & OPEN != 0, remaining) {
            (false, _) => Stand::Closed,
            (true, 0) => Stand::HalfOpen,
            (true, _) => Stand::Open,
        };
        (stand, u32::try_from(failures_in(word)).unwrap_or(u32::MAX), Duration::from_millis(remaining))
    }
}

/// A plugin's breaker. Belongs to the running plugin, so all its hooks share it and it outlives snapshots.
#[derive(Debug, Default)]
pub(crate) struct Breaker {
    pub(crate) switch: Switch<AtomicU64>,
    /// When it last opened or closed, 0 for never; only to be shown.
    changed: AtomicU64,
}

impl Breaker {
    /// Notes that it opened or closed just now.
    pub(crate) fn note_change(&self, now: u64) {
        self.changed.store(now, Relaxed);
    }

    pub(crate) fn read(&self) -> Reading {
        let now = now();
        let (stand, failures, remaining) = self.switch.reading(now);
        let changed = self.changed.load(Relaxed);
        let since =
            (changed > 0).then(|| SystemTime::now() - Duration::from_millis(now.saturating_sub(changed)));
        Reading { stand, failures, since, remaining }
    }
}

/// Milliseconds since some moment before the program began, never 0. The runtime's clock, which tests can move.
pub(crate) fn now() -> u64 {
    /// A test's clock may stand still from before the first look at it.
    const BEFORE: Duration = Duration::from_secs(24 * 60 * 60);
    static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
    let began = *BEGAN;
    millis((tokio::time::Instant::now().into_std() + BEFORE).saturating_duration_since(began)).max(1)
}

fn millis(time: Duration) -> u64 {
    // Two thousand years; leaves room for doubling.
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX).min(UNTIL)
}

#[cfg(test)]
mod tests;
