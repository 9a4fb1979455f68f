//! A child process that is killed under load.

use std::{collections::HashMap, path::Path, process::Command};

use mortise_tests::{Setup, eventually, text};
use serde_json::json;
use tokio::task::JoinSet;

struct Journal {
    pids: Vec<String>,
    /// Texts of calls, and how often each came.
    calls: HashMap<String, usize>,
}

impl Journal {
    fn read(path: &Path) -> Self {
        let lines = std::fs::read_to_string(path).unwrap_or_default();
        let mut journal = Self { pids: Vec::new(), calls: HashMap::new() };
        for (word, rest) in lines.lines().filter_map(|line| line.split_once(' ')) {
            match word {
                "start" => journal.pids.push(rest.to_owned()),
                _ => *journal.calls.entry(rest.to_owned()).or_default() += 1,
            }
        }
        journal
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_killed_under_concurrent_calls_ends_each_once_and_is_started_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let command = json!([env!("CARGO_BIN_EXE_stand-upstream"), path.to_str().unwrap()]);
    let stand = Setup::new().upstream_with("child", json!({ "command": command })).start().await;
    let mut calls = JoinSet::new();
    for at in 0..32 {
        let (client, tool) = (stand.client(), if at % 2 == 0 { "echo" } else { "hold" });
        calls.spawn(async move {
            // `call` checks that the answer is to this request, and that there is exactly one.
            (at, tool, client.call(tool, json!({ "text": format!("call-{at}") })).await)
        });
    }
    eventually("all calls at the child", async || (Journal::read(&path).calls.len() == 32).then_some(()))
        .await;

    let pid = Journal::read(&path).pids.pop().unwrap();
    assert!(Command::new("kill").args(["-9", &pid]).status().unwrap().success());

    let mut ended = 0;
    while let Some(call) = calls.join_next().await {
        let (at, tool, answer) = call.unwrap();
        ended += 1;
        if answer["result"]["isError"] == false {
            assert_eq!((tool, text(&answer)), ("echo", format!("call-{at}").as_str()));
        } else {
            assert!(answer["result"]["isError"] == true || answer["error"].is_object(), "{answer}");
            assert!(text(&answer).contains("child"), "the upstream is named: {answer}");
        }
    }
    assert_eq!(ended, 32);
    eventually("calls at a new child", async || {
        let answer = stand.client().call("echo", json!({ "text": "later" })).await;
        (answer["result"]["isError"] == false && text(&answer) == "later").then_some(())
    })
    .await;
    let journal = Journal::read(&path);
    assert!(journal.pids.len() >= 2, "a new child was started");
    for at in 0..32 {
        assert_eq!(
            journal.calls[&format!("call-{at}")],
            1,
            "a call that may have been acted on is never repeated"
        );
    }
}
