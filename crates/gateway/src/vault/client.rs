//! One request to Vault and its answer.
//!
//! A request that may not have been looked at, or that Vault could not serve at that moment, is repeated a few times.
//! An address that only points at the active node is followed, never from `https` to `http`: the token goes along.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{
    HeaderName, HeaderValue, Method, Request, StatusCode, Uri,
    header::{CONTENT_TYPE, HOST, LOCATION, USER_AGENT},
};
use http_body_util::{BodyExt, Full};
use mortise_mcp_transport::{
    chain::Chain,
    http::{
        origin::Origin,
        pool::{Pool, PoolConfig, PooledBody},
    },
    tls::LoadedClientTls,
};
use serde_json::Value;
use url::{Position, Url};

use super::settings::Settings;

/// Who asks.
const AGENT: HeaderValue = HeaderValue::from_static(concat!("mortise/", env!("CARGO_PKG_VERSION")));
const TOKEN: HeaderName = HeaderName::from_static("x-vault-token");
const NAMESPACE: HeaderName = HeaderName::from_static("x-vault-namespace");
/// Without it an agent that stands before Vault may refuse.
const REQUEST: HeaderName = HeaderName::from_static("x-vault-request");

/// Largest answer that is read, in bytes.
const MOST_BYTES: usize = 4 << 20;
/// Attempts at one request.
const ATTEMPTS: u32 = 3;
/// Pause before the second attempt; each later one is longer by as much.
const PAUSE: Duration = Duration::from_millis(150);
/// Addresses that are gone on to, one after another.
const MOST_HOPS: usize = 2;

/// An answer.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    /// Null where it is no JSON.
    pub(super) body: Value,
}

impl Answer {
    /// What Vault says of a failure, at a length that fits a line.
    pub(super) fn errors(&self) -> String {
        let errors = self.body.get("errors").and_then(Value::as_array);
        let texts = errors.into_iter().flatten().filter_map(Value::as_str);
        let words: Vec<&str> = texts.flat_map(str::split_whitespace).collect();
        let text: String = words.join(" ").chars().filter(|c| !c.is_control()).take(200).collect();
        if text.is_empty() { self.status.to_string() } else { text }
    }
}

/// What is asked.
pub(super) struct Question<'q> {
    pub(super) method: Method,
    /// Parts of the path below `v1`.
    pub(super) path: Vec<&'q str>,
    pub(super) version: Option<u64>,
    pub(super) token: Option<&'q HeaderValue>,
    pub(super) body: Bytes,
}

impl<'q> Question<'q> {
    pub(super) fn get(path: Vec<&'q str>, token: &'q HeaderValue) -> Self {
        Self { method: Method::GET, path, version: None, token: Some(token), body: Bytes::new() }
    }
}

/// Connections to Vault, for as long as one secret takes.
pub(super) struct Client<'s> {
    settings: &'s Settings,
    tls: Option<LoadedClientTls>,
    /// The node that was asked last.
    pool: Option<Pool>,
}

impl<'s> Client<'s> {
    pub(super) fn new(settings: &'s Settings) -> Result<Self, String> {
        let tls = match settings.address.scheme() {
            "https" => Some(settings.tls.load().map_err(|error| Chain(&error).to_string())?),
            _ => None,
        };
        Ok(Self { settings, tls, pool: None })
    }

    /// # Errors
    /// Why there is no answer.
    pub(super) async fn ask(&mut self, question: &Question<'_>) -> Result<Answer, String> {
        let mut url = self.address(question);
        for _ in 0..=MOST_HOPS {
            let (answer, location) = self.at(&url, question).await?;
            let Some(location) = location else { return Ok(answer) };
            let next = url.join(&location).map_err(|_| "it is sent on to what is no address".to_owned())?;
            let weaker = url.scheme() == "https" && next.scheme() != "https";
            if weaker || (next.scheme() == "https" && self.tls.is_none()) {
                return Err(format!("{} sends on to {}", shown(&url), shown(&next)));
            }
            url = next;
        }
        Err(format!("{} sends on again and again", self.settings.shown()))
    }

    fn address(&self, question: &Question<'_>) -> Url {
        let mut url = self.settings.address.clone();
        // Addresses of `http` have a path.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push("v1").extend(&question.path);
        }
        if let Some(version) = question.version {
            url.query_pairs_mut().append_pair("version", &version.to_string());
        }
        url
    }

    /// Asks one node; gives where it sends on to, too.
    async fn at(&mut self, url: &Url, question: &Question<'_>) -> Result<(Answer, Option<String>), String> {
        let origin = Origin::of(url).map_err(|error| error.to_string())?;
        let uri = Uri::try_from(&url[Position::BeforePath..Position::AfterQuery])
            .map_err(|_| "its path cannot be sent".to_owned())?;
        let pool = match &self.pool {
            Some(pool) if *pool.origin() == origin => pool.clone(),
            _ => {
                let pool = Pool::new(origin.clone(), self.tls.clone(), PoolConfig::default());
                self.pool.insert(pool).clone()
            }
        };
        let message = || self.message(&origin, &uri, question);
        let mut attempt = 1;
        loop {
            let last = attempt == ATTEMPTS;
            match pool.send(message).await {
                Ok(answer) if last || !may_be_served_later(answer.status()) => {
                    let location = answer.headers().get(LOCATION).and_then(|to| to.to_str().ok());
                    let location = location.filter(|_| answer.status().is_redirection()).map(str::to_owned);
                    return Ok((read(answer, &origin).await?, location));
                }
                Err(error) if last || !(error.nothing_sent() || question.method == Method::GET) => {
                    return Err(Chain(&error).to_string());
                }
                _ => tokio::time::sleep(PAUSE * attempt).await,
            }
            attempt += 1;
        }
    }

    fn message(&self, origin: &Origin, uri: &Uri, question: &Question<'_>) -> Request<Full<Bytes>> {
        let mut message = Request::new(Full::new(question.body.clone()));
        *message.method_mut() = question.method.clone();
        *message.uri_mut() = uri.clone();
        let headers = message.headers_mut();
        headers.insert(HOST, origin.authority().clone());
        headers.insert(USER_AGENT, AGENT);
        headers.insert(REQUEST, HeaderValue::from_static("true"));
        if !question.body.is_empty() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        for (name, value) in [(TOKEN, question.token), (NAMESPACE, self.settings.namespace.as_ref())] {
            if let Some(value) = value {
                headers.insert(name, value.clone());
            }
        }
        message
    }
}

fn shown(url: &Url) -> String {
    url.origin().ascii_serialization()
}

/// Whether a node that says so may serve the same a moment later: it changes places with another one, or is behind it.
fn may_be_served_later(status: StatusCode) -> bool {
    matches!(status.as_u16(), 412 | 429 | 500 | 502 | 504)
}

async fn read(answer: http::Response<PooledBody>, origin: &Origin) -> Result<Answer, String> {
    let status = answer.status();
    let mut incoming = answer.into_body();
    let mut body = BytesMut::new();
    while let Some(frame) = incoming.frame().await {
        let frame = frame.map_err(|error| format!("reading the answer of {origin}: {}", Chain(&error)))?;
        let Ok(data) = frame.into_data() else { continue };
        if data.len() > MOST_BYTES - body.len() {
            return Err(format!("the answer of {origin} is larger than {MOST_BYTES} bytes"));
        }
        body.extend_from_slice(&data);
    }
    Ok(Answer { status, body: serde_json::from_slice(&body).unwrap_or(Value::Null) })
}
