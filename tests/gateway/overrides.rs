//! What is changed of plugins while the gateway runs: what calls see of it, what outlives a restart, what is refused.

use std::os::unix::fs::PermissionsExt;

use mortise_gateway::{
    history::{Outcome, Source},
    overrides::Patch,
    reload::Trigger,
};
use mortise_plugin_api::{
    Hook, HookId, Native, Needs, Plugin, PluginError, Verdict, Violation,
    hooks::{ToolPostInvoke, ToolPreInvoke},
};
use mortise_testkit::mcp_server::scripted::Scripted;
use mortise_tests::{HttpAnswer, Setup, Stand, prefixed_result, text};
use serde_json::{Value, json};
use std::sync::Arc;

const TOOL: [HookId; 2] = [ToolPreInvoke::ID, ToolPostInvoke::ID];

/// Puts `prefix` of its configuration before every result, and blocks a call whose text is `bad`.
fn marking(config: &Value) -> Arc<dyn Plugin> {
    let prefix = config["prefix"].as_str().unwrap_or_default().to_owned();
    Native::new(prefix)
        .on::<ToolPreInvoke>(Needs::block(), |_, call, _| {
            let bad = call.args.value().is_ok_and(|args| args["text"] == "bad");
            let violation = || Violation::new("BAD", "bad text");
            Ok::<_, PluginError>(if bad { Verdict::Block(violation().into()) } else { Verdict::Pass })
        })
        .on::<ToolPostInvoke>(Needs::change(), |prefix, answered, _| {
            Ok(Verdict::Change(prefixed_result(answered, prefix)))
        })
        .into_plugin()
}

fn entry(name: &str, priority: i64, prefix: &str) -> Value {
    json!({ "name": name, "kind": "builtin.marking", "priority": priority, "config": { "prefix": prefix } })
}

fn quiet() -> Setup {
    Setup::new().set("watch", json!(false)).kind("marking", &TOOL, marking)
}

/// Two plugins: results come back as `ba call`.
async fn stand(upstream: &Scripted) -> Stand {
    quiet().upstream("docs", upstream).entry(entry("a", 10, "a")).entry(entry("b", 20, "b")).start().await
}

async fn ask(stand: &Stand, method: &str, path: &str, body: Value) -> HttpAnswer {
    stand.admin().at(path).send(method, Some(body.to_string().as_bytes())).await
}

async fn patch(stand: &Stand, plugin: &str, body: Value) -> HttpAnswer {
    ask(stand, "PATCH", &format!("/api/v1/plugins/{plugin}"), body).await
}

async fn seen(stand: &Stand) -> String {
    text(&stand.client().call("echo", json!({ "text": " call" })).await).to_owned()
}

async fn is_blocked(stand: &Stand) -> bool {
    stand.client().call("echo", json!({ "text": "bad" })).await["result"]["isError"] == true
}

#[tokio::test]
async fn calls_see_another_priority_mode_and_configuration_at_once() {
    let upstream = Scripted::start().await.unwrap();
    let stand = stand(&upstream).await;
    assert_eq!(seen(&stand).await, "ba call");

    let answer = patch(&stand, "b", json!({ "priority": 5, "config": { "prefix": "c" } })).await;

    assert_eq!(answer.status, 200, "{}", answer.text());
    let metrics = stand.client().get("/metrics").await.text();
    for line in ["mortise_plugin_overridden{plugin=\"a\"} 0", "mortise_plugin_overridden{plugin=\"b\"} 1"] {
        assert!(metrics.contains(line), "{line}");
    }
    let plugin = &answer.json()["plugin"];
    assert_eq!((&plugin["priority"], &plugin["config"]), (&json!(5), &json!({ "prefix": "c" })));
    assert_eq!(plugin["override"]["priority"], 5);
    assert_eq!(plugin["override"]["config"], json!({ "prefix": "c" }));
    assert_eq!(plugin["override"]["by"], "admin token");
    assert_eq!(
        plugin["configured"],
        json!({ "mode": "enforce", "priority": 20, "config": { "prefix": "b" } })
    );
    assert_eq!(seen(&stand).await, "ac call");
    let listed = stand.client().get("/plugins").await.json();
    assert_eq!((&listed[0]["name"], &listed[0]["configured"]["priority"]), (&json!("b"), &json!(20)));
    assert_eq!(listed[1].get("override"), None);

    assert!(is_blocked(&stand).await);
    let both = patch(&stand, "a", json!({ "mode": "permissive" })).await;
    assert_eq!(both.json()["outcome"], "applied");
    assert_eq!(patch(&stand, "b", json!({ "mode": "permissive" })).await.status, 200);
    assert!(!is_blocked(&stand).await);
    assert_eq!(patch(&stand, "b", json!({ "mode": "permissive" })).await.json()["outcome"], "unchanged");

    for plugin in ["a", "b"] {
        let reset = ask(&stand, "DELETE", &format!("/api/v1/plugins/{plugin}/override"), json!({})).await;
        assert_eq!((reset.status, reset.json()["plugin"].get("override")), (200, None));
    }
    assert_eq!(seen(&stand).await, "ba call");
    assert!(is_blocked(&stand).await);
}

#[tokio::test]
async fn overrides_outlive_restarts_and_reloads_and_are_the_owners_alone() {
    let upstream = Scripted::start().await.unwrap();
    let mut stand = stand(&upstream).await;
    patch(&stand, "a", json!({ "enabled": false })).await;
    patch(&stand, "b", json!({ "config": { "prefix": "c", "api_key": "hunter2" } })).await;
    assert_eq!(seen(&stand).await, "c call");

    stand.write(|config| config["plugins"][1]["config"] = json!({ "prefix": "d", "more": 1 }));
    let report = stand.reloader.reload(Trigger::new(Source::Api, "the test")).await.unwrap();
    assert_eq!(report.outcome, Outcome::Applied);
    assert_eq!(seen(&stand).await, "c call");
    let plugin = stand.client().get("/api/v1/plugins/b").await.json();
    assert_eq!(plugin["config"], json!({ "prefix": "c", "more": 1, "api_key": "***" }));
    assert_eq!(plugin["configured"]["config"], json!({ "prefix": "d", "more": 1 }));
    let again = ask(&stand, "POST", "/plugins/reload/b", json!({})).await;
    assert_eq!((again.status, seen(&stand).await.as_str()), (200, "c call"));

    let file = stand.folder().join(".mortise/overrides.json");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let token = stand.admin_token.clone().unwrap();
    let folder = stand.stop().await;
    let again = Setup::in_folder(folder)
        .set("watch", json!(false))
        .kind("marking", &TOOL, marking)
        .upstream("docs", &upstream)
        .entry(entry("a", 10, "a"))
        .entry(entry("b", 20, "b"))
        .start()
        .await;
    assert_eq!(seen(&again).await, "c call");
    let ready = again.client().get("/ready").await.json();
    assert_eq!((&ready["plugins_enabled"], &ready["switched_off"]), (&json!(true), &json!(["a"])));
    let on = again
        .client()
        .token(&token)
        .at("/api/v1/plugins/a")
        .send("PATCH", Some(br#"{"enabled":true}"#))
        .await;
    assert_eq!(
        (on.status, on.json()["plugin"].get("override")),
        (200, None),
        "nothing is left of the switch"
    );
    assert_eq!(seen(&again).await, "ca call");
}

#[tokio::test]
async fn gateway_that_overlaps_the_one_before_it_waits_and_loses_nothing_that_one_kept() {
    let upstream = Scripted::start().await.unwrap();
    let first = stand(&upstream).await;
    let folder = first.folder_kept();
    let second = tokio::spawn(
        Setup::in_folder(folder)
            .set("watch", json!(false))
            .kind("marking", &TOOL, marking)
            .upstream("docs", &upstream)
            .entry(entry("a", 10, "a"))
            .entry(entry("b", 20, "b"))
            .start(),
    );
    tokio::task::yield_now().await;
    assert_eq!(patch(&first, "a", json!({ "config": { "prefix": "c" } })).await.status, 200);
    assert!(!second.is_finished(), "it does not serve while the first has the folder");
    first.stop().await;

    let second = second.await.unwrap();

    assert_eq!(seen(&second).await, "bc call");
    let found = mortise_gateway::state_dir::LocalGateway::find(&second.folder().join(".mortise")).unwrap();
    assert!(found.url.ends_with(&second.address().port().to_string()), "{}", found.url);
}

#[tokio::test]
async fn refused_override_says_why_and_leaves_everything_as_it_was() {
    let upstream = Scripted::start().await.unwrap();
    let stand = quiet()
        .upstream("docs", &upstream)
        .entry(json!({ "name": "pii", "kind": "builtin.pii_filter", "config": { "detect_email": true } }))
        .start()
        .await;
    let before = stand.client().get("/api/v1/plugins/pii").await.json();

    let refused =
        patch(&stand, "pii", json!({ "priority": 1, "config": { "detect_emial": "hunter2" } })).await;

    assert_eq!(refused.status, 422, "{}", refused.text());
    let reason = refused.json()["reasons"][0].as_str().unwrap().to_owned();
    assert!(reason.contains("override of `pii`") && reason.contains("detect_emial"), "{reason}");
    assert!(
        refused.json()["errors"][0]["help"].as_str().unwrap().contains("detect_email"),
        "{}",
        refused.text()
    );
    let after = stand.client().get("/api/v1/plugins/pii").await.json();
    assert_eq!((&after["uuid"], &after["priority"]), (&before["uuid"], &before["priority"]));
    assert_eq!(after.get("override"), None);
    assert!(!stand.folder().join(".mortise/overrides.json").exists());
    assert_eq!(stand.client().get("/ready").await.json()["status"], "ready");
    let entry = stand.client().get("/api/v1/history").await.json()[0].clone();
    assert_eq!((&entry["outcome"], &entry["plugin"]), (&json!("refused"), &json!("pii")));

    for (body, status, word) in [
        (
            json!({ "mode": "enforced" }),
            422,
            "`mode`: \"enforced\" is not one of enforce, enforce_ignore_error,",
        ),
        (json!({ "mode": 5 }), 422, "`mode`: 5 is not one of enforce,"),
        (json!({ "priority": "7" }), 422, "`priority`: \"7\" is not a whole number or null"),
        (json!({ "enabled": "no" }), 422, "`enabled`: \"no\" is not true, false or null"),
        (json!({ "config": "hunter2" }), 422, "`config`: what was given is not an object or null"),
        (json!({ "prio": 1 }), 422, "unknown field `prio`, expected one of `enabled`, `mode`, `priority`"),
        (json!([1]), 422, "object"),
    ] {
        let answer = patch(&stand, "pii", body.clone()).await;
        assert_eq!(answer.status, status, "{body}");
        assert!(answer.json()["detail"].as_str().unwrap().contains(word), "{body}: {}", answer.text());
    }
    assert_eq!(stand.admin().at("/api/v1/plugins/pii").send("PATCH", Some(b"{")).await.status, 400);
    assert_eq!(ask(&stand, "PATCH", "/api/v1/plugins", json!({})).await.status, 422);
    let answer = ask(&stand, "PATCH", "/api/v1/plugins", json!({ "enabled": 5 })).await;
    assert!(answer.json()["detail"].as_str().unwrap().contains("`enabled`:"), "{}", answer.text());
    let missing = patch(&stand, "nobody", json!({ "priority": 1 })).await;
    assert_eq!((missing.status, &missing.json()["detail"]), (404, &json!("Plugin 'nobody' not found")));
    let large = vec![b' '; (1 << 20) + 1];
    assert_eq!(stand.admin().at("/api/v1/plugins/pii").send("PATCH", Some(&large)).await.status, 413);
    let plain = stand.admin().with("content-type", "text/plain").at("/api/v1/plugins/pii");
    assert_eq!(plain.send("PATCH", Some(b"{}")).await.status, 415);
    let post = stand.admin().at("/api/v1/plugins/pii").send("POST", Some(b"{}")).await;
    assert_eq!((post.status, post.header("allow")), (405, Some("GET, HEAD, PATCH, PUT, DELETE")));
}

#[tokio::test]
async fn all_plugins_are_switched_off_and_on_and_every_answer_of_ready_says_so() {
    let upstream = Scripted::start().await.unwrap();
    let stand = stand(&upstream).await;
    let enabled = async || stand.client().get("/ready").await.json()["plugins_enabled"].clone();
    let metric = async |line: &str| stand.client().get("/metrics").await.text().contains(line);
    assert_eq!(enabled().await, true);

    let off = ask(&stand, "PATCH", "/api/v1/plugins", json!({ "enabled": false })).await;

    assert_eq!((off.status, &off.json()["plugins_enabled"]), (200, &json!(false)), "{}", off.text());
    assert_eq!(seen(&stand).await, " call", "calls pass unguarded");
    assert!(!is_blocked(&stand).await);
    assert_eq!(enabled().await, false);
    assert!(metric("mortise_plugins_enabled 0").await);
    let shown = stand.client().get("/api/v1/overrides").await.json();
    assert_eq!(
        (&shown["plugins_enabled"]["enabled"], &shown["plugins_enabled"]["by"]),
        (&json!(false), &json!("admin token"))
    );
    // A reload of the files does not switch them on.
    stand.reloader.reload(Trigger::new(Source::Api, "the test")).await.unwrap();
    assert_eq!(seen(&stand).await, " call");

    // As a signal does it.
    let on = Trigger::patch(Source::Signal, "SIGUSR2", Patch::Switch(Some(true)));
    assert_eq!(stand.reloader.reload(on).await.unwrap().outcome, Outcome::Applied);
    assert_eq!(seen(&stand).await, "ba call");
    assert!(is_blocked(&stand).await);
    assert_eq!(enabled().await, true);
    assert!(metric("mortise_plugins_enabled 1").await);
    assert_eq!(
        stand.client().get("/api/v1/overrides").await.json(),
        json!({ "plugins_enabled": null, "plugins": [] })
    );
}

#[tokio::test]
async fn switch_works_while_the_files_are_wrong_and_brings_nothing_else_in() {
    let upstream = Scripted::start().await.unwrap();
    let mut stand = stand(&upstream).await;
    stand.write(|config| config["plugins"] = json!("half of a"));

    assert_eq!(patch(&stand, "a", json!({ "enabled": false })).await.status, 200);
    assert_eq!(seen(&stand).await, "b call");

    stand.write(|config| config["plugins"] = json!([entry("a", 10, "x"), entry("b", 20, "y")]));
    assert_eq!(patch(&stand, "a", json!({ "enabled": true })).await.status, 200);
    assert_eq!(seen(&stand).await, "ba call");
}

#[tokio::test]
async fn plugin_that_is_switched_off_runs_in_no_binding_either() {
    let upstream = Scripted::start().await.unwrap();
    let stand = quiet()
        .upstream("docs", &upstream)
        .entry(entry("a", 10, "a"))
        .set("bindings", json!([{ "plugin": "a", "scope": { "tool": "echo" }, "mode": "sequential" }]))
        .start()
        .await;
    assert_eq!(seen(&stand).await, "a call", "its hook after runs once");
    assert_eq!(patch(&stand, "a", json!({ "enabled": false })).await.status, 200);
    assert_eq!(seen(&stand).await, " call");
}

#[tokio::test]
async fn plugin_that_needs_one_that_is_switched_off_is_named() {
    let mut needy = entry("b", 20, "b");
    needy["dependencies"] = json!(["a"]);
    let stand = quiet().entry(entry("a", 10, "a")).entry(needy).start().await;
    let off = patch(&stand, "a", json!({ "enabled": false })).await;
    assert_eq!(off.status, 200, "{}", off.text());
    assert!(
        off.json()["notices"][0].as_str().unwrap().contains("`b` needs the plugin `a`"),
        "{}",
        off.text()
    );
    let other = patch(&stand, "b", json!({ "priority": 1 })).await;
    assert_eq!(other.json()["notices"], json!([]), "it is told once");
}

#[tokio::test]
async fn override_of_a_plugin_that_is_gone_waits_for_it_and_is_named() {
    let upstream = Scripted::start().await.unwrap();
    let mut stand = stand(&upstream).await;
    patch(&stand, "b", json!({ "config": { "prefix": "c" } })).await;
    stand.write(|config| config["plugins"] = json!([entry("a", 10, "a")]));

    let gone = ask(&stand, "POST", "/api/v1/reload", json!({})).await;

    assert_eq!(gone.status, 200, "{}", gone.text());
    assert!(gone.json()["notices"][0].as_str().unwrap().contains("override of `b`"), "{}", gone.text());
    let shown = stand.client().get("/api/v1/overrides").await.json();
    assert_eq!(
        (&shown["plugins"][0]["name"], &shown["plugins"][0]["configured"]),
        (&json!("b"), &json!(false))
    );
    assert_eq!(seen(&stand).await, "a call");
    stand.write(|config| config["plugins"] = json!([entry("a", 10, "a"), entry("b", 20, "b")]));
    stand.reloader.reload(Trigger::new(Source::Api, "the test")).await.unwrap();
    assert_eq!(seen(&stand).await, "ca call");
    let all = ask(&stand, "DELETE", "/api/v1/overrides", json!({})).await;
    assert_eq!((all.status, seen(&stand).await.as_str()), (200, "ba call"), "{}", all.text());
}

#[tokio::test]
async fn history_names_who_changed_what_over_the_configuration_and_no_secret() {
    let upstream = Scripted::start().await.unwrap();
    let stand = stand(&upstream).await;
    let body =
        json!({ "mode": "permissive", "config": { "api_key": "hunter2", "headers": { "X": "hunter3" } } });
    patch(&stand, "a", body).await;
    ask(&stand, "PATCH", "/api/v1/plugins", json!({ "enabled": false })).await;

    let history = stand.client().get("/api/v1/history").await;

    let entries = history.json();
    assert_eq!(
        entries[0]["changes"],
        json!([{ "path": "plugins_enabled", "change": "changed", "from": true, "to": false }])
    );
    let entry = &entries[1];
    assert_eq!(
        (&entry["who"], &entry["source"], &entry["plugin"]),
        (&json!("admin token"), &json!("api"), &json!("a"))
    );
    let paths: Vec<&str> =
        entry["changes"].as_array().unwrap().iter().map(|change| change["path"].as_str().unwrap()).collect();
    assert_eq!(
        paths,
        [
            "plugins[a].override.config.api_key",
            "plugins[a].override.config.headers.X",
            "plugins[a].override.mode"
        ]
    );
    assert_eq!(entry["changes"][2]["to"], "permissive");
    let of_a = stand.client().get("/api/v1/history?plugin=a").await.json();
    assert_eq!(of_a.as_array().unwrap().len(), 1);
    for page in ["/api/v1/history", "/api/v1/plugins/a", "/plugins", "/api/v1/overrides"] {
        let shown = stand.admin().get(page).await.text();
        assert!(!shown.contains("hunter2"), "{page}: {shown}");
    }
    assert!(!history.text().contains("hunter"), "{}", history.text());
    let file = std::fs::read_to_string(stand.folder().join(".mortise/history.jsonl")).unwrap();
    assert!(!file.contains("hunter"), "{file}");
}

#[tokio::test]
async fn change_that_changes_nothing_is_answered_and_leaves_no_trace() {
    let upstream = Scripted::start().await.unwrap();
    let stand = stand(&upstream).await;
    patch(&stand, "a", json!({ "mode": "permissive" })).await;
    let history = async || stand.client().get("/api/v1/history").await.json().as_array().unwrap().len();
    let snapshot = stand.client().get("/api/v1/history").await.json()[0]["snapshot"].clone();
    let before = history().await;
    for body in
        [json!({ "mode": "permissive" }), json!({ "enabled": true }), json!({ "priority": null }), json!({})]
    {
        let answer = patch(&stand, "a", body.clone()).await;
        assert_eq!((answer.status, &answer.json()["outcome"]), (200, &json!("unchanged")), "{body}");
        assert_eq!(answer.json()["snapshot"], snapshot, "nothing was put in force");
    }
    let answer = ask(&stand, "PATCH", "/api/v1/plugins", json!({ "enabled": true })).await;
    assert_eq!((answer.status, &answer.json()["outcome"]), (200, &json!("unchanged")));
    assert_eq!(history().await, before);
    patch(&stand, "a", json!({ "mode": null })).await;
    assert_eq!(history().await, before + 1);
}

#[tokio::test]
async fn changing_plugins_wants_the_admin_token_also_on_loopback() {
    let upstream = Scripted::start().await.unwrap();
    let stand = stand(&upstream).await;
    for (method, path) in [
        ("PATCH", "/api/v1/plugins"),
        ("PATCH", "/api/v1/plugins/a"),
        ("DELETE", "/api/v1/plugins/a/override"),
        ("DELETE", "/api/v1/overrides"),
        ("POST", "/plugins/stats/reset"),
    ] {
        let body = Some(br#"{"enabled":false}"#.as_slice());
        assert_eq!(stand.client().at(path).send(method, body).await.status, 401, "{method} {path}");
        let wrong = stand.client().token("wrong").at(path).send(method, body).await;
        assert_eq!(wrong.status, 401, "{method} {path}");
    }
    assert_eq!(seen(&stand).await, "ba call");
}

#[tokio::test]
async fn damaged_overrides_keep_a_gateway_from_starting_unguarded() {
    let upstream = Scripted::start().await.unwrap();
    let stand = stand(&upstream).await;
    patch(&stand, "a", json!({ "mode": "permissive" })).await;
    let file = stand.folder().join(".mortise/overrides.json");
    let folder = stand.stop().await;
    std::fs::write(file, "{").unwrap();
    let setup = Setup::in_folder(folder).kind("marking", &TOOL, marking).entry(entry("a", 10, "a"));
    let errors = setup.load(&setup.framework()).unwrap_err();
    assert!(errors.render(false).contains("overrides.json"), "{}", errors.render(false));
}

#[tokio::test]
async fn statistics_are_served_and_begun_anew_under_the_documents_paths() {
    let upstream = Scripted::start().await.unwrap();
    let stand = stand(&upstream).await;
    seen(&stand).await;
    let stats = stand.client().get("/plugins/stats").await.json();
    assert_eq!((&stats["total_plugins"], &stats["enabled_plugins"]), (&json!(2), &json!(2)));
    assert_eq!(stats["executions"], 4, "{stats}");

    let reset = ask(&stand, "POST", "/plugins/stats/reset", json!({})).await;

    assert_eq!((reset.status, &reset.json()["status"]), (200, &json!("success")));
    assert_eq!(reset.json()["before"]["executions"], 4);
    assert_eq!(stand.client().get("/api/v1/plugin-stats").await.json()["executions"], 0);
    let metrics = stand.client().get("/metrics").await.text();
    let line = "mortise_plugin_executions_total{plugin=\"a\",hook=\"tool_pre_invoke\",status=\"pass\"} 1";
    assert!(metrics.contains(line), "metrics go on");
    assert_eq!(stand.client().at("/plugins/stats").send("POST", Some(b"")).await.status, 405);
}
