//! Plugins that panic or hang under load.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use mortise_plugin_api::{
    Native, Needs, Plugin, Verdict,
    hooks::{MCP_HOOKS, ToolPreInvoke},
};
use mortise_testkit::mcp_server::scripted::Scripted;
use mortise_tests::{Recorder, Setup, eventually, text};
use serde_json::json;
use tokio::task::JoinSet;

const CALLS: usize = 1000;
const AT_ONCE: usize = 32;

/// Panics where the call's number ends in 7.
fn panics_on_sevens() -> Arc<dyn Plugin> {
    Native::new(())
        .on::<ToolPreInvoke>(Needs::block(), |(), call, _| {
            let args = call
                .args
                .value()
                .map_err(|error| mortise_plugin_api::PluginError::failed(error.to_string()))?;
            assert!(!args["text"].as_str().unwrap_or_default().ends_with('7'), "a seven");
            Ok(Verdict::Pass)
        })
        .into_plugin()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plugin_that_panics_on_one_call_in_ten_costs_exactly_these() {
    let (upstream, recorder) = (Scripted::start().await.unwrap(), Recorder::new());
    let stand = Setup::new()
        .upstream("docs", &upstream)
        .plugin_with("recorder", recorder.plugin(MCP_HOOKS), json!({ "priority": 1 }))
        .plugin_with("fragile", panics_on_sevens(), json!({ "priority": 2 }))
        .start()
        .await;
    let next = Arc::new(AtomicUsize::new(0));
    let mut callers = JoinSet::new();
    for _ in 0..AT_ONCE {
        let (client, next) = (stand.client(), next.clone());
        callers.spawn(async move {
            let mut blocked = 0;
            loop {
                let at = next.fetch_add(1, SeqCst);
                if at >= CALLS {
                    return blocked;
                }
                let sent = format!("call-{at}");
                let answer = client.call("echo", json!({ "text": sent })).await;
                if at % 10 == 7 {
                    assert_eq!(answer["result"]["isError"], true, "{sent}: {answer}");
                    assert!(text(&answer).contains("blocked by plugin fragile: PLUGIN_ERROR"), "{answer}");
                    assert!(!text(&answer).contains("a seven"), "a panic's message stays in the log");
                    blocked += 1;
                } else {
                    assert_eq!(text(&answer), sent, "calls are not mixed");
                }
            }
        });
    }
    let mut blocked = 0;
    while let Some(caller) = callers.join_next().await {
        blocked += caller.unwrap();
    }

    assert_eq!(blocked, CALLS / 10);
    let reached = upstream.received_of("tools/call");
    assert_eq!(reached.len(), CALLS - CALLS / 10);
    assert!(reached.iter().all(|call| !call.params()["arguments"]["text"].as_str().unwrap().ends_with('7')));
    assert_eq!(recorder.at("tool_pre_invoke").len(), CALLS);
    assert_eq!(
        recorder.at("tool_post_invoke").len(),
        CALLS,
        "each call's end is told once, of those that panicked too"
    );
}

/// Counts the calls that began and those that were dropped.
#[derive(Clone, Default)]
struct Counts {
    begun: Arc<AtomicUsize>,
    dropped: Arc<AtomicUsize>,
}

struct UntilDropped(Arc<AtomicUsize>);

impl Drop for UntilDropped {
    fn drop(&mut self) {
        self.0.fetch_add(1, SeqCst);
    }
}

fn hanging(counts: Counts) -> Arc<dyn Plugin> {
    Native::new(counts)
        .on_async::<ToolPreInvoke>(Needs::block(), |counts, _, _| {
            Box::pin(async move {
                let _held = UntilDropped(counts.dropped.clone());
                counts.begun.fetch_add(1, SeqCst);
                std::future::pending().await
            })
        })
        .into_plugin()
}

#[tokio::test]
async fn plugin_that_hangs_is_cancelled_at_its_deadline() {
    for (mode, blocked) in [("enforce", true), ("permissive", false)] {
        let (upstream, counts) = (Scripted::start().await.unwrap(), Counts::default());
        let stand = Setup::new()
            .upstream("docs", &upstream)
            .set("plugin_settings", json!({ "plugin_timeout": 1 }))
            .plugin_with("hung", hanging(counts.clone()), json!({ "mode": mode }))
            .start()
            .await;

        let answer = stand.client().call("echo", json!({ "text": "x" })).await;

        assert_eq!(
            text(&answer).contains("blocked by plugin hung: PLUGIN_TIMEOUT"),
            blocked,
            "{mode}: {answer}"
        );
        assert_eq!((counts.begun.load(SeqCst), counts.dropped.load(SeqCst)), (1, 1), "{mode}");
        assert_eq!(upstream.received_of("tools/call").len(), usize::from(!blocked), "{mode}");
    }
}

#[tokio::test]
async fn client_that_leaves_cancels_the_plugin_that_is_waited_for() {
    let (upstream, counts) = (Scripted::start().await.unwrap(), Counts::default());
    let stand =
        Setup::new().upstream("docs", &upstream).plugin("hung", hanging(counts.clone())).start().await;

    let call = stand.client().begin(1, "tools/call", json!({ "name": "echo", "arguments": {} })).await;
    eventually("the plugin's call", async || (counts.begun.load(SeqCst) == 1).then_some(())).await;
    drop(call);

    eventually("its cancellation", async || (counts.dropped.load(SeqCst) == 1).then_some(())).await;
    assert_eq!(upstream.received_of("tools/call").len(), 0);
}
