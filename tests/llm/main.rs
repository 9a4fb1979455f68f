//! Requests to models through the gateway: real HTTP in front and behind, real plugins between.

#![expect(clippy::unwrap_used, reason = "what a test takes for granted ends it")]

mod bound;
mod budgets;
mod faults;
mod guards;
mod passing;
mod records;
mod resilience;
mod spans;
mod stored;
mod turned;
mod vendor;
mod who;

use mortise_tests::{Client, Setup, Stand};
use serde_json::{Value, json};
use vendor::Vendor;

/// A gateway with one LLM, `gpt`, in front of this vendor, and further keys.
fn setup(vendor: &Vendor, more: Value) -> Setup {
    let mut llm = json!({ "endpoint": vendor.url(), "api_key": "sk-vendor" });
    if let (Some(llm), Value::Object(more)) = (llm.as_object_mut(), more) {
        llm.extend(more);
    }
    Setup::new().set("llms", json!({ "gpt": llm }))
}

/// A client that asks for chat completions of `gpt`.
fn chat_at(stand: &Stand) -> Client {
    stand.client().at("/llm/call/gpt/chat/completions")
}

/// A question to a model.
fn question(text: &str, stream: bool) -> Value {
    json!({ "model": "gpt-5", "messages": [{ "role": "user", "content": text }], "stream": stream })
}

/// Posts JSON and waits for the answer.
async fn post(client: &Client, body: &Value) -> mortise_tests::HttpAnswer {
    client.send("POST", Some(body.to_string().as_bytes())).await
}

/// A question that is not waited for.
async fn begin(client: &Client, body: &Value) -> mortise_tests::UnderWay {
    let body = body.to_string();
    client.raw("POST", &format!("content-length: {}\r\n", body.len()), body.as_bytes()).await
}
