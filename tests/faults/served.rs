//! Plugins that are served elsewhere, over each transport that has a socket: everything that can go wrong with such a
//! server, one after another, behind one gateway that is never restarted. Each call ends once and as its own, what is
//! guarded never passes unguarded, and afterwards there are as many connections and tasks as before.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command},
};

use mortise_testkit::mcp_server::scripted::Scripted;
use mortise_tests::{Setup, Stand, eventually, text};
use serde_json::{Value, json};
use tokio::{runtime::Handle, task::JoinSet};

use super::proxy::{Beside, Mode, Proxy};

const AT_ONCE: usize = 32;
const HOOK: &str = "tool_pre_invoke";

/// A server in a process of its own.
struct Server {
    transport: &'static str,
    folder: PathBuf,
    running: Child,
}

impl Server {
    fn start(transport: &'static str, folder: &Path) -> Self {
        Self { transport, folder: folder.to_owned(), running: spawn(transport, folder, HOOK) }
    }

    fn kill(&mut self) {
        self.running.kill().unwrap();
        self.running.wait().unwrap();
    }

    /// Kills it and starts another one, with the plugin at this hook.
    fn replace(&mut self, hook: &str) {
        self.kill();
        self.running = spawn(self.transport, &self.folder, hook);
    }

    fn signal(&self, name: &str) {
        let (signal, pid) = (format!("-{name}"), self.running.id().to_string());
        assert!(Command::new("kill").args([signal, pid]).status().unwrap().success());
    }

    /// Starts another one where one was killed.
    fn again(&mut self) {
        self.running = spawn(self.transport, &self.folder, HOOK);
    }

    /// How many lines of its journal say so.
    fn noted(&self, line: &str) -> usize {
        let journal = std::fs::read_to_string(self.folder.join("journal")).unwrap_or_default();
        journal.lines().filter(|known| known.starts_with(line)).count()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.running.kill();
        let _ = self.running.wait();
    }
}

fn spawn(transport: &str, folder: &Path, hook: &str) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stand-plugin-server"));
    command.arg(folder.join("journal")).arg(transport).arg(folder.join("real.sock")).arg(hook);
    command.spawn().unwrap()
}

struct Guarded {
    stand: Stand,
    upstream: Scripted,
    server: Server,
    proxy: Proxy,
}

impl Guarded {
    async fn start(transport: &'static str, folder: &Path, beside: &Beside) -> Self {
        let upstream = beside.runtime.spawn(Scripted::start()).await.unwrap().unwrap();
        let server = Server::start(transport, folder);
        let proxy = Proxy::start(beside, transport == "unix", folder, folder.join("real.sock")).await;
        let (block, mut way) = match transport {
            "http" => ("mcp", json!({ "proto": "http", "url": format!("http://{}/mcp", proxy.address) })),
            "grpc" => ("grpc", json!({ "target": proxy.address })),
            _ => ("unix_socket", json!({ "path": proxy.address })),
        };
        let limits = json!({ "timeout_ms": 2000, "max_response_size_mb": 1, "reconnect_delay": 0.05 });
        way.as_object_mut().unwrap().extend(limits.as_object().unwrap().clone());
        // A breaker would keep it out for longer than it is away.
        let breaker = "circuit_breaker_enabled";
        let mut entry = json!({ "name": "guard", "kind": "external", "hooks": [HOOK], breaker: false });
        entry[block] = way;
        let stand = Setup::new().external().upstream("docs", &upstream).entry(entry).start().await;
        Self { stand, upstream, server, proxy }
    }

    async fn echo(&self, words: &str) -> String {
        let answer = self.stand.client().call("echo", json!({ "text": words })).await;
        text(&answer).to_owned()
    }

    /// Waits until the plugin guards again.
    async fn back(&self) {
        eventually("the server in use", async || {
            self.echo("block").await.contains("blocked by plugin guard: STAND").then_some(())
        })
        .await;
    }

    /// As many calls at once, each with words of its own; gives what became of them, in order.
    fn at_once(&self, word: &str) -> JoinSet<(String, Value)> {
        let mut calls = JoinSet::new();
        for at in 0..AT_ONCE {
            let (client, words) = (self.stand.client(), format!("{word} {at}"));
            calls.spawn(async move {
                // `call` checks that the answer is to this request, and that there is exactly one.
                let answer = client.call("echo", json!({ "text": words })).await;
                (words, answer)
            });
        }
        calls
    }

    fn reached(&self) -> usize {
        self.upstream.received_of("tools/call").len()
    }

    /// Connections to the server and tasks of the gateway, once the server has been replaced and asked.
    async fn at_rest(&mut self, like: Option<(usize, usize)>) -> (usize, usize) {
        self.server.replace(HOOK);
        self.back().await;
        let now = || (self.proxy.open(), tasks());
        if let Some(before) = like {
            return eventually("as many connections and tasks as before, and no more", async || {
                let seen = now();
                (seen.0 <= before.0 && seen.1 <= before.1).then_some(seen)
            })
            .await;
        }
        // What belonged to the old server has ended once nothing changes any more.
        quiet(now).await
    }

    async fn killed_under_load(&mut self) {
        let (calls, reached) = (self.at_once("hold"), self.reached());
        eventually("all calls at the server", async || {
            (self.server.noted("call hold ") == AT_ONCE).then_some(())
        })
        .await;
        self.server.kill();
        let mut ended = 0;
        for (words, answer) in calls.join_all().await {
            let said = text(&answer);
            assert!(said.contains("blocked by plugin guard: PLUGIN_"), "{words}: {answer}");
            assert!(!said.contains("PLUGIN_TIMEOUT"), "{words} waited: {answer}");
            ended += 1;
        }
        assert_eq!((ended, self.reached()), (AT_ONCE, reached), "each ended once, and none passed unguarded");
        assert_eq!(self.server.noted("call hold "), AT_ONCE, "none was sent again");
        self.server.again();
        self.back().await;
    }

    /// An answer that comes too late, and a server that has stopped altogether.
    async fn too_late(&self) {
        let reached = self.reached();
        self.proxy.set(Mode::Hold);
        let (late, frozen) = tokio::join!(self.echo("change late"), async {
            eventually("the call", async || (self.server.noted("call change late") == 1).then_some(())).await;
            self.server.signal("STOP");
            self.echo("change frozen").await
        });
        for blocked in [late, frozen] {
            assert!(blocked.contains("blocked by plugin guard: PLUGIN_TIMEOUT"), "{blocked}");
        }
        self.server.signal("CONT");
        self.proxy.set(Mode::Pass);
        self.back().await;
        for at in 0..4 {
            let words = format!("next {at}");
            assert_eq!(self.echo(&words).await, words, "a late answer is nobody else's");
        }
        assert_eq!(self.reached(), reached + 4);
    }

    async fn lies(&self, transport: &str) {
        let reached = self.reached();
        let announced = match transport {
            // A frame of 50 MB, of which little comes.
            "unix" => [&(50_u32 << 20).to_be_bytes()[..], &[7; 100]].concat(),
            "http" => {
                b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 52428800\r\n\r\n{"
                    .to_vec()
            }
            _ => [0xff; 100].to_vec(),
        };
        for (words, mode) in [
            ("pass", Mode::Instead(announced)),
            ("pass", Mode::Instead(b"this is no answer, in any protocol, and it has no end".to_vec())),
            ("pass", Mode::Cut),
            ("big", Mode::Pass),
        ] {
            self.proxy.set(mode.clone());
            let blocked = self.echo(words).await;
            let shown: String = blocked.chars().take(200).collect();
            assert!(blocked.contains("blocked by plugin guard: PLUGIN_"), "{words} {mode:?}: {shown}");
            self.proxy.set(Mode::Pass);
            self.back().await;
        }
        assert_eq!(self.reached(), reached);
    }

    /// A server that comes back without the hook that it is there for.
    async fn changes_its_hooks(&mut self) {
        self.server.replace("tool_post_invoke");
        // Where nobody noticed that the old one ended, the new one says it itself.
        let told = ["does not offer the hooks", "is not served at the hook"];
        eventually("what is missing", async || {
            let blocked = self.echo("x").await;
            assert!(blocked.contains("PLUGIN_"), "a guard that has gone lets nothing pass: {blocked}");
            told.iter().any(|told| blocked.contains(told)).then_some(())
        })
        .await;
        self.server.replace(HOOK);
        self.back().await;
    }

    async fn serves_many(&self) {
        for (words, answer) in self.at_once("change").join_all().await {
            assert_eq!(text(&answer), format!("changed: {words}"), "calls are not mixed");
        }
    }
}

fn tasks() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

/// What is seen once it does not change any more.
async fn quiet<T: PartialEq + Copy>(now: impl Fn() -> T) -> T {
    let mut same = (now(), 0);
    eventually("quiet", async || {
        let seen = now();
        same = if seen == same.0 { (seen, same.1 + 1) } else { (seen, 0) };
        (same.1 == 20).then_some(seen)
    })
    .await
}

async fn survives(transport: &'static str) {
    let (folder, beside) = (tempfile::tempdir().unwrap(), Beside::new());
    let mut guarded = Guarded::start(transport, folder.path(), &beside).await;
    guarded.back().await;
    guarded.serves_many().await;
    let before = guarded.at_rest(None).await;

    guarded.killed_under_load().await;
    guarded.too_late().await;
    guarded.lies(transport).await;
    guarded.changes_its_hooks().await;
    guarded.serves_many().await;

    guarded.at_rest(Some(before)).await;
    let Guarded { stand, proxy, server, .. } = guarded;
    stand.stop().await;
    eventually("the last connection to end", async || (proxy.open() == 0).then_some(())).await;
    drop(server);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_befalls_a_grpc_server_costs_its_calls_and_leaves_nothing_behind() {
    survives("grpc").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_befalls_a_server_at_a_unix_socket_costs_its_calls_and_leaves_nothing_behind() {
    survives("unix").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_befalls_an_mcp_server_over_http_costs_its_calls_and_leaves_nothing_behind() {
    survives("http").await;
}
