use serde_json::json;

use super::*;
use crate::stream::Framing;

fn assembled(shape: Shape, events: &[(&str, Value)]) -> Value {
    let mut assembler = Assembler::new(shape, 1 << 20);
    for (name, event) in events {
        let data = event.to_string();
        let (raw, framing) = match shape {
            Shape::Converse => (Frame::event(name, data.as_bytes()), Framing::EventStream),
            _ => (Frame::sse(None, data.as_bytes()), Framing::Sse),
        };
        assembler.frame(&Frame::of(&raw, framing).unwrap()).unwrap();
    }
    serde_json::from_slice(&assembler.body().unwrap()).unwrap()
}

#[test]
fn chunks_of_a_chat_are_a_completion() {
    let chunk = |delta: Value, finish: Value| {
        (
            "",
            json!({"id": "c", "object": "chat.completion.chunk", "model": "m", "usage": null,
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}),
        )
    };
    let body = assembled(
        Shape::Chat,
        &[
            chunk(json!({"role": "assistant", "content": "", "x": "a"}), Value::Null),
            chunk(json!({"content": "hel", "x": "b"}), Value::Null),
            chunk(json!({"content": "lo"}), Value::Null),
            chunk(
                json!({"tool_calls": [{"index": 0, "id": "t", "type": "function",
                "function": {"name": "f", "arguments": ""}}]}),
                Value::Null,
            ),
            chunk(json!({"tool_calls": [{"index": 0, "function": {"arguments": "{\"a\""}}]}), Value::Null),
            chunk(json!({"tool_calls": [{"index": 0, "function": {"arguments": ":1}"}}]}), Value::Null),
            chunk(json!({}), "tool_calls".into()),
            ("", json!({"id": "c", "choices": [], "usage": {"prompt_tokens": 1}})),
        ],
    );
    assert_eq!(
        body,
        json!({"id": "c", "object": "chat.completion", "model": "m", "usage": {"prompt_tokens": 1},
        "choices": [{"index": 0, "finish_reason": "tool_calls", "message": {
            "role": "assistant", "content": "hello", "x": "ab",
            "tool_calls": [{"id": "t", "type": "function", "function": {"name": "f", "arguments": "{\"a\":1}"}}]
        }}]})
    );
}

#[test]
fn events_of_a_message_are_the_message() {
    let body = assembled(
        Shape::Messages,
        &[
            (
                "",
                json!({"type": "message_start", "message": {"id": "m", "role": "assistant", "content": [],
                "stop_reason": null, "usage": {"input_tokens": 5, "output_tokens": 1}}}),
            ),
            (
                "",
                json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
            ),
            (
                "",
                json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hi"}}),
            ),
            ("", json!({"type": "content_block_stop", "index": 0})),
            (
                "",
                json!({"type": "content_block_start", "index": 1,
                "content_block": {"type": "tool_use", "id": "t", "name": "f", "input": {}}}),
            ),
            (
                "",
                json!({"type": "content_block_delta", "index": 1,
                "delta": {"type": "input_json_delta", "partial_json": "{\"a\":"}}),
            ),
            (
                "",
                json!({"type": "content_block_delta", "index": 1,
                "delta": {"type": "input_json_delta", "partial_json": "1}"}}),
            ),
            (
                "",
                json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 9}}),
            ),
            ("", json!({"type": "message_stop"})),
        ],
    );
    assert_eq!(
        body,
        json!({"id": "m", "role": "assistant", "stop_reason": "tool_use",
            "usage": {"input_tokens": 5, "output_tokens": 9},
            "content": [{"type": "text", "text": "hi"}, {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}}]})
    );
}

#[test]
fn chunks_of_gemini_are_an_answer() {
    let chunk = |parts: Value, finish: Value| {
        let mut candidate = json!({"content": {"role": "model", "parts": parts}, "index": 0});
        if !finish.is_null() {
            candidate["finishReason"] = finish;
        }
        ("", json!({"candidates": [candidate], "modelVersion": "g", "usageMetadata": {"totalTokenCount": 3}}))
    };
    let body = assembled(
        Shape::Generate,
        &[
            chunk(json!([{"text": "th", "thought": true}]), Value::Null),
            chunk(json!([{"text": "a"}]), Value::Null),
            chunk(json!([{"text": "b"}, {"functionCall": {"name": "f", "args": {}}}]), "STOP".into()),
        ],
    );
    assert_eq!(
        body,
        json!({"candidates": [{"content": {"role": "model", "parts": [
            {"text": "th", "thought": true}, {"text": "ab"}, {"functionCall": {"name": "f", "args": {}}}
        ]}, "index": 0, "finishReason": "STOP"}], "modelVersion": "g", "usageMetadata": {"totalTokenCount": 3}})
    );
}

#[test]
fn events_of_converse_are_an_answer() {
    let body = assembled(
        Shape::Converse,
        &[
            ("messageStart", json!({"role": "assistant"})),
            (
                "contentBlockDelta",
                json!({"contentBlockIndex": 0, "delta": {"reasoningContent": {"text": "h"}}}),
            ),
            (
                "contentBlockDelta",
                json!({"contentBlockIndex": 0, "delta": {"reasoningContent": {"text": "m"}}}),
            ),
            (
                "contentBlockDelta",
                json!({"contentBlockIndex": 0, "delta": {"reasoningContent": {"signature": "s"}}}),
            ),
            ("contentBlockDelta", json!({"contentBlockIndex": 1, "delta": {"text": "a"}})),
            ("contentBlockDelta", json!({"contentBlockIndex": 1, "delta": {"text": "b"}})),
            (
                "contentBlockStart",
                json!({"contentBlockIndex": 2, "start": {"toolUse": {"toolUseId": "t", "name": "f"}}}),
            ),
            (
                "contentBlockDelta",
                json!({"contentBlockIndex": 2, "delta": {"toolUse": {"input": "{\"a\":1}"}}}),
            ),
            ("messageStop", json!({"stopReason": "tool_use"})),
            ("metadata", json!({"usage": {"inputTokens": 1}, "metrics": {"latencyMs": 2}, "p": "abc"})),
        ],
    );
    assert_eq!(
        body,
        json!({"output": {"message": {"role": "assistant", "content": [
            {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "s"}}}, {"text": "ab"},
            {"toolUse": {"toolUseId": "t", "name": "f", "input": {"a": 1}}}
        ]}}, "stopReason": "tool_use", "usage": {"inputTokens": 1}, "metrics": {"latencyMs": 2}})
    );
}

#[test]
fn unfinished_response_shows_what_there_is() {
    let body = assembled(
        Shape::Responses,
        &[
            ("", json!({"type": "response.created", "response": {"id": "r", "output": []}})),
            (
                "",
                json!({"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "hi"}),
            ),
        ],
    );
    assert_eq!((&body["id"], &body["output"][0]["content"][0]["text"]), (&"r".into(), &"hi".into()));
}

#[test]
fn answer_has_a_largest_size() {
    let mut assembler = Assembler::new(Shape::Chat, 10);
    let frame = Frame::of(&Frame::sse(None, b"{\"id\":\"0123456789\"}"), Framing::Sse).unwrap();
    assert_eq!(assembler.frame(&frame), Err(TooLarge { max: 10 }));
    assert_eq!(assembler.body(), None);
}
