//! Requests of plugins' own, and what the operator lets them reach.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use mortise_gateway::{history::Source, reload::Trigger};
use mortise_plugin_api::{
    Cx, Fut, Headers, Hook, Native, Needs, Plugin, PluginError, Verdict, Violation,
    hooks::{ToolPreInvoke, tool::ToolPreInvokePayload},
    host::HttpRequest,
};
use mortise_testkit::mcp_server::scripted::Scripted;
use mortise_tests::{Setup, Stand, eventually, text};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

/// An HTTP server that keeps what is posted to it.
struct Collector {
    address: SocketAddr,
    posted: mpsc::UnboundedReceiver<(String, String)>,
}

impl Collector {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, posted) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(Self::serve(socket, seen.clone()));
            }
        });
        Self { address, posted }
    }

    async fn serve(mut socket: TcpStream, seen: mpsc::UnboundedSender<(String, String)>) {
        let mut bytes = Vec::new();
        while socket.read_buf(&mut bytes).await.is_ok_and(|read| read > 0) {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() < length.map_or(0, |length| length.parse().unwrap()) {
                continue;
            }
            let _ = seen.send((head.to_owned(), body.to_owned()));
            bytes.clear();
            let _ = socket.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await;
        }
    }

    /// Waits for the next request: its head, and the JSON lines of its body.
    async fn next(&mut self) -> (String, Vec<Value>) {
        let next = tokio::time::timeout(mortise_tests::PATIENCE, self.posted.recv()).await;
        let (head, body) = next.unwrap().unwrap();
        (head, body.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
    }

    fn audit(&self, more: &Value) -> Value {
        let mut config = json!({
            "audit_endpoints": [format!("http://{}/trail?key=k3y", self.address)],
            "endpoint_headers": { "x-key": "k3y" },
            "endpoint_retries": 0,
            "batch_delay_ms": 0,
        });
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({ "name": "audit", "kind": "builtin.audit_logger", "mode": "audit", "config": config })
    }
}

async fn refused_of(stand: &Stand, plugin: &str) -> Option<()> {
    let metrics = stand.client().get("/metrics").await.text();
    let name = format!("mortise_plugin_http_requests_total{{plugin=\"{plugin}\",outcome=\"refused\"}}");
    let line = metrics.lines().find_map(|line| line.strip_prefix(&name)).map(str::trim);
    line.filter(|count| *count != "0").map(|_| ())
}

#[tokio::test]
async fn the_trail_reaches_a_collector_that_the_operator_lists() {
    let upstream = Scripted::start().await.unwrap();
    let mut collector = Collector::start().await;
    let stand = Setup::new()
        .upstream("docs", &upstream)
        .set("egress", json!({ "allow": [collector.address.to_string()] }))
        .entry(collector.audit(&json!({})))
        .start()
        .await;

    assert_eq!(text(&stand.client().call("echo", json!({ "text": "x" })).await), "x");

    let (mut head, mut records) = collector.next().await;
    while !records.iter().any(|record| record["event"] == "tool_post_invoke") {
        let (another, more) = collector.next().await;
        head = another;
        records.extend(more);
    }
    assert!(head.starts_with("POST /trail?key=k3y HTTP/1.1\r\n") && head.contains("x-key: k3y"), "{head}");
    assert!(head.contains("content-type: application/x-ndjson"), "{head}");
    let last = records.last().unwrap();
    assert_eq!((&last["subject"], &last["outcome"]), (&json!("echo"), &json!("ok")));
}

#[tokio::test]
async fn what_waits_is_posted_while_the_gateway_ends() {
    let upstream = Scripted::start().await.unwrap();
    let mut collector = Collector::start().await;
    let stand = Setup::new()
        .upstream("docs", &upstream)
        .set("egress", json!({ "allow": ["127.0.0.0/8"] }))
        .entry(collector.audit(&json!({ "batch_delay_ms": 60_000 })))
        .start()
        .await;
    stand.client().call("echo", json!({ "text": "x" })).await;

    stand.stop().await;

    let events: Vec<Value> =
        collector.next().await.1.into_iter().map(|mut record| record["event"].take()).collect();
    assert_eq!(events, ["tool_pre_invoke", "tool_post_invoke"]);
}

#[tokio::test]
async fn an_address_that_is_not_listed_is_not_reached_until_a_reload_lists_it() {
    let upstream = Scripted::start().await.unwrap();
    let mut collector = Collector::start().await;
    let mut stand = Setup::new().upstream("docs", &upstream).entry(collector.audit(&json!({}))).start().await;

    assert_eq!(text(&stand.client().call("echo", json!({ "text": "x" })).await), "x");
    eventually("a refusal", async || refused_of(&stand, "audit").await).await;
    assert!(collector.posted.try_recv().is_err());

    let list = |list: Value| {
        move |config: &mut serde_json::Map<String, Value>| {
            config.insert("egress".to_owned(), json!({ "allow": list }));
        }
    };
    stand.write(list(json!([collector.address.to_string()])));
    stand.reloader.reload(Trigger::new(Source::Api, "test")).await.unwrap();
    stand.client().call("echo", json!({ "text": "y" })).await;
    let (_, records) = collector.next().await;
    assert_eq!(records[0]["event"], "audit_records_dropped", "what was refused is missed: {records:?}");
}

/// Asks a service whether a tool may be called.
struct Policy(String);

impl Policy {
    fn ask<'a, 'c>(
        &'a self,
        call: &'a ToolPreInvokePayload,
        cx: &'c mut Cx<'a>,
    ) -> Fut<'c, Result<Verdict<ToolPreInvokePayload>, PluginError>> {
        Box::pin(async move {
            let request = get(format!("{}/tools/{}", self.0, call.name));
            match cx.host().http()?.send(request).await?.status {
                204 => Ok(Verdict::Pass),
                _ => Ok(Violation::new("NOT_ALLOWED", "the policy does not allow this").into()),
            }
        })
    }
}

#[tokio::test]
async fn a_plugin_asks_a_service_while_a_call_waits_for_it() {
    let upstream = Scripted::start().await.unwrap();
    let mut collector = Collector::start().await;
    let policy = Policy(format!("http://{}", collector.address));
    let policy = Native::new(policy).on_async::<ToolPreInvoke>(Needs::block().without_body(), Policy::ask);
    let setup = Setup::new().upstream("docs", &upstream).plugin("policy", policy.into_plugin());
    let stand = setup.set("egress", json!({ "allow": ["127.0.0.1"] })).start().await;

    assert_eq!(text(&stand.client().call("echo", json!({ "text": "x" })).await), "x");
    assert!(collector.next().await.0.starts_with("GET /tools/echo HTTP/1.1"));
}

fn get(url: String) -> HttpRequest {
    HttpRequest {
        method: "GET".to_owned(),
        url,
        headers: Headers::new(),
        body: Bytes::new(),
        timeout: Duration::from_secs(10),
        max_response_bytes: 100,
    }
}

/// Asks the `url` of its configuration when it starts.
fn caller(config: &Value) -> Arc<dyn Plugin> {
    Native::new(config["url"].as_str().unwrap_or_default().to_owned())
        .on::<ToolPreInvoke>(Needs::observe(), |_, _, _| Ok::<_, PluginError>(Verdict::Pass))
        .on_start(|url, init| {
            Box::pin(async move { init.host.http()?.send(get(url.clone())).await.map(|_| ()) })
        })
        .into_plugin()
}

#[tokio::test]
async fn a_plugin_that_starts_with_a_reload_reaches_what_that_reload_lists() {
    let upstream = Scripted::start().await.unwrap();
    let mut collector = Collector::start().await;
    let mut stand =
        Setup::new().upstream("docs", &upstream).kind("caller", &[ToolPreInvoke::ID], caller).start().await;
    let url = format!("http://{}/hello", collector.address);
    let entry = json!({ "name": "caller", "kind": "builtin.caller", "config": { "url": url } });

    stand.write(|config| {
        config.insert("plugins".to_owned(), json!([entry]));
    });
    stand.reloader.reload(Trigger::new(Source::Api, "test")).await.unwrap();
    let shown = stand.client().get("/api/v1/plugins/caller").await.text();
    assert!(shown.contains("egress.allow") && shown.contains("loopback"), "{shown}");

    stand.write(|config| {
        config.insert("egress".to_owned(), json!({ "allow": ["127.0.0.1"] }));
    });
    stand.reloader.reload(Trigger::new(Source::Api, "test")).await.unwrap();
    assert!(collector.next().await.0.starts_with("GET /hello "));
    let shown = stand.client().get("/api/v1/plugins/caller").await.json();
    assert_eq!(shown.get("reason").filter(|reason| !reason.is_null()), None, "{shown}");
}

#[tokio::test]
async fn a_list_that_says_nothing_is_an_error_with_its_place() {
    let setup =
        Setup::new().set("egress", json!({ "allow": ["audit.corp", "https://u:s3cret@audit.corp", "*"] }));
    let errors = setup.load(&setup.framework()).unwrap_err();
    let paths: Vec<&str> = errors.list().iter().map(|error| error.path.as_str()).collect();
    assert_eq!(paths, ["egress.allow[1]", "egress.allow[2]"]);
    assert!(!errors.render(false).contains("s3cret"), "{}", errors.render(false));
}
