//! The server's own stream: kept open, resumed where it broke, given up where the server offers none.

use ::http::StatusCode;
use mortise_mcp::envelope::{Body, Message};
use mortise_mcp::sse::Event;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{Background, HttpOptions};
use crate::backoff::Backoff;
use crate::chain::Chain;
use crate::http::client::Session;
use crate::http::error::HttpError;
use crate::http::events::EventStream;

pub(super) struct Listen {
    pub(super) session: Session,
    pub(super) options: HttpOptions,
    pub(super) queue: mpsc::Sender<Message>,
    /// Set once the first attempt to open the stream has ended.
    pub(super) settled: CancellationToken,
    pub(super) pongs: Background,
}

/// Nobody takes the messages any more.
struct Unwanted;

impl Listen {
    /// Runs until the server says there is no such stream, or nobody listens.
    pub(super) async fn run(self) {
        let mut backoff = Backoff::new(self.options.backoff);
        let mut last_id: Option<String> = None;
        loop {
            let mut pause = None;
            let opened = self.session.events(last_id.as_deref()).await;
            self.settled.cancel();
            match opened {
                Ok(mut stream) => {
                    let Ok(heard) = self.forward(&mut stream).await else { return };
                    if heard {
                        backoff.reset();
                    }
                    pause = stream.retry();
                    last_id = stream.last_event_id().map(str::to_owned).or(last_id);
                }
                Err(error) if is_final(&error) => {
                    tracing::debug!(origin = %self.session.origin(), error = %Chain(&error), "no stream of the server's own");
                    return;
                }
                Err(error) => {
                    tracing::debug!(origin = %self.session.origin(), error = %Chain(&error), "opening the server's stream");
                }
            }
            let pause =
                pause.map_or_else(|| backoff.next_pause(), |asked| asked.min(self.options.backoff.longest));
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.queue.closed() => return,
            }
        }
    }

    /// Hands on the events of one stream until it ends; says whether there were any.
    async fn forward(&self, stream: &mut EventStream) -> Result<bool, Unwanted> {
        let mut heard = false;
        loop {
            let event = tokio::select! {
                event = stream.next() => event,
                () = self.queue.closed() => return Err(Unwanted),
            };
            match event {
                Some(Ok(event)) => {
                    heard = true;
                    self.take(&event).await?;
                }
                Some(Err(error)) => {
                    tracing::debug!(origin = %self.session.origin(), error = %Chain(&error), "the server's stream broke");
                    return Ok(heard);
                }
                None => return Ok(heard),
            }
        }
    }

    async fn take(&self, event: &Event) -> Result<(), Unwanted> {
        if !event.is_message() || event.data.is_empty() {
            return Ok(());
        }
        let messages = match Body::parse(&event.data, &self.options.limits) {
            Ok(Body::Single(message)) => vec![message],
            Ok(Body::Batch(messages)) => messages.into_iter().flatten().collect(),
            Err(error) => {
                tracing::warn!(origin = %self.session.origin(), %error, "an event is no message; it is skipped");
                return Ok(());
            }
        };
        for message in messages.into_iter().filter_map(|message| self.pongs.pong(message)) {
            self.queue.send(message).await.map_err(|_| Unwanted)?;
        }
        Ok(())
    }
}

/// Whether asking again would bring the same.
fn is_final(error: &HttpError) -> bool {
    match error {
        HttpError::MethodNotAllowed { .. }
        | HttpError::SessionGone { .. }
        | HttpError::Unauthorized { .. }
        | HttpError::ContentType { .. } => true,
        HttpError::Status { status, .. } => {
            status.is_redirection()
                || *status == StatusCode::NOT_IMPLEMENTED
                || (status.is_client_error()
                    && !matches!(
                        *status,
                        StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT | StatusCode::CONFLICT
                    ))
        }
        _ => false,
    }
}
