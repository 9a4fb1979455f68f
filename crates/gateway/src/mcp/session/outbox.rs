//! Messages to a client that belong to none of its requests: kept until it listens, then streamed.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use mortise_mcp::envelope::Message;
use mortise_mcp_transport::server::answer::EventSender;

/// Messages kept for a client that is not listening; the oldest go first.
const KEPT: usize = 256;

/// How long a client may be slower than its messages before its stream is given up.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Default)]
struct Inner {
    stream: Option<EventSender>,
    kept: VecDeque<Bytes>,
    closed: bool,
}

/// The way to a client's own event stream.
#[derive(Default)]
pub struct Outbox(Mutex<Inner>);

impl Outbox {
    /// Whether the client listens.
    pub fn is_open(&self) -> bool {
        self.lock().stream.as_ref().is_some_and(|stream| !stream.is_gone())
    }

    /// Streams to `stream` from now on; what was kept goes first. False where the client listens already.
    pub async fn open(&self, stream: EventSender) -> bool {
        loop {
            let next = {
                let mut inner = self.lock();
                if inner.stream.as_ref().is_some_and(|stream| !stream.is_gone()) || inner.closed {
                    return false;
                }
                match inner.kept.pop_front() {
                    Some(next) => next,
                    None => {
                        inner.stream = Some(stream);
                        return true;
                    }
                }
            };
            if stream.send(None, &next).await.is_err() {
                return true;
            }
        }
    }

    /// Sends or keeps a message.
    pub async fn send(&self, message: Message) {
        let text = message.to_bytes();
        let stream = self.lock().stream.clone();
        if let Some(stream) = stream {
            match tokio::time::timeout(PATIENCE, stream.send(None, &text)).await {
                Ok(Ok(())) => return,
                _ => self.lock().stream = None,
            }
        }
        let mut inner = self.lock();
        if inner.closed {
            return;
        }
        if inner.kept.len() == KEPT {
            inner.kept.pop_front();
        }
        inner.kept.push_back(text);
    }

    /// Ends the stream.
    pub fn close(&self) {
        let mut inner = self.lock();
        inner.closed = true;
        inner.stream = None;
        inner.kept.clear();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
