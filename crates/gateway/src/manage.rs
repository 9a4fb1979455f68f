//! The management surface: what runs, whether it is well, what it counted, and what of it changes while it runs.
//!
//! What is served stands in one table (`routes.rs`), of which the [OpenAPI document](openapi) is made too; it is at
//! `contracts/openapi/management.json` and `GET /api/v1/openapi.json`.
//!
//! `/health` and `/ready` are for probes and open to all, `/ready` without reasons. Everything else wants the admin
//! token, the credential of the command line, or the token of an app with `is_admin`; on loopback without apps readings
//! are open, changes never. Who is not known gets 401, an app that is known and no admin 403. Host and origin are checked
//! before, with all other requests. A body is read after that, and no more of it than any request here needs.

mod admins;
mod answers;
mod asked;
mod calls;
mod changes;
mod coverage;
mod health;
mod history;
mod kept;
pub mod openapi;
mod overrides;
mod plugins;
mod route;
mod routes;
mod shapes;
mod stats;

#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode, header::CONTENT_TYPE, request::Parts};
use http_body::Body;
use mortise_framework::Framework;
use mortise_mcp_transport::server::request::{Refusal, read_body};
use prometheus_client::registry::Registry;

use crate::{
    auth::Authenticator, overrides::Overrides, reload::Reloader, snapshot::Snapshot, storage::Storage,
    trace::Calls, upstreams,
};
use answers::{Refused, detail, refused, wrong_method};
use asked::Asked;
use route::{Access, Handler, Route, Tag};
use routes::{Found, find};

pub use admins::Admins;

/// Largest body of a request, in bytes.
const MAX_BODY: usize = 1 << 20;

/// How long a body may take.
const BODY_PATIENCE: Duration = Duration::from_secs(30);

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
    /// What is changed while running.
    fn overrides(&self) -> Arc<Overrides> {
        self.reloader().map(|reloader| reloader.overrides()).unwrap_or_default()
    }
    /// What is kept in a database; `None` where nothing can be.
    fn storage(&self) -> Option<&Arc<Storage>> {
        None
    }
    /// Calls that are over; `None` where nobody follows them.
    fn calls(&self) -> Option<&Arc<Calls>> {
        None
    }
    /// Whether explanations show changed text.
    fn shows_text(&self) -> bool {
        false
    }
    /// What requests are served by now.
    fn snapshot(&self) -> Option<Arc<Snapshot>> {
        None
    }
    /// Everything that is counted.
    fn metrics(&self) -> &Registry;
}

/// Answers a request to the management surface; `None` where the path is none of its own.
pub async fn serve<B>(
    managed: &dyn Managed,
    admins: &Admins,
    callers: &Authenticator,
    parts: &Parts,
    body: B,
) -> Option<Response<Bytes>>
where
    B: Body<Data = Bytes> + Unpin,
{
    let (route, name) = match find(&parts.method, parts.uri.path()) {
        Found::Route(route, name) if route.tag == Tag::Plugins => (route, kept::name_of(managed, name)),
        Found::Route(route, name) => (route, name),
        Found::OtherMethods(allowed) => return Some(wrong_method(&allowed)),
        Found::Nothing => return None,
    };
    if route.tag == Tag::Plugins && !managed.serves_plugins() {
        let off = "the plugin endpoints are switched off by `enable_plugin_api: false`";
        return Some(detail(StatusCode::NOT_FOUND, off));
    }
    let allowed = match route.access {
        Access::Open => Ok(String::new()),
        Access::Read => admins.check(&parts.headers, callers).map(|()| String::new()),
        Access::Change => admins.who(&parts.headers, callers),
    };
    let who = match allowed {
        Ok(who) => who,
        Err(refused) => return Some(refused.response()),
    };
    let body = match read(route, &parts.headers, body).await {
        Ok(body) => body,
        Err(refused) => return Some(*refused),
    };
    let asked = Asked {
        managed,
        who,
        may_read: route.access != Access::Open || admins.check(&parts.headers, callers).is_ok(),
        name,
        query: parts.uri.query().unwrap_or_default(),
        body,
    };
    Some(match route.handler {
        Handler::Now(answer) => answer(&asked),
        Handler::Later(answer) => answer(&asked).await,
    })
}

/// The body of a request whose route takes one.
async fn read<B>(route: &Route, headers: &HeaderMap, body: B) -> Result<Bytes, Refused>
where
    B: Body<Data = Bytes> + Unpin,
{
    if route.body.is_none() {
        return Ok(Bytes::new());
    }
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if !matches!(&*kind, "" | "application/json" | "application/merge-patch+json") {
        return Err(refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, "send the body as application/json"));
    }
    read_body(body, MAX_BODY, BODY_PATIENCE).await.map_err(|refusal| {
        let status = match refusal {
            Refusal::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Refusal::TooSlow { .. } => StatusCode::REQUEST_TIMEOUT,
            _ => StatusCode::BAD_REQUEST,
        };
        refused(status, &refusal.to_string())
    })
}
