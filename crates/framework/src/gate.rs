//! The door in front of a plugin that has state to hand over.
//!
//! What a limiter counted must not be counted beside what it handed over, so its successor may only start once no
//! call is under way, and no call may come in between. Every call passes the gate; closing it lets those inside
//! finish and keeps further ones waiting until the gate opens again or says who takes the calls now. Calls of a
//! request that began under the old configuration go to the successor too: state is in one place at any time.
//!
//! Passing costs two additions to one word, and only plugins that hand something over have a gate. Not here: what is
//! handed over and when, which is the matter of [`crate::stage`].

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::AcqRel, Ordering::Acquire},
    },
    time::Duration,
};

use tokio::sync::{Notify, oneshot};

use crate::instance::Instance;

/// Set while the gate is closed; the bits below count the calls inside.
const CLOSED: usize = 1 << (usize::BITS - 1);

enum Stand {
    Open,
    /// And who waits.
    Closed(Vec<oneshot::Sender<Inside>>),
    Moved(Arc<Instance>),
}

/// One plugin's gate.
pub(crate) struct Gate {
    calls: AtomicUsize,
    drained: Notify,
    /// Looked at only by calls that found the gate closed.
    stand: Mutex<Stand>,
}

/// A call inside.
pub(crate) struct Pass<'a>(&'a Gate);

/// A call that was held, now inside the successor: let in before anybody could close that one's gate too, so that a
/// call is held for one hand-over at most.
pub(crate) struct Inside(pub(crate) Arc<Instance>);

/// Where a call goes that found the gate closed.
pub(crate) enum Way {
    /// Through this gate after all.
    Here,
    /// To the successor.
    There(Arc<Instance>),
    /// It is there already.
    Inside(Inside),
}

impl Default for Gate {
    fn default() -> Self {
        Self { calls: AtomicUsize::new(0), drained: Notify::new(), stand: Mutex::new(Stand::Open) }
    }
}

impl Gate {
    /// Lets a call in, unless the gate is closed.
    #[inline]
    pub(crate) fn enter(&self) -> Option<Pass<'_>> {
        let before = self.calls.fetch_add(1, AcqRel);
        // A call that finds the gate closed backs out by dropping its pass.
        let pass = Pass(self);
        (before & CLOSED == 0).then_some(pass)
    }

    /// Waits until it is clear where a call goes that found the gate closed.
    pub(crate) async fn way(&self) -> Way {
        let held = {
            match &mut *self.stand() {
                Stand::Open => return Way::Here,
                Stand::Moved(successor) => return Way::There(successor.clone()),
                Stand::Closed(waiting) => {
                    let (sender, receiver) = oneshot::channel();
                    waiting.push(sender);
                    receiver
                }
            }
        };
        // Nobody to tell means that the gate has opened again.
        held.await.map_or(Way::Here, Way::Inside)
    }

    /// Keeps calls out from now on and waits for those inside, at most `patience`. Returns how many are left.
    pub(crate) async fn close(&self, patience: Duration) -> usize {
        *self.stand() = Stand::Closed(Vec::new());
        self.calls.fetch_or(CLOSED, AcqRel);
        let empty = async {
            loop {
                // The permit of a notification that comes between look and wait is kept.
                if self.inside() == 0 {
                    return;
                }
                self.drained.notified().await;
            }
        };
        match tokio::time::timeout(patience, empty).await {
            // Once it was empty nobody is inside, although calls that back out are counted for a moment.
            Ok(()) => 0,
            Err(_) => self.inside(),
        }
    }

    /// Lets calls in again.
    pub(crate) fn open(&self) {
        self.calls.fetch_and(!CLOSED, AcqRel);
        *self.stand() = Stand::Open;
    }

    /// Sends those that wait, and all later calls, to a successor. The gate stays closed.
    pub(crate) fn moved(&self, successor: &Arc<Instance>) {
        let before = std::mem::replace(&mut *self.stand(), Stand::Moved(successor.clone()));
        if let Stand::Closed(waiting) = before {
            for held in waiting {
                // One that has stopped waiting gives its place back by being dropped.
                let _ = held.send(Inside::new(successor.clone()));
            }
        }
    }

    fn leave(&self) {
        if self.calls.fetch_sub(1, AcqRel) == CLOSED | 1 {
            self.drained.notify_one();
        }
    }

    fn inside(&self) -> usize {
        self.calls.load(Acquire) & !CLOSED
    }

    fn stand(&self) -> MutexGuard<'_, Stand> {
        self.stand.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        self.0.leave();
    }
}

impl Inside {
    /// Lets a call in whose gate cannot be closed at this moment: the change it belongs to is not finished.
    fn new(instance: Arc<Instance>) -> Self {
        if let Some(gate) = instance.gate() {
            gate.calls.fetch_add(1, AcqRel);
        }
        Self(instance)
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        if let Some(gate) = self.0.gate() {
            gate.leave();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

    use super::*;

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
                let (gate, inside, entered, stop) =
                    (gate.clone(), inside.clone(), entered.clone(), stop.clone());
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
}
