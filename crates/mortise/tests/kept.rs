//! Apps, tokens and plugins that a running gateway keeps, from the command line.
#![cfg(feature = "storage")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail like tests")]

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

/// A gateway in a folder of its own, ended with the test.
struct Running {
    folder: TempDir,
    gateway: Child,
}

struct Ran {
    code: i32,
    out: String,
    err: String,
}

fn command(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mortise"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    command.args(args).current_dir(folder).env_clear().env("PATH", path);
    command
}

impl Running {
    fn start(config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("mortise.yaml"), config).unwrap();
        let mut serve = command(folder.path(), &["serve", "--port", "0", "--ready-file", "ready"]);
        let gateway = serve.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let begun = Instant::now();
        while !folder.path().join("ready").exists() {
            assert!(begun.elapsed() < Duration::from_secs(20), "the gateway starts in time");
            std::thread::sleep(Duration::from_millis(10));
        }
        Self { folder, gateway }
    }

    fn run(&self, args: &[&str]) -> Ran {
        let output = command(self.folder.path(), args).output().unwrap();
        Ran {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    #[track_caller]
    fn done(&self, args: &[&str]) -> Ran {
        let ran = self.run(args);
        assert_eq!(ran.code, 0, "{args:?}\nstdout:\n{}\nstderr:\n{}", ran.out, ran.err);
        ran
    }

    #[track_caller]
    fn json(&self, args: &[&str]) -> Value {
        let args: Vec<&str> = args.iter().copied().chain(["--format", "json"]).collect();
        let ran = self.done(&args);
        serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {}", ran.out))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.gateway.kill();
        let _ = self.gateway.wait();
    }
}

#[test]
fn apps_are_made_listed_changed_and_removed() {
    let running = Running::start("servers: { support: {} }\n");
    assert!(running.done(&["apps", "list"]).err.contains("no app is kept"));

    running.done(&[
        "apps",
        "create",
        "ci",
        "owner=ci@example.com",
        "servers=[support]",
        "metadata.team=blue",
    ]);
    let refused = running.run(&["apps", "create", "ci"]);

    assert_eq!(refused.code, 1);
    assert!(refused.err.contains("409") && refused.err.contains("name"), "{}", refused.err);
    let app = running.json(&["apps", "show", "ci"]);
    assert_eq!(app["servers"], serde_json::json!(["support"]));
    assert_eq!(app["metadata"]["team"], "blue");
    running.done(&["apps", "update", "ci", "servers=null", "monthly_budget=12.5"]);
    let app = running.json(&["apps", "show", &app["id"].to_string()]);
    assert_eq!((&app["servers"], &app["monthly_budget"]), (&Value::Null, &serde_json::json!(12.5)));
    let listed = running.done(&["apps", "list", "--search", "EXAMPLE"]).out;
    assert!(listed.contains("ci@example.com") && listed.contains("OWNER"), "{listed}");
    running.done(&["apps", "delete", "ci"]);
    assert_eq!(running.json(&["apps", "list"])["total"], 0);
    let gone = running.run(&["apps", "show", "ci"]);
    assert!(gone.code == 1 && gone.err.contains("there is no app `ci`"), "{}", gone.err);
}

#[test]
fn token_goes_to_standard_output_alone_and_is_never_shown_again() {
    let running = Running::start("apps: []\n");
    running.done(&["apps", "create", "ci", "is_admin=true"]);

    let made =
        running.done(&["tokens", "create", "ci", "name=laptop", "expires=2099-01-31", "scopes=[read]"]);

    let token = made.out.trim();
    assert!(token.starts_with("mortise_") && !token.contains('\n'), "{token}");
    assert!(!made.err.contains(token));
    let url = std::fs::read_to_string(running.folder.path().join("ready")).unwrap();
    let asks = |token: &str| running.run(&["apps", "list", "--url", url.trim(), "--token", token]).code;
    assert_eq!((asks(token), asks("wrong")), (0, 1));
    let listed = running.done(&["tokens", "list", "--app", "ci"]).out;
    assert!(
        listed.contains("laptop") && listed.contains("2099-02-01") && !listed.contains(token),
        "{listed}"
    );
    let id = running.json(&["tokens", "list"])["items"][0]["id"].to_string();
    running.done(&["tokens", "revoke", &id]);
    assert_eq!(asks(token), 1);
}

#[test]
fn plugins_are_made_changed_and_removed() {
    let running = Running::start("plugins: [{ name: in_file, kind: builtin.pii_filter }]\n");

    let kind = "kind=builtin.regex_filter";
    running.done(&["plugins", "create", "words", kind, "hook_types=[tool_pre_invoke]", "config.words=[]"]);
    running.done(&["plugins", "update", "words", "order=3"]);

    let plugin = running.json(&["plugins", "show", "words", "--url", "local"]);
    assert_eq!(
        (&plugin["priority"], &plugin["status"]),
        (&serde_json::json!(3), &serde_json::json!("ready"))
    );
    assert_eq!(running.done(&["plugins", "health", "words", "--format", "json"]).code, 0);
    let schema = running.json(&["plugins", "config-schema", "words"]);
    assert!(schema["properties"]["words"].is_object(), "{schema}");
    assert_eq!(running.run(&["plugins", "health", "nobody"]).code, 1);
    let refused = running.run(&["plugins", "update", "in_file", "order=3"]);
    assert!(refused.code == 1 && refused.err.contains("mortise.yaml"), "{}", refused.err);
    let refused = running.run(&["plugins", "create", "wrong", kind, "config.words=3"]);
    assert!(refused.code == 1 && refused.err.contains("words"), "{}", refused.err);
    running.done(&["plugins", "delete", "words"]);
    assert_eq!(running.run(&["plugins", "show", "words", "--url", "local"]).code, 1);
}

#[test]
fn every_command_shows_examples() {
    let folder = tempfile::tempdir().unwrap();
    let all: [(&str, &[&str]); 5] = [
        ("apps", &["list", "show", "create", "update", "delete"]),
        ("tokens", &["list", "show", "create", "update", "revoke"]),
        ("llms", &["list", "show", "create", "update", "delete"]),
        ("prices", &["list", "show", "create", "update", "delete"]),
        ("plugins", &["create", "update", "delete", "approve", "health", "config-schema"]),
    ];
    for (group, commands) in all {
        for name in commands {
            let output = command(folder.path(), &[group, name, "--help"]).output().unwrap();
            assert!(String::from_utf8(output.stdout).unwrap().contains("Examples:"), "{group} {name}");
        }
    }
}

#[test]
fn prices_are_made_listed_changed_and_removed() {
    let running = Running::start("storage: {}\n");
    let made =
        running.json(&["prices", "create", "gpt-5*", "vendor=openai", "input=0.000001", "output=0.00001"]);
    let id = made["id"].to_string();
    assert_eq!((&made["model"], &made["currency"]), (&"gpt-5*".into(), &"USD".into()));
    running.done(&["prices", "update", &id, "output=0.00002", "valid_from=2027-02-01"]);
    let listed = running.done(&["prices", "list", "--search", "gpt-5"]).out;
    assert!(listed.contains("0.00002") && listed.contains("2027-02-01"), "{listed}");
    let refused = running.run(&["prices", "update", &id, "valid_from=soon"]);
    assert!(refused.code == 1 && refused.err.contains("valid_from"), "{}", refused.err);
    running.done(&["prices", "delete", &id]);
    assert_eq!(running.json(&["prices", "list"])["total"], 0);
    assert!(running.done(&["spending", "--app", "ci"]).err.contains("nothing was spent"));
    assert_eq!(running.run(&["spending", "--from", "soon"]).code, 1);
}
