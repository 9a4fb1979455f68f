//! A body that is made by a future, within the task of the connection that sends it.
//!
//! It goes on as fast as the client takes what it makes, and is dropped with all it waits for when the client goes.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame};
use mortise_mcp_transport::server::answer::BodyError;
use tokio::sync::mpsc;

/// Pieces that may wait for the client.
const AHEAD: usize = 2;

type Piece = Result<Bytes, BodyError>;

/// Where the pieces of a body go.
pub(super) struct Pieces(mpsc::Sender<Piece>);

impl Pieces {
    /// Sends a piece, if there is anything in it; waits for a slow client.
    pub(super) async fn send(&self, piece: Bytes) {
        if !piece.is_empty() {
            // Whoever polls the future has the receiver.
            let _ = self.0.send(Ok(piece)).await;
        }
    }

    /// Cuts the answer off.
    pub(super) async fn fail(&self, error: impl Into<BodyError>) {
        let _ = self.0.send(Err(error.into())).await;
    }
}

/// The body.
pub(super) struct Generated {
    work: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    pieces: mpsc::Receiver<Piece>,
    /// Why the answer is cut off, once what came before has had its chance to go out.
    failed: Option<BodyError>,
}

impl Generated {
    /// A body of the pieces that `work` sends.
    pub(super) fn new<F>(work: impl FnOnce(Pieces) -> F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (sender, pieces) = mpsc::channel(AHEAD);
        Self { work: Some(Box::pin(work(Pieces(sender)))), pieces, failed: None }
    }
}

impl Generated {
    /// A piece, or the end. An error waits for the next look: the connection sends what it has before that.
    fn next(
        &mut self,
        next: Option<Piece>,
        cx: &Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match next {
            Some(Ok(piece)) => Poll::Ready(Some(Ok(Frame::data(piece)))),
            Some(Err(error)) => {
                self.failed = Some(error);
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            None => Poll::Ready(None),
        }
    }
}

impl Body for Generated {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        if let Some(error) = this.failed.take() {
            return Poll::Ready(Some(Err(error)));
        }
        loop {
            if let Poll::Ready(next) = this.pieces.poll_recv(cx) {
                return this.next(next, cx);
            }
            let Some(work) = &mut this.work else { return Poll::Ready(None) };
            if work.as_mut().poll(cx).is_ready() {
                this.work = None;
                continue;
            }
            // It may have sent something before it began to wait.
            return match this.pieces.poll_recv(cx) {
                Poll::Ready(next) => this.next(next, cx),
                Poll::Pending => Poll::Pending,
            };
        }
    }
}
