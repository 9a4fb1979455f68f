//! The management surface: what operators and probes see, and who may.

use std::collections::BTreeSet;

use mortise_plugin_api::hooks::MCP_HOOKS;
use mortise_telemetry::names::{Kind, METRICS};
use mortise_testkit::{mcp_server::scripted::Scripted, plugins};
use mortise_tests::Setup;
use serde_json::json;

const TOKEN: &str = "token-of-ci";
const ADMIN: &str = "token-of-admin";

#[tokio::test]
async fn plugins_are_listed_in_the_documents_shape_by_priority() {
    let condition = json!([{ "server_ids": ["prod"], "tools": ["echo"], "tenant_ids": [] }]);
    let stand = Setup::new()
        .plugin_with("second", plugins::noop(MCP_HOOKS), json!({ "priority": 50, "mode": "permissive" }))
        .entry(json!({
            "name": "first", "kind": "plugins.pii_filter.pii_filter.PIIFilterPlugin", "priority": 10, "tags": ["pii"],
            "hooks": ["prompt_pre_fetch", "tool_pre_invoke"], "conditions": condition,
            "config": { "detect_ssn": true },
        }))
        .start()
        .await;

    let listed = stand.client().get("/plugins").await.json();

    let first = &listed[0];
    assert_eq!(first["name"], "first");
    assert_eq!(first["priority"], 10);
    assert_eq!(first["mode"], "enforce");
    assert_eq!(first["hooks"], json!(["prompt_pre_fetch", "tool_pre_invoke"]));
    assert_eq!(first["tags"], json!(["pii"]));
    assert_eq!(first["conditions"], json!({ "server_ids": ["prod"], "tools": ["echo"] }));
    assert_eq!((&first["status"], &first["runtime"]), (&json!("ready"), &json!("native")));
    assert_eq!(first["uuid"].as_str().unwrap().len(), 32);
    assert_eq!((&listed[1]["name"], &listed[1]["mode"]), (&json!("second"), &json!("permissive")));
    assert_eq!(listed[1]["hooks"].as_array().unwrap().len(), MCP_HOOKS.len());
    assert_eq!(listed.as_array().unwrap().len(), 2);
    let one = stand.client().get("/api/v1/plugins/first").await.json();
    assert_eq!(one["config"], json!({ "detect_ssn": true }));
    assert_eq!(stand.client().get("/api/v1/plugins/third").await.status, 404);
}

#[tokio::test]
async fn plugin_endpoints_can_be_switched_off() {
    let stand = Setup::new().set("plugin_settings", json!({ "enable_plugin_api": false })).start().await;

    assert_eq!(stand.client().get("/plugins").await.status, 404);
    assert_eq!(stand.client().get("/metrics").await.status, 200);
}

#[tokio::test]
async fn metrics_and_the_table_of_their_names_are_the_same() {
    let upstream = Scripted::start().await.unwrap();
    let stand =
        Setup::new().upstream("docs", &upstream).plugin("noop", plugins::noop(MCP_HOOKS)).start().await;
    stand.client().call("echo", json!({ "text": "x" })).await;

    let text = stand.client().get("/metrics").await.text();

    let kind = |kind: Kind| match kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram => "histogram",
    };
    let table: BTreeSet<String> =
        METRICS.iter().map(|metric| format!("{} {}", metric.name, kind(metric.kind))).collect();
    let exported: BTreeSet<String> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).map(str::to_owned).collect();
    assert_eq!(exported, table);
    for sample in text.lines().filter(|line| !line.starts_with('#')) {
        let name = sample.split(['{', ' ']).next().unwrap();
        let family = METRICS.iter().find(|metric| name.starts_with(metric.name));
        assert!(family.is_some(), "a sample of no family: {sample}");
    }
    for (line, expected) in [
        ("mortise_mcp_requests_total{method=\"tools/call\",outcome=\"ok\"} 1", true),
        ("mortise_plugin_executions_total{plugin=\"noop\",hook=\"tool_pre_invoke\",status=\"pass\"} 1", true),
        ("mortise_upstream_up{upstream=\"docs\"} 1", true),
        ("mortise_upstream_requests_total{upstream=\"docs\",outcome=\"ok\"} 1", true),
        ("mortise_plugins_enabled 1", true),
    ] {
        assert_eq!(text.contains(line), expected, "{line}\n{text}");
    }
    assert!(text.ends_with("# EOF\n"));
}

#[tokio::test]
async fn every_answer_carries_the_requests_id() {
    let upstream = Scripted::start().await.unwrap();
    let stand = Setup::new().upstream("docs", &upstream).app("ci", TOKEN, json!({})).start().await;
    let client = stand.client().with("x-request-id", "my-id-1");
    let known = client.token(TOKEN);
    let huge = known.raw("POST", "content-length: 1000000000000\r\n", b"").await.answer().await;

    for (answer, status) in [
        (known.rpc("tools/call", json!({ "name": "echo" })).await, 200),
        (client.rpc("tools/call", json!({ "name": "echo" })).await, 401),
        (known.with("origin", "https://evil.example").rpc("tools/list", json!({})).await, 403),
        (known.get("/nowhere").await, 404),
        (known.send("PUT", Some(b"{}")).await, 405),
        (known.send("POST", Some(b"no JSON")).await, 400),
        (known.with("mcp-session-id", "unheard-of").rpc("tools/list", json!({})).await, 404),
        (huge, 413),
        (client.get("/health").await, 200),
    ] {
        assert_eq!(answer.status, status, "{}", answer.text());
        assert_eq!(answer.header("x-request-id"), Some("my-id-1"), "{status}");
    }
    let made = stand.client().get("/health").await;
    assert_eq!(made.header("x-request-id").map(str::len), Some(32));
    let refused = stand.client().with("x-request-id", "a b").get("/health").await;
    assert_ne!(refused.header("x-request-id"), Some("a b"));
}

#[tokio::test]
async fn management_wants_the_admin_token_where_there_are_apps() {
    let stand = Setup::new()
        .app("ci", TOKEN, json!({}))
        .app("boss", ADMIN, json!({ "is_admin": true }))
        .entry(json!({ "name": "remote", "kind": "external", "mode": "permissive", "mcp": { "proto": "STDIO", "script": "x" } }))
        .start()
        .await;
    let admin_token = stand.admin_token.clone().unwrap();
    let client = stand.client();

    for path in ["/plugins", "/api/v1/plugins", "/api/v1/plugins/remote", "/api/v1/upstreams", "/metrics"] {
        assert_eq!(client.get(path).await.status, 401, "{path}");
        assert_eq!(client.token("wrong").get(path).await.status, 401, "{path}");
        assert_eq!(client.token(TOKEN).get(path).await.status, 403, "{path}: an app is no administrator");
        assert_eq!(client.token(&admin_token).get(path).await.status, 200, "{path}");
        assert_eq!(client.token(ADMIN).get(path).await.status, 200, "{path}");
    }
    assert_eq!(client.get("/health").await.status, 200);
    let probe = client.get("/ready").await.json();
    assert_eq!(probe["status"], "degraded");
    assert_eq!(probe["degraded"][0].get("reason"), None, "probes are told what, not why");
    assert!(client.token(&admin_token).get("/ready").await.json()["degraded"][0]["reason"].is_string());
}

#[tokio::test]
async fn admin_token_is_shown_once_and_kept_as_a_hash_only() {
    let stand = Setup::new().app("ci", TOKEN, json!({})).start().await;
    let token = stand.admin_token.clone().unwrap();
    let state = stand.folder().join(".mortise");
    for file in std::fs::read_dir(&state).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        assert!(!text.contains(&token));
    }
    let kept = std::fs::read_to_string(state.join("admin.json")).unwrap();
    assert!(kept.contains(&mortise_gateway::config::TokenDigest::of(token.as_bytes()).to_hex()));

    let folder = stand.stop().await;
    let again = Setup::in_folder(folder).app("ci", TOKEN, json!({})).start().await;

    assert_eq!(again.admin_token, None);
    assert_eq!(again.client().token(&token).get("/plugins").await.status, 200);
}
