//! The body of an answer, which owns the connection it arrives on.
//!
//! Read to its end, the connection goes back to the pool. Dropped before, it closes: that is how a
//! cancelled call reaches the upstream.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::Lease;
use super::link::{Link, poll_incoming};

/// Frames looked at, at most, to find the end of an answer that is done with. An end is one frame away;
/// whoever sends more has more to say, and the connection is closed instead.
const TAIL_FRAMES: usize = 4;

/// The body of an answer from a [`super::Pool`].
pub struct PooledBody {
    incoming: Incoming,
    lease: Option<Lease>,
}

impl std::fmt::Debug for PooledBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PooledBody").field("ended", &self.lease.is_none()).finish_non_exhaustive()
    }
}

impl PooledBody {
    pub(super) fn new(incoming: Incoming, lease: Lease) -> Self {
        let mut body = Self { incoming, lease: Some(lease) };
        body.release_at_end();
        body
    }

    fn release_at_end(&mut self) {
        if self.incoming.is_end_stream()
            && let Some(lease) = self.lease.take()
        {
            lease.give_back(None);
        }
    }

    /// Says that everything of interest was read, although the body may not have ended yet (an event
    /// stream after its last message). The connection serves again if the end is all that follows.
    pub fn finish(self) {
        if let Some(lease) = self.lease {
            lease.give_back(Some(Tail(self.incoming)));
        }
    }
}

impl Body for PooledBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = self.get_mut();
        let Some(lease) = this.lease.as_mut() else { return Poll::Ready(None) };
        // What has arrived is taken without touching the socket, and without a waker: see `link`.
        let mut polled = poll_incoming(&mut this.incoming, &mut Context::from_waker(Waker::noop()));
        if polled.is_pending() {
            if let Some(link) = lease.link.as_mut() {
                link.drive(cx);
            }
            polled = poll_incoming(&mut this.incoming, cx);
        }
        match &polled {
            Poll::Ready(Some(Ok(_))) => this.release_at_end(),
            Poll::Ready(None) => {
                if let Some(lease) = this.lease.take() {
                    lease.give_back(None);
                }
            }
            Poll::Ready(Some(Err(_))) => this.lease = None,
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.lease.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

/// The rest of an answer whose reader is done.
pub(super) struct Tail(Incoming);

impl Tail {
    /// Whether nothing but the end is left. Looks once, does not wait.
    pub(super) fn ends(mut self, link: &mut Link) -> bool {
        let cx = &mut Context::from_waker(Waker::noop());
        for _ in 0..TAIL_FRAMES {
            link.drive(cx);
            match poll_incoming(&mut self.0, cx) {
                Poll::Ready(None) => return true,
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(Some(Err(_))) | Poll::Pending => return false,
            }
        }
        false
    }
}
