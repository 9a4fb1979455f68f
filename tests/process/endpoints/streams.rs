//! Streamed answers, chunk by chunk.

use mortise_tests::eventually;
use serde_json::json;

use super::{asked, at, entry, gateway, scratch};

#[tokio::test]
async fn chunk_headers_is_the_first_and_sets_status_and_headers() {
    let stand = gateway().await;
    let answer = at(&stand, "/stream?teapot").send("GET", None).await;
    assert_eq!((answer.status, answer.header("cache-control")), (418, Some("no-cache")));
    assert_eq!(answer.header("connection"), Some("close"), "that of the connection stays the gateway's");
    assert_eq!(at(&stand, "/stream").send("GET", None).await.status, 200, "without a status it is 200");
}

#[tokio::test]
async fn chunk_body_is_flushed_to_the_client_at_once() {
    let stand = gateway().await;
    let mut answer = at(&stand, "/stream?pause").raw("GET", "", b"").await;
    // The plugin sends no more until this client leaves.
    answer.wait_for("data: first").await;
}

#[tokio::test]
async fn chunk_body_may_come_zero_or_more_times_and_first() {
    let stand = gateway().await;
    let three = at(&stand, "/stream").send("GET", None).await;
    assert_eq!(three.text(), "data: {\"count\": 0}\n\ndata: {\"count\": 1}\n\ndata: {\"count\": 2}\n\n");
    let without_head = at(&stand, "/stream?no-head").send("GET", None).await;
    assert_eq!((without_head.status, without_head.text().as_str()), (200, "data: without a head\n\n"));
}

#[tokio::test]
async fn chunk_done_ends_the_answer_and_so_does_the_streams_end() {
    let stand = gateway().await;
    for path in ["/stream", "/stream?no-done"] {
        let answer = at(&stand, path).raw("GET", "", b"").await;
        assert!(answer.came_whole().await, "{path}");
    }
}

#[tokio::test]
async fn chunk_error_tells_of_a_failure() {
    let stand = gateway().await;
    assert_eq!(at(&stand, "/stream?error-first").send("GET", None).await.status, 500);
    let later = at(&stand, "/stream?error-later").raw("GET", "", b"").await;
    assert!(!later.came_whole().await);
}

#[tokio::test]
async fn streamed_request_has_all_fields_too() {
    let stand = gateway().await;
    let said = asked(&at(&stand, "/stream?echo"), "POST", Some(b"posted")).await;
    assert_eq!((&said["body"], &said["path_segments"]), (&json!("posted"), &json!(["stream"])));
}

#[tokio::test]
async fn client_that_leaves_cancels_the_plugins_call() {
    let journal = scratch("leaves");
    let entry = entry(&[], &json!({ "journal": journal }));
    let stand = mortise_tests::Setup::new().process().entry(entry).start().await;
    for query in ["forever", "pause"] {
        let _ = std::fs::remove_file(&journal);
        let mut answer = at(&stand, &format!("/stream?{query}")).raw("GET", "", b"").await;
        answer.wait_for("data: ").await;
        drop(answer);
        noted(&journal, "stream cancelled").await;
    }
    let _ = std::fs::remove_file(&journal);
    let hanging = at(&stand, "/hang").raw("GET", "", b"").await;
    noted(&journal, "hangs").await;
    drop(hanging);
    noted(&journal, "cancelled").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_client_holds_up_its_own_stream_and_no_other_call() {
    let progress = scratch("flood");
    let entry = entry(&[], &json!({ "progress": progress }));
    let stand = mortise_tests::Setup::new().process().entry(entry).start().await;
    let mut slow = Vec::new();
    for _ in 0..4 {
        let mut answer = at(&stand, "/stream?flood").raw("GET", "", b"").await;
        answer.wait_for("xxxx").await;
        slow.push(answer);
    }
    let sent = || std::fs::read_to_string(&progress).ok()?.parse::<u32>().ok();
    // Of 64 MiB each it can send as much as the sockets on the way hold, and then has to wait.
    let held = eventually("the plugin to be held up", async || {
        let before = sent()?;
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        (sent()? == before).then_some(before)
    })
    .await;
    assert!(held < 2048, "{held} pieces of 4096 went out to a client that reads nothing");
    for _ in 0..20 {
        assert_eq!(at(&stand, "/large/300000").send("GET", None).await.body.len(), 300_000);
    }
    drop(slow);
}

#[tokio::test]
async fn post_of_any_size_below_the_limit_is_streamed_back_whole() {
    let stand = gateway().await;
    let answer = at(&stand, "/large/5242880").send("GET", None).await;
    assert_eq!((answer.status, answer.body.len()), (200, 5 << 20));
}

pub(super) async fn noted(journal: &std::path::Path, word: &str) {
    eventually(word, async || {
        let told = std::fs::read_to_string(journal).unwrap_or_default();
        told.lines().any(|line| line == word).then_some(())
    })
    .await;
}
