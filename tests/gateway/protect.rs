//! What bounds the damage of plugins: breakers, health checks, bands and the budget, as operators set and see them.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use mortise_framework::{breaker::Limits, config::Environment};
use mortise_gateway::config::{LoadOptions, Settled};
use mortise_plugin_api::{Native, Needs, Plugin, PluginError, Verdict, hooks::ToolPreInvoke};
use mortise_testkit::mcp_server::scripted::Scripted;
use mortise_tests::{Setup, eventually, text};
use serde_json::json;

/// A plugin that fails as long as the switch is on, and counts its calls.
fn failing(fails: &Arc<AtomicBool>, calls: &Arc<AtomicUsize>) -> Arc<dyn Plugin> {
    let (fails, calls) = (fails.clone(), calls.clone());
    Native::new(())
        .on::<ToolPreInvoke>(Needs::block(), move |(), _, _| {
            calls.fetch_add(1, SeqCst);
            if fails.load(SeqCst) { Err(PluginError::failed("no")) } else { Ok(Verdict::Pass) }
        })
        .into_plugin()
}

#[tokio::test]
async fn open_breaker_keeps_calls_from_a_plugin_and_is_shown_everywhere_until_a_probe_succeeds() {
    let upstream = Scripted::start().await.unwrap();
    let (fails, calls) = (Arc::new(AtomicBool::new(true)), Arc::default());
    let breaker = json!({ "circuit_breaker_failure_threshold": 3, "circuit_breaker_timeout": 0.2 });
    let stand = Setup::new()
        .upstream("docs", &upstream)
        .plugin_with("guard", failing(&fails, &calls), breaker)
        .start()
        .await;
    let client = stand.client();

    let mut answers = Vec::new();
    for _ in 0..3 {
        answers.push(text(&client.call("echo", json!({ "text": "x" })).await).to_owned());
    }
    assert!(answers.iter().all(|answer| answer.contains("PLUGIN_ERROR")), "{answers:?}");
    let ready = client.get("/ready").await.json();
    assert_eq!(ready["degraded"][0]["name"], "guard", "{ready}");
    assert_eq!(ready["degraded"][0]["reason"], "its circuit breaker is open after 3 failures in a row");
    let shown = client.get("/api/v1/plugins/guard").await.json();
    assert_eq!((&shown["status"], &shown["circuit_breaker"]["failures"]), (&json!("degraded"), &json!(3)));
    assert_ne!(shown["circuit_breaker"]["state"], "closed");
    assert!(shown["circuit_breaker"]["since"].is_string());
    let metrics = client.get("/metrics").await.text();
    assert!(metrics.contains("mortise_plugin_breaker_open{plugin=\"guard\"} 1"), "{metrics}");
    assert!(metrics.contains("mortise_plugin_breaker_openings_total{plugin=\"guard\"} 1"));

    fails.store(false, SeqCst);
    let called = calls.load(SeqCst);
    eventually("the breaker closes", async || {
        let answer = client.call("echo", json!({ "text": "x" })).await;
        assert!(text(&answer) == "x" || text(&answer).contains("PLUGIN_UNAVAILABLE"), "{answer}");
        (text(&answer) == "x").then_some(())
    })
    .await;
    assert_eq!(calls.load(SeqCst), called + 1, "the probe alone went through");
    assert_eq!(client.get("/ready").await.json()["status"], "ready");
    let metrics = client.get("/metrics").await.text();
    assert!(metrics.contains("mortise_plugin_breaker_open{plugin=\"guard\"} 0"));
}

#[tokio::test]
async fn unwell_plugin_shows_as_degraded_while_its_calls_go_on_and_recovers() {
    let upstream = Scripted::start().await.unwrap();
    let well = Arc::new(AtomicBool::new(false));
    let asked = well.clone();
    let plugin = Native::new(())
        .on::<ToolPreInvoke>(Needs::block(), |(), _, _| Ok(Verdict::Pass))
        .on_health(move |()| {
            let well = asked.load(SeqCst);
            Box::pin(async move { if well { Ok(()) } else { Err(PluginError::failed("no database")) } })
        })
        .into_plugin();
    let stand = Setup::new()
        .upstream("docs", &upstream)
        .set("plugin_settings", json!({ "plugin_health_check_interval": 1 }))
        .plugin("guard", plugin)
        .start()
        .await;
    let client = stand.client();

    let degraded = eventually("the check fails", async || {
        let ready = client.get("/ready").await.json();
        (ready["status"] == "degraded").then_some(ready)
    })
    .await;
    assert_eq!(degraded["degraded"][0]["reason"], "its health check failed: no database");
    let metrics = client.get("/metrics").await.text();
    assert!(metrics.contains("mortise_plugin_healthy{plugin=\"guard\"} 0"));
    assert!(metrics.contains("mortise_plugin_up{plugin=\"guard\"} 0"));
    assert_eq!(text(&client.call("echo", json!({ "text": "x" })).await), "x");

    well.store(true, SeqCst);
    eventually("it is well again", async || {
        (client.get("/ready").await.json()["status"] == "ready").then_some(())
    })
    .await;
    assert!(client.get("/metrics").await.text().contains("mortise_plugin_up{plugin=\"guard\"} 1"));
}

#[tokio::test]
async fn request_budget_ends_what_plugins_of_one_request_take_together() {
    let upstream = Scripted::start().await.unwrap();
    let hangs = Native::new(())
        .on_async::<ToolPreInvoke>(Needs::block(), |(), _, _| Box::pin(std::future::pending()))
        .into_plugin();
    let (fails, calls) = (Arc::new(AtomicBool::new(false)), Arc::default());
    let stand = Setup::new()
        .upstream("docs", &upstream)
        .set("plugin_settings", json!({ "request_budget": 0.05 }))
        .plugin_with("slow", hangs, json!({ "mode": "permissive", "priority": 1 }))
        .plugin_with("guard", failing(&fails, &calls), json!({ "priority": 2 }))
        .start()
        .await;

    let answer = stand.client().call("echo", json!({ "text": "x" })).await;

    assert!(text(&answer).contains("blocked by plugin guard: PLUGIN_TIMEOUT"), "{answer}");
    assert_eq!(calls.load(SeqCst), 0, "nothing was left for it");
    assert_eq!(upstream.received_of("tools/call").len(), 0);
}

/// The configuration that the guide shows says what it is said to say.
#[test]
fn example_of_the_guide_loads_and_means_what_it_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/protect");
    let options = LoadOptions::new(&folder, Environment::default());
    let settled = Settled::load(&options, &Setup::new().framework()).unwrap();
    let settings = &settled.plan.settings;
    assert_eq!(settings.breaker, Limits::default());
    assert_eq!(settings.request_budget, Some(Duration::from_secs(8)));
    assert_eq!(settings.health_interval, Some(Duration::from_secs(15)));
    assert!(settings.parallel_bands);
    let own = settled.plan.entries[2].circuit_breaker.over(settings.breaker);
    assert_eq!(own, Limits { failures: 3, cooldown: Duration::from_secs(60) });
    assert!(settled.notices.is_empty(), "{:?}", settled.notices);
}
