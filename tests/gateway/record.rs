//! Recording inputs of hooks, and replaying them with another configuration.

use std::{path::Path, process::Command};

use mortise_testkit::mcp_server::scripted::Scripted;
use mortise_tests::{Setup, Stand};
use serde_json::{Value, json};

const MAIL: &str = "alice.smith@corp.example.org";

async fn stand(upstream: &Scripted) -> Stand {
    Setup::new().upstream("docs", upstream).entry(deny("blue")).start().await
}

fn deny(word: &str) -> Value {
    json!({
        "name": "deny", "kind": "builtin.deny_list", "hooks": ["tool_pre_invoke"], "config": { "words": [word] },
    })
}

async fn begin(stand: &Stand, query: &str) -> u64 {
    let begun = stand.admin().at(&format!("/api/v1/recordings?{query}")).send("POST", None).await;
    assert_eq!(begun.status, 200, "{}", begun.text());
    begun.json()["recording"].as_u64().unwrap()
}

/// Everything that is recorded, until the recording is over.
async fn fetched(stand: &Stand, number: u64) -> String {
    let mut lines = String::new();
    loop {
        let answer = stand.admin().get(&format!("/api/v1/recordings/{number}?wait=10")).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.header("x-mortise-dropped"), Some("0"));
        lines.push_str(&answer.text());
        if answer.header("x-mortise-over") == Some("true") {
            return lines;
        }
    }
}

fn calls(lines: &str) -> Vec<Value> {
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

fn mortise(folder: &Path, args: &[&str]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stand-mortise"));
    let output = command.args(args).current_dir(folder).output().unwrap();
    Ran {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

#[tokio::test]
async fn recorded_calls_replayed_with_a_changed_configuration_show_exactly_what_differs() {
    let upstream = Scripted::start().await.unwrap();
    let stand = stand(&upstream).await;
    let number = begin(&stand, "calls=4&raw=true").await;
    for (id, said) in [("r1", "a red one"), ("r2", "a blue one"), ("r3", "a green one"), ("r4", MAIL)] {
        stand.client().with("x-request-id", id).call("echo", json!({ "text": said })).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("calls.jsonl"), fetched(&stand, number).await).unwrap();
    let pii = json!({ "name": "pii", "kind": "builtin.pii_filter", "hooks": ["tool_pre_invoke"] });
    let same = json!({ "plugins": [deny("blue")] });
    let new = json!({ "plugins": [deny("red"), pii] });
    std::fs::write(path("same.yaml"), same.to_string()).unwrap();
    std::fs::write(path("new.yaml"), new.to_string()).unwrap();

    let unchanged =
        mortise(folder.path(), &["replay", "calls.jsonl", "--with", "same.yaml", "--fail-on-difference"]);
    let changed = mortise(
        folder.path(),
        &["replay", "calls.jsonl", "--with", "new.yaml", "--fail-on-difference", "--format", "json"],
    );
    let against =
        mortise(folder.path(), &["replay", "calls.jsonl", "--with", "new.yaml", "--against", "same.yaml"]);

    assert_eq!(unchanged.code, Some(0), "{}{}", unchanged.out, unchanged.err);
    assert!(unchanged.out.contains("4 calls, 4 decisions: 0 differ"), "{}", unchanged.out);
    assert_eq!(changed.code, Some(1), "{}", changed.err);
    let report: Value = serde_json::from_str(&changed.out).unwrap();
    assert_eq!((&report["calls"], &report["hooks_that_differ"]), (&json!(4), &json!(3)));
    assert_eq!(report["by_kind"], json!({ "block -> pass": 1, "pass -> block": 1, "pass -> change": 1 }));
    let differences: Vec<_> = report["differences"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            (one["request_id"].as_str().unwrap(), &one["would_be"]["result"], &one["would_be"]["code"])
        })
        .collect();
    assert_eq!(
        differences,
        [
            ("r1", &json!("block"), &json!("deny")),
            ("r2", &json!("pass"), &Value::Null),
            ("r4", &json!("change"), &Value::Null),
        ]
    );
    assert_eq!(against.code, Some(0));
    assert!(against.out.contains("r1 tool_pre_invoke echo: pass -> block deny by deny"), "{}", against.out);
    assert!(against.out.contains("r4 tool_pre_invoke echo: pass -> change by pii"), "{}", against.out);
    assert!(!against.out.contains("r3"), "{}", against.out);
}

#[tokio::test]
async fn recordings_are_masked_by_what_plugins_still_find() {
    let upstream = Scripted::start().await.unwrap();
    let stand = stand(&upstream).await;
    let number = begin(&stand, "calls=1").await;
    let said =
        json!({ "text": format!("mail {MAIL}"), "card": 5_500_000_000_000_004_u64, "keys": { (MAIL): 1 } });
    stand.client().call("echo", said).await;

    let lines = fetched(&stand, number).await;

    for secret in [MAIL, "alice", "5500000000000004"] {
        assert!(!lines.contains(secret), "{secret} is in {lines}");
    }
    let call = &calls(&lines)[0];
    assert_eq!((&call["masked"], &call["subject"]), (&json!(true), &json!("echo")));
    assert_eq!(call["hooks"][0]["payload"]["args"]["text"], "mail person@example.com");
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("calls.jsonl"), &lines).unwrap();
    let pii = json!({ "plugins": [{
        "name": "pii", "kind": "builtin.pii_filter", "hooks": ["tool_pre_invoke"],
        "config": { "block_on_detection": true },
    }] });
    std::fs::write(folder.path().join("new.yaml"), pii.to_string()).unwrap();
    let ran = mortise(folder.path(), &["replay", "calls.jsonl", "--with", "new.yaml"]);
    assert!(ran.out.contains("pass -> block PII_DETECTED"), "{}{}", ran.out, ran.err);
}

#[tokio::test]
async fn the_command_records_what_it_is_asked_for() {
    let upstream = Scripted::start().await.unwrap();
    upstream.set_tools(&["echo", "search"]);
    let stand = stand(&upstream).await;
    let (url, token) = (format!("http://{}", stand.address()), stand.admin_token.clone().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().to_owned();
    let recording = tokio::task::spawn_blocking(move || {
        let args = [
            "record",
            "--out",
            "calls.jsonl",
            "--calls",
            "2",
            "--tool",
            "sea*",
            "--url",
            &url,
            "--token",
            &token,
        ];
        let first = mortise(&at, &args);
        let again = mortise(&at, &args);
        (first, again)
    });

    // It begins when it has begun; until it has what it wants, there are calls.
    while !recording.is_finished() {
        stand.client().call("search", json!({ "q": "x" })).await;
        stand.client().call("echo", json!({ "q": "x" })).await;
    }
    let (ran, again) = recording.await.unwrap();

    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.err.contains("2 calls recorded to calls.jsonl"), "{}", ran.err);
    let lines = std::fs::read_to_string(folder.path().join("calls.jsonl")).unwrap();
    let subjects: Vec<_> = calls(&lines).iter().map(|call| call["subject"].clone()).collect();
    assert_eq!(subjects, ["search", "search"]);
    assert_eq!(again.code, Some(1));
    assert!(again.err.contains("--force"), "{}", again.err);
}

#[tokio::test]
async fn recording_wants_an_admin_even_where_reading_does_not() {
    let upstream = Scripted::start().await.unwrap();
    let stand = stand(&upstream).await;

    let refused = stand.client().at("/api/v1/recordings").send("POST", None).await;
    let number = begin(&stand, "calls=1&seconds=60").await;

    assert_eq!(refused.status, 401);
    assert_eq!(stand.client().get(&format!("/api/v1/recordings/{number}")).await.status, 401);
    let ended = stand.admin().at(&format!("/api/v1/recordings/{number}")).send("DELETE", None).await;
    assert_eq!(ended.status, 200);
    assert_eq!(stand.admin().get(&format!("/api/v1/recordings/{number}")).await.status, 404);
    let many = stand.admin().at("/api/v1/recordings?calls=many").send("POST", None).await;
    assert_eq!(many.status, 400);
    let maybe = stand.admin().at("/api/v1/recordings?raw=maybe").send("POST", None).await;
    assert_eq!(maybe.status, 400);
}

#[tokio::test]
async fn a_recording_is_over_when_its_time_is() {
    let upstream = Scripted::start().await.unwrap();
    let stand = stand(&upstream).await;
    let number = begin(&stand, "calls=100&seconds=1").await;
    stand.client().call("echo", json!({ "text": "x" })).await;

    assert_eq!(calls(&fetched(&stand, number).await).len(), 1);
    assert_eq!(stand.admin().get(&format!("/api/v1/recordings/{number}")).await.status, 404);
}

#[tokio::test]
async fn recordings_hold_no_credentials_whatever_these_look_like() {
    let upstream = Scripted::start().await.unwrap();
    let stand = stand(&upstream).await;
    let number = begin(&stand, "calls=1").await;
    let said = json!({
        "password": "hunter2", "nested": { "client_secret": ["s3cr"] }, "pin": { "passwd": 4711 },
        "text": "Authorization: Bearer abc123def456 and\nBasic dXNlcjpwYXNz",
        "urls": ["https://user:pw99@host/x?token=T0KEN", "postgres://u:pw77@db/x"],
        "by_mail": { (MAIL): 1, "bob.jones@corp.example.org": 2 },
    });
    stand.client().call("echo", said).await;

    let lines = fetched(&stand, number).await;

    for secret in ["hunter2", "s3cr", "4711", "abc123", "dXNlcjpwYXNz", "pw99", "T0KEN", "pw77", "bob"] {
        assert!(!lines.contains(secret), "{secret} is in {lines}");
    }
    let by_mail = &calls(&lines)[0]["hooks"][0]["payload"]["args"]["by_mail"];
    assert_eq!(by_mail, &json!({ "person@example.com": 1, "person@example.com 2": 2 }));
}

#[tokio::test]
async fn bindings_of_paths_match_recorded_calls_as_they_did() {
    let upstream = Scripted::start().await.unwrap();
    let guard = json!({ "plugins": [deny("blue")], "bindings": [
        { "plugin": "deny", "scope": { "path": "/mcp*" }, "mode": "enforce" },
        { "plugin": "deny", "mode": "disabled" },
    ] });
    let stand = Setup::new().upstream("docs", &upstream).entry(deny("blue"));
    let stand = stand.set("bindings", guard["bindings"].clone()).start().await;
    let number = begin(&stand, "calls=1").await;
    stand.client().call("echo", json!({ "text": "a blue one" })).await;
    let folder = tempfile::tempdir().unwrap();
    let lines = fetched(&stand, number).await;
    std::fs::write(folder.path().join("calls.jsonl"), &lines).unwrap();
    std::fs::write(folder.path().join("same.yaml"), guard.to_string()).unwrap();

    let ran = mortise(folder.path(), &["replay", "calls.jsonl", "--with", "same.yaml"]);

    let call = &calls(&lines)[0];
    assert_eq!((&call["request"]["path"], &call["outcome"]), (&json!("/mcp"), &json!("blocked")));
    assert!(ran.out.contains("1 call, 1 decision: 0 differ"), "{}{}", ran.out, ran.err);
}

#[tokio::test]
async fn paths_are_recorded_where_no_binding_asks_for_them() {
    let upstream = Scripted::start().await.unwrap();
    let stand = stand(&upstream).await;
    let number = begin(&stand, "calls=1").await;
    stand.client().call("echo", json!({ "text": "x" })).await;

    assert_eq!(calls(&fetched(&stand, number).await)[0]["request"]["path"], "/mcp");
}
