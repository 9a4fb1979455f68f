//! Sessions of clients, and the upstream connections that belong to them.
//!
//! A session has a connection of its own to each upstream it uses, opened when it first uses it, under the client's
//! own capabilities: only so can a server that asks back (sampling, elicitation, roots) be led to the right client.
//! Requests of servers get ids of the session's, since several servers may use equal ones.

mod outbox;
mod registry;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwapOption;
use mortise_mcp::{
    bridge::PendingCalls,
    envelope::{ErrorObject, Message, Notification, Request, RequestId, Response, method},
    initialize::ClientHello,
    version::Version,
};
use mortise_mcp_transport::upstream::{Connection, Hello};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::upstreams::{Upstream, Views, link::Link};
pub use outbox::Outbox;
pub use registry::Sessions;

/// Requests of servers that wait for a client's answer, per session.
const MAX_ASKED: usize = 1_000;

/// How long opening a session's own upstream connection may take.
const OPEN_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a session's first request to an upstream waits for the upstream's own stream.
const LISTEN_PATIENCE: Duration = Duration::from_secs(1);

/// Place for a connection of a session's.
type Slot = Arc<tokio::sync::Mutex<Option<Arc<Link>>>>;

/// Whose a session is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// The app whose token was presented.
    pub app: Option<Arc<str>>,
    /// The user.
    pub user: Option<Arc<str>>,
    /// The tenant.
    pub tenant: Option<Arc<str>>,
}

/// One client's session.
pub struct Session {
    /// Its id; a secret of the client's.
    pub id: Arc<str>,
    /// The revision it speaks.
    pub version: Version,
    /// The virtual server it was opened at, `None` at the root.
    pub server: Option<Arc<str>>,
    /// Whose it is; others may not use it.
    pub owner: Owner,
    hello: ClientHello,
    /// By id of the upstream. Two that open the same one at a time wait for each other, and for nobody else.
    links: Mutex<HashMap<u64, Slot>>,
    /// What its own connections list, once it has listed something.
    pub(crate) views: ArcSwapOption<Views>,
    /// Messages to the client that belong to no request.
    pub(crate) outbox: Outbox,
    asked: Mutex<PendingCalls<u64, Connection>>,
    under_way: Mutex<HashMap<RequestId, CancellationToken>>,
    used: AtomicU64,
    born: Instant,
    stop: CancellationToken,
    tasks: TaskTracker,
    /// Told when a request ends.
    ended: Notify,
}

impl Session {
    /// A session of a client that introduced itself.
    pub fn new(id: Arc<str>, hello: ClientHello, server: Option<Arc<str>>, owner: Owner) -> Self {
        Self {
            id,
            version: hello.negotiate(),
            server,
            owner,
            hello,
            links: Mutex::default(),
            views: ArcSwapOption::empty(),
            outbox: Outbox::default(),
            asked: Mutex::new(PendingCalls::new(MAX_ASKED)),
            under_way: Mutex::default(),
            used: AtomicU64::new(0),
            born: Instant::now(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            ended: Notify::new(),
        }
    }

    /// Waits until no request is under way. Of use where none can be begun any more.
    pub async fn answered(&self) {
        loop {
            let ended = self.ended.notified();
            if lock(&self.under_way).is_empty() {
                return;
            }
            ended.await;
        }
    }

    /// Notes that it was used just now.
    pub fn touch(&self) {
        self.used.store(self.born.elapsed().as_secs(), Relaxed);
    }

    /// How long nobody has used it; a client that listens counts as using it.
    pub fn idle(&self) -> Duration {
        if self.outbox.is_open() || !lock(&self.under_way).is_empty() {
            return Duration::ZERO;
        }
        self.born.elapsed().saturating_sub(Duration::from_secs(self.used.load(Relaxed)))
    }

    /// Its connection to an upstream, opened now if it is not open.
    ///
    /// # Errors
    /// A sentence for people: why it could not be opened.
    pub async fn link(self: &Arc<Self>, upstream: &Upstream) -> Result<Arc<Link>, String> {
        let slot = lock(&self.links).entry(upstream.id).or_default().clone();
        let mut slot = slot.lock().await;
        if self.stop.is_cancelled() {
            return Err("the session has ended".to_owned());
        }
        if let Some(link) = &*slot {
            return Ok(link.clone());
        }
        let mut hello = Hello::new("mortise", env!("CARGO_PKG_VERSION"));
        hello.capabilities = self.hello.capabilities.clone();
        hello.timeout = OPEN_TIMEOUT;
        if let Some(info) = &self.hello.client_info {
            hello.client_info = info.clone();
        }
        let link = Arc::new(upstream.open(hello).await?);
        self.listen(upstream.id, &link);
        // The request that opens a connection follows at once, where a client of the server's own would take its time. A
        // server that asks back beside a request's answer (roots, of some SDKs) needs the stream to stand by then.
        if self.hello.can_be_asked() {
            link.connection.listening(LISTEN_PATIENCE).await;
        }
        *slot = Some(link.clone());
        Ok(link)
    }

    /// Lets go of a connection that turned out broken, so that the next use opens another.
    pub async fn drop_link(&self, upstream: &Upstream, broken: &Arc<Link>) {
        let slot = lock(&self.links).get(&upstream.id).cloned();
        if let Some(slot) = slot {
            let mut slot = slot.lock().await;
            if slot.as_ref().is_some_and(|link| Arc::ptr_eq(link, broken)) {
                *slot = None;
            }
        }
    }

    /// Connections that are open.
    pub async fn open_links(&self) -> Vec<Arc<Link>> {
        let slots: Vec<_> = lock(&self.links).values().cloned().collect();
        let mut open = Vec::new();
        for slot in slots {
            open.extend(slot.lock().await.clone());
        }
        open
    }

    /// Whether it has, or is just opening, a connection of its own to an upstream.
    pub fn knows(&self, upstream: u64) -> bool {
        lock(&self.links).contains_key(&upstream)
    }

    /// Ends its connection to an upstream that no request uses any more.
    pub async fn forget(&self, upstream: u64) {
        let slot = lock(&self.links).remove(&upstream);
        if let Some(slot) = slot {
            end(&slot).await;
        }
    }

    /// Carries what a connection says on its own to the client's stream, until the session ends.
    fn listen(self: &Arc<Self>, upstream: u64, link: &Link) {
        let Some(mut incoming) = link.connection.incoming() else { return };
        let (session, connection) = (Arc::downgrade(self), link.connection.clone());
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            let carry = async {
                while let Some(message) = incoming.recv().await {
                    let Some(session) = session.upgrade() else { return };
                    if let Some(message) = session.from_upstream(upstream, &connection, message).await {
                        session.outbox.send(message).await;
                    }
                }
            };
            stop.run_until_cancelled(carry).await;
        });
    }

    /// Translates what an upstream says for the client: its requests get ids of the session's.
    pub async fn from_upstream(
        &self,
        upstream: u64,
        connection: &Connection,
        message: Message,
    ) -> Option<Message> {
        match message {
            Message::Request(request) => {
                let taken = lock(&self.asked).forward(upstream, &request, connection.clone());
                match taken {
                    Ok(sent) => {
                        let (method, params) = (request.method, sent.params);
                        Some(Message::Request(Request::new(sent.id, method, params)))
                    }
                    Err(error) => {
                        let error =
                            ErrorObject::new(mortise_mcp::envelope::code::SERVER_ERROR, error.to_string());
                        let _ = connection.respond(Response::err(Some(request.id), &error)).await;
                        None
                    }
                }
            }
            Message::Notification(notification) if notification.method == method::CANCELLED => {
                let params = lock(&self.asked).cancelled(&upstream, notification.params.as_ref()).ok()?.1;
                Some(Message::Notification(Notification::new(method::CANCELLED, Some(params))))
            }
            Message::Notification(notification) => Some(Message::Notification(notification)),
            Message::Response(_) => None,
        }
    }

    /// Carries the client's answer to the server that asked.
    pub async fn answer(&self, response: Response) {
        let Some(id) = &response.id else { return };
        let Some(pending) = lock(&self.asked).complete(id) else { return };
        let answer = Response { id: Some(pending.id), outcome: response.outcome };
        if let Err(error) = pending.value.respond(answer).await {
            tracing::debug!(%error, "an upstream did not take a client's answer");
        }
    }

    /// Carries a client's notification to the upstreams it uses.
    pub async fn notify(&self, notification: Notification) {
        match &*notification.method {
            method::INITIALIZED => {}
            method::CANCELLED => {
                let Ok(id) = mortise_mcp::bridge::cancelled_request(notification.params.as_ref()) else {
                    return;
                };
                if let Some(call) = lock(&self.under_way).get(&id) {
                    call.cancel();
                }
            }
            method::PROGRESS => {
                let known = lock(&self.asked)
                    .progress(notification.params.as_ref())
                    .map(|(pending, params)| (pending.value.clone(), params));
                if let Ok((connection, params)) = known {
                    let _ = connection.notify(method::PROGRESS, Some(&params)).await;
                }
            }
            other => {
                for link in self.open_links().await {
                    let _ = link.connection.notify(other, notification.params.as_ref()).await;
                }
            }
        }
    }

    /// Notes a request under way; the token is set when the client cancels it.
    pub fn begin(self: &Arc<Self>, id: RequestId) -> UnderWay {
        let token = self.stop.child_token();
        lock(&self.under_way).insert(id.clone(), token.clone());
        UnderWay { session: self.clone(), id, token }
    }

    /// Ends the session: requests under way are cancelled, its upstream connections closed.
    pub async fn close(&self) {
        self.stop.cancel();
        self.outbox.close();
        let slots: Vec<_> = lock(&self.links).drain().map(|(_, slot)| slot).collect();
        for slot in slots {
            end(&slot).await;
        }
        self.tasks.close();
    }
}

/// Ends a connection, unless a request still uses it, which then is the last to hold it.
async fn end(slot: &Slot) {
    if let Some(link) = slot.lock().await.take()
        && let Ok(link) = Arc::try_unwrap(link)
    {
        link.close().await;
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("version", &self.version)
            .field("owner", &self.owner)
            .finish_non_exhaustive()
    }
}

/// A request under way; forgotten when dropped.
#[derive(Debug)]
pub struct UnderWay {
    session: Arc<Session>,
    id: RequestId,
    /// Set when the client cancels the request or the session ends.
    pub token: CancellationToken,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        lock(&self.session.under_way).remove(&self.id);
        self.session.ended.notify_one();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // Every critical section is a single insertion, removal or look-up: a panic leaves no half-made state.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
