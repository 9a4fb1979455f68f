//! Endpoints of a plugin's own: `GetEndpointRegistrations`, `HandleEndpointRequest`, `HandleEndpointRequestStream`.
//!
//! What a life of the plugin registers is asked once, at its start, and stays while the plugin is away: so a request that
//! comes then is one for a plugin that is not there, not one for a path that nobody has. An error the plugin answers with
//! is told apart from a connection that broke: the former is its word, the latter says that it is gone.

use std::{
    collections::HashMap,
    error::Error as _,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use futures_util::Stream;
use mortise_plugin_api::{
    EndpointAnswer, EndpointApp, EndpointCall, EndpointChunk, EndpointMethod, EndpointRegistration,
    EndpointResponse, EndpointStream, Fut, PluginError,
};
use mortise_proto::tyk::plugin::{
    App, EndpointRegistration as Registered, EndpointRequest, EndpointResponse as Answered,
    EndpointResponseChunk, GetEndpointRegistrationsRequest, endpoint_response_chunk::ChunkType,
};
use serde_json::Value;
use tokio::time::timeout;
use tonic::{Code, Status, Streaming};

use crate::{about, headers, hooks::timed, running::Client, status, values};

const METHOD: &str = "HandleEndpointRequest";
const STREAM_METHOD: &str = "HandleEndpointRequestStream";

/// How long it may take to say what it registers.
const ASKING: Duration = Duration::from_secs(10);

/// Asks a plugin that has just started what it registers. One of an older make knows no endpoints.
pub(crate) async fn registrations(mut client: Client, plugin: &str) -> Arc<[EndpointRegistration]> {
    let asked = timeout(ASKING, client.get_endpoint_registrations(GetEndpointRegistrationsRequest {})).await;
    match asked {
        Ok(Ok(answer)) => answer.into_inner().registrations.into_iter().map(registration).collect(),
        Ok(Err(status)) if status::is_unknown_method(&status) => Arc::new([]),
        Ok(Err(status)) => {
            tracing::warn!(plugin, %status, "the plugin did not say which endpoints it has: none are served");
            Arc::new([])
        }
        Err(_) => {
            let seconds = ASKING.as_secs();
            tracing::warn!(
                plugin,
                seconds,
                "the plugin did not say in time which endpoints it has: none are served"
            );
            Arc::new([])
        }
    }
}

/// Methods that no endpoint can have are left out; a registration without any other is told of where it is sorted in.
fn registration(told: Registered) -> EndpointRegistration {
    EndpointRegistration {
        path: told.path,
        methods: told.methods.iter().filter_map(|word| EndpointMethod::of_word(word.trim())).collect(),
        description: told.description,
        require_auth: told.require_auth,
        stream_response: told.stream_response,
        metadata: told.metadata.into_iter().collect(),
    }
}

/// Asks the plugin for an answer.
pub(crate) fn handle(
    client: Client,
    call: EndpointCall,
) -> Fut<'static, Result<EndpointAnswer, PluginError>> {
    if call.stream { Box::pin(streamed(client, call)) } else { Box::pin(whole(client, call)) }
}

async fn whole(mut client: Client, call: EndpointCall) -> Result<EndpointAnswer, PluginError> {
    let left = left(&call);
    let answer = client.handle_endpoint_request(timed(shown(call), left)).await;
    let answer = answer.map_err(|status| failed(METHOD, &status, left))?.into_inner();
    Ok(EndpointAnswer::Whole(response(answer)?))
}

async fn streamed(mut client: Client, call: EndpointCall) -> Result<EndpointAnswer, PluginError> {
    let left = left(&call);
    let answer = client.handle_endpoint_request_stream(timed(shown(call), left)).await;
    let chunks = answer.map_err(|status| failed(STREAM_METHOD, &status, left))?.into_inner();
    Ok(EndpointAnswer::Stream(Box::new(Chunks { chunks, left, _client: client })))
}

fn left(call: &EndpointCall) -> Duration {
    call.deadline.saturating_duration_since(Instant::now())
}

/// A plugin that says that it is not available has answered; only a connection that broke says that it is gone.
fn failed(method: &'static str, status: &Status, left: Duration) -> PluginError {
    if status.code() == Code::Unavailable && status.source().is_none() {
        return PluginError::failed(format!("{method}: Unavailable: {}", status.message()));
    }
    status::error(method, status, left)
}

fn shown(call: EndpointCall) -> EndpointRequest {
    let EndpointCall { request, about, .. } = call;
    EndpointRequest {
        method: request.method.word().to_owned(),
        path: request.path,
        relative_path: request.relative_path,
        path_segments: request.path_segments,
        headers: headers::to_plugin(&request.headers),
        body: request.body,
        query_string: request.query_string,
        remote_addr: request.remote_addr,
        host: request.host,
        protocol: request.protocol.to_owned(),
        context: Some(about::of(&about)),
        authenticated: request.authenticated,
        app: request.app.as_deref().map(app),
        scopes: request.scopes.iter().map(ToString::to_string).collect(),
    }
}

fn app(app: &EndpointApp) -> App {
    App {
        id: if app.id == 0 { about::number(&app.name) } else { app.id },
        name: app.name.clone(),
        description: app.description.clone(),
        owner_email: app.owner_email.clone(),
        is_active: app.is_active,
        monthly_budget: app.monthly_budget,
        rate_limit: i32::try_from(app.rate_limit).unwrap_or(i32::MAX),
        metadata: app.metadata.iter().map(|(key, value)| (key.clone(), metadata(value))).collect(),
        plugin_resources: Vec::new(),
    }
}

/// As a configuration's values, but for what is nothing, which is an empty text here, and for whole numbers.
fn metadata(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Number(number) => match number.as_f64().filter(|_| number.is_f64()) {
            // Up to here every whole number is exact.
            Some(float) if float.fract() == 0.0 && float.abs() < 9_007_199_254_740_992.0 => {
                format!("{float:.0}")
            }
            _ => values::text(value),
        },
        _ => values::text(value),
    }
}

fn response(answer: Answered) -> Result<EndpointResponse, PluginError> {
    if !answer.error_message.is_empty() {
        let status = if answer.status_code == 0 { 500 } else { status_code(answer.status_code)? };
        return EndpointResponse::json(status, &serde_json::json!({ "error": answer.error_message }));
    }
    Ok(EndpointResponse {
        status: status_code(answer.status_code)?,
        headers: headers::from_plugin(&answer.headers),
        body: answer.body,
    })
}

fn status_code(code: i32) -> Result<u16, PluginError> {
    u16::try_from(code).map_err(|_| PluginError::InvalidAnswer(format!("{code} is no HTTP status")))
}

/// A streamed answer on its way here.
struct Chunks {
    chunks: Streaming<EndpointResponseChunk>,
    left: Duration,
    /// Keeps the connection while there are pieces to come.
    _client: Client,
}

impl EndpointStream for Chunks {
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<EndpointChunk, PluginError>>> {
        Pin::new(&mut self.chunks).poll_next(cx).map(|next| match next? {
            Ok(chunk) => piece(chunk),
            Err(status) => Some(Err(failed(STREAM_METHOD, &status, self.left))),
        })
    }
}

/// A piece as it is handed on; `None` for the end.
fn piece(chunk: EndpointResponseChunk) -> Option<Result<EndpointChunk, PluginError>> {
    let kind = chunk.r#type();
    let EndpointResponseChunk { status_code: code, headers: map, data, error_message, .. } = chunk;
    Some(match kind {
        ChunkType::Headers => head(code, &map),
        ChunkType::Body => Ok(EndpointChunk::Body(data)),
        ChunkType::Done => return None,
        ChunkType::Error if error_message.is_empty() => {
            Ok(EndpointChunk::Failed("the plugin gave up".to_owned()))
        }
        ChunkType::Error => Ok(EndpointChunk::Failed(error_message)),
    })
}

fn head(code: i32, map: &HashMap<String, String>) -> Result<EndpointChunk, PluginError> {
    Ok(EndpointChunk::Head { status: status_code(code)?, headers: headers::from_plugin(map) })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn metadata_of_an_app_are_texts() {
        for (value, text) in [
            (json!("a"), "a"),
            (json!(null), ""),
            (json!(true), "true"),
            (json!(7), "7"),
            (json!(1_000_000), "1000000"),
            (json!(1_000_000.0), "1000000"),
            (json!(0.5), "0.5"),
            (json!(["GET", 1]), r#"["GET",1]"#),
            (json!({ "a": 1 }), r#"{"a":1}"#),
        ] {
            assert_eq!(metadata(&value), text, "{value}");
        }
    }

    #[test]
    fn answer_with_an_error_is_that_error_whatever_else_it_holds() {
        let answer = |code, error: &str| Answered {
            status_code: code,
            error_message: error.to_owned(),
            body: "body".into(),
            ..Answered::default()
        };
        let failed = response(answer(0, "no such user")).unwrap();
        assert_eq!((failed.status, &failed.body[..]), (500, &br#"{"error":"no such user"}"#[..]));
        assert_eq!(response(answer(501, "not supported")).unwrap().status, 501);
        assert_eq!(response(answer(0, "")).unwrap().status, 0);
        assert!(response(answer(-1, "")).is_err());
    }

    #[test]
    fn unknown_methods_are_left_out_of_a_registration() {
        let told = Registered {
            path: "/*".to_owned(),
            methods: ["get", "Post", "TRACE"].map(str::to_owned).into(),
            ..Registered::default()
        };
        assert_eq!(registration(told).methods, [EndpointMethod::Get, EndpointMethod::Post]);
    }

    #[test]
    fn word_of_the_plugin_is_told_apart_from_a_broken_connection() {
        let left = Duration::from_secs(1);
        let kind = |status: Status| failed(METHOD, &status, left).kind();
        assert_eq!(kind(Status::unavailable("its database is away")), "error");
        assert_eq!(kind(Status::unimplemented("")), "error");
        assert_eq!(kind(Status::deadline_exceeded("")), "timeout");
        let broken = Status::from_error(Box::new(std::io::Error::from(std::io::ErrorKind::BrokenPipe)));
        assert_eq!(kind(broken), "unavailable");
    }
}
