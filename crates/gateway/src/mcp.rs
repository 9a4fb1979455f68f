//! The MCP surface: streamable HTTP at `/mcp` and `/servers/{id}/mcp`, in front of all upstreams.
//!
//! A message is read once, as an envelope with raw parameters (`post`); requests are answered by `dispatch`, which
//! knows the methods that need merging, routing or hooks and passes every other one through. Clients may open
//! a session ([`session`]); those that do get upstream connections of their own, so that servers can ask them back.
//! Those that do not, and requests of the revision without sessions, share one connection per upstream.

pub mod session;

mod direct;
mod dispatch;
mod exchange;
mod forwarding;
mod interim;
mod listing;
mod permission;
mod post;
mod prompts;
mod resources;
mod stream;
mod tools;

use std::{sync::Arc, time::Duration};

use mortise_mcp::{
    envelope::{ErrorObject, RpcError, code},
    initialize::implementation,
    raw::Raw,
    stateless::Stamp,
};
use mortise_plugin_api::Request;
use tokio_util::task::TaskTracker;

use crate::{metrics::GatewayMetrics, snapshot::Snapshots, trace::Calls, upstreams::Upstreams};
use session::Sessions;

pub(crate) use dispatch::Verdict;
pub use post::Post;

/// Limits of the surface.
#[derive(Clone, Debug)]
pub struct SurfaceConfig {
    /// Longest time a client may take to send a body.
    pub body_timeout: Duration,
    /// Messages that wait for a slow client of an event stream; then its upstream waits.
    pub stream_queue: usize,
    /// Sessions at a time.
    pub max_sessions: usize,
    /// A session nobody used for this long ends.
    pub session_idle: Duration,
    /// How long a request waits for an upstream that is just being connected.
    pub connect_patience: Duration,
}

impl Default for SurfaceConfig {
    fn default() -> Self {
        Self {
            body_timeout: Duration::from_secs(60),
            stream_queue: 64,
            max_sessions: 10_000,
            session_idle: Duration::from_secs(30 * 60),
            connect_patience: Duration::from_secs(5),
        }
    }
}

/// The surface: what all requests share.
pub struct Surface {
    pub(crate) upstreams: Arc<Upstreams>,
    pub(crate) sessions: Sessions,
    pub(crate) config: SurfaceConfig,
    pub(crate) metrics: Arc<GatewayMetrics>,
    pub(crate) calls: Arc<Calls>,
    pub(crate) server_info: Raw,
    pub(crate) stamp: Stamp,
    /// Answers that go on as event streams.
    pub(crate) tasks: TaskTracker,
}

impl Surface {
    /// A surface over these upstreams.
    pub fn new(upstreams: Arc<Upstreams>, config: SurfaceConfig, metrics: Arc<GatewayMetrics>) -> Arc<Self> {
        let server_info = implementation("mortise", env!("CARGO_PKG_VERSION"));
        Arc::new(Self {
            sessions: Sessions::new(config.max_sessions, config.session_idle),
            upstreams,
            config,
            metrics,
            calls: Arc::default(),
            stamp: Stamp::new(server_info.clone()),
            server_info,
            tasks: TaskTracker::new(),
        })
    }

    /// Ends sessions nobody uses, for ever.
    pub async fn sweep(&self) {
        self.sessions.sweep().await;
    }

    /// Tells clients that listen of lists that have changed, for ever.
    pub async fn tell_changes(&self, snapshots: &Snapshots) {
        let mut changes = self.upstreams.changes();
        let mut told = snapshots.load().catalogs.clone();
        while changes.changed().await.is_ok() {
            let now = snapshots.load().catalogs.clone();
            self.sessions.tell_changes(&told, &now).await;
            told = now;
        }
    }

    /// Ends all sessions; answers under way may go on for `patience`.
    pub async fn stop(&self, patience: Duration) {
        self.tasks.close();
        let _ = tokio::time::timeout(patience, self.tasks.wait()).await;
        self.sessions.close_all().await;
    }
}

impl std::fmt::Debug for Surface {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Surface").field("upstreams", &self.upstreams).finish_non_exhaustive()
    }
}

/// What a client may see: where it came in and what it may use there.
#[derive(Clone, Debug)]
pub struct Audience {
    /// The virtual server, `None` at the root.
    pub server: Option<Arc<str>>,
    /// The request as plugins see it.
    pub request: Request,
}

fn rpc(error: &ErrorObject) -> RpcError {
    error.to_rpc_error()
}

fn invalid_params(reason: impl std::fmt::Display) -> RpcError {
    rpc(&ErrorObject::invalid_params(reason.to_string()))
}

fn server_error(reason: impl Into<String>) -> RpcError {
    rpc(&ErrorObject::new(code::SERVER_ERROR, reason))
}
