//! The thread that writes, and its life.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use mortise_plugin_api::{PluginError, host::LogLevel};

use super::{
    SharedHost,
    config::Level,
    queue::Queue,
    record::{self, Record},
    redact::Redactor,
    signal::Signal,
};

/// Most records that are written at once where the destination says nothing else.
const MOST: usize = 256;

/// A line to be written, without its line break.
pub(super) struct Line<'r> {
    pub(super) time: std::time::SystemTime,
    pub(super) level: Level,
    pub(super) text: &'r str,
}

/// Where records go.
pub(super) trait Sink: Send + 'static {
    /// How many records it wants at once, and how long they may wait for more.
    fn batch(&self) -> (usize, Duration) {
        (MOST, Duration::ZERO)
    }

    /// Gets ready. The error is for the operator.
    fn open(&mut self) -> Result<(), String> {
        Ok(())
    }

    /// Writes all of `lines`, or says why they are lost. Must come to an end soon after the queue's deadline.
    fn write(&mut self, lines: &[Line<'_>], queue: &Queue, shared: &Shared) -> Result<(), String>;

    /// Closes.
    fn close(&mut self) {}
}

/// What a thread knows.
pub(super) struct Shared {
    pub(super) plugin: Arc<str>,
    /// What the destination is called in messages.
    pub(super) destination: String,
    pub(super) host: SharedHost,
    pub(super) redactor: Arc<Redactor>,
    pub(super) max_payload_bytes: usize,
}

impl Shared {
    pub(super) fn warn(&self, message: &str, fields: &[(&str, &str)]) {
        let mut all = vec![("destination", &*self.destination)];
        all.extend_from_slice(fields);
        self.host.log(LogLevel::Warn, message, &all);
    }
}

type Trouble = Arc<Mutex<Option<String>>>;

/// A destination with its thread. Dropping it ends the thread; what waits then is lost.
pub(super) struct Running {
    pub(super) name: String,
    pub(super) queue: Arc<Queue>,
    ended: Arc<Signal<()>>,
    trouble: Trouble,
}

impl Running {
    /// Starts the thread and waits until its destination is open.
    pub(super) async fn start(sink: impl Sink, queue: Queue, shared: Shared) -> Result<Self, PluginError> {
        let running = Self {
            name: shared.destination.clone(),
            queue: Arc::new(queue),
            ended: Arc::default(),
            trouble: Trouble::default(),
        };
        let opened: Arc<Signal<Result<(), String>>> = Arc::default();
        let (queue, trouble) = (running.queue.clone(), running.trouble.clone());
        let (signal, ended) = (opened.clone(), Ended(running.ended.clone()));
        let thread = std::thread::Builder::new().name("audit".to_owned());
        let spawned = thread.spawn(move || {
            let _ended = ended;
            run(sink, &queue, &shared, &trouble, &signal);
        });
        let failed = |why: String| PluginError::failed(format!("{}: {why}", running.name));
        spawned.map_err(|error| failed(format!("no thread could be started: {error}")))?;
        opened.wait().await.map_err(failed)?;
        Ok(running)
    }

    /// Why the last records were lost, if they were.
    pub(super) fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.queue.close(Instant::now());
    }
}

/// Says that a thread has ended, however it did.
struct Ended(Arc<Signal<()>>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.set(());
    }
}

/// Ends all threads: what waits is written until the deadline, then given up.
pub(super) async fn stop(sinks: &[Running], deadline: Instant) {
    for sink in sinks {
        sink.queue.close(deadline);
    }
    // A writer can hang in the kernel, and there is no timer here: a thread of its own keeps the deadline.
    let stopped: Arc<Signal<()>> = Arc::default();
    let ends: Vec<_> = sinks.iter().map(|sink| sink.ended.clone()).collect();
    let signal = stopped.clone();
    let keeper = std::thread::Builder::new().name("audit-stop".to_owned()).spawn(move || {
        let patience = deadline + Duration::from_millis(500);
        for ended in ends {
            let _ = ended.wait_until(patience);
        }
        signal.set(());
    });
    if keeper.is_ok() {
        stopped.wait().await;
    }
}

fn run(
    mut sink: impl Sink,
    queue: &Queue,
    shared: &Shared,
    trouble: &Trouble,
    opened: &Signal<Result<(), String>>,
) {
    let open = sink.open();
    let failed = open.is_err();
    opened.set(open);
    if failed {
        return;
    }
    let (most, linger) = sink.batch();
    loop {
        let taken = queue.take(most, linger);
        if !taken.records.is_empty() || taken.lost > 0 {
            let written = write(&mut sink, &taken.records, taken.lost, queue, shared);
            if let Err(why) = &written
                && let Some(lost) = queue.lose(&taken, shared.host.instant())
            {
                shared.warn("audit records dropped", &[("dropped", &lost.to_string()), ("reason", why)]);
            }
            *trouble.lock().unwrap_or_else(PoisonError::into_inner) = written.err();
        }
        let overdue = queue.closed().is_some_and(|deadline| Instant::now() >= deadline);
        if taken.last || overdue {
            let left = queue.abandon();
            if left > 0 {
                let left = left.to_string();
                shared.warn("audit records were not written in time", &[("dropped", &left)]);
            }
            sink.close();
            return;
        }
    }
}

fn write(
    sink: &mut impl Sink,
    records: &[Arc<Record>],
    lost: u64,
    queue: &Queue,
    shared: &Shared,
) -> Result<(), String> {
    let now = shared.host.now();
    let gap = (lost > 0).then(|| record::gap(&shared.plugin, now, lost));
    let gap = gap.iter().map(|text| Line { time: now, level: Level::Error, text });
    let lines = records.iter().map(|record| Line {
        time: record.time,
        level: record.level,
        text: record.line(&shared.redactor, shared.max_payload_bytes),
    });
    let lines: Vec<Line<'_>> = gap.chain(lines).collect();
    sink.write(&lines, queue, shared)
}

/// The host's log as a destination.
pub(super) struct HostLog;

impl Sink for HostLog {
    fn write(&mut self, lines: &[Line<'_>], _: &Queue, shared: &Shared) -> Result<(), String> {
        for line in lines {
            let level = match line.level {
                Level::Debug | Level::Info => LogLevel::Info,
                Level::Warning => LogLevel::Warn,
                Level::Error => LogLevel::Error,
            };
            shared.host.log(level, "audit", &[("record", line.text)]);
        }
        Ok(())
    }
}
