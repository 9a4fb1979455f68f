//! What a request comes to that no plugin answers as it should.

use std::time::{Duration, Instant};

use mortise_tests::{Setup, Stand, eventually};
use serde_json::json;

use super::{at, entry, error, gateway, guarded, scratch, setup};
use crate::program::kill;

#[tokio::test]
async fn no_route_match_is_404() {
    let stand = Setup::new().process().entry(entry(&["-more-where=/"], &json!({}))).start().await;
    let answer = at(&stand, "/users/1").send("GET", None).await;
    assert_eq!(
        (answer.status, error(&answer)),
        (404, "no endpoint registered for GET /plugins/go/users/1".to_owned())
    );
    let nobody = stand.client().at("/plugins/nobody/x?token=secret").send("POST", None).await;
    assert_eq!(
        (nobody.status, error(&nobody)),
        (404, "no endpoint registered for POST /plugins/nobody/x".to_owned())
    );
    assert_eq!(stand.client().at("/plugins/").send("GET", None).await.status, 404);
}

#[tokio::test]
async fn plugin_not_loaded_is_503() {
    let entry = entry(&[], &json!({ "refuse": "no licence" }));
    let stand = Setup::new().process().entry(entry).start().await;
    let answer = at(&stand, "/token").send("POST", None).await;
    assert_eq!(answer.status, 503);
    assert!(!answer.text().contains("licence"), "the reason is for the log: {}", answer.text());
    assert!(stand.client().get("/ready").await.text().contains("no licence"));
    assert_eq!(
        stand.client().rpc("tools/list", json!({})).await.status,
        200,
        "what does not depend on it goes on"
    );
}

#[tokio::test]
async fn plugin_unhealthy_is_503() {
    let marker = scratch("stays-away");
    let entry = entry(&[&format!("-fail-once={}", marker.display())], &json!({}));
    let stand = Setup::new().process().entry(entry).start().await;
    let pid = pid(&stand).await;
    std::fs::write(&marker, "").unwrap();
    kill(&pid);
    let answer = eventually("the word that it is away", async || {
        let answer = at(&stand, "/token").send("POST", None).await;
        (answer.status != 200).then_some(answer)
    })
    .await;
    assert_eq!(
        (answer.status, error(&answer).as_str()),
        (503, "the plugin of this endpoint is not available")
    );
    eventually("its return", async || {
        (at(&stand, "/token").send("POST", None).await.status == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn plugin_returns_error_via_grpc_is_502() {
    let stand = gateway().await;
    let answer = at(&stand, "/grpc-error").send("GET", None).await;
    assert_eq!(answer.status, 502);
    assert!(
        error(&answer).starts_with("plugin endpoint error: ")
            && answer.text().contains("its database is away")
    );
    let stream = at(&stand, "/stream?grpc-first").send("GET", None).await;
    assert_eq!(stream.status, 502, "{}", stream.text());
}

#[tokio::test]
async fn grpc_timeout_of_a_unary_call_is_504_and_the_plugin_is_told() {
    let (stand, journal) = impatient("unary").await;
    let asked = Instant::now();
    let answer = at(&stand, "/hang").send("GET", None).await;
    assert_eq!(answer.status, 504, "{}", answer.text());
    assert!(asked.elapsed() < Duration::from_secs(5));
    noted(&journal, "cancelled").await;
    assert_eq!(at(&stand, "/token").send("POST", None).await.status, 200);
}

#[tokio::test]
async fn grpc_timeout_of_a_stream_is_504_before_headers() {
    let (stand, journal) = impatient("stream").await;
    let answer = at(&stand, "/stream?silent").send("GET", None).await;
    assert_eq!(answer.status, 504, "{}", answer.text());
    noted(&journal, "stream cancelled").await;
}

#[tokio::test]
async fn auth_required_but_missing_is_401() {
    let stand = guarded().await;
    let answer = at(&stand, "/private/x").send("GET", None).await;
    assert_eq!((answer.status, error(&answer).as_str()), (401, "authentication required"));
    assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    assert_eq!(at(&stand, "/stream/private").send("GET", None).await.status, 401);
}

#[tokio::test]
async fn auth_required_but_invalid_is_401() {
    let stand = guarded().await;
    for client in [at(&stand, "/private/x").token("guessed"), at(&stand, "/private/x?token=guessed")] {
        let answer = client.send("GET", None).await;
        assert_eq!((answer.status, error(&answer).as_str()), (401, "the token is not valid"));
    }
}

#[tokio::test]
async fn streaming_error_after_headers_sent_closes_the_connection() {
    let stand = gateway().await;
    for query in ["error-later", "grpc-later"] {
        let mut answer = at(&stand, &format!("/stream?{query}")).raw("GET", "", b"").await;
        assert!(answer.wait_for("data: first").await.contains("200 OK"), "{query}");
        assert!(!answer.came_whole().await, "{query}: what came must not be taken for all");
    }
}

#[tokio::test]
async fn error_chunk_before_headers_is_500_with_its_message() {
    let stand = gateway().await;
    let answer = at(&stand, "/stream?error-first").send("GET", None).await;
    assert_eq!((answer.status, error(&answer).as_str()), (500, "no stream today"));
}

#[tokio::test]
async fn error_message_in_an_answer_is_its_status_or_500() {
    let stand = gateway().await;
    for (path, status) in [("/error-message/0", 500), ("/error-message/404", 404)] {
        let answer = at(&stand, path).send("GET", None).await;
        assert_eq!((answer.status, error(&answer).as_str()), (status, "no such user"), "{path}");
    }
}

#[tokio::test]
async fn status_and_headers_are_the_plugins_but_for_those_of_the_connection() {
    let stand = gateway().await;
    let answer = at(&stand, "/status/418").send("GET", None).await;
    assert_eq!((answer.status, answer.header("x-kind")), (418, Some("teapot")));
    assert_eq!(at(&stand, "/status/0").send("GET", None).await.status, 200, "0 is 200");
    assert_eq!(at(&stand, "/status/99").send("GET", None).await.status, 502, "no status at all");
    assert_eq!(at(&stand, "/status/204").send("GET", None).await.body.len(), 0);
}

#[tokio::test]
async fn plugin_that_crashes_in_a_call_costs_that_call() {
    let stand = gateway().await;
    let answer = at(&stand, "/crash").send("GET", None).await;
    assert_eq!(answer.status, 503, "{}", answer.text());
    eventually("its return", async || {
        (at(&stand, "/token").send("POST", None).await.status == 200).then_some(())
    })
    .await;
}

/// A gateway that waits for half a second, and the plugin's journal.
async fn impatient(name: &str) -> (Stand, std::path::PathBuf) {
    let journal = scratch(&format!("endpoints-{name}"));
    let entry = entry(&[], &json!({ "journal": journal }));
    let setup = Setup::new().process().entry(entry);
    let limits = json!({ "timeout": 0.5, "stream_timeout": 0.5 });
    (setup.set("endpoints", limits).start().await, journal)
}

async fn noted(journal: &std::path::Path, word: &str) {
    eventually("the plugin's word", async || {
        std::fs::read_to_string(journal).unwrap_or_default().contains(word).then_some(())
    })
    .await;
}

async fn pid(stand: &Stand) -> String {
    at(stand, "/x").send("GET", None).await.json()["pid"].to_string()
}

#[tokio::test]
async fn no_secret_of_a_request_is_in_what_is_kept_of_calls() {
    let stand = setup().app("ci", "sesame", json!({ "is_admin": true })).start().await;
    assert_eq!(at(&stand, "/private/x?token=sesame").send("GET", None).await.status, 200);
    let calls = stand.admin().get("/api/v1/calls").await;
    assert!(calls.text().contains("GET /plugins/go/private/x"), "{}", calls.text());
    assert!(!calls.text().contains("sesame"), "{}", calls.text());
}
