//! Turning work into an HTTP answer: JSON where nothing comes before the answer, else an event stream.
//!
//! The work runs within the request's own future, so a client that leaves drops it and with it the upstream call.
//! Only once a message has to go out before the answer does it move to a task of its own, which ends when the
//! client of the stream leaves.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
};

use http::Response;
use mortise_mcp::envelope::{
    ErrorObject, Message, RequestId, code, write_error, write_message, write_response,
};
use mortise_mcp_transport::{
    server::{
        answer::{self, AnswerBody, EventSender},
        request::Accepts,
    },
    upstream::Outcome,
};
use mortise_plugin_api::Headers;
use tokio_util::sync::CancellationToken;

use super::{Surface, forwarding, interim::Interim, session::UnderWay};

/// The work of answering one request.
pub(crate) type Work = Pin<Box<dyn Future<Output = Finished> + Send>>;

/// An answer, and headers plugins would like beside it.
pub(crate) struct Finished {
    pub(crate) outcome: Outcome,
    pub(crate) headers: Headers,
}

/// A request about to be answered.
pub(crate) struct Pending {
    pub(crate) id: RequestId,
    pub(crate) work: Work,
    /// Messages that come before the answer.
    pub(crate) interim: Option<Interim>,
    pub(crate) under_way: Option<UnderWay>,
    /// The answer, where messages that came before it have yet to go out.
    pub(crate) answered: Option<Finished>,
}

enum Next {
    Answer(Finished),
    Message(Box<Message>),
    Cancelled,
}

impl Pending {
    async fn next(&mut self) -> Next {
        if self.answered.is_none() {
            match self.wait().await {
                Next::Answer(finished) => self.answered = Some(finished),
                other => return other,
            }
        }
        // The work may have left messages and finished in one go: they go first.
        if let Some(message) = take(self.interim.as_ref()) {
            return Next::Message(message);
        }
        self.answered.take().map_or(Next::Cancelled, Next::Answer)
    }

    async fn wait(&mut self) -> Next {
        let Self { work, interim, under_way, .. } = self;
        let message = || take(interim.as_ref()).map(Next::Message);
        let token = under_way.as_ref().map(|under_way| &under_way.token);
        let mut cancelled = pin!(token.map(CancellationToken::cancelled));
        poll_fn(|cx| {
            if let Some(next) = message() {
                return Poll::Ready(next);
            }
            if let Poll::Ready(finished) = work.as_mut().poll(cx) {
                return Poll::Ready(Next::Answer(finished));
            }
            // The work may have left a message before it had to wait.
            if let Some(next) = message() {
                return Poll::Ready(next);
            }
            match cancelled.as_mut().as_pin_mut() {
                Some(cancelled) => cancelled.poll(cx).map(|()| Next::Cancelled),
                None => Poll::Pending,
            }
        })
        .await
    }

    fn answer(&self, outcome: &Outcome) -> Vec<u8> {
        encode(&self.id, outcome)
    }

    /// The answer to a request its client cancelled: nobody reads it, but the exchange has to end.
    fn cancelled(&self) -> Vec<u8> {
        let error = ErrorObject::new(code::SERVER_ERROR, "Request cancelled").to_rpc_error();
        self.answer(&Err(error))
    }
}

/// The oldest message that waits to go out.
fn take(interim: Option<&Interim>) -> Option<Box<Message>> {
    interim.and_then(Interim::take)
}

/// Writes the answer to a request.
pub(crate) fn encode(id: &RequestId, outcome: &Outcome) -> Vec<u8> {
    match outcome {
        Ok(result) => {
            let mut out = Vec::with_capacity(result.as_bytes().len() + 64);
            write_response(&mut out, id, result);
            out
        }
        Err(error) => {
            let mut out = Vec::with_capacity(256);
            write_error(&mut out, Some(id), error);
            out
        }
    }
}

/// Sees a request to its answer. `status` chooses the HTTP status of a JSON answer.
pub(crate) async fn respond(
    surface: &Arc<Surface>,
    mut pending: Pending,
    accepts: Accepts,
    status: impl Fn(&Outcome) -> http::StatusCode,
) -> Response<AnswerBody> {
    let first = match pending.next().await {
        Next::Answer(Finished { outcome, headers }) if accepts.json => {
            let mut response = answer::json_with_status(status(&outcome), pending.answer(&outcome).into());
            response.headers_mut().extend(forwarding::outgoing(&headers));
            return response;
        }
        Next::Cancelled if accepts.json => return answer::json(pending.cancelled().into()),
        Next::Answer(finished) => Err(pending.answer(&finished.outcome)),
        Next::Cancelled => Err(pending.cancelled()),
        Next::Message(message) => Ok(message),
    };
    let (sender, response) = answer::events(surface.config.stream_queue);
    surface.tasks.spawn(async move {
        match first {
            Ok(message) => go_on(pending, message, &sender).await,
            Err(last) => {
                let _ = sender.send(None, &last).await;
            }
        }
    });
    response
}

async fn go_on(mut pending: Pending, first: Box<Message>, stream: &EventSender) {
    if send(stream, &first).await.is_err() {
        return;
    }
    loop {
        let next = tokio::select! {
            next = pending.next() => next,
            () = stream.gone() => return,
        };
        let last = match next {
            Next::Message(message) => {
                if send(stream, &message).await.is_err() {
                    return;
                }
                continue;
            }
            Next::Answer(finished) => pending.answer(&finished.outcome),
            Next::Cancelled => pending.cancelled(),
        };
        let _ = stream.send(None, &last).await;
        return;
    }
}

async fn send(stream: &EventSender, message: &Message) -> Result<(), answer::ClientGone> {
    let mut text = Vec::with_capacity(256);
    write_message(&mut text, message);
    stream.send(None, &text).await
}
