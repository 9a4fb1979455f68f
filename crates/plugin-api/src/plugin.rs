//! The one erased contract that every runtime implements.

use std::{future::Future, pin::Pin, sync::Arc, time::Instant};

use bytes::Bytes;

use crate::{
    Confinement, Context, HookId, Host, Needs, PluginError, Reply, Request, Revision, endpoint::Endpoints,
};

/// A boxed future.
pub type Fut<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What one call of a plugin comes to.
pub type Outcome = Result<Reply, PluginError>;

/// A plugin's answer: there already, or later.
///
/// A native plugin that needs no waiting answers [`Answer::Ready`]: nothing is boxed and no timer is armed.
/// Dropping [`Answer::Later`] cancels the call, on the wire too.
pub enum Answer<'a> {
    /// Decided.
    Ready(Outcome),
    /// To be awaited.
    Later(Fut<'a, Outcome>),
}

/// What part of a payload a call shows.
#[derive(Clone, Copy, Debug)]
pub enum Part<'a> {
    /// All of it: the usual case.
    Whole,
    /// A piece of a streamed text. Edits in the answer count from the start of `text`, under text id 0.
    Window {
        /// The text: first `context` bytes that have already gone out and are shown for look-behind only, then
        /// text to decide on.
        text: &'a str,
        /// Length of the part that has already gone out.
        context: usize,
        /// Whether nothing follows.
        last: bool,
    },
    /// All of a streamed payload after it has gone out: only to be observed.
    Complete,
}

/// How the call a post hook belongs to has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The upstream answered. Pre hooks see this too.
    Ok,
    /// A plugin blocked it before it reached the upstream: only to be observed.
    Blocked,
    /// The upstream could not be reached or failed.
    UpstreamFailed,
    /// The upstream did not answer in time.
    TimedOut,
    /// The client went away: only to be observed.
    Cancelled,
}

impl End {
    /// A stable word, for logs and wires: `ok`, `blocked`, `upstream_failed`, `timed_out`, `cancelled`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Blocked => "blocked",
            Self::UpstreamFailed => "upstream_failed",
            Self::TimedOut => "timed_out",
            Self::Cancelled => "cancelled",
        }
    }
}

/// One call of one plugin at one hook.
#[derive(Clone, Copy)]
pub struct Call<'a> {
    /// The hook.
    pub hook: HookId,
    /// The payload as changed so far. A background runtime may keep the `Arc`.
    pub payload: &'a Arc<Revision>,
    /// What part of it this call is about.
    pub part: Part<'a>,
    /// The request the call belongs to.
    pub request: &'a Request,
    /// How the call ended, for post hooks.
    pub end: End,
    /// When an answer is no longer waited for. CPU-bound native code cannot be interrupted: it looks here.
    pub deadline: Instant,
    /// Host services.
    pub host: &'a dyn Host,
}

impl std::fmt::Debug for Call<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Call")
            .field("hook", &self.hook)
            .field("part", &self.part)
            .field("request", &self.request.id)
            .finish_non_exhaustive()
    }
}

/// What a plugin is given when it starts.
pub struct Init {
    /// Name of the configured instance.
    pub name: Arc<str>,
    /// Unique id of this instance: 32 hexadecimal digits, new at every start.
    pub instance: Arc<str>,
    /// Host services, for as long as the plugin lives.
    pub host: Arc<dyn Host>,
    /// What its predecessor left in [`Plugin::hand_over`], when a configuration change replaced it.
    pub inherited: Option<Bytes>,
}

/// A plugin, whatever its code runs in.
///
/// One value is one configured instance, called from many requests at once. The pipeline, not the plugin, applies
/// mode, priority, conditions, time limits and panic isolation.
pub trait Plugin: Send + Sync + 'static {
    /// What it needs at `hook`, or `None` where it does not implement it.
    ///
    /// Asked once for each hook when a pipeline is compiled, after [`initialize`](Plugin::initialize).
    fn needs(&self, hook: HookId) -> Option<Needs>;

    /// Looks at one call.
    ///
    /// Runs on the request's task: code that waits returns [`Answer::Later`], code that would compute for long
    /// looks at the deadline. Dropping the answer must cancel whatever was started.
    fn call<'a>(&'a self, call: Call<'a>, context: Context<'a>) -> Answer<'a>;

    /// Starts it: once, before the first call. A failure makes the instance unavailable, not the gateway.
    fn initialize(&self, init: Init) -> Fut<'_, Result<(), PluginError>> {
        drop(init);
        Box::pin(std::future::ready(Ok(())))
    }

    /// What the plugin's own side says of how it is to run, with the keys of a configured entry (`hooks`, `mode`,
    /// `priority`, `conditions`, …). It counts where the configured entry does not name the key. Asked after it has
    /// started, whenever pipelines are compiled.
    fn served_entry(&self) -> Option<serde_json::Map<String, serde_json::Value>> {
        None
    }

    /// The HTTP endpoints of its own, where it has any. Asked after it has started, whenever a configuration is put
    /// together; which endpoints these are may change while it runs.
    fn endpoints(self: Arc<Self>) -> Option<Arc<dyn Endpoints>> {
        None
    }

    /// Whether [`hand_over`](Plugin::hand_over) may answer something. Asked once, after it has started.
    ///
    /// Calls of such a plugin are counted, so that a changed configuration can wait for the last of them. A plugin
    /// that says no is spared that, and its successor starts without anything.
    fn hands_over(&self) -> bool {
        true
    }

    /// What its successor should know (counters, caches). No call is under way, and none comes before the successor
    /// has started with it; then `shutdown`. A copy: where the successor does not start, this one goes on.
    fn hand_over(&self) -> Fut<'_, Option<Bytes>> {
        Box::pin(std::future::ready(None))
    }

    /// The JSON Schema of its own configuration, where it knows one that whoever runs it does not.
    fn config_schema(&self) -> Fut<'_, Option<serde_json::Value>> {
        Box::pin(std::future::ready(None))
    }

    /// Whether it could serve a call now.
    fn health(&self) -> Fut<'_, Result<(), PluginError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// The process its code runs in, where the host started that one for it; several plugins may share one. Asked when
    /// somebody looks at memory: it must not wait.
    fn process_id(&self) -> Option<u32> {
        None
    }

    /// What holds the process that the host has started for it; `None` where there is none, or it has not started.
    fn confinement(&self) -> Option<Confinement> {
        None
    }

    /// Ends it: once, after its last call. Must not hang; the host waits a bounded time.
    fn shutdown(&self) -> Fut<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}
