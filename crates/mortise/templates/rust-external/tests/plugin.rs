//! What the plugin answers, as a gateway would ask it.

use mortise_sdk::{
    Asked, Decision, Plugins,
    plugin_api::{Wire, wire::WireContext},
};
use serde_json::{Value, json};
use {{module}}::{Guard, NAME};

async fn ask(hook: &str, payload: Value) -> Decision {
    let guard = Guard {
        word: "secret".to_owned(),
        replacement: "******".to_owned(),
        blocked_tools: vec!["rm".to_owned()],
    };
    let plugins = Plugins::start(vec![guard.served()])
        .await
        .expect("it starts");
    let asked = Asked {
        hook: hook.to_owned(),
        plugin: NAME.to_owned(),
        payload: payload.to_string().into(),
        wire: Wire::Json,
        context: WireContext::default(),
    };
    plugins.call(asked).await.outcome.expect("it answers")
}

#[tokio::test]
async fn the_word_is_taken_out_of_answers() {
    let result = json!({ "content": [{ "type": "text", "text": "my secret plan" }] });
    let decision = ask(
        "tool_post_invoke",
        json!({ "name": "echo", "result": result }),
    )
    .await;
    let changed: Value =
        serde_json::from_slice(&decision.modified_payload.expect("a change")).expect("JSON");
    assert_eq!(changed["result"]["content"][0]["text"], "my ****** plan");
}

#[tokio::test]
async fn listed_tools_are_blocked() {
    let blocked = ask("tool_pre_invoke", json!({ "name": "rm", "args": {} })).await;
    assert_eq!(blocked.violation.expect("a violation").code, "TOOL_BLOCKED");
    let passed = ask("tool_pre_invoke", json!({ "name": "echo", "args": {} })).await;
    assert!(passed.continue_processing);
}
