//! Plugins of `mortise plugin serve` guard the calls of a gateway, over each transport.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use mortise_testkit::{mcp_server::scripted::Scripted, process::Owned};
use mortise_tests::{Setup, Stand, eventually, text};
use serde_json::{Value, json};
use tempfile::TempDir;

const PLUGINS: &str = r#"
plugins:
  - name: Pii
    kind: builtin.pii_filter
    hooks: [tool_pre_invoke, tool_post_invoke]
    config: { detect_email: true }
  - name: Sql
    kind: plugins.sql_sanitizer.sql_sanitizer.SQLSanitizerPlugin
    hooks: [tool_pre_invoke]
  - name: Watching
    kind: builtin.deny_list
    mode: permissive
    config: { words: [forbidden] }
  - { name: Unused, kind: builtin.pii_filter, mode: disabled }
"#;

/// A plugin server in a process of its own.
struct Server {
    process: Owned,
    address: String,
    folder: TempDir,
}

fn program() -> &'static str {
    env!("CARGO_BIN_EXE_stand-mortise")
}

fn plugins_in(folder: &Path) -> PathBuf {
    let file = folder.join("plugins.yaml");
    std::fs::write(&file, PLUGINS).unwrap();
    file
}

async fn serve(transport: &str, socket: bool) -> Server {
    serve_in(tempfile::tempdir().unwrap(), transport, socket, &[]).await
}

async fn serve_in(folder: TempDir, transport: &str, socket: bool, more: &[&str]) -> Server {
    let ready = folder.path().join("ready");
    let mut command = Command::new(program());
    command.args(["plugin", "serve", "--transport", transport, "--config"]).arg(plugins_in(folder.path()));
    match socket {
        true => command.arg("--uds").arg(folder.path().join("p.sock")),
        false => command.args(["--port", "0"]),
    };
    command.arg("--ready-file").arg(&ready).args(more).stdin(Stdio::null()).stdout(Stdio::null());
    let process = Owned::spawn(&mut command).unwrap();
    let address = eventually("the plugin server", async || std::fs::read_to_string(&ready).ok()).await;
    Server { process, address: address.trim().to_owned(), folder }
}

impl Server {
    /// The block of an entry that reaches it.
    fn block(&self) -> (&'static str, Value) {
        let socket = self.folder.path().join("p.sock");
        match self.address.split_once("://") {
            Some(("http", _)) => ("mcp", json!({ "proto": "STREAMABLEHTTP", "url": self.address })),
            Some(("grpc", target)) => ("grpc", json!({ "target": target })),
            _ => ("unix_socket", json!({ "path": socket })),
        }
    }
}

fn entry(name: &str, hooks: &[&str], (key, block): (&str, Value)) -> Value {
    // The breaker has tests of its own; here it would only make servers that come back wait.
    let mut entry =
        json!({ "name": name, "kind": "external", "hooks": hooks, "circuit_breaker_enabled": false });
    entry[key] = block;
    entry
}

async fn stand(upstream: &Scripted, block: (&'static str, Value)) -> Stand {
    Setup::new()
        .external()
        .upstream("docs", upstream)
        .entry(entry("Pii", &["tool_pre_invoke", "tool_post_invoke"], block.clone()))
        .entry(entry("Sql", &["tool_pre_invoke"], block.clone()))
        .entry(entry("Watching", &["tool_pre_invoke"], block))
        .start()
        .await
}

/// What holds over every transport.
async fn guards(block: (&'static str, Value)) {
    let upstream = Scripted::start().await.unwrap();
    let stand = stand(&upstream, block).await;
    let client = stand.client();

    let masked = client.call("echo", json!({ "text": "write to ann@example.com", "n": 3, "f": 1.0 })).await;
    assert!(!masked.to_string().contains("ann@"), "{masked}");
    let sent = upstream.received_of("tools/call").pop().unwrap().message.to_string();
    assert!(sent.contains(r#""n":3"#) && sent.contains(r#""f":1.0"#), "numbers keep their spelling: {sent}");

    let blocked = client.call("echo", json!({ "text": "DROP TABLE users" })).await;
    assert_eq!(blocked["result"]["isError"], true, "{blocked}");
    assert!(text(&blocked).starts_with("tool_pre_invoke blocked by plugin Sql: SQL_SANITIZER"), "{blocked}");
    assert_eq!(upstream.received_of("tools/call").len(), 1);

    let passed = client.call("echo", json!({ "text": "forbidden" })).await;
    assert_eq!(passed["result"]["isError"], false, "the server's own mode counts too: {passed}");
}

#[tokio::test]
async fn plugins_served_over_http_guard_calls() {
    let server = serve("http", false).await;
    guards(server.block()).await;
}

#[tokio::test]
async fn plugins_served_over_standard_input_and_output_guard_calls() {
    let folder = tempfile::tempdir().unwrap();
    let file = plugins_in(folder.path());
    let cmd = json!([program(), "plugin", "serve", "--transport", "stdio", "--config", file]);
    guards(("mcp", json!({ "proto": "STDIO", "cmd": cmd }))).await;
}

#[tokio::test]
async fn plugins_served_over_grpc_guard_calls() {
    let server = serve("grpc", false).await;
    guards(server.block()).await;
}

#[tokio::test]
async fn plugins_served_over_grpc_at_a_socket_guard_calls() {
    let server = serve("grpc", true).await;
    let socket = server.folder.path().join("p.sock");
    guards(("grpc", json!({ "uds": socket }))).await;
}

#[tokio::test]
async fn plugins_served_over_a_unix_socket_guard_calls() {
    let server = serve("unix", true).await;
    guards(server.block()).await;
}

#[tokio::test]
async fn a_server_that_comes_back_is_called_again() {
    for transport in ["grpc", "unix"] {
        let upstream = Scripted::start().await.unwrap();
        let server = serve(transport, true).await;
        let socket = server.folder.path().join("p.sock");
        let block = match transport {
            "grpc" => ("grpc", json!({ "uds": socket, "reconnect_delay": 0.05 })),
            _ => ("unix_socket", json!({ "path": socket, "reconnect_delay": 0.05 })),
        };
        let stand = stand(&upstream, block).await;
        let blocked = async |code: &str| {
            let answer = stand.client().call("echo", json!({ "text": "DROP TABLE users" })).await;
            text(&answer).contains(code).then_some(())
        };
        eventually("a guarded call", async || blocked("SQL_SANITIZER").await).await;
        let Server { process, folder, .. } = server;
        drop(process);
        std::fs::remove_file(folder.path().join("ready")).unwrap();
        eventually("a call refused for want of its guard", async || blocked("PLUGIN_UNAVAILABLE").await)
            .await;
        let again = serve_in(folder, transport, true, &[]).await;
        eventually("a guarded call again", async || blocked("SQL_SANITIZER").await).await;
        drop(again);
        assert_eq!(upstream.received_of("tools/call").len(), 0, "{transport}: nothing went by unguarded");
    }
}

#[tokio::test]
async fn a_server_ends_once_its_calls_are_answered() {
    let mut server = serve("grpc", true).await;
    assert!(server.process.is_running());
    let pid = server.process.pid().to_string();
    assert!(Command::new("kill").arg(pid).status().unwrap().success());
    eventually("its end", async || (!server.process.is_running()).then_some(())).await;
    assert!(!server.folder.path().join("p.sock").exists() && !server.folder.path().join("ready").exists());
}

#[tokio::test]
async fn a_file_that_is_wrong_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("plugins.yaml");
    std::fs::write(&file, "plugins:\n  - { name: a, kind: builtin.pi_filter }\n").unwrap();
    let mut command = Command::new(program());
    command.args(["plugin", "serve", "--transport", "http", "--port", "0", "--config"]).arg(&file);
    let output = command.stdin(Stdio::null()).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("pii_filter") && output.stdout.is_empty(), "{told}");
}
