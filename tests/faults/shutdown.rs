//! The end of a gateway: what is under way is finished, nothing new is begun.

use mortise_plugin_api::hooks::MCP_HOOKS;
use mortise_testkit::mcp_server::scripted::{Behaviour, Gate, Scripted};
use mortise_tests::{Recorder, Setup, eventually, text};
use serde_json::json;
use tokio::net::TcpStream;

#[tokio::test]
async fn call_under_way_is_finished_and_no_new_one_begun() {
    let (upstream, gate, recorder) = (Scripted::start().await.unwrap(), Gate::new(), Recorder::new());
    upstream.on_tool("echo", Behaviour::Wait(gate.clone()));
    let mut stand =
        Setup::new().upstream("docs", &upstream).plugin("recorder", recorder.plugin(MCP_HOOKS)).start().await;
    let params = json!({ "name": "echo", "arguments": { "text": "finished" } });
    let call = stand.client().begin(1, "tools/call", params).await;
    gate.arrived(1).await;

    stand.begin_stop();
    let address = stand.address();
    eventually("the listener's end", async || TcpStream::connect(address).await.is_err().then_some(())).await;
    gate.open();

    assert_eq!(text(&call.answer().await.message()), "finished");
    stand.stop().await;
    assert_eq!(recorder.at("tool_post_invoke").len(), 1);
}

#[tokio::test]
async fn call_that_does_not_end_is_cut_off_at_the_drain_deadline_and_its_plugins_are_told() {
    let (upstream, gate, recorder) = (Scripted::start().await.unwrap(), Gate::new(), Recorder::new());
    upstream.on_tool("echo", Behaviour::Wait(gate.clone()));
    let stand = Setup::new()
        .set("listen", json!({ "drain_timeout": 1 }))
        .upstream("docs", &upstream)
        .plugin("recorder", recorder.plugin(MCP_HOOKS))
        .start()
        .await;
    let call = stand.client().begin(1, "tools/call", json!({ "name": "echo", "arguments": {} })).await;
    gate.arrived(1).await;

    stand.stop().await;

    upstream.wait_for_abandoned(1).await.unwrap();
    let after = recorder.at("tool_post_invoke");
    assert_eq!(after.len(), 1);
    assert_eq!(after[0].end, mortise_plugin_api::End::Cancelled);
    drop(call);
}
