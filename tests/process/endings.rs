//! What is left of plugins when the gateway ends otherwise than it should.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

use mortise_tests::{Client, eventually};
use serde_json::json;

use crate::program::{entry, gone, pid};

#[tokio::test]
async fn plugin_does_not_outlive_a_gateway_that_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config = json!({ "listen": { "address": port.to_string() }, "plugins": [entry(&[], &json!({}))] });
    std::fs::write(folder.path().join("mortise.yaml"), config.to_string()).unwrap();
    let mut gateway = Command::new(env!("CARGO_BIN_EXE_stand-mortise"))
        .args(["serve", "--config", "mortise.yaml"])
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let log = BufReader::new(gateway.stderr.take().unwrap());
    // Its log must be taken, or it would wait.
    let log = std::thread::spawn(move || log.lines().map_while(Result::ok).collect::<Vec<_>>().join("\n"));
    let client = Client::new(port);
    eventually("the gateway", async || {
        tokio::net::TcpStream::connect(port).await.ok()?;
        (client.get("/ready").await.status == 200).then_some(())
    })
    .await;
    let plugin = pid(&client).await;

    gateway.kill().unwrap();
    gateway.wait().unwrap();

    gone(&plugin).await;
    assert!(!log.join().unwrap().contains("panicked"));
}
