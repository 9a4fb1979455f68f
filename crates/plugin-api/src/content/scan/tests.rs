use super::{places::FEW, *};
use crate::{EditError, Edits, Json, TextId, content::view};
use proptest::prelude::*;
use serde_json::{Value, json};

fn texts(json: &str, root: Select) -> Vec<String> {
    let mut out = Vec::new();
    strings(json.as_bytes(), root, |found| {
        out.push(found.text.into_owned());
        ControlFlow::Continue(())
    });
    out
}

#[test]
fn arguments_show_every_value_and_no_key() {
    let json = r#"{"a":"one","b":{"c":["two",3,{"d":"three"}],"e":null},"f":"four"}"#;
    assert_eq!(texts(json, Select::All), ["one", "two", "three", "four"]);
    assert_eq!(texts(r#""bare""#, Select::All), ["bare"]);
    assert_eq!(path(json.as_bytes(), Select::All, 2), "b.c[2].d");
    assert_eq!(path(json.as_bytes(), Select::All, 3), "f");
}

#[test]
fn tool_results_show_text_for_people_only() {
    let json = r#"{"content":[{"type":"text","text":"hello"},
        {"type":"image","data":"aGk=","mimeType":"image/png"},
        {"type":"resource","resource":{"uri":"file:///x","mimeType":"text/plain","text":"inner"}},
        {"type":"resource_link","uri":"file:///y","name":"n"}],
        "structuredContent":{"k":"value","n":1},"isError":false,"_meta":{"x":"hidden"}}"#;
    assert_eq!(texts(json, Select::Result), ["hello", "inner", "value"]);
    assert_eq!(path(json.as_bytes(), Select::Result, 1), "content[2].resource.text");
}

#[test]
fn prompt_results_and_resources_show_their_text() {
    let prompt = r#"{"description":"d","messages":[{"role":"user","content":{"type":"text","text":"t"}}]}"#;
    assert_eq!(texts(prompt, Select::Result), ["d", "t"]);
    let resource =
        r#"{"type":"resource","uri":"file:///a","mime_type":"text/plain","text":"body","blob":null}"#;
    assert_eq!(texts(resource, Select::Resource), ["body"]);
}

#[test]
fn llm_bodies_show_messages_and_tool_arguments() {
    let json = r#"{"model":"m","messages":[{"role":"system","content":"s"},
        {"role":"user","content":[{"type":"text","text":"u"},{"type":"image_url","image_url":{"url":"http://x"}}]},
        {"role":"assistant","tool_calls":[{"id":"1","function":{"name":"f","arguments":"{\"a\":\"b\"}"}}]}]}"#;
    assert_eq!(texts(json, Select::Llm), ["s", "u", r#"{"a":"b"}"#]);
}

#[test]
fn arguments_of_tools_show_their_text_in_every_vendors_shape() {
    let anthropic = r#"{"content":[{"type":"tool_use","id":"1","name":"f","input":{"to":"ann","deep":[{"n":1,"x":"bob"}]}},
        {"type":"text","text":"t"}]}"#;
    assert_eq!(texts(anthropic, Select::Llm), ["ann", "bob", "t"]);
    let bedrock = r#"{"output":{"message":{"content":[{"toolUse":{"toolUseId":"1","name":"f","input":{"to":"ann"}}},
        {"toolResult":{"toolUseId":"1","content":[{"json":{"a":"b"}},{"text":"t"}]}},
        {"reasoningContent":{"reasoningText":{"text":"why","signature":"s"}}}]}}}"#;
    assert_eq!(texts(bedrock, Select::Llm), ["ann", "b", "t", "why"]);
    let gemini = r#"{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","args":{"to":"ann"}}},
        {"executableCode":{"language":"PYTHON","code":"x = 1"}}]}}]}"#;
    assert_eq!(texts(gemini, Select::Llm), ["ann", "x = 1"]);
}

#[test]
fn documents_show_their_text_and_never_what_is_binary() {
    let anthropic = r#"{"messages":[{"role":"user","content":[
        {"type":"document","title":"t","context":"c","source":{"type":"text","media_type":"text/plain","data":"a"}},
        {"type":"document","source":{"data":"b","type":"t\u0065xt"}},
        {"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"JVBE"}},
        {"type":"document","source":{"type":"content","content":[{"type":"text","text":"d"},
            {"type":"image","source":{"type":"base64","data":"iVBO"}}]}},
        {"type":"image","source":{"type":"url","url":"https://x"}},
        {"type":"search_result","source":"https://x","title":"e","content":[{"type":"text","text":"f"}]}]}]}"#;
    assert_eq!(texts(anthropic, Select::Llm), ["t", "c", "a", "b", "d", "e", "f"]);
    let bedrock = r#"{"messages":[{"content":[{"document":{"format":"txt","name":"n","source":{"text":"a"}}},
        {"document":{"format":"pdf","name":"n","source":{"bytes":"JVBE"}}}]}]}"#;
    assert_eq!(texts(bedrock, Select::Llm), ["a"]);
    let deep = r#"{"source":{"content":"#.repeat(2_000) + r#"{"source":{"data":"x"}}"#;
    assert_eq!(texts(&deep, Select::Llm), ["x"]);
}

#[test]
fn input_of_a_request_is_a_text_a_list_of_texts_or_one_of_messages() {
    assert_eq!(texts(r#"{"model":"m","input":"a"}"#, Select::Llm), ["a"]);
    assert_eq!(texts(r#"{"input":["a","b"],"model":"m"}"#, Select::Llm), ["a", "b"]);
    let items = r#"{"input":[{"role":"user","content":[{"type":"input_text","text":"a"}]},
        {"type":"reasoning","id":"r","summary":[{"type":"summary_text","text":"b"}]},"c"]}"#;
    assert_eq!(texts(items, Select::Llm), ["a", "b", "c"]);
}

#[test]
fn escapes_in_names_and_values_do_not_hide_text() {
    assert_eq!(texts(r#"{"te\u0078t":"a\n\"b\" \u00e9 \ud83d\ude00"}"#, Select::Result), ["a\n\"b\" é 😀"]);
    assert_eq!(texts(r#"["\ud800 x","\q y"]"#, Select::All), ["\u{fffd} x", "\u{fffd} y"]);
}

#[test]
fn hostile_text_shows_what_can_be_found() {
    assert_eq!(texts(r#"{"a":"open"#, Select::All), ["open"]);
    assert_eq!(texts(r#"{"a":"trailing\"#, Select::All), ["trailing\u{fffd}"]);
    assert_eq!(texts("]]]}}}", Select::All), [""; 0]);
    let deep = "[".repeat(100_000) + "\"x\"";
    assert_eq!(texts(&deep, Select::All), ["x"]);
}

#[test]
fn splicing_keeps_every_other_byte() {
    let json = r#"{ "big": 123456789012345678901234567890, "s" : "call 123" , "t":"\u0041" }"#;
    let mut edits = Edits::new();
    edits.replace(TextId(0), 5..8, "\"*\"");
    let out = splice(json.as_bytes(), Select::All, &edits, 0).unwrap().0.unwrap();
    assert_eq!(out, json.replace("call 123", r#"call \"*\""#).as_bytes());
}

#[test]
fn edits_of_text_that_is_not_there_are_refused() {
    let mut edits = Edits::new();
    edits.replace(TextId(1), 0..1, "x");
    assert_eq!(splice(br#"["a"]"#, Select::All, &edits, 0), Ok((None, 1)));
    let json = Json::assume_valid(r#"["a"]"#);
    let carriers = [view::json("args", &json, Select::All)];
    assert_eq!(view::edit(&carriers, &edits).err(), Some(EditError::NoSuchText(1)));
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".*".prop_map(Value::from)
    ];
    leaf.prop_recursive(6, 64, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((".*", inner), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn values(value: &Value, out: &mut Vec<String>) {
    match value {
        Value::String(text) => out.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| values(item, out)),
        Value::Object(members) => members.values().for_each(|member| values(member, out)),
        _ => {}
    }
}

fn replaced(value: &Value, with: &str) -> Value {
    match value {
        Value::String(_) => json!(with),
        Value::Array(items) => items.iter().map(|item| replaced(item, with)).collect(),
        Value::Object(members) => {
            Value::Object(members.iter().map(|(k, v)| (k.clone(), replaced(v, with))).collect())
        }
        other => other.clone(),
    }
}

/// JSON text with every character outside of ASCII as an escape.
fn escaped(json: &str) -> String {
    let escape = |c: char| {
        let mut units = [0; 2];
        c.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")).collect::<String>()
    };
    json.chars().map(|c| if c.is_ascii() { c.to_string() } else { escape(c) }).collect()
}

proptest! {
    #[test]
    fn the_scanner_finds_what_a_parser_finds(value in any_json(), pretty: bool) {
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) };
        let mut expected = Vec::new();
        values(&value, &mut expected);
        prop_assert_eq!(texts(&text.unwrap(), Select::All), expected);
    }

    #[test]
    fn splicing_gives_the_same_tree_with_the_text_replaced(value in any_json(), with in ".*") {
        let text = serde_json::to_vec(&value).unwrap();
        let mut edits = Edits::new();
        strings(&text, Select::All, |found| {
            edits.replace_all(TextId(found.number), found.text.len(), with.as_str());
            ControlFlow::Continue(())
        });
        let out = splice(&text, Select::All, &edits, 0).unwrap().0;
        let out = out.as_deref().unwrap_or(&text);
        prop_assert_eq!(serde_json::from_slice::<Value>(out).unwrap(), replaced(&value, &with));
    }

    #[test]
    fn splicing_a_part_is_replacing_it_in_the_value(
        texts in prop::collection::vec(".{0,12}", 1..4),
        with in ".*",
        cut in (0usize..14, 0usize..14),
        ascii: bool,
    ) {
        let text = json!(texts).to_string();
        // Written with escapes only, or as few as needed.
        let text = if ascii { escaped(&text) } else { text };
        let (mut edits, mut expected) = (Edits::new(), texts.clone());
        for (id, value) in expected.iter_mut().enumerate().skip(1) {
            let start = value.floor_char_boundary(cut.0.min(cut.1));
            let end = value.floor_char_boundary(cut.0.max(cut.1));
            edits.replace(TextId(id as u32 + 5), start..end, with.as_str());
            value.replace_range(start..end, &with);
        }
        let (out, count) = splice(text.as_bytes(), Select::All, &edits, 5).unwrap();
        prop_assert_eq!(count as usize, texts.len());
        let out = out.map_or_else(|| text.clone(), |out| String::from_utf8(out.to_vec()).unwrap());
        prop_assert_eq!(serde_json::from_str::<Value>(&out).unwrap(), json!(expected));
    }

    /// The first look keeps where values stand, unless it broke off or they are many; later looks show the same.
    #[test]
    fn a_second_look_shows_what_the_first_did(
        texts in prop::collection::vec(".{0,12}", 0..12),
        broken in 0usize..12,
    ) {
        let json = Json::assume_valid(json!({ "a": { "key": texts } }).to_string());
        let look = |root, upto: usize| {
            let mut shown = Vec::new();
            strings_of(&json, root, |found| {
                shown.push((found.number, found.start, found.end, found.text.into_owned(), found.key.into_owned()));
                if shown.len() > upto { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            shown
        };
        let begun = look(Select::All, broken);
        let first = look(Select::All, usize::MAX);
        prop_assert_eq!(json.places().get().is_some(), texts.len() <= FEW);
        prop_assert_eq!(&begun[..], &first[..begun.len()]);
        prop_assert_eq!(&look(Select::All, usize::MAX), &first);
        prop_assert_eq!(look(Select::All, broken), begun);
        prop_assert_eq!(look(Select::Result, usize::MAX), vec![]);
        let values: Vec<&String> = first.iter().map(|(_, _, _, text, _)| text).collect();
        prop_assert_eq!(values, texts.iter().collect::<Vec<_>>());
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for root in [Select::All, Select::Result, Select::Resource, Select::Llm, Select::LlmInput, Select::Source] {
            let n = count(&bytes, root);
            let _ = path(&bytes, root, n / 2);
        }
    }
}
