//! The edge: from an HTTP request to the surface that answers it.
//!
//! Forward only: request id → origin → route → who is it → surface. Routing costs a few comparisons, and layers there
//! are none: what every request needs is done here in order, what one surface needs is done there.

mod guard;
mod request_id;
mod route;

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use bytes::Bytes;
use http::{
    HeaderName, HeaderValue, Method, Request, Response, StatusCode, header::CONTENT_TYPE, request::Parts,
};
use hyper::body::Incoming;
use ipnet::IpNet;
use mortise_framework::{Framework, stats::PluginCollector};
use mortise_mcp_transport::server::{
    answer::{self, AnswerBody},
    listen::Peer,
};
use mortise_plugin_api::{Hook, Request as PluginRequest, hooks::HttpPostRequest};

use prometheus_client::registry::Registry;
use tokio::sync::watch;

use crate::{
    auth::{Authenticator, OriginCheck, Unauthorized, client_address, share},
    config::{Settled, TokenDigest},
    manage::{self, Admins, Managed},
    mcp::{Audience, Post, Surface},
    metrics::{GatewayCollector, GatewayMetrics},
    upstreams,
};
use guard::{Asked, Guard};
use route::Route;

/// Header that carries the id of a request, both ways.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// How long upstreams have for their first attempt before `/ready` stops waiting for them.
const FIRST_ATTEMPT: Duration = Duration::from_secs(60);

/// Everything a request needs to be led to its surface.
pub struct Edge {
    authenticator: Authenticator,
    origins: OriginCheck,
    trusted_proxies: Vec<IpNet>,
    surface: Arc<Surface>,
    framework: Framework,
    metrics: Arc<GatewayMetrics>,
    registry: Registry,
    admins: Admins,
    plugins_enabled: bool,
    serves_plugins: bool,
    attempted: watch::Sender<bool>,
}

impl Edge {
    /// An edge that listens at `address`; `admins` are the digests of tokens that may manage the gateway.
    pub fn new(
        settled: &Settled,
        address: SocketAddr,
        surface: Arc<Surface>,
        metrics: Arc<GatewayMetrics>,
        admins: impl IntoIterator<Item = TokenDigest>,
    ) -> Self {
        let framework = surface.framework.clone();
        let mut registry = Registry::default();
        registry.register_collector(Box::new(PluginCollector(framework.clone())));
        let upstreams = surface.upstreams.clone();
        registry.register_collector(Box::new(GatewayCollector { metrics: metrics.clone(), upstreams }));
        Self {
            registry,
            admins: Admins::new(admins),
            plugins_enabled: settled.plan.enabled,
            serves_plugins: settled.plugin_settings.enable_plugin_api,
            authenticator: Authenticator::new(settled.apps.as_deref()),
            origins: OriginCheck::new(&settled.listen, address.port()),
            trusted_proxies: settled.listen.trusted_proxies.clone(),
            surface,
            framework,
            metrics,
            attempted: watch::channel(false).0,
        }
    }

    /// Whether plugins and upstreams had one start attempt each.
    pub fn is_ready(&self) -> bool {
        *self.attempted.borrow()
    }

    /// Waits until plugins and upstreams had one start attempt each.
    pub async fn ready(&self) {
        let mut attempted = self.attempted.subscribe();
        let _ = attempted.wait_for(|attempted| *attempted).await;
    }

    /// Waits until every upstream had an attempt, then keeps gauges current, for ever.
    pub async fn watch_readiness(&self) {
        self.surface.upstreams.attempted(FIRST_ATTEMPT).await;
        self.attempted.send_replace(true);
        let mut tick = tokio::time::interval(Duration::from_secs(5));
        loop {
            tick.tick().await;
            let open = i64::try_from(self.surface.sessions.len()).unwrap_or(i64::MAX);
            self.metrics.sessions.store(open, Relaxed);
        }
    }

    /// Answers one HTTP request.
    pub async fn serve(
        self: &Arc<Self>,
        request: Request<Incoming>,
        peer: Arc<Peer>,
    ) -> Response<AnswerBody> {
        let id = request_id::of(request.headers());
        let mut response = match self.origins.check(request.uri(), request.headers()) {
            Err(refused) => whole(refused.response()),
            Ok(shared_with) => {
                let shared_with = shared_with.cloned();
                match OriginCheck::preflight(request.method(), request.headers(), shared_with.as_ref()) {
                    Some(preflight) => whole(preflight),
                    None => {
                        let mut response = self.lead(request, &peer, &id).await;
                        if let Some(origin) = &shared_with {
                            share(response.headers_mut(), origin);
                        }
                        response
                    }
                }
            }
        };
        self.metrics.http(response.status());
        // The id was checked, or made, to be a header value.
        if let Ok(value) = HeaderValue::from_str(&id) {
            response.headers_mut().insert(REQUEST_ID, value);
        }
        response
    }

    async fn lead(
        self: &Arc<Self>,
        request: Request<Incoming>,
        peer: &Peer,
        id: &Arc<str>,
    ) -> Response<AnswerBody> {
        match Route::of(request.uri().path()) {
            Route::Mcp(server) => {
                let server = server.map(Arc::from);
                self.mcp(server, request, peer, id).await
            }
            Route::Manage => {
                let (admins, callers) = (&self.admins, &self.authenticator);
                let (method, path) = (request.method(), request.uri().path());
                let answer = manage::answer(&**self, admins, callers, method, path, request.headers());
                answer.map_or_else(|| refuse(StatusCode::NOT_FOUND, "there is nothing here"), whole)
            }
        }
    }

    async fn mcp(
        self: &Arc<Self>,
        server: Option<Arc<str>>,
        request: Request<Incoming>,
        peer: &Peer,
        id: &Arc<str>,
    ) -> Response<AnswerBody> {
        let mut about = PluginRequest::new(id.clone());
        about.server_id.clone_from(&server);
        about.client = Some(client_address(peer.address, request.headers(), &self.trusted_proxies));
        about.content_type = text(&request, CONTENT_TYPE);
        about.traceparent = text(&request, HeaderName::from_static("traceparent"));
        let (mut parts, body) = request.into_parts();
        let pipelines = self.framework.pipelines();
        let mut guard = Guard::new(pipelines.clone());
        let admitted = if guard.stands() {
            // Boxed, so that the future of a request without such plugins stays small.
            Box::pin(self.admit(&mut guard, &mut parts, &mut about)).await
        } else {
            self.admit_by_token(&parts, &mut about)
        };
        if let Err(refused) = admitted {
            return *refused;
        }
        let leaving =
            pipelines.chain(HttpPostRequest::ID).map(|_| (guard.notes(), Asked::of(&parts), about.clone()));
        let post = Post {
            audience: Audience { server, request: about },
            headers: parts.headers,
            contexts: guard.into_contexts(),
        };
        let mut response = match parts.method {
            Method::POST => self.surface.post(post, body).await,
            Method::GET => Box::pin(self.surface.listen(post)).await,
            Method::DELETE => Box::pin(self.surface.end(post)).await,
            _ => {
                let mut response = answer::empty(StatusCode::METHOD_NOT_ALLOWED);
                response
                    .headers_mut()
                    .insert(http::header::ALLOW, HeaderValue::from_static("GET, POST, DELETE"));
                response
            }
        };
        if let Some((contexts, asked, about)) = leaving {
            Box::pin(guard::leaving(&pipelines, contexts, asked, &about, &mut response)).await;
        }
        response
    }

    /// Settles who calls and whether they may be here, where plugins have a say.
    async fn admit(
        &self,
        guard: &mut Guard,
        parts: &mut Parts,
        about: &mut PluginRequest,
    ) -> Result<(), Box<Response<AnswerBody>>> {
        guard.before(parts, about).await?;
        match guard.who(&parts.headers, about).await? {
            Some(caller) => {
                if !self.authenticator.may_use_server(&caller, about.server_id.as_deref()) {
                    return Err(forbidden());
                }
                self.check_server(about)?;
                about.caller = Arc::new(caller);
            }
            // Where plugins authenticate and nobody else does, a caller none of them knows is nobody.
            None if guard.authenticates() && self.authenticator.is_open() => {
                return Err(Box::new(whole(Unauthorized::Missing.response())));
            }
            None => self.admit_by_token(parts, about)?,
        }
        about.caller = guard.after(about.caller.clone(), &parts.headers, about).await?;
        Ok(())
    }

    /// The same by the gateway's own tokens.
    fn admit_by_token(
        &self,
        parts: &Parts,
        about: &mut PluginRequest,
    ) -> Result<(), Box<Response<AnswerBody>>> {
        let grant = self.authenticator.grant(&parts.headers);
        let grant = grant.map_err(|unauthorized| Box::new(whole(unauthorized.response())))?;
        if !grant.may_use_server(about.server_id.as_deref()) {
            return Err(forbidden());
        }
        about.caller = grant.caller.clone();
        self.check_server(about)
    }

    fn check_server(&self, about: &PluginRequest) -> Result<(), Box<Response<AnswerBody>>> {
        match &about.server_id {
            Some(id) if self.surface.upstreams.catalogs().views(Some(id)).is_none() => {
                Err(Box::new(refuse(StatusCode::NOT_FOUND, "there is no such server")))
            }
            _ => Ok(()),
        }
    }

    /// The framework, for what manages it.
    pub fn framework(&self) -> &Framework {
        &self.framework
    }
}

impl Managed for Edge {
    fn framework(&self) -> &Framework {
        &self.framework
    }

    fn plugins_enabled(&self) -> bool {
        self.plugins_enabled
    }

    fn serves_plugins(&self) -> bool {
        self.serves_plugins
    }

    fn upstreams(&self) -> Vec<upstreams::Status> {
        self.surface.upstreams.list().iter().map(|upstream| upstream.status()).collect()
    }

    fn attempted(&self) -> bool {
        self.is_ready()
    }

    fn metrics(&self) -> &Registry {
        &self.registry
    }
}

impl std::fmt::Debug for Edge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Edge").field("surface", &self.surface).finish_non_exhaustive()
    }
}

fn text(request: &Request<Incoming>, name: HeaderName) -> Option<Arc<str>> {
    request.headers().get(name)?.to_str().ok().map(Arc::from)
}

fn whole(response: Response<Bytes>) -> Response<AnswerBody> {
    response.map(|body| AnswerBody::Whole((!body.is_empty()).then_some(body)))
}

fn forbidden() -> Box<Response<AnswerBody>> {
    Box::new(refuse(StatusCode::FORBIDDEN, "this app may not use this server"))
}

fn refuse(status: StatusCode, detail: &str) -> Response<AnswerBody> {
    let body = serde_json::json!({ "detail": detail }).to_string();
    answer::json_with_status(status, body.into())
}
