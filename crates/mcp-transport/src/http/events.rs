//! An event stream as it arrives: one read of the connection at a time, nothing ahead of the reader.

use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use http_body::Body;
use mortise_mcp::sse::{Decoder, Event};

use super::client::Session;
use super::error::HttpError;
use super::origin::Origin;
use super::pool::PooledBody;

/// A stream of server-sent events. Dropped before its end, its connection closes.
pub struct EventStream {
    body: PooledBody,
    decoder: Decoder,
    /// Events of the last read that were not taken yet.
    ready: std::vec::IntoIter<Event>,
    origin: Origin,
    limit: usize,
    ended: bool,
    /// Why it ended; told after the events that came before.
    fault: Option<HttpError>,
}

impl std::fmt::Debug for EventStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventStream")
            .field("origin", &self.origin)
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

impl EventStream {
    pub(super) fn new(session: &Session, body: PooledBody) -> Self {
        let limit = session.max_event_bytes();
        Self {
            body,
            decoder: Decoder::new(limit),
            ready: Vec::new().into_iter(),
            origin: session.origin().clone(),
            limit,
            ended: false,
            fault: None,
        }
    }

    /// The next event; `None` at the end of the stream. Cancel safe.
    ///
    /// # Errors
    ///
    /// [`HttpError::Interrupted`] or [`HttpError::TooLarge`], after which the stream has ended.
    pub async fn next(&mut self) -> Option<Result<Event, HttpError>> {
        loop {
            if let Some(event) = self.ready.next() {
                return Some(Ok(event));
            }
            if self.ended {
                return self.fault.take().map(Err);
            }
            if let Err(fault) = self.read().await {
                self.ended = true;
                self.fault = Some(fault);
            }
        }
    }

    async fn read(&mut self) -> Result<(), HttpError> {
        let frame = match poll_fn(|cx| Pin::new(&mut self.body).poll_frame(cx)).await {
            None => {
                self.ended = true;
                return Ok(());
            }
            Some(Err(source)) => return Err(HttpError::Interrupted { origin: self.origin.clone(), source }),
            Some(Ok(frame)) => frame,
        };
        let Ok(data) = frame.into_data() else { return Ok(()) };
        let mut events = Vec::new();
        let fed = self.decoder.feed(&data, &mut events);
        self.ready = events.into_iter();
        fed.map_err(|_| HttpError::TooLarge { origin: self.origin.clone(), limit: self.limit })
    }

    /// The event to resume after, if the server numbers its events.
    #[must_use]
    pub fn last_event_id(&self) -> Option<&str> {
        self.decoder.last_event_id()
    }

    /// How long the server asks to wait before connecting again.
    #[must_use]
    pub fn retry(&self) -> Option<Duration> {
        self.decoder.retry_ms().map(Duration::from_millis)
    }

    /// Says that everything of interest was read. If the stream's end is all that follows, its connection
    /// serves again.
    pub fn finish(self) {
        self.body.finish();
    }
}
