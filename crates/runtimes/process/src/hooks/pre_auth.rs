//! Before authentication: `ProcessPreAuth`.
//!
//! A request's body has not been read at that moment, so plugins see none and cannot replace it.

use mortise_plugin_api::{
    Call, Change, Context, Outcome, Reply, Request,
    hooks::{HttpPreRequest, http::HttpPreRequestPayload},
};
use mortise_proto::tyk::plugin::PluginRequest;

use super::{failed, left, payload, refusal, timed};
use crate::{about, headers, running::Client};

const METHOD: &str = "ProcessPreAuth";

pub(super) async fn call(mut client: Client, call: Call<'_>, context: Context<'_>) -> Outcome {
    let asked = payload::<HttpPreRequest>(&call)?;
    let left = left(&call);
    let request = timed(shown(asked, call.request, &context), left);
    let answer = client.process_pre_auth(request).await.map_err(failed(METHOD, left))?.into_inner();
    if answer.block {
        return Ok(refusal(answer));
    }
    if !answer.modified || answer.headers.is_empty() {
        return Ok(Reply::pass());
    }
    let change = Change::Answer(Box::new(headers::from_plugin(&answer.headers)));
    Ok(Reply { change: Some(change), ..Reply::pass() })
}

fn shown(asked: &HttpPreRequestPayload, request: &Request, context: &Context<'_>) -> PluginRequest {
    PluginRequest {
        method: asked.method.clone(),
        path: asked.path.clone(),
        headers: headers::to_plugin(&asked.headers),
        context: Some(about::context(request, context)),
        remote_addr: remote(asked.client_host.as_deref(), asked.client_port),
        ..PluginRequest::default()
    }
}

/// `ADDRESS:PORT`, as far as it is known.
pub(super) fn remote(host: Option<&str>, port: Option<u16>) -> String {
    match (host, port) {
        (Some(host), Some(port)) if host.contains(':') => format!("[{host}]:{port}"),
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (Some(host), None) => host.to_owned(),
        (None, _) => String::new(),
    }
}
