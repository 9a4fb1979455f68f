//! Native plugins that misbehave, each in one way, and two that do nothing.
//!
//! Each is there as a function that makes one for given hooks, and as a [`NativeKind`] for a configuration
//! (`builtin.test_hang`). Kinds run at the hooks of MCP traffic unless an entry lists others. Their names begin with
//! `test_` so that none can be mistaken for, or collide with, a kind of the product.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use mortise_plugin_api::{
    Answer, BuildError, Call, Context, Cx, Edits, Fut, Hook, HookId, Init, Native, NativeKind, Needs,
    Outcome, Payload, Plugin, PluginError, Reply, TextId, Verdict, Violation,
    hooks::{LlmInput, LlmOutput, MCP_HOOKS, PromptPreFetch, ToolPostInvoke, ToolPreInvoke},
};
use schemars::{JsonSchema, Schema};
use serde::Deserialize;
use serde_json::Value;

/// Code of the violation of [`block`].
pub const BLOCK_CODE: &str = "TEST_BLOCK";

/// Lets everything pass without looking at it.
pub fn noop(hooks: &[HookId]) -> Arc<dyn Plugin> {
    Native::new(()).on_each(hooks, Needs::change().without_body(), |(), _, _| Ok(Reply::pass())).into_plugin()
}

/// Lets everything pass and counts the calls.
pub fn count(hooks: &[HookId]) -> (Arc<dyn Plugin>, Arc<AtomicU64>) {
    let counter = Arc::new(AtomicU64::new(0));
    let plugin = Native::new(counter.clone()).on_each(hooks, Needs::observe(), |counter, _, _| {
        counter.fetch_add(1, Relaxed);
        Ok(Reply::pass())
    });
    (plugin.into_plugin(), counter)
}

/// Panics before it answers.
pub fn panic_now(hooks: &[HookId]) -> Arc<dyn Plugin> {
    #[expect(clippy::panic, reason = "panicking is what it is for")]
    fn panics((): &(), _: &dyn Payload, _: &mut Cx<'_>) -> Outcome {
        panic!("test plugin panicked at once")
    }
    Native::new(()).on_each(hooks, Needs::change(), panics).into_plugin()
}

/// Answers later, and panics then.
pub fn panic_later(hooks: &[HookId]) -> Arc<dyn Plugin> {
    #[expect(clippy::panic, reason = "panicking is what it is for")]
    async fn panics() -> Outcome {
        tokio::task::yield_now().await;
        panic!("test plugin panicked later")
    }
    Arc::new(Later { hooks: hooks.into(), answer: || Box::pin(panics()) })
}

/// Never answers. Dropping the answer ends it.
pub fn hang(hooks: &[HookId]) -> Arc<dyn Plugin> {
    Arc::new(Later { hooks: hooks.into(), answer: || Box::pin(std::future::pending()) })
}

/// Always fails with an error.
pub fn fail(hooks: &[HookId]) -> Arc<dyn Plugin> {
    let failed = |(): &(), _: &dyn Payload, _: &mut Cx<'_>| Err(PluginError::failed("test plugin failed"));
    Native::new(()).on_each(hooks, Needs::change(), failed).into_plugin()
}

/// Computes until `beyond` after its deadline without giving way, then lets the call pass.
pub fn overrun(hooks: &[HookId], beyond: Duration) -> Arc<dyn Plugin> {
    let compute = |beyond: &Duration, _: &dyn Payload, cx: &mut Cx<'_>| {
        while Instant::now() < cx.call.deadline + *beyond {
            std::hint::spin_loop();
        }
        Ok(Reply::pass())
    };
    Native::new(beyond).on_each(hooks, Needs::change(), compute).into_plugin()
}

/// Adds `bytes` bytes of metadata, own state and shared state with every call.
pub fn huge_metadata(hooks: &[HookId], bytes: usize) -> Arc<dyn Plugin> {
    let bloat = |bytes: &usize, _: &dyn Payload, cx: &mut Cx<'_>| {
        let text = "m".repeat(*bytes);
        cx.metadata("test_huge", text.as_str());
        cx.context.set("test_huge", text.as_str());
        cx.context.set_shared("test_huge", text);
        Ok(Reply::pass())
    };
    Native::new(bytes).on_each(hooks, Needs::change(), bloat).into_plugin()
}

/// Tries to rename what a hook does not allow to be renamed: the tool of a result, the prompt of a request.
pub fn forbidden_fields() -> Arc<dyn Plugin> {
    Native::new(())
        .on::<ToolPostInvoke>(Needs::change(), |(), payload, _| {
            let mut changed = payload.clone();
            changed.name = "test_renamed".to_owned();
            Ok(Verdict::Change(changed))
        })
        .on::<PromptPreFetch>(Needs::change(), |(), payload, _| {
            let mut changed = payload.clone();
            changed.prompt_id = "test_renamed".to_owned();
            Ok(Verdict::Change(changed))
        })
        .into_plugin()
}

/// Answers a payload of another hook than it was asked at.
pub fn wrong_type() -> Arc<dyn Plugin> {
    let lie = |(): &(), _: &dyn Payload, _: &mut Cx<'_>| {
        Ok(Verdict::Change(String::from("no payload of any hook")).into())
    };
    Native::new(()).on_each(&[ToolPreInvoke::ID, ToolPostInvoke::ID], Needs::change(), lie).into_plugin()
}

/// Refuses everything with [`BLOCK_CODE`].
pub fn block(hooks: &[HookId]) -> Arc<dyn Plugin> {
    let refuse = |(): &(), _: &dyn Payload, _: &mut Cx<'_>| {
        let violation =
            Violation::new(BLOCK_CODE, "Test block").describe("The test plugin blocks everything");
        Ok(Verdict::<()>::from(violation).into())
    };
    Native::new(()).on_each(hooks, Needs::block(), refuse).into_plugin()
}

/// Replaces bytes that are not there: far behind the end of the first text.
pub fn edit_out_of_range(hooks: &[HookId]) -> Arc<dyn Plugin> {
    let edit = |(): &(), _: &dyn Payload, _: &mut Cx<'_>| {
        let mut edits = Edits::new();
        edits.replace(TextId(0), 1_000_000_000..1_000_000_001, "x");
        Ok(Verdict::<()>::Edit(edits).into())
    };
    Native::new(()).on_each(hooks, Needs::change(), edit).into_plugin()
}

/// Fails when it is started.
pub fn start_fails(hooks: &[HookId]) -> Arc<dyn Plugin> {
    fn fails(_: &(), _: Init) -> Fut<'_, Result<(), PluginError>> {
        Box::pin(std::future::ready(Err(PluginError::failed("test plugin does not start"))))
    }
    Native::new(())
        .on_each(hooks, Needs::change(), |(), _, _| Ok(Reply::pass()))
        .on_start(fails)
        .into_plugin()
}

/// A plugin whose answers always come later.
struct Later {
    hooks: Box<[HookId]>,
    answer: fn() -> Fut<'static, Outcome>,
}

impl Plugin for Later {
    fn needs(&self, hook: HookId) -> Option<Needs> {
        self.hooks.contains(&hook).then(Needs::change)
    }

    fn call<'a>(&'a self, _: Call<'a>, _: Context<'a>) -> Answer<'a> {
        Answer::Later((self.answer)())
    }
}

/// Config of the kinds that need none.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// Config of [`overrun`].
#[derive(Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Overrun {
    /// How long it computes beyond its deadline.
    beyond_ms: u64,
}

impl Default for Overrun {
    fn default() -> Self {
        Self { beyond_ms: 50 }
    }
}

/// Config of [`huge_metadata`].
#[derive(Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Huge {
    /// How much it adds, in bytes.
    bytes: usize,
}

impl Default for Huge {
    fn default() -> Self {
        Self { bytes: 1 << 20 }
    }
}

/// All of them as kinds, for a configuration.
pub fn kinds() -> Vec<NativeKind> {
    fn everywhere() -> Vec<HookId> {
        [MCP_HOOKS, &[LlmInput::ID, LlmOutput::ID]].concat()
    }
    fn plain(
        name: &'static str,
        about: &'static str,
        build: fn(&Value) -> Result<Arc<dyn Plugin>, BuildError>,
    ) -> NativeKind {
        kind(name, about, NativeKind::schema_of::<Nothing>, build)
    }
    vec![
        plain("test_noop", "Lets everything pass, requests to models too.", |_| Ok(noop(&everywhere()))),
        plain("test_count", "Lets everything pass and counts.", |_| Ok(count(MCP_HOOKS).0)),
        plain("test_panic_now", "Panics before it answers.", |_| Ok(panic_now(MCP_HOOKS))),
        plain("test_panic_later", "Answers later, and panics then.", |_| Ok(panic_later(MCP_HOOKS))),
        plain("test_hang", "Never answers.", |_| Ok(hang(MCP_HOOKS))),
        plain("test_fail", "Always fails with an error.", |_| Ok(fail(MCP_HOOKS))),
        kind("test_overrun", "Computes beyond its deadline.", NativeKind::schema_of::<Overrun>, |config| {
            let config: Overrun = NativeKind::read(config)?;
            Ok(overrun(MCP_HOOKS, Duration::from_millis(config.beyond_ms)))
        }),
        kind("test_huge_metadata", "Adds much metadata.", NativeKind::schema_of::<Huge>, |config| {
            Ok(huge_metadata(MCP_HOOKS, NativeKind::read::<Huge>(config)?.bytes))
        }),
        plain("test_forbidden_fields", "Changes what it may not.", |_| Ok(forbidden_fields())),
        plain("test_wrong_type", "Answers what no hook takes.", |_| Ok(wrong_type())),
        plain("test_block", "Refuses everything.", |_| Ok(block(MCP_HOOKS))),
        plain("test_edit_out_of_range", "Edits text that is not there.", |_| {
            Ok(edit_out_of_range(MCP_HOOKS))
        }),
        plain("test_start_fails", "Does not start.", |_| Ok(start_fails(MCP_HOOKS))),
    ]
}

fn kind(
    name: &'static str,
    about: &'static str,
    config_schema: fn() -> Schema,
    build: fn(&Value) -> Result<Arc<dyn Plugin>, BuildError>,
) -> NativeKind {
    NativeKind { name, class_paths: &[], about, hooks: MCP_HOOKS, config_schema, build }
}

#[cfg(test)]
mod tests;
