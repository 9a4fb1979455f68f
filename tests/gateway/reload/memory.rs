//! What reloads leave behind in memory: of the program itself, as its own process, so that nothing of the test is counted.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
};

use mortise_testkit::mcp_server::scripted::Scripted;
use mortise_tests::{Client, eventually};
use serde_json::{Value, json};

const ROUNDS: u64 = 1_000;
/// The first of them, in which memory finds its size: pools, rings and the allocator's own stock are filled.
const WARM: u64 = 200;
const CALLS_A_ROUND: u64 = 2;
/// What may come on top: the allocator's stock grows by steps of a MiB and more. Four KiB kept of each reload would be more,
/// and a plugin or a snapshot is many times that.
const MOST_GROWTH_KIB: u64 = 3_000;

/// The program in a folder, ended with the test.
struct Program {
    child: Child,
    address: SocketAddr,
    token: String,
}

impl Program {
    async fn start(folder: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_stand-mortise"))
            .args(["serve", "--port", "0", "--ready-file", "ready"])
            .current_dir(folder)
            .env_clear()
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let (sender, mut lines) = tokio::sync::mpsc::unbounded_channel();
        // Both are read to their ends, so that the program never waits for its reader.
        let told = sender.clone();
        std::thread::spawn(move || {
            BufReader::new(out).lines().map_while(Result::ok).for_each(|line| {
                let _test_over = told.send(line);
            });
        });
        std::thread::spawn(move || {
            BufReader::new(err).lines().map_while(Result::ok).for_each(|line| {
                let _test_over = sender.send(line);
            });
        });
        let token = loop {
            let line = lines.recv().await.unwrap();
            if line.contains("admin token") {
                break line.rsplit(' ').next().unwrap().to_owned();
            }
        };
        lines.close();
        let url =
            eventually("the program", async || std::fs::read_to_string(folder.join("ready")).ok()).await;
        let address = url.trim().trim_start_matches("http://").parse().unwrap();
        Self { child, address, token }
    }

    fn client(&self) -> Client {
        Client::new(self.address)
    }

    async fn reload(&self) {
        let client = self.client().token(&self.token).at("/api/v1/reload");
        let answer = client.send("POST", None).await;
        assert_eq!((answer.status, &answer.json()["outcome"]), (200, &json!("applied")), "{}", answer.text());
    }

    /// Memory of its own that is in use by it, in KiB.
    fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
        line.trim().trim_end_matches(" kB").trim().parse().unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _already_ended = self.child.kill();
        let _already_waited = self.child.wait();
    }
}

/// Plugins with state and compiled tables, most of them changed by each round.
fn config(upstream: &Scripted, round: u64) -> Value {
    let words: Vec<String> = (0..50).map(|word| format!("word-{round}-{word}")).collect();
    json!({
        "watch": false,
        "upstreams": { "docs": { "url": upstream.url(), "headers": { "x-round": (round / 50).to_string() } } },
        "servers": { "lab": { "tools": ["echo"] } },
        "plugins": [
            { "name": "limit", "kind": "builtin.rate_limiter", "config": { "by_user": format!("{}/s", 100_000 + round) } },
            { "name": "deny", "kind": "builtin.deny_list", "config": { "words": words } },
            { "name": "pii", "kind": "builtin.pii_filter", "hooks": ["tool_pre_invoke", "tool_post_invoke"] },
            { "name": "cache", "kind": "builtin.cached_tool_result",
              "config": { "cacheable_tools": ["other"], "ttl": 100 + round } },
            { "name": format!("only-{}", round % 3), "kind": "builtin.regex_filter",
              "config": { "words": [{ "search": format!("from-{round}"), "replace": "to" }] } },
            { "name": "same", "kind": "builtin.output_length_guard", "config": { "max_chars": 100_000 } },
        ],
        "bindings": [{ "plugin": "deny", "scope": { "server": "lab" }, "order": 5, "config": { "words": [format!("lab-{round}")] } }],
    })
}

fn write(folder: &Path, config: &Value) {
    std::fs::write(folder.join("mortise.yaml"), config.to_string()).unwrap();
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn memory_stays_flat_over_a_thousand_reloads_under_calls() {
    let (upstream, folder) = (Scripted::start().await.unwrap(), tempfile::tempdir().unwrap());
    write(folder.path(), &config(&upstream, 0));
    let program = Program::start(folder.path()).await;
    let (root, lab) = (program.client(), program.client().at("/servers/lab/mcp"));
    let mut marks = Vec::new();
    for round in 1..=ROUNDS {
        write(folder.path(), &config(&upstream, round));
        let calls = async {
            for call in 0..CALLS_A_ROUND {
                let client = if call % 2 == 0 { &root } else { &lab };
                let called = client.call("echo", json!({ "text": format!("call {round}") })).await;
                assert_eq!(called["result"]["content"][0]["text"], format!("call {round}"), "{called}");
            }
        };
        tokio::join!(calls, program.reload());
        if round >= WARM && round % 100 == 0 {
            marks.push(program.resident());
        }
    }
    println!("resident: {marks:?} KiB");
    let (first, last) = (marks[0], marks[marks.len() - 1]);
    assert!(last <= first + MOST_GROWTH_KIB, "grew from {first} KiB to {last} KiB: {marks:?}");
    let listed = program.client().token(&program.token).get("/plugins").await.json();
    assert_eq!(listed.as_array().unwrap().len(), 6, "no plugin of an earlier round is there: {listed}");
}
