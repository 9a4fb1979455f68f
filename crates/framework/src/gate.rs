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

/// The word, so that a model checker can put its own in.
trait Word: Default {
    fn load(&self) -> usize;
    fn add(&self, calls: usize) -> usize;
    fn sub(&self, calls: usize) -> usize;
    fn set(&self, mark: usize);
    fn unset(&self, mark: usize);
}

// Who finds the gate empty must see what those did who were inside, so leaving is a release and looking an acquire.
impl Word for AtomicUsize {
    #[inline]
    fn load(&self) -> usize {
        self.load(Acquire)
    }

    #[inline]
    fn add(&self, calls: usize) -> usize {
        self.fetch_add(calls, AcqRel)
    }

    #[inline]
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

/// The calls inside and whether the gate is closed, in one word: so a call that comes while it closes is either seen
/// by who closes it or sees that it is closed.
#[derive(Default)]
struct Count<W>(W);

impl<W: Word> Count<W> {
    /// Counts a call in; says whether the gate was open. One that found it closed must [leave](Self::leave) as well.
    #[inline]
    fn enter(&self) -> bool {
        self.0.add(1) & CLOSED == 0
    }

    /// Counts a call out; says whether it was the last in a closed gate.
    #[inline]
    fn leave(&self) -> bool {
        self.0.sub(1) == CLOSED | 1
    }

    fn close(&self) {
        self.0.set(CLOSED);
    }

    fn open(&self) {
        self.0.unset(CLOSED);
    }

    fn inside(&self) -> usize {
        self.0.load() & !CLOSED
    }
}

/// One plugin's gate.
pub(crate) struct Gate {
    calls: Count<AtomicUsize>,
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
        Self { calls: Count::default(), drained: Notify::new(), stand: Mutex::new(Stand::Open) }
    }
}

impl Gate {
    /// Lets a call in, unless the gate is closed.
    #[inline]
    pub(crate) fn enter(&self) -> Option<Pass<'_>> {
        let was_open = self.calls.enter();
        // A call that finds the gate closed backs out by dropping its pass.
        let pass = Pass(self);
        was_open.then_some(pass)
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
        self.calls.close();
        let empty = async {
            loop {
                // The permit of a notification that comes between look and wait is kept.
                if self.calls.inside() == 0 {
                    return;
                }
                self.drained.notified().await;
            }
        };
        match tokio::time::timeout(patience, empty).await {
            // Once it was empty nobody is inside, although calls that back out are counted for a moment.
            Ok(()) => 0,
            Err(_) => self.calls.inside(),
        }
    }

    /// Lets calls in again.
    pub(crate) fn open(&self) {
        self.calls.open();
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
        if self.calls.leave() {
            self.drained.notify_one();
        }
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
            // Whether it is open does not matter here.
            gate.calls.enter();
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
mod tests;
