//! Limits, by variable and by key.

use mortise_tests::{Setup, Stand};
use serde_json::{Value, json};

use super::{at, error, setup};

async fn with_variables(variables: &str, limits: Value) -> Stand {
    let setup: Setup = setup().set("endpoints", limits);
    setup.start_with(|folder| std::fs::write(folder.join(".env"), variables).unwrap()).await
}

#[tokio::test]
async fn plugin_endpoint_stream_timeout_is_a_limit_on_the_whole() {
    let stand =
        with_variables("PLUGIN_ENDPOINT_STREAM_TIMEOUT=500ms", json!({ "stream_timeout": 3600 })).await;
    let mut answer = at(&stand, "/stream?forever").raw("GET", "", b"").await;
    // Pieces come all the time; that keeps nothing going.
    answer.wait_for("data: 3").await;
    assert!(!answer.came_whole().await, "cut off, and not ended");
}

#[tokio::test]
async fn plugin_endpoint_max_body_size_is_the_largest_body() {
    let stand = with_variables("PLUGIN_ENDPOINT_MAX_BODY_SIZE=10", json!({})).await;
    assert_eq!(at(&stand, "/x").send("POST", Some(b"0123456789")).await.status, 200);
    let answer = at(&stand, "/x").send("POST", Some(b"0123456789a")).await;
    assert_eq!((answer.status, error(&answer).as_str()), (413, "request body too large (max 10 bytes)"));
}

#[tokio::test]
async fn body_of_more_than_a_megabyte_is_413_by_default() {
    let stand = setup().start().await;
    let body = vec![b'x'; (1 << 20) + 1];
    assert_eq!(at(&stand, "/x").send("POST", Some(&body[1..])).await.status, 200);
    let answer = at(&stand, "/x").send("POST", Some(&body)).await;
    assert_eq!((answer.status, error(&answer).as_str()), (413, "request body too large (max 1MB)"));
}

#[tokio::test]
async fn stream_idle_timeout_is_a_limit_between_pieces() {
    let stand = setup().set("endpoints", json!({ "stream_idle_timeout": 0.4 })).start().await;
    let mut quiet = at(&stand, "/stream?pause").raw("GET", "", b"").await;
    quiet.wait_for("data: first").await;
    assert!(!quiet.came_whole().await);
    let mut lively = at(&stand, "/stream?forever").raw("GET", "", b"").await;
    // Fifty pieces take a second.
    lively.wait_for("data: 50").await;
}

#[test]
fn variable_that_means_nothing_is_an_error_that_names_it() {
    for (variable, value) in
        [("PLUGIN_ENDPOINT_STREAM_TIMEOUT", "soon"), ("PLUGIN_ENDPOINT_MAX_BODY_SIZE", "1MB")]
    {
        let folder = std::sync::Arc::new(tempfile::tempdir().unwrap());
        std::fs::write(folder.path().join(".env"), format!("{variable}={value}")).unwrap();
        let setup = Setup::in_folder(folder);
        let errors = setup.load(&setup.framework()).expect_err(variable).render(false);
        assert!(errors.contains(variable), "{errors}");
    }
}
