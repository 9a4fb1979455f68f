//! One MCP server behind the gateway: what is known of it, and its shared connection.
//!
//! The task that keeps it connected is in `keep`.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use arc_swap::ArcSwapOption;
use mortise_mcp::raw::Raw;
use mortise_mcp_transport::{
    http::client::Endpoint,
    stdio::upstream::StdioConfig,
    upstream::{Connection, Hello, Initialized},
    workers::PerWorker,
};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::{metrics::UpstreamMetrics, tools::ToolApi};

use super::{link::Link, lists::Offered};

/// A configured server.
#[derive(Debug)]
pub struct UpstreamSpec {
    /// Its name.
    pub name: String,
    /// How it is reached.
    pub transport: Transport,
    /// Longest silence before an answer.
    pub timeout: Duration,
}

/// How a server is reached.
#[derive(Clone, Debug)]
pub enum Transport {
    /// Streamable HTTP.
    Http(Endpoint),
    /// A child process.
    Stdio(Box<StdioConfig>),
    /// An HTTP API whose operations are tools.
    OpenApi(Arc<ToolApi>),
}

/// Where an upstream stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// No attempt has ended yet.
    Starting,
    /// Connected.
    Ready,
    /// Not connected, and why; it is tried again.
    Failing(String),
}

/// An upstream for people.
#[derive(Clone, Debug)]
pub struct Status {
    /// Its name.
    pub name: Arc<str>,
    /// Where it stands.
    pub state: State,
    /// Tools it lists.
    pub tools: usize,
    /// Prompts it lists.
    pub prompts: usize,
    /// Resources it lists.
    pub resources: usize,
}

/// The shared connection while it is open.
#[derive(Clone, Debug)]
pub struct Live {
    /// The connection.
    pub connection: Connection,
    /// What the server said of itself.
    pub initialized: Arc<Initialized>,
    /// Told by whoever finds it broken. Of this connection alone: word of a lost one that comes late must not cost
    /// the next.
    pub(super) lost: Arc<Notify>,
}

impl Live {
    /// Whether both are the same connection.
    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.lost, &other.lost)
    }
}

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// One server.
pub struct Upstream {
    /// Tells it from every other one, of the same name too.
    pub id: u64,
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// Longest silence before an answer.
    pub timeout: Duration,
    /// Its counters. They belong to the name and outlive a change of its configuration.
    pub metrics: Arc<UpstreamMetrics>,
    pub(super) transport: Transport,
    /// The name once more for each worker, for requests to take a reference to.
    names: PerWorker<Arc<str>>,
    live: PerWorker<ArcSwapOption<Live>>,
    pub(super) offered: Mutex<Arc<Offered>>,
    pub(super) state: watch::Sender<State>,
    /// Told by whoever would have used the connection while there is none: cuts the pause before the next attempt.
    pub(super) wanted: Notify,
    /// Set when it is to end.
    pub(super) stop: CancellationToken,
}

impl Upstream {
    /// A server nobody has connected to yet.
    pub fn new(spec: UpstreamSpec) -> Self {
        Self {
            id: NEXT_ID.fetch_add(1, Relaxed),
            names: PerWorker::new(|| spec.name.as_str().into()),
            name: spec.name.into(),
            timeout: spec.timeout,
            metrics: Arc::default(),
            transport: spec.transport,
            live: PerWorker::default(),
            offered: Mutex::default(),
            state: watch::channel(State::Starting).0,
            wanted: Notify::new(),
            stop: CancellationToken::new(),
        }
    }

    /// A server in the place of one of the same name: until it has listed something itself, what the other one offers
    /// counts, so that tools do not vanish for the time it takes to connect.
    pub(super) fn succeeding(spec: UpstreamSpec, before: &Self) -> Self {
        Self { metrics: before.metrics.clone(), offered: Mutex::new(before.offered()), ..Self::new(spec) }
    }

    /// The shared connection, if it is open.
    pub fn live(&self) -> Option<Arc<Live>> {
        self.live.own().load_full()
    }

    pub(super) fn set_live(&self, live: Option<&Live>) {
        for place in self.live.all() {
            place.store(live.cloned().map(Arc::new));
        }
    }

    /// Its name, for a request on this thread.
    pub fn name_here(&self) -> &Arc<str> {
        self.names.own()
    }

    /// The path requests go to, where it is reached over HTTP.
    pub fn http_path(&self) -> Option<&str> {
        match &self.transport {
            Transport::Http(endpoint) => Some(endpoint.path()),
            Transport::Stdio(_) => None,
            Transport::OpenApi(api) => Some(api.base()),
        }
    }

    /// Method and path of the HTTP request that a request with these parameters comes to.
    pub fn http_target(&self, params: Option<&Raw>) -> (&'static str, String) {
        let of_api = match &self.transport {
            Transport::OpenApi(api) => api.leads_to(params),
            _ => None,
        };
        of_api.unwrap_or_else(|| ("POST", self.http_path().unwrap_or_default().to_owned()))
    }

    /// The API behind it, where its tools are operations of one.
    pub fn tool(&self) -> Option<&Arc<ToolApi>> {
        match &self.transport {
            Transport::OpenApi(api) => Some(api),
            _ => None,
        }
    }

    /// What it offered when it was last asked; also while it is away, so that names keep their place.
    pub fn offered(&self) -> Arc<Offered> {
        self.offered.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Where it stands.
    pub fn status(&self) -> Status {
        let offered = self.offered();
        Status {
            name: self.name.clone(),
            state: self.state.borrow().clone(),
            tools: offered.tools.len(),
            prompts: offered.prompts.len(),
            resources: offered.resources.len(),
        }
    }

    /// Whether an attempt to connect has ended.
    pub fn was_attempted(&self) -> bool {
        self.live().is_some() || *self.state.borrow() != State::Starting
    }

    /// Waits until the first attempt to connect has ended.
    pub async fn attempted(&self) {
        let mut state = self.state.subscribe();
        let _ = state.wait_for(|state| *state != State::Starting).await;
    }

    /// The shared connection, waiting a little where it is just being opened.
    ///
    /// # Errors
    /// A sentence for people: why there is none.
    pub async fn connection(&self, patience: Duration) -> Result<Arc<Live>, String> {
        if let Some(live) = self.live() {
            return Ok(live);
        }
        let mut state = self.state.subscribe();
        let opened =
            async { state.wait_for(|state| *state != State::Starting).await.map(|state| state.clone()) };
        let stands = tokio::time::timeout(patience, opened).await;
        if let Some(live) = self.live() {
            return Ok(live);
        }
        self.wanted.notify_one();
        Err(match stands {
            Ok(Ok(State::Failing(reason))) => format!("upstream {} cannot be reached: {reason}", self.name),
            _ => format!("upstream {} is not connected", self.name),
        })
    }

    /// Says that a shared connection turned out broken, and waits for the next one, at most `patience`.
    pub async fn reconnected(&self, broken: &Arc<Live>, patience: Duration) -> Option<Arc<Live>> {
        let mut state = self.state.subscribe();
        broken.lost.notify_one();
        self.wanted.notify_one();
        let next = async {
            loop {
                if let Some(live) = self.live().filter(|live| !live.is(broken)) {
                    return Some(live);
                }
                if state.changed().await.is_err() {
                    return None;
                }
            }
        };
        tokio::time::timeout(patience, next).await.ok().flatten()
    }

    /// Opens a connection for one client's session.
    ///
    /// # Errors
    /// A sentence for people: why it could not be opened.
    pub async fn open(&self, hello: Hello) -> Result<Link, String> {
        Link::open(&self.transport, hello)
            .await
            .map_err(|reason| format!("upstream {} cannot be reached: {reason}", self.name))
    }

    /// Ends the shared connection.
    pub async fn close(&self) {
        if let Some(live) = self.live() {
            self.set_live(None);
            live.connection.close().await;
        }
    }
}

impl std::fmt::Debug for Upstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upstream").field("name", &self.name).finish_non_exhaustive()
    }
}
