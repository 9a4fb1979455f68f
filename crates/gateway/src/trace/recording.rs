//! Recordings: real inputs of hooks, kept for a while so that another configuration can be tried on them.
//!
//! A recording takes calls from the moment it is asked for until it has as many as were wanted, its time is over, or
//! nobody has asked for what it has for a while. It is bounded in bytes: what finds no room is counted and left out, never
//! waited for. On a call's path it copies pointers; payloads are written as JSON, and masked, when they are fetched.
//!
//! Personal data and secrets are replaced before a line leaves, by a [`Mask`] that whoever starts the gateway hands in;
//! what is recorded raw was asked for as that. Hooks of requests as such are never recorded: what they see are
//! credentials.

use std::{
    collections::VecDeque,
    fmt,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use mortise_framework::{HookRun, Status, pipeline::trace::payload_bytes};
use mortise_plugin_api::{Family, HookTable, Payload, Revision, Wire};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::Notify;

use super::{CallObserver, Calls, FinishedCall, shown};

/// Recordings at a time.
const MOST: usize = 4;

/// Bytes of payloads that wait to be fetched.
const MOST_BYTES: usize = 32 << 20;

/// Calls that are given at a time.
const MOST_AT_A_TIME: usize = 500;

/// A recording nobody asks for is over after this.
const FORGOTTEN: Duration = Duration::from_secs(30);

/// What takes personal data and secrets out of a text: `(name of the member, text)` to the text as it may be kept, `None`
/// where it may be kept as it is.
pub type Mask = Arc<dyn Fn(&str, &str) -> Option<String> + Send + Sync>;

/// One call, as a line of a recording.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedCall {
    /// Version of this form: 1.
    pub recorded: u32,
    /// Id of the request.
    pub request_id: String,
    /// When it began, in UTC.
    pub at: String,
    /// Whether personal data and secrets were replaced.
    pub masked: bool,
    /// MCP method.
    pub method: String,
    /// What it was about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// What it came to.
    pub outcome: String,
    /// The request, as far as conditions and bindings look at it.
    pub request: RecordedRequest,
    /// The hooks that ran, in the order in which they began.
    pub hooks: Vec<RecordedHook>,
}

/// What conditions, bindings and plugins see of a request.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RecordedRequest {
    /// App.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// User.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// Teams of the user.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub teams: Vec<String>,
    /// Scopes of the caller.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// Whether the caller is an administrator.
    pub is_admin: bool,
    /// Virtual server, or the upstream where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// Upstream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream: Option<String>,
    /// The thing's name at the upstream, where it is another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub original_name: Option<String>,
    /// Content type of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
}

/// One hook of a recorded call: its input, and what was decided.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedHook {
    /// The hook.
    pub hook: String,
    /// How the event before it ended.
    pub end: String,
    /// What plugins were shown first.
    pub payload: Value,
    /// What was decided.
    pub decision: Decision,
}

/// What the plugins of a hook decided.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Decision {
    /// `pass`, `change` or `block`.
    pub result: String,
    /// Plugin that blocked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plugin: Option<String>,
    /// Code of its violation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Plugins that changed the payload, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changed_by: Vec<String>,
    /// The payload as changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload: Option<Value>,
}

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
        let mut running = self.lock();
        self.sweep(calls, &mut running);
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
        calls.forget(&recording);
        true
    }

    /// Ends those that nobody asks for.
    fn sweep(&self, calls: &Calls, running: &mut Vec<Arc<Recording>>) {
        running.retain(|recording| {
            let keeps = recording.lock().asked.elapsed() < FORGOTTEN;
            if !keeps {
                let observer: Arc<dyn CallObserver> = recording.clone();
                calls.forget(&observer);
            }
            keeps
        });
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

fn lines(calls: &[FinishedCall], hooks: &HookTable, mask: Option<&Mask>) -> String {
    let mut lines = String::new();
    for line in calls.iter().filter_map(|call| serde_json::to_string(&recorded(call, hooks, mask)?).ok()) {
        lines.push_str(&line);
        lines.push('\n');
    }
    lines
}

/// A call as a line; `None` where none of its hooks can be recorded.
fn recorded(call: &FinishedCall, table: &HookTable, mask: Option<&Mask>) -> Option<RecordedCall> {
    let mut runs: Vec<&HookRun> = call.happened.runs.iter().filter(|run| run.finished).collect();
    runs.sort_by_key(|run| run.began);
    let hooks: Vec<_> = runs.into_iter().filter_map(|run| hook(call, run, table, mask)).collect();
    if hooks.is_empty() {
        return None;
    }
    let (request, caller) = (&call.request, &call.request.caller);
    let text = |text: &Option<Arc<str>>| text.as_deref().map(str::to_owned);
    let hidden = |text: String| mask.and_then(|mask| mask("", &text)).unwrap_or(text);
    let all = |texts: &[Arc<str>]| texts.iter().map(ToString::to_string).collect();
    Some(RecordedCall {
        recorded: 1,
        request_id: request.id.to_string(),
        at: shown::timestamp(call.started),
        masked: mask.is_some(),
        method: call.method.to_string(),
        subject: text(&call.subject).map(hidden),
        outcome: call.outcome.word().to_owned(),
        request: RecordedRequest {
            app: text(&caller.app),
            user: text(&caller.user).map(hidden),
            tenant: text(&caller.tenant),
            teams: all(&caller.teams),
            scopes: all(&caller.scopes),
            is_admin: caller.is_admin,
            server: text(&request.server_id),
            upstream: text(&request.upstream),
            original_name: text(&request.original_name),
            content_type: text(&request.content_type),
        },
        hooks,
    })
}

fn hook(call: &FinishedCall, run: &HookRun, table: &HookTable, mask: Option<&Mask>) -> Option<RecordedHook> {
    let row = table.spec(run.hook)?;
    if matches!(row.family, Family::Http) {
        return None;
    }
    let payload = run.payload.as_ref()?;
    let changed_by: Vec<String> = run
        .executions
        .iter()
        .enumerate()
        .filter(|(index, execution)| execution.status == Status::Change || run.change(*index).is_some())
        .map(|(_, execution)| call.happened.plugin(execution).to_string())
        .collect();
    let changed = run.changes.last().map(|change| &change.revision);
    let decision = Decision {
        result: match (&run.blocked, changed) {
            (Some(_), _) => "block",
            (None, Some(_)) => "change",
            (None, None) => "pass",
        }
        .to_owned(),
        plugin: run.blocked.as_ref().map(|blocked| blocked.plugin.to_string()),
        code: run.blocked.as_ref().map(|blocked| blocked.violation.code.clone()),
        changed_by,
        payload: changed.filter(|_| run.blocked.is_none()).and_then(|changed| written(changed, mask)),
    };
    Some(RecordedHook {
        hook: row.name.to_string(),
        end: shown::end(run.end).to_owned(),
        payload: written(payload, mask)?,
        decision,
    })
}

/// A payload as JSON, masked.
fn written(revision: &Revision, mask: Option<&Mask>) -> Option<Value> {
    let mut json: Value =
        serde_json::from_slice(&Payload::encode(revision.payload(), Wire::Json).ok()?).ok()?;
    if let Some(mask) = mask {
        // Headers are no text that a mask is made for: credentials of any form.
        if let Some(headers) = json.get_mut("headers").filter(|headers| !headers.is_null()) {
            *headers = Value::Null;
        }
        masked("", &mut json, mask);
    }
    Some(json)
}

/// Masks every text of a tree, names of members too.
fn masked(key: &str, value: &mut Value, mask: &Mask) {
    match value {
        Value::String(text) => {
            if let Some(hidden) = mask(key, text) {
                *text = hidden;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| masked(key, item, mask)),
        Value::Object(members) => {
            let old = std::mem::take(members);
            for (name, mut value) in old {
                masked(&name, &mut value, mask);
                let name = mask("", &name).unwrap_or(name);
                members.insert(name, value);
            }
        }
        Value::Number(number) => {
            // A card number is one without quotes, too.
            let text = number.to_string();
            if let Some(hidden) = mask(key, &text) {
                *value = hidden.parse::<u64>().map_or(Value::String(hidden), Value::from);
            }
        }
        Value::Null | Value::Bool(_) => {}
    }
}
