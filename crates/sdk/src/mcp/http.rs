//! Over HTTP: `/mcp`, and beside it `/health` and metrics for those who look after the server.
//!
//! Every request stands for itself. There is nothing a client would have to listen for, so a stream cannot be opened.
//! On loopback, requests that a web page made a browser send are refused, by their `Host` and `Origin`.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body::Body as HttpBody;
use mortise_mcp::{
    envelope::{Body, ErrorObject, Limits, Message, Request as Asked, code},
    stateless::{self, RoutingHeaders, unsupported_version},
    version::{Version, header as name},
};
use mortise_mcp_transport::server::{
    answer::{self, AnswerBody},
    request::{Accepts, check_headers, read_body},
};

use super::Service;
use crate::Plugins;

/// How long the body of a request may take.
const BODY: Duration = Duration::from_secs(30);

/// One HTTP server of plugins.
pub(crate) struct Site {
    pub(crate) service: Arc<Service>,
    pub(crate) plugins: Arc<Plugins>,
    pub(crate) max_bytes: usize,
    /// Whether it listens where only this machine can reach it.
    pub(crate) loopback: bool,
    pub(crate) secure: bool,
    pub(crate) metrics: bool,
}

impl Site {
    /// Answers a request.
    pub(crate) async fn answer<B>(&self, request: Request<B>) -> Response<AnswerBody>
    where
        B: HttpBody<Data = Bytes> + Unpin,
    {
        let (parts, body) = request.into_parts();
        if self.loopback && !is_local(&parts.headers, &parts.uri) {
            return answer::empty(StatusCode::FORBIDDEN);
        }
        if !self.loopback && parts.headers.contains_key(header::ORIGIN) {
            return answer::empty(StatusCode::FORBIDDEN);
        }
        match (&parts.method, parts.uri.path()) {
            (&Method::POST, "/mcp" | "/mcp/") => self.post(&parts.headers, body).await,
            (_, "/mcp" | "/mcp/") => {
                let mut response = answer::empty(StatusCode::METHOD_NOT_ALLOWED);
                response.headers_mut().insert(header::ALLOW, http::HeaderValue::from_static("POST"));
                response
            }
            _ => self.about(&parts.method, parts.uri.path()).await,
        }
    }

    /// Answers what is asked about the server, and nothing else.
    pub(crate) async fn about(&self, method: &Method, path: &str) -> Response<AnswerBody> {
        match (method, path) {
            (&Method::GET | &Method::HEAD, "/health") => match self.plugins.health().await {
                Ok(()) => answer::json(Bytes::from_static(b"{\"status\":\"healthy\"}")),
                Err((plugin, error)) => {
                    tracing::warn!(plugin = &*plugin, %error, "plugin is unwell");
                    let body = serde_json::json!({ "status": "unhealthy", "plugin": &*plugin }).to_string();
                    answer::json_with_status(StatusCode::SERVICE_UNAVAILABLE, body.into())
                }
            },
            (&Method::GET, "/metrics/prometheus") if self.metrics => {
                let mut response = answer::json(self.exposition().into());
                let text = http::HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
                response.headers_mut().insert(header::CONTENT_TYPE, text);
                response
            }
            _ => answer::empty(StatusCode::NOT_FOUND),
        }
    }

    fn exposition(&self) -> String {
        format!(
            "# HELP plugin_info What this plugin server is\n# TYPE plugin_info gauge\n\
             plugin_info{{server_name=\"{}\",transport=\"http\",ssl_enabled=\"{}\"}} 1\n",
            super::NAME,
            self.secure
        )
    }

    async fn post<B>(&self, headers: &HeaderMap, body: B) -> Response<AnswerBody>
    where
        B: HttpBody<Data = Bytes> + Unpin,
    {
        let accepts = match check_headers(headers, self.max_bytes) {
            Ok(accepts) => accepts,
            Err(refusal) => return answer::refused(refusal),
        };
        if let Some(version) = headers.get(name::PROTOCOL_VERSION) {
            let text = version.to_str().unwrap_or("unreadable");
            if text.parse::<Version>().is_err() {
                return answer::error(StatusCode::BAD_REQUEST, None, &unsupported_version(text));
            }
        }
        let body = match read_body(body, self.max_bytes, BODY).await {
            Ok(body) => body,
            Err(refusal) => return answer::refused(refusal),
        };
        let limits = Limits { max_bytes: self.max_bytes, max_batch: 0, ..Limits::default() };
        match Body::parse(&body, &limits) {
            Ok(Body::Single(Message::Request(asked))) => self.request(headers, accepts, asked).await,
            Ok(_) => answer::accepted(),
            Err(error) => {
                let body = Message::Response(error.to_response()).to_bytes();
                answer::json_with_status(StatusCode::BAD_REQUEST, body)
            }
        }
    }

    async fn request(&self, headers: &HeaderMap, accepts: Accepts, asked: Asked) -> Response<AnswerBody> {
        let without_session = match stateless::request_meta(asked.params.as_ref()) {
            Ok(None) => false,
            Ok(Some(meta)) => {
                let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
                let routing = RoutingHeaders {
                    version: text(name::PROTOCOL_VERSION),
                    method: text(name::METHOD),
                    name: text(name::NAME),
                };
                let checked = stateless::check_headers(&routing, &meta, &asked.method, asked.params.as_ref());
                if let Err(error) = checked {
                    return refused(&asked, &error.to_error());
                }
                true
            }
            Err(error) => return refused(&asked, &error.to_error()),
        };
        let response = self.service.answer(asked).await;
        let status = match &response.outcome {
            Err(error) if without_session => status_of(error.code().unwrap_or(code::INTERNAL_ERROR)),
            _ => StatusCode::OK,
        };
        let body = Message::Response(response).to_bytes();
        if accepts.json {
            return answer::json_with_status(status, body);
        }
        let (sender, response) = answer::events(1);
        // There is room for the one event, so this does not wait.
        let _ = sender.send(None, &body).await;
        response
    }
}

fn refused(asked: &Asked, error: &ErrorObject) -> Response<AnswerBody> {
    answer::error(status_of(error.code), Some(&asked.id), error)
}

fn status_of(error_code: i64) -> StatusCode {
    StatusCode::from_u16(stateless::http_status(error_code)).unwrap_or(StatusCode::OK)
}

/// Whether a request is for this machine and from it, by what it says.
fn is_local(headers: &HeaderMap, uri: &http::Uri) -> bool {
    let host = headers.get(header::HOST).and_then(|value| value.to_str().ok());
    let host = host.or_else(|| uri.authority().map(http::uri::Authority::as_str));
    let origin = headers.get(header::ORIGIN).map(|value| value.to_str().unwrap_or("null"));
    let origin = origin.map(|origin| origin.split_once("://").map_or(origin, |(_, rest)| rest));
    host.is_some_and(is_loopback_name) && origin.is_none_or(is_loopback_name)
}

/// Whether a host with or without a port is this machine.
fn is_loopback_name(host: &str) -> bool {
    let bare = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    bare.eq_ignore_ascii_case("localhost")
        || bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}
