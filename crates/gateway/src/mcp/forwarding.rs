//! The hooks around the HTTP call to an upstream: plugins may change its headers.

use http::{HeaderMap, HeaderName, HeaderValue};
use mortise_plugin_api::{
    Headers, Hook, HookId, Revision,
    hooks::{HttpPostForwardingCall, HttpPreForwardingCall, http::ForwardingPayload},
};

use super::exchange::Inbound;

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

/// Runs the hook before the call; gives the headers to send beside the configured ones.
pub(super) async fn before(
    inbound: &Inbound,
    upstream: &str,
    path: &str,
    headers: Option<&HeaderMap>,
) -> Option<HeaderMap> {
    inbound.snapshot.pipelines.chain(HttpPreForwardingCall::ID)?;
    let shown = headers.into_iter().flatten();
    let shown = shown.filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?))).collect();
    run(inbound, HttpPreForwardingCall::ID, (upstream, path), shown, None)
        .await
        .map(|headers| outgoing(&headers))
}

/// Runs the hook after the call. What an MCP client gets has no headers of the upstream's, so changes end here.
pub(super) async fn after(inbound: &Inbound, upstream: &str, path: &str) {
    if inbound.snapshot.pipelines.chain(HttpPostForwardingCall::ID).is_some() {
        run(inbound, HttpPostForwardingCall::ID, (upstream, path), Headers::new(), Some(200)).await;
    }
}

async fn run(
    inbound: &Inbound,
    hook: HookId,
    (upstream, path): (&str, &str),
    headers: Headers,
    status_code: Option<u16>,
) -> Option<Headers> {
    let chain = inbound.snapshot.pipelines.chain(hook)?;
    let payload = ForwardingPayload {
        upstream: upstream.to_owned(),
        method: "POST".to_owned(),
        path: path.to_owned(),
        headers,
        status_code,
    };
    let mut contexts = inbound.contexts.companion();
    let payload = Revision::new(Box::new(payload));
    let outcome = chain.run(&inbound.snapshot.pipelines, &inbound.request, &mut contexts, &payload).await;
    Some(outcome.changed?.get::<ForwardingPayload>()?.headers.clone())
}
