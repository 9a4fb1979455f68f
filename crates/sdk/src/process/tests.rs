//! A program served at a socket, called as a gateway calls it.

use std::collections::HashMap;

use mortise_plugin_api::{
    Cx, EndpointMethod, EndpointRegistration, EndpointResponse, Headers, Native, Needs, PluginError, Verdict,
    Violation,
    hooks::{HttpPreRequest, LlmInput, http::HttpPreRequestPayload, llm::LlmInputPayload},
};
use mortise_proto::tyk::{
    config_provider::{
        GetManifestRequest as AskManifest, config_provider_service_client::ConfigProviderServiceClient,
    },
    plugin::{plugin_service_client::PluginServiceClient, *},
};
use tonic::Code;

use super::{
    way_back::{Link, Place, origin},
    *,
};

struct Guard {
    word: String,
}

impl Guard {
    fn request(
        &self,
        asked: &HttpPreRequestPayload,
        cx: &mut Cx<'_>,
    ) -> Result<Verdict<Headers>, PluginError> {
        match asked.path.as_str() {
            "/panic" => panic!("on demand"),
            "/fail" => Err(PluginError::failed("out of order")),
            path if path.contains(&self.word) => {
                let mut violation = Violation::new("WORD", "not this word").http_status(451);
                violation.http_body = Some("no".into());
                Ok(violation.into())
            }
            "/set" => Ok(Verdict::Change([("x-seen", cx.request().id.as_ref())].into_iter().collect())),
            _ => Ok(Verdict::Pass),
        }
    }

    fn input(
        &self,
        asked: &LlmInputPayload,
        cx: &mut Cx<'_>,
    ) -> Result<Verdict<LlmInputPayload>, PluginError> {
        let seen = cx.context.shared("seen").and_then(|seen| seen.as_str()).unwrap_or("nobody").to_owned();
        cx.context.set_shared("seen", "guard");
        let mut changed = asked.clone();
        changed.headers.set("x-seen", seen);
        Ok(Verdict::Change(changed))
    }
}

struct Served {
    client: PluginServiceClient<Link>,
    described: ConfigProviderServiceClient<Link>,
    end: CancellationToken,
    _folder: tempfile::TempDir,
}

async fn served() -> Served {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plugin");
    let socket = Socket::bind(&path).unwrap();
    let end = CancellationToken::new();
    let program = Program::new(About::new("guard", "1.0.0").services(["kv.readwrite"]), |config| {
        let word = config.text("word").ok_or_else(|| PluginError::failed("`word` is missing"))?.to_owned();
        let plugin = Native::new(Guard { word })
            .on::<HttpPreRequest>(Needs::change(), Guard::request)
            .on::<LlmInput>(Needs::change(), Guard::input)
            .endpoint(EndpointRegistration::new("/*", [EndpointMethod::Get]), |_, call| {
                Box::pin(async move { Ok(EndpointResponse::text(200, call.request.relative_path)) })
            });
        Ok(plugin.into_plugin())
    });
    tokio::spawn(program.serve_at(socket, end.clone()));
    let link = Link::open(&Place::Unix(path.display().to_string())).await.unwrap();
    Served {
        client: PluginServiceClient::with_origin(link.clone(), origin()),
        described: ConfigProviderServiceClient::with_origin(link, origin()),
        end,
        _folder: folder,
    }
}

fn config(pairs: &[(&str, &str)]) -> InitRequest {
    let config = pairs.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned()));
    InitRequest { config: config.collect::<HashMap<_, _>>() }
}

fn request(path: &str) -> PluginRequest {
    let context = PluginContext { request_id: "r1".to_owned(), ..PluginContext::default() };
    PluginRequest { path: path.to_owned(), context: Some(context), ..PluginRequest::default() }
}

#[tokio::test]
async fn plugin_is_made_of_its_configuration_and_says_what_it_has() {
    let mut served = served().await;
    let early = served.described.get_manifest(AskManifest {}).await.unwrap().into_inner();
    assert_eq!(early.manifest_json, "{}", "what it has is known when it is there");
    let unready = served.client.process_pre_auth(request("/")).await.unwrap_err();
    assert_eq!(unready.code(), Code::FailedPrecondition);

    let refused = served.client.initialize(config(&[])).await.unwrap().into_inner();
    assert!(!refused.success && refused.error_message.contains("`word` is missing"));
    assert!(served.client.initialize(config(&[("word", "secret")])).await.unwrap().into_inner().success);

    let told = served.client.get_manifest(GetManifestRequest {}).await.unwrap().into_inner();
    let manifest: serde_json::Value = serde_json::from_str(&told.manifest_json).unwrap();
    let words = serde_json::json!(["pre_auth", "post_auth", "custom_endpoint"]);
    assert_eq!(manifest["capabilities"]["hooks"], words);
    assert_eq!(manifest["permissions"]["services"], serde_json::json!(["kv.readwrite"]));
    served.end.cancel();
}

#[tokio::test]
async fn decisions_become_answers_and_failures_those_of_their_call() {
    let mut served = served().await;
    served.client.initialize(config(&[("word", "secret")])).await.unwrap();

    let blocked = served.client.process_pre_auth(request("/secret")).await.unwrap().into_inner();
    assert_eq!((blocked.block, blocked.status_code, &blocked.body[..]), (true, 451, &b"no"[..]));
    assert_eq!(blocked.error_message, "not this word");
    let set = served.client.process_pre_auth(request("/set")).await.unwrap().into_inner();
    assert_eq!((set.modified, set.headers["X-Seen"].as_str()), (true, "r1"));
    let passed = served.client.process_pre_auth(request("/")).await.unwrap().into_inner();
    assert_eq!(passed, PluginResponse::default());
    let failed = served.client.process_pre_auth(request("/fail")).await.unwrap_err();
    assert_eq!((failed.code(), failed.message()), (Code::Unknown, "out of order"));
    let panicked = served.client.process_pre_auth(request("/panic")).await.unwrap_err();
    assert_eq!(panicked.code(), Code::Internal);
    let without = served.client.on_before_write(ResponseWriteRequest::default()).await.unwrap().into_inner();
    assert!(!without.modified, "a hook it has not lets everything pass");
}

#[tokio::test]
async fn what_plugins_share_travels_as_texts() {
    let mut served = served().await;
    served.client.initialize(config(&[("word", "secret")])).await.unwrap();
    let mut inner = request("/v1");
    inner.body = "{}".into();
    let metadata = &mut inner.context.as_mut().unwrap().metadata;
    metadata.insert("seen".to_owned(), "first".to_owned());
    let asked = EnrichedRequest { request: Some(inner), ..EnrichedRequest::default() };

    let answer = served.client.process_post_auth(asked).await.unwrap().into_inner();

    assert_eq!(answer.headers["X-Seen"], "first");
    assert_eq!(answer.context_updates["seen"], "guard");
    assert!(answer.body.is_empty(), "a body that was not changed is not sent");
}

#[tokio::test]
async fn endpoints_are_registered_and_answer_whole_or_in_pieces() {
    let mut served = served().await;
    served.client.initialize(config(&[("word", "secret")])).await.unwrap();
    let told = served.client.get_endpoint_registrations(GetEndpointRegistrationsRequest {}).await;
    let told = told.unwrap().into_inner().registrations;
    assert_eq!((told[0].path.as_str(), told[0].methods.join(" ").as_str()), ("/*", "GET"));

    let asked = EndpointRequest {
        method: "GET".to_owned(),
        relative_path: "/a".to_owned(),
        ..EndpointRequest::default()
    };
    let answer = served.client.handle_endpoint_request(asked.clone()).await.unwrap().into_inner();
    assert_eq!((answer.status_code, &answer.body[..]), (200, &b"/a"[..]));
    let mut stream = served.client.handle_endpoint_request_stream(asked).await.unwrap().into_inner();
    let mut kinds = Vec::new();
    while let Some(chunk) = stream.message().await.unwrap() {
        kinds.push(chunk.r#type());
    }
    use endpoint_response_chunk::ChunkType::{Body, Done, Headers as Head};
    assert_eq!(kinds, [Head, Body, Done]);
    let posted = EndpointRequest { method: "POST".to_owned(), ..EndpointRequest::default() };
    let unknown = served.client.handle_endpoint_request(posted).await.unwrap_err();
    assert_eq!(unknown.code(), Code::Unimplemented);
}

#[tokio::test]
async fn session_is_over_in_time_or_closed_for_good() {
    let served = served().await;
    let asked = |timeout_ms| OpenSessionRequest { plugin_id: 3, timeout_ms, ..OpenSessionRequest::default() };
    let (mut one, mut other) = (served.client.clone(), served.client.clone());
    let over = one.open_session(asked(1)).await.unwrap().into_inner();
    assert_eq!(over.close_reason(), open_session_response::CloseReason::Timeout);
    assert_eq!(over.session_id, "session-3-0");
    let opened = tokio::spawn(async move { one.open_session(asked(60_000)).await.unwrap().into_inner() });
    // Closing before it is open closes nothing, so again until it ends.
    while !opened.is_finished() {
        let reason = CloseSessionRequest { reason: "unload".to_owned() };
        other.close_session(reason).await.unwrap();
    }
    let closed = opened.await.unwrap();
    assert_eq!(closed.close_reason(), open_session_response::CloseReason::ExplicitClose);
}
