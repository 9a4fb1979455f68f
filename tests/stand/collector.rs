//! A collector for spans, as OpenTelemetry has them: what it gets is decoded with OpenTelemetry's own definition.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::any_value::Value,
    trace::v1::{Span, span::SpanKind},
};
use prost::Message;
use serde_json::{Value as Json, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::AbortHandle,
};

use crate::eventually;

/// A collector: HTTP in front, spans behind.
pub struct Collector {
    url: String,
    /// What it got.
    pub got: Arc<Mutex<Got>>,
    task: AbortHandle,
}

/// What a collector got.
#[derive(Default)]
pub struct Got {
    /// Heads of requests, in lower case.
    pub heads: Vec<String>,
    /// Attributes of the resource.
    pub resource: BTreeMap<String, String>,
    /// Spans.
    pub spans: Vec<Span>,
    /// Requests that are still to be answered with this status instead of being taken.
    pub refuse: Vec<u16>,
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Collector {
    /// One that listens.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let got = Arc::new(Mutex::new(Got::default()));
        let shared = got.clone();
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, shared.clone()));
            }
        });
        Self { url, got, task: serving.abort_handle() }
    }

    /// The configuration that sends spans here.
    pub fn settings(&self) -> Json {
        json!({ "otlp": { "endpoint": self.url, "delay": 0.02, "headers": { "x-key": "hunter2" } } })
    }

    /// The spans so far.
    pub fn spans(&self) -> Vec<Span> {
        self.got.lock().unwrap().spans.clone()
    }

    /// Waits for the spans of so many requests.
    pub async fn requests(&self, count: usize) -> Vec<Span> {
        eventually("spans arrive", async || {
            let spans = self.spans();
            (spans.iter().filter(|span| span.kind == SpanKind::Server as i32).count() >= count)
                .then_some(spans)
        })
        .await
    }
}

async fn serve(mut stream: TcpStream, got: Arc<Mutex<Got>>) {
    let mut bytes = Vec::new();
    loop {
        let mut piece = [0; 16 << 10];
        match stream.read(&mut piece).await {
            Ok(0) | Err(_) => return,
            Ok(length) => bytes.extend_from_slice(&piece[..length]),
        }
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:")).unwrap();
        let whole = end + 4 + length.trim().parse::<usize>().unwrap();
        if bytes.len() < whole {
            continue;
        }
        let refused = got.lock().unwrap().refuse.pop();
        if refused.is_none() {
            take(&mut got.lock().unwrap(), head, &bytes[end + 4..whole]);
        }
        bytes.drain(..whole);
        let answer = format!("HTTP/1.1 {} Done\r\ncontent-length: 0\r\n\r\n", refused.unwrap_or(200));
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

fn take(got: &mut Got, head: String, body: &[u8]) {
    got.heads.push(head);
    let request = ExportTraceServiceRequest::decode(body).unwrap();
    for resource in request.resource_spans {
        for attribute in resource.resource.unwrap().attributes {
            if let Some(Value::StringValue(text)) = attribute.value.and_then(|value| value.value) {
                got.resource.insert(attribute.key, text);
            }
        }
        got.spans.extend(resource.scope_spans.into_iter().flat_map(|scope| scope.spans));
    }
}

/// Bytes in hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An attribute of a span.
pub fn attribute(span: &Span, key: &str) -> Option<Json> {
    let value = span.attributes.iter().find(|attribute| attribute.key == key)?.value.clone()?.value?;
    Some(match value {
        Value::StringValue(text) => json!(text),
        Value::BoolValue(is) => json!(is),
        Value::IntValue(number) => json!(number),
        other => json!(format!("{other:?}")),
    })
}

/// The span of a kind.
pub fn of_kind(spans: &[Span], kind: SpanKind) -> Span {
    spans.iter().find(|span| span.kind == kind as i32).unwrap().clone()
}

/// The span of a name.
pub fn named(spans: &[Span], name: &str) -> Span {
    spans.iter().find(|span| span.name == name).unwrap().clone()
}
