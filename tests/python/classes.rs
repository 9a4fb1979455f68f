//! Classes of each generation, unmodified.

use mortise_tests::text;
use serde_json::{Value, json};

use super::{setup, upstream, write};

/// As it would be written for the first generation: its imports, objects that are changed in place.
const FIRST: &str = r#"
from mcpgateway.plugins.framework import (
    Plugin, PluginConfig, PluginContext, PluginViolation, ToolPostInvokePayload, ToolPostInvokeResult,
    ToolPreInvokePayload, ToolPreInvokeResult, PromptPrehookPayload, PromptPrehookResult,
)
from mcpgateway.services.logging_service import LoggingService

logging_service = LoggingService()
logger = logging_service.get_logger(__name__)


class FirstPlugin(Plugin):
    def __init__(self, config: PluginConfig):
        super().__init__(config)
        self.word = config.config["word"]

    async def prompt_pre_fetch(self, payload: PromptPrehookPayload, context: PluginContext) -> PromptPrehookResult:
        payload.args["name"] = f"{payload.name}/{payload.args['name']}"
        return PromptPrehookResult()

    async def tool_pre_invoke(self, payload: ToolPreInvokePayload, context: PluginContext) -> ToolPreInvokeResult:
        if payload.name == "block":
            violation = PluginViolation(
                reason="Not allowed", description="This tool is not for you", code="FIRST_BLOCK",
                details={"user": context.global_context.user},
            )
            return ToolPreInvokeResult(continue_processing=False, violation=violation)
        context.state["asked"] = payload.args["text"]
        payload.args["text"] = payload.args["text"].replace(self.word, "*" * len(self.word))

    async def tool_post_invoke(self, payload: ToolPostInvokePayload, context: PluginContext) -> ToolPostInvokeResult:
        payload.result["content"][0]["text"] += f" (asked: {context.state['asked']})"
        return ToolPostInvokeResult(modified_payload=payload)
"#;

/// The same for the newest: its imports, new objects instead of changed ones, a decorated hook.
const NEWEST: &str = r#"
from cpex.framework import Plugin, PluginResult, PluginViolation, ToolHookType, hook


class NewestPlugin(Plugin):
    async def initialize(self):
        self.word = self.config.config["word"]

    @hook(ToolHookType.TOOL_PRE_INVOKE)
    async def look_at(self, payload, context, extensions):
        if payload.name == "block":
            violation = PluginViolation(reason="r", description="d", code="NEWEST_BLOCK", details={})
            return PluginResult(continue_processing=False, violation=violation)
        context.set_state("asked", payload.args["text"])
        args = {**payload.args, "text": payload.args["text"].replace(self.word, "*" * len(self.word))}
        return PluginResult(modified_payload=payload.model_copy(update={"args": args}))

    def tool_post_invoke(self, payload, context):
        first, *rest = payload.result["content"]
        first = {**first, "text": f"{first['text']} (asked: {context.get_state('asked')})"}
        return PluginResult(modified_payload=payload.model_copy(update={"result": {"content": [first, *rest]}}))
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn classes_of_either_generation_mask_block_and_remember() {
    for (kind, code) in
        [("plugins.first.FirstPlugin", "FIRST_BLOCK"), ("plugins.mine.newest.NewestPlugin", "NEWEST_BLOCK")]
    {
        let upstream = upstream().await;
        let stand = setup(&upstream, kind, json!({ "config": { "word": "secret" } }))
            .start_with(|folder| {
                write(folder, &[("plugins/first.py", FIRST), ("plugins/mine/newest.py", NEWEST)]);
            })
            .await;
        let client = stand.client();

        let answered = client.call("echo", json!({ "text": "a secret word", "kept": 1 })).await;
        let blocked = client.call("block", json!({ "text": "" })).await;

        assert_eq!(text(&answered), "a ****** word (asked: a secret word)", "{kind}");
        assert!(
            text(&blocked).contains(&format!("tool_pre_invoke blocked by plugin mine: {code}")),
            "{blocked}"
        );
        let received = upstream.received_of("tools/call");
        assert_eq!(received.len(), 1);
        assert_eq!(received[0].params()["arguments"], json!({ "text": "a ****** word", "kept": 1 }));
        stand.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prompts_have_the_name_of_the_first_generation() {
    let upstream = upstream().await;
    upstream.set_list("prompts", vec![json!({ "name": "greet", "arguments": [{ "name": "name" }] })]);
    let more = json!({ "config": { "word": "x" }, "hooks": ["prompt_pre_fetch"] });
    let stand = setup(&upstream, "plugins.first.FirstPlugin", more)
        .start_with(|folder| write(folder, &[("plugins/first.py", FIRST)]))
        .await;
    let asked = json!({ "name": "greet", "arguments": { "name": "you" } });
    let answered = stand.client().ask("prompts/get", asked).await;
    assert!(answered["result"].is_object(), "{answered}");
    let received = upstream.received_of("prompts/get");
    assert_eq!(received[0].params()["arguments"], json!({ "name": "greet/you" }));
    stand.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn isolated_entry_runs_the_class_of_its_config_in_a_worker_of_its_own() {
    let upstream = upstream().await;
    let pid = "import os\nfrom cpex.framework import Plugin, PluginResult\n\n\nclass Pid(Plugin):\n    \
        async def tool_post_invoke(self, payload, context):\n        \
        payload.result['content'][0]['text'] += f' {os.getpid()}'\n";
    let stand = setup(&upstream, "pid.Pid", json!({ "hooks": ["tool_post_invoke"], "priority": 1 }))
        .entry(json!({
            "name": "apart", "kind": "isolated_venv", "hooks": ["tool_post_invoke"], "priority": 2,
            "max_content_size": 2000, "config": { "class_name": "pid.Pid" },
        }))
        .start_with(|folder| write(folder, &[("plugins/pid.py", pid)]))
        .await;
    let answered = stand.client().call("echo", json!({ "text": "pids" })).await;
    let said = text(&answered);
    let pids: Vec<&str> = said.split(' ').collect();
    assert_eq!((pids.len(), pids[0]), (3, "pids"), "{said}");
    assert_ne!(pids[1], pids[2]);
    let long = stand.client().call("echo", json!({ "text": "x".repeat(2000) })).await;
    assert!(text(&long).contains("blocked by plugin apart: PLUGIN_ERROR"), "{long}");
    stand.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn class_that_lacks_a_hook_is_degraded_and_one_that_is_missing_says_where_it_was_looked_for() {
    let upstream = upstream().await;
    let text_of = "from cpex.framework import Plugin\nclass Half(Plugin):\n    async def tool_pre_invoke(self, p, c): pass\n";
    let stand = setup(&upstream, "half.Half", json!({ "mode": "permissive" }))
        .entry(json!({ "name": "gone", "kind": "gone.Guard", "hooks": ["tool_pre_invoke"], "mode": "permissive" }))
        .start_with(|folder| write(folder, &[("plugins/half.py", text_of)]))
        .await;
    let ready: Value = stand.client().get("/ready").await.json();
    let said = ready.to_string();
    assert!(said.contains("`tool_post_invoke`") && said.contains("mine"), "{said}");
    assert!(said.contains("no module `gone`; looked in"), "{said}");
    stand.stop().await;
}

/// The first code block of a language in the guide.
fn from_the_guide(language: &str) -> String {
    let guide = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/guide/python-plugins.md");
    let guide = std::fs::read_to_string(guide).unwrap();
    let (_, rest) = guide.split_once(&format!("```{language}\n")).unwrap();
    rest.split_once("```").unwrap().0.to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plugin_of_the_guide_does_what_the_guide_says() {
    let (class, config) = (from_the_guide("python"), from_the_guide("yaml"));
    let upstream = upstream().await;
    upstream.set_tools(&["echo", "shell"]);
    let stand = mortise_tests::Setup::new()
        .python()
        .upstream("docs", &upstream)
        .set("include", json!(["guide.yaml"]))
        .start_with(|folder| write(folder, &[("guide.yaml", &config), ("plugins/mask/plugin.py", &class)]))
        .await;
    let client = stand.client();
    assert_eq!(text(&client.call("echo", json!({ "text": "a secret" })).await), "a ****");
    let blocked = client.call("shell", json!({ "text": "" })).await;
    assert!(text(&blocked).contains("blocked by plugin mask: NO_SHELL"), "{blocked}");
    stand.stop().await;
}
