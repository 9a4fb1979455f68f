//! One upstream endpoint that speaks streamable HTTP: post a message, open the server's stream, end the
//! session.
//!
//! It carries bytes and headers and knows nothing of what the messages say. Headers are put together once
//! per session; a call clones that map and adds its own.

mod answer;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::Bytes;
use http::header::{
    ACCEPT, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::Full;
use rustls::ClientConfig;
use url::Url;

pub use answer::{Answer, Posted};

use super::error::HttpError;
use super::events::EventStream;
use super::head::HeadSlot;
use super::origin::{Origin, OriginError};
use super::pool::{Pool, PoolConfig};
use super::{EVENT_STREAM, JSON, LAST_EVENT_ID, PROTOCOL_VERSION, SESSION_ID};

const ACCEPT_BOTH: HeaderValue = HeaderValue::from_static("application/json, text/event-stream");

/// Headers that describe one connection or one body; configured values would break the framing.
const NOT_CONFIGURABLE: [HeaderName; 7] =
    [CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, TE, TRAILER, TRANSFER_ENCODING, UPGRADE];

/// Where an upstream is and how much it may say.
#[derive(Clone)]
pub struct EndpointConfig {
    /// The endpoint, `http` or `https`. May carry secrets in its query; it is never shown.
    pub url: Url,
    /// Sent with every request. Mark secret values as sensitive.
    pub headers: HeaderMap,
    /// Most bytes of a JSON answer. Default 64 MiB.
    pub max_answer_bytes: usize,
    /// Most bytes of one event of a stream. Default 64 MiB.
    pub max_event_bytes: usize,
    /// The connections.
    pub pool: PoolConfig,
    /// Needed for `https`; see [`crate::tls::ClientTls::load`].
    pub tls: Option<Arc<ClientConfig>>,
    /// Statuses that an answer with a body may have; `None` for every one that says success, which is the default.
    pub statuses: Option<Arc<[u16]>>,
}

impl EndpointConfig {
    /// The defaults for a URL.
    #[must_use]
    pub fn new(url: Url) -> Self {
        Self {
            url,
            headers: HeaderMap::new(),
            max_answer_bytes: 64 << 20,
            max_event_bytes: 64 << 20,
            pool: PoolConfig::default(),
            tls: None,
            statuses: None,
        }
    }
}

/// An upstream endpoint and its connections. Cheap to clone; clones share the connections.
#[derive(Clone)]
pub struct Endpoint {
    shared: Arc<Shared>,
}

struct Shared {
    pool: Pool,
    target: Uri,
    headers: HeaderMap,
    max_answer_bytes: usize,
    max_event_bytes: usize,
    statuses: Option<Arc<[u16]>>,
}

impl Shared {
    /// Whether an answer with this status is taken for one. What has no body has nothing to be taken.
    fn takes(&self, status: StatusCode) -> bool {
        let bodiless = matches!(status, StatusCode::ACCEPTED | StatusCode::NO_CONTENT);
        let listed = |statuses: &[u16]| bodiless || statuses.contains(&status.as_u16());
        status.is_success() && self.statuses.as_deref().is_none_or(listed)
    }
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint").field("pool", &self.shared.pool).finish_non_exhaustive()
    }
}

impl Endpoint {
    /// Prepares an endpoint; connects nowhere yet.
    ///
    /// # Errors
    ///
    /// URLs that cannot be an upstream's address.
    pub fn new(config: EndpointConfig) -> Result<Self, OriginError> {
        let origin = Origin::of(&config.url)?;
        let path = &config.url[url::Position::BeforePath..url::Position::AfterQuery];
        let target = Uri::try_from(path)
            .map_err(|_| OriginError::Host { host: config.url.host_str().unwrap_or_default().to_owned() })?;
        let mut headers = HeaderMap::with_capacity(config.headers.len() + 8);
        headers.insert(HOST, origin.authority().clone());
        for (name, value) in &config.headers {
            if !NOT_CONFIGURABLE.contains(name) {
                headers.insert(name.clone(), value.clone());
            }
        }
        headers.insert(ACCEPT, ACCEPT_BOTH);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
        let shared = Shared {
            pool: Pool::new(origin, config.tls, config.pool),
            target,
            headers,
            max_answer_bytes: config.max_answer_bytes,
            max_event_bytes: config.max_event_bytes,
            statuses: config.statuses,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The path that requests go to.
    #[must_use]
    pub fn path(&self) -> &str {
        self.shared.target.path()
    }

    /// The connections.
    #[must_use]
    pub fn pool(&self) -> &Pool {
        &self.shared.pool
    }

    /// Most bytes of one JSON answer.
    #[must_use]
    pub fn max_answer_bytes(&self) -> usize {
        self.shared.max_answer_bytes
    }

    /// Asks for another path of the same server by `GET` and gives the status of its answer, whose body is not read:
    /// for looking whether the server is well. Sends the configured headers.
    ///
    /// # Errors
    ///
    /// See [`HttpError`]; no status is an error here.
    pub async fn probe(&self, target: &Uri) -> Result<StatusCode, HttpError> {
        let request = || {
            let mut headers = self.shared.headers.clone();
            headers.remove(CONTENT_TYPE);
            headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
            let mut request = Request::new(Full::new(Bytes::new()));
            *request.uri_mut() = target.clone();
            *request.headers_mut() = headers;
            request
        };
        Ok(self.shared.pool.send(request).await?.status())
    }

    /// Requests that belong to a session, or to none yet (`id` unset, as for `initialize`).
    #[must_use]
    pub fn session(&self, id: Option<HeaderValue>, version: Option<HeaderValue>) -> Session {
        let mut headers = HeaderMap::with_capacity(self.shared.headers.len() + 8);
        headers.extend(self.shared.headers.clone());
        let has_id = id.is_some();
        if let Some(mut id) = id {
            id.set_sensitive(true);
            headers.insert(SESSION_ID, id);
        }
        if let Some(version) = version {
            headers.insert(PROTOCOL_VERSION, version);
        }
        Session { shared: Arc::clone(&self.shared), headers: Arc::new(headers), has_id }
    }
}

/// Sends requests of one session. Cheap to clone.
#[derive(Clone)]
pub struct Session {
    shared: Arc<Shared>,
    headers: Arc<HeaderMap>,
    has_id: bool,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("origin", self.origin())
            .field("has_id", &self.has_id)
            .finish_non_exhaustive()
    }
}

impl Session {
    /// Scheme, host and port of the upstream.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        self.shared.pool.origin()
    }

    /// Whether the server gave this session an id.
    #[must_use]
    pub fn has_id(&self) -> bool {
        self.has_id
    }

    /// Posts one message and returns its answer: whole if it is JSON, as a stream if it is events.
    /// `extra` headers replace those of the session.
    ///
    /// Dropping the future, or the stream before its end, closes the connection.
    ///
    /// # Errors
    ///
    /// See [`HttpError`]. There is no deadline for the answer; set one around it.
    pub async fn post(&self, message: Bytes, extra: Option<&HeaderMap>) -> Result<Posted, HttpError> {
        self.post_noting(message, extra, None).await
    }

    /// The same; the head of the answer is noted in `head` once it has come, whatever comes of the rest.
    ///
    /// # Errors
    ///
    /// As [`Session::post`].
    pub async fn post_noting(
        &self,
        message: Bytes,
        extra: Option<&HeaderMap>,
        head: Option<&HeadSlot>,
    ) -> Result<Posted, HttpError> {
        let response = self
            .shared
            .pool
            .send(|| {
                let mut headers = HeaderMap::clone(&self.headers);
                add(&mut headers, extra);
                self.request(Method::POST, headers, message.clone())
            })
            .await?;
        if let Some(slot) = head {
            slot.note(response.status(), response.headers());
        }
        let (head, body) = response.into_parts();
        if !self.shared.takes(head.status) {
            return Err(answer::refusal(self, &head, body).await);
        }
        answer::read(self, head, body).await
    }

    /// Opens the server's own stream, or resumes a broken one after the event `last_event_id`.
    ///
    /// # Errors
    ///
    /// [`HttpError::MethodNotAllowed`] from servers that offer none, and the rest of [`HttpError`].
    pub async fn events(&self, last_event_id: Option<&str>) -> Result<EventStream, HttpError> {
        let response = self
            .shared
            .pool
            .send(|| {
                let mut headers = HeaderMap::clone(&self.headers);
                headers.remove(CONTENT_TYPE);
                headers.insert(ACCEPT, HeaderValue::from_static(EVENT_STREAM));
                if let Some(id) = last_event_id.and_then(|id| HeaderValue::from_str(id).ok()) {
                    headers.insert(LAST_EVENT_ID, id);
                }
                self.request(Method::GET, headers, Bytes::new())
            })
            .await?;
        let (head, body) = response.into_parts();
        if !head.status.is_success() {
            return Err(answer::refusal(self, &head, body).await);
        }
        answer::only_events(self, &head, body)
    }

    /// Ends the session at the server. One that does not let clients end sessions (405), or has already
    /// forgotten this one, counts as done.
    ///
    /// # Errors
    ///
    /// See [`HttpError`].
    pub async fn delete(&self) -> Result<(), HttpError> {
        if !self.has_id {
            return Ok(());
        }
        let response = self
            .shared
            .pool
            .send(|| {
                let mut headers = HeaderMap::clone(&self.headers);
                headers.remove(CONTENT_TYPE);
                self.request(Method::DELETE, headers, Bytes::new())
            })
            .await?;
        let (head, body) = response.into_parts();
        if head.status.is_success() {
            return Ok(());
        }
        match answer::refusal(self, &head, body).await {
            HttpError::MethodNotAllowed { .. } | HttpError::SessionGone { .. } => Ok(()),
            other => Err(other),
        }
    }

    fn request(&self, method: Method, headers: HeaderMap, body: Bytes) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = self.shared.target.clone();
        *request.headers_mut() = headers;
        request
    }

    fn max_answer_bytes(&self) -> usize {
        self.shared.max_answer_bytes
    }

    pub(super) fn max_event_bytes(&self) -> usize {
        self.shared.max_event_bytes
    }
}

fn add(headers: &mut HeaderMap, extra: Option<&HeaderMap>) {
    for (name, value) in extra.into_iter().flatten() {
        headers.insert(name.clone(), value.clone());
    }
}
