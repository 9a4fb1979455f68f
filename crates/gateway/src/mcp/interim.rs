//! Messages that go out before a request's answer, from the work of answering to whoever writes the stream.
//!
//! Not a channel: writer and work are polled within one task, the writer polling the work whenever the queue is
//! empty. So nobody has to be woken, a full queue simply leaves the work waiting, and a request that sends no such
//! message, which is nearly every one, pays for an empty list.

use std::{
    collections::VecDeque,
    future::poll_fn,
    sync::{Arc, Mutex, PoisonError},
    task::Poll,
};

use mortise_mcp::envelope::Message;

/// Messages of an upstream that wait for a slow client before the upstream waits.
const ROOM: usize = 16;

/// The queue; clones share it.
#[derive(Clone, Default)]
pub(crate) struct Interim(Arc<Mutex<VecDeque<Box<Message>>>>);

impl Interim {
    /// Adds a message; waits while the queue is full.
    pub(crate) async fn send(&self, message: Message) {
        let mut message = Some(Box::new(message));
        poll_fn(|_| {
            let mut queue = self.queue();
            if queue.len() >= ROOM {
                // Whoever takes messages polls this again once it has taken them all.
                return Poll::Pending;
            }
            queue.extend(message.take());
            Poll::Ready(())
        })
        .await;
    }

    /// Takes the oldest message.
    pub(crate) fn take(&self) -> Option<Box<Message>> {
        self.queue().pop_front()
    }

    fn queue(&self) -> std::sync::MutexGuard<'_, VecDeque<Box<Message>>> {
        // Each critical section is one push or pop: a panic leaves no half-made state.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use mortise_mcp::envelope::Notification;

    use super::*;

    fn message(at: usize) -> Message {
        Message::Notification(Notification::new(format!("notifications/{at}"), None))
    }

    #[test]
    fn messages_come_out_in_order_and_a_full_queue_makes_its_filler_wait() {
        let queue = Interim::default();
        for at in 0..ROOM {
            queue.send(message(at)).now_or_never().expect("there is room");
        }
        let mut late = Box::pin(queue.send(message(ROOM)));
        assert!(late.as_mut().now_or_never().is_none());
        assert_eq!(*queue.take().unwrap(), message(0));
        assert!(late.now_or_never().is_some());
        for at in 1..=ROOM {
            assert_eq!(*queue.take().unwrap(), message(at));
        }
        assert!(queue.take().is_none());
    }
}
