//! A plugin called as a pipeline calls it, for the tests of whoever wrote it.
//!
//! A crate of its own, as authors take it from a registry: it needs the contract and nothing else of the product. What
//! the product's own tests stand on beside (fake upstreams, vendors, load) is no part of it.
//!
//! [`Harness::of`] takes a kind, and everything else is a method away: its `config:`, who calls, the hook. What comes
//! back is a [`Decision`] that is asserted on. Every call of a harness is a request of its own; [`Harness::request`]
//! is one of several hooks, in which the plugin finds again what it has kept.
//!
//! Here the plugin decides, and nobody else: modes, conditions, priorities and the check of `config:` against its
//! schema belong to the pipeline, and `mortise-framework` has that. A panic of the plugin is not caught, so that its
//! trace leads to the line. The clock stands still until the test moves it.
//!
//! ```
//! use mortise_plugin_api::{Native, NativeKind, Needs, PluginError, Verdict, Violation, hooks::ToolPreInvoke};
//! use mortise_plugin_test::Harness;
//! use serde_json::json;
//!
//! fn no_shell() -> NativeKind {
//!     NativeKind {
//!         name: "no_shell",
//!         class_paths: &[],
//!         about: "Blocks a tool",
//!         hooks: &[],
//!         config_schema: || schemars::json_schema!({ "type": "object" }),
//!         build: |config| {
//!             let tool = config["tool"].as_str().unwrap_or("shell").to_owned();
//!             let plugin = Native::new(tool).on::<ToolPreInvoke>(Needs::block(), |tool, call, _| {
//!                 let blocked = || Violation::new("NO_SHELL", "shell access is not allowed").into();
//!                 Ok::<_, PluginError>(if call.name == *tool { blocked() } else { Verdict::Pass })
//!             });
//!             Ok(plugin.into_plugin())
//!         },
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! let guard = Harness::of(no_shell()).config(json!({ "tool": "bash" }));
//! guard.tool_pre("bash", json!({ "command": "ls" })).await.assert_blocked("NO_SHELL");
//! guard.tool_pre("search", json!({ "query": "ls" })).await.assert_passed();
//! # }
//! ```

#![expect(clippy::expect_used, clippy::panic, reason = "what cannot be tested fails the test, and says why")]

mod decision;
mod host;
mod request;
mod stream;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use mortise_plugin_api::{
    BuildError, HookSpec, HookTable, Host, Init, NativeKind, Plugin, PluginError, Request,
};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

pub use decision::Decision;
pub use host::TestHost;
pub use request::Visit;
pub use stream::Streamed;

/// How long a plugin that answers later is waited for, unless said otherwise.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where a plugin comes from.
#[derive(Clone)]
enum Origin {
    Kind(NativeKind),
    Made(Arc<dyn Plugin>),
}

/// One plugin under test. It starts with its first call.
pub struct Harness {
    origin: Origin,
    config: Value,
    hooks: Arc<HookTable>,
    host: Arc<TestHost>,
    inherited: Option<Bytes>,
    patience: Duration,
    plugin: OnceCell<Arc<dyn Plugin>>,
}

impl Harness {
    /// A plugin of this kind, with nothing in its `config:`.
    #[must_use]
    pub fn of(kind: NativeKind) -> Self {
        Self::from(Origin::Kind(kind))
    }

    /// A plugin that is there already, of whatever runtime.
    #[must_use]
    pub fn of_plugin(plugin: Arc<dyn Plugin>) -> Self {
        Self::from(Origin::Made(plugin))
    }

    fn from(origin: Origin) -> Self {
        Self {
            origin,
            config: json!({}),
            hooks: Arc::new(HookTable::standard()),
            host: Arc::default(),
            inherited: None,
            patience: PATIENCE,
            plugin: OnceCell::new(),
        }
    }

    /// What stands under `config:`.
    #[must_use]
    pub fn config(mut self, config: Value) -> Self {
        self.config = config;
        self
    }

    /// A hook table with hooks of the program's own.
    #[must_use]
    pub fn hooks(mut self, hooks: HookTable) -> Self {
        self.hooks = Arc::new(hooks);
        self
    }

    /// How long an answer is waited for, and how far the call's deadline is away; 5 s unless said.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// What a predecessor has left to it.
    #[must_use]
    pub fn inheriting(mut self, left: impl Into<Bytes>) -> Self {
        self.inherited = Some(left.into());
        self
    }

    /// Makes and starts the plugin now instead of with its first call.
    ///
    /// # Errors
    /// What the plugin's start says.
    ///
    /// # Panics
    /// Where its configuration is refused, or it runs already.
    pub async fn start(&self) -> Result<(), PluginError> {
        let plugin = self.begin().await?;
        assert!(self.plugin.set(plugin).is_ok(), "the plugin runs already");
        Ok(())
    }

    async fn begin(&self) -> Result<Arc<dyn Plugin>, PluginError> {
        let plugin = self.build().unwrap_or_else(|error| {
            panic!("the configuration {} is refused: {}: {error}", self.config, error.field)
        });
        let (host, inherited) = (self.host.clone(), self.inherited.clone());
        let init = Init { name: "test".into(), instance: "0".repeat(32).into(), host, inherited };
        plugin.initialize(init).await?;
        Ok(plugin)
    }

    fn build(&self) -> Result<Arc<dyn Plugin>, BuildError> {
        match &self.origin {
            Origin::Kind(kind) => (kind.build)(&self.config),
            Origin::Made(plugin) => Ok(plugin.clone()),
        }
    }

    /// The running plugin.
    pub(crate) async fn plugin(&self) -> &Arc<dyn Plugin> {
        let start = async || self.begin().await.unwrap_or_else(|error| panic!("the plugin starts: {error}"));
        self.plugin.get_or_init(start).await
    }

    /// The configuration is refused; gives the reason.
    ///
    /// # Panics
    /// Where it is not refused, or for something else than `field` (dotted, inside `config:`).
    #[track_caller]
    pub fn assert_config_refused(&self, field: &str) -> BuildError {
        let Err(error) = self.build() else { panic!("the configuration {} is not refused", self.config) };
        assert_eq!(error.field, field, "the field that is refused, with: {error}");
        error
    }

    /// A request, in which several hooks are called.
    #[must_use]
    pub fn request(&self) -> Visit<'_> {
        Visit::new(self, Request::new("test"))
    }

    /// Any hook, by name or alias. The payload is JSON: a [`Value`], or text where every byte matters.
    ///
    /// # Panics
    /// Where there is no such hook, the payload is none of it, or the plugin does not run at it.
    pub async fn at(&self, hook: &str, payload: impl ToString) -> Decision {
        self.request().at(hook, payload).await
    }

    /// `tool_pre_invoke`: a call of `name` with these arguments.
    pub async fn tool_pre(&self, name: &str, args: Value) -> Decision {
        self.request().tool_pre(name, args).await
    }

    /// `tool_post_invoke`: what `name` has answered, as MCP has it (`{"content": […]}`).
    pub async fn tool_post(&self, name: &str, result: Value) -> Decision {
        self.request().tool_post(name, result).await
    }

    /// `tool_post_invoke` where the answer is one text.
    pub async fn tool_text(&self, name: &str, text: &str) -> Decision {
        self.request().tool_text(name, text).await
    }

    /// `prompt_pre_fetch`: prompt `name` is wanted with these arguments.
    pub async fn prompt_pre(&self, name: &str, args: Value) -> Decision {
        self.request().prompt_pre(name, args).await
    }

    /// `prompt_post_fetch`: the prompt as MCP has it (`{"messages": […]}`).
    pub async fn prompt_post(&self, name: &str, result: Value) -> Decision {
        self.request().prompt_post(name, result).await
    }

    /// `resource_pre_fetch`: resource `uri` is wanted.
    pub async fn resource_pre(&self, uri: &str) -> Decision {
        self.request().resource_pre(uri).await
    }

    /// `resource_post_fetch`: the text of resource `uri`.
    pub async fn resource_post(&self, uri: &str, text: &str) -> Decision {
        self.request().resource_post(uri, text).await
    }

    /// The answer of an LLM, in pieces.
    pub async fn llm_stream<'c>(&self, pieces: impl IntoIterator<Item = &'c str>) -> Streamed {
        self.request().llm_stream(pieces).await
    }

    /// The answer of an LLM, in pieces of 1 to 64 bytes; what comes of it must be the same each time, but for how much
    /// had gone out before a violation.
    ///
    /// # Panics
    /// Where it is not.
    pub async fn llm_stream_in_any_pieces(&self, text: &str) -> Streamed {
        let whole = self.llm_stream([text]).await;
        for size in 1..=text.len().min(64) {
            let pieces = stream::pieces(text, size);
            let streamed = self.llm_stream(pieces).await;
            assert_eq!(streamed.violation, whole.violation, "in pieces of {size} bytes");
            let text = whole.violation.is_some() || streamed.text == whole.text;
            assert!(text, "in pieces of {size} bytes: {:?}, in one piece: {:?}", streamed.text, whole.text);
        }
        whole
    }

    /// Lets time pass.
    pub fn advance(&self, by: Duration) {
        self.host.advance(by);
    }

    /// What the plugin has logged: message, then `name=value` for each field.
    #[must_use]
    pub fn log(&self) -> Vec<String> {
        self.host.log()
    }

    /// The plugin that a changed configuration puts in its place, with what this one hands over and the same clock.
    pub async fn succeeded_by(&self, config: Value) -> Self {
        let inherited = self.plugin().await.hand_over().await;
        let (origin, hooks, host) = (self.origin.clone(), self.hooks.clone(), self.host.clone());
        Self { hooks, host, inherited, patience: self.patience, ..Self::from(origin).config(config) }
    }

    /// Ends the plugin as the end of the program does.
    pub async fn stop(self) {
        if let Some(plugin) = self.plugin.get() {
            plugin.shutdown().await;
        }
    }

    pub(crate) fn row(&self, hook: &str) -> &HookSpec {
        self.hooks.get(hook).unwrap_or_else(|| panic!("there is no hook {hook}"))
    }

    pub(crate) fn host(&self) -> &dyn Host {
        &*self.host
    }

    pub(crate) fn limit(&self) -> Duration {
        self.patience
    }

    /// Names of the hooks the plugin has.
    pub(crate) fn hooks_of(&self, plugin: &dyn Plugin) -> String {
        let has = self.hooks.rows().iter().filter(|row| plugin.needs(row.id).is_some());
        has.map(|row| &*row.name).collect::<Vec<_>>().join(", ")
    }
}

impl std::fmt::Debug for Harness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Harness").field("started", &self.plugin.initialized()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
