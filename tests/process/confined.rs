//! What a plugin's process may use and reach: said by its entry, or by its own manifest.

use mortise_tests::{Stand, eventually};
use serde_json::{Value, json};

use crate::program::{kill, pid, scratch, stand, tell, told};

/// What the gateway shows of the plugin.
async fn shown(stand: &Stand) -> Value {
    let all = stand.admin().get("/plugins").await.json();
    let listed = all.as_array().unwrap().iter().find(|one| one["name"] == "plugin").cloned().unwrap();
    let one = stand.admin().get("/api/v1/plugins/plugin").await.json();
    assert_eq!(listed["sandbox"], one["confinement"]["profile"], "{one}");
    one["confinement"].clone()
}

#[tokio::test]
async fn rules_and_limits_in_force_are_shown() {
    let plain = shown(&stand(&[], json!({})).await).await;
    assert_eq!((&plain["profile"], &plain["memory_mb"]), (&json!("compat"), &Value::Null), "{plain}");
    assert_eq!((&plain["open_files"], &plain["network"]), (&json!(4096), &json!(true)), "{plain}");

    let process =
        json!({ "memory_mb": 1024, "processes": 4000, "open_files": 300, "sandbox": { "profile": "none" } });
    let stand = stand(&[], json!({ "process": process })).await;
    let bound = shown(&stand).await;
    assert_eq!((&bound["profile"], &bound["enforced"]), (&json!("none"), &json!(false)), "{bound}");
    assert_eq!((&bound["memory_mb"], &bound["processes"]), (&json!(1024), &json!(4000)), "{bound}");
    let by_kernel = tell(&stand.client(), "limits").await;
    match bound["limits_held_by"].as_str().unwrap() {
        "rlimits" => assert_eq!(by_kernel, format!("300 {}", 1024 << 20)),
        held_by => assert_eq!((held_by, by_kernel.split(' ').next()), ("cgroup", Some("300"))),
    }
}

#[tokio::test]
async fn manifest_narrows_what_its_program_may_use_and_reach_before_it_is_initialised() {
    let (starts, outside) = (scratch("starts"), scratch("outside"));
    let own = tempfile::tempdir().unwrap();
    let manifest = json!({
        "requirements": { "memory_mb": 2048 },
        "sandbox": { "write": [own.path(), "/usr"], "read": [std::env::temp_dir()] },
    });
    let args = [format!("-describe={manifest}"), format!("-starts={}", starts.display())];
    let stand = stand(&[&args[0], &args[1]], json!({ "circuit_breaker_enabled": false })).await;
    let client = stand.client();

    let confinement = shown(&stand).await;
    assert_eq!(
        (&confinement["profile"], &confinement["network"]),
        (&json!("strict"), &json!(false)),
        "{confinement}"
    );
    assert_eq!(confinement["memory_mb"], 2048);
    assert_eq!(confinement["write"], json!([own.path()]), "no more than any program may: {confinement}");
    // Under `strict` it could not write there: only its first start has, to ask it what it wants.
    assert_eq!(std::fs::read_to_string(&starts).unwrap(), "started\n");
    let inside = own.path().join("file");
    assert_eq!(tell(&client, &format!("change {}", inside.display())).await, "");
    assert!(tell(&client, &format!("change {}", outside.display())).await.contains("permission denied"));

    let before = pid(&client).await;
    kill(&before);
    let again = eventually("the plugin's return", async || {
        let answer = client.with("x-tell", "pid").rpc("tools/list", json!({})).await;
        told(&answer).filter(|pid| *pid != before)
    });
    again.await;
    assert_eq!(std::fs::read_to_string(&starts).unwrap(), "started\n", "what it wants is known by now");
    std::fs::remove_file(starts).unwrap();
}

#[tokio::test]
async fn entry_has_the_last_word_about_what_its_program_may_reach() {
    let outside = scratch("entry-outside");
    let describe = format!("-describe={}", json!({ "sandbox": { "profile": "strict" } }));
    let stand = stand(&[&describe], json!({ "process": { "sandbox": {} } })).await;

    assert_eq!(shown(&stand).await["profile"], "compat");
    assert_eq!(tell(&stand.client(), &format!("change {}", outside.display())).await, "");
    std::fs::remove_file(outside).unwrap();
}

#[tokio::test]
async fn program_that_refuses_its_configuration_can_be_asked_what_it_wants() {
    let starts = scratch("schema-starts");
    let schema = json!({ "type": "object", "required": ["key"] });
    let args = [format!("-schema={schema}"), format!("-starts={}", starts.display())];
    let stand = stand(&[&args[0], &args[1]], json!({ "config": { "refuse": "no key" } })).await;
    assert!(stand.client().get("/ready").await.text().contains("no key"));

    let told = stand.admin().get("/api/v1/plugins/plugin/config-schema").await;

    assert_eq!(told.json(), schema, "{}", told.text());
    assert_eq!(
        std::fs::read_to_string(&starts).unwrap(),
        "started\nstarted\n",
        "it was started for that alone"
    );
    std::fs::remove_file(starts).unwrap();
}
