//! The author's loop as commands: what is made, what is refused, and that a server is held against the contract over
//! every transport. That what is made works is tested where its languages are (tests/interop).
#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use std::{
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

const MORTISE: &str = env!("CARGO_BIN_EXE_mortise");
const MCPPLUGINS: &str = env!("CARGO_BIN_EXE_mcpplugins");

fn run(program: &str, folder: &Path, args: &[&str]) -> Output {
    Command::new(program)
        .args(args)
        .current_dir(folder)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn mortise(folder: &Path, args: &[&str]) -> Output {
    run(MORTISE, folder, args)
}

#[test]
fn a_plugin_is_made_once_and_never_over_something_else() {
    let folder = TempDir::new().unwrap();
    let made = mortise(folder.path(), &["plugin", "new", "word-filter"]);
    assert!(made.status.success(), "{}", said(&made));
    let next = said(&made);
    assert!(next.contains("make install-dev") && next.contains("mortise plugin dev"), "{next}");
    let source = folder.path().join("word-filter/word_filter/plugin.py");
    std::fs::write(&source, "mine").unwrap();
    let again = mortise(folder.path(), &["plugin", "new", "word-filter"]);
    assert_eq!(again.status.code(), Some(1));
    assert!(said(&again).contains("word-filter is not empty"), "{}", said(&again));
    assert_eq!(std::fs::read_to_string(source).unwrap(), "mine");
}

#[test]
fn a_dry_run_writes_nothing_and_a_manifest_of_a_template_passes_the_check() {
    let folder = TempDir::new().unwrap();
    let told = mortise(folder.path(), &["plugin", "new", "a", "--dry-run", "--format", "json"]);
    let told: Value = serde_json::from_slice(&told.stdout).unwrap();
    assert_eq!((&told["written"], &told["name"]), (&Value::Bool(false), &Value::from("A")));
    assert!(!folder.path().join("a").exists());
    for template in ["python-external", "typescript-external", "python-class"] {
        let made = mortise(folder.path(), &["plugin", "new", template, "--template", template]);
        assert!(made.status.success(), "{}", said(&made));
        let manifest = format!("{template}/plugin-manifest.yaml");
        let checked = mortise(folder.path(), &["config", "check", &manifest]);
        assert!(checked.status.success(), "{}", said(&checked));
    }
}

#[test]
fn the_executable_of_the_documents_knows_their_options() {
    let folder = TempDir::new().unwrap();
    let args = ["bootstrap", "--destination", "./my-security-plugin", "--no_input", "--vcs_ref", "main"];
    let made = run(MCPPLUGINS, folder.path(), &args);
    assert!(made.status.success(), "{}", said(&made));
    for file in [
        "plugin-manifest.yaml",
        "Makefile",
        ".env.template",
        "README.md",
        "Containerfile",
        "tests/test_plugin.py",
    ] {
        assert!(folder.path().join("my-security-plugin").join(file).is_file(), "{file}");
    }
    let native = run(MCPPLUGINS, folder.path(), &["bootstrap", "-d", "native", "-t", "native"]);
    assert!(
        native.status.success() && folder.path().join("native/config.yaml").is_file(),
        "{}",
        said(&native)
    );
    let fetched =
        run(MCPPLUGINS, folder.path(), &["bootstrap", "-d", "x", "--template_url", "https://example.com/t"]);
    assert_eq!(fetched.status.code(), Some(1));
    assert!(said(&fetched).contains("templates are built in"), "{}", said(&fetched));
}

const SERVED: &str =
    "plugins:\n  - { name: Pii, kind: builtin.pii_filter, hooks: [tool_pre_invoke, tool_post_invoke] }\n";

/// A server that is ended with the test.
struct Served(Child);

impl Drop for Served {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _gone = self.0.wait();
    }
}

fn served(folder: &Path, args: &[&str]) -> (Served, String) {
    let ready = folder.join("ready");
    let mut command = Command::new(MORTISE);
    command.args(["plugin", "serve", "--config", "served.yaml", "--ready-file", "ready"]).args(args);
    let child = command.current_dir(folder).stdin(Stdio::null()).stderr(Stdio::null()).stdout(Stdio::null());
    let server = Served(child.spawn().unwrap());
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        if let Ok(address) = std::fs::read_to_string(&ready) {
            return (server, address.trim().to_owned());
        }
        assert!(Instant::now() < deadline, "the server is not ready");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[track_caller]
fn keeps_the_contract(folder: &Path, target: &[&str]) -> Value {
    let args: Vec<&str> = ["plugin", "test", "--format", "json"].iter().chain(target).copied().collect();
    let told = mortise(folder, &args);
    assert!(told.status.success(), "{}", said(&told));
    serde_json::from_slice(&told.stdout).unwrap()
}

#[test]
fn our_own_server_keeps_the_contract_over_every_transport() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("served.yaml"), SERVED).unwrap();
    let (http, url) = served(folder.path(), &["--transport", "http", "--port", "0"]);
    let told = keeps_the_contract(folder.path(), &[&url]);
    // Both generations of the contract, each in full.
    for dialect in ["invoke_hook", "tool_per_hook"] {
        let checks = told["checks"].as_array().unwrap().iter().filter(|check| check["dialect"] == dialect);
        assert!(checks.count() > 10, "{told}");
    }
    drop(http);
    std::fs::remove_file(folder.path().join("ready")).unwrap();
    let (grpc, address) = served(folder.path(), &["--transport", "grpc", "--port", "0"]);
    keeps_the_contract(folder.path(), &[&address, "--plugin", "Pii"]);
    drop(grpc);
    std::fs::remove_file(folder.path().join("ready")).unwrap();
    let (unix, _) = served(folder.path(), &["--transport", "unix", "--uds", "p.sock"]);
    let socket = format!("unix:{}", folder.path().join("p.sock").display());
    keeps_the_contract(folder.path(), &[&socket, "--plugin", "Pii", "--hook", "tool_pre_invoke"]);
    drop(unix);
    let command = [
        "--plugin",
        "Pii",
        "--command",
        MORTISE,
        "plugin",
        "serve",
        "--config",
        "served.yaml",
        "--transport",
        "stdio",
    ];
    keeps_the_contract(folder.path(), &command);
}

#[test]
fn a_server_that_is_not_there_is_told_with_the_exit_code() {
    let folder = TempDir::new().unwrap();
    let told = mortise(
        folder.path(),
        &["plugin", "test", "http://127.0.0.1:1/mcp", "--plugin", "A", "--format", "json"],
    );
    assert_eq!(told.status.code(), Some(1), "{}", said(&told));
    let told: Value = serde_json::from_slice(&told.stdout).unwrap();
    assert_eq!((&told["ok"], &told["failed"]), (&Value::Bool(false), &Value::from(1)));
    let nowhere = mortise(folder.path(), &["plugin", "test", "nowhere"]);
    assert_eq!(nowhere.status.code(), Some(1));
    assert!(said(&nowhere).contains("nowhere"), "{}", said(&nowhere));
}
