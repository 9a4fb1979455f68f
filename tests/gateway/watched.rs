//! Files of the configuration that are caught in the middle of something.

use std::{fs::File, io::Write};

use mortise_testkit::mcp_server::scripted::Scripted;
use mortise_tests::{Setup, Stand, eventually, text};
use serde_json::json;

const GUARD: &str =
    "plugins: [{ name: guard, kind: builtin.pii_filter, config: { block_on_detection: true } }]";

/// A gateway with a plugin file beside its own.
async fn guarded(upstream: &Scripted) -> Stand {
    Setup::new()
        .upstream("docs", upstream)
        .set("plugins_files", json!(["plugins.yaml"]))
        .start_with(|folder| std::fs::write(folder.join("plugins.yaml"), GUARD).unwrap())
        .await
}

async fn is_guarded(stand: &Stand) -> bool {
    let answer = stand.client().call("echo", json!({ "text": "123-45-6789" })).await;
    answer["result"]["isError"] == true && text(&answer).contains("plugin guard")
}

#[tokio::test]
async fn file_that_became_empty_or_vanished_switches_no_guard_off() {
    let upstream = Scripted::start().await.unwrap();
    let stand = guarded(&upstream).await;
    let file = stand.folder().join("plugins.yaml");
    let refused =
        |reloader: &mortise_gateway::reload::Reloader| reloader.refused().map(|why| why.to_string());

    std::fs::write(&file, "").unwrap();
    let why = eventually("the refusal of an empty file", async || refused(&stand.reloader)).await;
    assert!(why.contains("plugins.yaml holds nothing any more"), "{why}");
    assert!(is_guarded(&stand).await);
    std::fs::write(&file, GUARD).unwrap();
    eventually("the file back", async || refused(&stand.reloader).is_none().then_some(())).await;

    std::fs::remove_file(&file).unwrap();
    eventually("the refusal of a missing file", async || refused(&stand.reloader)).await;
    assert!(is_guarded(&stand).await);
    let last = stand.client().get("/api/v1/history").await.json()[0].clone();
    assert_eq!((&last["source"], &last["outcome"]), (&json!("file"), &json!("refused")), "{last}");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn file_that_is_still_being_written_is_waited_for() {
    let upstream = Scripted::start().await.unwrap();
    let stand = guarded(&upstream).await;
    let path = stand.folder().join("plugins.yaml");
    // Once one change was seen, the folder is watched.
    std::fs::write(&path, format!("{GUARD}\nplugin_settings: {{ plugin_timeout: 9 }}")).unwrap();
    eventually("a first change", async || {
        let last = stand.client().get("/api/v1/history").await.json()[0].clone();
        (last["source"] == "file").then_some(())
    })
    .await;
    let mut file = File::create(&path).unwrap();
    // In order as far as it goes, and without the guard.
    file.write_all(b"plugin_settings: { plugin_timeout: 7 }\n").unwrap();
    let began = std::time::Instant::now();
    while began.elapsed() < std::time::Duration::from_secs(3) {
        assert!(is_guarded(&stand).await, "after {:?}", began.elapsed());
    }
    file.write_all(GUARD.replace("true", "false").as_bytes()).unwrap();
    drop(file);
    eventually("the whole file", async || (!is_guarded(&stand).await).then_some(())).await;
    let answer = stand.client().call("echo", json!({ "text": "123-45-6789" })).await;
    assert!(!text(&answer).contains("123-45"), "masked, as the whole file says: {answer}");
}
