//! One request on its way through the gateway: what is known of it, and how it reaches an upstream.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use http::HeaderMap;
use mortise_framework::{Blocked, Contexts};
use mortise_mcp::{
    envelope::{ErrorObject, Message, Response, RpcError},
    raw::Raw,
    stateless::{RequestMeta, cannot_ask_client},
};
use mortise_mcp_transport::chain::Chain;
use mortise_mcp_transport::upstream::{Call, Connection, Outcome, Step, UpstreamError};
use mortise_plugin_api::{End, Headers, Hook, Request, hooks::HttpPreForwardingCall};

use super::{
    Surface,
    dispatch::Answer,
    forwarding::{self, Around},
    interim::Interim,
    session::Session,
};
use crate::{
    snapshot::Snapshot,
    spans::TraceContext,
    trace::Followed,
    upstreams::{Upstream, Views, link::Link, upstream::Live},
};

/// A client's request while it is being answered.
pub(crate) struct Inbound {
    pub(crate) surface: Arc<Surface>,
    /// Everything as it was when the request came; it keeps that to its end.
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) server: Option<Arc<str>>,
    pub(crate) session: Option<Arc<Session>>,
    /// Set for requests of the revision without sessions.
    pub(crate) stateless: Option<RequestMeta>,
    pub(crate) request: Arc<Request>,
    /// What plugins noted about the request so far; taken by the first pair of hooks.
    pub(crate) contexts: Contexts,
    pub(crate) params: Option<Raw>,
    /// Where messages go that come before the answer; `None` where the client takes no event stream.
    pub(crate) interim: Option<Interim>,
    /// Set where the call is followed.
    pub(crate) followed: Option<Followed>,
    /// The trace it belongs to.
    pub(crate) context: Option<Arc<TraceContext>>,
    /// Headers for the answer to the client that plugins around calls upstream wished for.
    pub(crate) wished: Mutex<Headers>,
}

/// How an upstream is told of the trace.
enum Told {
    Headers(HeaderMap),
    Params(Raw),
}

/// An upstream that gave no answer.
#[derive(Debug)]
pub(crate) struct NoAnswer {
    /// How the call ended, for post hooks.
    pub(crate) end: End,
    /// Why, for the client.
    pub(crate) reason: String,
    /// Set where a plugin before the HTTP call stopped it.
    pub(crate) stopped: Option<Box<Blocked>>,
}

impl NoAnswer {
    fn failed(reason: impl Into<String>) -> Self {
        Self { end: End::UpstreamFailed, reason: reason.into(), stopped: None }
    }

    /// A plugin before the HTTP call stopped it.
    pub(super) fn stopped(by: Blocked) -> Self {
        let reason = forwarding::stopped(&by);
        Self { end: End::Blocked, reason, stopped: Some(Box::new(by)) }
    }

    /// The answer of `what` as a JSON-RPC error.
    pub(crate) fn answer(&self, what: &str) -> Answer {
        let error = no_answer(what, self);
        if self.stopped.is_some() { Answer::blocked(Err(error)) } else { error.into() }
    }
}

/// A connection for one request.
enum Way {
    Shared(Arc<Live>),
    Own(Arc<Link>),
}

impl Way {
    fn connection(&self) -> &Connection {
        match self {
            Self::Shared(live) => &live.connection,
            Self::Own(link) => &link.connection,
        }
    }
}

impl Drop for Inbound {
    fn drop(&mut self) {
        if let Some(followed) = self.followed.take() {
            followed.end(&self.request);
        }
    }
}

impl Inbound {
    /// What the client is shown. The server was looked up when the request came in.
    pub(crate) fn views(&self) -> &Views {
        let catalogs = &self.snapshot.catalogs;
        catalogs.views(self.server.as_deref()).unwrap_or(&catalogs.root)
    }

    /// Wishes for headers on the answer to the client.
    pub(super) fn wish(&self, headers: &Headers) {
        if !headers.is_empty() {
            self.wished.lock().unwrap_or_else(PoisonError::into_inner).merge(headers);
        }
    }

    /// Takes the headers out that were wished for so far.
    pub(super) fn wishes(&mut self) -> Headers {
        std::mem::take(self.wished.get_mut().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether the caller may use an upstream at all: tools over HTTP are granted one by one.
    pub(crate) fn may_use(&self, at: usize) -> bool {
        if !self.snapshot.catalogs.fleet.has_tools() {
            return true;
        }
        let Some(tool) = self.upstream(at).filter(|upstream| upstream.tool().is_some()) else { return true };
        self.snapshot.access.authenticator.reach(&self.request.caller).may_use_tool(&tool.name)
    }

    /// The upstream at a position.
    pub(crate) fn upstream(&self, at: usize) -> Option<&Arc<Upstream>> {
        self.snapshot.catalogs.fleet.get(at)
    }

    /// Notes in the request what it is about: the upstream, and the thing's name there.
    pub(crate) fn about(&mut self, at: usize, original: &str, exposed: &str) -> Arc<Request> {
        if let Some(name) = self.upstream(at).map(|upstream| upstream.name_here().clone()) {
            let request = Arc::make_mut(&mut self.request);
            request.server_id = self.server.clone().or_else(|| Some(name.clone()));
            request.upstream = Some(name);
            request.original_name = (original != exposed).then(|| original.into());
        }
        self.request.clone()
    }

    /// Sends a request to an upstream and sees it to its end.
    ///
    /// A session or connection that turns out lost is opened anew, once, where the upstream cannot have acted on the
    /// request.
    pub(crate) async fn forward(
        &self,
        at: usize,
        method: &str,
        params: Option<&Raw>,
        headers: Option<&HeaderMap>,
    ) -> Result<Outcome, NoAnswer> {
        let Some(upstream) = self.upstream(at) else {
            return Err(NoAnswer::failed("there is no such upstream"));
        };
        let around = match upstream.http_path().filter(|_| forwarding::is_hooked(self)) {
            Some(_) => {
                let target = upstream.http_target(params);
                Some(Box::pin(Around::begin(self, &upstream.name, target, headers)).await?)
            }
            None => None,
        };
        let mut way = match (&self.session, upstream.live()) {
            (None, Some(live)) => Way::Shared(live),
            _ => match Box::pin(self.way(upstream)).await {
                Ok(way) => way,
                Err(none) => {
                    if let Some(around) = around {
                        Box::pin(around.ended(self, none.end)).await;
                    }
                    return Err(none);
                }
            },
        };
        let headers = around.as_ref().and_then(|around| around.headers.as_ref()).or(headers);
        let head = around.as_ref().map(|around| &around.head);
        let told = self.context.as_ref().and_then(|context| tell(context, upstream, headers, params));
        let (headers, params) = match told.as_deref() {
            Some(Told::Headers(with)) => (Some(with), params),
            Some(Told::Params(with)) => (headers, Some(with)),
            None => (headers, params),
        };
        let mut again = true;
        loop {
            let call = Call { method, params, timeout: upstream.timeout, headers, head };
            let began = self.followed.as_ref().map(|_| Instant::now());
            let answer = self.exchange(upstream, way.connection(), call).await;
            if let (Some(followed), Some(began)) = (&self.followed, began) {
                followed.upstream_took(began);
            }
            let error = match answer {
                Ok(outcome) => {
                    upstream.metrics.ok();
                    if let Some(around) = around {
                        Box::pin(around.ended(self, End::Ok)).await;
                    }
                    return Ok(outcome);
                }
                Err(error) => error,
            };
            let unseen = error.nothing_sent() || is_session_gone(&error);
            if error.is_gone() || unseen {
                let next = Box::pin(self.reopen(upstream, &way)).await;
                if let (Some(next), true, true) = (next, again, unseen) {
                    way = next;
                    again = false;
                    continue;
                }
            }
            let end = match &error {
                UpstreamError::Timeout { .. } => End::TimedOut,
                _ => End::UpstreamFailed,
            };
            upstream.metrics.failed(end);
            if let Some(around) = around {
                Box::pin(around.ended(self, end)).await;
            }
            let reason = match end {
                End::TimedOut => format!("timed out after {}s", upstream.timeout.as_secs_f64()),
                _ => format!("failed: upstream {}: {}", upstream.name, Chain(&error)),
            };
            return Err(NoAnswer { end, reason, stopped: None });
        }
    }

    async fn way(&self, upstream: &Upstream) -> Result<Way, NoAnswer> {
        let found = match &self.session {
            Some(session) => session.link(upstream).await.map(Way::Own),
            None => upstream.connection(self.surface.config.connect_patience).await.map(Way::Shared),
        };
        found.map_err(|reason| NoAnswer::failed(format!("failed: {reason}")))
    }

    async fn reopen(&self, upstream: &Upstream, broken: &Way) -> Option<Way> {
        match broken {
            Way::Own(link) => {
                let session = self.session.as_ref()?;
                session.drop_link(upstream, link).await;
                session.link(upstream).await.ok().map(Way::Own)
            }
            Way::Shared(live) => {
                let patience = self.surface.config.connect_patience;
                upstream.reconnected(live, patience).await.map(Way::Shared)
            }
        }
    }

    async fn exchange(
        &self,
        upstream: &Upstream,
        connection: &Connection,
        call: Call<'_>,
    ) -> Result<Outcome, UpstreamError> {
        let mut exchange = connection.request(call).await?;
        loop {
            match exchange.next().await? {
                Step::Response(outcome) => return Ok(outcome),
                Step::Interim(message) => Box::pin(self.on_the_way(upstream, connection, message)).await,
            }
        }
    }

    /// Carries a message that came before the answer to the client, or refuses it in the client's name.
    async fn on_the_way(&self, upstream: &Upstream, connection: &Connection, message: Message) {
        let refusal = match (&self.session, &self.interim, &message) {
            (Some(session), Some(interim), _) => {
                if let Some(message) = session.from_upstream(upstream.id, connection, message).await {
                    // A client that left drops this request altogether.
                    interim.send(message).await;
                }
                return;
            }
            (None, Some(interim), Message::Notification(_)) => {
                interim.send(message).await;
                return;
            }
            (None, _, Message::Request(request)) => cannot_ask(self.stateless.is_some(), &request.method),
            (Some(_), None, Message::Request(request)) => ErrorObject::new(
                mortise_mcp::envelope::code::SERVER_ERROR,
                format!("{} cannot reach the client: it takes no event stream", request.method),
            ),
            _ => return,
        };
        if let Message::Request(request) = message {
            let _ = connection.respond(Response::err(Some(request.id), &refusal)).await;
        }
    }
}

/// Puts the trace's context where an upstream looks for it: a header, or `_meta` where there are none. Boxed, so that the
/// future of a request without a trace stays small.
fn tell(
    context: &TraceContext,
    upstream: &Upstream,
    headers: Option<&HeaderMap>,
    params: Option<&Raw>,
) -> Option<Box<Told>> {
    match upstream.http_path() {
        Some(_) => Some(Box::new(Told::Headers(context.with_headers(headers)))),
        None => context.with_meta(params).map(|params| Box::new(Told::Params(params))),
    }
}

fn cannot_ask(stateless: bool, method: &str) -> ErrorObject {
    if stateless {
        return cannot_ask_client(method);
    }
    ErrorObject::new(
        mortise_mcp::envelope::code::METHOD_NOT_FOUND,
        format!("{method} cannot reach the client: it has no session"),
    )
}

/// A server that does not know a session has not acted on the request.
fn is_session_gone(error: &UpstreamError) -> bool {
    matches!(error, UpstreamError::Http(_)) && error.is_gone()
}

/// The JSON-RPC error for an upstream that gave no answer.
pub(crate) fn no_answer(what: &str, error: &NoAnswer) -> RpcError {
    match &error.stopped {
        Some(by) => super::prompts::blocked(HttpPreForwardingCall::NAME, by),
        None => super::server_error(format!("{what} {}", error.reason)),
    }
}
