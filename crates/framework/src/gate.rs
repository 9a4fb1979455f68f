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
        Arc,
        atomic::{AtomicUsize, Ordering::AcqRel, Ordering::Acquire},
    },
    time::Duration,
};

use tokio::sync::{Notify, watch};

use crate::instance::Instance;

/// Set while the gate is closed; the bits below count the calls inside.
const CLOSED: usize = 1 << (usize::BITS - 1);

#[derive(Clone)]
enum Stand {
    Open,
    Closed,
    Moved(Arc<Instance>),
}

/// One plugin's gate.
pub(crate) struct Gate {
    calls: AtomicUsize,
    drained: Notify,
    stand: watch::Sender<Stand>,
}

/// A call inside.
pub(crate) struct Pass<'a>(&'a Gate);

impl Default for Gate {
    fn default() -> Self {
        Self { calls: AtomicUsize::new(0), drained: Notify::new(), stand: watch::channel(Stand::Open).0 }
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

    /// Waits until calls go on: through this gate (`None`), or to a successor.
    pub(crate) async fn settled(&self) -> Option<Arc<Instance>> {
        let mut stand = self.stand.subscribe();
        let now = stand.wait_for(|stand| !matches!(stand, Stand::Closed)).await.map(|stand| stand.clone());
        match now {
            Ok(Stand::Moved(successor)) => Some(successor),
            // The sender is part of `self`, so there is no error.
            _ => None,
        }
    }

    /// Keeps calls out from now on and waits for those inside, at most `patience`. Returns how many are left.
    pub(crate) async fn close(&self, patience: Duration) -> usize {
        self.stand.send_replace(Stand::Closed);
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
        self.stand.send_replace(Stand::Open);
    }

    /// Sends those that wait, and all later calls, to a successor. The gate stays closed.
    pub(crate) fn moved(&self, successor: Arc<Instance>) {
        self.stand.send_replace(Stand::Moved(successor));
    }

    fn inside(&self) -> usize {
        self.calls.load(Acquire) & !CLOSED
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if self.0.calls.fetch_sub(1, AcqRel) == CLOSED | 1 {
            self.0.drained.notify_one();
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
        assert!(gate.settled().await.is_none());
    }

    /// Threads enter and leave as fast as they can while the gate closes and opens again and again: whenever it is
    /// closed and drained, nobody is inside.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn nobody_is_inside_a_drained_gate() {
        let (gate, inside, stop) =
            (Arc::new(Gate::default()), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let (gate, inside, stop) = (gate.clone(), inside.clone(), stop.clone());
                std::thread::spawn(move || {
                    let mut entered = 0_u64;
                    while !stop.load(SeqCst) {
                        if let Some(_pass) = gate.enter() {
                            inside.fetch_add(1, SeqCst);
                            entered += 1;
                            std::hint::spin_loop();
                            inside.fetch_sub(1, SeqCst);
                        }
                    }
                    entered
                })
            })
            .collect();
        for _ in 0..500 {
            assert_eq!(gate.close(Duration::from_secs(20)).await, 0);
            assert_eq!(inside.load(SeqCst), 0);
            gate.open();
            tokio::task::yield_now().await;
        }
        stop.store(true, SeqCst);
        let entered: u64 = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
        assert!(entered > 0);
    }
}
