//! What a served plugin answers, whatever it is asked over.

use std::sync::Arc;

use mortise_plugin_api::{
    Json, Native, Needs, PluginError, Verdict, Violation, Wire,
    hooks::{HttpPreRequest, PromptPreFetch, ToolPostInvoke, ToolPreInvoke, tool::ToolPreInvokePayload},
    wire::WireContext,
};
use serde_json::{Value, json};

use crate::{Answered, Asked, Plugins, Policy, Served, Trouble};

/// Blocks, masks, remembers, fails or panics, by the tool's name.
fn guard() -> Served {
    let plugin = Native::new(())
        .on::<ToolPreInvoke>(Needs::change(), |(), call, cx| match &*call.name {
            "block" => Ok(Violation::new("NO", "not allowed").into()),
            "fail" => Err(PluginError::failed("boom")),
            "panic" => panic!("at the disco"),
            "remember" => {
                cx.context.set("seen", 1);
                cx.context.set_shared("all", true);
                *cx.context.native::<u32>() = 7;
                Ok(Verdict::Pass)
            }
            _ => Ok(Verdict::Change(ToolPreInvokePayload {
                args: Json::from(json!({"b": 2})),
                ..call.clone()
            })),
        })
        .on::<ToolPostInvoke>(Needs::change(), |(), _, cx| {
            let kept = *cx.context.native::<u32>();
            cx.metadata("kept", kept);
            Ok(Verdict::Pass)
        })
        .on::<PromptPreFetch>(Needs::change(), |(), call, _| {
            let mut changed = call.clone();
            changed.args = Json::from(json!({"x": "y"}));
            Ok(Verdict::Change(changed))
        })
        .on::<HttpPreRequest>(Needs::change(), |(), _, _| {
            Ok(Verdict::Change([("x-seen", "1")].into_iter().collect()))
        });
    Served::new("Guard", plugin.into_plugin())
}

async fn ask(served: Served, hook: &str, payload: Value) -> Answered {
    let plugins = Plugins::start(vec![served]).await.unwrap();
    plugins.call(asked(hook, payload, Wire::Json)).await
}

#[expect(clippy::needless_pass_by_value, reason = "values are written where they are given")]
fn asked(hook: &str, payload: Value, wire: Wire) -> Asked {
    let payload = payload.to_string().into();
    let mut context = WireContext::default();
    context.global_context.request_id = "r1".into();
    Asked { hook: hook.into(), plugin: "Guard".into(), payload, wire, context }
}

fn tool(name: &str) -> Value {
    json!({ "name": name, "args": { "a": 1 } })
}

fn result(answered: &Answered) -> Value {
    serde_json::to_value(answered.outcome.as_ref().unwrap()).unwrap()
}

#[tokio::test]
async fn a_change_is_the_whole_payload_and_a_refusal_says_why() {
    let changed = result(&ask(guard(), "tool_pre_invoke", tool("other")).await);
    assert_eq!(changed["continue_processing"], true);
    assert_eq!(changed["modified_payload"]["name"], "other");
    assert_eq!(changed["modified_payload"]["args"], json!({"b": 2}));
    assert_eq!(changed["violation"], Value::Null);
    let blocked = result(&ask(guard(), "tool_pre_invoke", tool("block")).await);
    assert_eq!(blocked["continue_processing"], false);
    assert_eq!((&blocked["violation"]["code"], &blocked["modified_payload"]), (&json!("NO"), &Value::Null));
}

#[tokio::test]
async fn hooks_with_answers_of_their_own_answer_those() {
    let payload = json!({ "path": "/", "method": "GET", "headers": { "a": "b" } });
    let told = result(&ask(guard(), "http_pre_request", payload).await);
    assert_eq!(told["modified_payload"], json!({"x-seen": "1"}));
}

#[tokio::test]
async fn the_first_generation_is_answered_with_its_own_names() {
    let plugins = Plugins::start(vec![guard()]).await.unwrap();
    for (wire, name) in [(Wire::JsonLegacy, "name"), (Wire::Json, "prompt_id")] {
        let payload = json!({ name: "greet", "args": {} });
        let told = result(&plugins.call(asked("prompt_pre_fetch", payload, wire)).await);
        assert_eq!(told["modified_payload"], json!({ name: "greet", "args": {"x": "y"} }));
    }
}

#[tokio::test]
async fn what_a_plugin_remembers_travels_or_waits_for_the_hook_after() {
    let plugins = Plugins::start(vec![guard()]).await.unwrap();
    let first = plugins.call(asked("tool_pre_invoke", tool("remember"), Wire::Json)).await;
    let context = first.context.unwrap();
    assert_eq!((&context.state["seen"], &context.global_context.state["all"]), (&json!(1), &json!(true)));
    assert_eq!(context.global_context.request_id, "r1");
    let after =
        plugins.call(asked("tool_post_invoke", json!({ "name": "t", "result": {} }), Wire::Json)).await;
    assert_eq!(after.outcome.unwrap().metadata["kept"], 7);
}

#[tokio::test]
async fn errors_and_panics_are_told_or_pass_as_the_policy_says() {
    for (name, word) in [("fail", "boom"), ("panic", "disco")] {
        let told = ask(guard(), "tool_pre_invoke", tool(name)).await;
        assert!(told.outcome.unwrap_err().to_string().contains(word));
        let lenient = Policy { trouble: Trouble::Pass, ..Policy::default() };
        let passed = ask(guard().policy(lenient), "tool_pre_invoke", tool(name)).await;
        assert!(passed.outcome.unwrap().continue_processing);
    }
    let strict = Policy { trouble: Trouble::PassAndDisable, ..Policy::default() };
    let plugins = Plugins::start(vec![guard().policy(strict)]).await.unwrap();
    plugins.call(asked("tool_pre_invoke", tool("fail"), Wire::Json)).await;
    let off = result(&plugins.call(asked("tool_pre_invoke", tool("block"), Wire::Json)).await);
    assert_eq!(off["continue_processing"], true, "it is switched off");
}

#[tokio::test]
async fn a_policy_that_only_observes_tells_neither_refusals_nor_changes() {
    let audit = Policy { blocks: false, changes: false, shares: false, ..Policy::default() };
    for name in ["block", "other"] {
        let told = result(&ask(guard().policy(audit), "tool_pre_invoke", tool(name)).await);
        assert_eq!((&told["continue_processing"], &told["modified_payload"]), (&json!(true), &Value::Null));
    }
}

#[tokio::test]
async fn what_is_not_there_is_named() {
    for (hook, plugin, word) in [
        ("tool_pre_invoke", "guard", "did you mean \"Guard\"?"),
        ("tool_pre_invoke", "Other", "no plugin `Other`"),
        ("resource_pre_fetch", "Guard", "`resource_pre_fetch`"),
        ("made_up", "Guard", "`made_up`"),
    ] {
        let plugins = Plugins::start(vec![guard()]).await.unwrap();
        let asked = Asked { plugin: plugin.into(), ..asked(hook, tool("x"), Wire::Json) };
        let error = plugins.call(asked).await.outcome.unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
    }
    let broken = ask(guard(), "tool_pre_invoke", json!(7)).await;
    assert!(broken.outcome.is_err());
    assert!(Plugins::start(vec![guard(), guard()]).await.unwrap_err().to_string().contains("Guard"));
    assert!(Plugins::start(vec![guard().hooks(["made_up"])]).await.is_err());
}

#[tokio::test]
async fn an_entry_tells_what_gateways_look_for_and_is_found_in_any_letter_case() {
    let entry = json!({ "mode": "permissive", "hooks": ["made_up"], "name": "other" });
    let served = guard().hooks(["tool_pre_invoke"]).entry(entry.as_object().unwrap().clone());
    let plugins = Plugins::start(vec![served]).await.unwrap();
    let entry = plugins.entry("GUARD").unwrap();
    assert_eq!((&entry["name"], &entry["mode"]), (&json!("Guard"), &json!("permissive")));
    assert_eq!(entry["hooks"], json!(["tool_pre_invoke"]));
    assert!(entry["config"].is_null() && entry["priority"] == 100);
    assert_eq!(plugins.hooks(), ["tool_pre_invoke"]);
}

#[cfg(feature = "mcp")]
#[tokio::test]
async fn a_client_at_a_pipe_is_answered_also_after_its_input_has_ended() {
    let plugins = Arc::new(Plugins::start(vec![guard()]).await.unwrap());
    let service = Arc::new(crate::mcp::Service::new(plugins));
    let ask = |id: u32, method: &str, params: Value| {
        json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }).to_string()
    };
    let arguments = json!({ "hook_type": "tool_pre_invoke", "plugin_name": "Guard", "payload": tool("block"),
        "context": { "global_context": { "request_id": "1" } } });
    let input = [
        ask(1, "initialize", json!({ "protocolVersion": "2025-06-18", "capabilities": {} })),
        r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#.to_owned(),
        "this is no message".to_owned(),
        ask(2, "tools/list", json!({})),
        ask(3, "tools/call", json!({ "name": "invoke_hook", "arguments": arguments })),
        ask(4, "tools/call", json!({ "name": "invoke_hook", "arguments": {} })),
        ask(5, "tools/call", json!({ "name": "nothing" })),
        ask(6, "resources/list", json!({})),
    ];
    let (input, mut output) = (input.join("\n"), Vec::new());
    let stop = tokio_util::sync::CancellationToken::new();
    let drain = std::time::Duration::from_secs(20);
    crate::mcp::stdio::serve(service, (input.as_bytes(), &mut output), (1 << 20, 4), drain, stop).await;
    let lines = String::from_utf8(output).unwrap();
    let mut answers: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    answers.sort_by_key(|answer| answer["id"].as_u64());
    assert_eq!(answers.len(), 6, "{lines}");
    assert_eq!(answers[0]["result"]["protocolVersion"], "2025-06-18");
    let tools = answers[1]["result"]["tools"].as_array().unwrap();
    let names: Vec<&str> = tools.iter().filter_map(|tool| tool["name"].as_str()).collect();
    for name in ["get_plugin_config", "get_plugin_configs", "invoke_hook", "tool_pre_invoke"] {
        assert!(names.contains(&name), "{names:?}");
    }
    let told: Value =
        serde_json::from_str(answers[2]["result"]["content"][0]["text"].as_str().unwrap()).unwrap();
    assert_eq!(told["result"]["violation"]["code"], "NO");
    assert_eq!(answers[3]["result"]["isError"], true);
    assert_eq!(
        (&answers[4]["error"]["code"], &answers[5]["error"]["code"]),
        (&json!(-32602), &json!(-32601))
    );
}
