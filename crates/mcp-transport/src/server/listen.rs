//! The accept loop: connections in, requests to a function, answers out, and an end that cuts nobody off
//! before a deadline.
//!
//! hyper's HTTP/1.1 connection is used directly; HTTP/2 is spoken where TLS negotiates it. Timers are kept off
//! the request path: one per connection closes it when it says nothing for too long, instead of one per
//! request head.

mod activity;

use std::convert::Infallible;
use std::error::Error as StdError;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::rt::{Read, Write};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use rustls_pki_types::CertificateDer;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::chain::Chain;
use crate::in_place;
use crate::workers::Workers;
use activity::{Activity, Tracked};

/// How long connections have to end once they are cut off; only code that computes without a pause needs any time.
const CUT: Duration = Duration::from_secs(2);

/// Limits and deadlines of a listener.
#[derive(Clone)]
pub struct ListenConfig {
    /// Encrypt with this; see [`crate::tls::ServerTls::load`].
    pub tls: Option<Arc<ServerConfig>>,
    /// Connections at once; further ones wait in the system's queue. Default 10,000.
    pub max_connections: usize,
    /// Deadline for TLS, and for the first request's head. Default 10 s.
    pub first_request_timeout: Duration,
    /// A connection without a request in progress for this long, up to twice of it, is closed. Default 75 s.
    pub idle_timeout: Duration,
    /// Bytes of a request's head. Default 64 KiB.
    pub max_head_bytes: usize,
    /// How long requests in progress may go on after shutdown began. Default 30 s.
    pub drain: Duration,
    /// What connections are spread over; without, they stay on the runtime that accepts them. Default none.
    pub workers: Option<Arc<Workers>>,
}

impl Default for ListenConfig {
    fn default() -> Self {
        Self {
            tls: None,
            max_connections: 10_000,
            first_request_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            max_head_bytes: 64 * 1024,
            drain: Duration::from_secs(30),
            workers: None,
        }
    }
}

impl std::fmt::Debug for ListenConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ListenConfig")
            .field("tls", &self.tls.is_some())
            .field("max_connections", &self.max_connections)
            .field("idle_timeout", &self.idle_timeout)
            .field("drain", &self.drain)
            .finish_non_exhaustive()
    }
}

/// Who is at the other end of a connection.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Its address; a proxy's where one stands between.
    pub address: SocketAddr,
    /// Whether the connection is encrypted.
    pub secure: bool,
    /// The certificate it showed, verified against the configured authority.
    pub certificate: Option<CertificateDer<'static>>,
}

/// Accepts connections and answers their requests with `service` until `stop` is set; then takes no more,
/// lets requests in progress end within the drain deadline, and returns. Dropping the future closes all
/// connections at once.
pub async fn serve<S, F, B>(listener: TcpListener, config: ListenConfig, stop: CancellationToken, service: S)
where
    S: Fn(Request<Incoming>, Arc<Peer>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes> + Unpin + Send + 'static,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    let room = Arc::new(Semaphore::new(config.max_connections.clamp(1, Semaphore::MAX_PERMITS)));
    let drain = config.drain;
    let shared = Arc::new(Shared {
        config,
        stop: stop.clone(),
        kill: CancellationToken::new(),
        tasks: TaskTracker::new(),
    });
    let _close_all = shared.kill.clone().drop_guard();
    let accepting = async {
        loop {
            let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
            let (socket, address) = accept(&listener).await;
            spawn(&shared, socket, address, service.clone(), permit);
        }
    };
    stop.run_until_cancelled(accepting).await;
    drop(listener);
    shared.tasks.close();
    if timeout(drain, shared.tasks.wait()).await.is_err() {
        tracing::warn!(left = shared.tasks.len(), "requests were still in progress at the end of the drain");
        // What a request leaves behind when it is cut off is begun as it is dropped, which is over on return.
        shared.kill.cancel();
        if timeout(CUT, shared.tasks.wait()).await.is_err() {
            tracing::error!(left = shared.tasks.len(), "connections did not end when they were cut off");
        }
    }
}

/// Runs a connection where it belongs.
fn spawn<S, F, B>(
    shared: &Arc<Shared>,
    socket: TcpStream,
    address: SocketAddr,
    service: S,
    permit: OwnedSemaphorePermit,
) where
    S: Fn(Request<Incoming>, Arc<Peer>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes> + Unpin + Send + 'static,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    let all = Arc::clone(shared);
    let Some(workers) = &shared.config.workers else {
        shared.tasks.spawn(connection(all, socket, address, service, permit));
        return;
    };
    // A socket belongs to the poller of the thread that made it; it moves to that of its worker.
    let socket = match socket.into_std() {
        Ok(socket) => socket,
        Err(error) => {
            tracing::error!(%error, "handing a connection to a worker");
            return;
        }
    };
    workers.spawn(&shared.tasks, async move {
        match TcpStream::from_std(socket) {
            Ok(socket) => connection(all, socket, address, service, permit).await,
            Err(error) => tracing::error!(%error, "taking a connection over"),
        }
    });
}

struct Shared {
    config: ListenConfig,
    stop: CancellationToken,
    /// Ends what is left after the drain.
    kill: CancellationToken,
    tasks: TaskTracker,
}

async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) if is_about_one_connection(&error) => {}
            Err(error) => {
                // Out of files or memory: trying again at once would only burn the processor.
                tracing::error!(%error, "accepting a connection");
                sleep(Duration::from_millis(200)).await;
            }
        }
    }
}

fn is_about_one_connection(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

async fn connection<S, F, B>(
    shared: Arc<Shared>,
    socket: TcpStream,
    address: SocketAddr,
    service: S,
    _permit: OwnedSemaphorePermit,
) where
    S: Fn(Request<Incoming>, Arc<Peer>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes> + Unpin + Send + 'static,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!(%error, "setting TCP_NODELAY");
    }
    let Some(tls) = shared.config.tls.clone() else {
        let peer = Arc::new(Peer { address, secure: false, certificate: None });
        return serve_http1(&shared, TokioIo::new(socket), peer, service).await;
    };
    let handshake = timeout(shared.config.first_request_timeout, TlsAcceptor::from(tls).accept(socket));
    let Some(Ok(Ok(stream))) = shared.stop.run_until_cancelled(handshake).await else { return };
    let session = stream.get_ref().1;
    let certificate =
        session.peer_certificates().and_then(<[_]>::first).cloned().map(CertificateDer::into_owned);
    let is_http2 = session.alpn_protocol() == Some(b"h2");
    let peer = Arc::new(Peer { address, secure: true, certificate });
    if is_http2 {
        serve_http2(&shared, TokioIo::new(stream), peer, service).await;
    } else {
        serve_http1(&shared, TokioIo::new(stream), peer, service).await;
    }
}

async fn serve_http1<I, S, F, B>(shared: &Shared, io: I, peer: Arc<Peer>, service: S)
where
    I: Read + Write + Unpin + Send + 'static,
    S: Fn(Request<Incoming>, Arc<Peer>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes> + Unpin + Send + 'static,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    let activity = Arc::new(Activity::default());
    let mut builder = http1::Builder::new();
    // One buffer for head and body, so that a small answer is one write. Not `pipeline_flush`, which does the same: with it
    // hyper takes all that a body gives and keeps it, however slowly its client reads.
    builder.writev(false).max_header_size(shared.config.max_head_bytes);
    let counted = Arc::clone(&activity);
    let connection = builder.serve_connection(
        io,
        service_fn(move |request| {
            let busy = Activity::begin(&counted);
            let answer = in_place::boxed(|| service(request, Arc::clone(&peer)));
            async move { Ok::<_, Infallible>(answer.await.map(|body| Tracked::new(body, busy))) }
        }),
    );
    run(shared, &activity, pin!(connection), http1::Connection::graceful_shutdown).await;
}

async fn serve_http2<I, S, F, B>(shared: &Shared, io: I, peer: Arc<Peer>, service: S)
where
    I: Read + Write + Unpin + Send + 'static,
    S: Fn(Request<Incoming>, Arc<Peer>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes> + Unpin + Send + 'static,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    let activity = Arc::new(Activity::default());
    let executor = Spawn { tasks: shared.tasks.clone(), kill: shared.kill.clone() };
    let mut builder = http2::Builder::new(executor);
    builder
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(shared.config.max_head_bytes).unwrap_or(u32::MAX))
        .keep_alive_interval(Duration::from_secs(30));
    let counted = Arc::clone(&activity);
    let connection = builder.serve_connection(
        io,
        service_fn(move |request| {
            let busy = Activity::begin(&counted);
            let answer = service(request, Arc::clone(&peer));
            async move { Ok::<_, Infallible>(answer.await.map(|body| Tracked::new(body, busy))) }
        }),
    );
    run(shared, &activity, pin!(connection), http2::Connection::graceful_shutdown).await;
}

/// Drives a connection until it ends, is idle for too long, or must end.
async fn run<C>(
    shared: &Shared,
    activity: &Activity,
    mut connection: Pin<&mut C>,
    shut_down: impl Fn(Pin<&mut C>),
) where
    C: Future<Output = hyper::Result<()>>,
{
    let mut seen = 0;
    let mut draining = false;
    let mut signal = pin!(shared.stop.clone().cancelled_owned());
    let mut idle = pin!(sleep_until(Instant::now() + shared.config.first_request_timeout));
    loop {
        tokio::select! {
            biased;
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(error = %Chain(&error), "a client's connection ended");
                }
                return;
            }
            () = signal.as_mut() => {
                if draining {
                    return;
                }
                draining = true;
                signal.set(shared.kill.clone().cancelled_owned());
                shut_down(connection.as_mut());
            }
            () = idle.as_mut() => {
                if activity.is_idle_since(&mut seen) {
                    return;
                }
                idle.as_mut().reset(Instant::now() + shared.config.idle_timeout);
            }
        }
    }
}

/// Runs the streams of HTTP/2 connections as tasks that end with the listener.
#[derive(Clone)]
struct Spawn {
    tasks: TaskTracker,
    kill: CancellationToken,
}

impl<F> hyper::rt::Executor<F> for Spawn
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, stream: F) {
        let kill = self.kill.clone();
        self.tasks.spawn(async move {
            kill.run_until_cancelled(stream).await;
        });
    }
}
