//! Bindings: another mode or configuration of a plugin for a tool, a server, a tenant.

use mortise_plugin_api::{Hook, hooks::ToolPreInvoke};
use mortise_testkit::{mcp_server::scripted::Scripted, plugins};
use mortise_tests::{Client, Setup, text};
use serde_json::{Value, json};

async fn upstream() -> Scripted {
    let upstream = Scripted::start().await.unwrap();
    upstream.set_tools(&["echo", "shout"]);
    upstream
}

async fn is_blocked(client: &Client, tool: &str, text: &str) -> bool {
    client.call(tool, json!({ "text": text })).await["result"]["isError"] == true
}

/// A plugin that blocks everything where it runs, and runs only where a binding says so.
fn only_where(setup: Setup, scope: &Value) -> Setup {
    setup
        .plugin_with("guard", plugins::block(&[ToolPreInvoke::ID]), json!({ "mode": "disabled" }))
        .set("bindings", json!([{ "plugin": "guard", "scope": scope, "mode": "enforce" }]))
}

#[tokio::test]
async fn binding_to_a_tool_holds_for_it_by_any_of_its_names() {
    let upstream = upstream().await;
    let stand =
        only_where(Setup::new().upstream("docs", &upstream), &json!({ "tool": "shout" })).start().await;

    assert!(is_blocked(&stand.client(), "shout", "x").await);
    assert!(is_blocked(&stand.client(), "docs-shout", "x").await);
    assert!(!is_blocked(&stand.client(), "echo", "x").await);
}

#[tokio::test]
async fn binding_to_a_server_holds_there_only() {
    let upstream = upstream().await;
    let setup = Setup::new().upstream("docs", &upstream).set("servers", json!({ "strict": {}, "free": {} }));
    let stand = only_where(setup, &json!({ "server": "strict" })).start().await;

    assert!(is_blocked(&stand.client().at("/servers/strict/mcp"), "echo", "x").await);
    assert!(!is_blocked(&stand.client().at("/servers/free/mcp"), "echo", "x").await);
    assert!(!is_blocked(&stand.client(), "echo", "x").await);
}

#[tokio::test]
async fn binding_to_a_tenant_holds_for_its_callers_only() {
    let upstream = upstream().await;
    let setup = Setup::new()
        .upstream("docs", &upstream)
        .app("bank", "token-of-bank", json!({ "tenant": "bank" }))
        .app("shop", "token-of-shop", json!({ "tenant": "shop" }));
    let stand = only_where(setup, &json!({ "tenant": "bank" })).start().await;

    assert!(is_blocked(&stand.client().token("token-of-bank"), "echo", "x").await);
    assert!(!is_blocked(&stand.client().token("token-of-shop"), "echo", "x").await);
}

#[tokio::test]
async fn most_specific_binding_decides_and_its_configuration_lies_over_the_plugins() {
    let upstream = upstream().await;
    let deny = json!({
        "name": "deny", "kind": "builtin.deny_list", "hooks": ["tool_pre_invoke"], "config": { "words": ["alpha"] },
    });
    let stand = Setup::new()
        .upstream("docs", &upstream)
        .set("servers", json!({ "lab": {} }))
        .entry(deny)
        .set(
            "bindings",
            json!([
                { "plugin": "deny", "scope": { "server": "lab" }, "mode": "permissive" },
                { "plugin": "deny", "scope": { "tool": "shout" }, "config": { "words": ["beta"] } },
            ]),
        )
        .start()
        .await;
    let (root, lab) = (stand.client(), stand.client().at("/servers/lab/mcp"));

    for (client, tool, word, blocked) in [
        (&root, "echo", "alpha", true),
        (&root, "echo", "beta", false),
        (&root, "shout", "alpha", false),
        (&root, "shout", "beta", true),
        (&lab, "echo", "alpha", false),
        (&lab, "shout", "beta", true),
    ] {
        assert_eq!(is_blocked(client, tool, word).await, blocked, "{client:?} {tool} {word}");
    }
    assert!(text(&root.call("echo", json!({ "text": "alpha" })).await).contains("plugin deny"));
}

#[tokio::test]
async fn binding_of_a_plugin_that_is_not_there_is_an_error_that_names_the_nearest() {
    let setup = Setup::new()
        .plugin("guard", plugins::block(&[ToolPreInvoke::ID]))
        .set("bindings", json!([{ "plugin": "gaurd", "scope": { "tool": "x" } }]));

    let errors = setup.load(&setup.framework()).unwrap_err();

    let rendered = errors.render(false);
    assert_eq!(errors.list().len(), 1, "{rendered}");
    assert_eq!(errors.list()[0].path, "bindings[0].plugin");
    assert!(rendered.contains("`guard`"), "{rendered}");
}
