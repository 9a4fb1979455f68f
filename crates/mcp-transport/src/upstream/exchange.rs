//! A request on its way, from its first interim message to its answer.

use std::time::Duration;

use ::http::HeaderValue;
use tokio::time::timeout;

use super::http::HttpExchange;
use super::{Call, Outcome, Step, UpstreamError};
use crate::stdio::connection::PipeCall;

/// A request on its way. Dropped before its answer, the request is cancelled.
#[derive(Debug)]
pub struct Exchange {
    carrier: Carrier,
    method: String,
    timeout: Duration,
}

#[derive(Debug)]
enum Carrier {
    Http(HttpExchange),
    Pipe(PipeCall),
    /// Answered; `None` once the answer was taken.
    Answered(Option<Outcome>),
}

impl Exchange {
    pub(super) fn http(begun: HttpExchange, call: &Call<'_>) -> Self {
        Self::new(Carrier::Http(begun), call)
    }

    pub(super) fn pipe(begun: PipeCall, call: &Call<'_>) -> Self {
        Self::new(Carrier::Pipe(begun), call)
    }

    pub(super) fn answered(outcome: Outcome, call: &Call<'_>) -> Self {
        Self::new(Carrier::Answered(Some(outcome)), call)
    }

    fn new(carrier: Carrier, call: &Call<'_>) -> Self {
        Self { carrier, method: call.method.to_owned(), timeout: call.timeout }
    }

    /// What happens next. After [`Step::Response`] or an error the exchange is over. Cancel safe.
    ///
    /// # Errors
    ///
    /// See [`UpstreamError`]; among them that nothing came within the call's deadline, which each step
    /// starts anew.
    pub async fn next(&mut self) -> Result<Step, UpstreamError> {
        if let Carrier::Http(http) = &mut self.carrier
            && let Some(outcome) = http.take_ready()
        {
            return Ok(Step::Response(outcome));
        }
        let step = async {
            match &mut self.carrier {
                Carrier::Http(http) => http.next(&self.method).await,
                Carrier::Pipe(pipe) => Ok(pipe.next().await?),
                Carrier::Answered(outcome) => outcome.take().map(Step::Response).ok_or_else(|| {
                    UpstreamError::Protocol { method: self.method.clone(), reason: "it was answered before" }
                }),
            }
        };
        timeout(self.timeout, step).await.unwrap_or_else(|_| Err(timed_out(&self.method, self.timeout)))
    }

    /// Waits for the answer and drops what comes on the way; requests of the upstream's own stay
    /// unanswered.
    ///
    /// # Errors
    ///
    /// See [`Exchange::next`].
    pub async fn outcome(mut self) -> Result<Outcome, UpstreamError> {
        loop {
            if let Step::Response(outcome) = self.next().await? {
                return Ok(outcome);
            }
        }
    }

    /// Whether the answer is here already, so that no message can come on the way.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        match &self.carrier {
            Carrier::Http(http) => http.is_ready(),
            Carrier::Pipe(_) => false,
            Carrier::Answered(_) => true,
        }
    }

    /// The session id that came with the answer. HTTP only.
    #[must_use]
    pub fn session_id(&self) -> Option<&HeaderValue> {
        match &self.carrier {
            Carrier::Http(http) => http.session_id(),
            Carrier::Pipe(_) | Carrier::Answered(_) => None,
        }
    }
}

pub(super) fn timed_out(method: &str, after: Duration) -> UpstreamError {
    UpstreamError::Timeout { method: method.to_owned(), after }
}
