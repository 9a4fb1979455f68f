//! The gateway that is started with a plugin, and a call through it.

use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use http::Method;
use mortise_gateway::state_dir::LocalGateway;
use serde_json::{Map, Value, json};

use super::{
    Console,
    group::{Group, Started},
};
use crate::command::remote::{self, Remote};

/// How long the gateway may take to be ready.
const STARTING: Duration = Duration::from_secs(60);

/// How long a call may take.
const CALLING: Duration = Duration::from_secs(60);

/// A gateway with one plugin before one server.
pub(super) struct Gateway {
    /// Where it listens.
    pub(super) url: String,
    remote: Remote,
    group: Group,
    _folder: Folder,
}

/// A folder for the gateway's files, removed with it.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new() -> anyhow::Result<Self> {
        use std::os::unix::fs::DirBuilderExt;
        let name = format!("mortise-dev-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _left_behind = std::fs::remove_dir_all(&self.0);
    }
}

impl Gateway {
    pub(super) async fn start(
        entry: &Map<String, Value>,
        upstream: Option<&str>,
        port: u16,
        console: &Console,
    ) -> anyhow::Result<Self> {
        let folder = Folder::new()?;
        let program = std::env::current_exe().context("cannot tell which program this is")?;
        let upstream = match upstream {
            None => json!({ "command": [program, "plugin", "demo-tools"] }),
            Some(url) if url.contains("://") => json!({ "url": url }),
            Some(command) => json!({ "command": ["sh", "-c", command] }),
        };
        let state = folder.0.join("state");
        let config = json!({ "state_dir": state, "upstreams": { "upstream": upstream }, "plugins": [entry] });
        let (file, ready) = (folder.0.join("mortise.yaml"), folder.0.join("ready"));
        std::fs::write(&file, config.to_string())
            .with_context(|| format!("cannot write {}", file.display()))?;
        let mut command = vec![program.display().to_string(), "serve".to_owned()];
        command.extend(["--config".to_owned(), file.display().to_string()]);
        command.extend(["--port".to_owned(), port.to_string(), "--host".to_owned(), "127.0.0.1".to_owned()]);
        command.extend(["--ready-file".to_owned(), ready.display().to_string()]);
        let mut started = Started::new("gateway", command, &folder.0, console);
        let level = std::env::var("MORTISE_LOG").unwrap_or_else(|_| "warn,mortise::plugin=info".to_owned());
        started.env = vec![("MORTISE_LOG".to_owned(), level), ("NO_COLOR".to_owned(), "1".to_owned())];
        let mut group = started.start()?;
        let deadline = Instant::now() + STARTING;
        let url = loop {
            if let Ok(text) = std::fs::read_to_string(&ready) {
                break text.trim().trim_end_matches('/').to_owned();
            }
            tokio::select! {
                status = group.wait() => bail!("the gateway ended before it was ready ({})", status.shown),
                () = tokio::time::sleep(super::LOOKING) => {}
            }
            if Instant::now() > deadline {
                bail!("the gateway was not ready after {} s", STARTING.as_secs());
            }
        };
        let token = LocalGateway::find(&state).map(|local| local.token);
        let remote = Remote::at(url.clone(), token);
        Ok(Self { url, remote, group, _folder: folder })
    }

    /// Has it look at the plugin anew, whose hooks may be others now. Where it does not, it finds out with a call.
    pub(super) async fn reload(&self, plugin: &str) {
        reload(&self.remote, plugin).await;
    }

    pub(super) async fn end(self) {
        self.group.end().await;
    }
}

/// Has a gateway look at a plugin anew; whether it did.
pub(super) async fn reload(remote: &Remote, plugin: &str) -> bool {
    let path = format!("/plugins/reload/{}", crate::command::listing::encoded(plugin));
    let sent = tokio::time::timeout(CALLING, remote::send(remote, Method::POST, &path, None)).await;
    matches!(sent, Ok(Ok((status, _))) if status.is_success())
}

/// Calls a tool through a gateway; what came of it, for people.
pub(super) async fn call(url: &str, tool: &str, arguments: &Value) -> anyhow::Result<String> {
    let deadline = Instant::now() + CALLING;
    loop {
        let told = ask(url, tool, arguments).await;
        // The server behind it may still be starting.
        let early = matches!(&told, Ok(answer) if answer["error"]["message"].as_str().is_some_and(is_early));
        if !(early || told.is_err()) || Instant::now() > deadline {
            return told.map(|answer| shown(tool, &answer));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn is_early(message: &str) -> bool {
    let message = message.to_lowercase();
    message.contains("unknown tool") || message.contains("no tool") || message.contains("not connected")
}

async fn ask(url: &str, tool: &str, arguments: &Value) -> anyhow::Result<Value> {
    let params = json!({ "name": tool, "arguments": arguments });
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params });
    let remote = Remote::at(url.to_owned(), None);
    let answer = tokio::time::timeout(CALLING, remote::raw(&remote, Method::POST, "/mcp", Some(&body))).await;
    let answer = answer.map_err(|_| anyhow!("no answer within {} s", CALLING.as_secs()))??;
    let text = String::from_utf8_lossy(answer.body());
    // An event stream, or the message by itself.
    let events = text.lines().filter_map(|line| line.strip_prefix("data:"));
    let message = events.map(str::trim).rfind(|data| !data.is_empty()).unwrap_or(&text);
    serde_json::from_str(message).with_context(|| format!("{url} answered {}", answer.status()))
}

fn shown(tool: &str, answer: &Value) -> String {
    if let Some(message) = answer["error"]["message"].as_str() {
        return format!("{tool}: error: {message}");
    }
    let result = &answer["result"];
    let parts = result["content"].as_array().into_iter().flatten();
    let texts: Vec<&str> = parts.filter_map(|part| part["text"].as_str()).collect();
    let said = if texts.is_empty() { result.to_string() } else { texts.join("\n") };
    let word = if result["isError"] == true { "refused: " } else { "" };
    format!("{tool}: {word}{said}")
}
