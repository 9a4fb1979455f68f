//! The examples of process plugins: each built as its page says, and run by its own configuration file.

use std::{fs, path::PathBuf};

use mortise_framework::{
    Contexts, Framework, Outcome, Plan,
    config::{Mode, PluginEntry},
};
use mortise_plugin_api::{
    Caller, Hook, HookTable, Request, Revision, Wire,
    hooks::{LlmInput, RecordAnalytics, RecordBudgetUsage, RecordProxyLog},
};
use mortise_runtime_process::ProcessRuntime;
use mortise_tests::{HttpAnswer, Setup, Stand};
use serde_json::{Value, json};

use crate::programs::{go, python, root};

fn folder(name: &str) -> PathBuf {
    root().join("examples/plugins").join(name)
}

fn built(name: &str) -> PathBuf {
    let program = folder(name).join("plugin");
    go("examples/plugins", &format!("./{name}"), &program);
    program
}

/// A gateway with the example's own file.
async fn stand(name: &str) -> Stand {
    let file = folder(name).join("mortise.yaml");
    Setup::new().process().set("include", json!([file])).start().await
}

async fn post(stand: &Stand, path: &str, body: &str) -> HttpAnswer {
    stand.client().at(path).send("POST", Some(body.as_bytes())).await
}

/// What of a plugin at a hook, by its own configuration with these keys over it.
async fn asked<H: Hook>(name: &str, config: Value, payload: Value) -> (Outcome, Vec<&'static str>) {
    let framework = Framework::builder().runtime(ProcessRuntime::new()).build();
    let mut entry = PluginEntry::new(name, "process")
        .with_config(config.as_object().unwrap().clone())
        // So that a chain waits for those that would run beside it.
        .with_mode(Mode::Enforce);
    entry.command = vec![built(name).display().to_string()];
    let plan = Plan { enabled: true, entries: vec![entry], ..Plan::default() };
    let (pipelines, _) = framework.build(&plan).await.unwrap();
    let table = HookTable::standard();
    let payload = table.spec(H::ID).unwrap().decode(payload.to_string().as_bytes(), Wire::Json).unwrap();
    let mut request = Request::new("r1");
    request.caller =
        std::sync::Arc::new(Caller { user: Some("ann".into()), app: Some("7".into()), ..Caller::default() });
    let chain = pipelines.chain(H::ID).unwrap();
    let outcome = chain.run(&pipelines, &request, &mut Contexts::new(), &Revision::new(payload)).await;
    let words = outcome.executions.iter().map(|one| one.status.word()).collect();
    framework.stop(&pipelines).await;
    (outcome, words)
}

#[tokio::test]
async fn echo_answers_whole_and_streamed_and_counts() {
    built("echo");
    let stand = stand("echo").await;

    let echoed = post(&stand, "/plugins/echo/users/123?a=1", "hello").await.json();
    assert_eq!(echoed["segments"], json!(["users", "123"]));
    assert_eq!(
        (&echoed["body"], &echoed["query"], &echoed["content"]),
        (&json!("hello"), &json!("a=1"), &json!("Hello World"))
    );
    let streamed = stand.client().get("/plugins/echo/stream").await;
    assert_eq!(streamed.header("content-type"), Some("text/event-stream"));
    assert_eq!(streamed.text().matches("data: ").count(), 3);
    assert_eq!(post(&stand, "/plugins/echo/count", "").await.json()["count"], 1);
    assert_eq!(post(&stand, "/plugins/echo/count", "").await.json()["count"], 2);
}

#[tokio::test]
async fn webhook_is_taken_with_its_signature_and_no_other() {
    built("webhook");
    let stand = stand("webhook").await;
    let body = r#"{"id": "p1", "status": "paid"}"#;
    let send = async |event: &str, signature: &str| {
        let client =
            stand.client().at(&format!("/plugins/webhooks/{event}")).with("x-webhook-signature", signature);
        client.send("POST", Some(body.as_bytes())).await
    };
    // printf %s '{"id": "p1", "status": "paid"}' | openssl dgst -sha256 -hmac change-me
    let signed = "2d2b5771c86ee8e95cc68e96b1ea8db465929ee916bec49ca4bb38d2e288dbe3";

    assert_eq!(send("payment", "").await.status, 401);
    assert_eq!(send("payment", &signed.replace('1', "2")).await.status, 401);
    let taken = send("payment", signed).await;
    assert_eq!((taken.status, &taken.json()["new"]), (200, &json!(true)));
    assert_eq!(send("payment", signed).await.json()["new"], false, "a webhook may be sent again");
    assert_eq!(send("user", signed).await.status, 202);
    assert_eq!(send("other", signed).await.json()["status"], "acknowledged");
    assert_eq!(send("", signed).await.status, 400);
}

#[tokio::test]
async fn oauth_provider_gives_tokens_that_its_userinfo_takes() {
    built("oauth-provider");
    let stand = stand("oauth-provider").await;
    let client = stand.client();

    let about = client.get("/plugins/oauth/.well-known/openid-configuration").await.json();
    assert_eq!(about["token_endpoint"], "http://127.0.0.1:8081/plugins/oauth/token");
    assert_eq!(client.get("/plugins/oauth/jwks.json").await.json()["keys"][0]["alg"], "RS256");
    let form = "grant_type=password&client_id=agent&client_secret=agent-secret&username=ann&password=";
    assert_eq!(post(&stand, "/plugins/oauth/token", &format!("{form}wrong")).await.status, 400);
    let token = post(&stand, "/plugins/oauth/token", &format!("{form}ann-secret")).await.json();
    let token = token["access_token"].as_str().unwrap();
    let told = client.token(token).get("/plugins/oauth/userinfo").await;
    assert_eq!((told.status, &told.json()["email"]), (200, &json!("ann@example.com")));
    let forged = token.replacen('.', ".x", 1);
    assert_eq!(client.token(&forged).get("/plugins/oauth/userinfo").await.status, 401);
}

#[tokio::test]
async fn metadata_of_apps_say_who_may_keep_notes() {
    python();
    let stand = stand("access-control").await;
    let client = stand.client().at("/plugins/notes/today");
    let put = async |token: &str| client.token(token).send("PUT", Some(b"buy milk")).await;
    let get = async |token: &str| client.token(token).send("GET", None).await;

    assert_eq!(client.send("GET", None).await.status, 401);
    assert_eq!(put("guest-token").await.status, 403);
    assert_eq!(put("reader-token").await.status, 405);
    assert_eq!(get("reader-token").await.status, 404, "notes are an app's own");
    let created = put("writer-token").await;
    assert_eq!(created.status, 201, "{}", created.text());
    assert_eq!(get("writer-token").await.text(), "buy milk");
}

#[tokio::test]
async fn mcp_server_has_sessions_streams_and_resumption() {
    built("mcp-server");
    let stand = stand("mcp-server").await;
    let client =
        stand.client().at("/plugins/tools/mcp").with("accept", "application/json, text/event-stream");
    assert_eq!(client.rpc("ping", json!({})).await.status, 401);
    let client = client.token("sesame");
    assert_eq!(client.rpc("tools/list", json!({})).await.status, 400, "a session is needed");
    let hello = json!({ "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } });
    let opened = client.rpc("initialize", hello).await;
    let session = opened.header("mcp-session-id").unwrap().to_owned();
    let client = client.with("mcp-session-id", &session);

    let listed = client.rpc("tools/list", json!({})).await;
    assert_eq!(listed.json()["result"]["tools"].as_array().unwrap().len(), 3);
    let call = json!({ "name": "count", "arguments": { "to": 3 }, "_meta": { "progressToken": "p" } });
    let counted = client.rpc("tools/call", call).await;
    assert_eq!(counted.header("content-type"), Some("text/event-stream"));
    let events = counted.text();
    assert_eq!(events.matches("notifications/progress").count(), 3, "{events}");
    assert!(events.contains("counted to 3"));
    // What came after the second event, once more.
    let ids: Vec<&str> = events.lines().filter_map(|line| line.strip_prefix("id: ")).collect();
    let again = client.with("last-event-id", ids[1]).send("GET", None).await.text();
    assert_eq!(again.lines().filter(|line| line.starts_with("id: ")).count(), 2, "{again}");
    assert!(again.contains("counted to 3"));

    assert_eq!(client.send("DELETE", None).await.status, 200);
    assert_eq!(client.rpc("tools/list", json!({})).await.status, 404);
}

#[tokio::test]
async fn enricher_adds_headers_and_refuses_what_is_too_large() {
    let config = json!({ "environment": "test", "max_body_bytes": 200 });
    let payload = |text: String| json!({ "llm": "gpt", "vendor": "openai", "path": "/v1", "headers": { "x-kept": "1" }, "body": { "text": text } });

    let (small, _) = asked::<LlmInput>("request-enricher", config.clone(), payload("hi".to_owned())).await;
    let changed: Value =
        serde_json::from_slice(&small.changed.unwrap().payload().encode(Wire::Json).unwrap()).unwrap();
    assert_eq!(changed["headers"]["x-user-id"], "ann");
    assert_eq!(
        (&changed["headers"]["x-environment"], &changed["headers"]["x-kept"]),
        (&json!("test"), &json!("1"))
    );
    let (large, _) = asked::<LlmInput>("request-enricher", config, payload("x".repeat(300))).await;
    assert_eq!(large.blocked.unwrap().violation.http_status_code, Some(413));
}

#[tokio::test]
async fn collectors_write_a_line_for_each_record() {
    let folder = tempfile::tempdir().unwrap();
    let config = |format: &str| json!({ "output_dir": folder.path(), "format": format });
    let used = json!({ "llm": "gpt", "model": "large", "input_tokens": 3, "output_tokens": 4, "cost": 0.5 });

    let (_, words) =
        asked::<RecordProxyLog>("file-collectors", config("jsonl"), json!({ "status": 200 })).await;
    assert_eq!(words, ["pass"]);
    asked::<RecordAnalytics>("file-collectors", config("jsonl"), used.clone()).await;
    for _ in 0..2 {
        asked::<RecordBudgetUsage>("file-collectors", config("csv"), used.clone()).await;
    }

    let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    let line: Value = serde_json::from_str(&read("proxy_log.jsonl")).unwrap();
    assert_eq!((&line["status"], &line["request_id"]), (&json!(200), &json!("r1")));
    let line: Value = serde_json::from_str(&read("analytics.jsonl")).unwrap();
    assert_eq!((&line["total_tokens"], &line["cost"]), (&json!(7), &json!(0.5)));
    assert_eq!(read("budget.csv").lines().count(), 3, "names once, then a line for each");
}
