//! The plugins of the page [write a plugin](../../docs/guide/write-a-plugin.md): what stands there compiles and does
//! what is said of it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use mortise::plugin_api::{
    BuildError, Cx, Fut, Headers, Hook, Native, NativeKind, Needs, Plugin, PluginError, TextPart, Verdict,
    Violation,
    hooks::{
        TEXT_HOOKS, ToolPostInvoke, ToolPreInvoke,
        tool::{ToolPostInvokePayload, ToolPreInvokePayload},
    },
    host::HttpRequest,
    native::TextVerdict,
};

struct NoShell;

impl NoShell {
    fn check(
        &self,
        call: &ToolPreInvokePayload,
        _cx: &mut Cx<'_>,
    ) -> Result<Verdict<ToolPreInvokePayload>, PluginError> {
        if call.name == "shell" {
            return Ok(Violation::new("NO_SHELL", "shell access is not allowed").into());
        }
        Ok(Verdict::Pass)
    }
}

fn no_shell() -> Arc<dyn Plugin> {
    Native::new(NoShell).on::<ToolPreInvoke>(Needs::block().without_body(), NoShell::check).into_plugin()
}

const SECRET: &str = "Project Walrus";

struct Codename;

impl Codename {
    fn look(
        &self,
        part: TextPart<'_>,
        verdict: &mut TextVerdict,
        _cx: &mut Cx<'_>,
    ) -> Result<(), PluginError> {
        for (at, found) in part.text.match_indices(SECRET) {
            verdict.edits.replace(part.id, at..at + found.len(), "the project");
        }
        Ok(())
    }
}

fn codename() -> Arc<dyn Plugin> {
    let needs = Needs::change().in_windows(SECRET.len());
    Native::new(Codename).on_texts(TEXT_HOOKS, needs, Codename::look).into_plugin()
}

struct Ask {
    policy: Policy,
}

struct Policy;

impl Policy {
    #[expect(clippy::unused_async, reason = "stands for what waits")]
    async fn allows(&self, tool: &str) -> Result<bool, std::io::Error> {
        Ok(tool != "shell")
    }
}

impl Ask {
    fn before<'a, 'c>(
        &'a self,
        call: &'a ToolPreInvokePayload,
        _cx: &'c mut Cx<'a>,
    ) -> Fut<'c, Result<Verdict<ToolPreInvokePayload>, PluginError>> {
        Box::pin(async move {
            let allowed = self.policy.allows(&call.name).await;
            match allowed.map_err(|error| PluginError::failed(error.to_string()))? {
                true => Ok(Verdict::Pass),
                false => Ok(Violation::new("NOT_ALLOWED", "the policy does not allow this").into()),
            }
        })
    }
}

fn ask(policy: Policy) -> Arc<dyn Plugin> {
    Native::new(Ask { policy })
        .on_async::<ToolPreInvoke>(Needs::block().without_body(), Ask::before)
        .into_plugin()
}

struct Timing;

impl Timing {
    fn before(
        &self,
        _: &ToolPreInvokePayload,
        cx: &mut Cx<'_>,
    ) -> Result<Verdict<ToolPreInvokePayload>, PluginError> {
        *cx.context.native::<Option<Instant>>() = Some(cx.host().instant());
        Ok(Verdict::Pass)
    }

    fn after(
        &self,
        _: &ToolPostInvokePayload,
        cx: &mut Cx<'_>,
    ) -> Result<Verdict<ToolPostInvokePayload>, PluginError> {
        let started = *cx.context.native::<Option<Instant>>();
        if let Some(started) = started {
            let took = cx.host().instant() - started;
            cx.metadata("took_ms", u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
        }
        Ok(Verdict::Pass)
    }
}

fn timing() -> Arc<dyn Plugin> {
    Native::new(Timing)
        .on::<ToolPreInvoke>(Needs::observe().without_body(), Timing::before)
        .on::<ToolPostInvoke>(Needs::observe().without_body(), Timing::after)
        .into_plugin()
}

struct Service {
    token: String,
}

impl Service {
    fn before<'a, 'c>(
        &'a self,
        call: &'a ToolPreInvokePayload,
        cx: &'c mut Cx<'a>,
    ) -> Fut<'c, Result<Verdict<ToolPreInvokePayload>, PluginError>> {
        Box::pin(async move {
            let mut headers = Headers::new();
            headers.set("authorization", self.token.as_str());
            headers.set("content-type", "application/json");
            let question = serde_json::json!({ "tool": call.name });
            let request = HttpRequest {
                method: "POST".to_owned(),
                url: "https://policy.example.com/may".to_owned(),
                headers,
                body: Bytes::from(question.to_string()),
                timeout: Duration::from_secs(2),
                max_response_bytes: 10_000,
            };
            let answer = cx.host().http()?.send(request).await?;
            match answer.status {
                200 => Ok(Verdict::Pass),
                403 => Ok(Violation::new("NOT_ALLOWED", "the policy does not allow this").into()),
                status => Err(PluginError::failed(format!("the policy service answered {status}"))),
            }
        })
    }
}

#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct NoTools {
    /// Tools that nobody may call.
    #[serde(default = "shell")]
    tools: Vec<String>,
}

fn shell() -> Vec<String> {
    vec!["shell".to_owned()]
}

impl NoTools {
    fn check(
        &self,
        call: &ToolPreInvokePayload,
        _cx: &mut Cx<'_>,
    ) -> Result<Verdict<ToolPreInvokePayload>, PluginError> {
        if self.tools.contains(&call.name) {
            return Ok(Violation::new("NO_TOOL", "this tool is not allowed").into());
        }
        Ok(Verdict::Pass)
    }
}

fn build(config: &serde_json::Value) -> Result<Arc<dyn Plugin>, BuildError> {
    let config: NoTools = NativeKind::read(config)?;
    if config.tools.is_empty() {
        return Err(BuildError::new("tools", "names no tool: list at least one"));
    }
    Ok(Native::new(config).on::<ToolPreInvoke>(Needs::block().without_body(), NoTools::check).into_plugin())
}

fn kind() -> NativeKind {
    NativeKind {
        name: "no_tools",
        class_paths: &[],
        about: "Blocks calls of listed tools.",
        hooks: &[ToolPreInvoke::ID],
        config_schema: NativeKind::schema_of::<NoTools>,
        build,
    }
}

mod tests {
    use mortise_plugin_test::Harness;
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn listed_tools_are_blocked() {
        let guard = Harness::of(kind()).config(json!({ "tools": ["rm"] }));
        guard.tool_pre("rm", json!({})).await.assert_blocked("NO_TOOL");
        guard.tool_pre("ls", json!({})).await.assert_passed();
    }

    #[tokio::test]
    async fn plugins_of_the_page_do_what_it_says() {
        for plugin in [no_shell(), ask(Policy)] {
            let guard = Harness::of_plugin(plugin);
            assert!(guard.tool_pre("shell", json!({})).await.violation().is_some());
            guard.tool_pre("ls", json!({})).await.assert_passed();
        }
        let codename = Harness::of_plugin(codename());
        let changed = codename.tool_text("t", "all about Project Walrus").await;
        changed.assert_texts(["all about the project"]);
        let timing = Harness::of_plugin(timing());
        let mut request = timing.request();
        request.tool_pre("t", json!({})).await.assert_passed();
        let after = request.tool_text("t", "x").await;
        assert!(after.metadata()["took_ms"].is_number());
    }

    #[tokio::test]
    async fn service_that_is_not_offered_is_an_error_and_no_refusal() {
        let service = Native::new(Service { token: "t".to_owned() })
            .on_async::<ToolPreInvoke>(Needs::block().without_body(), Service::before)
            .into_plugin();
        Harness::of_plugin(service).tool_pre("t", json!({})).await.assert_failed("no_service");
    }
}
