//! What is left of plugins: of lives that ended, and of a gateway that ended otherwise than it should.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    thread::JoinHandle,
};

use mortise_tests::{Client, eventually};
use serde_json::json;
use tempfile::TempDir;

use crate::program::{entry, gone, kill, pid, told};

/// A gateway in a process of its own, which keeps temporary files in a folder of the test's.
struct Gateway {
    process: Child,
    log: JoinHandle<String>,
    client: Client,
    folder: TempDir,
}

impl Gateway {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let address = free();
        let entry = entry(&[], &json!({ "circuit_breaker_enabled": false }));
        let config = json!({ "listen": { "address": address.to_string() }, "plugins": [entry] });
        std::fs::write(folder.path().join("mortise.yaml"), config.to_string()).unwrap();
        std::fs::create_dir(folder.path().join("tmp")).unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_stand-mortise"))
            .args(["serve", "--config", "mortise.yaml"])
            .current_dir(folder.path())
            .env("TMPDIR", folder.path().join("tmp"))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = BufReader::new(process.stderr.take().unwrap());
        // Its log must be taken, or it would wait.
        let log =
            std::thread::spawn(move || log.lines().map_while(Result::ok).collect::<Vec<_>>().join("\n"));
        let client = Client::new(address);
        eventually("the gateway", async || {
            tokio::net::TcpStream::connect(address).await.ok()?;
            (client.get("/ready").await.status == 200).then_some(())
        })
        .await;
        Self { process, log, client, folder }
    }

    fn descriptors(&self) -> usize {
        entries(&Path::new("/proc").join(self.process.id().to_string()).join("fd"))
    }

    /// Folders of sockets.
    fn folders(&self) -> usize {
        entries(&self.folder.path().join("tmp"))
    }

    fn kill(mut self) -> String {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        self.log.join().unwrap()
    }
}

fn free() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn entries(folder: &Path) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}

#[tokio::test]
async fn plugin_does_not_outlive_a_gateway_that_is_killed() {
    let gateway = Gateway::start().await;
    let plugin = pid(&gateway.client).await;

    let log = gateway.kill();

    gone(&plugin).await;
    assert!(!log.contains("panicked"), "{log}");
}

#[tokio::test]
async fn lives_that_ended_leave_neither_folders_nor_descriptors() {
    let gateway = Gateway::start().await;
    let mut before = pid(&gateway.client).await;
    let at_first = gateway.descriptors();

    for _ in 0..4 {
        kill(&before);
        before = eventually("the next life", async || {
            let answer = gateway.client.with("x-tell", "pid").rpc("tools/list", json!({})).await;
            told(&answer).filter(|pid| *pid != before)
        })
        .await;
        assert_eq!(gateway.folders(), 1, "each life has a folder, and only the one that is");
    }

    // Connections of the test's own come and go; a life that left anything would have left it four times.
    eventually("descriptors to be what they were", async || {
        (gateway.descriptors() <= at_first + 2).then_some(())
    })
    .await;
    gateway.kill();
}
