//! A process that is killed while it is asked a lot.

use mortise_tests::eventually;
use tokio::task::JoinSet;

use super::{at, gateway};
use crate::program::kill;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_process_costs_its_calls_and_streams_and_is_back() {
    let stand = gateway().await;
    let pid = at(&stand, "/x").send("GET", None).await.json()["pid"].to_string();
    let (mut hanging, mut streams) = (JoinSet::new(), Vec::new());
    for _ in 0..16 {
        let client = at(&stand, "/hang");
        hanging.spawn(async move { client.send("GET", None).await.status });
        let mut stream = at(&stand, "/stream?forever").raw("GET", "", b"").await;
        stream.wait_for("data: 1").await;
        streams.push(stream);
    }
    let mut others = JoinSet::new();
    for _ in 0..4 {
        let client = stand.client();
        others.spawn(async move {
            for _ in 0..50 {
                assert_eq!(client.rpc("tools/list", serde_json::json!({})).await.status, 200);
            }
        });
    }

    kill(&pid);

    while let Some(status) = hanging.join_next().await {
        assert_eq!(status.unwrap(), 503, "a call that was cut off is one for a plugin that is not there");
    }
    for stream in streams {
        assert!(!stream.came_whole().await, "a stream that was cut off is not taken for one that ended");
    }
    while let Some(other) = others.join_next().await {
        other.unwrap();
    }
    let after = eventually("its return", async || {
        let answer = at(&stand, "/x").send("GET", None).await;
        (answer.status == 200).then(|| answer.json()["pid"].to_string())
    })
    .await;
    assert_ne!(after, pid);
    let metrics = stand.admin().get("/metrics").await.text();
    assert!(metrics.contains(r#"mortise_endpoint_streams{plugin="go"} 0"#), "{metrics}");
    assert!(metrics.contains(r#"mortise_endpoint_requests_total{plugin="go",status="5xx"}"#), "{metrics}");
}
