//! Recordings: real inputs of hooks, kept for a while so that another configuration can be tried on them.
//!
//! A recording takes calls from the moment it is asked for until it has as many as were wanted, its time is over, or
//! nobody has asked for what it has for a while. It is bounded in bytes: what finds no room is counted and left out, never
//! waited for. On a call's path it copies pointers; payloads are written as JSON, and masked, when they are fetched.
//!
//! Personal data and secrets are replaced before a line leaves, by a [`Mask`] that whoever starts the gateway hands in;
//! what is recorded raw was asked for as that. Hooks of requests as such are never recorded: what they see are
//! credentials.

mod hidden;
mod line;
mod read;

use std::{
    collections::VecDeque,
    fmt,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use mortise_framework::pipeline::trace::payload_bytes;
use mortise_plugin_api::HookTable;
use tokio::sync::Notify;

use super::{CallObserver, Calls, FinishedCall};
use line::lines;

pub use line::{Decision, RecordedCall, RecordedHook, RecordedRequest};
pub use read::ReadError;

/// Recordings at a time.
const MOST: usize = 4;

/// Bytes of payloads that wait to be fetched.
const MOST_BYTES: usize = 32 << 20;

/// Calls that are given at a time.
const MOST_AT_A_TIME: usize = 500;

/// A recording nobody asks for is over after this.
const FORGOTTEN: Duration = Duration::from_secs(30);

/// What takes personal data and secrets out of a text: `(name of the member, text)` to the text as it may be kept, `None`
/// where it may be kept as it is. Under a name that [`is_secret_name`](mortise_telemetry::redact::is_secret_name) nothing
/// of the text may stay; with `None` it becomes `***`.
pub type Mask = Arc<dyn Fn(&str, &str) -> Option<String> + Send + Sync>;

/// What is to be recorded.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Most calls.
    pub calls: usize,
    /// Longest time.
    pub time: Duration,
    /// Only calls of this tool, prompt or resource; `*` stands for anything.
    pub subject: Option<String>,
    /// Personal data and secrets stay.
    pub raw: bool,
}

/// Why a recording does not begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotRecorded {
    /// There are as many as there may be.
    #[error("{MOST} recordings are under way already; wait for one to end")]
    TooMany,
    /// This program has no mask.
    #[error("this gateway has nothing to mask personal data with; ask for a raw recording")]
    NoMask,
}

/// The recordings that are under way.
#[derive(Default)]
pub struct Recordings {
    running: Mutex<Vec<Arc<Recording>>>,
    /// How many those are, for whoever asks at every request.
    count: AtomicUsize,
    next: AtomicU64,
    mask: OnceLock<Mask>,
}

/// What a recording gives at a time.
#[derive(Debug)]
pub struct Fetched {
    /// One line of JSON for each call.
    pub lines: String,
    /// How many those are.
    pub calls: usize,
    /// Calls that found no room.
    pub dropped: u64,
    /// Whether nothing more will come.
    pub over: bool,
}

impl Recordings {
    /// Says how personal data and secrets are taken out of texts. Once; later ones are ignored.
    pub fn mask_with(&self, mask: Mask) {
        let _ = self.mask.set(mask);
    }

    /// Begins to record; gives the recording's number.
    ///
    /// # Errors
    /// Where there are too many, or nothing to mask with.
    pub fn begin(&self, calls: &Calls, wanted: Wanted) -> Result<u64, NotRecorded> {
        let mask = match (wanted.raw, self.mask.get()) {
            (true, _) => None,
            (false, Some(mask)) => Some(mask.clone()),
            (false, None) => return Err(NotRecorded::NoMask),
        };
        self.sweep(calls, Instant::now());
        let mut running = self.lock();
        if running.len() >= MOST {
            return Err(NotRecorded::TooMany);
        }
        let number = self.next.fetch_add(1, Relaxed) + 1;
        let now = Instant::now();
        let recording = Arc::new(Recording {
            number,
            until: now + wanted.time,
            queue: Mutex::new(Queue { left: wanted.calls, asked: now, ..Queue::default() }),
            news: Notify::new(),
            wanted,
            mask,
        });
        let observer: Arc<dyn CallObserver> = recording.clone();
        calls.observe(&observer);
        running.push(recording);
        self.count.store(running.len(), Relaxed);
        Ok(number)
    }

    /// What a recording has got since it was last asked; waits for `patience` where that is nothing. `None` where there is
    /// no recording of this number.
    pub async fn fetch(
        &self,
        calls: &Calls,
        number: u64,
        hooks: &Arc<HookTable>,
        patience: Duration,
    ) -> Option<Fetched> {
        self.sweep(calls, Instant::now());
        let recording = self.lock().iter().find(|recording| recording.number == number)?.clone();
        let (finished, dropped, over) = recording.take(patience).await;
        if over {
            self.end(calls, number);
        }
        let (hooks, mask) = (hooks.clone(), recording.mask.clone());
        let calls = finished.len();
        // Masks read every byte of what may be many megabytes.
        let lines = tokio::task::spawn_blocking(move || lines(&finished, &hooks, mask.as_ref())).await;
        Some(Fetched { lines: lines.unwrap_or_default(), calls, dropped, over })
    }

    /// Ends a recording; whether there was one.
    pub fn end(&self, calls: &Calls, number: u64) -> bool {
        let mut running = self.lock();
        let Some(at) = running.iter().position(|recording| recording.number == number) else { return false };
        let recording: Arc<dyn CallObserver> = running.swap_remove(at);
        self.count.store(running.len(), Relaxed);
        calls.forget(&recording);
        true
    }

    /// Whether there is any. Costs a reading.
    #[inline]
    pub(crate) fn any(&self) -> bool {
        self.count.load(Relaxed) > 0
    }

    /// Ends those that nobody has asked for, as of `now`, and lets go of what they have. Called now and then: whoever
    /// fetched them may be gone.
    pub(crate) fn sweep(&self, calls: &Calls, now: Instant) {
        let mut running = self.lock();
        let asked = |recording: &Recording| now.saturating_duration_since(recording.lock().asked) < FORGOTTEN;
        let (keep, gone): (Vec<_>, Vec<_>) = running.drain(..).partition(|recording| asked(recording));
        *running = keep;
        self.count.store(running.len(), Relaxed);
        drop(running);
        for recording in gone {
            let observer: Arc<dyn CallObserver> = recording;
            calls.forget(&observer);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Recording>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Recordings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recordings").field("running", &self.lock().len()).finish_non_exhaustive()
    }
}

/// One recording.
struct Recording {
    number: u64,
    wanted: Wanted,
    mask: Option<Mask>,
    until: Instant,
    queue: Mutex<Queue>,
    news: Notify,
}

struct Queue {
    calls: VecDeque<(FinishedCall, usize)>,
    bytes: usize,
    /// Calls that are still wanted.
    left: usize,
    dropped: u64,
    /// When somebody last asked.
    asked: Instant,
}

impl Default for Queue {
    fn default() -> Self {
        Self { calls: VecDeque::new(), bytes: 0, left: 0, dropped: 0, asked: Instant::now() }
    }
}

impl CallObserver for Recording {
    fn finished(&self, call: &FinishedCall) {
        let about = call.subject.as_deref().unwrap_or_default();
        let wanted = self.wanted.subject.as_deref().is_none_or(|word| matches(word, about));
        if !wanted || call.happened.runs.is_empty() || call.subject.is_none() {
            return;
        }
        let bytes: usize = call.happened.runs.iter().map(payload_bytes).sum();
        let mut queue = self.lock();
        if queue.left == 0 || Instant::now() >= self.until || queue.asked.elapsed() >= FORGOTTEN {
            return;
        }
        if queue.bytes + bytes > MOST_BYTES {
            queue.dropped += 1;
            return;
        }
        queue.bytes += bytes;
        queue.left -= 1;
        queue.calls.push_back((call.clone(), bytes));
        drop(queue);
        self.news.notify_one();
    }
}

impl Recording {
    fn lock(&self) -> std::sync::MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What there is, as soon as there is something; whether that is all.
    async fn take(&self, patience: Duration) -> (Vec<FinishedCall>, u64, bool) {
        let deadline = (Instant::now() + patience).min(self.until);
        loop {
            let taken = {
                let mut queue = self.lock();
                queue.asked = Instant::now();
                let count = queue.calls.len().min(MOST_AT_A_TIME);
                let taken: Vec<_> = queue.calls.drain(..count).collect();
                queue.bytes -= taken.iter().map(|(_, bytes)| bytes).sum::<usize>();
                let ended = queue.left == 0 || Instant::now() >= self.until;
                let over = ended && queue.calls.is_empty();
                (taken.into_iter().map(|(call, _)| call).collect::<Vec<_>>(), queue.dropped, over)
            };
            if !taken.0.is_empty() || taken.2 || Instant::now() >= deadline {
                return taken;
            }
            let _ = tokio::time::timeout_at(deadline.into(), self.news.notified()).await;
        }
    }
}

/// Whether `value` is `word`, which may end or begin with `*`, or be it.
pub(crate) fn matches(word: &str, value: &str) -> bool {
    match (word.strip_prefix('*'), word.strip_suffix('*')) {
        _ if word == "*" => true,
        (Some(end), None) => value.ends_with(end),
        (None, Some(start)) => value.starts_with(start),
        (Some(_), Some(_)) => value.contains(word.trim_matches('*')),
        (None, None) => value == word,
    }
}
