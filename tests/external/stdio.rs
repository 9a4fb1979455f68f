//! Servers that the gateway starts.

use std::{path::Path, process::Command};

use mortise_testkit::mcp_server::scripted::Scripted;
use mortise_tests::{Setup, Stand, eventually, text};
use serde_json::{Value, json};
use tokio::task::JoinSet;

struct Journal(Vec<(String, String)>);

impl Journal {
    fn read(path: &Path) -> Self {
        let lines = std::fs::read_to_string(path).unwrap_or_default();
        let words = lines.lines().filter_map(|line| line.split_once(' '));
        Self(words.map(|(word, rest)| (word.to_owned(), rest.to_owned())).collect())
    }

    fn of<'j>(&'j self, word: &str) -> Vec<&'j str> {
        self.0.iter().filter(|(known, _)| known == word).map(|(_, rest)| rest.as_str()).collect()
    }
}

struct Guarded {
    stand: Stand,
    upstream: Scripted,
    folder: tempfile::TempDir,
}

impl Guarded {
    async fn start(more: &Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let upstream = Scripted::start().await.unwrap();
        let journal = folder.path().join("journal");
        let mut mcp = json!({
            "proto": "STDIO",
            "cmd": [env!("CARGO_BIN_EXE_stand-plugin-server"), journal.to_str().unwrap()],
            "reconnect_delay": 0.05,
        });
        mcp.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let entry = json!({ "name": "guard", "kind": "external", "mcp": mcp });
        let stand = Setup::new().external().upstream("docs", &upstream).entry(entry).start().await;
        Self { stand, upstream, folder }
    }

    fn journal(&self) -> Journal {
        Journal::read(&self.folder.path().join("journal"))
    }

    async fn echo(&self, words: &str) -> String {
        let answer = self.stand.client().call("echo", json!({ "text": words })).await;
        text(&answer).to_owned()
    }

    /// Waits until the plugin guards again.
    async fn back(&self) {
        eventually("the server in use again", async || {
            self.echo("block").await.contains("guard: STAND").then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn memory_of_the_child_is_told_in_statistics_and_under_both_names_of_the_metric() {
    let guarded = Guarded::start(&json!({})).await;
    assert_eq!(guarded.echo("plain").await, "plain");
    let stats = guarded.stand.client().get("/plugins/stats").await.json();
    let held = stats["plugins"][0]["memory_usage_bytes"].as_u64();
    assert!(held.is_some_and(|bytes| bytes > 100_000), "{stats:#}");
    let metrics = guarded.stand.client().get("/metrics").await.text();
    for name in ["mortise_plugin_memory_usage_bytes", "mcpgateway_plugin_memory_usage_bytes"] {
        let series = format!("{name}{{plugin=\"guard\"}} ");
        let value = metrics.lines().find_map(|line| line.strip_prefix(&series)?.parse::<u64>().ok());
        assert!(value.is_some_and(|bytes| bytes > 100_000), "{series}: {metrics}");
    }
}

#[tokio::test]
async fn plugin_in_a_child_process_blocks_and_changes() {
    let guarded = Guarded::start(&json!({})).await;
    assert_eq!(guarded.echo("plain").await, "plain");
    assert_eq!(guarded.echo("change").await, "changed");
    assert!(guarded.echo("block").await.contains("blocked by plugin guard: STAND"));
    assert_eq!(guarded.journal().of("start").len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_killed_under_load_ends_each_call_once_and_is_started_again() {
    let guarded = Guarded::start(&json!({})).await;
    let mut calls = JoinSet::new();
    for at in 0..32 {
        let client = guarded.stand.client();
        calls.spawn(async move { client.call("echo", json!({ "text": format!("hold {at}") })).await });
    }
    eventually("all calls at the server", async || (guarded.journal().of("call").len() == 32).then_some(()))
        .await;

    let pid = guarded.journal().of("start")[0].to_owned();
    assert!(Command::new("kill").args(["-9", &pid]).status().unwrap().success());

    while let Some(answer) = calls.join_next().await {
        let answer = answer.unwrap();
        assert!(text(&answer).contains("PLUGIN_UNAVAILABLE"), "{answer}");
    }
    guarded.back().await;
    assert_eq!(guarded.upstream.received_of("tools/call").len(), 0, "no unguarded call came through");
    let journal = guarded.journal();
    assert_eq!(journal.of("start").len(), 2);
    for at in 0..32 {
        let sent = journal.of("call").iter().filter(|call| **call == format!("hold {at}")).count();
        assert_eq!(sent, 1, "a call that may have been looked at is never repeated");
    }
}

#[tokio::test]
async fn server_that_dies_over_a_call_is_started_again_with_pauses() {
    let guarded = Guarded::start(&json!({})).await;
    for _ in 0..2 {
        assert!(guarded.echo("die").await.contains("PLUGIN_UNAVAILABLE"));
        guarded.back().await;
    }
    assert_eq!(guarded.journal().of("start").len(), 3);
}

#[tokio::test]
async fn late_garbage_and_huge_answers_cost_their_call_only() {
    let guarded = Guarded::start(&json!({ "timeout_ms": 3000, "max_response_size_mb": 1 })).await;
    assert!(guarded.echo("garbage").await.contains("PLUGIN_ERROR"));
    assert_eq!(guarded.echo("next").await, "next");
    assert!(guarded.echo("huge").await.contains("PLUGIN_"));
    assert_eq!(guarded.echo("next").await, "next");

    assert!(guarded.echo("late").await.contains("PLUGIN_TIMEOUT"));
    assert_eq!(guarded.echo("let go").await, "let go", "the late answer is nobody else's");
    assert_eq!(guarded.journal().of("cancelled").len(), 1);
    assert_eq!(guarded.journal().of("start").len(), 1, "the server was never replaced");
}

#[tokio::test]
async fn server_ends_with_the_gateway() {
    let guarded = Guarded::start(&json!({})).await;
    let pid = guarded.journal().of("start")[0].to_owned();
    let Guarded { stand, .. } = guarded;
    stand.stop().await;
    assert!(!Path::new(&format!("/proc/{pid}")).exists(), "the server is gone");
}

#[tokio::test]
async fn program_that_is_not_there_is_told_and_the_gateway_runs() {
    let guarded = Guarded::start(&json!({ "cmd": ["/no/such/server"], "reconnect_attempts": 1 })).await;
    assert!(guarded.echo("x").await.contains("PLUGIN_UNAVAILABLE"));
    let ready = guarded.stand.client().get("/ready").await;
    assert_eq!(ready.status, 200);
    assert!(ready.json()["degraded"][0]["reason"].as_str().unwrap().contains("/no/such/server"));
}
