//! A legacy server, played with this crate's own.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use url::Url;

use super::{LegacyError, connect};
use crate::http::client::EndpointConfig;
use crate::server::answer::{self, EventSender};
use crate::server::listen::{ListenConfig, serve};
use crate::server::request::read_body;
use crate::stdio::connection::{PipeConfig, PipeError};
use crate::upstream::Step;

const SOON: Duration = Duration::from_secs(20);

/// A server that names `endpoint`, answers each request with its method, and refuses the method `refused`.
async fn server(endpoint: &'static str) -> (EndpointConfig, DropGuard) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}/sse", listener.local_addr().unwrap())).unwrap();
    let stream: Arc<Mutex<Option<EventSender>>> = Arc::default();
    let service = move |request: Request<Incoming>, _| {
        let stream = Arc::clone(&stream);
        async move {
            if request.method() == Method::GET {
                let (events, response) = answer::events(8);
                events.send_named("endpoint", endpoint.as_bytes()).await.unwrap();
                *stream.lock().unwrap() = Some(events);
                return response;
            }
            assert_eq!(request.uri(), "/messages?session=1");
            let body = read_body(request.into_body(), 1 << 20, SOON).await.unwrap();
            let message: Value = serde_json::from_slice(&body).unwrap();
            if message["method"] == "refused" {
                return answer::empty(StatusCode::BAD_REQUEST);
            }
            let answer =
                json!({ "jsonrpc": "2.0", "id": message["id"], "result": { "was": message["method"] } });
            let events = stream.lock().unwrap().clone().unwrap();
            events.send(None, answer.to_string().as_bytes()).await.unwrap();
            answer::accepted()
        }
    };
    let stop = CancellationToken::new();
    let config = ListenConfig { drain: Duration::ZERO, ..ListenConfig::default() };
    tokio::spawn(serve(listener, config, stop.clone(), service));
    (EndpointConfig::new(url), stop.drop_guard())
}

#[tokio::test]
async fn requests_are_posted_to_the_named_endpoint_and_answered_on_the_stream() {
    let (config, _server) = server("/messages?session=1").await;
    let pipe = connect("old", config, PipeConfig::default(), SOON).await.unwrap();
    for name in ["tools/list", "tools/call"] {
        let Step::Response(Ok(result)) = pipe.request(name, None).await.unwrap().next().await.unwrap() else {
            panic!("a result was sent")
        };
        assert_eq!(result.into_bytes(), Bytes::from(json!({ "was": name }).to_string()));
    }
}

#[tokio::test]
async fn a_refused_post_ends_the_conversation_instead_of_waiting_for_an_answer() {
    let (config, _server) = server("/messages?session=1").await;
    let pipe = connect("old", config, PipeConfig::default(), SOON).await.unwrap();
    let mut call = pipe.request("refused", None).await.unwrap();
    let ended = tokio::time::timeout(SOON, call.next()).await.unwrap();
    assert!(matches!(ended, Err(PipeError::Ended { .. } | PipeError::Broken { .. })));
}

#[tokio::test]
async fn an_endpoint_of_another_origin_is_refused() {
    let (config, _server) = server("http://127.0.0.1:1/messages").await;
    let refused = connect("old", config, PipeConfig::default(), SOON).await;
    assert!(matches!(refused, Err(LegacyError::ForeignEndpoint)));
}
