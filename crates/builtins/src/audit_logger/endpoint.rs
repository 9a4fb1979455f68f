//! The trail posted to an HTTP endpoint.
//!
//! Through the host, under its guard. The exchange is driven by the plugin's thread, so that a slow endpoint holds up
//! nobody but its own queue.

use std::time::{Duration, Instant};

use bytes::Bytes;
use mortise_plugin_api::{
    Headers,
    host::{HttpRequest, HttpResponse},
};

use super::{
    config::Config,
    queue::Queue,
    signal::block_on,
    worker::{Line, Shared, Sink},
};

/// Pause before the first repetition; doubled for each that follows.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Largest answer that is read; nobody looks at it.
const MAX_ANSWER: usize = 65_536;
/// What the host's own deadline is given beyond the time it was asked for.
const GRACE: Duration = Duration::from_secs(1);

/// One endpoint.
pub(super) struct Endpoint {
    url: String,
    headers: Headers,
    timeout: Duration,
    retries: u32,
    batch: (usize, Duration),
}

impl Endpoint {
    pub(super) fn new(url: &str, config: &Config) -> Self {
        let mut headers = Headers::new();
        headers.set("content-type", "application/x-ndjson");
        for (name, value) in &config.endpoint_headers {
            headers.set(name, value.as_str());
        }
        Self {
            url: url.to_owned(),
            headers,
            timeout: Duration::from_secs(config.endpoint_timeout_seconds),
            retries: config.endpoint_retries,
            batch: (config.batch_records, Duration::from_millis(config.batch_delay_ms)),
        }
    }

    /// Sends once. Whether another attempt could help, and what went wrong.
    fn send(&self, body: &Bytes, queue: &Queue, shared: &Shared) -> Result<(), (bool, String)> {
        let timeout = match queue.closed() {
            Some(deadline) => self.timeout.min(deadline.saturating_duration_since(Instant::now())),
            None => self.timeout,
        };
        if timeout.is_zero() {
            return Err((false, "the plugin is stopping".to_owned()));
        }
        let http = shared.host.http().map_err(|error| (false, error.to_string()))?;
        let request = HttpRequest {
            method: "POST".to_owned(),
            url: self.url.clone(),
            headers: self.headers.clone(),
            body: body.clone(),
            timeout,
            max_response_bytes: MAX_ANSWER,
        };
        let patience = Instant::now() + timeout + GRACE;
        let deadline = || queue.closed().map_or(patience, |closed| closed.min(patience));
        match block_on(http.send(request), deadline) {
            None => Err((true, format!("no answer within {} ms", timeout.as_millis()))),
            Some(Err(error)) => Err((true, error.to_string())),
            Some(Ok(HttpResponse { status: 200..=299, .. })) => Ok(()),
            Some(Ok(HttpResponse { status, .. })) => {
                let passing = matches!(status, 408 | 429 | 500..=599);
                Err((passing, format!("answered with status {status}")))
            }
        }
    }
}

impl Sink for Endpoint {
    fn batch(&self) -> (usize, Duration) {
        self.batch
    }

    fn write(&mut self, lines: &[Line<'_>], queue: &Queue, shared: &Shared) -> Result<(), String> {
        let mut body = String::with_capacity(lines.iter().map(|line| line.text.len() + 1).sum());
        for line in lines {
            body.push_str(line.text);
            body.push('\n');
        }
        let body = Bytes::from(body);
        let mut pause = FIRST_PAUSE;
        let mut attempt = 0;
        loop {
            match self.send(&body, queue, shared) {
                Ok(()) => return Ok(()),
                Err((true, _)) if attempt < self.retries => {}
                Err((_, why)) => return Err(why),
            }
            attempt += 1;
            queue.pause(pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}
