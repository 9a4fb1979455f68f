//! A worker that is kept running: started, watched, and started anew with all its plugins when it ends or hangs.
//!
//! A call that was under way in a process that ends fails, since whether it had acted is not known; one that comes while
//! the next process starts waits for it. So a crash costs the calls that were inside, and no others as long as starting
//! works.

use std::{
    collections::BTreeMap,
    hash::{BuildHasher, RandomState},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use mortise_plugin_api::{Host, PluginError, host::LogLevel};
use serde::Deserialize;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    link::{Link, Listener, Said},
    process::{Launch, Process},
};

/// First and longest pause before a worker is started again. A process that lived for the longest starts over.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(30));

/// Pauses that calls wait through.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// How long a call waits for a worker that is starting again.
const RESTART_PATIENCE: Duration = Duration::from_secs(5);

/// Time for plugins to load again in a new process before it is used, whether they have or not.
const RELOAD_PATIENCE: Duration = Duration::from_secs(10);

/// Time for a worker that is stuck to say where.
const SHOWING: Duration = Duration::from_millis(200);

/// Time for a worker to end by itself.
const GRACE: Duration = Duration::from_secs(2);

/// A plugin of a worker: what loads it, and where its lines go.
#[derive(Clone)]
struct Seat {
    /// The members of the request that loads it.
    load: Bytes,
    host: Arc<dyn Host>,
    /// Whether whoever starts it is still loading it.
    new: bool,
    /// Why it could not be loaded again.
    lost: Option<Arc<str>>,
}

/// Where a worker stands.
#[derive(Clone, PartialEq, Eq)]
enum Stand {
    /// A process is being started.
    Starting,
    Up,
    /// It could not be started, and will be tried again.
    Down(Arc<str>),
    Ended,
}

/// A worker and its plugins.
pub(crate) struct Worker {
    launch: Launch,
    link: ArcSwapOption<Link>,
    stand: watch::Sender<Stand>,
    seats: Mutex<BTreeMap<u64, Seat>>,
    next_seat: AtomicU64,
    starts: AtomicU64,
    pid: AtomicU64,
    end: CancellationToken,
}

/// What a worker says of a plugin it was to load.
#[derive(Deserialize)]
struct Loaded {
    hooks: Option<Vec<String>>,
    unavailable: Option<String>,
    error: Option<Failure>,
}

/// An error of a plugin, as it travels.
#[derive(Deserialize)]
pub(crate) struct Failure {
    pub(crate) message: String,
    #[serde(default)]
    pub(crate) code: String,
    #[serde(default)]
    pub(crate) details: serde_json::Map<String, serde_json::Value>,
}

impl Worker {
    /// A worker that starts now.
    pub(crate) fn start(launch: Launch) -> Arc<Self> {
        let worker = Arc::new(Self {
            launch,
            link: ArcSwapOption::empty(),
            stand: watch::Sender::new(Stand::Starting),
            seats: Mutex::default(),
            next_seat: AtomicU64::new(1),
            starts: AtomicU64::new(0),
            pid: AtomicU64::new(0),
            end: CancellationToken::new(),
        });
        // Ends by itself once `end` is told.
        tokio::spawn(worker.clone().keep());
        worker
    }

    /// Whether `launch` would start the same.
    pub(crate) fn is_of(&self, launch: &Launch) -> bool {
        self.launch == *launch && !self.end.is_cancelled()
    }

    /// Loads a plugin: the members of the request after its number. Gives its number and the hooks it has.
    pub(crate) async fn load(
        &self,
        load: &[u8],
        host: Arc<dyn Host>,
    ) -> Result<(u64, Vec<String>), PluginError> {
        let number = self.next_seat.fetch_add(1, Relaxed);
        let load: Bytes = [format!(r#""do":"load","plugin":{number},"#).as_bytes(), load].concat().into();
        // What it prints while it loads is its own already.
        self.seats().insert(number, Seat { load: load.clone(), host, new: true, lost: None });
        let mut claim = Claim { worker: self, number, loaded: false };
        let hooks = loaded(&*self.link().await?, &load).await?;
        claim.loaded = true;
        Ok((number, hooks))
    }

    /// Ends a plugin.
    pub(crate) async fn unload(&self, number: u64) {
        let link = self.link.load_full();
        if let Some(link) = link {
            let unload = format!(r#""do":"unload","plugin":{number}"#);
            let _ = link.request(&[unload.as_bytes()]).await;
        }
        self.seats().remove(&number);
    }

    /// The connection; waits a while for one that is coming.
    pub(crate) async fn link(&self) -> Result<Arc<Link>, PluginError> {
        let open = || self.link.load_full().filter(|link| !link.is_closed());
        if let Some(link) = open() {
            return Ok(link);
        }
        let mut stand = self.stand.subscribe();
        // Up with a closed link is a process that has just ended: whoever keeps it is about to notice.
        let settled = stand.wait_for(|stand| match stand {
            Stand::Starting => false,
            Stand::Up => open().is_some(),
            Stand::Down(_) | Stand::Ended => true,
        });
        let settled = tokio::time::timeout(RESTART_PATIENCE.max(self.patience()), settled).await;
        let why = match settled.map(|stand| stand.map(|stand| stand.clone())) {
            Ok(Ok(Stand::Up)) => match open() {
                Some(link) => return Ok(link),
                None => "its worker ended again".into(),
            },
            Ok(Ok(Stand::Down(why))) => why,
            Ok(Ok(Stand::Ended | Stand::Starting) | Err(_)) => "its worker was stopped".into(),
            Err(_) => "its worker is still starting".into(),
        };
        Err(PluginError::Unavailable(why.to_string()))
    }

    /// A first start may take as long as the interpreter needs.
    fn patience(&self) -> Duration {
        if self.starts.load(Relaxed) == 0 { Duration::from_secs(26) } else { RESTART_PATIENCE }
    }

    /// Why the plugin of this number cannot be called although the worker runs.
    pub(crate) fn lost(&self, number: u64) -> Option<Arc<str>> {
        self.seats().get(&number).and_then(|seat| seat.lost.clone())
    }

    /// Whether it could take a call now.
    pub(crate) fn health(&self) -> Result<(), PluginError> {
        match &*self.stand.borrow() {
            Stand::Up => Ok(()),
            Stand::Starting => Err(PluginError::Unavailable("its worker is starting".to_owned())),
            Stand::Down(why) => Err(PluginError::Unavailable(why.to_string())),
            Stand::Ended => Err(PluginError::Unavailable("its worker was stopped".to_owned())),
        }
    }

    /// Process id of the worker, 0 while there is none.
    pub(crate) fn pid(&self) -> u64 {
        self.pid.load(Relaxed)
    }

    /// Whether somebody still wants it.
    pub(crate) fn is_wanted(&self) -> bool {
        !self.end.is_cancelled()
    }

    /// Lets go of it. The process ends soon afterwards.
    pub(crate) fn end(&self) {
        self.end.cancel();
    }

    /// Waits until its process has ended.
    pub(crate) async fn ended(&self) {
        let mut stand = self.stand.subscribe();
        let _ = stand.wait_for(|stand| *stand == Stand::Ended).await;
    }

    fn seats(&self) -> MutexGuard<'_, BTreeMap<u64, Seat>> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn keep(self: Arc<Self>) {
        let mut failures = 0;
        loop {
            self.stand.send_replace(Stand::Starting);
            let began = Instant::now();
            let why = self.live().await;
            self.link.store(None);
            self.pid.store(0, Relaxed);
            if self.end.is_cancelled() {
                break;
            }
            let restarting = self.starts.load(Relaxed) > 0;
            failures = if began.elapsed() > PAUSES.1 { 0 } else { failures + 1 };
            let pause = if restarting && failures <= 1 { Duration::ZERO } else { pause(failures) };
            tracing::error!(
                target: "mortise::python", worker = %self.launch.group, reason = why, pause_ms = pause.as_millis() as u64,
                plugins = self.seats().len(), "worker ended; it is started again"
            );
            // Through a short pause calls wait; a worker that never ran has nothing to wait for.
            if pause > LONGEST_WAIT || !restarting {
                self.stand.send_replace(Stand::Down(why.into()));
            }
            tokio::select! {
                () = self.end.cancelled() => break,
                () = tokio::time::sleep(pause) => {}
            }
        }
        self.link.store(None);
        self.stand.send_replace(Stand::Ended);
    }

    /// One process from its start to its end; says why it ended.
    async fn live(self: &Arc<Self>) -> String {
        let stopped = || "its worker was stopped".to_owned();
        let started = tokio::select! {
            () = self.end.cancelled() => return stopped(),
            started = self.launch.start() => started,
        };
        let mut process = match started {
            Ok(process) => process,
            Err(why) => return why,
        };
        let Some(stream) = process.stream.take() else { return stopped() };
        let link = Arc::new(Link::open(stream, self.listener()));
        tokio::select! {
            () = self.end.cancelled() => {}
            () = self.reload(&link) => {}
            () = tokio::time::sleep(RELOAD_PATIENCE) => {}
        }
        self.pid.store(process.id().unwrap_or(0).into(), Relaxed);
        self.starts.fetch_add(1, Relaxed);
        self.link.store(Some(link.clone()));
        self.stand.send_replace(Stand::Up);
        let why = self.watch(&link, &mut process).await;
        // From here on calls wait for the next process.
        self.stand.send_if_modified(|stand| {
            let was_up = *stand == Stand::Up;
            *stand = Stand::Starting;
            was_up
        });
        self.link.store(None);
        link.close(&why);
        drop(link);
        process.end(if self.end.is_cancelled() { GRACE } else { Duration::ZERO }).await;
        why
    }

    async fn watch(&self, link: &Link, process: &mut Process) -> String {
        let stuck = async {
            match self.launch.stuck_after {
                Some(patience) => link.stuck(patience).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.end.cancelled() => "its worker was stopped".to_owned(),
            how = process.ended() => format!("its worker ended: {how}"),
            why = stuck => {
                process.show_where();
                tokio::time::sleep(SHOWING).await;
                format!("its worker was stuck and has been killed: {why}")
            }
            why = link.closed() => why,
        }
    }

    /// Loads all plugins into a new process.
    async fn reload(&self, link: &Link) {
        let seats: Vec<(u64, Bytes)> = self
            .seats()
            .iter()
            .filter(|(_, seat)| !seat.new)
            .map(|(at, seat)| (*at, seat.load.clone()))
            .collect();
        for (number, load) in seats {
            let lost: Option<Arc<str>> =
                loaded(link, &load).await.err().map(|error| error.to_string().into());
            if let Some(why) = &lost {
                self.say((Some(number), "error".to_owned(), format!("could not be loaded again: {why}")));
            }
            if let Some(seat) = self.seats().get_mut(&number) {
                seat.lost = lost;
            }
        }
    }

    fn listener(self: &Arc<Self>) -> Listener {
        let worker = Arc::downgrade(self);
        Arc::new(move |said| {
            if let Some(worker) = worker.upgrade() {
                worker.say(said);
            }
        })
    }

    /// Writes a line to the log, under the plugin's name where it is known.
    fn say(&self, (plugin, level, text): Said) {
        let host = plugin.and_then(|number| self.seats().get(&number).map(|seat| seat.host.clone()));
        let level = match level.as_str() {
            "error" => LogLevel::Error,
            "warn" => LogLevel::Warn,
            "debug" => LogLevel::Debug,
            _ => LogLevel::Info,
        };
        match host {
            Some(host) => host.log(level, &text, &[]),
            None => tracing::info!(target: "mortise::python", worker = %self.launch.group, "{text}"),
        }
    }
}

/// Takes a seat away again unless its plugin was loaded.
struct Claim<'a> {
    worker: &'a Worker,
    number: u64,
    loaded: bool,
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        let mut seats = self.worker.seats();
        if !self.loaded {
            seats.remove(&self.number);
        } else if let Some(seat) = seats.get_mut(&self.number) {
            seat.new = false;
        }
    }
}

/// Loads a plugin; gives the hooks it has.
async fn loaded(link: &Link, load: &[u8]) -> Result<Vec<String>, PluginError> {
    let answer = link.request(&[load]).await?;
    let answer: Loaded = serde_json::from_slice(&answer).map_err(|error| {
        PluginError::InvalidAnswer(format!("what its worker said of loading it: {error}"))
    })?;
    match answer {
        Loaded { hooks: Some(hooks), .. } => Ok(hooks),
        Loaded { unavailable: Some(why), .. } => Err(PluginError::Unavailable(why)),
        Loaded { error: Some(error), .. } => Err(error.into()),
        Loaded { .. } => {
            Err(PluginError::InvalidAnswer("its worker did not say whether it was loaded".to_owned()))
        }
    }
}

impl From<Failure> for PluginError {
    fn from(failure: Failure) -> Self {
        Self::Failed { message: failure.message, code: failure.code, details: failure.details }
    }
}

/// The pause after so many failures: doubling, with jitter over the second half.
fn pause(failures: u32) -> Duration {
    let (first, longest) = PAUSES;
    let full = first.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(longest);
    let share = RandomState::new().hash_one(failures) % 1024;
    full / 2 + (full / 2048) * u32::try_from(share).unwrap_or(0)
}
