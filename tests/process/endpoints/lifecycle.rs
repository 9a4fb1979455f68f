//! What becomes of routes when something becomes of their plugin.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use mortise_gateway::{history::Source, reload::Trigger};
use mortise_tests::{Setup, Stand, eventually};
use serde_json::json;

use super::{at, entry, gateway, scratch};
use crate::program::{gone, kill};

async fn status(stand: &Stand) -> u16 {
    at(stand, "/token").send("POST", None).await.status
}

async fn pid(stand: &Stand) -> String {
    at(stand, "/x").send("GET", None).await.json()["pid"].to_string()
}

async fn reload(stand: &Stand) {
    stand.reloader.reload(Trigger::new(Source::Api, "a test")).await.unwrap();
}

async fn switch(stand: &Stand, path: &str, on: bool) {
    let body = json!({ "enabled": on }).to_string();
    let answer = stand.admin().at(path).send("PATCH", Some(body.as_bytes())).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[tokio::test]
async fn plugin_loaded_endpoints_are_registered_after_initialize() {
    let slow = entry(&["-slow-start=1s"], &json!({}));
    let stand = Setup::new().process().entry(slow).start().await;
    assert_eq!(status(&stand).await, 200, "there from the first moment that the gateway is");
}

#[tokio::test]
async fn plugin_unloaded_all_routes_are_removed() {
    let stand = gateway().await;
    let pid = pid(&stand).await;
    switch(&stand, "/api/v1/plugins", false).await;
    assert_eq!(status(&stand).await, 404);
    gone(&pid).await;
    switch(&stand, "/api/v1/plugins", true).await;
    assert_eq!(status(&stand).await, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plugin_reloaded_routes_are_there_at_every_moment() {
    let stand = gateway().await;
    let before = pid(&stand).await;
    let under_way = {
        let client = at(&stand, "/slow");
        tokio::spawn(async move { client.send("GET", None).await.status })
    };
    let stop = Arc::new(AtomicBool::new(false));
    let load = {
        let (client, stop) = (at(&stand, "/token"), stop.clone());
        tokio::spawn(async move {
            let mut statuses = Vec::new();
            while !stop.load(Relaxed) {
                statuses.push(client.send("POST", None).await.status);
            }
            statuses
        })
    };
    for _ in 0..3 {
        assert_eq!(stand.admin().at("/plugins/reload/go").send("POST", None).await.status, 200);
    }
    stop.store(true, Relaxed);
    let statuses = load.await.unwrap();
    assert!(statuses.len() > 10 && statuses.iter().all(|status| *status == 200), "{statuses:?}");
    assert_eq!(under_way.await.unwrap(), 200, "what was under way was answered");
    assert_ne!(pid(&stand).await, before);
    gone(&before).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plugin_reloaded_its_streams_go_on_to_their_end() {
    let stand = gateway().await;
    let before = pid(&stand).await;
    let mut stream = at(&stand, "/stream?forever").raw("GET", "", b"").await;
    stream.wait_for("data: 1").await;
    assert_eq!(stand.admin().at("/plugins/reload/go").send("POST", None).await.status, 200);
    assert_ne!(pid(&stand).await, before, "new requests go to the successor");
    stream.wait_for("data: 40").await;
    drop(stream);
    gone(&before).await;
}

#[tokio::test]
async fn plugin_deactivated_is_unloaded_and_its_routes_are_removed() {
    let stand = gateway().await;
    let pid = pid(&stand).await;
    switch(&stand, "/api/v1/plugins/go", false).await;
    assert_eq!(status(&stand).await, 404);
    gone(&pid).await;
    switch(&stand, "/api/v1/plugins/go", true).await;
    assert_eq!(status(&stand).await, 200);
}

#[tokio::test]
async fn plugin_deleted_is_unloaded_and_its_routes_are_removed() {
    let mut stand = gateway().await;
    let pid = pid(&stand).await;
    stand.write(|config| config["plugins"] = json!([]));
    reload(&stand).await;
    assert_eq!(status(&stand).await, 404);
    gone(&pid).await;
}

#[tokio::test]
async fn gateway_shutdown_clears_all_routes() {
    let stand = gateway().await;
    let (address, pid) = (stand.address(), pid(&stand).await);
    stand.stop().await;
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
    gone(&pid).await;
}

#[tokio::test]
async fn health_check_failure_restarts_the_plugin_and_registers_its_routes_again() {
    let more = scratch("more");
    let stand = Setup::new()
        .process()
        .entry(entry(&[&format!("-more-where={}", more.display())], &json!({})))
        .start()
        .await;
    assert_eq!(at(&stand, "/echo/x").send("GET", None).await.status, 200);
    let before = pid(&stand).await;
    std::fs::write(&more, "").unwrap();
    kill(&before);
    eventually("the end of a route it has no more", async || {
        (at(&stand, "/echo/x").send("GET", None).await.status == 404).then_some(())
    })
    .await;
    assert_eq!(at(&stand, "/more").send("GET", None).await.json()["path"], "/plugins/go/more");
    std::fs::remove_file(more).unwrap();
}

#[tokio::test]
async fn control_plane_sync_refreshes_routes_to_the_new_config() {
    let mut stand = gateway().await;
    stand.write(|config| config["plugins"][0]["config"]["slug"] = json!("renamed"));
    reload(&stand).await;
    assert_eq!(status(&stand).await, 404);
    assert_eq!(stand.client().at("/plugins/renamed/token").send("POST", None).await.status, 200);
}

#[tokio::test]
async fn successor_of_a_plugin_may_have_its_slug_and_another_plugin_may_not() {
    let mut stand = gateway().await;
    stand.write(|config| {
        let mut second = config["plugins"][0].clone();
        second["name"] = json!("second");
        config["plugins"].as_array_mut().unwrap().push(second);
    });
    let refused = stand.reloader.reload(Trigger::new(Source::Api, "a test")).await;
    assert!(refused.is_err_and(|refused| refused.reasons().concat().contains("two plugins have the slug")));
    assert_eq!(status(&stand).await, 200, "what was in force stays");
    stand.write(|config| {
        let mut plugins = config["plugins"].as_array().unwrap().clone();
        plugins.remove(0);
        config["plugins"] = plugins.into();
    });
    reload(&stand).await;
    assert_eq!(status(&stand).await, 200, "one plugin takes over from another in one step");
}
