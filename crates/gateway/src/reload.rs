//! Changing the configuration of a running gateway.
//!
//! Whatever wants a change (a file, a signal, a request), it is the same piece of work: the configuration is settled
//! anew from where it came from, plugins and upstreams that are new or changed are brought up beside those in force,
//! and one swap makes all of it the snapshot of the requests that begin from now on. What is wrong with it refuses it
//! whole, and everything in force stays. One change at a time; each is seen to its end, also where whoever asked for it
//! leaves; each is written to the [history](crate::history).
//!
//! The listener itself does not change: its settings, and where state is kept, wait for a restart and are named.

mod watch;

use std::{
    collections::HashSet,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use futures_util::future::join;
use jiff::Timestamp;
use mortise_framework::{
    Framework, Pipelines, Plan,
    config::{
        Diagnostic, DiagnosticKind, Errors,
        looked_at::{self, Fingerprint, LookedAt},
    },
    instance::State,
};
use mortise_mcp_transport::chain::Chain;
use tokio::sync::watch as channel;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    config::{
        self, Listen, LoadOptions, Settled,
        outline::{Change, Outline},
    },
    gateway::{server_specs, upstream_spec},
    history::{Entry, History, Outcome, Source},
    mcp::Surface,
    snapshot::{Access, Snapshot, Snapshots},
    upstreams::{Retired, Upstreams, Wanted},
};

/// How long a change waits for the one before it.
const TURN_PATIENCE: Duration = Duration::from_secs(60);

/// How long a change waits for new upstreams to be connected before it takes effect without them.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);

/// What wants a change.
#[derive(Clone, Debug)]
pub struct Trigger {
    /// What it is.
    pub source: Source,
    /// Who, for the history.
    pub who: String,
    /// Only the entry of this plugin is read anew, and the plugin is started anew even if nothing changed.
    pub plugin: Option<String>,
}

impl Trigger {
    /// A change of everything.
    #[must_use]
    pub fn new(source: Source, who: impl Into<String>) -> Self {
        Self { source, who: who.into(), plugin: None }
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
    /// Another change takes too long.
    #[error("another change of the configuration has been under way for more than {} s", TURN_PATIENCE.as_secs())]
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

/// What is in force, as far as the next change has to know.
struct InForce {
    plan: Plan,
    upstreams: Vec<config::Upstream>,
    outline: Outline,
    source: LoadOptions,
}

impl InForce {
    fn of(settled: Settled) -> Self {
        let Settled { plan, upstreams, outline, source, .. } = settled;
        Self { plan, upstreams, outline, source }
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
    state_dir: PathBuf,
    in_force: tokio::sync::Mutex<InForce>,
    /// Why the last change was refused.
    refused: Mutex<Option<Refused>>,
    /// What the last load looked at, and what it held then.
    seen: channel::Sender<Arc<Seen>>,
    /// Whether files are watched.
    watches: AtomicBool,
    closing: CancellationToken,
    tasks: TaskTracker,
}

/// A change that is worked out and not in force yet.
struct Next {
    what: What,
    changes: Vec<Change>,
    waiting: Vec<String>,
}

/// What is to be put in force.
enum What {
    /// All of a configuration.
    Whole(Box<Settled>),
    /// The one in force with one plugin's entry as it is in the files now.
    Plugin { name: String, plan: Plan, outline: Outline },
}

impl Reloader {
    pub(crate) fn new(parts: Parts, settled: Settled) -> Arc<Self> {
        let metrics = ReloadMetrics::default();
        metrics.last_success.store(Timestamp::now().as_second(), Relaxed);
        Arc::new(Self {
            metrics,
            listen: settled.listen.clone(),
            state_dir: settled.state_dir.clone(),
            refused: Mutex::default(),
            seen: channel::channel(Arc::new(Seen::now(settled.looked_at.clone()))).0,
            watches: AtomicBool::new(watches(&settled)),
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

    /// Why the last change was refused, if it was.
    pub fn refused(&self) -> Option<Refused> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).clone()
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
        let turn = tokio::time::timeout(TURN_PATIENCE, self.in_force.lock()).await;
        let Ok(mut in_force) = turn else { return Err(Refused::Busy) };
        let started = Instant::now();
        let result = self.attempt(&mut in_force, trigger.plugin.as_deref()).await;
        self.tell(&trigger, &result, started.elapsed()).await;
        result
    }

    async fn attempt(
        self: &Arc<Self>,
        in_force: &mut InForce,
        plugin: Option<&str>,
    ) -> Result<Report, Refused> {
        let Next { what, changes, waiting } = self.settle(in_force, plugin).await?;
        let mut outcome = Outcome::Applied;
        match what {
            What::Plugin { name, plan, outline } => {
                self.replace_plugin(plan.clone(), &name).await?;
                (in_force.plan, in_force.outline) = (plan, outline);
            }
            What::Whole(settled) => {
                if changes.is_empty() && !self.has_more_to_try() {
                    outcome = Outcome::Unchanged;
                } else {
                    self.put_in_force(in_force, &settled).await?;
                    for notice in &settled.notices {
                        tracing::warn!("{notice}");
                    }
                    self.end_sessions(&settled);
                }
                self.watches.store(watches(&settled), Relaxed);
                *in_force = InForce::of(*settled);
            }
        }
        let snapshot = self.parts.snapshots.load().number;
        Ok(Report { outcome, snapshot, changes, waiting })
    }

    /// Reads and checks everything; nothing takes effect yet.
    async fn settle(&self, in_force: &InForce, plugin: Option<&str>) -> Result<Next, Refused> {
        let (source, framework) = (in_force.source.clone(), self.parts.framework.clone());
        let known = self.seen.borrow().files.clone();
        let loaded = tokio::task::spawn_blocking(move || load(&source, &framework, known)).await;
        let (loaded, seen) = loaded.map_err(|error| Refused::Broken(error.to_string()))?;
        self.seen.send_replace(Arc::new(seen));
        let settled = loaded?;
        let waiting = self.waiting(&settled);
        let what = match plugin {
            Some(name) => only_plugin(in_force, &settled, name)?,
            None => {
                self.check_listener(&settled)?;
                What::Whole(Box::new(settled))
            }
        };
        let outline = match &what {
            What::Whole(settled) => &settled.outline,
            What::Plugin { outline, .. } => outline,
        };
        Ok(Next { changes: in_force.outline.changes_to(outline), what, waiting })
    }

    /// The address stays what it is, so what the new configuration says of callers has to be right for it.
    fn check_listener(&self, settled: &Settled) -> Result<(), Refused> {
        if settled.apps.is_some() || config::is_loopback(self.listen.address.ip()) {
            return Ok(());
        }
        let message = format!(
            "without `apps` anyone who can reach {} would be served, and where the gateway listens only changes with \
             a restart",
            self.listen.address
        );
        Err(Errors::from(Diagnostic::new(DiagnosticKind::InvalidValue, message).path("apps")).into())
    }

    /// Settings that are not what the process was started with and cannot change while it runs.
    fn waiting(&self, settled: &Settled) -> Vec<String> {
        let (was, is) = (&self.listen, &settled.listen);
        let settings = [
            ("listen.address", was.address != is.address),
            ("listen.tls", was.tls != is.tls),
            ("listen.max_connections", was.max_connections != is.max_connections),
            ("listen.idle_timeout", was.idle_timeout != is.idle_timeout),
            ("listen.drain_timeout", was.drain_timeout != is.drain_timeout),
            ("state_dir", self.state_dir != settled.state_dir),
        ];
        settings.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name.to_owned()).collect()
    }

    /// Whether a plugin that could run did not start: an unchanged configuration is one more attempt.
    fn has_more_to_try(&self) -> bool {
        let framework = &self.parts.framework;
        framework.pipelines().all_instances().iter().any(|instance| {
            matches!(instance.state(), State::Unavailable(_))
                && framework.waits_for(&instance.entry).is_none()
        })
    }

    /// Starts one plugin anew in the place of the one that runs.
    async fn replace_plugin(&self, plan: Plan, name: &str) -> Result<(), Refused> {
        let staged = Box::pin(self.parts.framework.stage(plan, Some(name))).await?;
        let swap = |pipelines: &Arc<Pipelines>| {
            let pipelines = pipelines.clone();
            self.parts.snapshots.change(|now| Snapshot { number: now.number + 1, pipelines, ..now.clone() });
        };
        Box::pin(staged.commit(swap)).await?;
        Ok(())
    }

    /// Brings up what is new or changed of a whole configuration, and swaps.
    async fn put_in_force(self: &Arc<Self>, in_force: &InForce, settled: &Settled) -> Result<(), Refused> {
        let Parts { framework, upstreams, port, .. } = &self.parts;
        let wanted = wanted(&in_force.upstreams, &settled.upstreams)?;
        let fleet = upstreams.stage(wanted, server_specs(settled));
        let staging = Box::pin(framework.stage(settled.plan.clone(), None));
        let (staged, ()) = join(staging, fleet.attempted(CONNECT_PATIENCE)).await;
        // The listener's own settings hold, whatever the files say now.
        let listen = Listen { address: self.listen.address, ..settled.listen.clone() };
        let access = Arc::new(Access::new(settled, &listen, *port));
        let mut retired = Vec::new();
        Box::pin(staged?.commit(|pipelines| {
            retired = upstreams.put_in_force(fleet, |now, catalogs| Snapshot {
                number: now.number + 1,
                pipelines: pipelines.clone(),
                catalogs,
                access,
            });
        }))
        .await?;
        for upstream in retired {
            self.retire(upstream);
        }
        Ok(())
    }

    /// Lets an upstream that was replaced or removed serve the requests that know it, then ends it.
    fn retire(self: &Arc<Self>, Retired { upstream, ended }: Retired) {
        let this = self.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = ended.cancelled() => {}
                () = this.closing.cancelled() => {}
            }
            this.parts.surface.sessions.forget_upstream(upstream.id).await;
            this.parts.upstreams.end(&upstream);
        });
    }

    /// Ends sessions of apps and virtual servers that are not there any more, once their requests are answered.
    fn end_sessions(&self, settled: &Settled) {
        let apps: Option<HashSet<&str>> =
            settled.apps.as_ref().map(|apps| apps.iter().map(|app| app.name.as_str()).collect());
        let ended = self.parts.surface.sessions.take_where(|session| {
            let app_gone = match (&apps, session.owner.app.as_deref()) {
                (Some(apps), Some(app)) => !apps.contains(app),
                // Before, anyone was let in.
                (Some(_), None) => session.owner.user.is_none(),
                (None, _) => false,
            };
            let server = session.server.as_deref();
            app_gone || server.is_some_and(|server| !settled.config.servers.contains_key(server))
        });
        for session in ended {
            let closing = self.closing.clone();
            self.tasks.spawn(async move {
                tokio::select! {
                    () = session.answered() => {}
                    () = closing.cancelled() => {}
                }
                session.close().await;
            });
        }
    }

    fn entry(&self, trigger: &Trigger, outcome: Outcome, took: Duration) -> Entry {
        Entry {
            at: Timestamp::now().to_string(),
            snapshot: self.parts.snapshots.load().number,
            source: trigger.source,
            who: trigger.who.clone(),
            plugin: trigger.plugin.clone(),
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
                    "configuration reloaded"
                );
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
        // Asking for a plugin that is not there says nothing about the configuration.
        if !matches!(result, Err(Refused::NoSuchPlugin(_))) {
            *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = result.as_ref().err().cloned();
        }
        self.note(entry).await;
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

/// Files, and what they held.
#[derive(Debug, Default)]
struct Seen {
    files: LookedAt,
    held: Fingerprint,
}

impl Seen {
    fn now(files: LookedAt) -> Self {
        Self { held: files.fingerprint(), files }
    }
}

/// Settles a configuration anew; which files that looked at, and what they held.
///
/// `known` is what was looked at last. A file that changed while it was read may have been read half, so then all is
/// read again.
fn load(source: &LoadOptions, framework: &Framework, mut known: LookedAt) -> (Result<Settled, Errors>, Seen) {
    const MOST_ATTEMPTS: usize = 4;
    let mut attempt = 1;
    loop {
        let before = known.fingerprint();
        let (loaded, looked_at) = looked_at::during(|| Settled::load(&source.again(), framework));
        let seen = Seen::now(looked_at);
        if attempt == MOST_ATTEMPTS || (seen.files == known && seen.held == before) {
            return (loaded, seen);
        }
        known = seen.files;
        attempt += 1;
    }
}

/// The configuration in force with one plugin's entry as it is in the files now.
fn only_plugin(in_force: &InForce, read: &Settled, name: &str) -> Result<What, Refused> {
    let mut plan = in_force.plan.clone();
    let entry = read.plan.entries.iter().find(|entry| entry.name == name);
    match (entry, plan.entries.iter_mut().find(|entry| entry.name == name)) {
        (Some(entry), Some(known)) => *known = entry.clone(),
        (Some(entry), None) => plan.entries.push(entry.clone()),
        (None, Some(_)) => {
            let message =
                format!("the plugin `{name}` is not in the files any more; a reload of everything ends it");
            return Err(Errors::from(Diagnostic::new(DiagnosticKind::MissingKey, message)).into());
        }
        (None, None) => return Err(Refused::NoSuchPlugin(name.to_owned())),
    }
    let outline = in_force.outline.with_plugin(name, &read.outline);
    Ok(What::Plugin { name: name.to_owned(), plan, outline })
}

fn watches(settled: &Settled) -> bool {
    settled.config.watch.unwrap_or(true)
}

/// Which upstreams go on and which are new or changed.
fn wanted(now: &[config::Upstream], next: &[config::Upstream]) -> Result<Vec<Wanted>, Refused> {
    let mut tls = None;
    let wanted = next.iter().map(|upstream| {
        if now.contains(upstream) {
            return Ok(Wanted::Unchanged(upstream.name.clone()));
        }
        let spec = upstream_spec(upstream, &mut tls);
        spec.map(Wanted::Fresh).map_err(|error| Refused::Upstream(Chain(&error).to_string()))
    });
    wanted.collect()
}
