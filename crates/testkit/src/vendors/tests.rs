//! What the fakes send is what the crate that reads vendors reads: text, calls and usage, whole and streamed.

use mortise_llm::{
    assemble::Assembler,
    convert::{Options, answer},
    path::classify,
    stream::Decoder,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{FakeVendor, Fault, Script};

/// Posts over a connection of its own; the status and the body, as far as it came.
async fn post(vendor: &FakeVendor, path: &str, body: &Value) -> (u16, Vec<u8>) {
    let mut stream = TcpStream::connect(vendor.address()).await.unwrap();
    let body = body.to_string();
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes).await;
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
    let status = head[9..12].parse().unwrap();
    let mut rest = &bytes[end + 4..];
    if !head.contains("transfer-encoding: chunked") {
        return (status, rest.to_vec());
    }
    let mut out = Vec::new();
    while let Some(line) = rest.windows(2).position(|two| two == b"\r\n") {
        let len = usize::from_str_radix(&String::from_utf8_lossy(&rest[..line]), 16).unwrap();
        let chunk = &rest[line + 2..];
        out.extend_from_slice(&chunk[..len.min(chunk.len())]);
        rest = chunk.get(len + 2..).unwrap_or_default();
    }
    (status, out)
}

fn requests() -> [(&'static str, &'static str, Value); 5] {
    let chat = json!({"model": "m", "messages": [{"role": "user", "content": "hi there"}], "max_tokens": 9});
    let generate = json!({"contents": [{"role": "user", "parts": [{"text": "hi there"}]}]});
    let converse = json!({"messages": [{"role": "user", "content": [{"text": "hi there"}]}]});
    [
        ("/v1/chat/completions", "/v1/chat/completions", chat.clone()),
        ("/v1/messages", "/v1/messages", chat),
        (
            "/v1beta/models/m:generateContent",
            "/v1beta/models/m:streamGenerateContent?alt=sse",
            generate.clone(),
        ),
        ("/v1beta/models/m:generateContent", "/v1beta/models/m:streamGenerateContent", generate),
        ("/model/m/converse", "/model/m/converse-stream", converse),
    ]
}

#[tokio::test]
async fn every_vendor_says_the_same_whole_and_streamed() {
    let vendor = FakeVendor::start().await.unwrap();
    for (unary, streamed, mut body) in requests() {
        let shape = classify(unary).shape;
        let (status, whole) = post(&vendor, unary, &body).await;
        assert_eq!(status, 200, "{unary}");
        body["stream"] = true.into();
        let (status, bytes) = post(&vendor, streamed, &body).await;
        assert_eq!(status, 200, "{streamed}");
        let query = streamed.split_once('?').map(|(_, query)| query);
        let mut decoder = Decoder::new(shape.framing(query), 1 << 20);
        let mut frames = Vec::new();
        decoder.feed(&bytes, &mut frames).unwrap();
        let mut assembler = Assembler::new(shape, 1 << 20);
        frames.iter().for_each(|frame| assembler.frame(frame).unwrap());
        let options = Options { model: "m", created: 0, stream_usage: true, base64: false };
        for body in [whole, assembler.body().unwrap().to_vec()] {
            let chat = match shape {
                mortise_llm::shape::Shape::Chat => body,
                shape => answer(shape, mortise_llm::shape::Shape::Chat, &body, &options).unwrap().to_vec(),
            };
            let chat: Value = serde_json::from_slice(&chat).unwrap();
            assert_eq!(chat["choices"][0]["message"]["content"], "You said: hi there", "{streamed}");
            assert_eq!(chat["choices"][0]["finish_reason"], "stop", "{streamed}");
        }
    }
    assert_eq!(vendor.asked().len(), 10);
}

#[tokio::test]
async fn faults_happen_as_they_were_set() {
    let vendor = FakeVendor::start().await.unwrap();
    let mut body = requests()[0].2.clone();
    vendor.fault_once(Fault::Status(429, Some(7)));
    assert_eq!(post(&vendor, "/v1/chat/completions", &body).await.0, 429);
    vendor.answer_with(Script::saying(["a", "b", "c"]));
    body["stream"] = true.into();
    vendor.fault_once(Fault::Reset(2));
    let (_, bytes) = post(&vendor, "/v1/chat/completions", &body).await;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    assert!(text.contains("\"a\"") && !text.contains("\"b\"") && !text.contains("[DONE]"), "{text}");
    body["model"] = "fault-error".into();
    let (_, bytes) = post(&vendor, "/v1/chat/completions", &body).await;
    assert!(String::from_utf8_lossy(&bytes).contains("overloaded on purpose"));
    vendor.fault(Fault::Hang);
    let mut stream = TcpStream::connect(vendor.address()).await.unwrap();
    stream.write_all(b"POST /v1/messages HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}").await.unwrap();
    vendor.until_asked(4).await;
    drop(stream);
    vendor.until_gone(1).await;
}
