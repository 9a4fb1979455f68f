//! The hooks around the HTTP call to an upstream: what they see of it, however it ends, and what they may do.

use std::{sync::Arc, time::Duration};

use mortise_plugin_api::{
    End, Headers, Hook, HookId, Native, Needs, Plugin, PluginError, Verdict, Violation,
    hooks::{HttpPostForwardingCall, HttpPreForwardingCall, MCP_HOOKS, ToolPreInvoke},
};
use mortise_testkit::{
    mcp_server::scripted::{Behaviour, Gate, Scripted},
    plugins,
};
use mortise_tests::{Recorder, Seen, Setup, Stand, text};
use serde_json::{Value, json};

const AROUND: [HookId; 2] = [HttpPreForwardingCall::ID, HttpPostForwardingCall::ID];

async fn watched(upstream: &Scripted, recorder: &Recorder) -> Stand {
    Setup::new()
        .upstream_with("docs", json!({ "url": upstream.url(), "timeout": 1 }))
        .plugin("recorder", recorder.plugin(&AROUND))
        .start()
        .await
}

async fn ended(recorder: &Recorder) -> Seen {
    let after = recorder.wait_for("http_post_forwarding_call", 1).await;
    assert_eq!(recorder.at("http_pre_forwarding_call").len(), 1);
    assert_eq!(after.len(), 1, "once for each call");
    assert_eq!(after[0].mark.as_deref(), Some("http_pre_forwarding_call"), "its state is there");
    after[0].clone()
}

#[tokio::test]
async fn hook_after_the_call_sees_its_true_status_and_how_it_ended() {
    let expected = [
        (Behaviour::Good, Some(200), End::Ok),
        (Behaviour::RpcError(-32050, "no disk".to_owned()), Some(200), End::Ok),
        (Behaviour::Status(500), Some(500), End::UpstreamFailed),
        (Behaviour::Status(401), Some(401), End::UpstreamFailed),
        (Behaviour::Garbage("{{".into()), Some(200), End::UpstreamFailed),
        (Behaviour::StreamWithoutResult, Some(200), End::UpstreamFailed),
        (Behaviour::Hang, None, End::TimedOut),
    ];
    for (behaviour, status, end) in expected {
        let (upstream, recorder) = (Scripted::start().await.unwrap(), Recorder::new());
        upstream.on_tool("echo", behaviour.clone());
        let stand = watched(&upstream, &recorder).await;

        stand.client().call("echo", json!({ "text": "x" })).await;

        let seen = ended(&recorder).await;
        let told = (&seen.payload["status_code"], &seen.payload["ended"], seen.end);
        assert_eq!(told, (&json!(status), &json!(end.word()), end), "{behaviour:?}");
        assert_eq!(&seen.payload["upstream"], "docs");
        let came = seen.payload["headers"]["content-type"].is_string();
        assert_eq!(came, status == Some(200), "{behaviour:?}: {}", seen.payload);
        assert_eq!(seen.payload["headers"].get("mcp-session-id"), None);
    }
}

#[tokio::test]
async fn hook_after_the_call_runs_where_the_client_left_or_the_upstream_is_away() {
    let (upstream, recorder, gate) = (Scripted::start().await.unwrap(), Recorder::new(), Gate::new());
    upstream.on_tool("echo", Behaviour::Wait(gate.clone()));
    let stand = watched(&upstream, &recorder).await;
    let call = stand.client().begin(1, "tools/call", json!({ "name": "echo", "arguments": {} })).await;
    gate.arrived(1).await;
    drop(call);
    let seen = ended(&recorder).await;
    assert_eq!((seen.end, &seen.payload["ended"]), (End::Cancelled, &json!("cancelled")));
    assert_eq!(seen.payload["status_code"], Value::Null);

    let (upstream, recorder) = (Scripted::start().await.unwrap(), Recorder::new());
    let stand = watched(&upstream, &recorder).await;
    upstream.down().await;
    stand.client().call("echo", json!({ "text": "x" })).await;
    let seen = ended(&recorder).await;
    assert_eq!((seen.end, &seen.payload["status_code"]), (End::UpstreamFailed, &Value::Null));
}

#[tokio::test]
async fn headers_set_around_the_call_reach_the_client_and_the_upstreams_own_do_not() {
    let upstream = Scripted::start().await.unwrap();
    let plugin = Native::new(())
        .on::<HttpPreForwardingCall>(Needs::change(), |(), _, cx| {
            cx.response_header("x-wished", "before");
            Ok(Verdict::Pass)
        })
        .on::<HttpPostForwardingCall>(Needs::change(), |(), ended, _| {
            let status = ended.status_code.unwrap_or_default().to_string();
            let headers = [("x-upstream-status", status.as_str()), ("content-type", "text/html")];
            Ok(Verdict::Change(headers.into_iter().collect::<Headers>()))
        })
        .into_plugin();
    let stand = Setup::new().upstream("docs", &upstream).plugin("teller", plugin).start().await;
    for (behaviour, status) in [(Behaviour::Good, "200"), (Behaviour::Status(503), "503")] {
        upstream.on_tool("echo", behaviour);

        let answer = stand.client().rpc("tools/call", json!({ "name": "echo", "arguments": {} })).await;

        assert_eq!(answer.header("x-upstream-status"), Some(status));
        assert_eq!(answer.header("x-wished"), Some("before"));
        assert_eq!(answer.header("content-type"), Some("application/json"), "not a plugin's to change");
    }
}

fn slow() -> Arc<dyn Plugin> {
    plugins::hang(&[HttpPreForwardingCall::ID])
}

#[tokio::test]
async fn plugin_that_must_run_before_the_call_and_gives_no_answer_stops_it() {
    let pre = [HttpPreForwardingCall::ID];
    let broken: [(Arc<dyn Plugin>, &str); 4] = [
        (plugins::fail(&pre), "PLUGIN_ERROR"),
        (plugins::panic_now(&pre), "PLUGIN_ERROR"),
        (slow(), "PLUGIN_TIMEOUT"),
        (plugins::start_fails(&pre), "PLUGIN_UNAVAILABLE"),
    ];
    for (plugin, code) in broken {
        let (upstream, recorder) = (Scripted::start().await.unwrap(), Recorder::new());
        upstream.set_list("prompts", vec![json!({ "name": "greet" })]);
        let stand = Setup::new()
            .set("plugin_settings", json!({ "plugin_timeout": 1 }))
            .upstream("docs", &upstream)
            .plugin_with("recorder", recorder.plugin(MCP_HOOKS), json!({ "priority": 1 }))
            .plugin_with("signer", plugin, json!({ "priority": 2, "mode": "enforce" }))
            .start()
            .await;

        let called = stand.client().call("echo", json!({ "text": "x" })).await;
        let got = stand.client().ask("prompts/get", json!({ "name": "greet" })).await;

        let told = text(&called);
        assert_eq!(called["result"]["isError"], true, "{called}");
        let sentence = format!("http_pre_forwarding_call blocked by plugin signer: {code}");
        assert!(told.starts_with(&sentence), "{told}");
        assert_eq!(got["error"]["data"]["plugin_error_code"], code, "{got}");
        assert_eq!(upstream.count_of("tools/call") + upstream.count_of("prompts/get"), 0);
        let after = recorder.at("tool_post_invoke");
        assert_eq!((after.len(), after[0].end), (1, End::Blocked), "the upstream was not reached");
    }
}

#[tokio::test]
async fn trouble_that_may_pass_and_violations_let_the_call_go() {
    let violates = Native::new(())
        .on::<HttpPreForwardingCall>(Needs::block(), |(), _, _| {
            Ok::<_, PluginError>(Violation::new("NO", "no").into())
        })
        .into_plugin();
    let pre = [HttpPreForwardingCall::ID];
    for (plugin, more) in [
        (plugins::fail(&pre), json!({ "mode": "permissive" })),
        (plugins::fail(&pre), json!({ "mode": "enforce", "on_error": "ignore" })),
        (plugins::fail(&[HttpPostForwardingCall::ID]), json!({ "mode": "enforce" })),
        (violates, json!({ "mode": "enforce" })),
    ] {
        let upstream = Scripted::start().await.unwrap();
        let stand = Setup::new().upstream("docs", &upstream).plugin_with("p", plugin, more).start().await;
        let called = stand.client().call("echo", json!({ "text": "passed" })).await;
        assert_eq!(text(&called), "passed");
    }
}

#[tokio::test]
async fn what_a_plugin_noted_before_the_tool_is_there_before_the_call() {
    let (upstream, recorder) = (Scripted::start().await.unwrap(), Recorder::new());
    let hooks = [ToolPreInvoke::ID, HttpPreForwardingCall::ID];
    let stand =
        Setup::new().upstream("docs", &upstream).plugin("both", recorder.plugin(&hooks)).start().await;

    stand.client().with("x-request-id", "noted").call("echo", json!({ "text": "x" })).await;

    let before = recorder.at("http_pre_forwarding_call");
    assert_eq!(before[0].mark.as_deref(), Some("tool_pre_invoke"));
    let explained = mortise_tests::eventually("the call", async || {
        let call = stand.client().get("/api/v1/calls/noted").await;
        (call.status == 200).then(|| call.json())
    });
    let explained = explained.await;
    let hooks: Vec<&str> =
        explained["hooks"].as_array().unwrap().iter().filter_map(|hook| hook["hook"].as_str()).collect();
    assert_eq!(hooks, ["tool_pre_invoke", "http_pre_forwarding_call"]);
    assert!(explained["took_us"].as_f64().unwrap() < Duration::from_secs(20).as_micros() as f64);
}
