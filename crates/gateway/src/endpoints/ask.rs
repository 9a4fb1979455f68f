//! From a request that was let in to the plugin's answer.

use std::{
    future::poll_fn,
    net::SocketAddr,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Response, StatusCode,
    header::{self, HOST},
    request::Parts,
};
use hyper::body::Incoming;
use mortise_framework::endpoints::Mount;
use mortise_mcp_transport::server::{answer::AnswerBody, request::read_body};
use mortise_plugin_api::{
    EndpointAnswer, EndpointCall, EndpointChunk, EndpointMethod, EndpointRegistration, EndpointRequest,
    EndpointStream, Headers, PluginError,
};
use tokio::time::timeout_at;

use super::{
    admit::Identity,
    body::Pieces,
    kept::Kept,
    refusal::{failed, refused, unavailable, unread},
    target::Target,
};

/// How long a client may take to send a body.
const BODY_PATIENCE: Duration = Duration::from_secs(60);

/// Headers that frame a message or belong to the connection: the gateway's own.
const OF_THE_CONNECTION: [HeaderName; 9] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::TE,
    header::TRAILER,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("x-request-id"),
];

/// Keeps reverse proxies from holding pieces back.
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// A request that was let in.
pub(super) struct Asking<'a> {
    pub(super) mount: &'a Mount,
    pub(super) registration: &'a EndpointRegistration,
    pub(super) route: usize,
    pub(super) method: EndpointMethod,
    pub(super) target: Target,
    pub(super) identity: Identity,
    pub(super) parts: Parts,
    pub(super) kept: Kept,
}

impl Asking<'_> {
    /// Reads the body, asks the plugin, and makes its answer one of HTTP.
    pub(super) async fn answer(mut self, body: Incoming) -> Response<AnswerBody> {
        let limits = self.kept.snapshot.access.endpoints;
        let body = match read_body(body, limits.max_body_bytes, BODY_PATIENCE).await {
            Ok(body) => body,
            Err(why) => return self.over(unread(&why, limits.max_body_bytes)),
        };
        if let Some(error) = self.mount.unavailable() {
            let response = unavailable(self.mount, Some(&error));
            return self.over(response);
        }
        let stream = self.registration.stream_response;
        let patience = if stream { limits.stream_timeout } else { limits.timeout };
        let deadline = Instant::now() + patience;
        let call = self.call(body, stream, deadline);
        self.kept.ask();
        let asked = timeout_at(deadline.into(), self.mount.serve(call)).await;
        match asked.unwrap_or(Err(PluginError::Timeout(patience))) {
            Ok(EndpointAnswer::Whole(answer)) => match head(answer.status, &answer.headers) {
                Ok((status, headers)) => {
                    self.over(response(status, headers, AnswerBody::Whole(Some(answer.body))))
                }
                Err(error) => self.failed(&error),
            },
            Ok(EndpointAnswer::Stream(stream)) => self.first_piece(stream, deadline, patience).await,
            Err(error) => self.failed(&error),
        }
    }

    fn call(&mut self, body: Bytes, stream: bool, deadline: Instant) -> EndpointCall {
        let about = (*self.kept.about).clone();
        let identity = std::mem::take(&mut self.identity);
        let request = EndpointRequest {
            method: self.method,
            path: self.target.path.clone(),
            relative_path: self.target.relative.clone(),
            path_segments: self.target.segments(),
            headers: first_values(&self.parts.headers),
            body,
            query_string: self.parts.uri.query().unwrap_or_default().to_owned(),
            remote_addr: about.client.as_ref().map(address).unwrap_or_default(),
            host: host(&self.parts),
            protocol: "http",
            authenticated: identity.authenticated,
            app: identity.app,
            scopes: identity.scopes,
        };
        let host = self.mount.instance().host.clone();
        EndpointCall { request, about, route: self.route, stream, deadline, host }
    }

    /// Waits for the piece that decides on status and headers.
    async fn first_piece(
        mut self,
        mut stream: Box<dyn EndpointStream>,
        deadline: Instant,
        patience: Duration,
    ) -> Response<AnswerBody> {
        let idle = self.kept.snapshot.access.endpoints.stream_idle_timeout;
        let until = idle.map_or(deadline, |idle| deadline.min(Instant::now() + idle));
        let first = timeout_at(until.into(), poll_fn(|cx| stream.poll_chunk(cx))).await;
        let (status, headers, data) = match first {
            Err(_) => {
                return self.failed(&PluginError::Timeout(idle.map_or(patience, |idle| idle.min(patience))));
            }
            Ok(Some(Err(error))) => return self.failed(&error),
            Ok(Some(Ok(EndpointChunk::Failed(why)))) => {
                tracing::warn!(plugin = &*self.mount.instance().name, why, "endpoint failed");
                return self.over(refused(StatusCode::INTERNAL_SERVER_ERROR, &why));
            }
            Ok(Some(Ok(EndpointChunk::Head { status, headers }))) => match head(status, &headers) {
                Ok((status, headers)) => (status, headers, None),
                Err(error) => return self.failed(&error),
            },
            Ok(Some(Ok(EndpointChunk::Body(data)))) => (StatusCode::OK, HeaderMap::new(), Some(data)),
            Ok(None) => {
                return self.over(response(StatusCode::OK, HeaderMap::new(), AnswerBody::Whole(None)));
            }
        };
        let mut headers = headers;
        if !headers.contains_key(&ACCEL_BUFFERING) {
            headers.insert(ACCEL_BUFFERING, HeaderValue::from_static("no"));
        }
        if self.method == EndpointMethod::Head || has_no_body(status) {
            return self.over(response(status, headers, AnswerBody::Whole(None)));
        }
        self.kept.streams(status);
        let plugin = self.mount.instance().name.clone();
        let pieces = Pieces::new(stream, data, plugin, deadline, idle, self.kept);
        response(status, headers, AnswerBody::Made(Box::pin(pieces)))
    }

    fn failed(self, error: &PluginError) -> Response<AnswerBody> {
        let response = failed(self.mount, error);
        self.over(response)
    }

    /// An answer that is over with its head and what of a body there is.
    fn over(mut self, response: Response<AnswerBody>) -> Response<AnswerBody> {
        self.kept.answered(response.status());
        response
    }
}

fn response(status: StatusCode, headers: HeaderMap, body: AnswerBody) -> Response<AnswerBody> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

fn has_no_body(status: StatusCode) -> bool {
    matches!(status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED)
}

/// Status and headers of a plugin's answer. What is no header is left out, with a word.
fn head(status: u16, headers: &Headers) -> Result<(StatusCode, HeaderMap), PluginError> {
    let status = if status == 0 { 200 } else { status };
    let status =
        StatusCode::from_u16(status).ok().filter(|_| (200..600).contains(&status)).ok_or_else(|| {
            PluginError::InvalidAnswer(format!("{status} is no status that an answer can have"))
        })?;
    let mut map = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers.iter() {
        match (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            (Ok(name), Ok(_)) if OF_THE_CONNECTION.contains(&name) => {}
            (Ok(name), Ok(value)) => drop(map.insert(name, value)),
            _ => tracing::warn!(header = %name.escape_debug(), "an endpoint answered with what is no header"),
        }
    }
    Ok((status, map))
}

/// Headers as endpoints are shown them: text, the first value of each name.
fn first_values(headers: &HeaderMap) -> Headers {
    let mut shown = Headers::new();
    for name in headers.keys().filter(|name| *name != HOST) {
        if let Some(value) = headers.get(name).and_then(|value| value.to_str().ok()) {
            shown.set(name.as_str(), value);
        }
    }
    shown
}

fn host(parts: &Parts) -> String {
    let named = parts.headers.get(HOST).and_then(|value| value.to_str().ok());
    named.or_else(|| parts.uri.authority().map(http::uri::Authority::as_str)).unwrap_or_default().to_owned()
}

fn address(client: &SocketAddr) -> String {
    client.ip().to_canonical().to_string()
}
