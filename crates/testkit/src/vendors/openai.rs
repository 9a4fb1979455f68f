//! OpenAI's wire.

use bytes::Bytes;
use mortise_llm::stream::Frame;
use serde_json::{Value, json};

use super::said::{Heard, Said, texts};

const CREATED: u64 = 1_700_000_000;

pub(super) fn hear_chat(body: &Value) -> Heard {
    let mut heard = Heard::default();
    for message in body["messages"].as_array().into_iter().flatten() {
        match message["role"].as_str() {
            Some("user") => (heard.user, heard.tool) = (texts(&message["content"]), None),
            Some("tool") => heard.tool = Some(texts(&message["content"])),
            _ => {}
        }
    }
    let tools = body["tools"].as_array().into_iter().flatten();
    heard.tools = tools.filter_map(|tool| tool["function"]["name"].as_str().map(str::to_owned)).collect();
    heard.max_tokens = body["max_completion_tokens"].as_u64().or(body["max_tokens"].as_u64());
    heard
}

pub(super) fn hear_responses(body: &Value) -> Heard {
    let mut heard = Heard::default();
    match &body["input"] {
        Value::String(text) => heard.user.clone_from(text),
        Value::Array(items) => {
            for item in items {
                match item["type"].as_str() {
                    Some("function_call_output") => heard.tool = Some(texts(&item["output"])),
                    None | Some("message") if item["role"] == "user" => {
                        (heard.user, heard.tool) = (texts(&item["content"]), None);
                    }
                    _ => {}
                }
            }
        }
        _ => {}
    }
    let tools = body["tools"].as_array().into_iter().flatten();
    heard.tools = tools.filter_map(|tool| tool["name"].as_str().map(str::to_owned)).collect();
    heard.max_tokens = body["max_output_tokens"].as_u64();
    heard
}

fn finish(said: &Said) -> &'static str {
    match (said.call.is_some(), said.cut) {
        (true, _) => "tool_calls",
        (_, true) => "length",
        _ => "stop",
    }
}

fn usage(said: &Said) -> Value {
    json!({
        "prompt_tokens": said.input_tokens, "completion_tokens": said.output_tokens,
        "total_tokens": said.input_tokens + said.output_tokens,
        "prompt_tokens_details": { "cached_tokens": 0 }, "completion_tokens_details": { "reasoning_tokens": 0 }
    })
}

pub(super) fn chat(said: &Said) -> Value {
    let text = said.text();
    let content = if text.is_empty() { Value::Null } else { text.into() };
    let mut message = json!({ "role": "assistant", "content": content, "refusal": null, "annotations": [] });
    if let Some(thoughts) = &said.thoughts {
        message["reasoning_content"] = thoughts.clone().into();
    }
    if let Some((name, pieces)) = &said.call {
        let function = json!({ "name": name, "arguments": pieces.concat() });
        message["tool_calls"] = json!([{ "id": "call_fake1", "type": "function", "function": function }]);
    }
    let mut body = json!({
        "id": "chatcmpl-fake", "object": "chat.completion", "created": CREATED, "model": said.model,
        "choices": [{ "index": 0, "message": message, "logprobs": null, "finish_reason": finish(said) }],
        "service_tier": "default", "system_fingerprint": "fp_fake"
    });
    if said.usage {
        body["usage"] = usage(said);
    }
    body
}

pub(super) fn chat_events(said: &Said, body: &Value) -> Vec<Bytes> {
    let with_usage = body["stream_options"]["include_usage"] == true;
    let mut out = Vec::new();
    let chunk = |choices: Value| {
        let mut chunk = json!({
            "id": "chatcmpl-fake", "object": "chat.completion.chunk", "created": CREATED, "model": said.model,
            "service_tier": "default", "system_fingerprint": "fp_fake", "choices": choices
        });
        if with_usage {
            chunk["usage"] = Value::Null;
        }
        chunk
    };
    let mut delta = |delta: Value, finish: Value| {
        let choice = json!([{ "index": 0, "delta": delta, "logprobs": null, "finish_reason": finish }]);
        out.push(Frame::sse(None, chunk(choice).to_string().as_bytes()));
    };
    delta(json!({ "role": "assistant", "content": "", "refusal": null }), Value::Null);
    if let Some(thoughts) = &said.thoughts {
        delta(json!({ "reasoning_content": thoughts }), Value::Null);
    }
    for piece in &said.pieces {
        delta(json!({ "content": piece }), Value::Null);
    }
    if let Some((name, pieces)) = &said.call {
        let function = json!({ "name": name, "arguments": "" });
        let call = json!([{ "index": 0, "id": "call_fake1", "type": "function", "function": function }]);
        delta(json!({ "tool_calls": call }), Value::Null);
        for piece in pieces {
            delta(json!({ "tool_calls": [{ "index": 0, "function": { "arguments": piece } }] }), Value::Null);
        }
    }
    delta(json!({}), finish(said).into());
    if with_usage && said.usage {
        let mut last = chunk(json!([]));
        last["usage"] = usage(said);
        out.push(Frame::sse(None, last.to_string().as_bytes()));
    }
    out.push(Bytes::from_static(b"data: [DONE]\n\n"));
    out
}

pub(super) fn completion(said: &Said) -> Value {
    json!({
        "id": "cmpl-fake", "object": "text_completion", "created": CREATED, "model": said.model,
        "choices": [{ "index": 0, "text": said.text(), "logprobs": null, "finish_reason": finish(said) }],
        "usage": usage(said)
    })
}

pub(super) fn completion_events(said: &Said) -> Vec<Bytes> {
    let chunk = |text: &str, finish: Value| {
        let choice = json!({ "index": 0, "text": text, "logprobs": null, "finish_reason": finish });
        let chunk = json!({
            "id": "cmpl-fake", "object": "text_completion", "created": CREATED, "model": said.model,
            "choices": [choice]
        });
        Frame::sse(None, chunk.to_string().as_bytes())
    };
    let mut out: Vec<Bytes> = said.pieces.iter().map(|piece| chunk(piece, Value::Null)).collect();
    out.push(chunk("", finish(said).into()));
    out.push(Bytes::from_static(b"data: [DONE]\n\n"));
    out
}

fn items(said: &Said) -> Vec<Value> {
    let mut items = Vec::new();
    if !said.pieces.is_empty() {
        items.push(json!({
            "id": "msg_fake", "type": "message", "role": "assistant", "status": "completed",
            "content": [{ "type": "output_text", "text": said.text(), "annotations": [], "logprobs": [] }]
        }));
    }
    if let Some((name, pieces)) = &said.call {
        items.push(json!({
            "id": "fc_fake", "type": "function_call", "status": "completed", "call_id": "call_fake1", "name": name,
            "arguments": pieces.concat()
        }));
    }
    items
}

pub(super) fn response(said: &Said) -> Value {
    let mut body = json!({
        "id": "resp_fake", "object": "response", "created_at": CREATED, "status": "completed",
        "background": false, "error": null, "incomplete_details": null, "instructions": null,
        "max_output_tokens": null, "model": said.model, "output": items(said), "parallel_tool_calls": true,
        "previous_response_id": null, "reasoning": { "effort": null, "summary": null }, "store": true,
        "temperature": 1.0, "text": { "format": { "type": "text" } }, "tool_choice": "auto", "tools": [],
        "top_p": 1.0, "truncation": "disabled", "user": null, "metadata": {},
        "usage": {
            "input_tokens": said.input_tokens, "input_tokens_details": { "cached_tokens": 0 },
            "output_tokens": said.output_tokens, "output_tokens_details": { "reasoning_tokens": 0 },
            "total_tokens": said.input_tokens + said.output_tokens
        }
    });
    if said.cut {
        body["status"] = "incomplete".into();
        body["incomplete_details"] = json!({ "reason": "max_output_tokens" });
    }
    body
}

pub(super) fn response_events(said: &Said) -> Vec<Bytes> {
    let mut out = Vec::new();
    let mut number = 0;
    let mut send = |kind: &str, data: Value| {
        let mut event = json!({ "type": kind, "sequence_number": number });
        number += 1;
        if let (Value::Object(event), Value::Object(data)) = (&mut event, data) {
            event.extend(data);
        }
        out.push(Frame::sse(Some(kind), event.to_string().as_bytes()));
    };
    let whole = response(said);
    let mut begun = whole.clone();
    begun["status"] = "in_progress".into();
    begun["output"] = json!([]);
    begun["usage"] = Value::Null;
    send("response.created", json!({ "response": begun }));
    send("response.in_progress", json!({ "response": begun }));
    for (n, item) in items(said).into_iter().enumerate() {
        let mut added = item.clone();
        added["status"] = "in_progress".into();
        if item["type"] == "message" {
            added["content"] = json!([]);
            let at = json!({ "output_index": n, "content_index": 0, "item_id": "msg_fake" });
            let with = |more: Value| {
                let mut data = at.clone();
                if let (Value::Object(data), Value::Object(more)) = (&mut data, more) {
                    data.extend(more);
                }
                data
            };
            let part = |text: &str| json!({ "type": "output_text", "text": text, "annotations": [], "logprobs": [] });
            send("response.output_item.added", json!({ "output_index": n, "item": added }));
            send("response.content_part.added", with(json!({ "part": part("") })));
            for piece in &said.pieces {
                send("response.output_text.delta", with(json!({ "delta": piece, "logprobs": [] })));
            }
            send("response.output_text.done", with(json!({ "text": said.text(), "logprobs": [] })));
            send("response.content_part.done", with(json!({ "part": part(&said.text()) })));
        } else {
            added["arguments"] = "".into();
            send("response.output_item.added", json!({ "output_index": n, "item": added }));
            for piece in said.call.iter().flat_map(|(_, pieces)| pieces) {
                let data = json!({ "output_index": n, "item_id": "fc_fake", "delta": piece });
                send("response.function_call_arguments.delta", data);
            }
            let data = json!({
                "output_index": n, "item_id": "fc_fake", "name": item["name"], "arguments": item["arguments"]
            });
            send("response.function_call_arguments.done", data);
        }
        send("response.output_item.done", json!({ "output_index": n, "item": item }));
    }
    send(if said.cut { "response.incomplete" } else { "response.completed" }, json!({ "response": whole }));
    out
}

/// Vectors that depend on the text alone: its length, its first byte, its last.
pub(super) fn vector(text: &str) -> [f32; 3] {
    let byte = |byte: Option<&u8>| f32::from(byte.copied().unwrap_or_default()) / 255.0;
    let bytes = text.as_bytes();
    [bytes.len().min(1_000) as f32 / 1_000.0, byte(bytes.first()), byte(bytes.last())]
}

pub(super) fn embeddings(body: &Value) -> Value {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let inputs: Vec<String> = match &body["input"] {
        Value::Array(items) => items.iter().map(texts).collect(),
        one => vec![texts(one)],
    };
    let packed = body["encoding_format"] == "base64";
    let data: Vec<Value> = inputs
        .iter()
        .enumerate()
        .map(|(index, input)| {
            let vector = vector(input);
            let embedding = if packed {
                let bytes: Vec<u8> = vector.iter().flat_map(|n| n.to_le_bytes()).collect();
                STANDARD.encode(bytes).into()
            } else {
                json!(vector)
            };
            json!({ "object": "embedding", "index": index, "embedding": embedding })
        })
        .collect();
    let tokens = inputs.iter().map(|input| input.len().div_ceil(4)).sum::<usize>();
    let usage = json!({ "prompt_tokens": tokens, "total_tokens": tokens });
    json!({ "object": "list", "data": data, "model": body["model"], "usage": usage })
}

pub(super) fn models() -> Value {
    let model = |id: &str| json!({ "id": id, "object": "model", "created": CREATED, "owned_by": "fake" });
    json!({ "object": "list", "data": [model("fake-large"), model("fake-small")] })
}
