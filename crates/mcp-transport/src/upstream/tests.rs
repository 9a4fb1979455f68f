//! Requests over HTTP against this crate's own server, end to end.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use ::http::{HeaderValue, Method, Request, Response, StatusCode};
use bytes::Bytes;
use hyper::body::Incoming;
use mortise_mcp::envelope::{Message, method};
use mortise_mcp::raw::Raw;
use mortise_mcp::version::Version;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::{
    Call, Connection, Hello, HttpConnection, HttpOptions, InitializeError, Step, UpstreamError, connect_http,
};
use crate::backoff::BackoffConfig;
use crate::http::client::{Endpoint, EndpointConfig};
use crate::server::answer::{self, AnswerBody, EventSender};
use crate::server::listen::{ListenConfig, serve};
use crate::server::request;

/// Longest wait for something that happens at once.
const SOON: Duration = Duration::from_secs(20);

/// One request as a test server sees it.
struct Seen {
    method: Method,
    session: Option<String>,
    last_event_id: Option<String>,
    body: Value,
}

/// Serves with `handler`; the endpoint, and what ends the server when dropped.
async fn endpoint<H, F>(handler: H) -> (Endpoint, tokio_util::sync::DropGuard)
where
    H: Fn(Seen) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<AnswerBody>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}/mcp", listener.local_addr().unwrap())).unwrap();
    let stop = CancellationToken::new();
    let service = move |request: Request<Incoming>, _| {
        let handler = handler.clone();
        async move {
            let (head, body) = request.into_parts();
            let text = |name: &str| head.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
            let (session, last_event_id) = (text("mcp-session-id"), text("last-event-id"));
            let body = request::read_body(body, 1 << 20, SOON).await.unwrap();
            let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
            handler(Seen { method: head.method, session, last_event_id, body }).await
        }
    };
    let config = ListenConfig { drain: Duration::ZERO, ..ListenConfig::default() };
    tokio::spawn(serve(listener, config, stop.clone(), service));
    (Endpoint::new(EndpointConfig::new(url)).unwrap(), stop.drop_guard())
}

fn options() -> HttpOptions {
    let backoff = BackoffConfig { first: Duration::from_millis(5), longest: Duration::from_millis(20) };
    HttpOptions { backoff, ..HttpOptions::default() }
}

fn connection(endpoint: &Endpoint) -> Connection {
    let session = endpoint.session(Some(HeaderValue::from_static("s")), None);
    Connection::Http(HttpConnection::new(session, options()))
}

fn result(seen: &Seen, result: &Value) -> Bytes {
    json!({ "jsonrpc": "2.0", "id": seen.body["id"], "result": result }).to_string().into()
}

async fn send(events: &EventSender, id: Option<&str>, message: &Value) {
    events.send(id, message.to_string().as_bytes()).await.unwrap();
}

fn unwrap(step: Step) -> String {
    match step {
        Step::Response(Ok(raw)) => raw.as_str().to_owned(),
        other => panic!("expected a result, got {other:?}"),
    }
}

#[tokio::test]
async fn a_json_answer_is_ready_at_once_and_its_connection_serves_the_next_call() {
    let (endpoint, _server) =
        endpoint(|seen| async move { answer::json(result(&seen, &seen.body["params"])) }).await;
    let connection = connection(&endpoint);
    for number in 0..5 {
        let params = Raw::parse(format!(r#"{{"n":{number}}}"#)).unwrap();
        let mut exchange = connection.request(Call::new("tools/call", Some(&params))).await.unwrap();
        assert!(exchange.is_ready());
        assert_eq!(unwrap(exchange.next().await.unwrap()), params.as_str());
    }
    assert_eq!(endpoint.pool().stats().opened, 1);
}

#[tokio::test]
async fn progress_and_requests_come_on_the_way_and_the_token_is_the_clients_own() {
    let (endpoint, _server) = endpoint(|seen| async move {
        let (events, response) = answer::events(1);
        tokio::spawn(async move {
            let token = &seen.body["params"]["_meta"]["progressToken"];
            assert_eq!(token, &seen.body["id"]);
            let progress =
                json!({ "jsonrpc": "2.0", "method": method::PROGRESS, "params": { "progressToken": token } });
            send(&events, None, &progress).await;
            send(&events, None, &json!({ "jsonrpc": "2.0", "id": 9, "method": "roots/list" })).await;
            events.send(None, &result(&seen, &json!({}))).await.unwrap();
        });
        response
    })
    .await;
    let params = Raw::parse(r#"{"_meta":{"progressToken":"mine"}}"#).unwrap();
    let mut exchange = connection(&endpoint).request(Call::new("tools/call", Some(&params))).await.unwrap();
    let Step::Interim(Message::Notification(progress)) = exchange.next().await.unwrap() else { panic!() };
    assert_eq!(progress.params.unwrap().as_str(), r#"{"progressToken":"mine"}"#);
    let Step::Interim(Message::Request(request)) = exchange.next().await.unwrap() else { panic!() };
    assert_eq!(request.method, "roots/list");
    assert_eq!(unwrap(exchange.next().await.unwrap()), "{}");
}

#[tokio::test]
async fn a_dropped_call_closes_its_stream_and_tells_the_server() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let (endpoint, _server) = endpoint(move |seen| {
        let tell = tell.clone();
        async move {
            if seen.body["method"] == method::CANCELLED {
                tell.send(format!("cancelled {}", seen.body["params"]["requestId"])).unwrap();
                return answer::accepted();
            }
            let (events, response) = answer::events(1);
            tokio::spawn(async move {
                let progress = json!({ "jsonrpc": "2.0", "method": method::LOG_MESSAGE });
                send(&events, None, &progress).await;
                events.gone().await;
                tell.send("gone".to_owned()).unwrap();
            });
            response
        }
    })
    .await;
    let connection = connection(&endpoint);
    let mut exchange = connection.request(Call::new("tools/call", None)).await.unwrap();
    assert!(matches!(exchange.next().await.unwrap(), Step::Interim(_)));
    drop(exchange);
    let mut heard = [
        timeout(SOON, told.recv()).await.unwrap().unwrap(),
        timeout(SOON, told.recv()).await.unwrap().unwrap(),
    ];
    heard.sort();
    assert_eq!(heard, ["cancelled 1", "gone"]);
}

#[tokio::test]
async fn silence_is_a_timeout_and_progress_extends_it() {
    let (endpoint, _server) = endpoint(|seen| async move {
        let (events, response) = answer::events(1);
        tokio::spawn(async move {
            let token = &seen.body["id"];
            if seen.body["method"] == "slow" {
                // Longer in all than the deadline, each pause shorter.
                for _ in 0..5 {
                    tokio::time::sleep(Duration::from_millis(250)).await;
                    let params = json!({ "progressToken": token });
                    send(
                        &events,
                        None,
                        &json!({ "jsonrpc": "2.0", "method": method::PROGRESS, "params": params }),
                    )
                    .await;
                }
                events.send(None, &result(&seen, &json!({}))).await.unwrap();
            }
            events.gone().await;
        });
        response
    })
    .await;
    let connection = connection(&endpoint);
    let call = |method| Call { timeout: Duration::from_secs(1), ..Call::new(method, None) };
    let silent = connection.request(call("silent")).await.unwrap().outcome().await;
    assert!(matches!(silent, Err(UpstreamError::Timeout { .. })));
    connection.request(call("slow")).await.unwrap().outcome().await.unwrap().unwrap();
}

#[tokio::test]
async fn a_broken_answer_stream_is_resumed_after_its_last_event() {
    let (endpoint, _server) = endpoint(|seen| async move {
        let (events, response) = answer::events(8);
        match (&seen.method, seen.last_event_id.as_deref()) {
            (&Method::POST, _) => {
                let log = json!({ "jsonrpc": "2.0", "method": method::LOG_MESSAGE });
                send(&events, Some("e1"), &log).await;
            }
            (&Method::GET, Some("e1")) => {
                send(&events, Some("e2"), &json!({ "jsonrpc": "2.0", "id": 1, "result": { "late": true } }))
                    .await;
            }
            other => panic!("{other:?}"),
        }
        response
    })
    .await;
    let outcome = connection(&endpoint).request(Call::new("tools/call", None)).await.unwrap().outcome();
    assert_eq!(timeout(SOON, outcome).await.unwrap().unwrap().unwrap().as_str(), r#"{"late":true}"#);
}

#[tokio::test]
async fn a_stream_that_ends_without_the_answer_fails_the_call() {
    let (endpoint, _server) = endpoint(|_| async move { answer::events(1).1 }).await;
    let outcome = connection(&endpoint).request(Call::new("tools/call", None)).await.unwrap().outcome().await;
    assert!(matches!(outcome, Err(UpstreamError::Protocol { .. })));
}

#[tokio::test]
async fn the_servers_stream_is_opened_again_where_it_broke() {
    let (endpoint, _server) = endpoint(|seen| async move {
        let (events, response) = answer::events(8);
        assert_eq!(seen.method, Method::GET);
        let next = seen.last_event_id.map_or(1, |id| id.parse::<u32>().unwrap() + 1);
        let message =
            json!({ "jsonrpc": "2.0", "method": method::TOOLS_LIST_CHANGED, "params": { "n": next } });
        send(&events, Some(&next.to_string()), &message).await;
        response
    })
    .await;
    let connection = connection(&endpoint);
    let mut incoming = connection.incoming().unwrap();
    assert!(connection.incoming().is_none());
    for number in 1..4 {
        let Some(Message::Notification(changed)) = timeout(SOON, incoming.recv()).await.unwrap() else {
            panic!()
        };
        assert_eq!(changed.params.unwrap().as_str(), format!(r#"{{"n":{number}}}"#));
    }
}

#[tokio::test]
async fn a_server_without_a_stream_of_its_own_ends_the_queue() {
    let (endpoint, _server) =
        endpoint(|_| async move { answer::empty(StatusCode::METHOD_NOT_ALLOWED) }).await;
    let connection = connection(&endpoint);
    assert!(timeout(SOON, connection.incoming().unwrap().recv()).await.unwrap().is_none());
}

#[tokio::test]
async fn who_waits_for_the_servers_stream_goes_on_once_it_was_answered_and_not_before() {
    let (tell, told) = tokio::sync::watch::channel(false);
    let (endpoint, _server) = endpoint(move |_| {
        let mut told = told.clone();
        async move {
            told.wait_for(|answer| *answer).await.unwrap();
            answer::empty(StatusCode::METHOD_NOT_ALLOWED)
        }
    })
    .await;
    let connection = connection(&endpoint);
    let _incoming = connection.incoming().unwrap();
    let mut waiting = pin!(connection.listening(SOON));
    tokio::select! {
        biased;
        () = &mut waiting => panic!("nothing was answered yet"),
        () = tokio::task::yield_now() => {}
    }
    tell.send_replace(true);
    let began = std::time::Instant::now();
    waiting.await;
    assert!(began.elapsed() < SOON, "an answer ends the wait, not patience");
}

#[tokio::test]
async fn a_session_is_opened_used_lost_and_ended() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let tell = Arc::new(tell);
    let (endpoint, _server) = endpoint(move |seen| {
        let tell = Arc::clone(&tell);
        async move {
            let name = seen.body["method"].as_str().unwrap_or(seen.method.as_str()).to_owned();
            tell.send((name.clone(), seen.session.clone())).unwrap();
            match name.as_str() {
                "initialize" => {
                    assert_eq!(seen.body["params"]["protocolVersion"], "2025-11-25");
                    let body = json!({
                        "protocolVersion": "2025-03-26", "capabilities": { "tools": {} },
                        "serverInfo": { "name": "s", "version": "1" }, "instructions": "be kind",
                    });
                    let mut response = answer::json(result(&seen, &body));
                    response.headers_mut().insert("mcp-session-id", HeaderValue::from_static("abc"));
                    response
                }
                "notifications/initialized" => answer::accepted(),
                "DELETE" => answer::empty(StatusCode::OK),
                _ => answer::empty(StatusCode::NOT_FOUND),
            }
        }
    })
    .await;
    let (http, initialized) = connect_http(&endpoint, &Hello::new("mortise", "0"), options()).await.unwrap();
    assert_eq!(initialized.version, Version::V2025_03_26);
    assert_eq!(initialized.capabilities.as_str(), r#"{"tools":{}}"#);
    assert_eq!(initialized.instructions.as_deref(), Some("be kind"));
    let connection = Connection::Http(http);
    let lost = connection.request(Call::new("tools/list", None)).await.unwrap_err();
    assert!(lost.is_gone());
    connection.close().await;
    let session = Some("abc".to_owned());
    for expected in [
        ("initialize".to_owned(), None),
        ("notifications/initialized".to_owned(), session.clone()),
        ("tools/list".to_owned(), session.clone()),
        ("DELETE".to_owned(), session.clone()),
    ] {
        assert_eq!(told.recv().await.unwrap(), expected);
    }
}

#[tokio::test]
async fn a_server_of_another_version_is_refused() {
    let (endpoint, _server) = endpoint(|seen| async move {
        answer::json(result(&seen, &json!({ "protocolVersion": "2031-01-01", "capabilities": {} })))
    })
    .await;
    let refused = connect_http(&endpoint, &Hello::new("mortise", "0"), options()).await.unwrap_err();
    assert!(matches!(refused, InitializeError::Version { offered } if offered == "2031-01-01"));
}

#[tokio::test]
async fn an_error_status_with_the_requests_own_json_rpc_error_is_its_outcome() {
    let (endpoint, _server) = endpoint(|seen| async move {
        let error =
            json!({ "jsonrpc": "2.0", "id": seen.body["id"], "error": { "code": -32602, "message": "no" } });
        answer::json_with_status(StatusCode::BAD_REQUEST, error.to_string().into())
    })
    .await;
    let outcome = connection(&endpoint).request(Call::new("tools/call", None)).await.unwrap().outcome().await;
    assert_eq!(outcome.unwrap().unwrap_err().code(), Some(-32602));
}

#[tokio::test]
async fn an_answer_to_another_request_is_not_taken() {
    let (endpoint, _server) =
        endpoint(
            |_| async move { answer::json(Bytes::from_static(br#"{"jsonrpc":"2.0","id":99,"result":{}}"#)) },
        )
        .await;
    let mixed_up = connection(&endpoint).request(Call::new("tools/call", None)).await;
    assert!(matches!(mixed_up, Err(UpstreamError::Protocol { .. })));
}

/// A relay answers from within its own connection's task, which then also drives the upstream's: the place
/// where a wake-up could get lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_calls_of_all_sizes_pass_through_a_relay() {
    let (origin, _origin) = endpoint(|seen| async move {
        if seen.body["params"]["stream"] == true {
            let (events, response) = answer::events(4);
            events.send(None, &result(&seen, &seen.body["params"])).await.unwrap();
            return response;
        }
        answer::json(result(&seen, &seen.body["params"]))
    })
    .await;
    let upstream = connection(&origin);
    let (relay, _relay) = endpoint(move |seen| {
        let upstream = upstream.clone();
        async move {
            let params = Raw::parse(seen.body["params"].to_string()).unwrap();
            let outcome = upstream.request(Call::new("echo", Some(&params))).await.unwrap().outcome().await;
            answer::json(result(&seen, &outcome.unwrap().unwrap().decode().unwrap()))
        }
    })
    .await;
    let client = connection(&relay);
    let calls: Vec<_> = (0..16)
        .map(|task: usize| {
            let client = client.clone();
            tokio::spawn(async move {
                for round in 0..20 {
                    let size = (task * 7919 + round * 104_729) % 300_000;
                    let params = json!({ "text": "x".repeat(size), "stream": round % 3 == 0 }).to_string();
                    let params = Raw::parse(params).unwrap();
                    let outcome = client.request(Call::new("echo", Some(&params))).await.unwrap().outcome();
                    let echoed = timeout(SOON, outcome).await.unwrap().unwrap().unwrap();
                    assert_eq!(echoed.as_bytes(), params.as_bytes());
                }
            })
        })
        .collect();
    for call in calls {
        timeout(SOON * 3, call).await.unwrap().unwrap();
    }
    assert!(origin.pool().stats().opened <= 64, "{:?}", origin.pool());
}
