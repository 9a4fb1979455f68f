//! However a call ends, the hook after it runs exactly once for every hook before it that ran.

use mortise_plugin_api::{
    End, Hook,
    hooks::{MCP_HOOKS, ToolPreInvoke},
};
use mortise_testkit::{
    mcp_server::scripted::{Behaviour, Gate, Scripted},
    plugins,
};
use mortise_tests::{Recorder, Seen, Setup, Stand, text};
use serde_json::json;

async fn stand(upstream: &Scripted, recorder: &Recorder) -> Stand {
    Setup::new()
        .upstream_with("docs", json!({ "url": upstream.url(), "timeout": 1 }))
        .plugin("recorder", recorder.plugin(MCP_HOOKS))
        .start()
        .await
}

/// Makes one more call, so that whatever is still to come of the earlier ones has come, and checks that the earlier
/// call's hooks ran once each.
async fn assert_once(stand: &Stand, upstream: &Scripted, recorder: &Recorder, end: End) -> Seen {
    recorder.wait_for("tool_post_invoke", 1).await;
    upstream.on_tool("echo", Behaviour::Good);
    stand.client().call("echo", json!({ "text": "again" })).await;
    let (before, after) = (recorder.at("tool_pre_invoke"), recorder.at("tool_post_invoke"));
    assert_eq!((before.len(), after.len()), (2, 2), "{:#?}", recorder.all());
    assert_eq!((after[0].end, after[1].end), (end, End::Ok));
    assert_eq!(after[0].request, before[0].request);
    assert_eq!(after[0].mark.as_deref(), Some("tool_pre_invoke"), "its state is there");
    after[0].clone()
}

#[tokio::test]
async fn hook_after_runs_once_when_upstream_fails() {
    let (upstream, recorder) = (Scripted::start().await.unwrap(), Recorder::new());
    upstream.on_tool("echo", Behaviour::Status(500));
    let stand = stand(&upstream, &recorder).await;

    let answer = stand.client().call("echo", json!({ "text": "x" })).await;

    assert_eq!(answer["result"]["isError"], true);
    assert!(text(&answer).contains("docs"), "the upstream is named: {answer}");
    assert_once(&stand, &upstream, &recorder, End::UpstreamFailed).await;
}

#[tokio::test]
async fn error_of_upstream_passes_unchanged_and_the_hook_after_runs_once() {
    let (upstream, recorder) = (Scripted::start().await.unwrap(), Recorder::new());
    upstream.on_tool("echo", Behaviour::RpcError(-32050, "no disk".to_owned()));
    let stand = stand(&upstream, &recorder).await;

    let answer = stand.client().call("echo", json!({ "text": "x" })).await;

    assert_eq!(answer["error"], json!({ "code": -32050, "message": "no disk" }));
    assert_once(&stand, &upstream, &recorder, End::UpstreamFailed).await;
}

#[tokio::test]
async fn hook_after_runs_once_when_upstream_does_not_answer_in_time() {
    let (upstream, recorder) = (Scripted::start().await.unwrap(), Recorder::new());
    upstream.on_tool("echo", Behaviour::Hang);
    let stand = stand(&upstream, &recorder).await;

    let answer = stand.client().call("echo", json!({ "text": "x" })).await;

    assert_eq!(answer["result"]["isError"], true);
    assert_eq!(text(&answer), "Tool invocation timed out after 1s");
    let after = assert_once(&stand, &upstream, &recorder, End::TimedOut).await;
    assert_eq!(after.payload["result"]["isError"], true);
    upstream.wait_for_abandoned(1).await.unwrap();
}

#[tokio::test]
async fn client_that_leaves_cancels_upstream_and_the_hook_after_runs_once() {
    let (upstream, recorder, gate) = (Scripted::start().await.unwrap(), Recorder::new(), Gate::new());
    upstream.on_tool("echo", Behaviour::Wait(gate.clone()));
    let stand =
        Setup::new().upstream("docs", &upstream).plugin("recorder", recorder.plugin(MCP_HOOKS)).start().await;

    let call = stand.client().begin(1, "tools/call", json!({ "name": "echo", "arguments": {} })).await;
    gate.arrived(1).await;
    drop(call);

    upstream.wait_for_abandoned(1).await.unwrap();
    assert_once(&stand, &upstream, &recorder, End::Cancelled).await;
}

#[tokio::test]
async fn client_that_cancels_in_its_session_cancels_upstream_and_the_hook_after_runs_once() {
    let (upstream, recorder, gate) = (Scripted::start().await.unwrap(), Recorder::new(), Gate::new());
    upstream.on_tool("echo", Behaviour::Wait(gate.clone()));
    let stand =
        Setup::new().upstream("docs", &upstream).plugin("recorder", recorder.plugin(MCP_HOOKS)).start().await;
    let client = stand.client().open_session().await;

    let call = client.begin(77, "tools/call", json!({ "name": "echo", "arguments": {} })).await;
    gate.arrived(1).await;
    client.notify("notifications/cancelled", json!({ "requestId": 77 })).await;
    let answer = call.answer().await.message();

    assert_eq!(answer["id"], 77);
    assert!(answer["error"].is_object(), "{answer}");
    upstream.wait_for_abandoned(1).await.unwrap();
    assert_once(&stand, &upstream, &recorder, End::Cancelled).await;
}

#[tokio::test]
async fn plugin_before_one_that_blocks_is_told_and_one_behind_it_never_runs() {
    let upstream = Scripted::start().await.unwrap();
    let (first, last) = (Recorder::new(), Recorder::new());
    let stand = Setup::new()
        .upstream("docs", &upstream)
        .plugin_with("first", first.plugin(MCP_HOOKS), json!({ "priority": 1 }))
        .plugin_with("guard", plugins::block(&[ToolPreInvoke::ID]), json!({ "priority": 2 }))
        .plugin_with("last", last.plugin(MCP_HOOKS), json!({ "priority": 3 }))
        .start()
        .await;

    stand.client().call("echo", json!({ "text": "x" })).await;

    let after = first.at("tool_post_invoke");
    assert_eq!(after.len(), 1);
    assert_eq!(after[0].end, End::Blocked);
    assert_eq!(last.all().len(), 0);
}

#[tokio::test]
async fn call_that_a_plugin_wants_tried_again_is_made_again_with_all_its_hooks() {
    let (upstream, recorder) = (Scripted::start().await.unwrap(), Recorder::new());
    upstream.on_tool("echo", Behaviour::ToolError("try later".to_owned()));
    let config = json!({ "max_retries": 2, "backoff_base_ms": 1, "jitter": false });
    let stand = Setup::new()
        .upstream("docs", &upstream)
        .plugin("recorder", recorder.plugin(MCP_HOOKS))
        .entry(json!({ "name": "retry", "kind": "builtin.retry_with_backoff", "config": config }))
        .start()
        .await;

    let answer = stand.client().call("echo", json!({ "text": "x" })).await;

    assert_eq!(answer["result"]["isError"], true);
    assert_eq!(text(&answer), "try later");
    let calls = upstream.received().iter().filter(|received| received.method == "tools/call").count();
    assert_eq!(calls, 3, "one attempt and two more");
    assert_eq!(recorder.at("tool_pre_invoke").len(), 3);
    assert_eq!(recorder.at("tool_post_invoke").len(), 3);
}
