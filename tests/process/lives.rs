//! What trouble of the plugin's process costs: its own calls, for as long as it lasts.

use std::time::{Duration, Instant};

use mortise_tests::{Stand, eventually};
use serde_json::json;
use tokio::task::JoinSet;

use crate::program::{gone, kill, path, pid, scratch, stand, tell, told};

/// Without the breaker: it would keep calls away from a plugin that is back.
async fn unbroken(args: &[&str]) -> Stand {
    stand(args, json!({ "circuit_breaker_enabled": false })).await
}

async fn back(stand: &Stand) -> String {
    eventually("the plugin's return", async || {
        let answer = stand.client().with("x-tell", "pid").rpc("tools/list", json!({})).await;
        told(&answer)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn process_killed_under_load_costs_its_own_calls_and_is_back() {
    let stand = unbroken(&[]).await;
    let before = pid(&stand.client()).await;
    let mut calls = JoinSet::new();
    for at in 0..32 {
        let client = if at % 2 == 0 { stand.client().with("x-trouble", "hang") } else { stand.client() };
        calls.spawn(async move { (at, client.rpc("tools/list", json!({})).await.status) });
    }
    // Those that do not hang are answered, so those that do are with the plugin.
    let mut ended = Vec::new();
    while ended.len() < 16 {
        ended.push(calls.join_next().await.unwrap().unwrap());
    }
    assert!(ended.iter().all(|(at, status)| at % 2 == 1 && *status == 200), "{ended:?}");

    kill(&before);

    while let Some(call) = calls.join_next().await {
        assert_eq!(call.unwrap().1, 503, "a call that was cut off is refused as not available");
    }
    let after = back(&stand).await;
    assert_ne!(before, after);
    assert_eq!(stand.client().rpc("tools/list", json!({})).await.status, 200);
    let stats = stand.client().get("/plugins/stats").await.json();
    assert!(
        stats["plugins"][0]["memory_usage_bytes"].as_u64() > Some(100_000),
        "of the new process: {stats:#}"
    );
}

#[tokio::test]
async fn plugin_that_crashes_in_a_call_is_back_every_time() {
    let stand = unbroken(&[]).await;
    for trouble in ["crash", "panic", "crash"] {
        let answer = stand.client().with("x-trouble", trouble).rpc("tools/list", json!({})).await;
        assert_eq!(answer.status, 503, "{trouble}: {}", answer.text());
        assert!(!answer.text().contains("on demand"), "what it wrote stays in the log: {}", answer.text());
        back(&stand).await;
    }
}

#[tokio::test]
async fn start_that_fails_after_a_crash_is_tried_again() {
    let marker = scratch("fails-once");
    let stand = unbroken(&[&format!("-fail-once={}", marker.display())]).await;
    let before = pid(&stand.client()).await;
    std::fs::write(&marker, "").unwrap();

    kill(&before);

    assert_ne!(back(&stand).await, before);
    assert!(!marker.exists(), "one start has failed in between");
}

#[tokio::test]
async fn call_that_hangs_ends_in_time_and_is_cancelled_at_the_plugin() {
    let journal = scratch("hangs");
    let config = json!({ "journal": journal });
    let more = json!({ "config": config, "circuit_breaker_enabled": false });
    let entry = crate::program::entry(&[], &more);
    let setup = mortise_tests::Setup::new().process().set("plugin_settings", json!({ "plugin_timeout": 1 }));
    let stand = setup.entry(entry).start().await;

    let asked = Instant::now();
    let answer = stand.client().with("x-trouble", "hang").rpc("tools/list", json!({})).await;

    assert_eq!(answer.status, 504, "{}", answer.text());
    assert!(asked.elapsed() < Duration::from_secs(10));
    eventually("the plugin's word", async || {
        std::fs::read_to_string(&journal).unwrap_or_default().contains("cancelled").then_some(())
    })
    .await;
    assert_eq!(stand.client().rpc("tools/list", json!({})).await.status, 200, "others are not held up");
    std::fs::remove_file(journal).unwrap();
}

#[tokio::test]
async fn plugin_that_starts_slowly_is_waited_for() {
    let stand = unbroken(&["-slow-start=2s"]).await;

    assert_eq!(stand.client().get("/ready").await.status, 200);
    assert_eq!(stand.client().with("x-block", "429").rpc("tools/list", json!({})).await.status, 429);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changed_plugin_takes_over_without_a_call_lost_and_the_old_process_ends() {
    let mut stand = stand(&[], json!({ "config": { "colour": "red" } })).await;
    let client = stand.client();
    let before = pid(&client).await;
    let slow = client.with("x-trouble", "slow").with("x-tell", "config colour");
    let under_way = tokio::spawn(async move { told(&slow.rpc("tools/list", json!({})).await) });

    stand.write(|config| config["plugins"][0]["config"]["colour"] = json!("blue"));
    let mut colours = Vec::new();
    eventually("the new configuration", async || {
        // Every answer is an answer, before, during and after the change.
        colours.push(tell(&client, "config colour").await);
        (colours.last().unwrap() == "blue").then_some(())
    })
    .await;

    assert!(colours.iter().rev().skip(1).all(|colour| colour == "red"), "{colours:?}");
    assert!(under_way.await.unwrap().is_some(), "what was under way was answered");
    assert_ne!(pid(&client).await, before);
    gone(&before).await;
}

#[tokio::test]
async fn server_that_runs_elsewhere_is_used_and_left_alone() {
    let mut server = std::process::Command::new(path())
        .arg("-listen=127.0.0.1:0")
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut address = String::new();
    let output = server.stdout.take().unwrap();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(output), &mut address).unwrap();
    let entry =
        json!({ "name": "plugin", "kind": "process", "command": format!("grpc://{}", address.trim()) });
    let stand = mortise_tests::Setup::new().process().entry(entry).start().await;

    assert_eq!(pid(&stand.client()).await, server.id().to_string());
    stand.stop().await;

    assert!(server.try_wait().unwrap().is_none(), "it belongs to somebody else");
    server.kill().unwrap();
    server.wait().unwrap();
}

#[tokio::test]
async fn plugin_that_is_stopped_hears_of_it_in_order_and_is_gone() {
    let journal = scratch("stops");
    let stand = stand(&[], json!({ "config": { "journal": journal } })).await;
    let pid = pid(&stand.client()).await;

    stand.stop().await;

    gone(&pid).await;
    let told = std::fs::read_to_string(&journal).unwrap();
    let told: Vec<&str> = told.lines().collect();
    assert!(told[0].starts_with("session of "), "{told:?}");
    assert_eq!(told[1..], ["session closed: unload", "shutdown"]);
    std::fs::remove_file(journal).unwrap();
}
