//! A streamed answer for native authors: they write, the gateway reads.
//!
//! One piece waits at most, so a slow client holds up who writes for it and nothing is kept. The code that writes is
//! driven by whoever reads: no task, no runtime, and gone with the reader.

use std::{
    fmt,
    future::poll_fn,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;

use super::{EndpointChunk, EndpointStream};
use crate::{Fut, Headers, PluginError};

/// Where the one piece waits.
#[derive(Default)]
pub(crate) struct Slot(Mutex<State>);

#[derive(Default)]
struct State {
    chunk: Option<EndpointChunk>,
    writer: Option<Waker>,
    reader: Option<Waker>,
    /// The client has left.
    gone: bool,
}

impl Slot {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, chunk: &mut Option<EndpointChunk>, cx: &Context<'_>) -> Poll<Result<(), PluginError>> {
        let mut state = self.state();
        if state.gone {
            return Poll::Ready(Err(PluginError::Unavailable("the client has left".to_owned())));
        }
        if state.chunk.is_some() {
            state.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        state.chunk = chunk.take();
        let reader = state.reader.take();
        drop(state);
        if let Some(reader) = reader {
            reader.wake();
        }
        Poll::Ready(Ok(()))
    }

    fn take(&self) -> Option<EndpointChunk> {
        let mut state = self.state();
        let chunk = state.chunk.take()?;
        let writer = state.writer.take();
        drop(state);
        if let Some(writer) = writer {
            writer.wake();
        }
        Some(chunk)
    }

    /// The piece, or a note of who waits for it.
    fn take_or_wait(&self, cx: &Context<'_>) -> Option<EndpointChunk> {
        let found = self.take();
        if found.is_none() {
            let mut state = self.state();
            state.reader = Some(cx.waker().clone());
            // It may have come in between, from another thread.
            let late = state.chunk.is_some();
            drop(state);
            if late {
                return self.take();
            }
        }
        found
    }
}

/// What a handler writes its answer into.
///
/// Dropping it is not the end of the answer; that is when the handler returns.
pub struct EndpointSink(Arc<Slot>);

impl EndpointSink {
    pub(crate) fn new() -> (Self, Arc<Slot>) {
        let slot = Arc::<Slot>::default();
        (Self(slot.clone()), slot)
    }

    /// Sends status and headers: once, first.
    ///
    /// # Errors
    /// Where the client has left.
    pub async fn head(&mut self, status: u16, headers: Headers) -> Result<(), PluginError> {
        self.send(EndpointChunk::Head { status, headers }).await
    }

    /// Sends a piece of the body, and waits until there is room for the next one.
    ///
    /// # Errors
    /// Where the client has left.
    pub async fn body(&mut self, data: impl Into<Bytes> + Send) -> Result<(), PluginError> {
        let data = data.into();
        if data.is_empty() {
            return Ok(());
        }
        self.send(EndpointChunk::Body(data)).await
    }

    async fn send(&mut self, chunk: EndpointChunk) -> Result<(), PluginError> {
        let mut chunk = Some(chunk);
        poll_fn(move |cx| self.0.put(&mut chunk, cx)).await
    }
}

impl fmt::Debug for EndpointSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EndpointSink").finish_non_exhaustive()
    }
}

/// The reading side: runs the code that writes.
pub(crate) struct Written {
    slot: Arc<Slot>,
    /// None when it has ended.
    writing: Option<Fut<'static, Result<(), PluginError>>>,
    /// What it ended with.
    failed: Option<PluginError>,
}

impl Written {
    pub(crate) fn new(writing: Fut<'static, Result<(), PluginError>>, slot: Arc<Slot>) -> Self {
        Self { slot, writing: Some(writing), failed: None }
    }
}

impl EndpointStream for Written {
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<EndpointChunk, PluginError>>> {
        if let Some(chunk) = self.slot.take() {
            return Poll::Ready(Some(Ok(chunk)));
        }
        if let Some(writing) = &mut self.writing
            && let Poll::Ready(ended) = writing.as_mut().poll(cx)
        {
            self.failed = ended.err();
            self.writing = None;
        }
        if let Some(chunk) = self.slot.take_or_wait(cx) {
            return Poll::Ready(Some(Ok(chunk)));
        }
        match (self.failed.take(), &self.writing) {
            (Some(error), _) => Poll::Ready(Some(Err(error))),
            (None, None) => Poll::Ready(None),
            (None, Some(_)) => Poll::Pending,
        }
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        let mut state = self.slot.state();
        state.gone = true;
        let writer = state.writer.take();
        drop(state);
        if let Some(writer) = writer {
            writer.wake();
        }
    }
}
