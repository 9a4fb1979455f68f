//! A process that is killed while it is asked a lot.

use std::time::{Duration, Instant};

use mortise_tests::{Setup, eventually};
use serde_json::json;
use tokio::task::JoinSet;

use super::{at, entry};
use crate::program::kill;

/// The first pause before a start, which is shortened by half at most, and time for a start on a machine that is busy.
const BACK_OFF: Duration = Duration::from_millis(250);
const START: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_process_costs_its_calls_and_streams_and_is_back() {
    let mut other = entry(&[], &json!({ "slug": "other" }));
    other["name"] = json!("other");
    let stand = Setup::new().process().entry(entry(&[], &json!({}))).entry(other).start().await;
    let pid = at(&stand, "/x").send("GET", None).await.json()["pid"].to_string();
    let (mut hanging, mut streams) = (JoinSet::new(), Vec::new());
    for _ in 0..16 {
        let client = at(&stand, "/hang");
        hanging.spawn(async move { client.send("GET", None).await.status });
        let mut stream = at(&stand, "/stream?forever").raw("GET", "", b"").await;
        stream.wait_for("data: 1").await;
        streams.push(stream);
    }
    // A plugin of its own process, answering and streaming, and what needs no plugin.
    let mut stream_of_another = stand.client().at("/plugins/other/stream?forever").raw("GET", "", b"").await;
    stream_of_another.wait_for("data: 1").await;
    let mut others = JoinSet::new();
    for at in 0..4 {
        let client = stand.client();
        others.spawn(async move {
            for _ in 0..50 {
                let status = match at % 2 {
                    0 => client.rpc("tools/list", json!({})).await.status,
                    _ => client.at("/plugins/other/x").send("GET", None).await.status,
                };
                assert_eq!(status, 200);
            }
        });
    }

    kill(&pid);
    let killed = Instant::now();

    while let Some(status) = hanging.join_next().await {
        assert_eq!(status.unwrap(), 503, "a call that was cut off is one for a plugin that is not there");
    }
    for stream in streams {
        assert!(!stream.came_whole().await, "a stream that was cut off is not taken for one that ended");
    }
    let after = eventually("its return", async || {
        let answer = at(&stand, "/x").send("GET", None).await;
        (answer.status == 200).then(|| answer.json()["pid"].to_string())
    })
    .await;
    assert_ne!(after, pid);
    let away = killed.elapsed();
    assert!(away >= BACK_OFF / 2 && away < BACK_OFF + START, "it was away for {away:?}");
    while let Some(other) = others.join_next().await {
        other.unwrap();
    }
    stream_of_another.wait_for("data: 60\n").await;
    drop(stream_of_another);
    let metrics = stand.admin().get("/metrics").await.text();
    assert!(metrics.contains(r#"mortise_endpoint_streams{plugin="go"} 0"#), "{metrics}");
    assert!(metrics.contains(r#"mortise_endpoint_requests_total{plugin="go",status="5xx"}"#), "{metrics}");
}
