//! A native plugin with endpoints: the same contract, without a process.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use mortise_plugin_api::{
    EndpointMethod::{Get, Post},
    EndpointRegistration, EndpointResponse, Native, Plugin, PluginError,
};
use mortise_tests::{Setup, Stand, eventually};
use serde_json::json;

struct Orders {
    left: Arc<AtomicUsize>,
}

/// Counts that it was dropped.
struct Leaving(Arc<AtomicUsize>);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.fetch_add(1, Relaxed);
    }
}

fn plugin(left: &Arc<AtomicUsize>) -> Arc<dyn Plugin> {
    Native::new(Orders { left: left.clone() })
        .endpoint(EndpointRegistration::new("/orders", [Get, Post]).authenticated(), |_, call| {
            Box::pin(async move {
                let app = call.request.app.as_ref().map(|app| app.name.clone());
                if app.as_deref() != Some("ci") {
                    return Ok(EndpointResponse::text(403, "not for you"));
                }
                EndpointResponse::json(201, &json!({ "app": app, "body": call.request.body.len() }))
            })
        })
        .endpoint(EndpointRegistration::new("/fails", [Get]), |_, _| {
            Box::pin(async { Err(PluginError::failed("out of stock")) })
        })
        .endpoint(EndpointRegistration::new("/panics", [Get]), |_, _| Box::pin(panics()))
        .streaming_endpoint(EndpointRegistration::new("/events", [Get]), |plugin, _, mut out| {
            Box::pin(async move {
                let _leaving = Leaving(plugin.left.clone());
                out.head(200, [("content-type", "text/event-stream")].into_iter().collect()).await?;
                for at in 0_u64.. {
                    out.body(format!("data: {at}\n\n")).await?;
                    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
                }
                Ok(())
            })
        })
        .into_plugin()
}

async fn panics() -> Result<EndpointResponse, PluginError> {
    panic!("on demand")
}

async fn stand(left: &Arc<AtomicUsize>) -> Stand {
    let more = json!({ "offers": ["custom_endpoint"], "config": { "slug": "orders" } });
    Setup::new()
        .app("ci", "sesame", json!({}))
        .app("other", "open", json!({}))
        .plugin_with("orders", plugin(left), more)
        .start()
        .await
}

#[tokio::test]
async fn native_plugin_serves_its_endpoints_to_apps() {
    let stand = stand(&Arc::default()).await;
    let orders = stand.client().at("/plugins/orders/orders");
    let made = orders.token("sesame").send("POST", Some(b"{}")).await;
    assert_eq!((made.status, made.json()), (201, json!({ "app": "ci", "body": 2 })));
    assert_eq!(orders.token("open").send("GET", None).await.status, 403);
    assert_eq!(orders.send("GET", None).await.status, 401);
    assert_eq!(orders.token("sesame").send("DELETE", None).await.status, 404);
}

#[tokio::test]
async fn native_plugin_that_fails_or_panics_costs_that_call() {
    let stand = stand(&Arc::default()).await;
    let failed = stand.client().get("/plugins/orders/fails").await;
    assert_eq!((failed.status, super::error(&failed).as_str()), (502, "plugin endpoint error: out of stock"));
    let panicked = stand.client().get("/plugins/orders/panics").await;
    assert_eq!(panicked.status, 502);
    assert!(!panicked.text().contains("on demand"), "its message stays in the log");
}

#[tokio::test]
async fn native_stream_flows_and_ends_with_its_client() {
    let left = Arc::new(AtomicUsize::new(0));
    let stand = stand(&left).await;
    let mut events = stand.client().at("/plugins/orders/events").raw("GET", "", b"").await;
    events.wait_for("data: 20").await;
    drop(events);
    eventually("the end of the plugin's work", async || (left.load(Relaxed) == 1).then_some(())).await;
}

#[tokio::test]
async fn entry_that_offers_endpoints_of_a_kind_without_any_is_an_error() {
    let entry = json!({ "name": "pii", "kind": "builtin.pii_filter", "offers": ["custom_endpoint"] });
    let setup = Setup::new().entry(entry);
    let errors = setup.load(&setup.framework()).unwrap_err().render(false);
    assert!(errors.contains("has no endpoints of its own"), "{errors}");
}
