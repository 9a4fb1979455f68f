//! Requests that wait for their answers.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mortise_mcp::envelope::{Message, Notification};
use mortise_mcp::raw::Raw;
use tokio::sync::{mpsc, oneshot};

use super::{PipeError, Shared};
use crate::upstream::{Outcome, Step, progress};

/// All open calls of a connection.
#[derive(Default)]
pub(super) struct Calls {
    last_id: AtomicU64,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    slots: HashMap<u64, Slot>,
    /// Set once the connection has ended; no call is opened after.
    ended: bool,
}

struct Slot {
    answer: oneshot::Sender<Result<Outcome, PipeError>>,
    progress: Option<Progress>,
}

struct Progress {
    token: Raw,
    queue: mpsc::Sender<Message>,
}

impl Calls {
    pub(super) fn next_id(&self) -> u64 {
        self.last_id.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(super) fn len(&self) -> usize {
        self.lock().slots.len()
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a call; with a progress `token`, it also gets the progress made.
    pub(super) fn open(
        &self,
        shared: &Arc<Shared>,
        id: u64,
        token: Option<Raw>,
    ) -> Result<PipeCall, PipeError> {
        let (answer, receiver) = oneshot::channel();
        let (progress, queue) = match token {
            Some(token) => {
                let (queue, receiver) = mpsc::channel(shared.config.progress_queue.max(1));
                (Some(Progress { token, queue }), Some(receiver))
            }
            None => (None, None),
        };
        {
            let mut open = self.lock();
            if open.ended {
                drop(open);
                return Err(shared.reason());
            }
            open.slots.insert(id, Slot { answer, progress });
        }
        let guard = CallGuard { shared: Arc::clone(shared), id, tell: false };
        Ok(PipeCall { guard, answer: receiver, progress: queue })
    }

    /// Gives a call its answer; `false` if nobody waits for it any more.
    pub(super) fn answer(&self, id: u64, outcome: Result<Outcome, PipeError>) -> bool {
        let slot = self.lock().slots.remove(&id);
        slot.is_some_and(|slot| slot.answer.send(outcome).is_ok())
    }

    /// Gives a call the progress made. Returns the notification if it belongs to no call.
    pub(super) fn progress(&self, id: u64, notification: Notification) -> Option<Notification> {
        let (queue, token) = {
            let open = self.lock();
            let Some(progress) = open.slots.get(&id).and_then(|slot| slot.progress.as_ref()) else {
                return Some(notification);
            };
            (progress.queue.clone(), progress.token.clone())
        };
        // A call that is slow to read loses progress, never its answer.
        let _ = queue.try_send(Message::Notification(progress::restore(notification, &token)));
        None
    }

    fn forget(&self, id: u64) -> bool {
        self.lock().slots.remove(&id).is_some()
    }

    pub(super) fn fail_all(&self, reason: &PipeError) {
        let slots = {
            let mut open = self.lock();
            open.ended = true;
            std::mem::take(&mut open.slots)
        };
        for slot in slots.into_values() {
            let _ = slot.answer.send(Err(reason.clone()));
        }
    }
}

/// A request on its way. Dropped before its answer, the other side is told that it is no longer wanted.
pub struct PipeCall {
    pub(super) guard: CallGuard,
    answer: oneshot::Receiver<Result<Outcome, PipeError>>,
    progress: Option<mpsc::Receiver<Message>>,
}

impl std::fmt::Debug for PipeCall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PipeCall").field("id", &self.guard.id).finish_non_exhaustive()
    }
}

impl PipeCall {
    /// The next progress notification, or the answer, after which it must not be asked again. Progress that
    /// came before the answer is given before it. Cancel safe.
    ///
    /// # Errors
    ///
    /// The connection ended, or the answer was too large.
    pub async fn next(&mut self) -> Result<Step, PipeError> {
        if let Some(progress) = &mut self.progress {
            tokio::select! {
                biased;
                Some(message) = progress.recv() => return Ok(Step::Interim(message)),
                answer = &mut self.answer => return self.finish(answer),
            }
        }
        let answer = (&mut self.answer).await;
        self.finish(answer)
    }

    fn finish(
        &self,
        answer: Result<Result<Outcome, PipeError>, oneshot::error::RecvError>,
    ) -> Result<Step, PipeError> {
        match answer {
            Ok(Ok(outcome)) => Ok(Step::Response(outcome)),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(self.guard.shared.reason()),
        }
    }
}

/// Frees the slot of a call, whatever became of it.
pub(super) struct CallGuard {
    shared: Arc<Shared>,
    id: u64,
    tell: bool,
}

impl CallGuard {
    /// Says that the request is on its way; `tell`: the other side is to hear of a cancel.
    pub(super) fn sent(&mut self, tell: bool) {
        self.tell = tell;
    }
}

impl Drop for CallGuard {
    fn drop(&mut self) {
        if self.shared.calls.forget(self.id) && self.tell {
            self.shared.try_send(&Self::cancelled(self.id));
        }
    }
}
