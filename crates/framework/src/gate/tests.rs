//! The gate under every order in which threads can meet, and under real threads.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed, Ordering::SeqCst};

use loom::sync::atomic as loomed;

use super::*;

impl Word for loomed::AtomicUsize {
    fn load(&self) -> usize {
        self.load(Acquire)
    }

    fn add(&self, calls: usize) -> usize {
        self.fetch_add(calls, AcqRel)
    }

    fn sub(&self, calls: usize) -> usize {
        self.fetch_sub(calls, AcqRel)
    }

    fn set(&self, mark: usize) {
        self.fetch_or(mark, AcqRel);
    }

    fn unset(&self, mark: usize) {
        self.fetch_and(!mark, AcqRel);
    }
}

/// A gate as the model checker sees it, and behind it state that calls look at together and its hand-over takes alone:
/// the checker fails where the two overlap, or where the hand-over need not see what a call before it did.
struct Modelled {
    calls: Count<loomed::AtomicUsize>,
    drained: loom::sync::Notify,
    state: loom::cell::UnsafeCell<()>,
    served: loomed::AtomicUsize,
}

impl Modelled {
    fn new() -> loom::sync::Arc<Self> {
        loom::sync::Arc::new(Self {
            calls: Count::default(),
            drained: loom::sync::Notify::new(),
            state: loom::cell::UnsafeCell::new(()),
            served: loomed::AtomicUsize::new(0),
        })
    }

    /// A call; says whether it was let in.
    fn call(&self) -> bool {
        let let_in = self.calls.enter();
        if let_in {
            self.state.with(|_| self.served.fetch_add(1, Relaxed));
        }
        if self.calls.leave() {
            self.drained.notify();
        }
        let_in
    }

    /// As `Gate::close` waits.
    fn close(&self) {
        self.calls.close();
        while self.calls.inside() > 0 {
            self.drained.wait();
        }
    }
}

/// Some calls while the gate is closed, its state taken and the gate opened again, in every order.
fn calls_meet_a_hand_over(callers: usize, then_opens: bool) {
    let mut model = loom::model::Builder::new();
    // All orders with up to three preemptions: more of them take minutes.
    model.preemption_bound = Some(3);
    model.check(move || {
        let gate = Modelled::new();
        let callers: Vec<_> = (0..callers)
            .map(|_| {
                let gate = gate.clone();
                loom::thread::spawn(move || usize::from(gate.call()))
            })
            .collect();
        gate.close();
        gate.state.with_mut(|_| ());
        let taken_over = gate.served.load(Relaxed);
        if then_opens {
            gate.calls.open();
        }
        let let_in: usize = callers.into_iter().map(|caller| caller.join().unwrap()).sum();
        assert_eq!(gate.served.load(Relaxed), let_in, "who was let in was served, and nobody else");
        if !then_opens {
            assert_eq!(taken_over, let_in, "nothing is done after the state was taken");
            assert!(!gate.call(), "nobody comes in any more");
        }
        assert_eq!(gate.calls.inside(), 0);
    });
}

#[test]
fn state_is_taken_after_every_call_that_was_let_in_and_no_wake_up_is_lost() {
    calls_meet_a_hand_over(2, false);
}

#[test]
fn gate_that_opens_again_lets_calls_in_after_the_state_was_taken_and_not_meanwhile() {
    calls_meet_a_hand_over(2, true);
}

#[tokio::test]
async fn closing_waits_for_the_calls_inside_and_keeps_others_out() {
    let gate = Gate::default();
    let pass = gate.enter().unwrap();
    assert_eq!(gate.close(Duration::ZERO).await, 1);
    assert!(gate.enter().is_none());
    drop(pass);
    assert_eq!(gate.close(Duration::from_secs(5)).await, 0);
    gate.open();
    assert!(gate.enter().is_some());
    assert!(matches!(gate.way().await, Way::Here));
}

/// Threads enter and leave as fast as they can while the gate closes and opens again and again: whenever it is
/// closed and drained, nobody is inside.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_inside_a_drained_gate() {
    let gate = Arc::new(Gate::default());
    let (inside, entered) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let stop = Arc::new(AtomicBool::new(false));
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let (gate, inside, entered, stop) = (gate.clone(), inside.clone(), entered.clone(), stop.clone());
            std::thread::spawn(move || {
                while !stop.load(SeqCst) {
                    if let Some(_pass) = gate.enter() {
                        inside.fetch_add(1, SeqCst);
                        entered.fetch_add(1, SeqCst);
                        std::hint::spin_loop();
                        inside.fetch_sub(1, SeqCst);
                    }
                }
            })
        })
        .collect();
    for _ in 0..500 {
        let before = entered.load(SeqCst);
        // Somebody comes in while it is open, however few processors there are.
        while entered.load(SeqCst) == before {
            std::thread::yield_now();
        }
        assert_eq!(gate.close(Duration::from_secs(20)).await, 0);
        assert_eq!(inside.load(SeqCst), 0);
        gate.open();
    }
    stop.store(true, SeqCst);
    for thread in threads {
        thread.join().unwrap();
    }
}
