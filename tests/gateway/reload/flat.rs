//! What reloads leave behind: neither plugins nor tasks.

use std::sync::{Arc, atomic::Ordering::SeqCst};

use mortise_gateway::history::Outcome;
use mortise_plugin_api::{Hook, Native, Needs, Verdict, hooks::ToolPreInvoke};
use mortise_testkit::mcp_server::scripted::Scripted;
use mortise_tests::{Stand, eventually, text};
use serde_json::{Value, json};
use tokio::{sync::Semaphore, task::JoinHandle};

use super::{Census, Counted, api, limiter, quiet, storm::panicky};

const ROUNDS: u64 = 1_000;
const CALLERS: u64 = 8;
const CALLS_OF_EACH: u64 = 250;

fn entries(round: u64) -> Value {
    json!([
        { "name": "panicky", "kind": "builtin.panicky", "config": { "round": round } },
        { "name": "limit", "kind": "builtin.limiter", "config": { "round": round } },
        { "name": "plain", "kind": "builtin.plain", "config": { "round": round } },
        { "name": "same", "kind": "builtin.plain" },
        { "name": format!("only-{}", round % 2), "kind": "builtin.plain" },
    ])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_left_of_a_thousand_reloads_under_calls() {
    let upstream = Scripted::start().await.unwrap();
    let census = Arc::new(Census::default());
    let (limiters, others) = (census.clone(), census.clone());
    let mut stand = quiet()
        .kind("panicky", &[ToolPreInvoke::ID], panicky)
        .kind("limiter", &[ToolPreInvoke::ID], move |_| limiter(&limiters))
        .kind("plain", &[ToolPreInvoke::ID], move |_| {
            Native::new(Counted::new(&others))
                .on::<ToolPreInvoke>(Needs::observe(), |_, _, _| Ok(Verdict::Pass))
                .into_plugin()
        })
        .upstream("docs", &upstream)
        .set("plugins", entries(0))
        .start()
        .await;
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let alive = || census.made.load(SeqCst) - census.dropped.load(SeqCst);
    eventually("the first four to be alone", async || (alive() == 4).then_some(())).await;
    let (tasks_before, url) = (tasks(), upstream.url());
    let may_call = Arc::new(Semaphore::new(0));
    let callers: Vec<_> = (0..CALLERS).map(|caller| call_on_and_on(&stand, caller, &may_call)).collect();

    for round in 1..=ROUNDS {
        if round % (ROUNDS / CALLS_OF_EACH) == 0 {
            // All callers at once, while this round is put in force.
            may_call.add_permits(CALLERS as usize);
        }
        stand.write(|config| {
            config["plugins"] = entries(round);
            if round % 100 == 0 {
                config["upstreams"]["docs"] =
                    json!({ "url": url, "headers": { "x-round": round.to_string() } });
            }
        });
        assert_eq!(stand.reloader.reload(api()).await.unwrap().outcome, Outcome::Applied);
    }
    let mut failed = 0;
    for caller in callers {
        failed += caller.await.unwrap();
    }

    assert_eq!(failed, CALLERS * CALLS_OF_EACH / 100);
    let call = json!({ "name": "echo", "arguments": { "text": "call", "number": 1 } });
    let answer = stand.client().rpc("tools/call", call).await;
    let passed = CALLERS * CALLS_OF_EACH - failed + 1;
    assert_eq!(
        answer.header("x-count"),
        Some(passed.to_string().as_str()),
        "the count went through a thousand hands"
    );
    eventually("the end of all predecessors", async || (alive() == 4).then_some(())).await;
    eventually("tasks as before", async || (tasks() <= tasks_before + 8).then_some(())).await;
    assert_eq!(stand.framework.draining(), 0);
    assert_eq!(stand.framework.stats().all().len(), 6);
}

/// Calls whenever it may; how many calls met the panic.
fn call_on_and_on(stand: &Stand, caller: u64, may_call: &Arc<Semaphore>) -> JoinHandle<u64> {
    let (client, may_call) = (stand.client(), may_call.clone());
    tokio::spawn(async move {
        let mut failed = 0;
        for number in (0..CALLS_OF_EACH).map(|at| caller * CALLS_OF_EACH + at) {
            may_call.acquire().await.unwrap().forget();
            let answer = client.call("echo", json!({ "text": "call", "number": number })).await;
            if number % 100 == 0 {
                assert!(text(&answer).contains("PLUGIN_ERROR"), "{answer}");
                failed += 1;
            } else {
                assert_eq!(text(&answer), "call");
            }
        }
        failed
    })
}
