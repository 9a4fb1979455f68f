//! The hooks around the HTTP call to an upstream.
//!
//! Before it plugins may set headers of the call; one that must run and gives no answer stops it, as the call would go on
//! without what was to be set. After it, however it ended, they see the status and the headers that came, and may set
//! headers of the answer to the client: an MCP client gets none of the upstream's own, so what they leave as it is goes
//! nowhere. Both run once for each request that goes to an upstream, also where it was sent a second time over a new
//! session. An upstream that is a child process has no HTTP call and neither of them.

use http::{HeaderMap, HeaderName, HeaderValue};
use mortise_framework::{Blocked, Pair};
use mortise_mcp_transport::http::head::HeadSlot;
use mortise_plugin_api::{
    End, Headers, Hook, Payload, Revision,
    hooks::{HttpPostForwardingCall, HttpPreForwardingCall, http::ForwardingPayload},
};

use super::exchange::{Inbound, NoAnswer};
use crate::snapshot::Plugins;

/// Headers that frame a message or name its session: not a plugin's to change.
fn is_framing(name: &str) -> bool {
    matches!(
        name,
        "host"
            | "content-length"
            | "content-type"
            | "transfer-encoding"
            | "connection"
            | "te"
            | "trailer"
            | "upgrade"
            | "mcp-session-id"
    )
}

/// Headers of plugins as they go out: without those that are no headers and those that frame the message.
pub(super) fn outgoing(headers: &Headers) -> HeaderMap {
    let usable = headers.iter().filter_map(|(name, value)| {
        let name = HeaderName::try_from(name).ok().filter(|name| !is_framing(name.as_str()))?;
        Some((name, HeaderValue::try_from(value).ok()?))
    });
    usable.collect()
}

/// Whether a plugin stands at either hook.
pub(super) fn is_hooked(inbound: &Inbound) -> bool {
    let chain = |hook| inbound.snapshot.pipelines.chain(hook).is_some();
    chain(HttpPreForwardingCall::ID) || chain(HttpPostForwardingCall::ID)
}

/// Lets the hooks around the call upstream know what plugins have noted so far, where there are any: a pair of hooks has
/// the request's memory for as long as it lasts.
pub(super) fn lend(inbound: &mut Inbound, pair: &mut Pair<Plugins>) {
    if is_hooked(inbound) {
        inbound.contexts = pair.contexts_mut().companion();
    }
}

/// The HTTP call to an upstream, between its two hooks. Dropped before its end, the plugins that ran are told.
pub(super) struct Around {
    pair: Pair<Plugins>,
    shown: ForwardingPayload,
    /// Headers to send beside the configured ones, where plugins set some here.
    pub(super) headers: Option<HeaderMap>,
    /// Where the head of the answer is noted.
    pub(super) head: HeadSlot,
}

impl Around {
    /// Runs the hook before the call.
    pub(super) async fn begin(
        inbound: &Inbound,
        upstream: &str,
        (method, path): (&str, String),
        headers: Option<&HeaderMap>,
    ) -> Result<Box<Self>, NoAnswer> {
        let shown = ForwardingPayload {
            upstream: upstream.to_owned(),
            method: method.to_owned(),
            path,
            headers: headers.map(readable).unwrap_or_default(),
            status_code: None,
            ended: None,
        };
        let contexts = inbound.contexts.companion();
        let plugins = Plugins(inbound.snapshot.clone());
        let request = inbound.request.clone();
        let mut pair = Pair::new(plugins, HttpPreForwardingCall::ID, request, contexts, substitute);
        let before = pair.before(Revision::new(Box::new(shown.clone()))).await;
        inbound.wish(&before.response_headers());
        if let Some(by) = before.blocked {
            return Err(NoAnswer::stopped(*by));
        }
        let changed = before.changed.as_ref().and_then(|revision| revision.get::<ForwardingPayload>());
        let headers = changed.map(|changed| outgoing(&changed.headers));
        Ok(Box::new(Self { pair, shown, headers, head: HeadSlot::default() }))
    }

    /// Runs the hook after the call.
    pub(super) async fn ended(mut self, inbound: &Inbound, end: End) {
        let head = self.head.take();
        let status = head.as_ref().map(|head| head.status.as_u16());
        let came = head.as_ref().map(|head| readable(&head.headers)).unwrap_or_default();
        let shown = Revision::new(Box::new(self.shown.after(end, status, came.clone())));
        let after = self.pair.ended(end, shown).await;
        let mut wished = after.response_headers();
        let changed = after.changed.as_ref().and_then(|revision| revision.get::<ForwardingPayload>());
        for (name, value) in changed.into_iter().flat_map(|changed| changed.headers.iter()) {
            // What came from the upstream stays here.
            if came.get(name) != Some(value) {
                wished.set(name, value);
            }
        }
        inbound.wish(&wished);
    }
}

/// Headers as plugins see them: of one that stands several times the values with commas between them, as HTTP reads it.
fn readable(headers: &HeaderMap) -> Headers {
    let mut shown = Headers::new();
    for name in headers.keys() {
        let values: Vec<&str> =
            headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
        if !values.is_empty() {
            shown.set(name.as_str(), values.join(", "));
        }
    }
    shown
}

/// What the hook after the call is shown of one that was given up.
fn substitute(asked: &dyn Payload, end: End) -> Box<dyn Payload> {
    let asked = asked.as_any().downcast_ref::<ForwardingPayload>();
    Box::new(match asked {
        Some(asked) => asked.after(end, None, Headers::new()),
        None => ForwardingPayload::default(),
    })
}

/// The sentence about a call that was stopped before it went out.
pub(super) fn stopped(by: &Blocked) -> String {
    by.message(HttpPreForwardingCall::NAME)
}
