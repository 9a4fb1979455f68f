//! LLM traffic: `ProcessPostAuth` before a model is asked, `OnBeforeWriteHeaders` and `OnBeforeWrite` when it answers,
//! `OnStreamComplete` when an answer that came as a stream is over.
//!
//! An empty body in an answer before the model means that the body stays; in one after it, that the body is gone.

use bytes::Bytes;
use mortise_plugin_api::{
    Call, Change, Context, End, Json, Outcome, Part, PluginError, Reply,
    hooks::{
        HttpPostForwardingCall, LlmInput, LlmOutput,
        llm::{LlmInputPayload, LlmOutputPayload},
    },
};
use mortise_proto::tyk::plugin::{
    EnrichedRequest, HeadersRequest, PluginContext, PluginRequest, ResponseWriteRequest,
    StreamCompleteRequest,
};

use super::{failed, left, payload, refusal, timed};
use crate::{about, headers, running::Client};

/// Who plugins are told the user is where nobody knows.
const SOMEBODY: &str = "plugin-user";

pub(super) async fn input(mut client: Client, call: Call<'_>, mut context: Context<'_>) -> Outcome {
    const METHOD: &str = "ProcessPostAuth";
    let asked = payload::<LlmInput>(&call)?;
    let left = left(&call);
    let request = timed(enriched(asked, &call, &context), left);
    let mut answer = client.process_post_auth(request).await.map_err(failed(METHOD, left))?.into_inner();
    about::update(&mut context, std::mem::take(&mut answer.context_updates));
    if answer.block {
        return Ok(refusal(answer));
    }
    if !answer.modified {
        return Ok(Reply::pass());
    }
    let mut changed = asked.clone();
    changed.headers.merge(&headers::from_plugin(&answer.headers));
    if !answer.body.is_empty() {
        changed.body = json(METHOD, answer.body)?;
    }
    Ok(change(changed))
}

fn enriched(asked: &LlmInputPayload, call: &Call<'_>, context: &Context<'_>) -> EnrichedRequest {
    let about = PluginContext { vendor: asked.vendor.clone(), ..about_llm(&asked.llm, call, context) };
    let caller = &call.request.caller;
    EnrichedRequest {
        user_id: caller.user.as_deref().unwrap_or(SOMEBODY).to_owned(),
        app_id: about.app_id.to_string(),
        authenticated: true,
        auth_claims: std::collections::HashMap::new(),
        request: Some(PluginRequest {
            method: "POST".to_owned(),
            path: call.request.path.as_deref().unwrap_or(&asked.path).to_owned(),
            headers: headers::to_plugin(&asked.headers),
            body: asked.body.text().clone(),
            context: Some(about),
            remote_addr: call.request.client.map(|client| client.to_string()).unwrap_or_default(),
        }),
    }
}

pub(super) async fn answer_headers(mut client: Client, call: Call<'_>, context: Context<'_>) -> Outcome {
    let answered = payload::<HttpPostForwardingCall>(&call)?;
    // Of a stream plugins are asked for nothing before it is over.
    if answered.headers.get("content-type").is_some_and(|kind| kind.starts_with("text/event-stream")) {
        return Ok(Reply::pass());
    }
    let left = left(&call);
    let request = HeadersRequest {
        headers: headers::to_plugin(&answered.headers),
        context: Some(about_llm(&answered.upstream, &call, &context)),
    };
    let answer = client.on_before_write_headers(timed(request, left)).await;
    let answer = answer.map_err(failed("OnBeforeWriteHeaders", left))?.into_inner();
    if !answer.modified {
        return Ok(Reply::pass());
    }
    Ok(change(headers::from_plugin(&answer.headers)))
}

pub(super) async fn output(client: Client, call: Call<'_>, context: Context<'_>) -> Outcome {
    let answered = payload::<LlmOutput>(&call)?;
    match call.part {
        Part::Window { .. } => {
            Err(PluginError::failed("process plugins take no windows: they see streams when they are over"))
        }
        // Of an answer that did not come, or broke off, there is nothing to show.
        _ if call.end != End::Ok => Ok(Reply::pass()),
        Part::Whole if !answered.streamed => whole(client, answered, &call, &context).await,
        Part::Whole | Part::Complete => complete(client, answered, &call, &context).await,
    }
}

async fn whole(
    mut client: Client,
    answered: &LlmOutputPayload,
    call: &Call<'_>,
    context: &Context<'_>,
) -> Outcome {
    const METHOD: &str = "OnBeforeWrite";
    let left = left(call);
    let request = ResponseWriteRequest {
        body: answered.body.text().clone(),
        headers: headers::to_plugin(&answered.headers),
        is_stream_chunk: false,
        context: Some(about_llm(&answered.llm, call, context)),
    };
    let answer =
        client.on_before_write(timed(request, left)).await.map_err(failed(METHOD, left))?.into_inner();
    if !answer.modified {
        return Ok(Reply::pass());
    }
    let mut changed = answered.clone();
    changed.headers = headers::from_plugin(&answer.headers);
    changed.body =
        if answer.body.is_empty() { Json::assume_valid(Bytes::new()) } else { json(METHOD, answer.body)? };
    Ok(change(changed))
}

async fn complete(
    mut client: Client,
    answered: &LlmOutputPayload,
    call: &Call<'_>,
    context: &Context<'_>,
) -> Outcome {
    let left = left(call);
    let mut about = about_llm(&answered.llm, call, context);
    about.metadata.insert("vendor".to_owned(), answered.vendor.clone());
    let request = StreamCompleteRequest {
        accumulated_response: answered.body.text().clone(),
        headers: headers::to_plugin(&answered.headers),
        status_code: i32::from(answered.status_code.unwrap_or(200)),
        context: Some(about),
        // The stream was put together before it came here.
        chunk_count: 1,
        ..StreamCompleteRequest::default()
    };
    let answer = client.on_stream_complete(timed(request, left)).await;
    match answer {
        // Plugins of an older make know no streams.
        Err(status) if crate::status::is_unknown_method(&status) => Ok(Reply::pass()),
        Err(status) => Err(failed("OnStreamComplete", left)(status)),
        Ok(answer) => match answer.into_inner().error_message {
            message if message.is_empty() => Ok(Reply::pass()),
            message => Err(PluginError::failed(format!("OnStreamComplete: {message}"))),
        },
    }
}

fn about_llm(llm: &str, call: &Call<'_>, context: &Context<'_>) -> PluginContext {
    PluginContext {
        llm_id: about::number(llm),
        llm_slug: llm.to_owned(),
        ..about::context(call.request, context)
    }
}

fn json(method: &str, body: Bytes) -> Result<Json, PluginError> {
    Json::parse(body).map_err(|error| PluginError::InvalidAnswer(format!("the body of {method} is {error}")))
}

fn change<C: std::any::Any + Send>(changed: C) -> Reply {
    Reply { change: Some(Change::Answer(Box::new(changed))), ..Reply::pass() }
}
