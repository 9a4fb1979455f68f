//! What a class does that fails, hangs or ends, and what that costs others.

use std::time::{Duration, Instant};

use mortise_testkit::mcp_server::scripted::Scripted;
use mortise_tests::{Stand, eventually, text};
use serde_json::{Value, json};

use super::{setup, upstream, write};

const CLASS: &str = r#"
import asyncio, os
from cpex.framework import Plugin, PluginResult


class Troubled(Plugin):
    async def tool_pre_invoke(self, payload, context):
        if payload.name == "raise":
            raise ValueError("not like this")
        if payload.name == "hang":
            try:
                await asyncio.sleep(600)
            except asyncio.CancelledError:
                print("let go")
                raise
        if payload.name == "slow":
            await asyncio.sleep(0.05)
        if payload.name == "crash":
            os._exit(7)
        if payload.name == "spin":
            while True:
                pass

    async def tool_post_invoke(self, payload, context):
        payload.result["content"][0]["text"] = str(os.getpid())
"#;

async fn troubled(more: Value, settings: Value) -> (Stand, Scripted) {
    let upstream = upstream().await;
    let stand = setup(&upstream, "troubled.Troubled", more)
        .set("plugin_settings", settings)
        .start_with(|folder| write(folder, &[("plugins/troubled.py", CLASS)]))
        .await;
    (stand, upstream)
}

async fn pid(stand: &Stand) -> String {
    let answered = stand.client().call("echo", json!({ "text": "" })).await;
    let said = text(&answered);
    assert!(said.parse::<u32>().is_ok(), "{answered}");
    said.to_owned()
}

fn kill(pid: &str) {
    assert!(std::process::Command::new("kill").args(["-9", pid]).status().unwrap().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exception_is_an_error_of_the_plugin_and_its_mode_decides() {
    for (mode, expected) in [("enforce", "PLUGIN_ERROR"), ("permissive", "fine")] {
        let (stand, _upstream) =
            troubled(json!({ "mode": mode, "hooks": ["tool_pre_invoke"] }), json!({})).await;
        let answered = stand.client().call("raise", json!({ "text": "fine" })).await;
        assert!(text(&answered).contains(expected), "{mode}: {answered}");
        stand.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn call_that_hangs_is_cut_at_its_time_limit_and_holds_up_no_other() {
    let (stand, _upstream) = troubled(json!({}), json!({ "plugin_timeout": 1 })).await;
    let before = pid(&stand).await;
    let began = Instant::now();
    let client = stand.client();
    let (hung, beside) =
        tokio::join!(client.call("hang", json!({ "text": "" })), client.call("slow", json!({ "text": "" })));
    assert!(text(&hung).contains("PLUGIN_TIMEOUT"), "{hung}");
    assert_eq!(text(&beside), before);
    assert!(began.elapsed() < Duration::from_secs(10));
    assert_eq!(pid(&stand).await, before, "it is the call that ends, not the worker");
    stand.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn worker_that_computes_without_end_is_killed_and_started_again() {
    let (stand, _upstream) =
        troubled(json!({}), json!({ "plugin_timeout": 20, "python": { "stuck_after": 1 } })).await;
    let before = pid(&stand).await;
    let stuck = stand.client().call("spin", json!({ "text": "" })).await;
    assert!(text(&stuck).contains("PLUGIN_UNAVAILABLE") && text(&stuck).contains("stuck"), "{stuck}");
    assert_ne!(pid(&stand).await, before);
    stand.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_of_the_worker_under_load_costs_the_calls_inside_and_no_others() {
    let (stand, _upstream) = troubled(json!({}), json!({})).await;
    let first = pid(&stand).await;
    let answers = async {
        let callers = (0..8).map(|_| {
            let client = stand.client();
            tokio::spawn(async move {
                let mut answers = Vec::new();
                for _ in 0..30 {
                    answers.push(text(&client.call("slow", json!({ "text": "" })).await).to_owned());
                }
                answers
            })
        });
        let callers: Vec<_> = callers.collect();
        let mut all = Vec::new();
        for caller in callers {
            all.extend(caller.await.unwrap());
        }
        all
    };
    let killing = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        kill(&first);
    };
    let (answers, ()) = tokio::join!(answers, killing);
    let failed = answers.iter().filter(|answer| answer.contains("PLUGIN_UNAVAILABLE")).count();
    let by_first = answers.iter().filter(|answer| **answer == first).count();
    let others = answers.iter().filter(|answer| answer.parse::<u32>().is_ok()).count() - by_first;
    assert_eq!(failed + by_first + others, 240, "{answers:?}");
    assert!((1..=8).contains(&failed), "{failed} calls were lost; at most one of each caller was inside");
    assert!(by_first > 0 && others > 0, "{by_first} before, {others} after");
    stand.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn worker_ends_with_the_gateway() {
    let (stand, _upstream) = troubled(json!({}), json!({})).await;
    let pid = pid(&stand).await;
    stand.stop().await;
    eventually("the worker's end", async || {
        let gone = !std::path::Path::new(&format!("/proc/{pid}")).exists();
        gone.then_some(())
    })
    .await;
}
