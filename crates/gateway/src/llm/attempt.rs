//! Asking a vendor: once, again, or another one in its place, for as long as nothing has gone to the client.

use std::{
    borrow::Cow,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{
    HeaderMap, Method, Request, Response, StatusCode,
    header::{HOST, RETRY_AFTER},
};
use http_body_util::Full;
use mortise_framework::{Blocked, Contexts, Pair};
use mortise_llm::{
    path::{Call, classify},
    request::with_model,
};
use mortise_mcp_transport::{
    chain::Chain,
    http::pool::{PoolError, PooledBody},
};
use mortise_plugin_api::{
    End, Headers, Hook, Payload, Revision,
    hooks::{HttpPostForwardingCall, HttpPreForwardingCall, http::ForwardingPayload},
};
use tokio::time::{sleep, timeout};

use super::{
    account::Account,
    headers,
    place::joined,
    table::{Endpoint, Llm},
};
use crate::{snapshot::Plugins, spans::TraceContext};

/// Longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A request as it goes to a vendor.
pub(super) struct Outgoing {
    pub(super) method: Method,
    /// Path, below the endpoint.
    pub(super) rest: String,
    pub(super) query: Option<String>,
    /// The client's headers that go on.
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) model: Option<Arc<str>>,
    /// The trace it belongs to.
    pub(super) context: Option<Arc<TraceContext>>,
    /// Which address of the LLM it was meant for it goes to; others that stand in are asked at their own.
    pub(super) place: usize,
}

/// An answer that began.
pub(super) struct Sent {
    /// Who gave it.
    pub(super) llm: Arc<Llm>,
    pub(super) response: Response<PooledBody>,
    /// Headers that plugins around the call wish for on the answer.
    pub(super) wished: Headers,
}

/// Why there is no answer.
pub(super) enum Failed {
    /// A plugin before the HTTP call stopped it.
    Stopped(Box<Blocked>),
    /// It did not come in time.
    TimedOut,
    /// The vendor cannot be reached, or broke off.
    Away,
}

impl Outgoing {
    /// Path and query at an address of an LLM.
    fn target(&self, endpoint: &Endpoint, model: Option<&str>) -> String {
        let call: Call<'_> = classify(&self.rest);
        let rest = match (call.model.as_deref(), model) {
            (Some(known), Some(wanted)) if known != wanted => call.with_model(&self.rest, wanted),
            _ => self.rest.clone(),
        };
        let mut target = joined(&endpoint.base, &rest);
        if let Some(query) = self.query.as_deref().filter(|query| !query.is_empty()) {
            target.push(if target.contains('?') { '&' } else { '?' });
            target.push_str(query);
        }
        target
    }

    /// The request for an LLM: this one, with a model that the LLM has.
    fn for_llm(&self, llm: &Llm, endpoint: &Endpoint) -> Option<(String, Bytes)> {
        let wanted = match self.model.as_deref() {
            Some(model) if !llm.has_model(model) => Some(llm.settings.default_model.as_deref()?),
            model => model,
        };
        let in_path = classify(&self.rest).model.is_some();
        let body = match wanted {
            Some(wanted) if !in_path && self.model.as_deref() != Some(wanted) => {
                with_model(&self.body, wanted).ok()?
            }
            _ => self.body.clone(),
        };
        Some((self.target(endpoint, wanted), body))
    }
}

/// Whether a status may be another one next time, or elsewhere.
fn is_passing(status: StatusCode) -> bool {
    matches!(status.as_u16(), 429 | 500 | 502 | 503 | 504 | 529)
}

/// Asks an LLM, and those that stand in for it.
pub(super) async fn send(
    account: &mut Account,
    llm: Arc<Llm>,
    out: &Outgoing,
    contexts: &Contexts,
) -> Result<Sent, Failed> {
    let llms = account.snapshot.llms.clone();
    let instead = llm.settings.fallback.iter().filter_map(|name| llms.get(name));
    let instead = instead.filter(|other| other.family() == llm.family() && account.may_use(&other.name));
    let candidates: Vec<&Arc<Llm>> = std::iter::once(&llm).chain(instead).collect();
    let mut last = Err(Failed::Away);
    for (nth, llm) in candidates.into_iter().enumerate() {
        let endpoint = llm.at(if nth == 0 { out.place } else { 0 });
        let Some((target, body)) = out.for_llm(llm, endpoint) else { continue };
        if nth > 0 && !account.has_room(llm) {
            continue;
        }
        for attempt in 0..=llm.settings.retries {
            if nth + attempt as usize > 0 {
                llm.metrics.retried(attempt == 0);
            }
            let is_last = attempt == llm.settings.retries;
            let began = account.followed.is_some().then(Instant::now);
            last = once(account, (llm, endpoint), out, &target, &body, contexts).await;
            note(account, llm, began, &last);
            let pause = match &last {
                Ok(sent) if !is_passing(sent.response.status()) => return last,
                Err(Failed::Stopped(_)) => return last,
                Ok(sent) => wished_pause(sent.response.headers()),
                Err(_) => None,
            };
            if !is_last {
                sleep(pause.unwrap_or_else(|| pause_before(attempt))).await;
            }
        }
    }
    last
}

/// Notes what an attempt came to, for whoever explains the call, where it is not the only one.
fn note(account: &mut Account, llm: &Llm, began: Option<Instant>, last: &Result<Sent, Failed>) {
    let Some((followed, began)) = account.followed.as_mut().zip(began) else { return };
    let came: Cow<'static, str> = match last {
        Ok(sent) if !is_passing(sent.response.status()) && !followed.has_attempts() => return,
        Ok(sent) => sent.response.status().as_str().to_owned().into(),
        Err(Failed::Stopped(_)) => "blocked".into(),
        Err(Failed::TimedOut) => "timeout".into(),
        Err(Failed::Away) => "unreachable".into(),
    };
    followed.attempted(&llm.name, began, came);
}

/// Longer with each attempt.
fn pause_before(attempt: u32) -> Duration {
    Duration::from_millis(100).saturating_mul(1 << attempt.min(5)).min(LONGEST_PAUSE)
}

fn wished_pause(headers: &HeaderMap) -> Option<Duration> {
    let seconds: u64 = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST_PAUSE))
}

/// One attempt, between its hooks.
async fn once(
    account: &mut Account,
    (llm, endpoint): (&Arc<Llm>, &Endpoint),
    out: &Outgoing,
    target: &str,
    body: &Bytes,
    contexts: &Contexts,
) -> Result<Sent, Failed> {
    let pipelines = &account.snapshot.pipelines;
    let hooked = pipelines.chain(HttpPreForwardingCall::ID).is_some()
        || pipelines.chain(HttpPostForwardingCall::ID).is_some();
    if !hooked {
        let response = exchange(account, (llm, endpoint), out, target, body, None).await?;
        return Ok(Sent { llm: llm.clone(), response, wished: Headers::new() });
    }
    Box::pin(around(account, (llm, endpoint), out, target, body, contexts)).await
}

/// The same with plugins around it: before it they set headers of the call, after its head they see that of the answer.
async fn around(
    account: &mut Account,
    (llm, endpoint): (&Arc<Llm>, &Endpoint),
    out: &Outgoing,
    target: &str,
    body: &Bytes,
    contexts: &Contexts,
) -> Result<Sent, Failed> {
    let path = target.split('?').next().unwrap_or_default();
    let shown = ForwardingPayload {
        upstream: llm.name.to_string(),
        method: out.method.as_str().to_owned(),
        path: path.to_owned(),
        headers: headers::shown(&out.headers),
        status_code: None,
        ended: None,
    };
    let plugins = Plugins(account.snapshot.clone());
    let request = account.request.clone();
    let mut pair = Pair::new(plugins, HttpPreForwardingCall::ID, request, contexts.companion(), substitute);
    let before = pair.before(Revision::new(Box::new(shown.clone()))).await;
    let mut wished = before.response_headers();
    if let Some(by) = before.blocked {
        return Err(Failed::Stopped(by));
    }
    let changed = before.changed.as_ref().and_then(|revision| revision.get::<ForwardingPayload>());
    let mut told = HeaderMap::new();
    if let Some(changed) = changed {
        headers::change(&mut told, &shown.headers, &changed.headers);
    }
    let response = match exchange(account, (llm, endpoint), out, target, body, Some(&told)).await {
        Ok(response) => response,
        Err(failed) => {
            let end = if matches!(failed, Failed::TimedOut) { End::TimedOut } else { End::UpstreamFailed };
            let ended = shown.after(end, None, Headers::new());
            pair.ended(end, Revision::new(Box::new(ended))).await;
            return Err(failed);
        }
    };
    let came = headers::shown(response.headers());
    let status = Some(response.status().as_u16());
    let ended = Revision::new(Box::new(shown.after(End::Ok, status, came.clone())));
    let after = pair.ended(End::Ok, ended).await;
    wished.merge(&after.response_headers());
    let changed = after.changed.as_ref().and_then(|revision| revision.get::<ForwardingPayload>());
    for (name, value) in changed.into_iter().flat_map(|changed| changed.headers.iter()) {
        if came.get(name) != Some(value) {
            wished.set(name, value);
        }
    }
    Ok(Sent { llm: llm.clone(), response, wished })
}

fn substitute(asked: &dyn Payload, end: End) -> Box<dyn Payload> {
    let asked = asked.as_any().downcast_ref::<ForwardingPayload>().cloned().unwrap_or_default();
    Box::new(asked.after(end, None, Headers::new()))
}

async fn exchange(
    account: &mut Account,
    (llm, endpoint): (&Arc<Llm>, &Endpoint),
    out: &Outgoing,
    target: &str,
    body: &Bytes,
    told: Option<&HeaderMap>,
) -> Result<Response<PooledBody>, Failed> {
    let began = Instant::now();
    let traced = out.context.as_ref().map(|context| context.with_headers(told));
    let told = traced.as_ref().or(told);
    let make = || {
        let mut headers = headers::outbound(llm, &out.headers, told);
        headers.insert(HOST, endpoint.host.clone());
        if let Some(sign) = &llm.sign {
            sign.sign(out.method.as_str(), target, &mut headers, body);
        }
        let mut request = Request::new(Full::new(body.clone()));
        *request.method_mut() = out.method.clone();
        *request.headers_mut() = headers;
        // A target that is no URI fails at the vendor's, not here.
        *request.uri_mut() = target.parse().unwrap_or_default();
        request
    };
    let answer = timeout(llm.settings.first_byte_timeout, endpoint.pool.send(make)).await;
    if let Some(followed) = &account.followed {
        followed.upstream_took(began);
    }
    match answer {
        Ok(Ok(response)) => {
            if response.status().is_server_error() {
                llm.health.failed();
            } else {
                llm.health.answered();
            }
            Ok(response)
        }
        Ok(Err(error)) => {
            llm.health.failed();
            tracing::warn!(llm = &*llm.name, request = &*account.request.id, error = %Chain(&error), "an LLM gave no answer");
            let slow = matches!(error, PoolError::ConnectTimeout { .. });
            Err(if slow { Failed::TimedOut } else { Failed::Away })
        }
        Err(_) => {
            llm.health.failed();
            tracing::warn!(llm = &*llm.name, request = &*account.request.id, "an LLM gave no answer in time");
            Err(Failed::TimedOut)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit() {
        assert_eq!(pause_before(0), Duration::from_millis(100));
        assert_eq!(pause_before(1), Duration::from_millis(200));
        assert_eq!(pause_before(10), Duration::from_millis(3200));
        let headers = |value: &'static str| {
            HeaderMap::from_iter([(RETRY_AFTER, http::HeaderValue::from_static(value))])
        };
        assert_eq!(wished_pause(&headers("2")), Some(Duration::from_secs(2)));
        assert_eq!(wished_pause(&headers("3600")), Some(LONGEST_PAUSE));
        assert_eq!(wished_pause(&headers("soon")), None);
    }
}
