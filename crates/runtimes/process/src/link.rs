//! The connection to a plugin: gRPC over HTTP/2, many calls at once.
//!
//! hyper's connection and the generated clients, and nothing between: no queue, no reconnecting. A connection that is
//! gone is the end of a plugin's life, and who keeps the plugin decides what follows; here it is only told. Dropping a
//! call resets its stream, which cancels it at the plugin.

use std::{
    io,
    path::PathBuf,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::{Request, Response, Uri};
use hyper::{body::Incoming, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tonic::body::Body;

/// How much of one answer may wait here for who reads it, in bytes. All answers of a plugin come over one connection, whose
/// own window is without limit: otherwise a few clients that read slowly would hold up all others.
const STREAM_WINDOW: u32 = 128 << 10;
const CONNECTION_WINDOW: u32 = (1 << 31) - 1;

/// Longest time to come to a connection.
const PATIENCE: Duration = Duration::from_secs(10);

/// What calls are addressed to: the name means nothing to a plugin, but one must be there.
pub(crate) fn origin() -> Uri {
    Uri::from_static("http://localhost")
}

/// Where to connect to.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    Unix(PathBuf),
    /// `host:port`.
    Tcp(String),
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkError {
    #[error("connecting to {0}")]
    Connect(String, #[source] io::Error),
    #[error("connecting to {0}: no answer within {1} s")]
    Silent(String, u64),
    #[error("opening HTTP/2 to {0}")]
    Open(String, #[source] hyper::Error),
}

/// An open connection. The last copy dropped closes it.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    sender: http2::SendRequest<Body>,
    driver: Arc<Driver>,
}

#[derive(Debug)]
struct Driver {
    closed: CancellationToken,
    _task: AbortOnDropHandle<()>,
}

impl Link {
    /// Connects.
    pub(crate) async fn open(target: &Target) -> Result<Self, LinkError> {
        let name = target.to_string();
        let opening = async {
            let connect = |error| LinkError::Connect(name.clone(), error);
            match target {
                Target::Unix(path) => {
                    Self::over(UnixStream::connect(path).await.map_err(connect)?, &name).await
                }
                Target::Tcp(address) => {
                    let stream = TcpStream::connect(address.as_str()).await.map_err(connect)?;
                    stream.set_nodelay(true).map_err(connect)?;
                    Self::over(stream, &name).await
                }
            }
        };
        let silent = |_| LinkError::Silent(name.clone(), PATIENCE.as_secs());
        timeout(PATIENCE, opening).await.map_err(silent)?
    }

    async fn over(
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        name: &str,
    ) -> Result<Self, LinkError> {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder.initial_stream_window_size(STREAM_WINDOW).initial_connection_window_size(CONNECTION_WINDOW);
        let opened = builder.handshake(TokioIo::new(stream)).await;
        let (sender, connection) = opened.map_err(|error| LinkError::Open(name.to_owned(), error))?;
        let closed = CancellationToken::new();
        let ended = closed.clone().drop_guard();
        let task = tokio::spawn(async move {
            let _told_at_the_end = ended;
            // Why it ended, the calls on it are told.
            let _ = connection.await;
        });
        let driver = Driver { closed, _task: AbortOnDropHandle::new(task) };
        Ok(Self { sender, driver: Arc::new(driver) })
    }

    /// Told when the connection is gone.
    pub(crate) fn closed(&self) -> CancellationToken {
        self.driver.closed.clone()
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "{}", path.display()),
            Self::Tcp(address) => f.write_str(address),
        }
    }
}

impl tower_service::Service<Request<Body>> for Link {
    type Response = Response<Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = hyper::Result<Response<Incoming>>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<hyper::Result<()>> {
        self.sender.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(self.sender.send_request(request))
    }
}
