//! A vendor that does what a test says, byte for byte, and remembers what it was asked.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinHandle,
};

/// What came.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// All of it, as text.
    pub(crate) fn text(&self) -> String {
        format!("{self:?} {}", String::from_utf8_lossy(&self.body))
    }
}

/// What is answered.
#[derive(Clone)]
pub(crate) enum Answer {
    /// A status and a JSON body.
    Json(u16, Value),
    /// The same with further header lines.
    With(u16, &'static str, Value),
    /// Pieces of a stream, each in a chunk of its own; then the end.
    Stream(Vec<String>),
    /// The same, of which each piece waits for a permit.
    Gated(Vec<String>, Arc<Semaphore>),
    /// These pieces, then nothing.
    Stall(Vec<String>),
    /// These pieces, then the connection breaks.
    Break(Vec<String>),
    /// Nothing at all.
    Hang,
    /// The connection is closed before an answer.
    Close,
}

#[derive(Default)]
struct Shared {
    asked: Mutex<Vec<Asked>>,
    answers: Mutex<VecDeque<Answer>>,
    /// Exchanges that the other side ended before they were over.
    left: AtomicUsize,
}

/// The vendor.
pub(crate) struct Vendor {
    address: SocketAddr,
    shared: Arc<Shared>,
    running: JoinHandle<()>,
}

impl Drop for Vendor {
    fn drop(&mut self) {
        self.running.abort();
    }
}

impl Vendor {
    /// One that gives these answers in turn, the last one for ever.
    pub(crate) async fn start(answers: impl IntoIterator<Item = Answer>) -> Self {
        let shared = Arc::new(Shared::default());
        shared.answers.lock().unwrap().extend(answers);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let all = shared.clone();
        let running = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shared = all.clone();
                tokio::spawn(async move { serve(stream, &shared).await });
            }
        });
        Self { address, shared, running }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.shared.asked.lock().unwrap().clone()
    }

    pub(crate) fn last(&self) -> Asked {
        self.asked().pop().unwrap()
    }

    pub(crate) fn left(&self) -> usize {
        self.shared.left.load(SeqCst)
    }

    /// Answers so from now on.
    pub(crate) fn answers(&self, answers: impl IntoIterator<Item = Answer>) {
        *self.shared.answers.lock().unwrap() = answers.into_iter().collect();
    }
}

async fn serve(mut stream: TcpStream, shared: &Shared) -> Option<()> {
    let mut held = Vec::new();
    loop {
        let asked = read(&mut stream, &mut held).await?;
        shared.asked.lock().unwrap().push(asked);
        let answer = {
            let mut answers = shared.answers.lock().unwrap();
            if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() }
        };
        let done = match answer? {
            Answer::Json(status, body) => whole(&mut stream, status, "", &body).await,
            Answer::With(status, lines, body) => whole(&mut stream, status, lines, &body).await,
            Answer::Stream(pieces) => {
                pieces_of(&mut stream, &pieces, None, shared).await && end(&mut stream).await
            }
            Answer::Gated(pieces, gate) => {
                pieces_of(&mut stream, &pieces, Some(&gate), shared).await && end(&mut stream).await
            }
            Answer::Stall(pieces) => {
                pieces_of(&mut stream, &pieces, None, shared).await;
                gone(&mut stream, shared).await;
                false
            }
            Answer::Break(pieces) => {
                pieces_of(&mut stream, &pieces, None, shared).await;
                false
            }
            Answer::Hang => {
                gone(&mut stream, shared).await;
                false
            }
            Answer::Close => false,
        };
        if !done {
            return None;
        }
    }
}

async fn read(stream: &mut TcpStream, held: &mut Vec<u8>) -> Option<Asked> {
    let mut piece = [0; 8192];
    loop {
        if let Some(end) = held.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8(held[..end].to_vec()).ok()?;
            let mut lines = head.split("\r\n");
            let mut first = lines.next()?.split(' ');
            let (method, target) = (first.next()?.to_owned(), first.next()?.to_owned());
            let headers: Vec<(String, String)> = lines
                .filter_map(|line| line.split_once(':'))
                .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
                .collect();
            let length = headers.iter().find(|(name, _)| name == "content-length");
            let length: usize = length.map_or(0, |(_, value)| value.parse().unwrap());
            if held.len() >= end + 4 + length {
                let body = held[end + 4..end + 4 + length].to_vec();
                held.drain(..end + 4 + length);
                return Some(Asked { method, target, headers, body });
            }
        }
        match stream.read(&mut piece).await {
            Ok(0) | Err(_) => return None,
            Ok(length) => held.extend_from_slice(&piece[..length]),
        }
    }
}

async fn whole(stream: &mut TcpStream, status: u16, lines: &str, body: &Value) -> bool {
    let body = body.to_string();
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\nset-cookie: vendor=1\r\nx-ratelimit-left: 7\r\n{lines}content-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes()).await.is_ok()
}

/// Sends the head and the pieces; says whether the other side took all of them.
async fn pieces_of(
    stream: &mut TcpStream,
    pieces: &[String],
    gate: Option<&Semaphore>,
    shared: &Shared,
) -> bool {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n";
    if stream.write_all(head.as_bytes()).await.is_err() {
        return false;
    }
    for piece in pieces {
        if let Some(gate) = gate {
            let mut probe = [0; 1];
            tokio::select! {
                permit = gate.acquire() => permit.unwrap().forget(),
                _ = stream.read(&mut probe) => {
                    shared.left.fetch_add(1, SeqCst);
                    return false;
                }
            }
        }
        let chunk = format!("{:x}\r\n{piece}\r\n", piece.len());
        if stream.write_all(chunk.as_bytes()).await.is_err() {
            shared.left.fetch_add(1, SeqCst);
            return false;
        }
    }
    true
}

async fn end(stream: &mut TcpStream) -> bool {
    stream.write_all(b"0\r\n\r\n").await.is_ok()
}

/// Waits until the other side has gone.
async fn gone(stream: &mut TcpStream, shared: &Shared) {
    let mut probe = [0; 64];
    while matches!(stream.read(&mut probe).await, Ok(length) if length > 0) {}
    shared.left.fetch_add(1, SeqCst);
}

/// A chat completion.
pub(crate) fn chat(text: &str) -> Answer {
    Answer::Json(200, completion(text))
}

pub(crate) fn completion(text: &str) -> Value {
    serde_json::json!({
        "id": "c1", "object": "chat.completion", "created": 1, "model": "gpt-5",
        "choices": [{ "index": 0, "message": { "role": "assistant", "content": text }, "finish_reason": "stop" }],
        "usage": { "prompt_tokens": 1000, "completion_tokens": 500, "total_tokens": 1500 }
    })
}

/// One event of a streamed chat completion.
pub(crate) fn delta(text: &str) -> String {
    let chunk = serde_json::json!({
        "id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-5",
        "choices": [{ "index": 0, "delta": { "content": text }, "finish_reason": null }]
    });
    format!("data: {chunk}\n\n")
}

/// The events that end it.
pub(crate) fn last() -> String {
    let finish = serde_json::json!({
        "id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-5",
        "choices": [{ "index": 0, "delta": {}, "finish_reason": "stop" }]
    });
    let usage = serde_json::json!({
        "id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-5", "choices": [],
        "usage": { "prompt_tokens": 1000, "completion_tokens": 500, "total_tokens": 1500 }
    });
    format!("data: {finish}\n\ndata: {usage}\n\ndata: [DONE]\n\n")
}

/// What a client that reads a stream of chat chunks has read.
pub(crate) fn spoken(body: &str) -> String {
    let data = body.lines().filter_map(|line| line.strip_prefix("data: "));
    let chunks = data.filter_map(|data| serde_json::from_str::<Value>(data).ok());
    chunks.filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str().map(str::to_owned)).collect()
}
