//! Coverage: which plugins would run where, and which that are required would not.

use mortise_plugin_api::{
    Hook,
    hooks::{HttpPreRequest, MCP_HOOKS, ToolPostInvoke, ToolPreInvoke},
};
use mortise_testkit::{mcp_server::scripted::Scripted, plugins};
use mortise_tests::{Client, Setup, Stand};
use serde_json::{Value, json};

async fn upstream() -> Scripted {
    let upstream = Scripted::start().await.unwrap();
    upstream.set_tools(&["echo", "shout"]);
    upstream.set_list("prompts", vec![json!({ "name": "greet" })]);
    upstream
        .set_list("resources", vec![json!({ "uri": "file:///a", "name": "a", "mimeType": "text/plain" })]);
    upstream
}

fn is_error(message: &Value) -> bool {
    message["result"]["isError"] == true
}

async fn report(stand: &Stand, query: &str) -> Value {
    report_for(&stand.client(), query).await
}

async fn report_for(client: &Client, query: &str) -> Value {
    let answer = client.get(&format!("/api/v1/coverage{query}")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

/// The plugins at a hook of an item at the root, as `name runs`.
fn at(report: &Value, kind: &str, name: &str, hook: &str) -> Vec<String> {
    through(report, None, kind, name, hook)
}

fn through(report: &Value, server: Option<&str>, kind: &str, name: &str, hook: &str) -> Vec<String> {
    let mut items = report["items"].as_array().unwrap().iter();
    let item =
        items.find(|item| item["kind"] == kind && item["name"] == name && item["server"].as_str() == server);
    let mut hooks = item.unwrap()["hooks"].as_array().unwrap().iter();
    let hook = hooks.find(|at| at["hook"] == hook).unwrap();
    let words = |plugin: &Value| {
        let on = plugin["depends_on"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let words: Vec<&str> = [plugin["name"].as_str().unwrap(), plugin["runs"].as_str().unwrap()]
            .into_iter()
            .chain(on)
            .collect();
        words.join(" ")
    };
    hook["plugins"].as_array().unwrap().iter().map(words).collect()
}

fn holes(report: &Value) -> Vec<String> {
    let text = |hole: &Value, key: &str| hole[key].as_str().unwrap_or("-").to_owned();
    let holes = report["holes"].as_array().unwrap().iter();
    let mut holes: Vec<String> = holes
        .map(|hole| {
            format!(
                "{} {} {}: {}",
                text(hole, "plugin"),
                text(hole, "name"),
                text(hole, "hook"),
                text(hole, "reason")
            )
        })
        .collect();
    holes.sort();
    holes
}

#[tokio::test]
async fn everything_listed_is_told_with_the_plugins_that_would_run_in_their_order() {
    let upstream = upstream().await;
    let stand = Setup::new()
        .upstream("docs", &upstream)
        .plugin_with("late", plugins::noop(MCP_HOOKS), json!({ "priority": 90, "mode": "permissive" }))
        .plugin_with(
            "early",
            plugins::noop(MCP_HOOKS),
            json!({ "priority": 10, "hooks": ["tool_pre_invoke"] }),
        )
        .plugin_with("off", plugins::noop(MCP_HOOKS), json!({ "mode": "disabled" }))
        .plugin_with(
            "narrow",
            plugins::noop(MCP_HOOKS),
            json!({ "priority": 50, "conditions": [{ "tools": ["sh*"] }] }),
        )
        .start()
        .await;

    let report = report(&stand, "").await;

    assert_eq!(at(&report, "tool", "echo", "tool_pre_invoke"), ["early always", "late always"]);
    assert_eq!(
        at(&report, "tool", "shout", "tool_pre_invoke"),
        ["early always", "narrow always", "late always"]
    );
    assert_eq!(at(&report, "tool", "echo", "tool_post_invoke"), ["late always"]);
    // Conditions on tools say nothing of prompts.
    assert_eq!(at(&report, "prompt", "greet", "prompt_pre_fetch"), ["narrow always", "late always"]);
    assert_eq!(at(&report, "resource", "file:///a", "resource_post_fetch"), ["narrow always", "late always"]);
    assert_eq!(at(&report, "request", "/mcp", "http_pre_request"), [""; 0]);
    assert_eq!(report["complete"], true);
    assert_eq!(report["holes"], json!([]));
}

#[tokio::test]
async fn what_coverage_says_is_what_calls_meet() {
    let upstream = upstream().await;
    let stand = Setup::new()
        .upstream("docs", &upstream)
        .set("servers", json!({ "lab": {} }))
        .app("ci", "token-of-ci", json!({ "tenant": "acme", "user": "ann@example.com" }))
        .app("web", "token-of-web", json!({ "tenant": "shop", "is_admin": true }))
        .plugin_with(
            "guard",
            plugins::block(&[ToolPreInvoke::ID]),
            json!({ "conditions": [{ "tenant_ids": ["acme"], "tools": ["echo"] }] }),
        )
        .set("bindings", json!([{ "plugin": "guard", "scope": { "server": "lab" }, "mode": "disabled" }]))
        .start()
        .await;
    let admin = stand.client().token("token-of-web");

    let unknown = report_for(&admin, "").await;
    assert_eq!(at(&unknown, "tool", "echo", "tool_pre_invoke"), ["guard depends tenant"]);
    assert_eq!(at(&unknown, "tool", "shout", "tool_pre_invoke"), [""; 0]);

    for (app, token) in [("ci", "token-of-ci"), ("web", "token-of-web")] {
        // Of a configured app the rest is known.
        let report = report_for(&admin, &format!("?app={app}")).await;
        for (server, path) in [(None, "/mcp"), (Some("lab"), "/servers/lab/mcp")] {
            for tool in ["echo", "shout"] {
                let told = through(&report, server, "tool", tool, "tool_pre_invoke");
                let met = stand.client().at(path).token(token).call(tool, json!({})).await;
                assert_eq!(is_error(&met), !told.is_empty(), "{app} {path} {tool}: {told:?}");
            }
        }
    }
    let report = report_for(&admin, "?tenant=acme").await;
    assert_eq!(at(&report, "tool", "echo", "tool_pre_invoke"), ["guard always"]);
}

#[tokio::test]
async fn each_hole_of_a_required_guardrail_is_named_with_its_reason() {
    let upstream = upstream().await;
    let block = || plugins::block(&[ToolPreInvoke::ID, ToolPostInvoke::ID]);
    let stand = Setup::new()
        .upstream("docs", &upstream)
        .plugin_with(
            "narrowed",
            block(),
            json!({ "hooks": ["tool_pre_invoke"], "conditions": [{ "tools": ["echo"] }] }),
        )
        .plugin_with("overridden", block(), json!({ "hooks": ["tool_pre_invoke"] }))
        .plugin_with("elsewhere", block(), json!({ "hooks": ["tool_pre_invoke"] }))
        .foreign("away", plugins::start_fails(&[ToolPreInvoke::ID]), json!({ "hooks": ["tool_pre_invoke"] }))
        .plugin_with("fine", plugins::noop(MCP_HOOKS), json!({}))
        .set(
            "bindings",
            json!([
                { "plugin": "narrowed", "scope": { "tool": "*" }, "required": true },
                { "plugin": "overridden", "scope": { "upstream": "docs" }, "required": ["tool_pre_invoke"] },
                { "plugin": "overridden", "scope": { "tool": "echo" }, "mode": "disabled" },
                { "plugin": "elsewhere", "scope": { "tool": "echo" }, "required": ["tool_post_invoke"] },
                { "plugin": "away", "scope": { "tool": "shout" }, "required": true },
                { "plugin": "fine", "required": true },
            ]),
        )
        .start()
        .await;

    let report = report(&stand, "").await;

    let found = holes(&report);
    let begins = |hole: &str| found.iter().any(|found| found.starts_with(hole));
    for hole in [
        "narrowed shout tool_pre_invoke: its conditions leave it out",
        "narrowed greet -: it stands at no hook of a prompt",
        "narrowed file:///a -: it stands at no hook of a resource",
        "overridden echo tool_pre_invoke: bindings[2] switches it off here",
        "elsewhere echo tool_post_invoke: it does not stand at this hook",
        "away shout tool_pre_invoke: it is unavailable, and calls are refused",
    ] {
        assert!(begins(hole), "{hole} in {found:#?}");
    }
    assert_eq!(found.len(), 6, "{found:#?}");
    assert_eq!(report["complete"], false);
}

#[tokio::test]
async fn guard_of_all_requests_leaves_no_hole_at_tools() {
    let upstream = upstream().await;
    let stand = Setup::new()
        .upstream("docs", &upstream)
        .plugin("door", plugins::noop(&[HttpPreRequest::ID]))
        .set("bindings", json!([{ "plugin": "door", "required": true }]))
        .start()
        .await;
    let report = report(&stand, "").await;
    assert_eq!(holes(&report), [""; 0]);
    assert_eq!(report["complete"], true);
}

#[tokio::test]
async fn nothing_is_promised_of_an_upstream_that_never_said_what_it_has() {
    let setup = |required: bool| {
        Setup::new()
            .upstream_with("gone", json!({ "url": "http://127.0.0.1:1/mcp" }))
            .plugin("guard", plugins::noop(MCP_HOOKS))
            .set("bindings", json!([{ "plugin": "guard", "scope": { "tool": "t" }, "required": required }]))
    };
    let report_of = report(&setup(true).start().await, "").await;
    assert_eq!(report_of["unlisted"], json!(["gone"]));
    assert_eq!(
        report_of["idle"],
        json!([{ "plugin": "guard", "binding": 0, "reason": "nothing that is there is in its scope" }])
    );
    assert_eq!(report_of["complete"], false);
    let report_of = report(&setup(false).start().await, "").await;
    assert_eq!(report_of["complete"], true, "nothing is required");
}

#[tokio::test]
async fn coverage_is_for_admins() {
    let stand = Setup::new().app("ci", "token-of-ci", json!({})).start().await;
    assert_eq!(stand.client().get("/api/v1/coverage").await.status, 401);
    assert_eq!(stand.client().token("token-of-ci").get("/api/v1/coverage").await.status, 403);
    assert_eq!(stand.admin().get("/api/v1/coverage").await.status, 200);
}

#[tokio::test]
async fn binding_to_a_path_holds_for_requests_there_however_it_ends() {
    let upstream = upstream().await;
    let stand = Setup::new()
        .upstream("docs", &upstream)
        .set("servers", json!({ "lab": {} }))
        .plugin_with("guard", plugins::block(&[ToolPreInvoke::ID]), json!({ "mode": "disabled" }))
        .set("bindings", json!([{ "plugin": "guard", "scope": { "path": "/servers/*" }, "mode": "enforce" }]))
        .start()
        .await;
    for (path, blocked) in
        [("/mcp", false), ("/mcp/", false), ("/servers/lab/mcp", true), ("/servers/lab/mcp/", true)]
    {
        let met = stand.client().at(path).call("echo", json!({})).await;
        assert_eq!(is_error(&met), blocked, "{path}: {met}");
    }
    let report = report(&stand, "").await;
    assert_eq!(through(&report, Some("lab"), "tool", "echo", "tool_pre_invoke"), ["guard always"]);
    assert_eq!(at(&report, "tool", "echo", "tool_pre_invoke"), [""; 0]);
}

#[tokio::test]
async fn binding_to_one_path_is_not_escaped_by_a_slash_at_its_end() {
    let upstream = upstream().await;
    let stand = Setup::new()
        .upstream("docs", &upstream)
        .plugin_with("guard", plugins::block(&[ToolPreInvoke::ID]), json!({ "mode": "disabled" }))
        .set("bindings", json!([{ "plugin": "guard", "scope": { "path": "/mcp" }, "mode": "enforce" }]))
        .start()
        .await;
    for path in ["/mcp", "/mcp/"] {
        let met = stand.client().at(path).call("echo", json!({})).await;
        assert!(is_error(&met), "{path}: {met}");
    }
}

#[tokio::test]
async fn required_guardrail_that_is_switched_off_while_running_is_a_hole_at_once() {
    let upstream = upstream().await;
    let stand = Setup::new()
        .upstream("docs", &upstream)
        .plugin("guard", plugins::noop(MCP_HOOKS))
        .set(
            "bindings",
            json!([{ "plugin": "guard", "scope": { "tool": "echo" }, "required": ["tool_pre_invoke"] }]),
        )
        .start()
        .await;
    assert_eq!(report(&stand, "").await["complete"], true);
    let patched =
        stand.admin().at("/api/v1/plugins/guard").send("PATCH", Some(br#"{ "enabled": false }"#)).await;
    assert_eq!(patched.status, 200, "{}", patched.text());

    let off = report(&stand, "").await;

    assert_eq!(holes(&off), ["guard echo tool_pre_invoke: its mode is disabled"]);
    assert_eq!(at(&off, "tool", "echo", "tool_pre_invoke"), [""; 0]);
}

#[tokio::test]
async fn places_that_an_app_may_not_use_are_left_out_for_it() {
    let upstream = upstream().await;
    upstream.set_list("resourceTemplates", vec![json!({ "uriTemplate": "file:///{path}", "name": "files" })]);
    let stand = Setup::new()
        .upstream("docs", &upstream)
        .set("servers", json!({ "lab": {}, "prod": {} }))
        .app("lab", "token-of-lab", json!({ "servers": ["lab"] }))
        .plugin_with(
            "guard",
            plugins::noop(MCP_HOOKS),
            json!({ "conditions": [{ "resources": ["file:///secret/*"] }] }),
        )
        .start()
        .await;
    let report = report_for(&stand.admin(), "?app=lab").await;
    let items = report["items"].as_array().unwrap();
    assert!(!items.is_empty() && items.iter().all(|item| item["server"] == "lab"), "{report:#}");
    let template = through(&report, Some("lab"), "resource_template", "file:///{path}", "resource_pre_fetch");
    assert_eq!(template, ["guard depends uri"]);
}

#[tokio::test]
async fn required_guardrail_for_callers_there_cannot_be_guards_nothing() {
    let upstream = upstream().await;
    let required =
        |scope: Value| json!({ "plugin": "guard", "scope": scope, "required": true, "mode": "enforce" });
    let scopes = [
        json!({ "app": "wb*" }),
        json!({ "tenant": "acmee" }),
        json!({ "team": "opss", "tenant": "acme" }),
        json!({ "app": "web*" }),
        json!({ "app": "new" }),
        json!({ "tenant": "ac*", "team": "ops" }),
    ];
    let stand = Setup::new()
        .upstream("docs", &upstream)
        .app("web", "token-of-web", json!({ "tenant": "acme", "teams": ["ops"] }))
        // Its token has not been given out yet.
        .app("new", "token-of-new", json!({ "tokens": [] }))
        .set("bindings", scopes.into_iter().map(required).collect())
        .plugin("guard", plugins::noop(MCP_HOOKS))
        .start()
        .await;
    let report = report_for(&stand.admin(), "").await;
    let idle: Vec<u64> =
        report["idle"].as_array().unwrap().iter().map(|idle| idle["binding"].as_u64().unwrap()).collect();
    assert_eq!(idle, [0, 1, 2], "{:#}", report["idle"]);
    assert_eq!(report["idle"][0]["reason"], "nobody who can call is in its scope");
    assert_eq!(report["complete"], false);
}
