use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::stream::{Decoder, Framing};

const SHAPES: [Shape; 4] = [Shape::Chat, Shape::Messages, Shape::Generate, Shape::Converse];

const OPTIONS: Options<'static> =
    Options { model: "asked", created: 1_700_000_000, stream_usage: true, base64: false };

fn framing(shape: Shape) -> Framing {
    shape.framing(Some("alt=sse"))
}

fn converted(from: Shape, to: Shape, body: &Value) -> Value {
    let request = request(from, to, body.to_string().as_bytes(), "m").unwrap();
    serde_json::from_slice(&request.body).unwrap()
}

fn told(from: Shape, to: Shape, body: &Value) -> Value {
    serde_json::from_slice(&answer(from, to, body.to_string().as_bytes(), &OPTIONS).unwrap()).unwrap()
}

fn streamed(from: Shape, to: Shape, bytes: &[u8]) -> Vec<u8> {
    let mut decoder = Decoder::new(framing(from), 1 << 20);
    let mut frames = Vec::new();
    decoder.feed(bytes, &mut frames).unwrap();
    let mut converter = StreamConverter::new(from, to, &OPTIONS).unwrap();
    let mut out = Vec::new();
    for frame in &frames {
        converter.frame(frame, &mut out).unwrap();
    }
    converter.finish(&mut out).unwrap();
    out
}

fn assembled(shape: Shape, bytes: &[u8]) -> Value {
    let mut decoder = Decoder::new(framing(shape), 1 << 20);
    let mut frames = Vec::new();
    decoder.feed(bytes, &mut frames).unwrap();
    let mut assembler = crate::assemble::Assembler::new(shape, 1 << 20);
    frames.iter().for_each(|frame| assembler.frame(frame).unwrap());
    serde_json::from_slice(&assembler.body().unwrap()).unwrap()
}

fn chat_request() -> Value {
    json!({
        "model": "gpt-5", "max_tokens": 100, "temperature": 1.5, "stop": "END", "user": "u", "top_made_up": [1],
        "messages": [
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": [
                {"type": "text", "text": "what is it?"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
            ]},
            {"role": "assistant", "content": "let me look", "tool_calls": [{
                "id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{\"n\":1}"}
            }]},
            {"role": "tool", "tool_call_id": "call_1", "content": "a cat"},
            {"role": "user", "content": "sure?"}
        ],
        "tools": [{"type": "function", "function": {
            "name": "look", "description": "looks", "parameters": {"type": "object", "properties": {"n": {"type": "integer"}}}
        }}],
        "tool_choice": "required"
    })
}

#[test]
fn chat_request_becomes_messages() {
    assert_eq!(
        converted(Shape::Chat, Shape::Messages, &chat_request()),
        json!({
            "top_made_up": [1], "model": "m", "system": "be brief", "max_tokens": 100, "temperature": 1.0,
            "messages": [
                {"role": "user", "content": [
                    {"type": "text", "text": "what is it?"},
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
                ]},
                {"role": "assistant", "content": [
                    {"type": "text", "text": "let me look"},
                    {"type": "tool_use", "id": "call_1", "name": "look", "input": {"n": 1}}
                ]},
                {"role": "user", "content": [
                    {"type": "tool_result", "tool_use_id": "call_1", "content": [{"type": "text", "text": "a cat"}]},
                    {"type": "text", "text": "sure?"}
                ]}
            ],
            "tools": [{"name": "look", "description": "looks",
                "input_schema": {"type": "object", "properties": {"n": {"type": "integer"}}}}],
            "tool_choice": {"type": "any"}, "stop_sequences": ["END"], "metadata": {"user_id": "u"}
        })
    );
}

#[test]
fn chat_request_becomes_gemini() {
    let body = converted(Shape::Chat, Shape::Generate, &chat_request());
    assert_eq!(body["systemInstruction"], json!({"parts": [{"text": "be brief"}]}));
    assert_eq!(
        body["contents"],
        json!([
            {"role": "user", "parts": [
                {"text": "what is it?"}, {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}
            ]},
            {"role": "model", "parts": [
                {"text": "let me look"}, {"functionCall": {"id": "call_1", "name": "look", "args": {"n": 1}}}
            ]},
            {"role": "user", "parts": [
                {"functionResponse": {"id": "call_1", "name": "look", "response": {"output": "a cat"}}},
                {"text": "sure?"}
            ]}
        ])
    );
    assert_eq!(body["toolConfig"], json!({"functionCallingConfig": {"mode": "ANY"}}));
    let config = json!({"temperature": 1.5, "maxOutputTokens": 100, "stopSequences": ["END"]});
    assert_eq!(body["generationConfig"], config);
}

#[test]
fn chat_request_becomes_converse() {
    let body = converted(Shape::Chat, Shape::Converse, &chat_request());
    assert_eq!(body["system"], json!([{"text": "be brief"}]));
    assert_eq!(
        body["messages"][0]["content"][1],
        json!({"image": {"format": "png", "source": {"bytes": "AAAA"}}})
    );
    assert_eq!(
        body["messages"][2]["content"][0],
        json!({"toolResult": {"toolUseId": "call_1", "content": [{"text": "a cat"}], "status": "success"}})
    );
    assert_eq!(body["toolConfig"]["toolChoice"], json!({"any": {}}));
    assert_eq!(body["additionalModelRequestFields"], json!({"top_made_up": [1]}));
    assert_eq!(
        body["inferenceConfig"],
        json!({"maxTokens": 100, "temperature": 1.0, "stopSequences": ["END"]})
    );
}

#[test]
fn what_cannot_be_carried_is_said() {
    let with = |part: Value| json!({"messages": [{"role": "user", "content": [part]}]}).to_string();
    let image = with(json!({"type": "image_url", "image_url": {"url": "https://x/y.png"}}));
    let error = request(Shape::Chat, Shape::Converse, image.as_bytes(), "m").unwrap_err();
    assert_eq!(error, ConvertError::NotCarried { what: "an image by its address", to: "Bedrock Converse" });
    assert!(request(Shape::Chat, Shape::Messages, image.as_bytes(), "m").is_ok());
    let audio = with(json!({"type": "input_audio", "input_audio": {}}));
    let error = request(Shape::Chat, Shape::Messages, audio.as_bytes(), "m").unwrap_err();
    assert_eq!(error.to_string(), "could not carry audio over to another vendor");
    let several = json!({"messages": [], "n": 2}).to_string();
    assert!(request(Shape::Chat, Shape::Messages, several.as_bytes(), "m").is_err());
    assert!(request(Shape::Chat, Shape::Generate, several.as_bytes(), "m").is_ok());
    let tuned =
        json!({"messages": [], "seed": 1, "logit_bias": {}, "response_format": {"type": "json_object"}});
    let dropped = request(Shape::Chat, Shape::Messages, tuned.to_string().as_bytes(), "m").unwrap().dropped;
    assert_eq!(dropped, ["logit_bias", "response_format", "seed"]);
    let nonsense = json!({"messages": [{"role": "user", "content": 5}]}).to_string();
    assert!(matches!(
        request(Shape::Chat, Shape::Messages, nonsense.as_bytes(), "m"),
        Err(ConvertError::WrongShape { .. })
    ));
    assert!(matches!(
        request(Shape::Messages, Shape::Responses, b"{}", "m"),
        Err(ConvertError::NoConversion { .. })
    ));
    let kept = json!({"input": "x", "previous_response_id": "resp_1"}).to_string();
    let error = request(Shape::Responses, Shape::Messages, kept.as_bytes(), "m").unwrap_err();
    assert!(error.to_string().contains("an earlier response by its id"), "{error}");
}

#[test]
fn structured_output_and_thinking_have_each_vendors_words() {
    let schema = json!({"type": "object"});
    let body = json!({
        "messages": [{"role": "user", "content": "x"}], "reasoning_effort": "low", "max_tokens": 10, "temperature": 0.5,
        "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}
    });
    let messages = converted(Shape::Chat, Shape::Messages, &body);
    assert_eq!(messages["output_config"]["format"], json!({"type": "json_schema", "schema": schema}));
    assert_eq!(messages["thinking"], json!({"type": "enabled", "budget_tokens": 1024}));
    assert_eq!((&messages["max_tokens"], messages.get("temperature")), (&json!(1034), None));
    let generate = converted(Shape::Chat, Shape::Generate, &body);
    assert_eq!(generate["generationConfig"]["responseJsonSchema"], schema);
    assert_eq!(generate["generationConfig"]["thinkingConfig"]["thinkingBudget"], 1024);
    let converse = converted(Shape::Chat, Shape::Converse, &body);
    assert_eq!(
        converse["outputConfig"]["textFormat"]["structure"]["jsonSchema"]["schema"],
        "{\"type\":\"object\"}"
    );
    let back = converted(Shape::Messages, Shape::Chat, &messages);
    assert_eq!(back["reasoning_effort"], "low");
    assert_eq!(back["response_format"]["json_schema"]["schema"], schema);
}

fn chat_answer() -> Value {
    json!({
        "id": "c1", "object": "chat.completion", "created": 5, "model": "gpt-5",
        "choices": [{"index": 0, "finish_reason": "tool_calls", "message": {
            "role": "assistant", "content": "hello", "reasoning_content": "hm",
            "tool_calls": [{"id": "t1", "type": "function", "function": {"name": "f", "arguments": "{\"a\":[1]}"}}]
        }}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15,
            "prompt_tokens_details": {"cached_tokens": 4}}
    })
}

#[test]
fn answer_says_the_same_to_every_client() {
    let messages = told(Shape::Chat, Shape::Messages, &chat_answer());
    assert_eq!(messages["stop_reason"], "tool_use");
    assert_eq!(
        messages["content"],
        json!([
            {"type": "thinking", "thinking": "hm", "signature": ""}, {"type": "text", "text": "hello"},
            {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": [1]}}
        ])
    );
    assert_eq!(
        (&messages["usage"]["input_tokens"], &messages["usage"]["output_tokens"]),
        (&json!(6), &json!(5))
    );
    for shape in SHAPES {
        let there = told(Shape::Chat, shape, &chat_answer());
        let back = told(shape, Shape::Chat, &there);
        let message = &back["choices"][0]["message"];
        assert_eq!(
            (&message["content"], &message["reasoning_content"]),
            (&"hello".into(), &"hm".into()),
            "{shape:?}"
        );
        assert_eq!(message["tool_calls"], chat_answer()["choices"][0]["message"]["tool_calls"], "{shape:?}");
        assert_eq!(back["choices"][0]["finish_reason"], "tool_calls", "{shape:?}");
        assert_eq!(
            (&back["usage"]["prompt_tokens"], &back["usage"]["completion_tokens"]),
            (&json!(10), &json!(5))
        );
    }
}

/// A chat stream of these pieces of text and of one call's arguments.
fn chat_stream(text: &[String], arguments: &[String]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut chunk = |delta: Value, finish: Value| {
        let chunk = json!({"id": "c1", "object": "chat.completion.chunk", "created": 5, "model": "gpt-5",
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]});
        out.extend(Frame::sse(None, chunk.to_string().as_bytes()));
    };
    chunk(json!({"role": "assistant", "content": ""}), Value::Null);
    text.iter().for_each(|piece| chunk(json!({"content": piece}), Value::Null));
    chunk(
        json!({"tool_calls": [{"index": 0, "id": "t1", "type": "function", "function": {"name": "f", "arguments": ""}}]}),
        Value::Null,
    );
    for piece in arguments {
        chunk(json!({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}), Value::Null);
    }
    chunk(json!({}), "tool_calls".into());
    let usage = json!({"id": "c1", "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}});
    out.extend(Frame::sse(None, usage.to_string().as_bytes()));
    out.extend(b"data: [DONE]\n\n");
    out
}

#[test]
fn stream_that_was_cut_off_does_not_end_as_if_it_were_whole() {
    let whole = chat_stream(&["hi".to_owned()], &[]);
    let cut = &whole[..whole.len() / 2];
    for shape in SHAPES {
        let out = streamed(Shape::Chat, shape, cut);
        let text = String::from_utf8_lossy(&out);
        for mark in ["[DONE]", "message_stop", "messageStop", "finishReason"] {
            assert!(!text.contains(mark), "{shape:?}: {text}");
        }
    }
}

#[test]
fn error_in_a_stream_is_one_for_the_client() {
    let data = json!({"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}).to_string();
    let event = Frame::sse(Some("error"), data.as_bytes());
    for shape in SHAPES {
        let out = streamed(Shape::Messages, shape, &event);
        let text = String::from_utf8_lossy(&out);
        assert!(text.contains("busy") && !text.contains("[DONE]"), "{shape:?}: {text}");
    }
}

#[test]
fn completions_are_chats_of_one_turn() {
    let body = json!({"model": "x", "prompt": "say hi", "max_tokens": 5});
    let messages = converted(Shape::Completions, Shape::Messages, &body);
    assert_eq!(
        messages["messages"],
        json!([{"role": "user", "content": [{"type": "text", "text": "say hi"}]}])
    );
    let there = told(Shape::Chat, Shape::Messages, &chat_answer());
    let back = told(Shape::Messages, Shape::Completions, &there);
    assert_eq!((&back["object"], &back["choices"][0]["text"]), (&"text_completion".into(), &"hello".into()));
}

#[test]
fn clients_of_responses_talk_to_every_vendor() {
    let body = json!({
        "model": "x", "instructions": "be brief", "max_output_tokens": 9, "store": false,
        "input": [
            {"role": "user", "content": [{"type": "input_text", "text": "what is it?"}]},
            {"type": "function_call", "call_id": "c1", "name": "look", "arguments": "{\"n\":1}"},
            {"type": "function_call_output", "call_id": "c1", "output": "a cat"}
        ],
        "tools": [{"type": "function", "name": "look", "parameters": {"type": "object"}}],
        "tool_choice": {"type": "function", "name": "look"}
    });
    let messages = converted(Shape::Responses, Shape::Messages, &body);
    assert_eq!((&messages["system"], &messages["max_tokens"]), (&"be brief".into(), &json!(9)));
    assert_eq!(messages["tool_choice"], json!({"type": "tool", "name": "look"}));
    assert_eq!(
        messages["messages"],
        json!([
            {"role": "user", "content": [{"type": "text", "text": "what is it?"}]},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "c1", "name": "look", "input": {"n": 1}}]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "c1", "content": [{"type": "text", "text": "a cat"}]}
            ]}
        ])
    );
    let response = told(Shape::Chat, Shape::Responses, &chat_answer());
    let kinds: Vec<&str> =
        response["output"].as_array().unwrap().iter().filter_map(|i| i["type"].as_str()).collect();
    assert_eq!(kinds, ["reasoning", "message", "function_call"]);
    assert_eq!((&response["status"], &response["usage"]["total_tokens"]), (&"completed".into(), &json!(15)));
    let bytes = chat_stream(&["he".to_owned(), "llo".to_owned()], &["{\"a\"".to_owned(), ":1}".to_owned()]);
    let whole = assembled(Shape::Responses, &streamed(Shape::Chat, Shape::Responses, &bytes));
    assert_eq!(whole["output"][0]["content"][0]["text"], "hello");
    assert_eq!(whole["output"][1]["arguments"], "{\"a\":1}");
    assert_eq!((&whole["id"], &whole["usage"]["total_tokens"]), (&"resp_c1".into(), &json!(5)));
}

#[test]
fn embeddings_of_gemini_are_embeddings() {
    let body =
        json!({"model": "x", "input": ["a", "b"], "dimensions": 3, "encoding_format": "base64"}).to_string();
    let asked = request(Shape::Embeddings, Shape::GenerateEmbed, body.as_bytes(), "e").unwrap();
    assert!(asked.base64);
    let written: Value = serde_json::from_slice(&asked.body).unwrap();
    assert_eq!(written["requests"][1]["content"]["parts"][0]["text"], "b");
    let told = json!({"embeddings": [{"values": [1.0, -2.0]}]}).to_string();
    let told = answer(
        Shape::GenerateEmbed,
        Shape::Embeddings,
        told.as_bytes(),
        &Options { base64: true, ..OPTIONS },
    );
    let told: Value = serde_json::from_slice(&told.unwrap()).unwrap();
    assert_eq!(told["data"][0]["embedding"], "AACAPwAAAMA=");
}

proptest! {
    #[test]
    fn text_and_tools_of_a_request_survive_a_round_trip(
        said in "[a-z \"\\\\é]{1,20}", name in "[a-z]{1,8}", argument in "[a-z\"\\\\ é]{0,12}", result in "[a-z ]{1,12}",
    ) {
        let arguments = json!({"q": argument}).to_string();
        let body = json!({"messages": [
            {"role": "system", "content": said},
            {"role": "user", "content": said},
            {"role": "assistant", "content": said, "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": name, "arguments": arguments}}
            ]},
            {"role": "tool", "tool_call_id": "call_1", "content": result},
        ], "tools": [{"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}]});
        for shape in SHAPES {
            let there = converted(Shape::Chat, shape, &body);
            let back = converted(shape, Shape::Chat, &there);
            prop_assert_eq!(&back["messages"], &body["messages"], "{:?}", shape);
            prop_assert_eq!(&back["tools"], &body["tools"], "{:?}", shape);
        }
    }

    #[test]
    fn text_and_tools_of_a_stream_survive_a_round_trip(
        text in prop::collection::vec("[a-z \"\\\\é]{1,8}", 1..5),
        argument in "[a-z\"\\\\ é]{0,12}", cut in 1usize..10,
    ) {
        let arguments: Vec<char> = json!({"q": argument}).to_string().chars().collect();
        let pieces: Vec<String> = arguments.chunks(cut).map(|piece| piece.iter().collect()).collect();
        let bytes = chat_stream(&text, &pieces);
        for shape in SHAPES {
            let there = streamed(Shape::Chat, shape, &bytes);
            let back = assembled(Shape::Chat, &streamed(shape, Shape::Chat, &there));
            let message = &back["choices"][0]["message"];
            prop_assert_eq!(message["content"].as_str().unwrap(), text.concat(), "{:?}", shape);
            let call = &message["tool_calls"][0]["function"];
            prop_assert_eq!(call["name"].as_str(), Some("f"));
            let got: Value = serde_json::from_str(call["arguments"].as_str().unwrap()).unwrap();
            prop_assert_eq!(got, json!({"q": argument}), "{:?}", shape);
            prop_assert_eq!(back["choices"][0]["finish_reason"].as_str(), Some("tool_calls"));
            prop_assert_eq!(back["usage"]["prompt_tokens"].as_u64(), Some(3), "{:?}", shape);
            // The same answer, whether it was streamed or not.
            let unary = told(shape, Shape::Chat, &assembled(shape, &there));
            prop_assert_eq!(&unary["choices"][0]["message"]["content"], &message["content"], "{:?}", shape);
        }
    }

    #[test]
    fn no_body_brings_a_conversion_down(
        body in prop::collection::vec(("(messages|contents|tools|system|stop|choices|content|candidates|output)",
            "(null|1|\"a\"|\\[\\]|\\[1\\]|\\{\\}|\\[\\{\\}\\]|\\[\\{\"role\":\"user\",\"parts\":1\\}\\])"), 0..4),
    ) {
        let members: Vec<String> = body.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        let body = format!("{{{}}}", members.join(","));
        for from in SHAPES {
            for to in SHAPES {
                let _ = request(from, to, body.as_bytes(), "m");
                let _ = answer(from, to, body.as_bytes(), &OPTIONS);
                let data = if from == Shape::Converse {
                    Frame::event("contentBlockDelta", body.as_bytes())
                } else {
                    Frame::sse(None, body.as_bytes())
                };
                let frame = Frame::of(&data, framing(from)).unwrap();
                let mut converter = StreamConverter::new(from, to, &OPTIONS).unwrap();
                let _ = converter.frame(&frame, &mut Vec::new());
                let _ = converter.finish(&mut Vec::new());
            }
        }
    }
}
