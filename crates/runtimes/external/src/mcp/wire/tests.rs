use mortise_plugin_api::{
    Change, Hook, HookTable, Revision,
    hooks::{PromptPreFetch, ToolPreInvoke},
};
use serde_json::json;

use super::*;

fn answer(text: &str) -> Raw {
    Raw::from_serialize(&json!({ "content": [{ "type": "image" }, { "type": "text", "text": text }] }))
        .unwrap()
}

fn read(text: &Value) -> Result<Told, PluginError> {
    told(&answer(&text.to_string()), Wire::Json)
}

fn params(dialect: Dialect, hook: &str, payload: &Value) -> Value {
    let table = HookTable::standard();
    let spec = table.get(hook).unwrap();
    let payload = Revision::new(spec.decode(payload.to_string().as_bytes(), Wire::Json).unwrap());
    let mut context = WireContext::default();
    context.global_context.request_id = "r1".to_owned();
    let ask = Ask { hook: spec, plugin: "Guard", payload: &payload, context: &context };
    serde_json::from_slice(dialect.params(ask).unwrap().as_bytes()).unwrap()
}

#[test]
fn both_generations_are_told_by_the_list_of_tools() {
    let table = HookTable::standard();
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let newer =
        Offer::of(&names(&["get_plugin_config", "get_plugin_configs", "invoke_hook"]), &table).unwrap();
    assert_eq!((newer.dialect, newer.hooks), (Dialect::InvokeHook, None));
    let older = Offer::of(&names(&["tool_pre_invoke", "get_plugin_config"]), &table).unwrap();
    assert_eq!(older.dialect, Dialect::ToolPerHook);
    assert_eq!(older.hooks.unwrap(), ["tool_pre_invoke"]);
    assert_eq!(Offer::of(&[], &table).unwrap().dialect, Dialect::InvokeHook);
    let error = Offer::of(&names(&["search"]), &table).unwrap_err();
    assert!(error.to_string().contains("among its 1 tools are neither `invoke_hook`"), "{error}");
}

#[test]
fn the_newer_generation_names_the_hook_in_its_arguments() {
    let sent =
        params(Dialect::InvokeHook, ToolPreInvoke::NAME, &json!({ "name": "t", "args": { "n": null } }));
    assert_eq!(sent["name"], "invoke_hook");
    assert_eq!(sent["arguments"]["hook_type"], "tool_pre_invoke");
    assert_eq!(sent["arguments"]["plugin_name"], "Guard");
    assert_eq!(sent["arguments"]["payload"]["args"], json!({ "n": null }));
    assert_eq!(sent["arguments"]["context"]["global_context"]["request_id"], "r1");
}

#[test]
fn the_older_generation_calls_the_hook_and_a_prompt_by_its_name() {
    let sent = params(Dialect::ToolPerHook, PromptPreFetch::NAME, &json!({ "prompt_id": "p", "args": {} }));
    assert_eq!(sent["name"], "prompt_pre_fetch");
    assert_eq!(sent["arguments"].get("hook_type"), None);
    assert_eq!(sent["arguments"]["payload"]["name"], "p");
    assert_eq!(sent["arguments"]["payload"].get("prompt_id"), None);
}

#[test]
fn a_change_comes_with_the_context_it_left() {
    let told = read(&json!({
        "plugin_name": "Guard",
        "result": { "continue_processing": true, "modified_payload": { "name": "t", "args": { "q": 1 } },
            "modified_extensions": null, "violation": null, "metadata": { "k": "v" }, "denial_metadata": null,
            "http_headers": null, "retry_delay_ms": 0, "executions": [] },
        "context": { "state": { "x": 1 }, "global_context": { "request_id": "r1", "user": null, "tenant_id": null,
            "server_id": "s", "content_type": null, "state": { "g": 3 }, "metadata": {} }, "metadata": { "m": 2 } },
    }))
    .unwrap();
    assert_eq!(told.context.unwrap().global_context.state["g"], 3);
    let table = HookTable::standard();
    let reply = told.outcome.unwrap().into_reply(table.get("tool_pre_invoke").unwrap(), Wire::Json).unwrap();
    assert!(matches!(reply.change, Some(Change::Answer(_))));
    assert_eq!(reply.notes.unwrap().metadata["k"], "v");
}

#[test]
fn a_block_is_read_with_and_without_the_envelope() {
    let block = json!({ "continue_processing": false, "modified_payload": null, "metadata": null,
        "violation": { "reason": "no", "description": "not this", "code": "NO", "details": null } });
    for text in [json!({ "plugin_name": "Guard", "result": block }), block] {
        let told = read(&text).unwrap();
        let result = told.outcome.unwrap();
        assert!(!result.continue_processing);
        assert_eq!(result.violation.unwrap().code, "NO");
    }
}

#[test]
fn an_error_is_the_plugins_own_words() {
    let told = read(&json!({ "plugin_name": "Guard", "error": { "message": "ValueError('boom')",
        "plugin_name": "Guard", "code": "E1", "details": { "a": 1 }, "mcp_error_code": -32603 } }))
    .unwrap();
    match told.outcome.unwrap_err() {
        PluginError::Failed { message, code, details } => {
            assert_eq!((message.as_str(), code.as_str()), ("ValueError('boom')", "E1"));
            assert_eq!(details["a"], 1);
        }
        other => panic!("{other}"),
    }
}

#[test]
fn what_is_no_answer_says_why() {
    for (text, expected) in [
        (json!({}).to_string(), "neither `result`"),
        (json!({ "result": { "continue_processing": "maybe" } }).to_string(), "its result"),
        ("{ not json".to_owned(), "no answer to a hook"),
        (String::new(), "no text"),
    ] {
        let error = told(&answer(&text), Wire::Json).unwrap_err();
        assert!(error.to_string().contains(expected), "{text}: {error}");
    }
    let error = told(&answer("Unknown tool: invoke_hook"), Wire::Json).unwrap_err();
    assert!(matches!(&error, PluginError::Failed { code, .. } if code == "JSON_DECODE_ERROR"), "{error}");
    assert!(told(&Raw::parse("[1]").unwrap(), Wire::Json).is_err());
}

#[test]
fn an_entry_needs_no_kind_and_an_unknown_plugin_has_none() {
    let entry = config(&answer(r#"{"name":"Guard","hooks":["tool_pre_invoke"]}"#)).unwrap().unwrap();
    assert_eq!(entry["name"], "Guard");
    for text in ["{}", "null", ""] {
        assert_eq!(config(&answer(text)).unwrap(), None, "{text}");
    }
    assert!(config(&answer("Tool not found")).is_err());
}

proptest::proptest! {
    #[test]
    fn no_text_of_a_server_is_too_strange_to_be_read(text in "\\PC{0,200}") {
        let _ = told(&answer(&text), Wire::JsonLegacy);
        let _ = config(&answer(&text));
    }
}
