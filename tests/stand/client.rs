//! An HTTP/1.1 client that shows everything and smooths over nothing: one connection per request.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::PATIENCE;

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// A client at one path of a gateway.
#[derive(Clone, Debug)]
pub struct Client {
    address: SocketAddr,
    path: String,
    headers: Vec<(String, String)>,
}

/// An HTTP answer.
#[derive(Clone, Debug)]
pub struct HttpAnswer {
    /// The status.
    pub status: u16,
    /// The headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, without chunking.
    pub body: Vec<u8>,
}

/// A request that was sent. Dropped, the client has gone away.
#[derive(Debug)]
pub struct UnderWay(TcpStream);

impl Client {
    /// A client at `/mcp` that takes JSON and event streams.
    pub fn new(address: SocketAddr) -> Self {
        let headers = [
            ("host", address.to_string()),
            ("content-type", "application/json".to_owned()),
            ("accept", "application/json, text/event-stream".to_owned()),
        ];
        let headers = headers.map(|(name, value)| (name.to_owned(), value)).into();
        Self { address, path: "/mcp".to_owned(), headers }
    }

    /// The same client at another path.
    #[must_use]
    pub fn at(&self, path: &str) -> Self {
        Self { path: path.to_owned(), ..self.clone() }
    }

    /// The same client with a header, instead of one of that name.
    #[must_use]
    pub fn with(&self, name: &str, value: &str) -> Self {
        let mut client = self.clone();
        client.headers.retain(|(known, _)| known != name);
        client.headers.push((name.to_owned(), value.to_owned()));
        client
    }

    /// The same client with a bearer token.
    #[must_use]
    pub fn token(&self, token: &str) -> Self {
        self.with("authorization", &format!("Bearer {token}"))
    }

    /// Posts a request and waits for the answer.
    pub async fn rpc(&self, method: &str, params: Value) -> HttpAnswer {
        self.begin(NEXT_ID.fetch_add(1, Relaxed), method, params).await.answer().await
    }

    /// Calls a tool and returns the JSON-RPC answer.
    ///
    /// # Panics
    /// When the HTTP status is not 200.
    pub async fn call(&self, tool: &str, arguments: Value) -> Value {
        self.ask("tools/call", json!({ "name": tool, "arguments": arguments })).await
    }

    /// Posts a request and returns the JSON-RPC answer, which must be to this request.
    ///
    /// # Panics
    /// When the HTTP status is not 200.
    pub async fn ask(&self, method: &str, params: Value) -> Value {
        let id = NEXT_ID.fetch_add(1, Relaxed);
        let answer = self.begin(id, method, params).await.answer().await;
        assert_eq!(answer.status, 200, "{method}: {}", answer.text());
        let message = answer.message();
        assert_eq!(message["id"], id, "an answer to another request: {message}");
        message
    }

    /// Names of the tools it is shown.
    pub async fn tools(&self) -> Vec<String> {
        let listed = self.ask("tools/list", json!({})).await;
        let tools = listed["result"]["tools"].as_array().cloned().unwrap_or_default();
        tools.iter().filter_map(|tool| tool["name"].as_str().map(str::to_owned)).collect()
    }

    /// Opens a session; the client that is returned is in it.
    pub async fn open_session(&self) -> Self {
        let params = json!({
            "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "stand", "version": "1"},
        });
        let answer = self.rpc("initialize", params).await;
        let id = answer.header("mcp-session-id").unwrap_or_else(|| panic!("no session: {}", answer.text()));
        self.with("mcp-session-id", id).with("mcp-protocol-version", "2025-06-18")
    }

    /// Posts a request and does not wait.
    pub async fn begin(&self, id: u64, method: &str, params: Value) -> UnderWay {
        let body = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        self.start("POST", Some(body.to_string().as_bytes())).await
    }

    /// Posts a notification.
    pub async fn notify(&self, method: &str, params: Value) -> HttpAnswer {
        let body = json!({ "jsonrpc": "2.0", "method": method, "params": params });
        self.start("POST", Some(body.to_string().as_bytes())).await.answer().await
    }

    /// Gets a path.
    pub async fn get(&self, path: &str) -> HttpAnswer {
        self.at(path).start("GET", None).await.answer().await
    }

    /// Sends a request with this HTTP method and body.
    pub async fn send(&self, method: &str, body: Option<&[u8]>) -> HttpAnswer {
        self.start(method, body).await.answer().await
    }

    /// Sends a head with these further lines, then `rest` as it is.
    pub async fn raw(&self, method: &str, lines: &str, rest: &[u8]) -> UnderWay {
        let mut stream = TcpStream::connect(self.address).await.expect("the gateway takes connections");
        let mut message = format!("{method} {} HTTP/1.1\r\nconnection: close\r\n{lines}", self.path);
        for (name, value) in &self.headers {
            message.push_str(&format!("{name}: {value}\r\n"));
        }
        message.push_str("\r\n");
        stream.write_all(message.as_bytes()).await.expect("the gateway reads");
        // A gateway that has refused the head may not read the rest.
        let _ = stream.write_all(rest).await;
        UnderWay(stream)
    }

    async fn start(&self, method: &str, body: Option<&[u8]>) -> UnderWay {
        let length = body.map(|body| format!("content-length: {}\r\n", body.len())).unwrap_or_default();
        self.raw(method, &length, body.unwrap_or_default()).await
    }
}

impl UnderWay {
    /// Reads until this text has come; gives what came so far.
    ///
    /// # Panics
    /// When it does not come in time.
    pub async fn wait_for(&mut self, text: &str) -> String {
        let mut came = Vec::new();
        let reading = async {
            let mut piece = [0; 4096];
            while !String::from_utf8_lossy(&came).contains(text) {
                match self.0.read(&mut piece).await {
                    Ok(0) | Err(_) => panic!("ended without {text}: {}", String::from_utf8_lossy(&came)),
                    Ok(length) => came.extend_from_slice(&piece[..length]),
                }
            }
        };
        tokio::time::timeout(PATIENCE, reading).await.unwrap_or_else(|_| panic!("waited in vain for {text}"));
        String::from_utf8_lossy(&came).into_owned()
    }

    /// Waits until the answer ends; says whether one in chunks came to its proper end.
    ///
    /// # Panics
    /// When it does not end in time.
    pub async fn came_whole(mut self) -> bool {
        let mut rest = Vec::new();
        let ended = tokio::time::timeout(PATIENCE, self.0.read_to_end(&mut rest)).await;
        ended.expect("the answer ends in time").is_ok() && rest.ends_with(b"0\r\n\r\n")
    }

    /// Waits until the answer ends, whatever it was.
    ///
    /// # Panics
    /// When it does not end in time.
    pub async fn answer_ends(mut self) {
        let mut rest = Vec::new();
        let ended = tokio::time::timeout(PATIENCE, self.0.read_to_end(&mut rest)).await;
        let _ = ended.expect("the answer ends in time");
    }

    /// Waits for the whole answer.
    ///
    /// # Panics
    /// When none comes in time.
    pub async fn answer(mut self) -> HttpAnswer {
        let mut bytes = Vec::new();
        let reading = tokio::time::timeout(PATIENCE, self.0.read_to_end(&mut bytes)).await;
        let ended = reading.expect("the answer ends in time");
        HttpAnswer::parse(&bytes).unwrap_or_else(|| panic!("no answer ({ended:?})"))
    }
}

impl HttpAnswer {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
        let head = std::str::from_utf8(&bytes[..end]).ok()?;
        let mut lines = head.split("\r\n");
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
            .collect();
        let body = &bytes[end + 4..];
        let chunked = headers.iter().any(|(name, value)| name == "transfer-encoding" && value == "chunked");
        let body = if chunked { without_chunks(body) } else { body.to_vec() };
        Some(Self { status, headers, body })
    }

    /// A header, if it is there.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.text()))
    }

    /// Every message of the body, be it one or a stream of events.
    pub fn messages(&self) -> Vec<Value> {
        if self.header("content-type").is_some_and(|kind| kind.starts_with("text/event-stream")) {
            let body = self.text();
            let data = body.lines().filter_map(|line| line.strip_prefix("data:"));
            return data.filter_map(|data| serde_json::from_str(data).ok()).collect();
        }
        vec![self.json()]
    }

    /// The last message of the body: the answer to the request.
    pub fn message(&self) -> Value {
        self.messages().pop().unwrap_or_default()
    }
}

fn without_chunks(mut body: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    while let Some(end) = body.windows(2).position(|window| window == b"\r\n") {
        let size =
            std::str::from_utf8(&body[..end]).ok().and_then(|size| usize::from_str_radix(size, 16).ok());
        let Some(size) = size.filter(|size| *size > 0) else { break };
        let Some(chunk) = body.get(end + 2..end + 2 + size) else { break };
        whole.extend_from_slice(chunk);
        body = body.get(end + 4 + size..).unwrap_or_default();
    }
    whole
}

/// The first text of a tool's result.
pub fn text(message: &Value) -> &str {
    message["result"]["content"][0]["text"].as_str().unwrap_or_default()
}
