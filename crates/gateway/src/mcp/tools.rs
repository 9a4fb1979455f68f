//! `tools/call`: routed by name, guarded by the hooks before and after a tool is called.

use std::{sync::Arc, time::Duration};

use http::HeaderMap;
use mortise_framework::{Outcome as Ran, Pair};
use mortise_mcp::{catalog::Kind, envelope::method, errors::tool_error, params::ToolCall, raw::Raw};
use mortise_mcp_transport::upstream::Outcome;
use mortise_plugin_api::{
    End, Hook, Json, Payload, Revision,
    hooks::{
        ToolPostInvoke, ToolPreInvoke,
        tool::{ToolPostInvokePayload, ToolPreInvokePayload},
    },
};

use super::{
    dispatch::Answer,
    exchange::{Inbound, NoAnswer},
    forwarding, invalid_params, listing,
};
use crate::snapshot::Plugins;

/// Most attempts of one call, whatever plugins wish for.
const ATTEMPTS: u32 = 11;

/// Longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Answers `tools/call`.
pub(crate) async fn call(inbound: &mut Inbound) -> Answer {
    let Some(params) = inbound.params.take() else { return invalid_params("params are missing").into() };
    let call = match ToolCall::parse(Some(&params)) {
        Ok(call) => call,
        Err(error) => return invalid_params(error).into(),
    };
    if let Some(followed) = &mut inbound.followed {
        followed.about(&call.name);
    }
    let known = listing::find_shared(inbound, Kind::Tools, &call.name);
    let found = match known {
        Some(found) => Some(found),
        None => Box::pin(listing::find(inbound, Kind::Tools, &call.name)).await,
    };
    let Some((at, original)) = found else {
        return invalid_params(format!("Unknown tool: {}", call.name)).into();
    };
    let pipelines = &inbound.snapshot.pipelines;
    let guarded =
        pipelines.chain(ToolPreInvoke::ID).is_some() || pipelines.chain(ToolPostInvoke::ID).is_some();
    if !guarded {
        if inbound.followed.is_some() {
            inbound.about(at, &original, &call.name);
        }
        let renamed = (*original != *call.name).then_some(&*original);
        let params = match renamed.map(|name| call.rewrite(Some(name), None)).transpose() {
            Ok(rewritten) => rewritten.unwrap_or_else(|| params.clone()),
            Err(error) => return invalid_params(error).into(),
        };
        return match inbound.forward(at, method::TOOLS_CALL, Some(&params), None).await {
            Ok(outcome) => outcome.into(),
            Err(error) => failed(&error),
        };
    }
    let mut attempt = 1;
    loop {
        let answer = guarded_call(inbound, &params, &call, (at, original.clone())).await;
        let Some(pause) = answer.again().filter(|_| attempt < ATTEMPTS) else { return answer };
        let pause = pause.min(LONGEST_PAUSE);
        tracing::info!(
            tool = &*call.name,
            request = &*inbound.request.id,
            traceparent = inbound.request.traceparent.as_deref(),
            attempt,
            ?pause,
            "a tool is called again"
        );
        tokio::time::sleep(pause).await;
        attempt += 1;
    }
}

/// One attempt, with all its hooks. Where another one is wished for, plugins keep what they remember of this one.
async fn guarded_call(
    inbound: &mut Inbound,
    params: &Raw,
    call: &ToolCall<'_>,
    place: (usize, Arc<str>),
) -> Answer {
    let request = inbound.about(place.0, &place.1, &call.name);
    let mut pair = Pair::new(
        Plugins(inbound.snapshot.clone()),
        ToolPreInvoke::ID,
        request,
        std::mem::take(&mut inbound.contexts),
        substitute,
    );
    let answer = between(inbound, &mut pair, params, call, place).await;
    if answer.again().is_some() {
        inbound.contexts = pair.into_contexts();
    }
    answer
}

async fn between(
    inbound: &mut Inbound,
    pair: &mut Pair<Plugins>,
    params: &Raw,
    call: &ToolCall<'_>,
    (mut at, mut original): (usize, Arc<str>),
) -> Answer {
    let asked = ToolPreInvokePayload {
        name: call.name.to_string(),
        args: call.arguments.map_or_else(Json::null, |raw| {
            Json::assume_valid(Raw::within(&params.clone().into_bytes(), raw).into_bytes())
        }),
        headers: None,
    };
    let mut before = pair.before(Revision::new(Box::new(asked))).await;
    if let Some(blocked_by) = &before.blocked {
        return Answer::blocked(Ok(tool_error(&blocked_by.message(ToolPreInvoke::NAME)))).wishing(&before);
    }
    let changed = before.changed.as_ref().and_then(|revision| revision.get::<ToolPreInvokePayload>());
    if let Some(changed) = changed.filter(|changed| *changed.name != *call.name) {
        // A name that a plugin changed is looked up like any other: within what this caller may see.
        let Some(found) = listing::find(inbound, Kind::Tools, &changed.name).await else {
            pair.failed(End::UpstreamFailed).await;
            return invalid_params(format!("Unknown tool: {}", changed.name)).into();
        };
        (at, original) = found;
        pair.set_request(inbound.about(at, &original, &changed.name));
    }
    let exposed = changed.map_or(&*call.name, |changed| &*changed.name);
    if before.answer.is_some() {
        return Box::pin(served(pair, exposed.to_owned(), &mut before)).await;
    }
    let (params, headers) = match outgoing(call, params, changed, &original) {
        Ok(outgoing) => outgoing,
        Err(error) => {
            pair.failed(End::UpstreamFailed).await;
            return invalid_params(error).into();
        }
    };
    forwarding::lend(inbound, pair);
    match inbound.forward(at, method::TOOLS_CALL, Some(&params), headers.as_ref()).await {
        Ok(Ok(result)) => after(pair, exposed, result).await.wishing(&before),
        Ok(Err(error)) => {
            let after = pair.failed(End::UpstreamFailed).await;
            Answer::from(Err(error)).wishing(&after)
        }
        Err(error) => {
            let after = pair.failed(error.end).await;
            let answer = match result_of(after.changed.as_deref()) {
                Some(result) => Ok(result).into(),
                None => failed(&error),
            };
            answer.wishing(&after)
        }
    }
}

/// Answers a call that a plugin has served: as if the upstream had.
async fn served(pair: &mut Pair<Plugins>, name: String, before: &mut Ran) -> Answer {
    match before.take_served().and_then(|result| as_result(&result)) {
        Some(result) => after(pair, &name, result).await.wishing(before),
        None => {
            pair.failed(End::UpstreamFailed).await;
            super::server_error("a plugin served the call with something that is no JSON").into()
        }
    }
}

async fn after(pair: &mut Pair<Plugins>, name: &str, result: Raw) -> Answer {
    if !pair.has_after() {
        pair.failed(End::Ok).await;
        return Ok(result).into();
    }
    let shown = ToolPostInvokePayload {
        name: name.to_owned(),
        result: Json::assume_valid(result.clone().into_bytes()),
    };
    let after = pair.after(Revision::new(Box::new(shown))).await;
    if let Some(blocked_by) = &after.blocked {
        return Answer::blocked(Ok(tool_error(&blocked_by.message(ToolPostInvoke::NAME)))).wishing(&after);
    }
    Answer::from(Ok(result_of(after.changed.as_deref()).unwrap_or(result))).wishing(&after)
}

/// What goes to the upstream: its own name for the tool, arguments as changed, and headers plugins added.
fn outgoing(
    call: &ToolCall<'_>,
    params: &Raw,
    changed: Option<&ToolPreInvokePayload>,
    original: &str,
) -> Result<(Raw, Option<HeaderMap>), String> {
    let arguments = changed
        .map(|changed| Raw::parse(changed.args.text().clone()))
        .transpose()
        .map_err(|error| format!("a plugin changed the arguments to something that is no JSON: {error}"))?;
    if arguments.as_ref().is_some_and(|raw| !raw.is_object() && raw.as_bytes() != b"null") {
        return Err("a plugin changed the arguments to something that is no object".to_owned());
    }
    // Arguments that were never there stay away.
    let arguments = arguments.filter(Raw::is_object);
    let renamed = (*original != *call.name).then_some(original);
    let rewritten = match (renamed, &arguments) {
        (None, None) => params.clone(),
        _ => call.rewrite(renamed, arguments.as_ref()).map_err(|error| error.to_string())?,
    };
    Ok((rewritten, changed.and_then(|changed| changed.headers.as_ref()).map(forwarding::outgoing)))
}

/// The result plugins left, if they changed it.
fn result_of(changed: Option<&Revision>) -> Option<Raw> {
    as_result(&changed?.get::<ToolPostInvokePayload>()?.result)
}

/// What a plugin wrote as a result: a value that is no MCP result becomes its text.
fn as_result(written: &Json) -> Option<Raw> {
    let raw = Raw::parse(written.text().clone()).ok()?;
    let is_result = raw.object().is_ok_and(|object| {
        let has = |name| object.get(name).is_ok_and(|member| member.is_some());
        has("content") || has("structuredContent") || has("isError")
    });
    if is_result {
        return Some(raw);
    }
    let text = match written.value() {
        Ok(serde_json::Value::String(text)) => text.clone(),
        _ => raw.as_str().to_owned(),
    };
    Raw::from_serialize(
        &serde_json::json!({ "content": [{ "type": "text", "text": text }], "isError": false }),
    )
    .ok()
}

fn failed(error: &NoAnswer) -> Answer {
    if error.stopped.is_some() {
        return Answer::blocked(Ok(tool_error(&error.reason)));
    }
    let outcome: Outcome = Ok(tool_error(&format!("Tool invocation {}", error.reason)));
    Answer { verdict: super::dispatch::Verdict::Error, ..Answer::from(outcome) }
}

/// What hooks after a call are shown when there is no result.
fn substitute(asked: &dyn Payload, end: End) -> Box<dyn Payload> {
    let text = match end {
        End::TimedOut => "Tool invocation timed out",
        End::Cancelled => "Tool invocation cancelled",
        End::Blocked => "Tool invocation blocked",
        End::Ok | End::UpstreamFailed => "Tool invocation failed",
    };
    Box::new(ToolPostInvokePayload {
        name: asked.subject().unwrap_or_default().to_owned(),
        result: Json::assume_valid(tool_error(text).into_bytes()),
    })
}
