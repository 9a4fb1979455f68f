//! An answer on its way from the vendor to the client, as it comes.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use mortise_mcp_transport::{http::pool::PooledBody, server::answer::BodyError};
use mortise_plugin_api::End;
use tokio::time::{Instant, Sleep, sleep};

use super::{account::Account, guarded::Watched, metrics::Came};

/// Why an answer was cut off.
#[derive(Debug, thiserror::Error)]
#[error("the vendor said nothing for {} s", .0.as_secs_f64())]
pub(super) struct Silent(pub(super) Duration);

/// A body as it comes from the vendor. Dropped before its end, the vendor's connection closes.
pub(super) struct Passing {
    body: PooledBody,
    account: Box<Account>,
    limit: Duration,
    /// Made when the vendor is first waited for.
    silence: Option<Pin<Box<Sleep>>>,
    /// Whether something came since the timer was set.
    heard: bool,
    /// Who looks at the stream when it is over.
    watched: Option<Box<Watched>>,
    over: bool,
    /// Why the answer is cut off, once what came before has had its chance to go out.
    failed: Option<BodyError>,
}

impl Passing {
    /// A body of which no piece may come later than `limit` after the one before.
    pub(super) fn new(
        body: PooledBody,
        account: Box<Account>,
        limit: Duration,
        watched: Option<Box<Watched>>,
    ) -> Self {
        Self { body, account, limit, silence: None, heard: true, watched, over: false, failed: None }
    }

    fn end(&mut self, came: Came, end: End) {
        if std::mem::replace(&mut self.over, true) {
            return;
        }
        self.account.came(came);
        if let Some(watched) = self.watched.take() {
            watched.over(end, &mut self.account);
        }
    }

    /// Cuts the answer off at the next look: the connection sends what it has before that.
    fn fail(&mut self, error: BodyError, cx: &Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.failed = Some(error);
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn is_silent(&mut self, cx: &mut Context<'_>) -> bool {
        let limit = self.limit;
        let silence = self.silence.get_or_insert_with(|| Box::pin(sleep(limit)));
        if std::mem::replace(&mut self.heard, false) {
            silence.as_mut().reset(Instant::now() + limit);
        }
        silence.as_mut().poll(cx).is_ready()
    }
}

impl Body for Passing {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        if this.over {
            return Poll::Ready(this.failed.take().map(Err));
        }
        match Pin::new(&mut this.body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                this.heard = true;
                if let Some(data) = frame.data_ref() {
                    this.account.chunk(data);
                }
                if this.body.is_end_stream() {
                    this.end(Came::Ok, End::Ok);
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(None) => {
                this.end(Came::Ok, End::Ok);
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(error))) => {
                this.end(Came::Error, End::UpstreamFailed);
                this.fail(error.into(), cx)
            }
            Poll::Pending if this.is_silent(cx) => {
                this.end(Came::TimedOut, End::TimedOut);
                this.fail(Silent(this.limit).into(), cx)
            }
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.failed.is_none() && (self.over || self.body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
