//! Sending spans to a collector, in batches, over HTTP.
//!
//! What the collector may take at another time (429, 502, 503, 504, no answer) is tried again a few times with growing
//! pauses; meanwhile the queue fills, and what does not fit is dropped and counted. Trouble is logged when it begins and
//! when it is over.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use mortise_mcp_transport::{
    chain::Chain,
    http::{
        origin::{Origin, OriginError},
        pool::{Pool, PoolConfig, PoolError},
    },
    tls::ClientTls,
};
use prost::Message;
use tokio_util::sync::CancellationToken;

use super::{
    Lost, Spans, SpansError,
    wire::ExportResponse,
    write::{attribute, bytes, message},
};
use crate::config::Telemetry;

/// Attempts to send one batch.
const ATTEMPTS: u32 = 4;
/// Pause before the second attempt; each further one is twice as long.
const PAUSE: Duration = Duration::from_secs(1);
/// Largest answer that is read, in bytes.
const LARGEST_ANSWER: usize = 64 << 10;
/// What frames the spans of a batch beside its resource takes at most, in bytes.
const ROOM: usize = 64;

/// Sends batches to a collector.
pub(super) struct Sender {
    pool: Pool,
    target: Uri,
    headers: HeaderMap,
    timeout: Duration,
    /// What all spans of this process have in common, written.
    resource: Vec<u8>,
}

/// Attributes of all spans of this process, written.
fn resource(attributes: &BTreeMap<String, String>) -> Vec<u8> {
    let own = [("service.version", env!("CARGO_PKG_VERSION")), ("telemetry.sdk.language", "rust")];
    let own = own.into_iter().filter(|(name, _)| !attributes.contains_key(*name));
    let given = attributes.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let mut written = Vec::new();
    given.chain(own).for_each(|(name, value)| attribute(&mut written, 1, name, value));
    written
}

/// Why a batch was not taken.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("no answer within {} ms", .0.as_millis())]
    TimedOut(Duration),
    #[error(transparent)]
    Exchange(#[from] PoolError),
    #[error("the collector answered {0}")]
    Status(StatusCode),
}

impl Failure {
    /// Whether the same may be taken later.
    fn passes(&self) -> bool {
        match self {
            Self::TimedOut(_) | Self::Exchange(_) => true,
            Self::Status(status) => matches!(status.as_u16(), 429 | 502 | 503 | 504),
        }
    }
}

impl Sender {
    pub(super) fn new(telemetry: &Telemetry) -> Result<Self, SpansError> {
        let url = &telemetry.url;
        let origin = Origin::of(url)?;
        let tls = if origin.is_secure() { Some(ClientTls::default().load()?) } else { None };
        let path = &url[url::Position::BeforePath..url::Position::AfterQuery];
        let bad = |_| OriginError::Host { host: url.host_str().unwrap_or_default().to_owned() };
        let target = Uri::try_from(path).map_err(bad)?;
        let mut headers = telemetry.headers.clone();
        headers.insert(header::HOST, origin.authority().clone());
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        headers
            .entry(header::USER_AGENT)
            .or_insert(HeaderValue::from_static(concat!("mortise/", env!("CARGO_PKG_VERSION"))));
        let config = PoolConfig { max_connections: 1, max_idle: 1, ..PoolConfig::default() };
        let resource = resource(&telemetry.resource);
        Ok(Self {
            pool: Pool::new(origin, tls, config),
            target,
            headers,
            timeout: telemetry.timeout,
            resource,
        })
    }

    /// A request to take these spans.
    fn body(&self, spans: &[u8]) -> Vec<u8> {
        let mut body = Vec::with_capacity(spans.len() + self.resource.len() + ROOM);
        message(&mut body, 1, |body| {
            bytes(body, 1, &self.resource);
            message(body, 2, |body| {
                message(body, 1, |scope| {
                    bytes(scope, 1, b"mortise");
                    bytes(scope, 2, env!("CARGO_PKG_VERSION").as_bytes());
                });
                body.extend_from_slice(spans);
            });
        });
        body
    }

    /// Sends a body once; says how many of its spans the collector would not have.
    async fn send(&self, body: &Bytes) -> Result<u64, Failure> {
        let exchange = async {
            let response = self.pool.send(|| {
                let mut request = Request::new(Full::new(body.clone()));
                *request.method_mut() = Method::POST;
                *request.uri_mut() = self.target.clone();
                *request.headers_mut() = self.headers.clone();
                request
            });
            let (head, body) = response.await?.into_parts();
            // Read to its end, so that the connection can be used again.
            let answer = Limited::new(body, LARGEST_ANSWER).collect().await;
            if !head.status.is_success() {
                return Err(Failure::Status(head.status));
            }
            let answer = answer.map(http_body_util::Collected::to_bytes).unwrap_or_default();
            let partial = ExportResponse::decode(answer).ok().and_then(|answer| answer.partial_success);
            Ok(partial.map_or(0, |partial| u64::try_from(partial.rejected_spans).unwrap_or(0)))
        };
        let timed = tokio::time::timeout(self.timeout, exchange).await;
        timed.unwrap_or(Err(Failure::TimedOut(self.timeout)))
    }
}

/// Sends what is in the queue whenever `delay` is over or a batch is full, until it is told to stop; then what is left.
pub(super) async fn run(spans: Arc<Spans>, sender: Sender, delay: Duration, stop: CancellationToken) {
    let mut in_trouble = false;
    loop {
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            () = spans.ready.notified() => {}
            () = stop.cancelled() => {}
        }
        while let Some(batch) = spans.batch() {
            let body = Bytes::from(sender.body(&batch.bytes));
            let count = batch.spans;
            drop(batch);
            let outcome = deliver(&sender, &body, &stop).await;
            tell(&spans, outcome, count, &mut in_trouble);
        }
        if stop.is_cancelled() {
            return;
        }
    }
}

/// Sends a batch, again where that may help; once it is told to stop there is no time for that.
async fn deliver(sender: &Sender, body: &Bytes, stop: &CancellationToken) -> Result<u64, Failure> {
    let mut pause = PAUSE;
    for _ in 1..ATTEMPTS {
        match sender.send(body).await {
            Err(failure) if failure.passes() && !stop.is_cancelled() => {}
            outcome => return outcome,
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.cancelled() => {}
        }
        pause *= 2;
    }
    sender.send(body).await
}

fn tell(spans: &Spans, outcome: Result<u64, Failure>, count: u64, in_trouble: &mut bool) {
    use std::sync::atomic::Ordering::Relaxed;
    match outcome {
        Ok(rejected) => {
            spans.exported.fetch_add(count.saturating_sub(rejected), Relaxed);
            spans.lose(Lost::Rejected, rejected.min(count));
            if std::mem::take(in_trouble) {
                tracing::info!("spans are sent again");
            }
        }
        Err(failure) => {
            let why = if failure.passes() { Lost::Unreachable } else { Lost::Rejected };
            spans.lose(why, count);
            if !std::mem::replace(in_trouble, true) {
                tracing::warn!(error = %Chain(&failure), "spans cannot be sent and are dropped");
            }
        }
    }
}
