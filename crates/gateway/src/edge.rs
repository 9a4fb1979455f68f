//! The edge: from an HTTP request to the surface that answers it.
//!
//! Forward only: request id → origin → route → who is it → surface. Routing costs a few comparisons, and layers there
//! are none: what every request needs is done here in order, what one surface needs is done there.

pub(crate) mod guard;
mod llm;
mod request_id;
mod route;

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header::CONTENT_TYPE,
    request::Parts,
};
use hyper::body::Incoming;
use mortise_framework::{Contexts, Framework, stats::PluginCollector};
use mortise_mcp_transport::server::{
    answer::{self, AnswerBody},
    listen::Peer,
};
use mortise_plugin_api::Request as PluginRequest;

use prometheus_client::registry::Registry;
use tokio::sync::watch;

use crate::{
    auth::{Grant, OriginCheck, client_address, share},
    datasource, endpoints,
    llm::LlmSurface,
    manage::{self, Admins, Managed},
    mcp::{Audience, Post, Surface},
    metrics::{GatewayCollector, GatewayMetrics},
    reload::Reloader,
    snapshot::{Snapshot, Snapshots},
    spans::TraceContext,
    storage::Storage,
    tools,
    trace::Calls,
    upstreams,
};
pub(crate) use guard::status_of_violation;
use guard::{Guard, Known, Leaving, Unidentified};
use route::Route;

/// Header that carries the id of a request, both ways.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// How long upstreams have for their first attempt before `/ready` stops waiting for them.
const FIRST_ATTEMPT: Duration = Duration::from_secs(60);

/// Everything a request needs to be led to its surface.
pub struct Edge {
    snapshots: Arc<Snapshots>,
    surface: Arc<Surface>,
    llm: Arc<LlmSurface>,
    framework: Framework,
    metrics: Arc<GatewayMetrics>,
    registry: Registry,
    admins: Admins,
    reloader: Arc<Reloader>,
    attempted: watch::Sender<bool>,
}

impl Edge {
    /// An edge that leads to this surface; `admins` may manage the gateway.
    pub fn new(
        framework: Framework,
        snapshots: Arc<Snapshots>,
        surface: Arc<Surface>,
        llm: Arc<LlmSurface>,
        reloader: Arc<Reloader>,
        admins: Admins,
    ) -> Self {
        let metrics = surface.metrics.clone();
        let mut registry = Registry::default();
        registry.register_collector(Box::new(PluginCollector(framework.clone())));
        let collector = GatewayCollector {
            metrics: metrics.clone(),
            snapshots: snapshots.clone(),
            reloader: reloader.clone(),
            calls: surface.calls.clone(),
            llm: llm.clone(),
        };
        registry.register_collector(Box::new(collector));
        Self {
            registry,
            admins,
            reloader,
            snapshots,
            surface,
            llm,
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

    /// Waits until every upstream had an attempt, then keeps gauges current and ends what nobody fetches, for ever.
    pub async fn watch_readiness(&self) {
        self.surface.upstreams.attempted(FIRST_ATTEMPT).await;
        self.attempted.send_replace(true);
        let mut tick = tokio::time::interval(Duration::from_secs(5));
        loop {
            tick.tick().await;
            let open = i64::try_from(self.surface.sessions.len()).unwrap_or(i64::MAX);
            self.metrics.sessions.store(open, Relaxed);
            self.surface.calls.recordings().sweep(&self.surface.calls, Instant::now());
        }
    }

    /// Answers one HTTP request.
    ///
    /// Of two pointers the outer one is the worker's own (see [`PerWorker`](mortise_mcp_transport::workers::PerWorker)).
    pub async fn serve(
        this: Arc<Arc<Self>>,
        request: Request<Incoming>,
        peer: Arc<Peer>,
    ) -> Response<AnswerBody> {
        let id = request_id::of(request.headers());
        let snapshot = this.snapshots.load();
        let mut response = match snapshot.access.origins.check(request.uri(), request.headers()) {
            Err(refused) => whole(refused.response()),
            Ok(shared_with) => {
                let shared_with = shared_with.cloned();
                match OriginCheck::preflight(request.method(), request.headers(), shared_with.as_ref()) {
                    Some(preflight) => whole(preflight),
                    None => {
                        let mut response = this.lead(snapshot, request, &peer, &id).await;
                        if let Some(origin) = &shared_with {
                            share(response.headers_mut(), origin);
                        }
                        response
                    }
                }
            }
        };
        this.metrics.http(response.status());
        // The id was checked, or made, to be a header value.
        if let Ok(value) = HeaderValue::from_str(&id) {
            response.headers_mut().insert(REQUEST_ID, value);
        }
        response
    }

    async fn lead(
        self: &Arc<Self>,
        snapshot: Arc<Snapshot>,
        request: Request<Incoming>,
        peer: &Peer,
        id: &Arc<str>,
    ) -> Response<AnswerBody> {
        match Route::of(request.uri().path()) {
            Route::Mcp(server) => {
                let server = server.map(Arc::from);
                self.mcp(snapshot, server, request, peer, id).await
            }
            Route::Endpoints => {
                let (calls, metrics) = (&self.surface.calls, &self.metrics.endpoints);
                let shared = endpoints::Shared { calls, metrics, admins: &self.admins };
                Box::pin(endpoints::serve(shared, snapshot, request, peer, id)).await
            }
            Route::Tool(slug) => {
                let (slug, surface) = (slug.to_owned(), &self.surface);
                Box::pin(tools::serve(surface, snapshot, request, peer, id, &slug)).await
            }
            Route::Datasource(slug, rest) => {
                let (slug, rest) = (slug.to_owned(), rest.to_owned());
                let (surface, llm, admins) = (&self.surface, &self.llm, &self.admins);
                let shared = datasource::Shared { surface, llm, storage: self.reloader.storage(), admins };
                let place = (slug.as_str(), rest.as_str());
                Box::pin(datasource::serve(shared, snapshot, request, peer, id, place)).await
            }
            Route::Llm => self.llm(snapshot, request, peer, id).await,
            Route::Manage => {
                let (parts, body) = request.into_parts();
                let callers = &snapshot.access.authenticator;
                let answer = Box::pin(manage::serve(&**self, &self.admins, callers, &parts, body)).await;
                answer.map_or_else(|| refuse(StatusCode::NOT_FOUND, "there is nothing here"), whole)
            }
        }
    }

    async fn mcp(
        self: &Arc<Self>,
        snapshot: Arc<Snapshot>,
        server: Option<Arc<str>>,
        request: Request<Incoming>,
        peer: &Peer,
        id: &Arc<str>,
    ) -> Response<AnswerBody> {
        let mut about = about(&snapshot, request.headers(), peer, id);
        about.server_id.clone_from(&server);
        if snapshot.pipelines.ask_for_paths() || self.surface.calls.recordings().any() {
            about.path = Some(request.uri().path().into());
        }
        let context = TraceContext::begin(request.headers(), self.surface.calls.spans());
        about.traceparent = context.as_ref().map(|context| context.shown());
        let (mut parts, body) = request.into_parts();
        let mut contexts = Contexts::of(&snapshot.pipelines);
        let call = self.surface.calls.follow(&snapshot, &mut contexts, context.as_ref());
        let mut guard = Guard::new(snapshot.clone(), contexts);
        let admitted = if guard.stands() {
            // Boxed, so that the future of a request without such plugins stays small.
            Box::pin(admit(&snapshot, &mut guard, &mut parts, &mut about)).await
        } else {
            admit_by_token(&snapshot, &parts, &mut about)
        };
        if let Err(refused) = admitted {
            if let Some(call) = call {
                call.refused(about, refused.status());
            }
            return *refused;
        }
        let leaving = Leaving::of(&guard, &parts, &about);
        // Boxed, as it is handed on through several futures, each of which would hold a copy.
        let post = Box::new(Post {
            audience: Audience { server, request: about },
            headers: parts.headers,
            contexts: guard.into_contexts(),
            snapshot,
            call,
            context,
        });
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
        if let Some(leaving) = leaving {
            Box::pin(leaving.run(&mut response)).await;
        }
        response
    }

    /// Calls that are over, for what observes them.
    pub fn calls(&self) -> &Arc<Calls> {
        &self.surface.calls
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
        self.snapshots.load().pipelines.settings().enabled
    }

    fn serves_plugins(&self) -> bool {
        self.snapshots.load().access.serves_plugins
    }

    fn upstreams(&self) -> Vec<upstreams::Status> {
        self.surface.upstreams.fleet().upstreams().iter().map(|upstream| upstream.status()).collect()
    }

    fn attempted(&self) -> bool {
        self.is_ready()
    }

    fn reloader(&self) -> Option<&Arc<Reloader>> {
        Some(&self.reloader)
    }

    fn storage(&self) -> Option<&Arc<Storage>> {
        Some(self.reloader.storage())
    }

    fn calls(&self) -> Option<&Arc<Calls>> {
        Some(&self.surface.calls)
    }

    fn shows_text(&self) -> bool {
        self.snapshots.load().access.explain.show_text
    }

    fn snapshot(&self) -> Option<Arc<Snapshot>> {
        Some(self.snapshots.load())
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

/// Settles who calls and whether they may be here, where plugins have a say.
async fn admit(
    snapshot: &Snapshot,
    guard: &mut Guard,
    parts: &mut Parts,
    about: &mut PluginRequest,
) -> Result<(), Box<Response<AnswerBody>>> {
    let authenticator = &snapshot.access.authenticator;
    guard.before(parts, about).await?;
    match guard.identify(authenticator, &parts.headers, about).await {
        Ok(Known::Plugin(caller)) => {
            if !authenticator.may_use_server(&caller, about.server_id.as_deref()) {
                return Err(forbidden());
            }
            check_server(snapshot, about)?;
            about.caller = caller;
        }
        Ok(Known::Grant(grant)) => enter(snapshot, grant, about)?,
        Err(Unidentified::Refused(response)) => return Err(response),
        Err(Unidentified::Unauthorized(why)) => return Err(Box::new(whole(why.response()))),
    }
    about.caller = guard.after(about.caller.clone(), &parts.headers, about).await?;
    Ok(())
}

/// The same by the gateway's own tokens.
fn admit_by_token(
    snapshot: &Snapshot,
    parts: &Parts,
    about: &mut PluginRequest,
) -> Result<(), Box<Response<AnswerBody>>> {
    let grant = snapshot.access.authenticator.grant(&parts.headers);
    enter(snapshot, grant.map_err(|unauthorized| Box::new(whole(unauthorized.response())))?, about)
}

/// Lets a caller in whom the gateway knows.
fn enter(
    snapshot: &Snapshot,
    grant: &Grant,
    about: &mut PluginRequest,
) -> Result<(), Box<Response<AnswerBody>>> {
    if !grant.may_use_server(about.server_id.as_deref()) {
        return Err(forbidden());
    }
    about.caller = grant.caller.clone();
    check_server(snapshot, about)
}

fn check_server(snapshot: &Snapshot, about: &PluginRequest) -> Result<(), Box<Response<AnswerBody>>> {
    match &about.server_id {
        Some(id) if snapshot.catalogs.views(Some(id)).is_none() => {
            Err(Box::new(refuse(StatusCode::NOT_FOUND, "there is no such server")))
        }
        _ => Ok(()),
    }
}

/// A request as plugins at hooks know it, before anybody was asked who makes it.
pub(crate) fn about(snapshot: &Snapshot, headers: &HeaderMap, peer: &Peer, id: &Arc<str>) -> PluginRequest {
    let mut about = PluginRequest::new(id.clone());
    about.client = Some(client_address(peer.address, headers, &snapshot.access.trusted_proxies));
    about.content_type = content_type(headers);
    about
}

fn content_type(headers: &HeaderMap) -> Option<Arc<str>> {
    thread_local! {
        // What nearly every request carries, kept once for each thread.
        static JSON: Arc<str> = Arc::from("application/json");
    }
    let written = headers.get(CONTENT_TYPE)?;
    if written == "application/json" {
        return JSON.try_with(Arc::clone).ok();
    }
    written.to_str().ok().map(Arc::from)
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
