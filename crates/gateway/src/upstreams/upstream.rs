//! One MCP server behind the gateway, and the task that keeps it connected.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use arc_swap::ArcSwapOption;
use mortise_mcp::{
    catalog::Kind,
    envelope::{ErrorObject, Message, Response, method},
};
use mortise_mcp_transport::{
    backoff::{Backoff, BackoffConfig},
    chain::Chain,
    http::client::Endpoint,
    stdio::upstream::{ChildState, StdioConfig, StdioUpstream},
    upstream::{Call, Connection, Hello, Initialized, UpstreamError},
};
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::metrics::UpstreamMetrics;

use super::{
    link::Link,
    lists::{self, KINDS, Offered},
};

/// How often a server that has no event stream is asked whether it is still there.
const HEARTBEAT: Duration = Duration::from_secs(30);

/// Shortest pause between attempts to connect, however many calls wait for one.
const SHORTEST_PAUSE: Duration = Duration::from_millis(250);

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
#[derive(Debug)]
pub struct Live {
    /// The connection.
    pub connection: Connection,
    /// What the server said of itself.
    pub initialized: Arc<Initialized>,
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
    transport: Transport,
    live: ArcSwapOption<Live>,
    offered: Mutex<Arc<Offered>>,
    state: watch::Sender<State>,
    /// Told by whoever finds the shared connection broken.
    lost: Notify,
    /// Told by whoever would have used the connection while there is none: cuts the pause before the next attempt.
    wanted: Notify,
    /// Set when it is to end.
    pub(super) stop: CancellationToken,
}

impl Upstream {
    /// A server nobody has connected to yet.
    pub fn new(spec: UpstreamSpec) -> Self {
        Self {
            id: NEXT_ID.fetch_add(1, Relaxed),
            name: spec.name.into(),
            timeout: spec.timeout,
            metrics: Arc::default(),
            transport: spec.transport,
            live: ArcSwapOption::empty(),
            offered: Mutex::default(),
            state: watch::channel(State::Starting).0,
            lost: Notify::new(),
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
        self.live.load_full()
    }

    /// The path requests go to, where it is reached over HTTP.
    pub fn http_path(&self) -> Option<&str> {
        match &self.transport {
            Transport::Http(endpoint) => Some(endpoint.path()),
            Transport::Stdio(_) => None,
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
        if self.live().is_some_and(|live| Arc::ptr_eq(&live, broken)) {
            self.lost.notify_one();
        }
        self.wanted.notify_one();
        let next = async {
            loop {
                if let Some(live) = self.live().filter(|live| !Arc::ptr_eq(live, broken)) {
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
        if let Some(live) = self.live.swap(None) {
            live.connection.close().await;
        }
    }

    /// Keeps the shared connection open and the lists current, for ever. `publish` is called after each change.
    pub async fn keep_connected(&self, publish: impl Fn()) {
        match &self.transport {
            Transport::Http(_) => self.keep_http(&publish).await,
            Transport::Stdio(config) => self.keep_child(StdioConfig::clone(config), &publish).await,
        }
    }

    async fn keep_http(&self, publish: &impl Fn()) {
        let mut backoff = Backoff::new(BackoffConfig::default());
        loop {
            match Link::open(&self.transport, hello()).await {
                Ok(link) => {
                    backoff.reset();
                    let reason = self.serve(link.connection, link.initialized, publish).await;
                    self.fail(reason, publish);
                }
                Err(reason) => self.fail(reason, publish),
            }
            let asked_for = async {
                tokio::time::sleep(SHORTEST_PAUSE).await;
                self.wanted.notified().await;
            };
            tokio::select! {
                () = tokio::time::sleep(backoff.next_pause()) => {}
                () = asked_for => {}
            }
        }
    }

    async fn keep_child(&self, config: StdioConfig, publish: &impl Fn()) {
        let child = StdioUpstream::start(config, hello());
        let mut state = child.state();
        loop {
            let now = state.borrow_and_update().clone();
            match now {
                ChildState::Ready { connection, initialized } => {
                    let serving = self.serve(Connection::Pipe(connection), initialized, publish);
                    tokio::select! {
                        reason = serving => self.fail(reason, publish),
                        _ = state.changed() => {
                            self.live.store(None);
                            continue;
                        }
                    }
                }
                ChildState::Failing { fault, .. } => self.fail(Chain(&*fault).to_string(), publish),
                ChildState::Starting => {}
                ChildState::Stopped => return,
            }
            if state.changed().await.is_err() {
                return;
            }
        }
    }

    /// Uses one connection until it breaks; returns why it did.
    async fn serve(
        &self,
        connection: Connection,
        initialized: Arc<Initialized>,
        publish: &impl Fn(),
    ) -> String {
        // Listening begins before the first look, so that no change falls between the two.
        let mut incoming = connection.incoming();
        for kind in KINDS {
            if let Err(error) = self.refresh(&connection, &initialized, kind).await {
                return Chain(&error).to_string();
            }
        }
        let live = Arc::new(Live { connection: connection.clone(), initialized: initialized.clone() });
        self.live.store(Some(live));
        publish();
        if self.state.send_replace(State::Ready) != State::Ready {
            tracing::info!(upstream = &*self.name, version = %initialized.version, "upstream connected");
        }
        loop {
            let message = tokio::select! {
                message = next(&mut incoming) => message,
                () = self.lost.notified() => return "the session was lost".to_owned(),
                () = tokio::time::sleep(HEARTBEAT) => {
                    match self.ping(&connection).await {
                        Ok(()) => continue,
                        Err(error) => return Chain(&error).to_string(),
                    }
                }
            };
            match message {
                Message::Notification(notification) => {
                    let changed = KINDS.iter().filter(|kind| kind.changed_method() == notification.method);
                    for kind in changed {
                        match self.refresh(&connection, &initialized, *kind).await {
                            Ok(()) => publish(),
                            Err(error) => return Chain(&error).to_string(),
                        }
                    }
                }
                // Nobody stands behind the shared connection who could be asked.
                Message::Request(request) => {
                    let error = ErrorObject::method_not_found(&request.method);
                    let _ = connection.respond(Response::err(Some(request.id), &error)).await;
                }
                Message::Response(_) => {}
            }
        }
    }

    async fn refresh(
        &self,
        connection: &Connection,
        initialized: &Initialized,
        kind: Kind,
    ) -> Result<(), UpstreamError> {
        let items = lists::fetch(connection, initialized, kind, self.timeout).await?;
        let mut offered = self.offered.lock().unwrap_or_else(PoisonError::into_inner);
        *Arc::make_mut(&mut offered).of_mut(kind) = items;
        Ok(())
    }

    async fn ping(&self, connection: &Connection) -> Result<(), UpstreamError> {
        let call = Call { timeout: Duration::from_secs(10), ..Call::new(method::PING, None) };
        // An error answer is an answer.
        connection.request(call).await?.outcome().await.map(drop)
    }

    fn fail(&self, reason: String, publish: &impl Fn()) {
        self.live.store(None);
        let news = !matches!(*self.state.borrow(), State::Failing(_));
        if news {
            tracing::warn!(upstream = &*self.name, reason, "upstream is not connected");
        }
        self.state.send_replace(State::Failing(reason));
        if news {
            publish();
        }
    }
}

impl std::fmt::Debug for Upstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upstream").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The next message; never, once there is no stream of them.
async fn next(incoming: &mut Option<mpsc::Receiver<Message>>) -> Message {
    if let Some(queue) = incoming {
        if let Some(message) = queue.recv().await {
            return message;
        }
        *incoming = None;
    }
    std::future::pending().await
}

/// How the gateway introduces itself where it acts for nobody in particular.
fn hello() -> Hello {
    Hello::new("mortise", env!("CARGO_PKG_VERSION"))
}
