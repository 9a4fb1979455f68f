//! Changes of the configuration while calls are under way.

mod flat;
mod memory;
mod storm;
mod watching;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use bytes::Bytes;
use mortise_gateway::{
    history::{Outcome, Source},
    reload::{Refused, Trigger},
};
use mortise_plugin_api::{
    Hook, HookId, Native, Needs, Plugin, PluginError, Verdict,
    hooks::{MCP_HOOKS, ToolPostInvoke, ToolPreInvoke},
};
use mortise_testkit::{
    mcp_server::scripted::{Behaviour, Gate, Scripted},
    plugins,
};
use mortise_tests::{Setup, Stand, eventually, prefixed_result, text};
use serde_json::{Value, json};

const TOOL: [HookId; 2] = [ToolPreInvoke::ID, ToolPostInvoke::ID];

/// How many of a plugin there were.
#[derive(Default)]
struct Census {
    made: AtomicU64,
    started: AtomicU64,
    stopped: AtomicU64,
    dropped: AtomicU64,
}

struct Counted(Arc<Census>);

impl Counted {
    fn new(census: &Arc<Census>) -> Self {
        census.made.fetch_add(1, SeqCst);
        Self(census.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dropped.fetch_add(1, SeqCst);
    }
}

/// Puts `prefix` of its configuration before every result.
fn prefixing(config: &Value) -> Arc<dyn Plugin> {
    let prefix = config["prefix"].as_str().unwrap_or_default().to_owned();
    Native::new(prefix)
        .on::<ToolPreInvoke>(Needs::observe(), |_, _, _| Ok::<_, PluginError>(Verdict::Pass))
        .on::<ToolPostInvoke>(Needs::change(), |prefix, answered, _| {
            Ok(Verdict::Change(prefixed_result(answered, prefix)))
        })
        .into_plugin()
}

/// Counts calls as a limiter does, says the count in a header, and hands it over.
struct Limiter {
    count: AtomicU64,
    census: Counted,
}

fn limiter(census: &Arc<Census>) -> Arc<dyn Plugin> {
    let plugin = Limiter { count: AtomicU64::new(0), census: Counted::new(census) };
    Native::new(plugin)
        .on_async::<ToolPreInvoke>(Needs::block(), |plugin, _, cx| {
            Box::pin(async move {
                // Read, wait, write back: whoever lets two in at a time, or a call between hand-over and start,
                // loses counts. Exactness within one instance is its own: here, the compare.
                loop {
                    let now = plugin.count.load(SeqCst);
                    tokio::task::yield_now().await;
                    if plugin.count.compare_exchange(now, now + 1, SeqCst, SeqCst).is_ok() {
                        cx.response_header("x-count", (now + 1).to_string());
                        return Ok(Verdict::Pass);
                    }
                }
            })
        })
        .on_start(|plugin, init| {
            Box::pin(async move {
                plugin.census.0.started.fetch_add(1, SeqCst);
                let inherited = init.inherited.and_then(|bytes| String::from_utf8(bytes.to_vec()).ok());
                let count = inherited.and_then(|text| text.parse().ok()).unwrap_or_default();
                // A start that takes a while, as that of a limiter with a large table does.
                tokio::task::yield_now().await;
                plugin.count.store(count, SeqCst);
                Ok(())
            })
        })
        .on_hand_over(|plugin| {
            Box::pin(async move { Some(Bytes::from(plugin.count.load(SeqCst).to_string())) })
        })
        .on_stop(|plugin| {
            Box::pin(async move {
                plugin.census.0.stopped.fetch_add(1, SeqCst);
            })
        })
        .into_plugin()
}

/// A setup that is only reloaded when the test says so.
fn quiet() -> Setup {
    Setup::new().set("watch", json!(false)).kind("prefixing", &TOOL, prefixing)
}

fn prefix(prefix: &str) -> Value {
    json!({ "name": "prefix", "kind": "builtin.prefixing", "config": { "prefix": prefix } })
}

fn api() -> Trigger {
    Trigger::new(Source::Api, "the test")
}

async fn uuid(stand: &Stand, name: &str) -> String {
    let plugin = stand.admin().get(&format!("/api/v1/plugins/{name}")).await.json();
    plugin["uuid"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn changed_configuration_takes_effect_and_a_call_under_way_keeps_the_one_it_began_with() {
    let (upstream, gate) = (Scripted::start().await.unwrap(), Gate::new());
    upstream.on_tool("echo", Behaviour::Wait(gate.clone()));
    let mut stand = quiet().upstream("docs", &upstream).entry(prefix("old ")).start().await;
    let params = json!({ "name": "echo", "arguments": { "text": "call" } });
    let before = stand.client().begin(1, "tools/call", params.clone()).await;
    gate.arrived(1).await;

    stand.write(|config| config["plugins"] = json!([prefix("new ")]));
    let report = stand.reloader.reload(api()).await.unwrap();
    let after = stand.client().begin(2, "tools/call", params).await;
    gate.arrived(2).await;
    assert_eq!(stand.framework.draining(), 1, "the old one serves the call that began with it");
    gate.open();

    assert_eq!(text(&before.answer().await.message()), "old call");
    assert_eq!(text(&after.answer().await.message()), "new call");
    assert_eq!(report.outcome, Outcome::Applied);
    let paths: Vec<&str> = report.changes.iter().map(|change| change.path.as_str()).collect();
    assert_eq!(paths, ["plugins[prefix].config.prefix"]);
    eventually("the old one's end", async || (stand.framework.draining() == 0).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_request_is_dropped_while_the_configuration_changes_again_and_again() {
    let upstream = Scripted::start().await.unwrap();
    let mut stand = quiet().upstream("docs", &upstream).entry(prefix("0 ")).start().await;
    let stop = Arc::new(AtomicBool::new(false));
    let callers: Vec<_> = (0..4)
        .map(|_| {
            let (client, stop) = (stand.client(), stop.clone());
            tokio::spawn(async move {
                let (mut calls, mut last) = (0, 0);
                while !stop.load(SeqCst) {
                    let answer = client.call("echo", json!({ "text": "call" })).await;
                    let (number, rest) = text(&answer).split_once(' ').unwrap_or_else(|| panic!("{answer}"));
                    let number: u64 = number.parse().unwrap();
                    assert_eq!(rest, "call");
                    assert!(number >= last, "no way back: {number} after {last}");
                    last = number;
                    calls += 1;
                }
                calls
            })
        })
        .collect();

    for round in 1..=40 {
        stand.write(|config| config["plugins"] = json!([prefix(&format!("{round} "))]));
        stand.reloader.reload(api()).await.unwrap();
    }
    stop.store(true, SeqCst);

    let mut calls = 0;
    for caller in callers {
        calls += caller.await.unwrap();
    }
    assert!(calls > 0);
    assert_eq!(text(&stand.client().call("echo", json!({ "text": "call" })).await), "40 call");
}

#[tokio::test]
async fn wrong_configuration_is_refused_with_all_errors_and_the_old_one_stays() {
    let upstream = Scripted::start().await.unwrap();
    let mut stand = quiet().upstream("docs", &upstream).entry(prefix("old ")).start().await;
    let number = stand.reloader.reload(api()).await.unwrap().snapshot;

    stand.write(|config| {
        config["plugins"] = json!([prefix("new "), { "name": "pii", "kind": "builtin.pii_filte" }]);
        config.insert("lisen".to_owned(), json!({}));
    });
    let answer = stand.admin().at("/api/v1/reload").send("POST", Some(b"")).await;

    assert_eq!(answer.status, 422, "{}", answer.text());
    assert_eq!(text(&stand.client().call("echo", json!({ "text": "call" })).await), "old call");
    let ready = stand.client().get("/ready").await.json();
    assert_eq!(ready["status"], "degraded");
    assert_eq!(ready["degraded"][0]["kind"], "configuration");
    let metrics = stand.client().get("/metrics").await.text();
    assert!(metrics.contains("mortise_config_reloads_total{outcome=\"refused\"} 1"), "{metrics}");
    assert!(metrics.contains("mortise_config_last_reload_successful 0"), "{metrics}");
    assert!(metrics.contains(&format!("mortise_config_snapshot {number}\n")), "{metrics}");

    let reasons = answer.json()["reasons"].to_string();
    assert!(reasons.contains("lisen") && reasons.contains("builtin.pii_filte"), "{reasons}");
    stand.write(|config| {
        config.remove("lisen");
        config.insert("bindings".to_owned(), json!([{ "plugin": "nobody" }]));
    });
    let refused = stand.reloader.reload(api()).await.unwrap_err();
    assert!(matches!(refused, Refused::Configuration(_)));
    let errors = refused.reasons().join("\n");
    assert!(errors.contains("builtin.pii_filte") && errors.contains("nobody"), "{errors}");

    stand.write(|config| {
        config["plugins"] = json!([prefix("new ")]);
        config.remove("bindings");
    });
    assert_eq!(stand.reloader.reload(api()).await.unwrap().snapshot, number + 1);
    assert_eq!(stand.client().get("/ready").await.json()["status"], "ready");
}

#[tokio::test]
async fn plugin_that_would_not_start_any_more_refuses_the_change() {
    let upstream = Scripted::start().await.unwrap();
    let census = Arc::new(Census::default());
    let counted = census.clone();
    let make = move |config: &Value| -> Arc<dyn Plugin> {
        let (fails, counted) = (config["fails"] == true, Counted::new(&counted));
        Native::new((fails, counted))
            .on::<ToolPreInvoke>(Needs::block(), |_, _, _| Ok(Verdict::Pass))
            .on_start(|(fails, _), _| {
                let fails = *fails;
                Box::pin(async move { if fails { Err(PluginError::failed("no")) } else { Ok(()) } })
            })
            .into_plugin()
    };
    let entry =
        |fails: bool| json!({ "name": "guard", "kind": "builtin.fickle", "config": { "fails": fails } });
    let mut stand = quiet()
        .kind("fickle", &[ToolPreInvoke::ID], make)
        .upstream("docs", &upstream)
        .entry(prefix("old "))
        .entry(entry(false))
        .start()
        .await;
    let before = (uuid(&stand, "guard").await, uuid(&stand, "prefix").await);

    stand.write(|config| config["plugins"] = json!([prefix("new "), entry(true)]));
    let refused = stand.reloader.reload(api()).await.unwrap_err();

    assert!(refused.reasons()[0].contains("`guard` runs and would not run any more"), "{refused:?}");
    assert_eq!(text(&stand.client().call("echo", json!({ "text": "call" })).await), "old call");
    assert_eq!((uuid(&stand, "guard").await, uuid(&stand, "prefix").await), before);
    // One made to check the configuration, or that did not start, is gone too.
    let left = async || (census.made.load(SeqCst) == census.dropped.load(SeqCst) + 1).then_some(());
    eventually("the end of all but the one that runs", left).await;
}

#[tokio::test]
async fn unchanged_plugin_keeps_its_state_and_uuid_and_so_does_one_of_which_only_the_place_changes() {
    let upstream = Scripted::start().await.unwrap();
    let census = Arc::new(Census::default());
    let counted = census.clone();
    let entry = |more: Value| {
        let mut entry = json!({ "name": "limit", "kind": "builtin.limiter", "config": { "max": 5 } });
        entry.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        entry
    };
    let mut stand = quiet()
        .kind("limiter", &[ToolPreInvoke::ID], move |_| limiter(&counted))
        .upstream("docs", &upstream)
        .entry(entry(json!({})))
        .entry(prefix("0 "))
        .start()
        .await;
    let id = uuid(&stand, "limit").await;
    let call = json!({ "name": "echo", "arguments": { "text": "call" } });
    let count = async |stand: &Stand| {
        let answer = stand.client().rpc("tools/call", call.clone()).await;
        answer.header("x-count").map(str::to_owned)
    };
    assert_eq!(count(&stand).await.as_deref(), Some("1"));

    stand.write(|config| config["plugins"] = json!([prefix("1 "), entry(json!({}))]));
    stand.reloader.reload(api()).await.unwrap();
    assert_eq!(count(&stand).await.as_deref(), Some("2"));
    let more =
        json!({ "priority": 7, "mode": "permissive", "tags": ["x"], "conditions": [{ "tools": ["echo"] }] });
    stand.write(|config| config["plugins"] = json!([prefix("1 "), entry(more)]));
    stand.reloader.reload(api()).await.unwrap();
    assert_eq!(count(&stand).await.as_deref(), Some("3"));

    assert_eq!(uuid(&stand, "limit").await, id);
    assert_eq!(census.started.load(SeqCst), 1);
    let shown = stand.client().get("/api/v1/plugins/limit").await.json();
    assert_eq!((&shown["priority"], &shown["mode"]), (&json!(7), &json!("permissive")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn limiter_hands_over_exact_counts_under_concurrent_calls() {
    let upstream = Scripted::start().await.unwrap();
    let census = Arc::new(Census::default());
    let counted = census.clone();
    let entry = |max: u64| json!([{ "name": "limit", "kind": "builtin.limiter", "config": { "max": max } }]);
    let mut stand = quiet()
        .kind("limiter", &[ToolPreInvoke::ID], move |_| limiter(&counted))
        .upstream("docs", &upstream)
        .set("plugins", entry(0))
        .start()
        .await;
    let stop = Arc::new(AtomicBool::new(false));
    let callers: Vec<_> = (0..8)
        .map(|_| {
            let (client, stop) = (stand.client(), stop.clone());
            tokio::spawn(async move {
                let mut counts = Vec::new();
                while !stop.load(SeqCst) {
                    let call = json!({ "name": "echo", "arguments": { "text": "call" } });
                    let answer = client.rpc("tools/call", call).await;
                    assert_eq!(text(&answer.message()), "call", "no call is refused");
                    counts.push(answer.header("x-count").unwrap().parse::<u64>().unwrap());
                }
                counts
            })
        })
        .collect();

    for max in 1..=50 {
        stand.write(|config| config["plugins"] = entry(max));
        assert_eq!(stand.reloader.reload(api()).await.unwrap().outcome, Outcome::Applied);
    }
    stop.store(true, SeqCst);

    let mut counts = Vec::new();
    for caller in callers {
        counts.extend(caller.await.unwrap());
    }
    counts.sort_unstable();
    let expected: Vec<u64> = (1..=counts.len() as u64).collect();
    assert_eq!(counts, expected, "every call was counted once, and in one place");
    assert_eq!(census.started.load(SeqCst), 51);
    let ended = async || (census.stopped.load(SeqCst) == 50).then_some(());
    eventually("the end of the predecessors", ended).await;
}

#[tokio::test]
async fn upstreams_come_and_go_and_clients_that_listen_are_told() {
    let (docs, files) = (Scripted::start().await.unwrap(), Scripted::start().await.unwrap());
    files.set_tools(&["read"]);
    let gate = Gate::new();
    files.on_tool("read", Behaviour::Wait(gate.clone()));
    let mut stand = quiet().upstream("docs", &docs).start().await;
    let session = stand.client().open_session().await;
    let mut stream = session.raw("GET", "", b"").await;
    stream.wait_for("200 OK").await;

    let url = files.url();
    stand.write(|config| config["upstreams"]["files"] = json!({ "url": url }));
    stand.reloader.reload(api()).await.unwrap();

    stream.wait_for("notifications/tools/list_changed").await;
    assert_eq!(stand.client().tools().await, ["echo", "read"]);
    assert_eq!(session.tools().await, ["echo", "read"]);
    let call = json!({ "name": "read", "arguments": { "text": "file" } });
    let under_way = [
        session.begin(7, "tools/call", call.clone()).await,
        stand.client().begin(8, "tools/call", call).await,
    ];
    gate.arrived(2).await;
    let sessions = docs.received_of("initialize").len();

    stand.write(|config| config["upstreams"] = json!({ "docs": config["upstreams"]["docs"].clone() }));
    stand.reloader.reload(api()).await.unwrap();

    stream.wait_for("notifications/tools/list_changed").await;
    let refused = stand.client().call("read", json!({})).await;
    assert_eq!(refused["error"]["code"], -32602, "{refused}");
    let refused = session.call("read", json!({})).await;
    assert_eq!(refused["error"]["code"], -32602, "{refused}");
    assert_eq!(session.tools().await, ["echo"]);
    gate.open();
    for call in under_way {
        assert_eq!(text(&call.answer().await.message()), "file", "a call under way is answered");
    }
    assert_eq!(text(&session.call("echo", json!({ "text": "on" })).await), "on");
    assert_eq!(docs.received_of("initialize").len(), sessions, "what did not change stayed connected");
    assert_eq!(stand.client().get("/api/v1/upstreams").await.json().as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn changed_upstream_is_replaced_without_its_tools_going_away() {
    let upstream = Scripted::start().await.unwrap();
    let mut stand = quiet().upstream("docs", &upstream).start().await;
    let url = upstream.url();
    stand
        .write(|config| config["upstreams"]["docs"] = json!({ "url": url, "headers": { "x-team": "blue" } }));

    let report = stand.reloader.reload(api()).await.unwrap();
    let answer = stand.client().call("echo", json!({ "text": "call" })).await;

    assert_eq!(text(&answer), "call");
    assert_eq!(upstream.received_of("tools/call")[0].header("x-team"), Some("blue"));
    assert_eq!(report.changes[0].path, "upstreams.docs.headers.x-team");
    assert_eq!(report.changes[0].to, Some(json!("***")), "headers may hold secrets");
}

#[tokio::test]
async fn removed_token_is_refused_and_the_streams_of_a_removed_app_end() {
    let upstream = Scripted::start().await.unwrap();
    let mut stand = quiet()
        .upstream("docs", &upstream)
        .app("ann", "token-of-ann", json!({}))
        .app("bob", "token-of-bob", json!({}))
        .start()
        .await;
    let bob = stand.client().token("token-of-bob").open_session().await;
    let mut stream = bob.raw("GET", "", b"").await;
    stream.wait_for("200 OK").await;

    stand.write(|config| {
        config["apps"].as_array_mut().unwrap().pop();
    });
    let report = stand.reloader.reload(api()).await.unwrap();

    assert_eq!(bob.rpc("tools/list", json!({})).await.status, 401);
    assert_eq!(stand.client().token("token-of-ann").rpc("tools/list", json!({})).await.status, 200);
    stream.answer_ends().await;
    assert_eq!((report.changes.len(), report.changes[0].path.as_str()), (1, "apps[bob]"));
    assert_eq!(report.changes[0].from, None);
}

#[tokio::test]
async fn settings_of_the_listener_wait_for_a_restart_and_are_named() {
    let mut stand = quiet().app("ann", "token-of-ann", json!({})).start().await;
    stand.write(|config| {
        config["listen"] = json!({ "address": "127.0.0.1:1", "max_connections": 5 });
        config.insert("state_dir".to_owned(), json!("elsewhere"));
    });

    for expected in [Outcome::Applied, Outcome::Unchanged] {
        let report = stand.reloader.reload(api()).await.unwrap();
        assert_eq!(report.outcome, expected);
        assert_eq!(report.waiting, ["listen.address", "listen.max_connections", "state_dir"]);
    }
    assert_eq!(stand.client().get("/health").await.status, 200);
}

#[tokio::test]
async fn gateway_that_others_can_reach_is_not_opened_by_a_reload() {
    let mut stand = quiet()
        .set("listen", json!({ "address": "0.0.0.0:0" }))
        .app("ann", "token-of-ann", json!({}))
        .start()
        .await;
    stand.write(|config| {
        config.remove("apps");
        config["listen"] = json!({ "address": "127.0.0.1:0" });
    });

    let refused = stand.reloader.reload(api()).await.unwrap_err();

    assert!(refused.reasons()[0].contains("without `apps`"), "{refused:?}");
    assert_eq!(stand.client().rpc("tools/list", json!({})).await.status, 401);
}

#[tokio::test]
async fn one_plugin_is_read_anew_by_its_name_and_the_rest_of_the_file_is_left_alone() {
    let upstream = Scripted::start().await.unwrap();
    let other = |prefix: &str| json!({ "name": "other", "kind": "builtin.prefixing", "priority": 200, "config": { "prefix": prefix } });
    let mut stand =
        quiet().upstream("docs", &upstream).entry(prefix("old ")).entry(other("o ")).start().await;
    let before = uuid(&stand, "other").await;
    stand.write(|config| {
        config["plugins"] = json!([prefix("new "), other("changed ")]);
        config["upstreams"] = json!({});
    });
    let reload = |name: &str| stand.admin().at(&format!("/plugins/reload/{name}"));

    let answer = reload("prefix").send("POST", Some(b"")).await;

    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["message"], "Plugin 'prefix' reloaded");
    assert_eq!(answer.json()["plugin"]["name"], "prefix");
    assert_eq!(text(&stand.client().call("echo", json!({ "text": "call" })).await), "o new call");
    assert_eq!(uuid(&stand, "other").await, before);
    // Without a change it starts anew all the same.
    let first = uuid(&stand, "prefix").await;
    assert_eq!(reload("prefix").send("POST", Some(b"")).await.status, 200);
    assert_ne!(uuid(&stand, "prefix").await, first);
    let missing = reload("nobody").send("POST", Some(b"")).await;
    assert_eq!((missing.status, missing.json()["detail"].as_str()), (404, Some("Plugin 'nobody' not found")));
    assert_eq!(stand.client().get("/ready").await.json()["status"], "ready");

    let rest = stand.reloader.reload(api()).await.unwrap();
    let paths: Vec<&str> = rest.changes.iter().map(|change| change.path.as_str()).collect();
    assert_eq!(paths[0], "plugins[other].config.prefix", "{paths:?}");
    assert!(paths[1..].iter().all(|path| path.starts_with("upstreams")), "{paths:?}");
}

#[tokio::test]
async fn changes_want_the_admin_token_also_where_readings_need_none() {
    let stand = quiet().start().await;
    for path in ["/api/v1/reload", "/plugins/reload/x", "/api/v1/plugins/x/reload"] {
        assert_eq!(stand.client().at(path).send("POST", Some(b"")).await.status, 401, "{path}");
        assert_eq!(
            stand.client().token("wrong").at(path).send("POST", Some(b"")).await.status,
            401,
            "{path}"
        );
        assert_eq!(stand.admin().get(path).await.status, 405, "{path}");
    }
    assert_eq!(stand.client().get("/api/v1/history").await.status, 200);
    assert_eq!(stand.admin().at("/api/v1/reload").send("POST", Some(b"")).await.status, 200);
}

#[tokio::test]
async fn history_tells_who_changed_what_and_no_secret() {
    let upstream = Scripted::start().await.unwrap();
    let mut stand = quiet().upstream("docs", &upstream).entry(prefix("old ")).start().await;
    let entry = json!({
        "name": "prefix", "kind": "builtin.prefixing",
        "config": { "prefix": "new ", "api_key": "hunter2", "note": "${file:secret.txt}" },
    });
    std::fs::write(stand.folder().join("secret.txt"), "hunter3").unwrap();
    stand.write(|config| {
        config["plugins"] = json!([entry]);
        config["upstreams"]["more"] = json!({ "url": "http://127.0.0.1:1/mcp?token=hunter4" });
        config["upstreams"]["child"] =
            json!({ "command": ["false", "--password", "hunter5"], "env": { "X": "hunter6" }, "enabled": false });
    });
    assert_eq!(stand.admin().at("/api/v1/reload").send("POST", Some(b"")).await.status, 200);
    stand.write(|config| config["plugins"] = json!("nonsense"));
    stand.reloader.reload(Trigger::new(Source::Signal, "SIGHUP")).await.unwrap_err();

    let history = stand.client().get("/api/v1/history").await;
    let file = std::fs::read_to_string(stand.folder().join(".mortise/history.jsonl")).unwrap();

    let entries = history.json();
    let told = |at: usize, key: &str| entries[at][key].clone();
    assert_eq!(told(0, "outcome"), "refused");
    assert_eq!((told(0, "source"), told(0, "who")), (json!("signal"), json!("SIGHUP")));
    assert!(told(0, "reasons")[0].as_str().unwrap().contains("plugins"), "{entries}");
    assert_eq!((told(1, "outcome"), told(1, "who")), (json!("applied"), json!("admin token")));
    assert_eq!((told(2, "source"), told(2, "outcome")), (json!("start"), json!("applied")));
    assert_eq!(
        (told(1, "snapshot"), told(0, "snapshot"), told(2, "snapshot")),
        (json!(2), json!(2), json!(1))
    );
    let changes = told(1, "changes");
    let change =
        |path: &str| changes.as_array().unwrap().iter().find(|change| change["path"] == path).cloned();
    let changed = change("plugins[prefix].config.prefix").unwrap();
    assert_eq!((&changed["from"], &changed["to"]), (&json!("old "), &json!("new ")));
    assert_eq!(change("plugins[prefix].config.api_key").unwrap()["to"], "***");
    assert_eq!(change("upstreams.child.command").unwrap()["to"], json!(["false", "***"]));
    for text in [&history.text(), &file] {
        assert!(!text.contains("hunter"), "{text}");
    }
    let one = stand.client().at("/api/v1/history?limit=1&plugin=prefix").send("GET", None).await.json();
    assert_eq!((one.as_array().unwrap().len(), &one[0]["snapshot"]), (1, &json!(2)));

    let folder = stand.stop().await;
    let again = Setup::in_folder(folder).start().await;
    let first = again.client().get("/api/v1/history").await.json()[0].clone();
    assert_eq!((&first["source"], &first["snapshot"]), (&json!("start"), &json!(3)), "numbers go on");
}

#[tokio::test]
async fn plugins_that_could_not_start_get_another_attempt() {
    let upstream = Scripted::start().await.unwrap();
    let ready = Arc::new(AtomicBool::new(false));
    let switch = ready.clone();
    let stand = quiet()
        .kind("late", MCP_HOOKS, move |_| {
            if switch.load(SeqCst) { plugins::noop(MCP_HOOKS) } else { plugins::start_fails(MCP_HOOKS) }
        })
        .upstream("docs", &upstream)
        .entry(json!({ "name": "late", "kind": "builtin.late" }))
        .start()
        .await;
    assert_eq!(stand.client().call("echo", json!({})).await["result"]["isError"], true);

    ready.store(true, SeqCst);
    assert_eq!(stand.reloader.reload(api()).await.unwrap().outcome, Outcome::Applied);

    assert_eq!(text(&stand.client().call("echo", json!({ "text": "call" })).await), "call");
    assert_eq!(stand.reloader.reload(api()).await.unwrap().outcome, Outcome::Unchanged);
}

#[tokio::test]
async fn change_that_the_one_before_it_keeps_waiting_is_refused_and_in_the_history() {
    let gate = Gate::new();
    let waits = gate.clone();
    let make = move |config: &Value| -> Arc<dyn Plugin> {
        let gate = (config["waits"] == true).then(|| waits.clone());
        Native::new(gate)
            .on::<ToolPreInvoke>(Needs::block(), |_, _, _| Ok::<_, PluginError>(Verdict::Pass))
            .on_start(|gate, _| {
                Box::pin(async move {
                    if let Some(gate) = gate {
                        gate.pass().await;
                    }
                    Ok(())
                })
            })
            .into_plugin()
    };
    let entry =
        |waits: bool| json!([{ "name": "slow", "kind": "builtin.slow", "config": { "waits": waits } }]);
    let mut stand =
        quiet().kind("slow", &[ToolPreInvoke::ID], make).set("plugins", entry(false)).start().await;
    stand.write(|config| config["plugins"] = entry(true));
    let reloader = stand.reloader.clone();
    let first = tokio::spawn(async move { reloader.reload(api()).await });
    gate.arrived(1).await;

    let second = Trigger { patience: Duration::ZERO, ..Trigger::new(Source::Signal, "SIGHUP") };
    let refused = stand.reloader.reload(second).await.unwrap_err();

    assert!(matches!(refused, Refused::Busy), "{refused}");
    let told = stand.client().get("/api/v1/history").await.json()[0].clone();
    assert_eq!((&told["who"], &told["outcome"]), (&json!("SIGHUP"), &json!("refused")), "{told}");
    assert!(told["reasons"][0].as_str().unwrap().contains("under way for too long"), "{told}");
    assert!(stand.reloader.refused().is_none(), "it says nothing about the configuration");
    gate.open();
    assert_eq!(first.await.unwrap().unwrap().outcome, Outcome::Applied);
}
