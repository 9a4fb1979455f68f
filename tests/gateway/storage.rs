//! What is kept in storage: apps and tokens that let callers in, plugins beside those of files, values of plugins; over
//! restarts, and by several gateways at one database.

use std::{sync::Arc, time::Duration};

use mortise_gateway::{
    config,
    storage::{Storage, StoredValues},
};
use mortise_plugin_api::host::KeyValue;
use mortise_store::Place;
use mortise_testkit::{mcp_server::scripted::Scripted, postgres};
use mortise_tests::{Client, HttpAnswer, Setup, Stand, eventually, text};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A client that manages a gateway.
struct Admin(Client);

impl Admin {
    fn of(stand: &Stand) -> Self {
        Self(stand.admin())
    }

    async fn ask(&self, method: &str, path: &str, body: Value) -> HttpAnswer {
        let body = body.to_string();
        let body = (method != "GET" && method != "DELETE").then_some(body.as_bytes());
        self.0.at(path).send(method, body).await
    }

    /// The same where it must be done.
    async fn done(&self, method: &str, path: &str, body: Value) -> Value {
        let answer = self.ask(method, path, body).await;
        assert!((200..300).contains(&answer.status), "{method} {path}: {} {}", answer.status, answer.text());
        if answer.body.is_empty() { Value::Null } else { answer.json() }
    }

    /// An app and a token of it: its number, the token's, the token.
    async fn app(&self, app: Value) -> (i64, i64, String) {
        let app = self.done("POST", "/api/v1/apps", app).await;
        let token = self.done("POST", "/api/v1/tokens", json!({ "app": app["id"] })).await;
        let number = |value: &Value| value["id"].as_i64().unwrap();
        (number(&app), number(&token), token["token"].as_str().unwrap().to_owned())
    }
}

async fn status(client: &Client) -> u16 {
    client.rpc("tools/call", json!({ "name": "echo", "arguments": { "text": "x" } })).await.status
}

#[tokio::test]
async fn nothing_is_made_as_long_as_nothing_is_kept() {
    let stand = Setup::new().start().await;
    let admin = Admin::of(&stand);

    assert_eq!(admin.done("GET", "/api/v1/apps", json!({})).await["total"], 0);
    assert_eq!(admin.ask("GET", "/api/v1/apps/1", json!({})).await.status, 404);
    assert_eq!(admin.ask("DELETE", "/api/v1/tokens/1", json!({})).await.status, 404);

    assert!(!stand.folder().join(".mortise/store.db").exists());
    assert_eq!(stand.client().get("/plugins").await.status, 200, "readings are open as before");
}

#[tokio::test]
async fn first_app_closes_the_gateway_and_its_token_opens_every_surface_at_once() {
    let upstream = Scripted::start().await.unwrap();
    let servers = json!({ "support": {}, "other": {} });
    let stand = Setup::new().upstream("docs", &upstream).set("servers", servers).start().await;
    let (admin, client) = (Admin::of(&stand), stand.client());
    assert_eq!(status(&client).await, 200);

    let boss = json!({ "name": "boss", "is_admin": true, "owner": "boss@example.com" });
    let (_, _, token) = admin.app(boss).await;

    assert_eq!(status(&client).await, 401);
    assert_eq!(status(&client.token(&token)).await, 200);
    assert_eq!(status(&client.with("x-api-key", &token)).await, 200);
    assert_eq!(status(&client.at("/servers/support/mcp").token(&token)).await, 200);
    assert_eq!(client.token(&token).get("/api/v1/apps").await.status, 200);
    let (limited, _, token) = admin.app(json!({ "name": "limited", "servers": ["support"] })).await;
    assert_eq!(status(&client.at("/servers/support/mcp").token(&token)).await, 200);
    assert_eq!(status(&client.at("/servers/other/mcp").token(&token)).await, 403);
    assert_eq!(client.token(&token).get("/api/v1/apps").await.status, 403);
    let path = format!("/api/v1/apps/{limited}");
    admin.done("PATCH", &path, json!({ "servers": ["other"] })).await;
    assert_eq!(status(&client.at("/servers/other/mcp").token(&token)).await, 200);
    assert_eq!(status(&client.at("/servers/support/mcp").token(&token)).await, 403);
}

#[tokio::test]
async fn what_is_revoked_inactive_or_over_is_refused_at_once() {
    let upstream = Scripted::start().await.unwrap();
    let stand = Setup::new().upstream("docs", &upstream).start().await;
    let (admin, client) = (Admin::of(&stand), stand.client());
    let (app, token_id, token) = admin.app(json!({ "name": "ci" })).await;
    let (app, token_path) = (format!("/api/v1/apps/{app}"), format!("/api/v1/tokens/{token_id}"));
    let caller = client.token(&token);

    for (path, patch, expected) in [
        (&app, json!({ "active": false }), 401),
        (&app, json!({ "active": true }), 200),
        (&token_path, json!({ "active": false }), 401),
        (&token_path, json!({ "active": true }), 200),
        (&token_path, json!({ "expires": "2020-01-31" }), 401),
        (&token_path, json!({ "expires": null }), 200),
        (&app, json!({ "name": "renamed" }), 200),
    ] {
        admin.done("PATCH", path, patch.clone()).await;
        assert_eq!(status(&caller).await, expected, "{patch}");
    }
    admin.done("DELETE", &token_path, json!({})).await;
    assert_eq!(status(&caller).await, 401);
    let fresh = admin.done("POST", "/api/v1/tokens", json!({ "app": "renamed", "name": "second" })).await;
    let caller = client.token(fresh["token"].as_str().unwrap());
    assert_eq!(status(&caller).await, 200);
    admin.done("DELETE", &app, json!({})).await;
    assert_eq!(status(&caller).await, 401);
    assert_eq!(status(&client).await, 401, "that the last app is gone opens nothing");
}

#[tokio::test]
async fn token_is_shown_once_and_kept_nowhere() {
    let stand = Setup::new().start().await;
    let admin = Admin::of(&stand);
    let (_, id, token) = admin.app(json!({ "name": "ci" })).await;

    let listed = admin.done("GET", "/api/v1/tokens?app=ci", json!({})).await;
    assert_eq!((&listed["total"], &listed["items"][0]["id"]), (&json!(1), &json!(id)));
    let shown = admin.done("GET", &format!("/api/v1/tokens/{id}"), json!({})).await;
    assert!(token.starts_with(shown["prefix"].as_str().unwrap()));
    for answer in [&listed, &shown] {
        let answer = answer.to_string();
        assert!(!answer.contains(&token) && !answer.contains("digest"), "{answer}");
    }
    for file in std::fs::read_dir(stand.folder().join(".mortise")).unwrap() {
        let path = file.unwrap().path();
        let bytes = std::fs::read(&path).unwrap_or_default();
        assert!(!bytes.windows(token.len()).any(|part| part == token.as_bytes()), "{}", path.display());
    }
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(stand.folder().join(".mortise/store.db")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn apps_tokens_and_plugins_outlive_a_restart() {
    let upstream = Scripted::start().await.unwrap();
    let stand = Setup::new().upstream("docs", &upstream).start().await;
    let admin = Admin::of(&stand);
    let (_, _, token) = admin.app(json!({ "name": "ci" })).await;
    admin.done("POST", "/api/v1/plugins", replacing("hello", "x", "stored")).await;
    let folder: Arc<TempDir> = stand.stop().await;

    let stand = Setup::in_folder(folder).upstream("docs", &upstream).start().await;

    assert_eq!(status(&stand.client()).await, 401);
    let answer = stand.client().token(&token).call("echo", json!({ "text": "x" })).await;
    assert_eq!(text(&answer), "stored");
}

/// A plugin that replaces a word of arguments.
fn replacing(name: &str, word: &str, by: &str) -> Value {
    json!({
        "name": name, "kind": "builtin.regex_filter", "hook_types": ["tool_pre_invoke"], "order": 7,
        "config": { "words": [{ "search": word, "replace": by }] },
    })
}

#[tokio::test]
async fn plugins_of_files_and_of_storage_stand_in_one_list() {
    let upstream = Scripted::start().await.unwrap();
    let mut in_file = replacing("in_file", "a", "b");
    let entry = in_file.as_object_mut().unwrap();
    let hooks = entry.remove("hook_types").unwrap();
    entry.insert("hooks".to_owned(), hooks);
    entry.remove("order");
    let stand = Setup::new().upstream("docs", &upstream).entry(in_file).start().await;
    let (admin, client) = (Admin::of(&stand), stand.client());
    let said = async |client: &Client| text(&client.call("echo", json!({ "text": "a c" })).await).to_owned();
    assert_eq!(said(&client).await, "b c");

    let made = admin.done("POST", "/api/v1/plugins", replacing("stored", "c", "d")).await;

    assert_eq!(said(&client).await, "b d");
    let listed = admin.done("GET", "/api/v1/plugins", json!({})).await;
    let listed: Vec<_> =
        listed.as_array().unwrap().iter().map(|p| (&p["name"], &p["id"], &p["status"])).collect();
    let ready = json!("ready");
    assert_eq!(listed, [(&json!("stored"), &made["id"], &ready), (&json!("in_file"), &Value::Null, &ready)]);
    let by_number = admin.done("GET", &format!("/api/v1/plugins/{}", made["id"]), json!({})).await;
    assert_eq!(by_number["name"], "stored");
    let well = admin.done("GET", "/api/v1/plugins/stored/health", json!({})).await;
    assert_eq!(well, json!({ "healthy": true, "status": "ready", "reason": null }));
    let schema = admin.done("GET", "/api/v1/plugins/in_file/config-schema", json!({})).await;
    assert!(schema["properties"]["words"].is_object(), "{schema}");
    for (method, path) in [("PUT", "/api/v1/plugins/in_file"), ("DELETE", "/api/v1/plugins/in_file")] {
        let refused = admin.ask(method, path, replacing("in_file", "x", "y")).await;
        assert_eq!(refused.status, 409, "{}", refused.text());
        assert!(refused.text().contains("mortise.yaml"), "{}", refused.text());
    }
    let taken = admin.ask("POST", "/api/v1/plugins", replacing("in_file", "x", "y")).await;
    assert_eq!(taken.status, 409);
    let twice = admin.ask("POST", "/api/v1/plugins", replacing("stored", "x", "y")).await;
    assert_eq!(twice.status, 409);

    admin.done("PUT", "/api/v1/plugins/stored", replacing("stored", "c", "e")).await;
    assert_eq!(said(&client).await, "b e");
    admin.done("PATCH", "/api/v1/plugins/stored", json!({ "enabled": false })).await;
    assert_eq!(said(&client).await, "b c");
    admin.done("PATCH", "/api/v1/plugins/stored", json!({ "enabled": true })).await;
    admin.done("POST", "/api/v1/plugins/stored/reload", json!({})).await;
    assert_eq!(said(&client).await, "b e");
    admin.done("DELETE", "/api/v1/plugins/stored", json!({})).await;
    assert_eq!(said(&client).await, "b c");
    assert_eq!(admin.ask("GET", "/api/v1/plugins/stored", json!({})).await.status, 404);
}

#[tokio::test]
async fn gateway_has_the_plugins_of_its_namespace_and_of_none() {
    let upstream = Scripted::start().await.unwrap();
    let blue = |setup: Setup| {
        let setup = setup.upstream("docs", &upstream).set("storage", json!({ "namespace": "blue" }));
        setup.app("ci", "sesame", json!({ "is_admin": true }))
    };
    let stand = blue(Setup::new()).start().await;
    let admin = Admin(stand.client().token("sesame"));
    let of = |name: &str, word: &str, namespace: &str| {
        let mut plugin = replacing(name, word, "x");
        plugin["namespace"] = json!(namespace);
        plugin
    };

    admin.done("POST", "/api/v1/plugins", of("all", "a", "")).await;
    admin.done("POST", "/api/v1/plugins", of("ours", "b", "blue")).await;
    admin.done("POST", "/api/v1/plugins", of("theirs", "c", "green")).await;

    assert_eq!(said_by(&stand).await, "x x c");
    let listed = admin.done("GET", "/api/v1/plugins", json!({})).await;
    let listed: Vec<_> = listed.as_array().unwrap().iter().map(|plugin| &plugin["name"]).collect();
    assert_eq!(listed, ["all", "ours"]);
    let kept = admin.done("GET", "/api/v1/plugins/theirs/stored", json!({})).await;
    assert_eq!(kept["namespace"], "green");
    let stand = blue(Setup::in_folder(stand.stop().await)).start().await;
    assert_eq!(said_by(&stand).await, "x x c");
    let admin = Admin(stand.client().token("sesame"));
    admin.done("PUT", "/api/v1/plugins/theirs", of("theirs", "c", "blue")).await;
    assert_eq!(said_by(&stand).await, "x x x");
    admin.done("PUT", "/api/v1/plugins/all", of("all", "a", "green")).await;
    assert_eq!(said_by(&stand).await, "a x x");
}

async fn said_by(stand: &Stand) -> String {
    let client = stand.client().token("sesame");
    text(&client.call("echo", json!({ "text": "a b c" })).await).to_owned()
}

#[tokio::test]
async fn plugin_that_is_refused_is_not_kept() {
    let stand = Setup::new().start().await;
    let admin = Admin::of(&stand);
    let mut wrong = replacing("wrong", "a", "b");
    wrong["config"] = json!({ "words": 3 });

    let refused = admin.ask("POST", "/api/v1/plugins", wrong.clone()).await;

    assert_eq!(refused.status, 422, "{}", refused.text());
    assert!(refused.json()["reasons"][0].as_str().unwrap().contains("words"), "{}", refused.text());
    assert_eq!(admin.done("GET", "/api/v1/plugins", json!({})).await, json!([]));
    assert!(!stand.folder().join(".mortise/store.db").exists());
    admin.done("POST", "/api/v1/plugins", replacing("right", "a", "b")).await;
    wrong["name"] = json!("right");
    assert_eq!(admin.ask("PUT", "/api/v1/plugins/right", wrong).await.status, 422);
    let kept = admin.done("GET", "/api/v1/plugins/right/stored", json!({})).await;
    assert_eq!(kept["config"], json!({ "words": [{ "search": "a", "replace": "b" }] }));
    let unknown_hook = json!({ "name": "x", "kind": "builtin.regex_filter", "hook_types": ["no_such_hook"] });
    let refused = admin.ask("POST", "/api/v1/plugins", unknown_hook).await;
    assert_eq!(refused.status, 422);
    assert!(refused.text().contains("no_such_hook"), "{}", refused.text());
}

#[tokio::test]
async fn what_does_not_fit_is_refused_with_its_field() {
    let apps = json!([{ "name": "in_file" }]);
    let stand = Setup::new().set("apps", apps).set("servers", json!({ "support": {} })).start().await;
    let admin = Admin::of(&stand);
    admin.done("POST", "/api/v1/apps", json!({ "name": "ci" })).await;

    for (method, path, body, status, word) in [
        ("POST", "/api/v1/apps", json!({ "name": "ci" }), 409, "name"),
        ("POST", "/api/v1/apps", json!({ "name": "in_file" }), 409, "configuration"),
        ("POST", "/api/v1/apps", json!({ "name": "" }), 422, "`name`"),
        ("POST", "/api/v1/apps", json!({ "name": "x", "nmae": 1 }), 422, "nmae"),
        ("POST", "/api/v1/apps", json!({ "name": "x", "servers": ["suport"] }), 422, "suport"),
        ("POST", "/api/v1/tokens", json!({ "app": "nobody" }), 422, "nobody"),
        ("POST", "/api/v1/tokens", json!({ "app": 99 }), 422, "`app`"),
        ("POST", "/api/v1/tokens", json!({ "app": "ci", "expires": "soon" }), 422, "`expires`"),
        ("GET", "/api/v1/apps?active=perhaps", json!({}), 400, "active"),
        ("GET", "/api/v1/apps/ci", json!({}), 404, "number"),
        ("PATCH", "/api/v1/apps/1", json!({ "budget_reset_day": 31 }), 422, "budget_reset_day"),
    ] {
        let refused = admin.ask(method, path, body.clone()).await;
        assert_eq!(refused.status, status, "{method} {path} {body}: {}", refused.text());
        assert!(refused.text().contains(word), "{method} {path} {body}: {}", refused.text());
    }
    assert_eq!(stand.client().get("/api/v1/apps").await.status, 401);
}

#[tokio::test]
async fn gateways_at_one_database_take_over_one_anothers_changes() {
    let upstream = Scripted::start().await.unwrap();
    let url = postgres::database();
    let gateway = || Setup::new().upstream("docs", &upstream).set("storage", json!({ "url": url }));
    let (one, other) = (gateway().start().await, gateway().start().await);
    assert_eq!(status(&other.client()).await, 401, "a database closes a gateway from the start");
    let admin = Admin::of(&one);

    let (_, id, token) = admin.app(json!({ "name": "ci" })).await;
    admin.done("POST", "/api/v1/plugins", replacing("hello", "x", "stored")).await;

    assert_eq!(status(&one.client().token(&token)).await, 200);
    let caller = other.client().token(&token);
    eventually("the other gateway to know the token", async || (status(&caller).await == 200).then_some(()))
        .await;
    eventually("the other gateway to run the plugin", async || {
        (text(&caller.call("echo", json!({ "text": "x" })).await) == "stored").then_some(())
    })
    .await;
    admin.done("DELETE", &format!("/api/v1/tokens/{id}"), json!({})).await;
    eventually("the other gateway to forget the token", async || {
        (status(&caller).await == 401).then_some(())
    })
    .await;
}

#[tokio::test]
async fn database_that_is_away_costs_what_is_kept_there_and_no_more() {
    let upstream = Scripted::start().await.unwrap();
    let away = json!({ "url": "postgres://nobody@127.0.0.1:1/none" });
    let stand = Setup::new()
        .upstream("docs", &upstream)
        .app("ci", "token-of-ci", json!({}))
        .set("storage", away)
        .start();
    let stand = stand.await;

    assert_eq!(status(&stand.client().token("token-of-ci")).await, 200);
    assert_eq!(status(&stand.client()).await, 401);
    let ready = stand.admin().get("/ready").await.json();
    assert_eq!((&ready["status"], &ready["degraded"][0]["kind"]), (&json!("degraded"), &json!("storage")));
    let refused = Admin::of(&stand).ask("POST", "/api/v1/apps", json!({ "name": "x" })).await;
    assert_eq!(refused.status, 503, "{}", refused.text());
}

#[tokio::test]
async fn values_of_plugins_outlive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::File(folder.path().join("store.db"));
    let open = || {
        Storage::new(
            config::Storage {
                place: place.clone(),
                given: false,
                namespace: String::new(),
                records: config::Records::default(),
            },
            tokio::runtime::Handle::current(),
        )
    };
    let storage = open();
    let values = StoredValues::new(storage.clone(), "echo".into());
    assert_eq!(values.get("k").await.unwrap(), None);
    assert!(!folder.path().join("store.db").exists(), "reading makes nothing");

    values.set("k", "v".into(), None).await.unwrap();
    values.set("gone", "v".into(), Some(Duration::ZERO)).await.unwrap();
    storage.stop(Duration::from_secs(5)).await;

    let values = StoredValues::new(open(), "echo".into());
    assert_eq!(values.get("k").await.unwrap().unwrap(), "v");
    assert_eq!(values.list("", 10).await.unwrap(), ["k"]);
    let others = StoredValues::new(open(), "other".into());
    assert_eq!(others.get("k").await.unwrap(), None);
    values.delete("k").await.unwrap();
    assert_eq!(values.get("k").await.unwrap(), None);
}
