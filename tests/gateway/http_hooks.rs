//! The hooks of a request as such: before authentication, who it is, may they, and when the answer leaves.

use std::sync::Arc;

use mortise_plugin_api::{
    Headers, Native, Needs, Plugin, Verdict, Violation,
    hooks::{
        HttpAuthCheckPermission, HttpAuthResolveUser, HttpPostRequest, HttpPreRequest, MCP_HOOKS,
        http::{Permission, UserRecord},
    },
};
use mortise_testkit::mcp_server::scripted::Scripted;
use mortise_tests::{Recorder, Setup};
use serde_json::json;

const TOKEN: &str = "token-of-ci";

/// Sends the token for callers that show the partner's key.
fn partner_key() -> Arc<dyn Plugin> {
    Native::new(())
        .on::<HttpPreRequest>(Needs::change(), |(), request, _| {
            if request.headers.get("x-partner-key") != Some("sesame") {
                return Ok(Verdict::Pass);
            }
            let authorization = format!("Bearer {TOKEN}");
            Ok(Verdict::Change([("authorization", authorization.as_str())].into_iter().collect::<Headers>()))
        })
        .into_plugin()
}

#[tokio::test]
async fn header_added_before_authentication_counts_and_the_clients_own_is_never_replaced() {
    let upstream = Scripted::start().await.unwrap();
    let stand = Setup::new()
        .upstream("docs", &upstream)
        .app("ci", TOKEN, json!({}))
        .plugin("partner", partner_key())
        .start()
        .await;
    let client = stand.client();

    let status = async |client: mortise_tests::Client| client.rpc("tools/list", json!({})).await.status;
    assert_eq!(status(client.clone()).await, 401);
    assert_eq!(status(client.with("x-partner-key", "sesame")).await, 200);
    assert_eq!(status(client.with("x-partner-key", "sesame").token("wrong")).await, 401);
}

#[tokio::test]
async fn request_blocked_before_authentication_is_answered_with_the_violations_status() {
    let upstream = Scripted::start().await.unwrap();
    for (status, expected) in [(Some(503), 503), (None, 403)] {
        let plugin = Native::new(status)
            .on::<HttpPreRequest>(Needs::block(), |status, _, _| {
                let mut violation = Violation::new("CLOSED", "Closed for repairs");
                violation.http_status_code = *status;
                violation.http_headers = Some([("retry-after", "7")].into_iter().collect());
                Ok(violation.into())
            })
            .into_plugin();
        let stand = Setup::new().upstream("docs", &upstream).plugin("closed", plugin).start().await;

        let answer = stand.client().rpc("tools/call", json!({ "name": "echo" })).await;

        assert_eq!(answer.status, expected);
        assert_eq!(answer.header("retry-after"), Some("7"));
        assert_eq!(answer.json()["error"]["data"]["plugin_error_code"], "CLOSED");
        assert_eq!(answer.json()["error"]["data"]["plugin_name"], "closed");
    }
    assert_eq!(upstream.received_of("tools/call").len(), 0);
}

/// Knows Ann by her key, and throws Mallory out.
fn doorman() -> Arc<dyn Plugin> {
    Native::new(())
        .on::<HttpAuthResolveUser>(Needs::block(), |(), asked, _| {
            Ok(match asked.headers.get("x-name") {
                Some("ann") => {
                    let record = json!({ "email": "ann@example.com", "tenant": "acme" });
                    Verdict::Change(UserRecord(record.as_object().cloned().unwrap_or_default()))
                }
                Some("mallory") => Violation::new("INVALID_TOKEN", "Not you").into(),
                _ => Verdict::Pass,
            })
        })
        .into_plugin()
}

#[tokio::test]
async fn plugin_that_knows_the_caller_decides_who_it_is() {
    let (upstream, recorder) = (Scripted::start().await.unwrap(), Recorder::new());
    let stand = Setup::new()
        .upstream("docs", &upstream)
        .app("ci", TOKEN, json!({ "user": "ci@example.com" }))
        .plugin("doorman", doorman())
        .plugin("recorder", recorder.plugin(MCP_HOOKS))
        .start()
        .await;
    let client = stand.client();

    client.with("x-name", "ann").call("echo", json!({})).await;
    client.token(TOKEN).call("echo", json!({})).await;
    let rejected =
        client.token(TOKEN).with("x-name", "mallory").rpc("tools/call", json!({ "name": "echo" })).await;
    let unknown = client.rpc("tools/call", json!({ "name": "echo" })).await;

    let callers: Vec<_> =
        recorder.at("tool_pre_invoke").into_iter().map(|seen| (seen.user, seen.tenant)).collect();
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(callers, [(some("ann@example.com"), some("acme")), (some("ci@example.com"), None)]);
    assert_eq!((rejected.status, unknown.status), (401, 401));
    assert!(rejected.header("www-authenticate").is_some());
}

#[tokio::test]
async fn caller_no_authenticator_knows_is_refused_also_without_apps() {
    let upstream = Scripted::start().await.unwrap();
    let stand = Setup::new().upstream("docs", &upstream).plugin("doorman", doorman()).start().await;

    assert_eq!(stand.client().with("x-name", "ann").rpc("tools/list", json!({})).await.status, 200);
    assert_eq!(stand.client().rpc("tools/list", json!({})).await.status, 401);
}

#[tokio::test]
async fn denied_permission_stops_the_call_and_no_other() {
    let upstream = Scripted::start().await.unwrap();
    let plugin = Native::new(())
        .on::<HttpAuthCheckPermission>(Needs::block(), |(), asked, _| {
            if asked.permission != "tools.execute" {
                return Ok(Verdict::Pass);
            }
            Ok(Verdict::Change(Permission { granted: false, reason: Some("it is night".to_owned()) }))
        })
        .into_plugin();
    let stand = Setup::new().upstream("docs", &upstream).plugin("judge", plugin).start().await;

    let denied = stand.client().call("echo", json!({})).await;
    let listed = stand.client().tools().await;

    let message = denied["error"]["message"].as_str().unwrap_or_default();
    assert!(message.contains("tools.execute") && message.contains("it is night"), "{denied}");
    assert_eq!(listed, ["echo"]);
    assert_eq!(upstream.received_of("tools/call").len(), 0);
}

#[tokio::test]
async fn header_added_when_the_answer_leaves_reaches_the_client() {
    let upstream = Scripted::start().await.unwrap();
    let plugin = Native::new(())
        .on::<HttpPostRequest>(Needs::change(), |(), leaving, _| {
            let status = leaving.status_code.unwrap_or_default().to_string();
            let headers = [("x-status", status.as_str()), ("content-length", "1")];
            Ok(Verdict::Change(headers.into_iter().collect::<Headers>()))
        })
        .into_plugin();
    let stand = Setup::new().upstream("docs", &upstream).plugin("footer", plugin).start().await;

    let answer =
        stand.client().rpc("tools/call", json!({ "name": "echo", "arguments": { "text": "whole" } })).await;

    assert_eq!(answer.header("x-status"), Some("200"));
    assert_eq!(
        mortise_tests::text(&answer.message()),
        "whole",
        "the answer's length is not a plugin's to change"
    );
}
