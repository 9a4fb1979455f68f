//! The other side: a plugin that does what the name of the tool says.
//!
//! | name | does |
//! |---|---|
//! | `pass`, and every name not listed | lets the call pass |
//! | `mask` | upper-cases every text of arguments or result |
//! | `block` | refuses with the code `FOREIGN_BLOCK` |
//! | `state` | before: counts in its own state, writes `foreign_seen` to the shared state; after: reports the count |
//! | `slow` | does not answer until it is cancelled |
//! | `stubborn` | answers when, and although, it is cancelled |
//! | `gather` | waits for as many calls as the argument `n` says and answers them, last come first |
//! | `fail` | answers with an error |
//! | `garbage_result` | answers with a result that is none |
//! | `garbage` | writes a frame that is no JSON |
//! | `crash` | ends without an answer |
//!
//! Each answer's metadata holds `foreign: true` and, where calls were cancelled since the last answer, their request
//! ids under `cancelled`.

use std::{collections::HashMap, io};

use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::{io::AsyncWriteExt, net::UnixStream};

use super::frame;

/// Longest frame either way, in bytes.
const MAX_FRAME: usize = 64 << 20;

/// Why a peer ended before its connection did.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// It was asked to crash.
    #[error("crashed as it was asked to")]
    Crashed,
    /// Its connection broke, or the host spoke no protocol.
    #[error("could not go on talking to the host")]
    Io(#[from] io::Error),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Incoming {
    Cancel { cancel: u64 },
    Call(Call),
}

#[derive(Deserialize)]
struct Call {
    id: u64,
    hook: String,
    payload: Value,
    context: Value,
}

/// Offers `hooks` on `stream` and serves calls until the host closes it. `behaviour` is what it does where it should
/// not go by the tool's name.
///
/// # Errors
/// When asked to crash, or when the connection breaks.
pub async fn serve(stream: UnixStream, hooks: &[String], behaviour: Option<String>) -> Result<(), PeerError> {
    let mut peer =
        Peer { stream, behaviour, held: HashMap::new(), gathered: Vec::new(), cancelled: Vec::new() };
    peer.send(&json!({ "hooks": hooks })).await?;
    while let Some(frame) = frame::read(&mut peer.stream, MAX_FRAME).await? {
        match serde_json::from_slice(&frame).map_err(io::Error::from)? {
            Incoming::Cancel { cancel } => peer.cancel(cancel).await?,
            Incoming::Call(call) => peer.take(call).await?,
        }
    }
    Ok(())
}

struct Peer {
    stream: UnixStream,
    behaviour: Option<String>,
    /// Calls that wait to be cancelled, and whether they answer then.
    held: HashMap<u64, (Call, bool)>,
    gathered: Vec<Call>,
    /// Request ids of cancelled calls, until the next answer.
    cancelled: Vec<Value>,
}

impl Peer {
    async fn take(&mut self, mut call: Call) -> Result<(), PeerError> {
        let name = self.behaviour.clone().unwrap_or_else(|| subject(&call.payload));
        match name.as_str() {
            "mask" => {
                for field in ["args", "result", "content"] {
                    upper_case(&mut call.payload[field]);
                }
                let payload = call.payload.take();
                self.answer(call, json!({"continue_processing": true, "modified_payload": payload})).await
            }
            "block" => {
                let violation = json!({
                    "reason": "Foreign block", "description": "Blocked in another process", "code": "FOREIGN_BLOCK",
                    "details": {"hook": call.hook},
                });
                self.answer(call, json!({"continue_processing": false, "violation": violation})).await
            }
            "state" => {
                let metadata = state(&mut call);
                self.answer(call, json!({"continue_processing": true, "metadata": metadata})).await
            }
            "slow" | "stubborn" => {
                self.held.insert(call.id, (call, name == "stubborn"));
                Ok(())
            }
            "gather" => self.gather(call).await,
            "fail" => self.send(&json!({"id": call.id, "error": "failed as it was asked to"})).await,
            "garbage_result" => self.send(&json!({"id": call.id, "result": 7})).await,
            "garbage" => self.write(b"this is no JSON").await,
            "crash" => Err(PeerError::Crashed),
            _ => self.answer(call, json!({"continue_processing": true})).await,
        }
    }

    async fn gather(&mut self, call: Call) -> Result<(), PeerError> {
        let wanted = call.payload["args"]["n"].as_u64().unwrap_or(1);
        self.gathered.push(call);
        if (self.gathered.len() as u64) < wanted {
            return Ok(());
        }
        for mut call in std::mem::take(&mut self.gathered).into_iter().rev() {
            let payload = call.payload.take();
            let result =
                json!({"continue_processing": true, "metadata": {"gathered": payload["args"]["mine"]}});
            self.answer(call, result).await?;
        }
        Ok(())
    }

    async fn cancel(&mut self, id: u64) -> Result<(), PeerError> {
        let Some((call, stubborn)) = self.held.remove(&id) else { return Ok(()) };
        if stubborn {
            return self.answer(call, json!({"continue_processing": false})).await;
        }
        self.cancelled.push(call.context["global_context"]["request_id"].clone());
        Ok(())
    }

    async fn answer(&mut self, call: Call, mut result: Value) -> Result<(), PeerError> {
        let metadata = &mut result["metadata"];
        metadata["foreign"] = true.into();
        if !self.cancelled.is_empty() {
            metadata["cancelled"] = std::mem::take(&mut self.cancelled).into();
        }
        self.send(&json!({"id": call.id, "result": result, "context": call.context})).await
    }

    async fn send(&mut self, message: &Value) -> Result<(), PeerError> {
        self.write(message.to_string().as_bytes()).await
    }

    async fn write(&mut self, body: &[u8]) -> Result<(), PeerError> {
        let frame = frame::whole(body, MAX_FRAME).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidInput, "the answer is too long for a frame")
        })?;
        self.stream.write_all(&frame).await?;
        Ok(())
    }
}

/// What a payload is about.
fn subject(payload: &Value) -> String {
    let names = ["name", "prompt_id", "uri"].iter().filter_map(|field| payload[*field].as_str());
    names.map(str::to_owned).next().unwrap_or_default()
}

/// Counts before a call; reports after it.
fn state(call: &mut Call) -> Map<String, Value> {
    let mut metadata = Map::new();
    let count = call.context["state"]["count"].as_u64().unwrap_or(0);
    if call.hook.contains("_pre_") {
        call.context["state"]["count"] = (count + 1).into();
        call.context["global_context"]["state"]["foreign_seen"] = call.payload["name"].clone();
    } else {
        metadata.insert("count".into(), count.into());
        metadata.insert("seen".into(), call.context["global_context"]["state"]["foreign_seen"].clone());
    }
    metadata
}

fn upper_case(value: &mut Value) {
    match value {
        Value::String(text) => *text = text.to_uppercase(),
        Value::Array(items) => items.iter_mut().for_each(upper_case),
        Value::Object(fields) => fields.values_mut().for_each(upper_case),
        _ => {}
    }
}
