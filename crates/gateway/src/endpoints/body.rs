//! A streamed answer on its way to the client.
//!
//! Pulled by whoever writes to the socket: a piece is asked for when there is room for it, and goes out before the next
//! one is asked for. What cannot be finished is cut off, so that the client does not take what came for all of it.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body::{Body, Frame};
use mortise_mcp_transport::server::answer::BodyError;
use mortise_plugin_api::{EndpointChunk, EndpointStream, PluginError};
use tokio::time::{Sleep, sleep_until};

use super::kept::Kept;

/// Why an answer was cut off.
#[derive(Debug, thiserror::Error)]
enum CutOff {
    #[error("the plugin of an endpoint failed while it answered")]
    Failed,
    #[error("the answer of an endpoint took too long")]
    TooLong,
}

/// The pieces of an answer, after its head.
pub(super) struct Pieces {
    /// None when the end has come.
    stream: Option<Box<dyn EndpointStream>>,
    /// A piece that came first, without a head.
    first: Option<Bytes>,
    plugin: Arc<str>,
    deadline: Instant,
    idle: Option<Duration>,
    /// When the last piece came.
    last: Instant,
    /// For the nearer of both ends; made when there is something to wait for.
    timer: Option<Pin<Box<Sleep>>>,
    /// Why it ends before its end, until the client has what came before.
    cut: Option<CutOff>,
    kept: Kept,
}

impl Pieces {
    pub(super) fn new(
        stream: Box<dyn EndpointStream>,
        first: Option<Bytes>,
        plugin: Arc<str>,
        deadline: Instant,
        idle: Option<Duration>,
        kept: Kept,
    ) -> Self {
        let (stream, last) = (Some(stream), Instant::now());
        Self { stream, first, plugin, deadline, idle, last, timer: None, cut: None, kept }
    }

    /// When nothing more is waited for.
    fn until(&self) -> Instant {
        self.idle.map_or(self.deadline, |idle| self.deadline.min(self.last + idle))
    }

    /// Ends it before its end. Not at once: whoever writes to the socket forgets what is not written yet when it hears of
    /// an error, so it is let write first.
    fn cut_off(
        &mut self,
        why: CutOff,
        error: &dyn std::fmt::Display,
        cx: &Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let took_ms = self.kept.took().as_millis();
        let request = &*self.kept.about.id;
        tracing::warn!(plugin = &*self.plugin, request, took_ms, %error, "streamed endpoint was cut off");
        self.kept.ended(false);
        self.stream = None;
        self.cut = Some(why);
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let until = self.until().into();
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(until)));
        if timer.deadline() != until {
            timer.as_mut().reset(until);
        }
        timer.as_mut().poll(cx)
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        if let Some(first) = this.first.take().filter(|first| !first.is_empty()) {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        if let Some(why) = this.cut.take() {
            return Poll::Ready(Some(Err(Box::new(why))));
        }
        loop {
            let Some(stream) = &mut this.stream else { return Poll::Ready(None) };
            match stream.poll_chunk(cx) {
                Poll::Ready(Some(Ok(EndpointChunk::Body(data)))) => {
                    this.last = Instant::now();
                    // A plugin that never pauses must not go on for ever.
                    if this.last >= this.deadline {
                        return this.too_long(cx);
                    }
                    if !data.is_empty() {
                        return Poll::Ready(Some(Ok(Frame::data(data))));
                    }
                }
                Poll::Ready(Some(Ok(EndpointChunk::Head { .. }))) => {
                    tracing::debug!(
                        plugin = &*this.plugin,
                        "an endpoint sent headers after its body had begun"
                    );
                }
                Poll::Ready(Some(Ok(EndpointChunk::Failed(why)))) => {
                    return this.cut_off(CutOff::Failed, &why, cx);
                }
                Poll::Ready(Some(Err(PluginError::Timeout(_)))) => return this.too_long(cx),
                Poll::Ready(Some(Err(error))) => return this.cut_off(CutOff::Failed, &error, cx),
                Poll::Ready(None) => {
                    this.kept.ended(true);
                    this.stream = None;
                    return Poll::Ready(None);
                }
                Poll::Pending => {
                    return match this.poll_timer(cx) {
                        Poll::Ready(()) => this.too_long(cx),
                        Poll::Pending => Poll::Pending,
                    };
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.stream.is_none() && self.first.is_none() && self.cut.is_none()
    }
}

impl Pieces {
    fn too_long(&mut self, cx: &Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.cut_off(CutOff::TooLong, &"its time was up", cx)
    }
}
