use std::ops::ControlFlow;

use serde_json::{Value, json};

use super::*;
use crate::{Edits, HookTable, Json, May, Moment, OpenHook, Payload, Wire};

#[test]
fn every_row_stands_at_its_own_id_and_names_are_unique() {
    let table = HookTable::standard();
    let mut names = std::collections::HashSet::new();
    for (index, row) in table.rows().iter().enumerate() {
        assert_eq!(row.id.index(), index, "{}", row.name);
        for name in std::iter::once(&*row.name).chain(row.aliases.iter().copied()) {
            assert!(names.insert(name.to_owned()), "{name} twice");
        }
        if let Some(pair) = row.pair {
            assert_eq!(table.rows()[pair.index()].pair, Some(row.id), "{}", row.name);
        }
    }
}

#[test]
fn both_vocabularies_load() {
    let table = HookTable::standard();
    for name in [
        "http_pre_request",
        "http_auth_resolve_user",
        "auth_pre_check",
        "auth_post_check",
        "http_auth_check_permission",
        "prompt_pre_fetch",
        "prompt_post_fetch",
        "tool_pre_invoke",
        "tool_post_invoke",
        "resource_pre_fetch",
        "resource_post_fetch",
        "agent_pre_invoke",
        "agent_post_invoke",
        "llm_input",
        "cmf.llm_input",
        "http_pre_forwarding_call",
        "http_post_forwarding_call",
        "llm_output",
        "cmf.llm_output",
        "http_post_request",
        "server_pre_register",
        "server_post_register",
        "federation_pre_sync",
        "federation_post_sync",
        "object_before_create",
        "object_after_delete",
        "record_proxy_log",
        "record_analytics",
        "record_budget_usage",
        "identity_resolve",
        "token_delegate",
        "evaluate",
        "cmf.tool_pre_invoke",
        "gateway_pre_status_change",
        "server_post_delete",
    ] {
        assert!(table.get(name).is_some(), "{name}");
    }
    assert_eq!(table.id("auth_pre_check"), Some(HttpAuthResolveUser::ID));
}

#[test]
fn the_table_is_open() {
    let mut table = HookTable::standard();
    let hook = OpenHook {
        name: "invoice_pre_send".into(),
        about: "Before an invoice is sent.".into(),
        moment: Moment::Before,
        may: May { block: true, change: true },
        schema: true.into(),
    };
    let id = table.register(hook.clone()).unwrap();
    assert_eq!(table.id("invoice_pre_send"), Some(id));
    assert!(table.register(hook).is_err());
    let row = table.spec(id).unwrap();
    let payload = row.decode(br#"{"to":"a@b.c"}"#, Wire::Json).unwrap();
    let change = row.decode_change(br#"{"to":"x"}"#, Wire::Json).unwrap();
    let applied = row.apply(&*payload, change).unwrap().payload.unwrap();
    assert_eq!(applied.encode(Wire::Json).unwrap(), &br#"{"to":"x"}"#[..]);
}

#[test]
fn prompts_are_called_name_in_the_first_dialect() {
    let payload =
        prompt::PromptPreFetchPayload { prompt_id: "p".into(), args: Json::from(json!({"a": "b"})) };
    let json = |wire| serde_json::from_slice::<Value>(&payload.encode(wire).unwrap()).unwrap();
    assert_eq!(json(Wire::Json), json!({"prompt_id": "p", "args": {"a": "b"}}));
    assert_eq!(json(Wire::JsonLegacy), json!({"name": "p", "args": {"a": "b"}}));
    let row = HookTable::standard();
    let back = row.get("prompt_pre_fetch").unwrap().decode(br#"{"name":"p"}"#, Wire::JsonLegacy).unwrap();
    assert_eq!(back.subject(), Some("p"));
}

#[test]
fn an_answer_changes_only_what_the_hook_allows() {
    let table = HookTable::standard();
    let row = table.get("tool_post_invoke").unwrap();
    let payload = row.decode(br#"{"name":"t","result":{"content":[]}}"#, Wire::Json).unwrap();
    let change = row.decode_change(br#"{"name":"other","result":{"content":[1]}}"#, Wire::Json).unwrap();
    let applied = row.apply(&*payload, change).unwrap();
    assert_eq!(applied.refused, ["name"]);
    assert_eq!(applied.payload.unwrap().subject(), Some("t"));
    let same = row.decode_change(br#"{"name":"t","result":{ "content" : [] }}"#, Wire::Json).unwrap();
    assert!(row.apply(&*payload, same).unwrap().payload.is_none(), "an equal answer is no change");
}

#[test]
fn header_answers_are_merged_and_nothing_is_removed() {
    let table = HookTable::standard();
    let row = table.get("http_pre_request").unwrap();
    let payload =
        row.decode(br#"{"path":"/","method":"GET","headers":{"A":"1","b":"2"}}"#, Wire::Json).unwrap();
    let change = row.decode_change(br#"{"B":"3","c":"4"}"#, Wire::Json).unwrap();
    let applied = row.apply(&*payload, change).unwrap().payload.unwrap();
    let json: Value = serde_json::from_slice(&applied.encode(Wire::Json).unwrap()).unwrap();
    assert_eq!(json["headers"], json!({"a": "1", "b": "3", "c": "4"}));
}

#[test]
fn payloads_of_several_fields_share_one_numbering_of_texts() {
    let payload = agent::AgentPreInvokePayload {
        agent_id: "a".into(),
        messages: Json::from(json!([{"role": "user", "content": "hello"}])),
        tools: None,
        headers: None,
        model: None,
        system_prompt: Some("be kind".into()),
        parameters: Json::from(json!({"k": "v"})),
    };
    let mut seen = Vec::new();
    payload.texts(&mut |part| {
        seen.push((part.id, part.text.into_owned()));
        ControlFlow::Continue(())
    });
    let texts: Vec<&str> = seen.iter().map(|(_, text)| text.as_str()).collect();
    assert_eq!(texts, ["be kind", "hello", "v"]);
    assert_eq!(payload.text_path(seen[1].0), "messages[0].content");
    let mut edits = Edits::new();
    edits.replace_all(seen[2].0, 1, "w");
    edits.replace_all(seen[0].0, 7, "be brief");
    let edited = payload.edited(&edits).unwrap();
    let edited = edited.as_any().downcast_ref::<agent::AgentPreInvokePayload>().unwrap();
    assert_eq!(edited.system_prompt.as_deref(), Some("be brief"));
    assert_eq!(edited.parameters, Json::from(json!({"k": "w"})));
    assert_eq!(edited.messages, payload.messages);
}

#[test]
fn a_revision_is_encoded_once_per_wire_form() {
    let payload = tool::ToolPreInvokePayload { name: "t".into(), args: Json::object(), headers: None };
    let revision = crate::Revision::new(Box::new(payload));
    let first = revision.json(Wire::Json).unwrap().as_ptr();
    assert_eq!(revision.json(Wire::Json).unwrap().as_ptr(), first);
    assert_eq!(revision.encodings(), 1);
    revision.wire(Wire::Wit, |_| Ok(bytes::Bytes::from_static(b"w"))).unwrap();
    assert_eq!(revision.encodings(), 2);
}

#[test]
fn every_row_has_a_schema() {
    for row in HookTable::standard().rows() {
        assert!(row.payload_schema().as_value().is_object() || row.payload_schema().as_bool().is_some());
        assert!(!row.about.is_empty());
    }
}

#[test]
fn every_row_shows_a_payload_and_an_answer_that_it_takes_itself() {
    for row in HookTable::standard().rows() {
        let example = &row.example;
        let payload = row.decode(example.payload.as_bytes(), Wire::Json);
        let payload = payload.unwrap_or_else(|error| panic!("{}: {error}", row.name));
        let shown: Value = serde_json::from_str(example.payload).unwrap();
        let read: Value = serde_json::from_slice(&payload.encode(Wire::Json).unwrap()).unwrap();
        for (key, value) in shown.as_object().unwrap() {
            assert_eq!(read.get(key), Some(value), "{}: `{key}` is no field of the payload", row.name);
        }
        assert!(row.may.change || example.answer.is_empty(), "{} takes no answer", row.name);
        assert_eq!(example.answer.is_empty(), example.about.is_empty(), "{}", row.name);
        if example.answer.is_empty() {
            assert!(!row.may.change || row.family == crate::Family::Open, "{} has no answer", row.name);
            continue;
        }
        let answer = row.decode_change(example.answer.as_bytes(), Wire::Json);
        let answer = answer.unwrap_or_else(|error| panic!("{}: {error}", row.name));
        let applied = row.apply(&*payload, answer).unwrap();
        // What decides does not change the question.
        let decides = row.rule == crate::Rule::FirstAnswer;
        assert_eq!(applied.payload.is_some(), !decides, "{}: the answer changes something", row.name);
    }
}
