//! One HTTP/1.1 connection together with the future that moves its bytes.
//!
//! hyper wants that future spawned; here it stays beside the sender and is polled by whoever waits for
//! the answer. Everything that can make an answer ready happens inside that poll, so the answer itself is
//! polled with a waker that does nothing: waking the task that is already running would only run it twice.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, Connection, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;

use super::PoolConfig;
use crate::http::origin::Origin;
use crate::http::stream::{Stream, Transport};

/// An idle connection that was closed shows within a round trip. One that breaks later broke because the
/// peer died over the request, which then must not be repeated.
const STALE_WINDOW: Duration = Duration::from_secs(1);

/// Bytes of an answer's head; more is no MCP server.
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// Why an exchange over one connection broke.
pub(super) struct LinkError {
    pub(super) source: hyper::Error,
    pub(super) answer_began: bool,
    unsent: bool,
}

impl LinkError {
    /// Whether the connection had been closed while it was idle, so that the request may go out again.
    pub(super) fn was_stale(&self, sent_at: Instant) -> bool {
        self.unsent || (!self.answer_began && sent_at.elapsed() < STALE_WINDOW)
    }
}

/// Opens the byte stream that a connection is made of.
pub(crate) async fn connected(
    origin: &Origin,
    tls: Option<&Arc<ClientConfig>>,
    config: &PoolConfig,
) -> std::io::Result<Transport> {
    match config.unix_socket.as_deref() {
        #[cfg(unix)]
        Some(path) => Ok(Transport::Unix(tokio::net::UnixStream::connect(path).await?)),
        #[cfg(not(unix))]
        Some(_) => Err(std::io::ErrorKind::Unsupported.into()),
        None => {
            let tcp = match config.address {
                Some(address) => TcpStream::connect(address).await?,
                None => origin.dial().await?,
            };
            tcp.set_nodelay(true)?;
            if origin.is_secure() {
                let (Some(config), Some(name)) = (tls, origin.server_name()) else {
                    return Err(std::io::Error::other("no TLS settings for an https upstream"));
                };
                let connector = TlsConnector::from(Arc::clone(config));
                Ok(Transport::Tls(Box::new(connector.connect(name, tcp).await?)))
            } else {
                Ok(Transport::Tcp(tcp))
            }
        }
    }
}

pub(crate) struct Link {
    sender: SendRequest<Full<Bytes>>,
    driver: Connection<TokioIo<Stream>, Full<Bytes>>,
    ended: bool,
    heard: Arc<AtomicBool>,
}

impl Link {
    pub(super) async fn open(
        origin: &Origin,
        tls: Option<&Arc<ClientConfig>>,
        config: &PoolConfig,
    ) -> std::io::Result<Self> {
        let transport = connected(origin, tls, config).await?;
        let heard = Arc::new(AtomicBool::new(false));
        let io = TokioIo::new(Stream::new(transport, Arc::clone(&heard)));
        let mut builder = http1::Builder::new();
        builder.max_header_size(MAX_HEAD_BYTES);
        let (sender, driver) = builder.handshake(io).await.map_err(std::io::Error::other)?;
        Ok(Self { sender, driver, ended: false, heard })
    }

    /// Moves bytes until there is nothing to do; `cx` is woken when there is again.
    pub(super) fn drive(&mut self, cx: &mut Context<'_>) {
        // Errors reach the pending answer or body as well; here only the end matters.
        if !self.ended && Pin::new(&mut self.driver).poll(cx).is_ready() {
            self.ended = true;
        }
    }

    /// Sends a request and waits for the head of its answer.
    pub(super) async fn exchange(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, LinkError> {
        self.heard.store(false, Ordering::Relaxed);
        // Outside tokio's budget: with an idle waker, being put off by the budget would be forever.
        let mut answer = pin!(tokio::task::unconstrained(self.sender.try_send_request(request)));
        let answered = poll_fn(|cx| {
            if !self.ended && Pin::new(&mut self.driver).poll(cx).is_ready() {
                self.ended = true;
            }
            answer.as_mut().poll(&mut Context::from_waker(Waker::noop()))
        });
        answered.await.map_err(|mut failure| LinkError {
            unsent: failure.take_message().is_some(),
            answer_began: self.heard.load(Ordering::Relaxed),
            source: failure.into_error(),
        })
    }

    /// Whether the connection can still carry anything.
    pub(super) fn is_open(&self) -> bool {
        !self.ended && !self.sender.is_closed()
    }

    /// Whether the peer has kept the idle connection open and it waits for a request. Polls it once, so
    /// that a close which has arrived is seen.
    pub(super) fn is_reusable(&mut self) -> bool {
        self.drive(&mut Context::from_waker(Waker::noop()));
        self.is_open() && self.sender.is_ready()
    }
}

/// What a body yields at one look.
pub(super) fn poll_incoming(
    incoming: &mut Incoming,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<http_body::Frame<Bytes>, hyper::Error>>> {
    http_body::Body::poll_frame(Pin::new(incoming), cx)
}
