use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::stream::{Decoder, Framing};

fn sse(name: Option<&str>, data: &Value) -> Vec<u8> {
    Frame::sse(name, data.to_string().as_bytes()).to_vec()
}

fn frames(shape: Shape, bytes: &[u8]) -> Vec<Frame> {
    let framing = match shape {
        Shape::Converse | Shape::InvokeMessages => Framing::EventStream,
        _ => Framing::Sse,
    };
    let mut decoder = Decoder::new(framing, 1 << 20);
    let mut frames = Vec::new();
    decoder.feed(bytes, &mut frames).unwrap();
    frames.extend(decoder.finish().unwrap());
    frames
}

/// A stream that says these pieces, as each vendor would.
fn stream(shape: Shape, pieces: &[&str]) -> Vec<u8> {
    let mut out = Vec::new();
    let each = |out: &mut Vec<u8>, event: &dyn Fn(&str) -> Vec<u8>| {
        pieces.iter().for_each(|piece| out.extend(event(piece)));
    };
    match shape {
        Shape::Chat => {
            let chunk = |delta: Value, finish: Value| {
                sse(
                    None,
                    &json!({"id": "c", "choices": [{"delta": delta, "index": 3, "finish_reason": finish}]}),
                )
            };
            out.extend(chunk(json!({"role": "assistant"}), Value::Null));
            each(&mut out, &|piece| chunk(json!({"content": piece}), Value::Null));
            out.extend(chunk(json!({}), "stop".into()));
            out.extend(b"data: [DONE]\n\n");
        }
        Shape::Responses => {
            let event = |data: Value| sse(data["type"].as_str(), &data);
            each(&mut out, &|piece| {
                event(
                    json!({"type": "response.output_text.delta", "output_index": 1, "content_index": 2, "delta": piece}),
                )
            });
            let whole = pieces.concat();
            out.extend(event(json!({
                "type": "response.output_text.done", "output_index": 1, "content_index": 2, "text": whole
            })));
            out.extend(event(json!({
                "type": "response.content_part.done", "output_index": 1, "content_index": 2,
                "part": {"type": "output_text", "text": whole}
            })));
            let content = json!([{}, {}, {"type": "output_text", "text": whole}]);
            out.extend(event(json!({
                "type": "response.output_item.done", "output_index": 1, "item": {"content": content}
            })));
            out.extend(event(json!({
                "type": "response.completed", "response": {"output": [{}, {"content": content}]}
            })));
        }
        Shape::Messages | Shape::InvokeMessages => {
            let event = |data: Value| match shape {
                Shape::Messages => sse(data["type"].as_str(), &data),
                _ => {
                    let empty = Frame::of(&Frame::event("chunk", br#"{"bytes":""}"#), Framing::EventStream);
                    empty.unwrap().with_data(data.to_string().as_bytes()).to_vec()
                }
            };
            out.extend(event(json!({
                "type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}
            })));
            each(&mut out, &|piece| {
                event(json!({
                    "type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": piece}
                }))
            });
            out.extend(event(json!({"type": "content_block_stop", "index": 1})));
            out.extend(event(json!({"type": "message_stop"})));
        }
        Shape::Generate => {
            for (n, piece) in pieces.iter().enumerate() {
                let mut candidate =
                    json!({"content": {"parts": [{"text": piece}], "role": "model"}, "index": 0});
                if n + 1 == pieces.len() {
                    candidate["finishReason"] = "STOP".into();
                }
                out.extend(sse(None, &json!({"candidates": [candidate], "modelVersion": "g"})));
            }
        }
        _ => {
            let event = |name: &str, data: Value| Frame::event(name, data.to_string().as_bytes()).to_vec();
            each(&mut out, &|piece| {
                event(
                    "contentBlockDelta",
                    json!({"contentBlockIndex": 4, "delta": {"text": piece}, "p": "abc"}),
                )
            });
            out.extend(event("contentBlockStop", json!({"contentBlockIndex": 4})));
            out.extend(event("messageStop", json!({"stopReason": "end_turn"})));
        }
    }
    out
}

const SHAPES: [Shape; 6] =
    [Shape::Chat, Shape::Responses, Shape::Messages, Shape::InvokeMessages, Shape::Generate, Shape::Converse];

/// Every text of a stream, by channel; repeats are held to be what was said.
fn said(shape: Shape, bytes: &[u8]) -> HashMap<Channel, String> {
    let mut said: HashMap<Channel, String> = HashMap::new();
    for frame in frames(shape, bytes) {
        let event = look(shape, &frame);
        for delta in event.deltas {
            said.entry(delta.channel).or_default().push_str(&delta.text);
        }
        for repeat in event.repeats {
            assert_eq!(said.get(&repeat.channel), Some(&repeat.text), "{shape:?}: said again otherwise");
        }
    }
    said
}

/// Drives a stream with a guard that holds everything back until a channel closes.
fn held_back(shape: Shape, bytes: &[u8], guard: impl Fn(&str) -> String) -> Vec<u8> {
    let mut texts = Texts::new(shape);
    let mut held: HashMap<Channel, String> = HashMap::new();
    let mut out = Vec::new();
    for frame in frames(shape, bytes) {
        let event = texts.look(&frame);
        let closing: Vec<Channel> = held.keys().copied().filter(|c| event.closes(*c)).collect();
        for channel in closing {
            if !event.deltas.iter().any(|delta| delta.channel == channel) {
                let text = guard(&held.remove(&channel).unwrap());
                out.extend(texts.tail(channel, &text).unwrap_or_default());
            }
        }
        let mut replaced = Vec::new();
        for delta in &event.deltas {
            let text = held.entry(delta.channel).or_default();
            text.push_str(&delta.text);
            replaced.push(Some(match event.closes(delta.channel) {
                true => guard(&std::mem::take(text)),
                false => String::new(),
            }));
        }
        out.extend(texts.write(&frame, &event, &replaced));
    }
    out
}

#[test]
fn untouched_stream_keeps_its_bytes() {
    for shape in SHAPES {
        let bytes = stream(shape, &["a", "b \"c\"", "\u{1f600}"]);
        let mut texts = Texts::new(shape);
        let mut out = Vec::new();
        for frame in frames(shape, &bytes) {
            let event = texts.look(&frame);
            out.extend(texts.write(&frame, &event, &vec![None; event.deltas.len()]));
        }
        assert_eq!(out, bytes, "{shape:?}");
    }
}

#[test]
fn texts_belong_to_the_channel_that_the_event_says() {
    let channels = |shape| said(shape, &stream(shape, &["x"])).into_keys().collect::<Vec<_>>();
    let channel = |choice, block| vec![Channel { choice, block, kind: TextKind::Text }];
    assert_eq!(channels(Shape::Chat), channel(3, 0));
    assert_eq!(channels(Shape::Responses), channel(1, 2));
    assert_eq!(channels(Shape::Messages), channel(0, 1));
    assert_eq!(channels(Shape::Generate), channel(0, 0));
    assert_eq!(channels(Shape::Converse), channel(0, 4));
}

#[test]
fn arguments_of_tool_calls_and_thoughts_are_texts_too() {
    let seen = |shape, name: Option<&str>, data: Value| {
        let raw = if shape == Shape::Converse {
            Frame::event(name.unwrap(), data.to_string().as_bytes())
        } else {
            Frame::sse(name, data.to_string().as_bytes())
        };
        let event = look(shape, &frames(shape, &raw)[0]);
        event.deltas.into_iter().map(|d| (d.channel.block, d.channel.kind, d.text)).collect::<Vec<_>>()
    };
    let chat = json!({"choices": [{"delta": {"reasoning_content": "hm", "tool_calls": [
        {"function": {"arguments": "{\"a\""}, "index": 5}
    ]}, "index": 0}]});
    assert_eq!(
        seen(Shape::Chat, None, chat),
        [(0, TextKind::Reasoning, "hm".to_owned()), (5, TextKind::Arguments, "{\"a\"".to_owned())]
    );
    let messages = json!({"type": "content_block_delta", "index": 2, "delta": {
        "type": "input_json_delta", "partial_json": "{"
    }});
    assert_eq!(seen(Shape::Messages, None, messages), [(2, TextKind::Arguments, "{".to_owned())]);
    let generate = json!({"candidates": [{"content": {"parts": [
        {"text": "hm", "thought": true}, {"functionCall": {"name": "f", "args": {"a": ["x"]}}}
    ]}}]});
    assert_eq!(
        seen(Shape::Generate, None, generate),
        [(0, TextKind::Reasoning, "hm".to_owned()), (0, TextKind::Arguments, "x".to_owned())]
    );
    let converse = json!({"contentBlockIndex": 1, "delta": {"toolUse": {"input": "{"}}});
    assert_eq!(
        seen(Shape::Converse, Some("contentBlockDelta"), converse),
        [(1, TextKind::Arguments, "{".to_owned())]
    );
}

#[test]
fn refused_stream_ends_as_the_vendor_ends_one() {
    for (shape, word) in [
        (Shape::Chat, "content_filter"),
        (Shape::Responses, "content_filter"),
        (Shape::Messages, "refusal"),
        (Shape::InvokeMessages, "refusal"),
        (Shape::Generate, "SAFETY"),
        (Shape::Converse, "content_filtered"),
    ] {
        let mut texts = Texts::new(shape);
        let frame = &frames(shape, &stream(shape, &["x", "y"]))[1];
        let event = texts.look(frame);
        texts.write(frame, &event, &[]);
        let ended = frames(shape, &texts.refuse("not \"this\""));
        let all: String = ended.iter().map(|f| String::from_utf8_lossy(f.data()).into_owned()).collect();
        assert!(all.contains(word) && all.contains("not \\\"this\\\""), "{shape:?}: {all}");
        assert!(!frames(shape, &Texts::new(shape).refuse("no")).is_empty());
    }
}

#[test]
fn probabilities_of_tokens_do_not_say_what_was_masked() {
    let chunk = json!({"choices": [{"index": 0, "delta": {"content": "secret"}, "logprobs": {"content": [
        {"token": "secret", "logprob": -0.1, "bytes": [115], "top_logprobs": []}
    ]}}]});
    let frame = &frames(Shape::Chat, &sse(None, &chunk))[0];
    let mut texts = Texts::new(Shape::Chat);
    let event = texts.look(frame);
    let masked = texts.write(frame, &event, &[Some("***".to_owned())]);
    assert!(!String::from_utf8_lossy(&masked).contains("secret"), "{masked:?}");
    assert_eq!(texts.write(frame, &event, &[None]), frame.raw());
    assert_eq!(without_logprobs(br#"{"choices":[{"logprobs":null}]}"#), None);
}

#[test]
fn thoughts_that_are_said_in_two_members_are_two_texts() {
    let chunk = json!({"choices": [{"delta": {
        "reasoning": "a", "reasoning_content": "a", "reasoning_details": [{"type": "reasoning.text", "text": "a"}]
    }}]});
    let event = look(Shape::Chat, &frames(Shape::Chat, &sse(None, &chunk))[0]);
    let blocks: Vec<u32> = event.deltas.iter().map(|delta| delta.channel.block).collect();
    assert_eq!(blocks, [1, 0, 2]);
}

#[test]
fn refused_array_is_a_whole_one() {
    let mut texts = Texts::new(Shape::Generate);
    let first = b"[{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"x\"}]}}]}";
    let mut decoder = Decoder::new(Framing::JsonArray, 1 << 20);
    let mut seen = Vec::new();
    decoder.feed(first, &mut seen).unwrap();
    let event = texts.look(&seen[0]);
    let mut out = texts.write(&seen[0], &event, &[]).to_vec();
    out.extend(texts.refuse("no"));
    let whole: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(whole[1]["candidates"][0]["finishReason"], "SAFETY");
}

proptest! {
    /// What a tree edit would give: the same stream with the whole text changed.
    #[test]
    fn held_back_text_goes_out_changed_wherever_it_was_split(
        pieces in prop::collection::vec("[ab\"\\\\é\u{1f600}\n]{0,6}", 1..6),
    ) {
        let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
        for shape in SHAPES {
            let guard = |text: &str| text.replace("ab", "<masked \"x\">");
            let out = held_back(shape, &stream(shape, &pieces), guard);
            let texts = said(shape, &out);
            let whole: String = texts.values().cloned().collect();
            prop_assert_eq!(whole, guard(&pieces.concat()), "{:?}", shape);
            for frame in frames(shape, &out) {
                let valid = frame.is_done() || serde_json::from_slice::<Value>(frame.data()).is_ok();
                prop_assert!(valid, "{:?}", frame);
            }
        }
    }

    #[test]
    fn no_event_brings_the_rules_down(data in r#"[\[\]{}":,a-z0-9\\ ]{0,80}"#) {
        for shape in SHAPES {
            let raw = match shape {
                Shape::Converse | Shape::InvokeMessages => Frame::event("contentBlockDelta", data.as_bytes()),
                _ => Frame::sse(None, data.as_bytes()),
            };
            for frame in frames(shape, &raw) {
                let mut texts = Texts::new(shape);
                let event = texts.look(&frame);
                texts.write(&frame, &event, &vec![Some("x\"".to_owned()); event.deltas.len()]);
            }
        }
    }
}
