//! Explaining calls: which plugins ran, what each changed, who blocked, and nothing of what the call said.

use std::{process::Command, sync::Arc};

use mortise_plugin_api::{
    Hook, Json, Native, Needs, Plugin, Verdict, Violation,
    hooks::{HttpPreRequest, MCP_HOOKS, ToolPreInvoke},
};
use mortise_testkit::{
    mcp_server::scripted::{Behaviour, Gate, Scripted},
    plugins,
};
use mortise_tests::{Setup, Stand, eventually};
use serde_json::{Value, json};

/// What only the payload says.
const SECRET: &str = "alice.smith@corp.example.org";

fn pii(name: &str, priority: i64) -> Value {
    json!({
        "name": name, "kind": "builtin.pii_filter", "priority": priority,
        "hooks": ["tool_pre_invoke", "tool_post_invoke"],
    })
}

async fn explained(stand: &Stand, id: &str) -> Value {
    let path = format!("/api/v1/calls/{id}");
    // The last word on a call is said when its last post hook has run, which may be after its answer went out.
    let answer = eventually("the explanation of a call", async || {
        Some(stand.client().get(&path).await).filter(|answer| answer.status == 200)
    });
    answer.await.json()
}

fn plugins_of(hook: &Value) -> Vec<(&str, &str)> {
    let plugins = hook["plugins"].as_array().unwrap();
    plugins.iter().map(|p| (p["plugin"].as_str().unwrap(), p["status"].as_str().unwrap())).collect()
}

#[tokio::test]
async fn call_changed_by_one_plugin_and_blocked_by_another_is_explained_with_exactly_that() {
    let upstream = Scripted::start().await.unwrap();
    let deny = json!({
        "name": "deny", "kind": "builtin.deny_list", "priority": 2, "hooks": ["tool_pre_invoke"],
        "config": { "words": ["forbidden"] },
    });
    let elsewhere = json!({ "priority": 4, "conditions": [{ "tools": ["other"] }] });
    let stand = Setup::new()
        .upstream("docs", &upstream)
        .entry(pii("pii", 1))
        .entry(deny)
        .plugin_with("later", plugins::noop(&[ToolPreInvoke::ID]), json!({ "priority": 3 }))
        .plugin_with("elsewhere", plugins::noop(&[ToolPreInvoke::ID]), elsewhere)
        .start()
        .await;

    let note = format!("write to {SECRET} of the forbidden thing");
    let client = stand.client().with("x-request-id", "call/1");
    client.call("echo", json!({ "text": note, "n": 1 })).await;

    let call = explained(&stand, "call%2F1").await;
    assert_eq!(call["request_id"], "call/1");
    assert_eq!((&call["method"], &call["subject"]), (&json!("tools/call"), &json!("echo")));
    assert_eq!((&call["outcome"], &call["blocked_by"]), (&json!("blocked"), &json!("deny")));
    assert_eq!(call["upstream"], "docs");
    let hook = &call["hooks"][0];
    assert_eq!(hook["hook"], "tool_pre_invoke");
    assert_eq!(plugins_of(hook), [("pii", "change"), ("deny", "block")]);
    let changes = hook["plugins"][0]["changes"].as_array().unwrap();
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0]["path"], "args.text");
    let (before, after) = (note.len(), note.len() - SECRET.len() + "[REDACTED]".len());
    assert_eq!((&changes[0]["bytes_before"], &changes[0]["bytes_after"]), (&json!(before), &json!(after)));
    assert_eq!(changes[0]["stretches"], json!([{ "at": 9, "removed": SECRET.len(), "inserted": 10 }]));
    assert_eq!(hook["plugins"][1].get("changes"), None);
    assert_eq!(hook["blocked"], json!({ "plugin": "deny", "code": "deny", "reason": "Content not allowed" }));
    assert_eq!(
        hook["did_not_run"],
        json!([{ "plugin": "later", "why": "over" }, { "plugin": "elsewhere", "why": "over" }])
    );
    for said in [SECRET, "forbidden", "thing", "REDACTED"] {
        assert!(!call.to_string().contains(said), "{said} is in {call}");
    }
    let took = call["took_us"].as_f64().unwrap();
    assert!(took > 0.0 && call["upstream_us"] == 0.0);
    assert!(hook["took_us"].as_f64().unwrap() <= took);
}

#[tokio::test]
async fn each_call_of_a_batch_is_a_call_of_its_own_under_a_number() {
    let upstream = Scripted::start().await.unwrap();
    let stand = Setup::new().upstream("docs", &upstream).entry(pii("pii", 1)).start().await;
    let call = |id: u64, text: &str| {
        let params = json!({ "name": "echo", "arguments": { "text": text } });
        json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params })
    };
    let told = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
    let batch = json!([call(1, "plain"), told, call(2, SECRET)]).to_string();
    let client = stand.client().with("x-request-id", "batch").with("mcp-protocol-version", "2025-03-26");

    let answer = client.send("POST", Some(batch.as_bytes())).await;

    assert_eq!((answer.status, answer.header("x-request-id")), (200, Some("batch")));
    let (first, third) = (explained(&stand, "batch.1").await, explained(&stand, "batch.3").await);
    assert_eq!(plugins_of(&first["hooks"][0]), [("pii", "pass")]);
    assert_eq!(plugins_of(&third["hooks"][0]), [("pii", "change")]);
    for id in ["batch", "batch.2"] {
        assert_eq!(stand.client().get(&format!("/api/v1/calls/{id}")).await.status, 404, "{id}");
    }
}

#[tokio::test]
async fn text_is_shown_where_the_configuration_says_so_but_for_secrets() {
    let upstream = Scripted::start().await.unwrap();
    let editor = Native::new(())
        .on::<ToolPreInvoke>(Needs::change(), |(), asked, _| {
            let mut changed = asked.clone();
            changed.args = Json::from(json!({ "text": "new", "api_key": "new-key" }));
            Ok(Verdict::Change(changed))
        })
        .into_plugin();
    let stand = Setup::new()
        .set("explain", json!({ "show_text": true }))
        .upstream("docs", &upstream)
        .plugin("editor", editor)
        .plugin_with(
            "elsewhere",
            plugins::noop(&[ToolPreInvoke::ID]),
            json!({ "conditions": [{ "tools": ["x"] }] }),
        )
        .start()
        .await;

    stand
        .client()
        .with("x-request-id", "t")
        .call("echo", json!({ "text": "old", "api_key": "old-key" }))
        .await;

    let call = explained(&stand, "t").await;
    let changes = call["hooks"][0]["plugins"][0]["changes"].as_array().unwrap();
    let by_path = |path: &str| changes.iter().find(|change| change["path"] == path).unwrap();
    assert_eq!(
        (&by_path("args.text")["before"], &by_path("args.text")["after"]),
        (&json!("old"), &json!("new"))
    );
    assert!(!call.to_string().contains("-key\""), "{call}");
    assert_eq!(call["hooks"][0]["did_not_run"], json!([{ "plugin": "elsewhere", "why": "not_matched" }]));
}

#[tokio::test]
async fn calls_are_listed_newest_first_and_by_filter() {
    let upstream = Scripted::start().await.unwrap();
    upstream.set_tools(&["echo", "search"]);
    let picky = Native::new(())
        .on::<ToolPreInvoke>(Needs::block(), |(), asked, _| {
            let block = asked.name == "search";
            Ok(if block { Violation::new("NO", "no").into() } else { Verdict::Pass })
        })
        .into_plugin();
    let stand = Setup::new()
        .set("explain", json!({ "keep": 4 }))
        .upstream("docs", &upstream)
        .plugin("picky", picky)
        .plugin_with("echoes", plugins::noop(MCP_HOOKS), json!({ "conditions": [{ "tools": ["echo"] }] }))
        .start()
        .await;
    for (id, tool) in [("1", "echo"), ("2", "search"), ("3", "echo"), ("4", "echo"), ("5", "search")] {
        stand.client().with("x-request-id", id).call(tool, json!({})).await;
    }
    explained(&stand, "5").await;

    let ids = async |query: &str| -> Vec<String> {
        let listed = stand.client().get(&format!("/api/v1/calls{query}")).await.json();
        let ids =
            listed.as_array().unwrap().iter().map(|call| call["request_id"].as_str().unwrap().to_owned());
        ids.collect()
    };

    assert_eq!(ids("").await, ["5", "4", "3", "2"], "no more than are to be kept");
    assert_eq!(ids("?limit=2").await, ["5", "4"]);
    assert_eq!(ids("?tool=echo").await, ["4", "3"]);
    assert_eq!(ids("?tool=sea*&blocked=true").await, ["5", "2"]);
    assert_eq!(ids("?blocked=false").await, ["4", "3"]);
    assert_eq!(ids("?plugin=echoes").await, ["4", "3"]);
    assert_eq!(ids("?since=1h").await.len(), 4);
    assert_eq!(ids("?since=2100-01-01T00:00:00Z").await, Vec::<String>::new());
    for query in ["?since=soon", "?blocked=maybe", "?limit=x"] {
        assert_eq!(stand.client().get(&format!("/api/v1/calls{query}")).await.status, 400, "{query}");
    }
    assert_eq!(stand.client().get("/api/v1/calls/1").await.status, 404, "it is not kept any more");
    assert_eq!(stand.client().get("/api/v1/calls/last").await.json()["request_id"], "5");
}

#[tokio::test]
async fn concurrent_calls_never_mix() {
    let upstream = Scripted::start().await.unwrap();
    let marker = Native::new(())
        .on::<ToolPreInvoke>(Needs::change(), |(), asked, _| {
            let n = asked.args.value().ok().and_then(|args| args["n"].as_u64()).unwrap_or_default();
            if n % 3 == 0 {
                return Ok(Violation::new(format!("N{n}"), "third").into());
            }
            if n % 2 == 0 {
                return Ok(Verdict::Pass);
            }
            let mut changed = asked.clone();
            changed.args = Json::from(json!({ "n": n, "mark": "m".repeat(n as usize) }));
            Ok(Verdict::Change(changed))
        })
        .into_plugin();
    let stand = Setup::new().upstream("docs", &upstream).plugin("marker", marker).start().await;
    let calls = (0..96).map(|n| {
        let client = stand.client().with("x-request-id", &format!("n{n}"));
        tokio::spawn(async move { client.call("echo", json!({ "n": n })).await })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap();
    }

    for n in 0..96_usize {
        let call = explained(&stand, &format!("n{n}")).await;
        let hook = &call["hooks"][0];
        if n % 3 == 0 {
            assert_eq!(hook["blocked"]["code"], format!("N{n}"));
            continue;
        }
        let expected = if n % 2 == 0 { "pass" } else { "change" };
        assert_eq!(plugins_of(hook), [("marker", expected)], "{n}: {call}");
        if n % 2 == 1 {
            assert_eq!(hook["plugins"][0]["changes"][0]["path"], "args.mark");
            assert_eq!(hook["plugins"][0]["changes"][0]["bytes_after"], n, "{call}");
        }
    }
}

#[tokio::test]
async fn call_whose_client_left_is_explained_with_its_post_hooks() {
    let (upstream, gate) = (Scripted::start().await.unwrap(), Gate::new());
    upstream.on_tool("echo", Behaviour::Wait(gate.clone()));
    let stand =
        Setup::new().upstream("docs", &upstream).plugin("noop", plugins::noop(MCP_HOOKS)).start().await;
    let params = json!({ "name": "echo", "arguments": {} });

    let under_way = stand.client().with("x-request-id", "gone").begin(1, "tools/call", params).await;
    upstream.wait_for("tools/call", 1).await.unwrap();
    drop(under_way);

    let call = explained(&stand, "gone").await;
    assert_eq!(call["outcome"], "cancelled");
    let hooks: Vec<_> =
        call["hooks"].as_array().unwrap().iter().map(|hook| (&hook["hook"], &hook["end"])).collect();
    assert_eq!(
        hooks,
        [(&json!("tool_pre_invoke"), &json!("ok")), (&json!("tool_post_invoke"), &json!("cancelled"))]
    );
}

#[tokio::test]
async fn request_that_a_plugin_refuses_at_the_edge_is_explained() {
    let upstream = Scripted::start().await.unwrap();
    let stand = Setup::new()
        .upstream("docs", &upstream)
        .plugin("gate", plugins::block(&[HttpPreRequest::ID]))
        .start()
        .await;
    let refused = stand.client().with("x-request-id", "edge").rpc("tools/list", json!({})).await;

    let call = explained(&stand, "edge").await;
    assert_eq!((&call["outcome"], &call["status"]), (&json!("refused"), &json!(refused.status)));
    assert_eq!(
        (&call["blocked_by"], &call["hooks"][0]["hook"]),
        (&json!("gate"), &json!("http_pre_request"))
    );
}

#[tokio::test]
async fn call_without_plugins_is_kept_with_the_time_of_its_upstream() {
    let upstream = Scripted::start().await.unwrap();
    let stand = Setup::new().upstream("docs", &upstream).start().await;
    stand.client().with("x-request-id", "plain").call("echo", json!({ "text": SECRET })).await;

    let call = explained(&stand, "plain").await;
    assert_eq!(
        (&call["outcome"], &call["subject"], &call["hooks"]),
        (&json!("ok"), &json!("echo"), &json!([]))
    );
    assert!(call["upstream_us"].as_f64().unwrap() > 0.0);
}

#[tokio::test]
async fn nothing_is_kept_where_the_configuration_says_so_and_a_reload_turns_it_on() {
    let upstream = Scripted::start().await.unwrap();
    let mut stand =
        Setup::new().set("explain", json!({ "keep": 0 })).upstream("docs", &upstream).start().await;
    stand.client().call("echo", json!({})).await;
    assert_eq!(stand.client().get("/api/v1/calls").await.json(), json!([]));

    stand.write(|config| {
        config.insert("explain".to_owned(), json!({ "keep": 10 }));
    });
    stand.admin().at("/api/v1/reload").send("POST", None).await;
    stand.client().with("x-request-id", "on").call("echo", json!({})).await;

    assert_eq!(explained(&stand, "on").await["outcome"], "ok");
}

#[tokio::test]
async fn explanations_are_for_admins_where_there_are_apps() {
    let upstream = Scripted::start().await.unwrap();
    let stand = Setup::new().upstream("docs", &upstream).app("ci", "token-of-ci", json!({})).start().await;
    stand.client().token("token-of-ci").with("x-request-id", "a").call("echo", json!({})).await;

    for path in ["/api/v1/calls", "/api/v1/calls/a", "/api/v1/calls/last"] {
        assert_eq!(stand.client().get(path).await.status, 401, "{path}");
        assert_eq!(stand.client().token("token-of-ci").get(path).await.status, 403, "{path}");
    }
    assert_eq!(stand.admin().get("/api/v1/calls/a").await.json()["app"], "ci");
}

#[tokio::test]
async fn a_kept_call_keeps_no_plugin_from_ending() {
    struct Ends(tokio::sync::watch::Sender<bool>);
    impl Drop for Ends {
        fn drop(&mut self) {
            self.0.send_replace(true);
        }
    }
    let (sender, mut ended) = tokio::sync::watch::channel(false);
    let upstream = Scripted::start().await.unwrap();
    let ends = std::sync::Mutex::new(Some(Ends(sender)));
    let mut stand = Setup::new()
        .upstream("docs", &upstream)
        .kind("ends", &[ToolPreInvoke::ID], move |_| -> Arc<dyn Plugin> {
            let held = ends.lock().unwrap().take();
            Native::new(held).on::<ToolPreInvoke>(Needs::observe(), |_, _, _| Ok(Verdict::Pass)).into_plugin()
        })
        .entry(json!({ "name": "ends", "kind": "builtin.ends" }))
        .start()
        .await;
    stand.client().with("x-request-id", "kept").call("echo", json!({})).await;
    explained(&stand, "kept").await;

    stand.write(|config| {
        config.insert("plugins".to_owned(), json!([]));
    });
    stand.admin().at("/api/v1/reload").send("POST", None).await;

    let waited = tokio::time::timeout(mortise_tests::PATIENCE, ended.wait_for(|ended| *ended)).await;
    assert!(waited.is_ok(), "the plugin that was taken out is gone although the call is kept");
    let call = explained(&stand, "kept").await;
    assert_eq!(plugins_of(&call["hooks"][0]), [("ends", "pass")]);
    assert_eq!(call["hooks"][0].get("did_not_run"), None, "nobody knows any more");
}

#[tokio::test]
async fn the_command_explains_the_last_call_and_watches_all() {
    let upstream = Scripted::start().await.unwrap();
    let stand = Setup::new()
        .upstream("docs", &upstream)
        .entry(pii("pii", 1))
        .plugin_with("guard", plugins::block(&[ToolPreInvoke::ID]), json!({ "priority": 2 }))
        .start()
        .await;
    stand.client().with("x-request-id", "c-1").call("echo", json!({ "text": SECRET })).await;
    explained(&stand, "c-1").await;
    let url = format!("http://{}", stand.address());
    let (folder, run) = (stand.folder().to_owned(), env!("CARGO_BIN_EXE_stand-mortise"));
    let mortise = move |args: &[&str]| {
        let output =
            Command::new(run).args(args).args(["--url", &url]).current_dir(&folder).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };

    let ran = tokio::task::spawn_blocking(move || {
        [
            mortise(&["explain", "--last"]),
            mortise(&["explain", "--blocked", "--format", "json"]),
            mortise(&["explain", "unheard-of"]),
            mortise(&["top", "--once"]),
        ]
    });
    let [(code, told), (_, listed), unknown, (watched, screen)] = ran.await.unwrap();

    assert_eq!(code, Some(0));
    for line in [
        "tools/call echo: blocked by guard in ",
        "c-1",
        "args.text: 28 -> 10 bytes (28 -> 10 at 0)",
        "TEST_BLOCK",
    ] {
        assert!(told.contains(line), "{line} is not in\n{told}");
    }
    assert!(!told.contains(SECRET), "{told}");
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(listed[0]["request_id"], "c-1");
    assert_eq!(unknown.0, Some(1));
    assert_eq!(watched, Some(0));
    for part in ["upstreams docs ready", "tools/call echo", "guard", "1 block"] {
        assert!(screen.contains(part), "{part} is not in\n{screen}");
    }
}

#[tokio::test]
async fn uris_are_shown_without_their_secrets() {
    let upstream = Scripted::start().await.unwrap();
    let stand = Setup::new().upstream("docs", &upstream).start().await;
    let asked = json!({ "uri": "https://bob:pw123@example.com/x?token=SECRETQ" });
    stand.client().with("x-request-id", "uri").ask("resources/read", asked).await;

    assert_eq!(explained(&stand, "uri").await["subject"], "https://example.com/x?token=***");
    let listed = stand.client().get("/api/v1/calls").await.text();
    assert!(!listed.contains("pw123") && !listed.contains("SECRETQ"), "{listed}");
}
