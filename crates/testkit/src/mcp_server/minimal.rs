//! The cheapest upstream that still speaks MCP: streamable HTTP without sessions, one tool `echo`.
//!
//! Hyper's HTTP/1.1 connection without router or layers. A call costs one parse of the envelope and one buffer for
//! the answer; everything else is static. Whatever sits before it in a bench is then what is measured.

use std::{convert::Infallible, io, sync::Arc};

use bytes::{BufMut, Bytes};
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::{net::TcpListener, task::JoinSet};

/// Largest request body that is read, in bytes.
const MAX_BODY: usize = 16 << 20;

const TOOLS: &str = r#"{"tools":[{"name":"echo","description":"Answers its text.","inputSchema":{"type":"object","properties":{"text":{"type":"string"}},"required":["text"]}}]}"#;

/// Answers of the minimal upstream.
#[derive(Clone, Debug, Default)]
pub struct Minimal {
    /// The quoted text that every call is answered with, instead of the text it brought.
    fixed: Option<Arc<str>>,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    method: Option<&'a RawValue>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Call<'a> {
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    arguments: Option<Arguments<'a>>,
}

#[derive(Deserialize)]
struct Arguments<'a> {
    #[serde(borrow)]
    text: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Initialize {
    protocol_version: Option<String>,
}

impl Minimal {
    /// Answers each call with the text it brought.
    pub fn new() -> Self {
        Self::default()
    }

    /// Answers each call with a text of `bytes` bytes.
    pub fn with_answer_of(bytes: usize) -> Self {
        Self { fixed: Some(format!("\"{}\"", "x".repeat(bytes)).into()) }
    }

    /// Serves every connection of `listener` until the future is dropped.
    ///
    /// # Errors
    /// When a connection cannot be accepted.
    pub async fn serve(self, listener: TcpListener) -> io::Result<()> {
        let mut connections = JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await?;
            // Those that are over are taken out, so that the set does not grow.
            while connections.try_join_next().is_some() {}
            stream.set_nodelay(true)?;
            let server = self.clone();
            connections.spawn(async move {
                let service = service_fn(move |request| {
                    let server = server.clone();
                    async move { Ok::<_, Infallible>(server.respond(request).await) }
                });
                // A connection that breaks is the client's affair.
                let _ = http1::Builder::new()
                    .pipeline_flush(true)
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    }

    async fn respond(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        if request.method() != Method::POST {
            return plain(StatusCode::METHOD_NOT_ALLOWED, Bytes::new());
        }
        let body = match Limited::new(request.into_body(), MAX_BODY).collect().await {
            Ok(body) => body.to_bytes(),
            Err(_) => return plain(StatusCode::PAYLOAD_TOO_LARGE, Bytes::new()),
        };
        match self.answer(&body) {
            Some(answer) => {
                let mut response = Response::new(Full::new(answer));
                let json = header::HeaderValue::from_static("application/json");
                response.headers_mut().insert(header::CONTENT_TYPE, json);
                response
            }
            None => plain(StatusCode::ACCEPTED, Bytes::new()),
        }
    }

    /// The answer to one message; `None` where it expects none.
    pub fn answer(&self, body: &[u8]) -> Option<Bytes> {
        let Ok(message) = serde_json::from_slice::<Envelope<'_>>(body) else {
            return Some(error("null", -32700, "no JSON-RPC message"));
        };
        let id = message.id?.get();
        let params = message.params.map_or("null", RawValue::get);
        Some(match message.method.map_or("", RawValue::get) {
            r#""tools/call""# => self.call(id, params),
            r#""tools/list""# => result(id, TOOLS),
            r#""initialize""# => initialize(id, params),
            r#""ping""# => result(id, "{}"),
            _ => error(id, -32601, "method not found"),
        })
    }

    fn call(&self, id: &str, params: &str) -> Bytes {
        let Ok(call) = serde_json::from_str::<Call<'_>>(params) else {
            return error(id, -32602, "no name and arguments");
        };
        if call.name.is_none_or(|name| name.get() != r#""echo""#) {
            return error(id, -32602, "unknown tool");
        }
        let brought = call.arguments.and_then(|arguments| arguments.text).map_or(r#""""#, RawValue::get);
        let text = self.fixed.as_deref().unwrap_or(brought);
        if !text.starts_with('"') {
            return error(id, -32602, "text must be a string");
        }
        let mut out = Vec::with_capacity(100 + id.len() + text.len());
        out.put_slice(br#"{"jsonrpc":"2.0","id":"#);
        out.put_slice(id.as_bytes());
        out.put_slice(br#","result":{"content":[{"type":"text","text":"#);
        out.put_slice(text.as_bytes());
        out.put_slice(br#"}],"isError":false}}"#);
        out.into()
    }
}

fn initialize(id: &str, params: &str) -> Bytes {
    let asked = serde_json::from_str::<Initialize>(params).ok().and_then(|asked| asked.protocol_version);
    let version = mortise_mcp::version::Version::negotiate(&asked.unwrap_or_default());
    let info = format!(
        r#"{{"protocolVersion":"{version}","capabilities":{{"tools":{{}}}},"serverInfo":{{"name":"fake-upstream","version":"1"}}}}"#
    );
    result(id, &info)
}

fn result(id: &str, result: &str) -> Bytes {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#).into()
}

fn error(id: &str, code: i32, message: &'static str) -> Bytes {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":{code},"message":"{message}"}}}}"#).into()
}

fn plain(status: StatusCode, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::load;

    fn answer(server: &Minimal, message: &Value) -> Value {
        serde_json::from_slice(&server.answer(message.to_string().as_bytes()).unwrap()).unwrap()
    }

    #[test]
    fn echo_answers_its_text_and_nothing_else_is_a_tool() {
        let server = Minimal::new();
        let call = |name, text| {
            let params = json!({"name": name, "arguments": {"text": text}, "_meta": {"progressToken": 1}});
            answer(&server, &json!({"jsonrpc": "2.0", "id": "a", "method": "tools/call", "params": params}))
        };
        assert_eq!(call("echo", json!("hé\n\"x\""))["result"]["content"][0]["text"], "hé\n\"x\"");
        assert_eq!(call("echo", json!("x"))["id"], "a");
        assert_eq!(call("other", json!("x"))["error"]["code"], -32602);
        assert_eq!(call("echo", json!(7))["error"]["code"], -32602);
        let long = Minimal::with_answer_of(1000);
        let message = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "echo"}});
        assert_eq!(answer(&long, &message)["result"]["content"][0]["text"].as_str().unwrap().len(), 1000);
    }

    #[test]
    fn handshake_of_every_version_is_answered() {
        let server = Minimal::new();
        for (asked, given) in
            [("2024-11-05", "2024-11-05"), ("2025-11-25", "2025-11-25"), ("1", "2025-11-25")]
        {
            let message = json!({"id": 1, "method": "initialize", "params": {"protocolVersion": asked}});
            assert_eq!(answer(&server, &message)["result"]["protocolVersion"], given);
        }
        assert!(server.answer(br#"{"method":"notifications/initialized"}"#).is_none());
        assert_eq!(answer(&server, &json!({"id": 2, "method": "server/discover"}))["error"]["code"], -32601);
        assert_eq!(answer(&server, &json!("x"))["error"]["code"], -32700);
    }

    #[tokio::test]
    async fn every_answer_over_http_belongs_to_its_request() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/mcp", listener.local_addr().unwrap());
        let server = tokio::spawn(Minimal::new().serve(listener));
        let request = load::Request::echo(&url, &[], "echo", 128).unwrap();
        let report = load::closed(&request, 8, load::Until::Sent(400)).await.unwrap();
        assert_eq!((report.answered, report.errors), (400, 0), "{report}");
        server.abort();
    }
}
