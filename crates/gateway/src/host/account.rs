//! What is kept for one plugin that sends requests: its share of them, its connections, its counters.
//!
//! By the plugin's name, as all counters are: a reload begins nothing anew, and two instances have one share.
//! Connections are a plugin's own, so that no server can tell one plugin something about another by them.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use mortise_framework::stats::descriptor;
use mortise_mcp_transport::{
    http::{
        origin::Origin,
        pool::{Pool, PoolConfig},
    },
    tls::LoadedClientTls,
};
use mortise_telemetry::{counts::Counts, histogram::Histogram, names};
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use tokio::sync::{Semaphore, SemaphorePermit};

/// Requests of a plugin that are under way at once.
pub(crate) const AT_ONCE: usize = 32;
/// Requests of a plugin that are under way or wait for their turn; more are refused at once.
pub(crate) const ADMITTED: usize = 288;
/// Addresses to which a plugin's connections are kept.
const POOLS: usize = 16;
/// How often the log is told of refused requests.
const COMPLAINT_EVERY: Duration = Duration::from_secs(60);

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Answered, whatever the status.
    Ok = 0,
    /// Not made.
    Refused = 1,
    /// Without an answer, or with one that is too large.
    Error = 2,
    /// Without an answer in time.
    Timeout = 3,
    /// The plugin did not wait.
    Cancelled = 4,
}

const ENDINGS: [&str; 5] = ["ok", "refused", "error", "timeout", "cancelled"];

/// One plugin's.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) plugin: Arc<str>,
    admitted: Semaphore,
    turns: Semaphore,
    /// The most recently used last.
    pools: Mutex<VecDeque<(Origin, SocketAddr, Pool)>>,
    endings: Counts<{ ENDINGS.len() }>,
    duration: Histogram,
    complained: Mutex<Option<Instant>>,
}

/// The right to send a request.
pub(crate) struct Turn<'a> {
    _admitted: SemaphorePermit<'a>,
    _turn: SemaphorePermit<'a>,
}

impl Account {
    pub(crate) fn new(plugin: Arc<str>) -> Self {
        Self {
            plugin,
            admitted: Semaphore::new(ADMITTED),
            turns: Semaphore::new(AT_ONCE),
            pools: Mutex::default(),
            endings: Counts::default(),
            duration: Histogram::default(),
            complained: Mutex::default(),
        }
    }

    /// Waits for a turn; `None` where too many wait already.
    pub(crate) async fn turn(&self) -> Option<Turn<'_>> {
        let admitted = self.admitted.try_acquire().ok()?;
        Some(Turn { _admitted: admitted, _turn: self.turns.acquire().await.ok()? })
    }

    /// The connections to this address of this origin.
    pub(crate) fn pool(&self, origin: &Origin, address: SocketAddr, tls: Option<LoadedClientTls>) -> Pool {
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        let known = pools.iter().position(|(of, at, _)| *at == address && of == origin);
        let pool = match known.and_then(|at| pools.remove(at)) {
            Some((_, _, pool)) => pool,
            None => {
                let config = PoolConfig {
                    max_connections: AT_ONCE,
                    max_idle: 4,
                    address: Some(address),
                    ..PoolConfig::default()
                };
                Pool::new(origin.clone(), tls, config)
            }
        };
        pools.push_back((origin.clone(), address, pool.clone()));
        if pools.len() > POOLS {
            pools.pop_front();
        }
        pool
    }

    /// Counts a request that begins now.
    pub(crate) fn begin(&self) -> Tally<'_> {
        Tally { account: self, begun: Instant::now(), ended: Ended::Cancelled }
    }

    /// Whether the log is to be told of a refusal.
    pub(crate) fn complains(&self) -> bool {
        let mut complained = self.complained.lock().unwrap_or_else(PoisonError::into_inner);
        let due = complained.is_none_or(|last| last.elapsed() >= COMPLAINT_EVERY);
        if due {
            *complained = Some(Instant::now());
        }
        due
    }
}

/// Counts a request when it ends, however it does.
pub(crate) struct Tally<'a> {
    account: &'a Account,
    begun: Instant,
    ended: Ended,
}

impl Tally<'_> {
    /// Says how it ended; how long it took.
    pub(crate) fn end(mut self, ended: Ended) -> Duration {
        self.ended = ended;
        self.begun.elapsed()
    }
}

impl Drop for Tally<'_> {
    fn drop(&mut self) {
        self.account.endings.add(self.ended as usize, 1);
        self.account.duration.record(self.begun.elapsed());
    }
}

/// Shows what was counted to a metrics registry.
pub(crate) fn encode(accounts: &[Arc<Account>], encoder: &mut DescriptorEncoder<'_>) -> std::fmt::Result {
    let mut metric = descriptor(encoder, &names::PLUGIN_HTTP)?;
    for account in accounts {
        for (outcome, count) in ENDINGS.iter().zip(account.endings.totals()) {
            let labels = [("plugin", &*account.plugin), ("outcome", *outcome)];
            metric.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&count, None)?;
        }
    }
    let mut metric = descriptor(encoder, &names::PLUGIN_HTTP_DURATION)?;
    for account in accounts {
        let reading = account.duration.read();
        metric.encode_family(&[("plugin", &*account.plugin)])?.encode_histogram::<NoLabelSet>(
            reading.sum.as_secs_f64(),
            reading.count(),
            &reading.seconds(),
            None,
        )?;
    }
    Ok(())
}
