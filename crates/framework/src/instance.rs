//! A configured plugin, running or not: what the registry lists and pipelines call.
//!
//! An [`Instance`] is the plugin as one snapshot knows it: the entry it has there, and the running thing behind it.
//! The latter outlives snapshots. Where only what belongs to the pipeline changes (mode, priority, conditions), or
//! nothing at all, the next snapshot has another `Instance` with the same running thing in it.

use std::{
    sync::{
        Arc, OnceLock, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use mortise_plugin_api::{Answer, Call, Context, HookTable, Host, Outcome, Plugin, PluginError};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{
    breaker::{self, Breaker},
    config::PluginEntry,
    essence::Essence,
    gate::{Gate, Way},
    lacking,
    pipeline::isolate::{caught, timed},
    stats::PluginStats,
};

/// How long a foreign plugin that has started may take to say how it is.
const FIRST_LOOK: Duration = Duration::from_secs(5);

/// Where an instance stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Not started yet.
    Starting,
    /// Takes calls.
    Ready,
    /// Cannot take calls, and why: what it waits for, or what failed.
    Unavailable(Arc<str>),
    /// Switched off by its mode; validated, never started.
    Disabled,
    /// Validated and not started, since nothing would ever call it, and why.
    Idle(Arc<str>),
    /// Takes no more calls.
    Stopped,
}

impl State {
    /// A stable word: `starting`, `ready`, `unavailable`, `disabled`, `idle`, `stopped`.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Unavailable(_) => "unavailable",
            Self::Disabled => "disabled",
            Self::Idle(_) => "idle",
            Self::Stopped => "stopped",
        }
    }
}

/// One configured plugin.
pub struct Instance {
    /// The validated entry it was made of.
    pub entry: Arc<PluginEntry>,
    /// Name, also of its metrics.
    pub name: Arc<str>,
    /// 32 hexadecimal digits, new for each start.
    pub uuid: Arc<str>,
    /// Name of the runtime its code runs in, empty where none claims its kind.
    pub runtime: &'static str,
    /// Whether its code runs outside this process or in a sandbox: it is not told of calls it can only observe.
    pub foreign: bool,
    /// Its counters.
    pub stats: Arc<PluginStats>,
    /// Host services as it sees them.
    pub host: Arc<dyn Host>,
    pub(crate) essence: Arc<Essence>,
    life: Arc<Life>,
    lease: Arc<DropGuard>,
    ended: CancellationToken,
}

/// The running thing.
pub(crate) struct Life {
    name: Arc<str>,
    started: OnceLock<Started>,
    state: RwLock<State>,
    stopped: AtomicBool,
    /// Set by an error under `on_error: disable`.
    off: Arc<AtomicBool>,
    breaker: Breaker,
    /// Why the last health check found it unwell.
    unwell: RwLock<Option<Arc<str>>>,
}

struct Started {
    plugin: Arc<dyn Plugin>,
    /// Only of a plugin that has something to hand over.
    gate: Option<Gate>,
}

impl Instance {
    /// An instance that has not started.
    pub fn new(
        entry: Arc<PluginEntry>,
        runtime: &'static str,
        foreign: bool,
        stats: Arc<PluginStats>,
        host: Arc<dyn Host>,
    ) -> Self {
        let name: Arc<str> = entry.name.as_str().into();
        let life = Life {
            name: name.clone(),
            started: OnceLock::new(),
            state: RwLock::new(State::Starting),
            stopped: AtomicBool::new(false),
            off: Arc::default(),
            breaker: Breaker::default(),
            unwell: RwLock::default(),
        };
        let ended = CancellationToken::new();
        Self {
            name,
            uuid: uuid::Uuid::new_v4().simple().to_string().into(),
            entry,
            runtime,
            foreign,
            stats,
            host,
            essence: Arc::default(),
            life: Arc::new(life),
            lease: Arc::new(ended.clone().drop_guard()),
            ended,
        }
    }

    /// The same with what makes it this instance and no other.
    pub(crate) fn identified(mut self, essence: Essence) -> Self {
        self.essence = Arc::new(essence);
        self
    }

    /// The same running plugin under another entry, of the same essence.
    pub(crate) fn under(&self, entry: Arc<PluginEntry>) -> Self {
        Self {
            entry,
            name: self.name.clone(),
            uuid: self.uuid.clone(),
            runtime: self.runtime,
            foreign: self.foreign,
            stats: self.stats.clone(),
            host: self.host.clone(),
            essence: self.essence.clone(),
            life: self.life.clone(),
            lease: self.lease.clone(),
            ended: self.ended.clone(),
        }
    }

    /// Whether the same running plugin is behind both.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.life, &other.life)
    }

    /// What remains to be ended, and what tells that nobody knows this instance any more.
    pub(crate) fn into_life(self: Arc<Self>) -> (CancellationToken, Arc<Life>) {
        (self.ended.clone(), self.life.clone())
    }

    /// Where it stands.
    pub fn state(&self) -> State {
        self.life.state()
    }

    /// Says where it stands from now on.
    pub fn set_state(&self, state: State) {
        self.life.set_state(state);
    }

    /// The plugin, once it has started. Never changes afterwards.
    pub fn plugin(&self) -> Option<&Arc<dyn Plugin>> {
        self.life.started.get().map(|started| &started.plugin)
    }

    /// The switch that an error under `on_error: disable` sets; the plugin is not called again.
    pub(crate) fn off(&self) -> &Arc<AtomicBool> {
        &self.life.off
    }

    /// The breaker that all its hooks share.
    #[inline]
    pub(crate) fn breaker(&self) -> &Breaker {
        &self.life.breaker
    }

    /// How its circuit breaker stands.
    pub fn circuit_breaker(&self) -> breaker::Reading {
        self.life.breaker.read()
    }

    /// What the last health check found wrong; `None` where it was well or was not asked yet.
    pub fn unwell(&self) -> Option<Arc<str>> {
        self.life.unwell.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes what a health check found; says whether that is news.
    pub(crate) fn set_unwell(&self, reason: Option<Arc<str>>) -> bool {
        let mut unwell = self.life.unwell.write().unwrap_or_else(PoisonError::into_inner);
        let news = unwell.is_some() != reason.is_some();
        *unwell = reason;
        news
    }

    /// Why a plugin that has started does not do all it should: hooks its code does not have, a failed health check,
    /// an open circuit breaker. `None` where it does.
    pub fn degraded(&self, hooks: &HookTable) -> Option<String> {
        if let Some(lacking) = self.lacks(hooks) {
            return Some(lacking);
        }
        if let Some(unwell) = self.unwell() {
            return Some(format!("its health check failed: {unwell}"));
        }
        self.circuit_breaker().reason()
    }

    /// The gate calls pass, where it has state to hand over.
    pub(crate) fn gate(&self) -> Option<&Gate> {
        self.life.started.get().and_then(|started| started.gate.as_ref())
    }

    /// What keeps it from running at some of its hooks although it runs: its code does not have them. `None` while it
    /// has not started.
    pub fn lacks(&self, hooks: &HookTable) -> Option<String> {
        let plugin = self.plugin()?;
        lacking::reason(&lacking::hooks(&self.entry, &**plugin, hooks))
    }

    /// Why calls cannot be made, for [`PluginError::Unavailable`].
    pub fn why_unavailable(&self) -> PluginError {
        PluginError::Unavailable(match self.state() {
            State::Unavailable(reason) => reason.to_string(),
            other => format!("it is {}", other.word()),
        })
    }

    /// Calls the plugin; what answers at once never becomes a future. A panic is an error.
    #[inline]
    pub(crate) fn call<'a>(&'a self, call: Call<'a>, context: Context<'a>) -> Answer<'a> {
        let Some(started) = self.life.started.get() else {
            return Answer::Ready(Err(self.why_unavailable()));
        };
        match &started.gate {
            None => caught(|| started.plugin.call(call, context)),
            Some(gate) => self.pass(gate, &*started.plugin, call, context),
        }
    }

    fn pass<'a>(
        &'a self,
        gate: &'a Gate,
        plugin: &'a dyn Plugin,
        call: Call<'a>,
        context: Context<'a>,
    ) -> Answer<'a> {
        let Some(pass) = gate.enter() else {
            return Answer::Later(Box::pin(self.wait(gate, call, context)));
        };
        match caught(|| plugin.call(call, context)) {
            Answer::Ready(outcome) => Answer::Ready(outcome),
            Answer::Later(future) => Answer::Later(Box::pin(async move {
                let _inside = pass;
                future.await
            })),
        }
    }

    /// A call that found the gate closed: it is made once it is clear by whom. The caller's time limit holds.
    async fn wait(&self, gate: &Gate, call: Call<'_>, context: Context<'_>) -> Outcome {
        let way = gate.way().await;
        let answer = match &way {
            Way::Here => self.call(call, context),
            Way::There(successor) => successor.call(call, context),
            Way::Inside(inside) => match inside.0.plugin() {
                Some(plugin) => caught(|| plugin.call(call, context)),
                None => Answer::Ready(Err(inside.0.why_unavailable())),
            },
        };
        match answer {
            Answer::Ready(outcome) => outcome,
            Answer::Later(future) => future.await,
        }
    }

    /// Starts `plugin` and, if that works within `patience`, takes calls with it.
    pub async fn start(&self, plugin: Arc<dyn Plugin>, inherited: Option<Bytes>, patience: Duration) {
        let init = mortise_plugin_api::Init {
            name: self.name.clone(),
            instance: self.uuid.clone(),
            host: self.host.clone(),
            inherited,
        };
        let started = timed(patience, async { plugin.initialize(init).await }).await;
        match started {
            Ok(()) => {
                let gate = plugin.hands_over().then(Gate::default);
                if self.foreign {
                    // What runs elsewhere may have started and be away: told from the start, not from the first round
                    // of health checks.
                    let found = timed(patience.min(FIRST_LOOK), async { plugin.health().await }).await;
                    self.set_unwell(found.err().map(|error| error.to_string().into()));
                }
                let _ = self.life.started.set(Started { plugin, gate });
                self.set_state(State::Ready);
            }
            Err(error) => {
                tracing::error!(plugin = &*self.name, %error, "plugin did not start");
                self.set_state(State::Unavailable(format!("did not start: {error}").into()));
            }
        }
    }

    /// Ends it; waits at most `patience`.
    pub async fn stop(&self, patience: Duration) {
        self.life.stop(patience).await;
    }
}

impl Life {
    fn state(&self) -> State {
        self.state.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_state(&self, state: State) {
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = state;
    }

    /// Ends the plugin, once.
    pub(crate) async fn stop(&self, patience: Duration) {
        if self.stopped.swap(true, Relaxed) {
            return;
        }
        if let Some(started) = self.started.get() {
            let ended = async {
                started.plugin.shutdown().await;
                Ok(())
            };
            if let Err(error) = timed(patience, ended).await {
                tracing::warn!(plugin = &*self.name, %error, "plugin did not stop cleanly");
            }
        }
        self.set_state(State::Stopped);
    }
}

impl std::fmt::Debug for Instance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Instance")
            .field("name", &self.name)
            .field("uuid", &self.uuid)
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}
