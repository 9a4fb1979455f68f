//! `prompts/get`: routed by name, guarded by the hooks before and after a prompt is fetched.

use mortise_framework::{Blocked, Pair};
use mortise_mcp::{
    catalog::Kind,
    envelope::{RpcError, method},
    params::PromptGet,
    raw::Raw,
};
use mortise_plugin_api::{
    End, Hook, Json, Payload, Revision,
    hooks::{
        PromptPostFetch, PromptPreFetch,
        prompt::{PromptPostFetchPayload, PromptPreFetchPayload},
    },
};

use super::{dispatch::Answer, exchange::Inbound, forwarding, invalid_params, listing, rpc, server_error};
use crate::snapshot::Plugins;

/// Answers `prompts/get`.
pub(crate) async fn get(inbound: &mut Inbound) -> Answer {
    let params = inbound.params.clone();
    let call = match PromptGet::parse(params.as_ref()) {
        Ok(call) => call,
        Err(error) => return invalid_params(error).into(),
    };
    if let Some(followed) = &mut inbound.followed {
        followed.about(&call.name);
    }
    let Some((at, original)) = listing::find(inbound, Kind::Prompts, &call.name).await else {
        return invalid_params(format!("Unknown prompt: {}", call.name)).into();
    };
    let request = inbound.about(at, &original, &call.name);
    let mut pair = Pair::new(
        Plugins(inbound.snapshot.clone()),
        PromptPreFetch::ID,
        request,
        std::mem::take(&mut inbound.contexts),
        substitute,
    );
    let mut arguments = None;
    if pair.has_before() {
        let asked = PromptPreFetchPayload {
            prompt_id: call.name.to_string(),
            args: call
                .arguments
                .map_or_else(Json::object, |raw| Json::assume_valid(raw.get().as_bytes().to_vec())),
        };
        let mut before = pair.before(Revision::new(Box::new(asked))).await;
        if let Some(blocked_by) = &before.blocked {
            return Answer::blocked(Err(blocked(PromptPreFetch::NAME, blocked_by))).wishing(&before);
        }
        if let Some(result) = before.take_served() {
            let answer = match Raw::parse(result.text().clone()).ok().filter(Raw::is_object) {
                Some(result) => after(&mut pair, &call.name, result).await,
                None => {
                    pair.failed(End::UpstreamFailed).await;
                    server_error("a plugin served the prompt with something that is no prompt").into()
                }
            };
            return answer.wishing(&before);
        }
        arguments = before
            .changed
            .as_ref()
            .and_then(|revision| revision.get::<PromptPreFetchPayload>())
            .and_then(|changed| Raw::parse(changed.args.text().clone()).ok());
    }
    let renamed = (*original != *call.name).then_some(&*original);
    let params = match call.rewrite(renamed, arguments.as_ref()) {
        Ok(params) => params,
        Err(error) => {
            pair.failed(End::UpstreamFailed).await;
            return invalid_params(error).into();
        }
    };
    forwarding::lend(inbound, &mut pair);
    match inbound.forward(at, method::PROMPTS_GET, Some(&params), None).await {
        Ok(Ok(result)) => after(&mut pair, &call.name, result).await,
        Ok(Err(error)) => {
            pair.failed(End::UpstreamFailed).await;
            error.into()
        }
        Err(error) => {
            pair.failed(error.end).await;
            error.answer("prompt")
        }
    }
}

async fn after(pair: &mut Pair<Plugins>, name: &str, result: Raw) -> Answer {
    let shown = PromptPostFetchPayload {
        prompt_id: name.to_owned(),
        result: Json::assume_valid(result.clone().into_bytes()),
    };
    let after = pair.after(Revision::new(Box::new(shown))).await;
    if let Some(blocked_by) = &after.blocked {
        return Answer::blocked(Err(blocked(PromptPostFetch::NAME, blocked_by))).wishing(&after);
    }
    let changed = after.changed.as_ref().and_then(|revision| revision.get::<PromptPostFetchPayload>());
    Ok(changed.and_then(|changed| Raw::parse(changed.result.text().clone()).ok()).unwrap_or(result)).into()
}

/// The JSON-RPC error of a blocked prompt or resource.
pub(crate) fn blocked(hook: &str, by: &Blocked) -> RpcError {
    let violation = &by.violation;
    let details = Raw::from_serialize(&violation.details).ok();
    let blocked = mortise_mcp::errors::Blocked {
        hook,
        plugin_name: &by.plugin,
        code: &violation.code,
        reason: &violation.reason,
        description: &violation.description,
        details: details.as_ref(),
        mcp_error_code: violation.mcp_error_code.map(i64::from),
    };
    rpc(&blocked.error())
}

/// What hooks after a prompt are shown when there is none.
fn substitute(asked: &dyn Payload, _: End) -> Box<dyn Payload> {
    Box::new(PromptPostFetchPayload {
        prompt_id: asked.subject().unwrap_or_default().to_owned(),
        result: Json::assume_valid(&b"{\"messages\":[]}"[..]),
    })
}
