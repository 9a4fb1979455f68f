//! Closed loop and open loop, and what came of them.

use std::{
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use tokio::{sync::Semaphore, task::JoinSet};

use super::{connection::Connection, histogram::Histogram, request::Request};

/// How long requests that are under way when a run is over may still take before they count as errors.
const GRACE: Duration = Duration::from_secs(5);

/// How long a run of a given number of requests may take.
const LONGEST: Duration = Duration::from_secs(300);

/// When a closed loop is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// After this long.
    Elapsed(Duration),
    /// After this many requests.
    Sent(u64),
}

/// What came of a run.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Right answers.
    pub answered: u64,
    /// Wrong answers, broken connections, requests without an answer.
    pub errors: u64,
    /// What the first error was.
    pub first_error: Option<String>,
    /// From the first request to the last answer.
    pub elapsed: Duration,
    /// Latencies of right answers.
    pub latency: Histogram,
}

impl Report {
    /// Right answers per second.
    pub fn rate(&self) -> f64 {
        self.answered as f64 / self.elapsed.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    fn fail(&mut self, why: &str) {
        self.errors += 1;
        self.first_error.get_or_insert_with(|| why.to_owned());
    }

    fn merge(&mut self, other: Self) {
        self.answered += other.answered;
        self.errors += other.errors;
        self.first_error = self.first_error.take().or(other.first_error);
        self.latency.merge(&other.latency);
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let us = |q| self.latency.quantile(q).as_micros();
        write!(
            f,
            "{:.0}/s, p50 {} µs, p90 {} µs, p99 {} µs, p99.9 {} µs, {} errors",
            self.rate(),
            us(0.5),
            us(0.9),
            us(0.99),
            us(0.999),
            self.errors
        )?;
        match &self.first_error {
            Some(error) => write!(f, " (first: {error})"),
            None => Ok(()),
        }
    }
}

/// What the connections of a run share.
struct Shared {
    next: AtomicU64,
    over: AtomicBool,
    /// Connections report here when they are done, and on every error, so that nothing is lost by an abort.
    report: Mutex<Report>,
    busy: AtomicU64,
}

impl Shared {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            next: AtomicU64::new(0),
            over: AtomicBool::new(false),
            report: Mutex::default(),
            busy: AtomicU64::new(0),
        })
    }

    fn add(&self, report: Report) {
        self.report.lock().unwrap_or_else(std::sync::PoisonError::into_inner).merge(report);
    }
}

/// Sends over `connections` connections, on each the next request when the answer to the last is there.
///
/// # Errors
/// When the server cannot be reached at the start. Later trouble is counted in the report.
pub async fn closed(request: &Request, connections: usize, until: Until) -> io::Result<Report> {
    let shared = Shared::new();
    let limit = match until {
        Until::Sent(count) => count,
        Until::Elapsed(_) => u64::MAX,
    };
    let opened = open_all(request, connections).await?;
    let started = Instant::now();
    let mut tasks = JoinSet::new();
    for connection in opened {
        let (shared, request) = (shared.clone(), request.clone());
        tasks.spawn(async move {
            let mut caller = Caller::new(connection, request, shared.clone());
            while !shared.over.load(Relaxed) {
                let number = shared.next.fetch_add(1, Relaxed);
                if number >= limit {
                    break;
                }
                caller.call(number, Instant::now()).await;
            }
        });
    }
    let patience = match until {
        Until::Elapsed(time) => {
            tokio::time::sleep(time).await;
            shared.over.store(true, Relaxed);
            GRACE
        }
        Until::Sent(_) => LONGEST,
    };
    Ok(finish(tasks, &shared, started, patience).await)
}

/// Sends `rate` requests per second for `time`, over at most `connections` connections.
///
/// Latency counts from when a request was due. The pace is kept by a thread of its own, since the runtime's timers
/// are too coarse; what the kernel's timer is late (some 60 µs) is part of the latency, for every server alike.
///
/// # Errors
/// As [`closed`].
pub async fn open(request: &Request, connections: usize, rate: f64, time: Duration) -> io::Result<Report> {
    let shared = Shared::new();
    let opened = open_all(request, connections).await?;
    let due = Arc::new(Semaphore::new(0));
    let started = Instant::now();
    let mut tasks = JoinSet::new();
    for connection in opened {
        let (shared, request, due) = (shared.clone(), request.clone(), due.clone());
        tasks.spawn(async move {
            let mut caller = Caller::new(connection, request, shared.clone());
            while let Ok(permit) = due.acquire().await {
                permit.forget();
                let number = shared.next.fetch_add(1, Relaxed);
                caller.call(number, started + Duration::from_secs_f64(number as f64 / rate)).await;
            }
        });
    }
    let total = (time.as_secs_f64() * rate) as u64;
    let pacer = tokio::task::spawn_blocking(move || {
        let mut sent = 0;
        while sent < total {
            let target = started + Duration::from_secs_f64(sent as f64 / rate);
            std::thread::sleep(target.saturating_duration_since(Instant::now()));
            let now_due = ((started.elapsed().as_secs_f64() * rate) as u64 + 1).clamp(sent + 1, total);
            due.add_permits((now_due - sent) as usize);
            sent = now_due;
        }
        due
    });
    let due = pacer.await?;
    // Those not taken yet are late; they get the same grace as those under way.
    let taken = || shared.next.load(Relaxed);
    let overdue = Instant::now() + GRACE;
    while taken() < total && Instant::now() < overdue {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    due.close();
    let unsent = total.saturating_sub(taken());
    let mut report = finish(tasks, &shared, started, GRACE).await;
    for _ in 0..unsent {
        report.fail("not sent in time: all connections were busy");
    }
    Ok(report)
}

async fn open_all(request: &Request, connections: usize) -> io::Result<Vec<Connection>> {
    let mut opened = Vec::with_capacity(connections);
    for _ in 0..connections {
        opened.push(Connection::open(&request.address).await?);
    }
    Ok(opened)
}

/// Waits until all connections are done or `patience` is over.
async fn finish(mut tasks: JoinSet<()>, shared: &Shared, started: Instant, patience: Duration) -> Report {
    let all = async { while tasks.join_next().await.is_some() {} };
    let in_time = tokio::time::timeout(patience, all).await.is_ok();
    let elapsed = started.elapsed();
    tasks.shutdown().await;
    let mut report =
        std::mem::take(&mut *shared.report.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
    report.elapsed = elapsed;
    if !in_time {
        for _ in 0..shared.busy.load(Relaxed) {
            report.fail("no answer until the end of the run");
        }
    }
    report
}

/// One connection's part of a run. Reports when dropped, so that an aborted one is counted too.
struct Caller {
    connection: Option<Connection>,
    request: Request,
    shared: Arc<Shared>,
    report: Report,
}

impl Caller {
    fn new(connection: Connection, request: Request, shared: Arc<Shared>) -> Self {
        Self { connection: Some(connection), request, shared, report: Report::default() }
    }

    /// One request and its answer; nothing is sent twice.
    async fn call(&mut self, number: u64, due: Instant) {
        self.shared.busy.fetch_add(1, Relaxed);
        let outcome = self.exchange(number).await;
        self.shared.busy.fetch_sub(1, Relaxed);
        match outcome {
            Ok(()) => {
                self.report.answered += 1;
                self.report.latency.record(due.elapsed());
            }
            Err(error) => {
                self.connection = None;
                self.report.fail(&error.to_string());
            }
        }
    }

    async fn exchange(&mut self, number: u64) -> io::Result<()> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            slot => slot.insert(reconnect(&self.request.address).await?),
        };
        let bytes = self.request.number(number);
        let answer = connection.exchange(bytes).await?;
        let right = answer.status == 200 && self.request.is_answered_by(answer.body);
        let keep = answer.keep;
        let complaint = (!right).then(|| {
            let shown = &answer.body[..answer.body.len().min(200)];
            format!("status {} with: {}", answer.status, String::from_utf8_lossy(shown))
        });
        if !keep {
            self.connection = None;
        }
        complaint.map_or(Ok(()), |complaint| Err(io::Error::other(complaint)))
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        self.shared.add(std::mem::take(&mut self.report));
    }
}

/// A server that refuses connections must not be asked in a busy loop.
async fn reconnect(address: &str) -> io::Result<Connection> {
    let opened = Connection::open(address).await;
    if opened.is_err() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    opened
}
