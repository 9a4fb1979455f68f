//! A keep-alive pool of HTTP/1.1 connections to one origin.
//!
//! It is the hot path of every call to an HTTP upstream, so it owns no tasks for its connections: whoever
//! waits for an answer drives the connection from within that wait (`link`). A call then costs no
//! channel hop and no scheduling, back-pressure is simply not polling, and dropping the wait closes the
//! connection. The price is that nobody notices an idle connection being closed until it is taken out
//! again or the sweep passes; taking it out polls it once, which finds the close if it has arrived.
//!
//! It is not a general HTTP client: no redirects, no cookies, no HTTP/2, no proxies.

mod body;
mod link;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use rustls::ClientConfig;
use thiserror::Error;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::origin::Origin;
pub use body::PooledBody;
use body::Tail;
pub(crate) use link::connected;
use link::{Link, LinkError};

use crate::workers::PerWorker;

/// Sizes and deadlines of a [`Pool`].
#[derive(Debug, Clone)]
pub struct PoolConfig {
    /// Connections in use at once; further callers wait. Default 1024.
    pub max_connections: usize,
    /// Idle connections kept, for each worker. Default 256.
    pub max_idle: usize,
    /// How long an unused connection is kept. Default 30 s.
    pub idle_timeout: Duration,
    /// Deadline for name resolution, TCP and TLS together. Default 5 s.
    pub connect_timeout: Duration,
    /// How long a caller waits for a connection when all are in use. Default 5 s.
    pub acquire_timeout: Duration,
    /// Connect to this Unix socket instead of the origin's host and port. Plain `http` only.
    pub unix_socket: Option<PathBuf>,
    /// Connect to this address and resolve nothing: for whoever has looked at what the origin's name resolves to, and
    /// must get no other. Certificates are still checked against the name.
    pub address: Option<SocketAddr>,
}

impl Default for PoolConfig {
    fn default() -> Self {
        Self {
            max_connections: 1024,
            max_idle: 256,
            idle_timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(5),
            acquire_timeout: Duration::from_secs(5),
            unix_socket: None,
            address: None,
        }
    }
}

/// Why no answer began to arrive.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PoolError {
    /// The connection could not be opened. Nothing was sent.
    #[error("connecting to {origin}")]
    Connect {
        /// Scheme, host and port.
        origin: Origin,
        /// What the system or the TLS layer said.
        #[source]
        source: std::io::Error,
    },
    /// Opening the connection took too long. Nothing was sent.
    #[error("connecting to {origin} took longer than {} ms", limit.as_millis())]
    ConnectTimeout {
        /// Scheme, host and port.
        origin: Origin,
        /// The deadline.
        limit: Duration,
    },
    /// All connections were in use for too long. Nothing was sent.
    #[error("all {max} connections to {origin} were in use for {} ms", waited.as_millis())]
    Exhausted {
        /// Scheme, host and port.
        origin: Origin,
        /// The limit.
        max: usize,
        /// How long was waited.
        waited: Duration,
    },
    /// The connection broke or spoke no HTTP while the request was sent or its answer awaited.
    #[error("exchanging a request with {origin}")]
    Broken {
        /// Scheme, host and port.
        origin: Origin,
        /// Whether any byte of an answer had arrived.
        answer_began: bool,
        /// What hyper said.
        #[source]
        source: hyper::Error,
    },
}

impl PoolError {
    /// Whether the upstream certainly never saw the request.
    #[must_use]
    pub fn nothing_sent(&self) -> bool {
        !matches!(self, Self::Broken { .. })
    }
}

/// Counts of a [`Pool`], for metrics and tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolStats {
    /// Connections waiting for work.
    pub idle: usize,
    /// Connections in use, those being opened included.
    pub in_use: usize,
    /// Connections opened so far.
    pub opened: u64,
    /// Requests sent again because an idle connection had been closed.
    pub retried: u64,
}

/// A connection nobody uses at present.
struct Idle {
    link: Box<Link>,
    /// What is left of the last answer; it must be at its end before the connection serves again.
    tail: Option<Tail>,
    since: Instant,
}

struct Shared {
    origin: Origin,
    tls: Option<Arc<ClientConfig>>,
    config: PoolConfig,
    /// By worker, as a connection is known to the poller of the thread that opened it. Newest last: the most recently
    /// used goes out first, so that the surplus of a peak expires.
    idle: PerWorker<Mutex<VecDeque<Idle>>>,
    permits: Semaphore,
    opened: AtomicU64,
    retried: AtomicU64,
    sweeper: OnceLock<AbortOnDropHandle<()>>,
}

/// Keep-alive connections to one origin. Cheap to clone; clones share the connections.
#[derive(Clone)]
pub struct Pool {
    shared: Arc<Shared>,
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").field("origin", &self.shared.origin).field("stats", &self.stats()).finish()
    }
}

impl Pool {
    /// An empty pool; nothing is opened before the first request. `tls` is used when the origin is
    /// `https`, which cannot be reached without it.
    #[must_use]
    pub fn new(origin: Origin, tls: Option<Arc<ClientConfig>>, config: PoolConfig) -> Self {
        let permits = Semaphore::new(config.max_connections.clamp(1, Semaphore::MAX_PERMITS));
        let shared = Shared {
            origin,
            tls,
            config,
            idle: PerWorker::default(),
            permits,
            opened: AtomicU64::new(0),
            retried: AtomicU64::new(0),
            sweeper: OnceLock::new(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Where the connections go.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.shared.origin
    }

    /// Current counts.
    #[must_use]
    pub fn stats(&self) -> PoolStats {
        let free = self.shared.permits.available_permits();
        PoolStats {
            idle: self.shared.idle.all().map(|idle| lock(idle).len()).sum(),
            in_use: self.shared.config.max_connections.saturating_sub(free),
            opened: self.shared.opened.load(Ordering::Relaxed),
            retried: self.shared.retried.load(Ordering::Relaxed),
        }
    }

    /// Sends the request that `make` builds and returns once the answer's head is in. `make` runs a
    /// second time only if an idle connection turns out to have been closed by the peer.
    ///
    /// The request's URI must be in origin form and its `Host` header set. Dropping the future, or the
    /// returned body before its end, closes the connection.
    ///
    /// # Errors
    ///
    /// See [`PoolError`]. There is no deadline for the answer itself; that is the caller's.
    pub async fn send<F>(&self, make: F) -> Result<Response<PooledBody>, PoolError>
    where
        F: Fn() -> Request<Full<Bytes>>,
    {
        let mut lease = self.lease().await?;
        if let Some(link) = self.shared.take_idle() {
            let sent_at = Instant::now();
            match lease.hold(link).exchange(make()).await {
                Ok(answer) => return Ok(lease.into_answer(answer)),
                Err(failure) if failure.was_stale(sent_at) => {
                    self.shared.retried.fetch_add(1, Ordering::Relaxed);
                    lease.link = None;
                }
                Err(failure) => return Err(self.shared.broken(failure)),
            }
        }
        let link = self.shared.open().await?;
        match lease.hold(link).exchange(make()).await {
            Ok(answer) => Ok(lease.into_answer(answer)),
            Err(failure) => Err(self.shared.broken(failure)),
        }
    }

    /// The right to use one connection.
    async fn lease(&self) -> Result<Lease, PoolError> {
        let permits = &self.shared.permits;
        let permit = match permits.try_acquire() {
            Ok(permit) => Some(permit),
            Err(_) => {
                timeout(self.shared.config.acquire_timeout, permits.acquire()).await.ok().and_then(Result::ok)
            }
        };
        let Some(permit) = permit else {
            return Err(PoolError::Exhausted {
                origin: self.shared.origin.clone(),
                max: self.shared.config.max_connections,
                waited: self.shared.config.acquire_timeout,
            });
        };
        // The lease gives it back; a permit of its own would cost a second shared pointer a call.
        permit.forget();
        Ok(Lease { shared: Arc::clone(&self.shared), link: None })
    }
}

impl Shared {
    /// The idle connections of this thread.
    fn idle(&self) -> MutexGuard<'_, VecDeque<Idle>> {
        lock(self.idle.own())
    }

    fn broken(&self, failure: LinkError) -> PoolError {
        PoolError::Broken {
            origin: self.origin.clone(),
            answer_began: failure.answer_began,
            source: failure.source,
        }
    }

    /// The most recently used idle connection that is still good.
    fn take_idle(&self) -> Option<Box<Link>> {
        loop {
            let mut idle = self.idle().pop_back()?;
            if idle.since.elapsed() < self.config.idle_timeout
                && idle.tail.take().is_none_or(|tail| tail.ends(&mut idle.link))
                && idle.link.is_reusable()
            {
                return Some(idle.link);
            }
        }
    }

    fn put_idle(self: &Arc<Self>, link: Box<Link>, tail: Option<Tail>) {
        let surplus = {
            let mut idle = self.idle();
            idle.push_back(Idle { link, tail, since: Instant::now() });
            if idle.len() > self.config.max_idle { idle.pop_front() } else { None }
        };
        drop(surplus);
        self.start_sweeper();
    }

    async fn open(&self) -> Result<Box<Link>, PoolError> {
        let limit = self.config.connect_timeout;
        match timeout(limit, Link::open(&self.origin, self.tls.as_ref(), &self.config)).await {
            Ok(Ok(link)) => {
                self.opened.fetch_add(1, Ordering::Relaxed);
                Ok(Box::new(link))
            }
            Ok(Err(source)) => Err(PoolError::Connect { origin: self.origin.clone(), source }),
            Err(_) => Err(PoolError::ConnectTimeout { origin: self.origin.clone(), limit }),
        }
    }

    /// Starts, once, the task that closes expired and dead connections while there is no traffic. It
    /// ends with the pool.
    fn start_sweeper(self: &Arc<Self>) {
        self.sweeper.get_or_init(|| {
            let weak = Arc::downgrade(self);
            let pause = (self.config.idle_timeout / 2).max(Duration::from_millis(100));
            AbortOnDropHandle::new(tokio::spawn(async move {
                loop {
                    tokio::time::sleep(pause).await;
                    let Some(shared) = weak.upgrade() else { return };
                    shared.sweep();
                }
            }))
        });
    }

    fn sweep(&self) {
        for idle in self.idle.all() {
            // Taken out before they are looked at: closing sockets under the lock would hold up calls.
            let mut all = std::mem::take(&mut *lock(idle));
            all.retain_mut(|idle| {
                idle.since.elapsed() < self.config.idle_timeout
                    && idle.tail.is_none()
                    && idle.link.is_reusable()
            });
            let mut idle = lock(idle);
            all.append(&mut idle);
            *idle = all;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One connection in use, or the right to one. Dropped with a link inside, that connection closes.
pub(crate) struct Lease {
    shared: Arc<Shared>,
    link: Option<Box<Link>>,
}

impl Lease {
    fn hold(&mut self, link: Box<Link>) -> &mut Link {
        self.link.insert(link)
    }

    fn into_answer(self, answer: Response<hyper::body::Incoming>) -> Response<PooledBody> {
        answer.map(|incoming| PooledBody::new(incoming, self))
    }

    /// Gives the connection back for the next request.
    fn give_back(mut self, tail: Option<Tail>) {
        if let Some(link) = self.link.take()
            && link.is_open()
        {
            self.shared.put_idle(link, tail);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.link = None;
        self.shared.permits.add_permits(1);
    }
}
