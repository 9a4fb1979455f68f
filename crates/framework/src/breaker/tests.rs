//! The breaker against a model of it, step by step, and under every order in which threads can meet.

use loom::sync::atomic as loomed;
use proptest::prelude::*;

use super::*;

impl Word for loomed::AtomicU64 {
    fn load(&self) -> u64 {
        self.load(Relaxed)
    }

    fn exchange(&self, was: u64, is: u64) -> Result<u64, u64> {
        self.compare_exchange(was, is, Relaxed, Relaxed)
    }
}

/// What a breaker is, said as plainly as possible.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Model {
    Closed { failures: u64 },
    Open { failures: u64, until: u64 },
    Probing { failures: u64 },
}

impl Model {
    fn pause(limits: Limits, failures: u64) -> u64 {
        let mut pause = limits.cooldown.as_millis() as u64;
        for _ in u64::from(limits.failures)..failures.min(u64::from(limits.failures) + 3) {
            pause *= 2;
        }
        pause
    }

    fn admit(&mut self, now: u64) -> Admission {
        match *self {
            Self::Closed { .. } => Admission::Through,
            Self::Open { failures, until } if until <= now => {
                *self = Self::Probing { failures };
                Admission::Probe
            }
            _ => Admission::Refused,
        }
    }

    fn failed(&mut self, limits: Limits, now: u64) -> bool {
        let Self::Closed { failures } = *self else { return false };
        let failures = failures + 1;
        let opens = failures >= u64::from(limits.failures);
        *self = if opens {
            Self::Open { failures, until: now + Self::pause(limits, failures) }
        } else {
            Self::Closed { failures }
        };
        opens
    }

    fn passed(&mut self) {
        if matches!(self, Self::Closed { .. }) {
            *self = Self::Closed { failures: 0 };
        }
    }

    fn settle(&mut self, probed: Probed, limits: Limits, now: u64) {
        let Self::Probing { failures } = *self else { panic!("no probe is under way") };
        *self = match probed {
            Probed::Passed => Self::Closed { failures: 0 },
            Probed::Failed => {
                Self::Open { failures: failures + 1, until: now + Self::pause(limits, failures + 1) }
            }
            Probed::Abandoned => Self::Open { failures, until: now },
        };
    }

    fn stand(&self, now: u64) -> Stand {
        match *self {
            Self::Closed { .. } => Stand::Closed,
            Self::Open { until, .. } if until > now => Stand::Open,
            _ => Stand::HalfOpen,
        }
    }
}

#[derive(Debug, Clone)]
enum Act {
    /// A call asks, and if it is a probe, ends so.
    Call(Probed),
    Failed,
    Passed,
    Wait(u64),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        2 => prop_oneof![Just(Probed::Passed), Just(Probed::Failed), Just(Probed::Abandoned)].prop_map(Act::Call),
        3 => Just(Act::Failed),
        1 => Just(Act::Passed),
        1 => (0_u64..400).prop_map(Act::Wait),
    ]
}

proptest! {
    #[test]
    fn it_does_what_the_model_does(
        failures in 1_u32..6,
        cooldown in 0_u64..100,
        acts in prop::collection::vec(act(), 1..80),
    ) {
        let limits = Limits { failures, cooldown: Duration::from_millis(cooldown) };
        let (switch, mut now) = (Switch::<AtomicU64>::default(), 1000);
        let mut model = Model::Closed { failures: 0 };
        // A probe that is still under way, and how it will end.
        let mut probe: Option<Probed> = None;
        for act in acts {
            match act {
                Act::Call(end) => {
                    if let Some(probed) = probe.take() {
                        switch.settle(probed, limits, now);
                        model.settle(probed, limits, now);
                    }
                    let admission = switch.admit(now);
                    prop_assert_eq!(admission, model.admit(now));
                    probe = (admission == Admission::Probe).then_some(end);
                }
                Act::Failed => prop_assert_eq!(switch.failed(limits, now), model.failed(limits, now)),
                Act::Passed => {
                    switch.passed();
                    model.passed();
                }
                Act::Wait(millis) => now += millis,
            }
            prop_assert_eq!(switch.reading(now).0, model.stand(now));
            prop_assert_eq!(switch.is_closed(), matches!(model, Model::Closed { .. }));
            prop_assert_eq!(switch.is_clear(), model == Model::Closed { failures: 0 });
        }
    }
}

const ONE: Limits = Limits { failures: 1, cooldown: Duration::from_millis(10) };

/// A breaker whose pause is over.
fn due() -> loom::sync::Arc<Switch<loomed::AtomicU64>> {
    let switch = Switch::default();
    assert!(switch.failed(ONE, 0));
    loom::sync::Arc::new(switch)
}

#[test]
fn of_calls_that_meet_a_half_open_breaker_exactly_one_is_the_probe() {
    loom::model(|| {
        let switch = due();
        let others: Vec<_> = (0..2)
            .map(|_| {
                let switch = switch.clone();
                loom::thread::spawn(move || switch.admit(10))
            })
            .collect();
        let mut met = vec![switch.admit(10)];
        met.extend(others.into_iter().map(|thread| thread.join().unwrap()));
        assert_eq!(met.iter().filter(|admission| **admission == Admission::Probe).count(), 1);
        assert_eq!(met.iter().filter(|admission| **admission == Admission::Refused).count(), 2);
    });
}

#[test]
fn two_probes_are_never_under_way_whatever_late_calls_report() {
    // All orders with up to three preemptions: all of them take ten times as long, and hold too.
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let switch = due();
        let under_way = loom::sync::Arc::new(loomed::AtomicUsize::new(0));
        let late = {
            let switch = switch.clone();
            loom::thread::spawn(move || {
                // Calls from before it opened come back while the probe is under way.
                switch.failed(ONE, 10);
                switch.passed();
            })
        };
        let probing = |switch: &Switch<loomed::AtomicU64>, under_way: &loomed::AtomicUsize, end| {
            if switch.admit(10) == Admission::Probe {
                assert_eq!(under_way.fetch_add(1, loomed::Ordering::SeqCst), 0, "two probes");
                under_way.fetch_sub(1, loomed::Ordering::SeqCst);
                switch.settle(end, ONE, 10);
            }
        };
        let other = {
            let (switch, under_way) = (switch.clone(), under_way.clone());
            loom::thread::spawn(move || probing(&switch, &under_way, Probed::Abandoned))
        };
        probing(&switch, &under_way, Probed::Passed);
        late.join().unwrap();
        other.join().unwrap();
    });
}

#[test]
fn failures_at_the_same_time_are_all_counted_and_open_it_once() {
    loom::model(|| {
        let limits = Limits { failures: 2, ..ONE };
        let switch = loom::sync::Arc::new(Switch::<loomed::AtomicU64>::default());
        let other = {
            let switch = switch.clone();
            loom::thread::spawn(move || switch.failed(limits, 0))
        };
        let opened = [switch.failed(limits, 0), other.join().unwrap()];
        assert_eq!(opened.iter().filter(|opened| **opened).count(), 1);
        assert!(!switch.is_closed());
    });
}

#[test]
fn each_failed_probe_doubles_the_pause_up_to_eight_times() {
    let limits = Limits { failures: 2, cooldown: Duration::from_millis(100) };
    let switch = Switch::<AtomicU64>::default();
    assert!(!switch.failed(limits, 0));
    assert!(switch.failed(limits, 0));
    let mut now = 0;
    for pause in [100, 200, 400, 800, 800] {
        assert_eq!(switch.admit(now + pause - 1), Admission::Refused);
        now += pause;
        assert_eq!(switch.admit(now), Admission::Probe);
        switch.settle(Probed::Failed, limits, now);
    }
}
