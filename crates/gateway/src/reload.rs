//! Changing the configuration of a running gateway.
//!
//! Whatever wants a change (a file, a signal, a request), it is the same piece of work: the configuration is settled
//! anew from where it came from, plugins and upstreams that are new or changed are brought up beside those in force,
//! and one swap makes all of it the snapshot of the requests that begin from now on. What is wrong with it refuses it
//! whole, and everything in force stays. One change at a time; each is seen to its end, also where whoever asked for it
//! leaves; each is written to the [history](crate::history).
//!
//! What is [overridden](crate::overrides) is laid over the configuration in force without reading the files again: a
//! switch must work also while a file is half written, and must not bring in what nobody asked for.
//!
//! The listener itself does not change: its settings, and where state is kept, wait for a restart and are named.

mod apply;
mod patch;
mod watch;

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use mortise_framework::{Framework, config::Errors};
use tokio::sync::watch as channel;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    config::{Listen, Settled, Telemetry, outline::Change},
    history::{Entry, History, Outcome, Source},
    host::HttpService,
    mcp::Surface,
    overrides::{Overrides, Patch},
    snapshot::Snapshots,
    storage::Storage,
    upstreams::Upstreams,
};
use apply::{InForce, Seen, watches};

/// How long a change waits for the one before it, unless it says so.
const TURN_PATIENCE: Duration = Duration::from_secs(60);

/// What wants a change.
#[derive(Clone, Debug)]
pub struct Trigger {
    /// What it is.
    pub source: Source,
    /// Who, for the history.
    pub who: String,
    /// Only the entry of this plugin is read anew, and the plugin is started anew even if nothing changed.
    pub plugin: Option<String>,
    /// Nothing is read anew; this is changed of what is overridden.
    pub patch: Option<Patch>,
    /// The plugin or LLM of storage that this is about: what is wrong with it refuses the change.
    pub kept: Option<String>,
    /// How long it waits for the change before it; a minute unless set.
    pub patience: Duration,
}

impl Trigger {
    /// A change of everything.
    #[must_use]
    pub fn new(source: Source, who: impl Into<String>) -> Self {
        Self { source, who: who.into(), plugin: None, patch: None, kept: None, patience: TURN_PATIENCE }
    }

    /// A change of what is kept in storage; `about` has to be right.
    #[must_use]
    pub fn stored(source: Source, who: impl Into<String>, about: impl Into<String>) -> Self {
        Self { kept: Some(about.into()), ..Self::new(source, who) }
    }

    /// A change of what is overridden.
    #[must_use]
    pub fn patch(source: Source, who: impl Into<String>, patch: Patch) -> Self {
        Self { patch: Some(patch), ..Self::new(source, who) }
    }

    /// The plugin it is about, where it is one.
    fn about(&self) -> Option<&str> {
        let kept = self.kept.as_deref();
        self.plugin.as_deref().or_else(|| self.patch.as_ref().and_then(Patch::plugin)).or(kept)
    }
}

/// A change that was not refused.
#[derive(Clone, Debug)]
pub struct Report {
    /// Whether there was anything to change.
    pub outcome: Outcome,
    /// The snapshot in force.
    pub snapshot: u64,
    /// What changed.
    pub changes: Vec<Change>,
    /// Settings that wait for a restart.
    pub waiting: Vec<String>,
    /// What deserves a word although it was done.
    pub notices: Vec<String>,
}

/// Why a change was refused.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// The configuration is wrong, or a plugin would not run any more.
    #[error("the configuration has errors")]
    Configuration(#[source] Errors),
    /// There is no such plugin, neither in force nor in the files.
    #[error("there is no plugin `{0}`")]
    NoSuchPlugin(String),
    /// An upstream cannot be set up.
    #[error("an upstream cannot be set up: {0}")]
    Upstream(String),
    /// What is overridden cannot be kept, and so is not changed.
    #[error("the overrides cannot be kept: {0}")]
    NotKept(String),
    /// Files of the configuration that held something hold nothing any more, and nobody asked for a reload.
    #[error(
        "{} {} nothing any more: put the configuration back, or run `mortise reload` where it is meant so",
        .0.join(", "), if .0.len() == 1 { "holds" } else { "hold" }
    )]
    Emptied(Vec<String>),
    /// Another change takes too long.
    #[error("another change of the configuration has been under way for too long")]
    Busy,
    /// The change did not come to its end.
    #[error("the change was not finished: {0}")]
    Broken(String),
}

impl Refused {
    /// Every reason, as a sentence.
    #[must_use]
    pub fn reasons(&self) -> Vec<String> {
        match self {
            Self::Configuration(errors) => errors.list().iter().map(ToString::to_string).collect(),
            other => vec![other.to_string()],
        }
    }
}

impl From<Errors> for Refused {
    fn from(errors: Errors) -> Self {
        Self::Configuration(errors)
    }
}

/// Counts of changes.
#[derive(Debug, Default)]
pub struct ReloadMetrics {
    outcomes: [AtomicU64; Outcome::ALL.len()],
    last_success: AtomicI64,
}

impl ReloadMetrics {
    /// Changes that ended so.
    pub fn count(&self, outcome: Outcome) -> u64 {
        self.outcomes[outcome as usize].load(Relaxed)
    }

    /// When the configuration was last found in order, in seconds since 1970.
    pub fn last_success(&self) -> i64 {
        self.last_success.load(Relaxed)
    }

    fn add(&self, outcome: Outcome) {
        self.outcomes[outcome as usize].fetch_add(1, Relaxed);
        if outcome != Outcome::Refused {
            self.last_success.store(Timestamp::now().as_second(), Relaxed);
        }
    }
}

/// What a [`Reloader`] works with.
pub(crate) struct Parts {
    pub(crate) framework: Framework,
    pub(crate) snapshots: Arc<Snapshots>,
    pub(crate) upstreams: Arc<Upstreams>,
    pub(crate) surface: Arc<Surface>,
    pub(crate) history: Arc<History>,
    /// What sends plugins' own requests.
    pub(crate) http: Arc<HttpService>,
    /// The database.
    pub(crate) storage: Arc<Storage>,
    /// The port that is listened at.
    pub(crate) port: u16,
}

/// Changes the configuration of a running gateway.
pub struct Reloader {
    parts: Parts,
    /// Counts of changes.
    pub metrics: ReloadMetrics,
    /// How the process listens and where its state is, whatever the files say now.
    listen: Listen,
    telemetry: Option<Telemetry>,
    state_dir: PathBuf,
    in_force: tokio::sync::Mutex<InForce>,
    /// What is overridden, changed only by whoever holds what is in force.
    overrides: ArcSwap<Overrides>,
    /// Why the last change was refused.
    refused: Mutex<Option<Refused>>,
    /// What the last load looked at, and what it held then.
    seen: channel::Sender<Arc<Seen>>,
    /// Whether files are watched.
    watches: AtomicBool,
    closing: CancellationToken,
    tasks: TaskTracker,
}

impl Reloader {
    pub(crate) fn new(parts: Parts, settled: Settled) -> Arc<Self> {
        let metrics = ReloadMetrics::default();
        metrics.last_success.store(Timestamp::now().as_second(), Relaxed);
        Arc::new(Self {
            metrics,
            listen: settled.listen.clone(),
            telemetry: settled.telemetry.clone(),
            state_dir: settled.state_dir.clone(),
            refused: Mutex::default(),
            seen: channel::channel(Arc::new(Seen::now(settled.looked_at.clone()))).0,
            watches: AtomicBool::new(watches(&settled)),
            overrides: ArcSwap::new(settled.overrides.clone()),
            closing: CancellationToken::new(),
            tasks: TaskTracker::new(),
            in_force: tokio::sync::Mutex::new(InForce::of(settled)),
            parts,
        })
    }

    /// Settles the configuration anew and puts it in force.
    ///
    /// # Errors
    /// Why it was refused; what was in force stays so.
    pub async fn reload(self: &Arc<Self>, trigger: Trigger) -> Result<Report, Refused> {
        let this = self.clone();
        let work = self.tasks.spawn(async move { this.change(trigger).await });
        work.await.unwrap_or_else(|error| Err(Refused::Broken(error.to_string())))
    }

    /// Refuses a change before anything is read.
    async fn refuse(&self, trigger: &Trigger, refused: Refused) {
        self.tell(trigger, &Err(refused), Duration::ZERO).await;
    }

    /// Why the last change was refused, if it was.
    pub fn refused(&self) -> Option<Refused> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What is overridden.
    pub fn overrides(&self) -> Arc<Overrides> {
        self.overrides.load_full()
    }

    /// The database.
    pub fn storage(&self) -> &Arc<Storage> {
        &self.parts.storage
    }

    /// What sends plugins' own requests.
    pub(crate) fn http(&self) -> &HttpService {
        &self.parts.http
    }

    /// The last entries of the history, the newest first.
    pub async fn history(&self, limit: usize) -> Vec<Entry> {
        let history = self.parts.history.clone();
        tokio::task::spawn_blocking(move || history.last(limit)).await.unwrap_or_default()
    }

    /// Notes the start of the gateway.
    pub(crate) async fn started(&self) {
        let entry = self.entry(&Trigger::new(Source::Start, "mortise"), Outcome::Applied, Duration::ZERO);
        self.note(entry).await;
    }

    /// Ends what is under way, waiting at most `patience`.
    pub(crate) async fn stop(&self, patience: Duration) {
        self.closing.cancel();
        self.tasks.close();
        let _ = tokio::time::timeout(patience, self.tasks.wait()).await;
    }

    async fn change(self: &Arc<Self>, trigger: Trigger) -> Result<Report, Refused> {
        let asked = Instant::now();
        let turn = tokio::time::timeout(trigger.patience, self.in_force.lock()).await;
        let Ok(mut in_force) = turn else {
            let refused = Err(Refused::Busy);
            self.tell(&trigger, &refused, asked.elapsed()).await;
            return refused;
        };
        if self.closing.is_cancelled() {
            return Err(Refused::Broken("the gateway is ending".to_owned()));
        }
        let started = Instant::now();
        let result = match &trigger.patch {
            Some(patch) => self.lay_over(&mut in_force, patch, &trigger.who).await,
            None => self.attempt(&mut in_force, &trigger).await,
        };
        self.tell(&trigger, &result, started.elapsed()).await;
        result
    }

    fn entry(&self, trigger: &Trigger, outcome: Outcome, took: Duration) -> Entry {
        Entry {
            at: Timestamp::now().to_string(),
            snapshot: self.parts.snapshots.load().number,
            source: trigger.source,
            who: trigger.who.clone(),
            plugin: trigger.about().map(str::to_owned),
            outcome,
            changes: Vec::new(),
            more_changes: 0,
            reasons: Vec::new(),
            waiting: Vec::new(),
            took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// Says in log, metrics, readiness and history what became of a change.
    async fn tell(&self, trigger: &Trigger, result: &Result<Report, Refused>, took: Duration) {
        let outcome = result.as_ref().map_or(Outcome::Refused, |report| report.outcome);
        let mut entry = self.entry(trigger, outcome, took);
        let (source, who, took_ms) = (trigger.source, &trigger.who, entry.took_ms);
        match result {
            Ok(report) => {
                let (snapshot, changes) = (report.snapshot, report.changes.len());
                tracing::info!(
                    ?source,
                    who,
                    outcome = outcome.word(),
                    snapshot,
                    changes,
                    took_ms,
                    "{}",
                    if trigger.patch.is_some() { "override in force" } else { "configuration reloaded" }
                );
                for notice in &report.notices {
                    tracing::warn!("{notice}");
                }
                for setting in &report.waiting {
                    tracing::warn!(setting, "setting has changed and takes effect after a restart");
                }
                entry.changes.clone_from(&report.changes);
                entry.waiting.clone_from(&report.waiting);
            }
            Err(refused) => {
                entry.reasons = refused.reasons();
                for reason in &entry.reasons {
                    tracing::error!(?source, who, reason, "configuration refused; the one in force stays");
                }
            }
        }
        self.metrics.add(outcome);
        // Whoever says again what holds already (a controller, every minute) must not push changes out of the history.
        let changed_nothing = trigger.patch.is_some() && outcome == Outcome::Unchanged;
        // Neither says anything about the configuration, nor does what was to be laid over.
        let says_nothing = matches!(result, Err(Refused::NoSuchPlugin(_) | Refused::Busy));
        if trigger.patch.is_none() && !says_nothing {
            *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = result.as_ref().err().cloned();
        }
        if !changed_nothing {
            self.note(entry).await;
        }
    }

    async fn note(&self, entry: Entry) {
        let history = self.parts.history.clone();
        let written = tokio::task::spawn_blocking(move || history.append(&entry)).await;
        if let Ok(Err(error)) = written {
            tracing::error!(%error, "the history of the configuration could not be written");
        }
    }
}

impl std::fmt::Debug for Reloader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reloader").field("refused", &self.refused()).finish_non_exhaustive()
    }
}
