//! The plugin's program, and a gateway with it.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use mortise_tests::{Client, HttpAnswer, Setup, Stand, eventually};
use serde_json::{Value, json};

/// The program, built on first use.
pub(crate) fn path() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("process-plugin");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("interop/go");
        // Where set-up puts Go on a machine that has none.
        let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.tools/go/bin/go");
        let go = if own.exists() { own.as_os_str() } else { "go".as_ref() };
        let build = Command::new(go).args(["build", "-o"]).arg(&path).arg(".").current_dir(source).output();
        let build =
            build.unwrap_or_else(|error| panic!("these tests need Go (scripts/setup/go.sh): {error}"));
        assert!(build.status.success(), "go build: {}", String::from_utf8_lossy(&build.stderr));
        path
    })
}

/// A file that the plugin may write to: beside its own folder it may in that of temporary files.
pub(crate) fn scratch(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("mortise-{name}-{}", std::process::id()))
}

/// An entry of the plugin with these arguments and further keys.
pub(crate) fn entry(args: &[&str], more: &Value) -> Value {
    let mut command = vec![format!("file://{}", path().display())];
    command.extend(args.iter().map(|arg| (*arg).to_owned()));
    let mut entry = json!({ "name": "plugin", "kind": "process", "command": command });
    entry.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    entry
}

/// A gateway with the plugin.
pub(crate) async fn stand(args: &[&str], more: Value) -> Stand {
    Setup::new().process().entry(entry(args, &more)).start().await
}

/// What the plugin answers to a question, which blocks the request that asks.
pub(crate) async fn tell(client: &Client, question: &str) -> String {
    let answer = client.with("x-tell", question).rpc("tools/list", json!({})).await;
    told(&answer).unwrap_or_else(|| panic!("{}", answer.text()))
}

/// What the plugin answered, if it did: what blocks is the answer's body as it is.
pub(crate) fn told(answer: &HttpAnswer) -> Option<String> {
    let empty = answer.header("content-type").is_some();
    (answer.status == 418).then(|| if empty { String::new() } else { answer.text() })
}

/// The id of the plugin's process.
pub(crate) async fn pid(client: &Client) -> String {
    tell(client, "pid").await
}

pub(crate) fn kill(pid: &str) {
    assert!(Command::new("kill").args(["-9", pid]).status().unwrap().success());
}

/// Waits until a process is gone.
pub(crate) async fn gone(pid: &str) {
    eventually("the end of a process", async || {
        // Nobody may have waited for it yet.
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
        stat.is_ok_and(|stat| !stat.contains(") Z ")).then_some(()).is_none().then_some(())
    })
    .await;
}
