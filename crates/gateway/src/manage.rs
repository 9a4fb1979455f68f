//! The management surface: what runs, whether it is well, and what it counted.
//!
//! | request | answer |
//! |---|---|
//! | `GET /health` | 200 while the process answers at all |
//! | `GET /ready` | 503 until everything was started once, then 200 with a list of what is degraded |
//! | `GET /metrics` | counters in the Prometheus text format |
//! | `GET /plugins` | the plugins, in the shape of the ContextForge documents |
//! | `GET /api/v1/plugins`, `GET /api/v1/plugins/{name}` | the same, and one with its configuration and counters |
//! | `GET /api/v1/upstreams` | the upstreams and where they stand |
//! | `GET /api/v1/history` | changes of the configuration, the newest first; `?limit=`, `?plugin=` |
//! | `POST /api/v1/reload` | settles the configuration anew |
//! | `POST /plugins/reload/{name}`, `POST /api/v1/plugins/{name}/reload` | the same for one plugin, which starts anew |
//!
//! `/health` and `/ready` are for probes and open to all, `/ready` without reasons. Everything else wants the admin
//! token, the credential of the command line, or the token of an app with `is_admin`; on loopback without apps readings
//! are open, changes never. Who is not known gets 401, an app that is known and no admin 403. Host and origin are checked
//! before, with all other requests.

mod deeds;
mod health;
mod plugins;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Response, StatusCode,
    header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE},
};
use mortise_framework::Framework;
use prometheus_client::registry::Registry;
use serde_json::{Value, json};

use crate::{
    auth::{self, Authenticator, Unauthorized},
    config::TokenDigest,
    reload::Reloader,
    upstreams,
};

pub use deeds::{Deed, perform};

/// What the surface shows. Implemented by the gateway; every method is asked at most once per request.
pub trait Managed: Sync {
    /// The plugins.
    fn framework(&self) -> &Framework;
    /// Whether plugins run at all.
    fn plugins_enabled(&self) -> bool;
    /// Whether the plugin endpoints are served (`enable_plugin_api`).
    fn serves_plugins(&self) -> bool;
    /// The upstreams, in file order.
    fn upstreams(&self) -> Vec<upstreams::Status>;
    /// Whether a configuration is in place and each plugin and upstream had one attempt to start.
    fn attempted(&self) -> bool;
    /// What changes the configuration, where it can be changed.
    fn reloader(&self) -> Option<&Arc<Reloader>> {
        None
    }
    /// Everything that is counted.
    fn metrics(&self) -> &Registry;
}

/// Who may manage the gateway.
#[derive(Clone, Debug, Default)]
pub struct Admins {
    digests: Vec<(&'static str, TokenDigest)>,
}

impl Admins {
    /// Those who hold a token with one of these digests.
    #[must_use]
    pub fn new(digests: impl IntoIterator<Item = TokenDigest>) -> Self {
        Self::named(digests.into_iter().map(|digest| ("admin token", digest)))
    }

    /// The same with the name under which each stands in the history.
    #[must_use]
    pub fn named(digests: impl IntoIterator<Item = (&'static str, TokenDigest)>) -> Self {
        Self { digests: digests.into_iter().collect() }
    }

    /// Whether a caller may read.
    fn check(&self, headers: &HeaderMap, callers: &Authenticator) -> Result<(), NoAdmin> {
        if callers.is_open() {
            return Ok(());
        }
        self.who(headers, callers).map(drop)
    }

    /// Whether a caller may change things, and who it is for the history.
    fn who(&self, headers: &HeaderMap, callers: &Authenticator) -> Result<String, NoAdmin> {
        let token = TokenDigest::of(auth::bearer(headers).ok_or(Unauthorized::Missing)?);
        // All are compared, so that the time taken does not tell which one is near.
        let admin = self
            .digests
            .iter()
            .fold(None, |found, (name, known)| if auth::same(*known, token) { Some(*name) } else { found });
        if let Some(name) = admin {
            return Ok(name.to_owned());
        }
        match callers.grant(headers) {
            Ok(grant) if grant.caller.is_admin => {
                Ok(format!("app {}", grant.caller.app.as_deref().unwrap_or_default()))
            }
            // Without apps everyone is let in elsewhere, and a token that came along is nobody's.
            Ok(_) if callers.is_open() => Err(Unauthorized::Unknown.into()),
            Ok(_) => Err(NoAdmin::App),
            Err(error) => Err(error.into()),
        }
    }
}

/// Why a caller may not manage the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum NoAdmin {
    /// It is not known who calls.
    #[error(transparent)]
    Caller(#[from] Unauthorized),
    /// An app calls that is known and no admin.
    #[error("not allowed: the token of this app has no `is_admin`; the admin token is needed")]
    App,
}

impl NoAdmin {
    /// The answer: 401 with the challenge, or 403, and a JSON body that says why.
    fn response(self) -> Response<Bytes> {
        match self {
            Self::Caller(unauthorized) => unauthorized.response(),
            Self::App => detail(StatusCode::FORBIDDEN, &self.to_string()),
        }
    }
}

/// Answers a request to the management surface; `None` where the path is none of its own.
pub fn answer(
    managed: &dyn Managed,
    admins: &Admins,
    callers: &Authenticator,
    method: &Method,
    path: &str,
    headers: &HeaderMap,
) -> Option<Response<Bytes>> {
    let page = Page::of(path)?;
    if !matches!(*method, Method::GET | Method::HEAD) {
        return Some(wrong_method("GET, HEAD"));
    }
    let allowed = admins.check(headers, callers);
    Some(match (page, allowed) {
        (Page::Health, _) => ok(&json!({ "status": "healthy" })),
        (Page::Ready, allowed) => health::ready(managed, allowed.is_ok()),
        (Page::Plugins | Page::Plugin(_), _) if !managed.serves_plugins() => detail(
            StatusCode::NOT_FOUND,
            "the plugin endpoints are switched off by `enable_plugin_api: false`",
        ),
        (_, Err(error)) => error.response(),
        (Page::Metrics, Ok(())) => metrics(managed.metrics()),
        (Page::Plugins, Ok(())) => ok(&plugins::list(managed.framework())),
        (Page::Plugin(name), Ok(())) => match plugins::one(managed.framework(), &name) {
            Some(plugin) => ok(&plugin),
            None => detail(StatusCode::NOT_FOUND, &format!("Plugin '{name}' not found")),
        },
        (Page::Upstreams, Ok(())) => ok(&health::upstreams(&managed.upstreams())),
    })
}

#[derive(Debug, PartialEq)]
enum Page {
    Health,
    Ready,
    Metrics,
    Plugins,
    Plugin(String),
    Upstreams,
}

impl Page {
    fn of(path: &str) -> Option<Self> {
        Some(match path {
            "/health" => Self::Health,
            "/ready" => Self::Ready,
            "/metrics" => Self::Metrics,
            "/plugins" | "/api/v1/plugins" => Self::Plugins,
            "/api/v1/upstreams" => Self::Upstreams,
            _ => {
                let name = path.strip_prefix("/api/v1/plugins/").filter(|name| !name.contains('/'))?;
                Self::Plugin(percent_decoded(name)?)
            }
        })
    }
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok().filter(|name| !name.is_empty())
}

fn metrics(registry: &Registry) -> Response<Bytes> {
    let mut text = String::new();
    if prometheus_client::encoding::text::encode(&mut text, registry).is_err() {
        return detail(StatusCode::INTERNAL_SERVER_ERROR, "the metrics could not be written");
    }
    let kind = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    response(StatusCode::OK, kind, text.into())
}

fn wrong_method(allowed: &'static str) -> Response<Bytes> {
    let mut response = detail(StatusCode::METHOD_NOT_ALLOWED, &format!("only {allowed} is served here"));
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    response
}

fn ok(value: &Value) -> Response<Bytes> {
    json_response(StatusCode::OK, value)
}

fn detail(status: StatusCode, text: &str) -> Response<Bytes> {
    json_response(status, &json!({ "detail": text }))
}

fn json_response(status: StatusCode, value: &Value) -> Response<Bytes> {
    response(status, HeaderValue::from_static("application/json"), value.to_string().into())
}

fn response(status: StatusCode, kind: HeaderValue, body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
