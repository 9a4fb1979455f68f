//! A WebSocket server, played with the same crate's other side.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use url::Url;

use super::{WebSocketError, connect};
use crate::http::client::EndpointConfig;
use crate::stdio::connection::{PipeConfig, PipeError};
use crate::upstream::Step;

const SOON: Duration = Duration::from_secs(20);

/// A server of one connection that answers each request with its method, and leaves on `leave`.
async fn server() -> EndpointConfig {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}/ws", listener.local_addr().unwrap())).unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        #[expect(clippy::result_large_err, reason = "the callback's type is the library's")]
        let agree = |request: &Request, mut response: Response| {
            assert_eq!(request.uri(), "/ws");
            assert_eq!(request.headers()["x-key"], "secret");
            let protocol = request.headers()["sec-websocket-protocol"].clone();
            response.headers_mut().insert("sec-websocket-protocol", protocol);
            Ok(response)
        };
        let mut socket = tokio_tungstenite::accept_hdr_async(stream, agree).await.unwrap();
        while let Some(Ok(message)) = socket.next().await {
            let Message::Text(text) = message else { continue };
            let asked: Value = serde_json::from_str(&text).unwrap();
            if asked["method"] == "leave" {
                break;
            }
            let answer = json!({ "jsonrpc": "2.0", "id": asked["id"], "result": { "was": asked["method"] } });
            socket.send(Message::text(answer.to_string())).await.unwrap();
        }
    });
    let mut config = EndpointConfig::new(url);
    config.headers.insert("x-key", "secret".parse().unwrap());
    config
}

#[tokio::test]
async fn messages_go_both_ways_and_an_end_is_seen() {
    let pipe = connect("socket", server().await, PipeConfig::default(), SOON).await.unwrap();
    for name in ["tools/list", "tools/call"] {
        let Step::Response(Ok(result)) = pipe.request(name, None).await.unwrap().next().await.unwrap() else {
            panic!("a result was sent")
        };
        assert_eq!(result.as_str(), json!({ "was": name }).to_string());
    }
    let mut call = pipe.request("leave", None).await.unwrap();
    let ended = tokio::time::timeout(SOON, call.next()).await.unwrap();
    assert!(matches!(ended, Err(PipeError::Ended { .. } | PipeError::Broken { .. })));
}

#[tokio::test]
async fn a_server_that_is_none_and_one_that_is_not_there_are_told_apart() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}/ws", listener.local_addr().unwrap())).unwrap();
    drop(listener);
    let refused = connect("socket", EndpointConfig::new(url), PipeConfig::default(), SOON).await;
    assert!(matches!(refused, Err(WebSocketError::Connect { .. })));
}
