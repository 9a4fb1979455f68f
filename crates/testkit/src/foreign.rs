//! A plugin in another process: the second runtime, which proves that the plugin trait carries foreign code.
//!
//! Frames of JSON, each behind its length in four bytes, big end first, over a Unix socket that the process gets as
//! its standard input. The process begins with `{"hooks": ["tool_pre_invoke", …]}`. A call is `{"id", "hook", "end",
//! "payload", "context"}`, its answer `{"id", "result", "context"}` or `{"id", "error"}`; context and result have the
//! published shapes ([`WireContext`], [`WireResult`]). `{"cancel": id}` goes out when nobody waits for an answer any
//! more; an answer that comes all the same is dropped.
//!
//! Not a runtime for users: no restarts, no back-off, no sandbox; those belong to the framework and to the runtimes
//! that ship. What must hold of every runtime holds here: calls run at the same time on one connection, everything
//! queued is bounded, dropping a call cancels it, an encoding is made once per revision, and a process that dies
//! makes the plugin unavailable and nothing else.
//!
//! [`peer`] is the other side, for the program `foreign-plugin` and for tests that want it in their own process.

use std::{
    io,
    os::fd::OwnedFd,
    path::PathBuf,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use mortise_plugin_api::{
    Answer, Call, Context, Fut, HookId, HookSpec, HookTable, Init, Needs, Outcome, Part, Plugin, PluginError,
    Wire,
    wire::{WireContext, WireResult},
};
use serde::Deserialize;
use tokio::{
    net::UnixStream,
    process::{Child, Command},
};

mod frame;
mod link;
pub mod peer;

use link::Link;

/// Bounds of a foreign plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest frame in bytes, either way. 64 MiB by default.
    pub max_frame: usize,
    /// Calls under way at once; further ones wait within their deadline. 256 by default.
    pub max_in_flight: usize,
    /// Time for the handshake, and again for the end. 5 s by default.
    pub patience: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_frame: 64 << 20, max_in_flight: 256, patience: Duration::from_secs(5) }
    }
}

/// Where the other side comes from.
enum Source {
    Command { program: PathBuf, args: Vec<String> },
    Stream(UnixStream),
}

/// A plugin whose code runs in another process.
pub struct ForeignPlugin {
    table: Arc<HookTable>,
    limits: Limits,
    source: Mutex<Option<Source>>,
    started: OnceLock<Started>,
}

struct Started {
    link: Link,
    hooks: Vec<HookId>,
    child: Mutex<Option<Child>>,
}

/// The process' first frame.
#[derive(Deserialize)]
struct Handshake {
    hooks: Vec<String>,
}

/// An answer.
#[derive(Deserialize)]
struct AnswerFrame {
    result: Option<WireResult>,
    context: Option<WireContext>,
    error: Option<String>,
}

impl ForeignPlugin {
    /// A plugin that `program` runs with `args`; started by [`Plugin::initialize`].
    pub fn command(table: Arc<HookTable>, program: PathBuf, args: Vec<String>, limits: Limits) -> Self {
        Self::new(table, Source::Command { program, args }, limits)
    }

    /// A plugin at the other end of `stream`, wherever that is; greeted by [`Plugin::initialize`].
    pub fn connected(table: Arc<HookTable>, stream: UnixStream, limits: Limits) -> Self {
        Self::new(table, Source::Stream(stream), limits)
    }

    fn new(table: Arc<HookTable>, source: Source, limits: Limits) -> Self {
        Self { table, limits, source: Mutex::new(Some(source)), started: OnceLock::new() }
    }

    /// Answers that came after their calls were given up, and were dropped.
    pub fn late_answers(&self) -> u64 {
        self.started.get().map_or(0, |started| started.link.late_answers())
    }

    /// Process id of the other side, where it is a process of its own and runs.
    pub fn pid(&self) -> Option<u32> {
        let started = self.started.get()?;
        started.child.lock().unwrap_or_else(PoisonError::into_inner).as_ref()?.id()
    }

    async fn start(&self) -> Result<(), PluginError> {
        let source = self.source.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (mut stream, child) = match source {
            Some(Source::Stream(stream)) => (stream, None),
            Some(Source::Command { program, args }) => spawn(&program, &args)?,
            None => return Err(PluginError::Unavailable("it was started before".to_owned())),
        };
        let greeting = frame::read(&mut stream, self.limits.max_frame);
        let greeting = tokio::time::timeout(self.limits.patience, greeting)
            .await
            .map_err(|_| PluginError::Timeout(self.limits.patience))?
            .map_err(unavailable("could not read its handshake"))?
            .ok_or_else(|| PluginError::Unavailable("it ended before its handshake".to_owned()))?;
        let handshake: Handshake = serde_json::from_slice(&greeting)
            .map_err(|error| PluginError::InvalidAnswer(format!("its handshake: {error}")))?;
        let hooks = handshake.hooks.iter().map(|name| {
            let unknown =
                || PluginError::InvalidAnswer(format!("its handshake names an unknown hook: {name}"));
            self.table.id(name).ok_or_else(unknown)
        });
        let hooks = hooks.collect::<Result<_, _>>()?;
        let started = Started { link: Link::open(stream, self.limits), hooks, child: Mutex::new(child) };
        self.started.set(started).map_err(|_| PluginError::Unavailable("it was started before".to_owned()))
    }

    async fn exchange(&self, spec: &HookSpec, call: Call<'_>, mut context: Context<'_>) -> Outcome {
        let Some(started) = self.started.get() else {
            return Err(PluginError::Unavailable("it has not been started".to_owned()));
        };
        if let Part::Window { .. } = call.part {
            return Err(PluginError::failed("this runtime takes no windows: it asked for complete bodies"));
        }
        let payload = call.payload.json(Wire::Json)?;
        let shown = WireContext::of(call.request, &context);
        let answer = started.link.call(&spec.name, call.end.word(), payload, &shown).await?;
        let answer: AnswerFrame = serde_json::from_slice(&answer)
            .map_err(|error| PluginError::InvalidAnswer(format!("no answer to {}: {error}", spec.name)))?;
        if let Some(returned) = answer.context {
            returned.merge_into(&mut context);
        }
        match (answer.result, answer.error) {
            (_, Some(message)) => Err(PluginError::failed(message)),
            (Some(result), None) => result.into_reply(spec, Wire::Json),
            (None, None) => Err(PluginError::InvalidAnswer("neither result nor error".to_owned())),
        }
    }

    async fn stop(&self) {
        let Some(started) = self.started.get() else { return };
        started.link.end();
        let child = started.child.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut child) = child {
            // Its input is at its end now; whoever does not go is killed when `child` is dropped.
            let _ = tokio::time::timeout(self.limits.patience, child.wait()).await;
        }
        started.link.abort();
    }
}

/// Starts the process with one end of a socket pair as its standard input: no path, so nothing to guess or clean up.
fn spawn(program: &PathBuf, args: &[String]) -> Result<(UnixStream, Option<Child>), PluginError> {
    let pair = || -> io::Result<(UnixStream, OwnedFd)> {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        Ok((UnixStream::from_std(ours)?, theirs.into()))
    };
    let (ours, theirs) = pair().map_err(unavailable("could not make a socket"))?;
    let child = Command::new(program)
        .args(args)
        .stdin(theirs)
        .stdout(std::process::Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(unavailable(&format!("could not start {}", program.display())))?;
    Ok((ours, Some(child)))
}

fn unavailable(attempt: &str) -> impl Fn(io::Error) -> PluginError {
    move |error| PluginError::Unavailable(format!("{attempt}: {error}"))
}

/// How the call ended, as it travels.
impl Plugin for ForeignPlugin {
    /// Of foreign code nothing is known: it may change everything.
    fn needs(&self, hook: HookId) -> Option<Needs> {
        self.started.get()?.hooks.contains(&hook).then(Needs::change)
    }

    fn call<'a>(&'a self, call: Call<'a>, context: Context<'a>) -> Answer<'a> {
        match self.table.spec(call.hook) {
            Some(spec) => Answer::Later(Box::pin(self.exchange(spec, call, context))),
            None => Answer::Ready(Err(PluginError::failed("the hook is of another table"))),
        }
    }

    fn initialize(&self, _: Init) -> Fut<'_, Result<(), PluginError>> {
        Box::pin(self.start())
    }

    fn health(&self) -> Fut<'_, Result<(), PluginError>> {
        let healthy = match self.started.get() {
            Some(started) => started.link.health(),
            None => Err(PluginError::Unavailable("it has not been started".to_owned())),
        };
        Box::pin(std::future::ready(healthy))
    }

    fn shutdown(&self) -> Fut<'_, ()> {
        Box::pin(self.stop())
    }
}
