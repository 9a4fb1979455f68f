//! One circuit: closed, open, or half open with one call trying.
//!
//! A state machine over times it is given. Who enters holds a [`Pass`] until the call is over; a pass that is dropped
//! without a result (the client left, another plugin refused) gives its place back, so that a half-open circuit cannot
//! wait for ever. A pass belongs to the period in which it was given: what began before the circuit opened has no say
//! in whether it closes. Calls are counted in slots of a ring, so memory does not grow with traffic.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

/// Slots into which a window is divided.
const SLOTS: u64 = 30;

/// When a circuit opens and for how long. Times are nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rules {
    /// Share of failures at which it opens.
    pub error_rate: f64,
    /// Length of the window in which calls are counted.
    pub window: u64,
    /// Calls in the window before the share counts.
    pub min_calls: u32,
    /// Failures in a row at which it opens.
    pub consecutive: u32,
    /// How long it stays open.
    pub cooldown: u64,
}

/// Why a call may not enter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// It is open until then.
    Open(u64),
    /// It is half open, and another call is trying.
    Probing,
}

/// How a circuit stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Calls in the window.
    pub calls: u32,
    /// Failures among them.
    pub failures: u32,
    /// Failures in a row.
    pub consecutive: u32,
    /// Until when it is open; 0 where it is not.
    pub open_until: u64,
    /// Whether it is half open.
    pub half_open: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed,
    Open { until: u64 },
    HalfOpen { probing: bool },
}

#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    /// Which slot of time it counts; older ones are over.
    number: u64,
    calls: u32,
    failures: u32,
}

#[derive(Debug)]
struct Inner {
    state: State,
    /// Counts changes of state.
    period: u64,
    consecutive: u32,
    slots: [Slot; SLOTS as usize],
}

/// The circuit of one tool.
#[derive(Debug)]
pub struct Circuit(Mutex<Inner>);

/// What a circuit leaves to its successor.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Left {
    calls: u32,
    failures: u32,
    consecutive: u32,
    /// Half-open ones are open until now.
    open_until: Option<u64>,
}

impl Default for Circuit {
    fn default() -> Self {
        Self(Mutex::new(Inner {
            state: State::Closed,
            period: 0,
            consecutive: 0,
            slots: [Slot::default(); SLOTS as usize],
        }))
    }
}

/// Leave to make one call. Dropping it without [`Pass::settle`] gives the place back.
#[derive(Debug)]
pub struct Pass {
    circuit: Arc<Circuit>,
    period: u64,
    settled: bool,
}

impl Pass {
    /// Whether it is of this circuit.
    #[must_use]
    pub fn is_of(&self, circuit: &Arc<Circuit>) -> bool {
        Arc::ptr_eq(&self.circuit, circuit)
    }

    /// Says how the call went; answers how the circuit stands then.
    pub fn settle(mut self, rules: &Rules, now: u64, failed: bool) -> Standing {
        self.settled = true;
        let mut inner = self.circuit.lock();
        if inner.period == self.period {
            inner.settle(rules, now, failed);
        }
        inner.standing(rules, now)
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if self.settled {
            return;
        }
        let mut inner = self.circuit.lock();
        if inner.period == self.period && inner.state == (State::HalfOpen { probing: true }) {
            inner.state = State::HalfOpen { probing: false };
        }
    }
}

impl Circuit {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for leave to make a call.
    ///
    /// # Errors
    /// It is open, or half open with another call trying.
    pub fn enter(self: &Arc<Self>, now: u64) -> Result<Pass, Refused> {
        let mut inner = self.lock();
        match inner.state {
            State::Closed => {}
            State::Open { until } if now < until => return Err(Refused::Open(until)),
            State::HalfOpen { probing: true } => return Err(Refused::Probing),
            State::Open { .. } => inner.become_(State::HalfOpen { probing: true }),
            State::HalfOpen { probing: false } => inner.state = State::HalfOpen { probing: true },
        }
        Ok(Pass { circuit: self.clone(), period: inner.period, settled: false })
    }

    /// Counts a call that never asked for leave.
    pub fn observe(&self, rules: &Rules, now: u64, failed: bool) -> Standing {
        let mut inner = self.lock();
        if inner.state == State::Closed {
            inner.settle(rules, now, failed);
        }
        inner.standing(rules, now)
    }

    /// How it stands.
    pub fn standing(&self, rules: &Rules, now: u64) -> Standing {
        self.lock().standing(rules, now)
    }

    /// Whether there is nothing to remember.
    pub fn is_idle(&self, rules: &Rules, now: u64) -> bool {
        let inner = self.lock();
        inner.state == State::Closed && inner.consecutive == 0 && inner.counts(rules, now).0 == 0
    }

    /// What a successor should know.
    pub fn leave(&self, rules: &Rules, now: u64) -> Left {
        let inner = self.lock();
        let (calls, failures) = inner.counts(rules, now);
        let open_until = match inner.state {
            State::Closed => None,
            State::Open { until } => Some(until),
            State::HalfOpen { .. } => Some(now),
        };
        Left { calls, failures, consecutive: inner.consecutive, open_until }
    }

    /// A circuit that goes on where another stopped; open for no longer than its own cooldown.
    pub fn inheriting(left: Left, rules: &Rules, now: u64) -> Self {
        let circuit = Self::default();
        {
            let mut inner = circuit.lock();
            inner.consecutive = left.consecutive;
            let number = now / rules.slot();
            inner.slots[(number % SLOTS) as usize] =
                Slot { number, calls: left.calls, failures: left.failures.min(left.calls) };
            if let Some(until) = left.open_until {
                inner.state = State::Open { until: until.min(now.saturating_add(rules.cooldown)) };
            }
        }
        circuit
    }
}

impl Rules {
    /// Length of a slot.
    fn slot(&self) -> u64 {
        (self.window / SLOTS).max(1)
    }
}

impl Inner {
    fn become_(&mut self, state: State) {
        self.state = state;
        self.period += 1;
    }

    fn settle(&mut self, rules: &Rules, now: u64, failed: bool) {
        let number = now / rules.slot();
        let slot = &mut self.slots[(number % SLOTS) as usize];
        if slot.number != number {
            *slot = Slot { number, ..Slot::default() };
        }
        slot.calls = slot.calls.saturating_add(1);
        slot.failures = slot.failures.saturating_add(u32::from(failed));
        self.consecutive = if failed { self.consecutive.saturating_add(1) } else { 0 };
        let trying = matches!(self.state, State::HalfOpen { .. });
        if trying && !failed {
            self.become_(State::Closed);
            (self.consecutive, self.slots) = (0, [Slot::default(); SLOTS as usize]);
        } else if failed && (trying || self.is_too_much(rules, now)) {
            self.become_(State::Open { until: now.saturating_add(rules.cooldown) });
        }
    }

    fn is_too_much(&self, rules: &Rules, now: u64) -> bool {
        let (calls, failures) = self.counts(rules, now);
        let many = calls >= rules.min_calls && f64::from(failures) / f64::from(calls) >= rules.error_rate;
        many || self.consecutive >= rules.consecutive
    }

    /// Calls and failures in the window.
    fn counts(&self, rules: &Rules, now: u64) -> (u32, u32) {
        let number = now / rules.slot();
        let within = |slot: &&Slot| slot.number <= number && number - slot.number < SLOTS;
        self.slots.iter().filter(within).fold((0, 0), |(calls, failures): (u32, u32), slot| {
            (calls.saturating_add(slot.calls), failures.saturating_add(slot.failures))
        })
    }

    fn standing(&self, rules: &Rules, now: u64) -> Standing {
        let (calls, failures) = self.counts(rules, now);
        let open_until = if let State::Open { until } = self.state { until } else { 0 };
        let half_open = matches!(self.state, State::HalfOpen { .. });
        Standing { calls, failures, consecutive: self.consecutive, open_until, half_open }
    }
}
