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
use mortise_mcp_transport::tls::{LoadedClientTls, Pair, connect_h2};
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

/// Where to connect to.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    Unix(PathBuf),
    /// `host:port`.
    Tcp(String),
}

/// How a connection to a server elsewhere is encrypted.
#[derive(Clone, Debug)]
pub(crate) struct Secured {
    pub(crate) tls: LoadedClientTls,
    /// The name that the server's certificate must be for.
    pub(crate) name: String,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkError {
    #[error("connecting to {0}")]
    Connect(String, #[source] io::Error),
    #[error("encrypting the connection to {0}")]
    Encrypt(String, #[source] io::Error),
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
    origin: Uri,
    closed: CancellationToken,
    _task: AbortOnDropHandle<()>,
}

impl Link {
    /// Connects to a process of ours.
    pub(crate) async fn open(target: &Target, pair: Option<&Pair>) -> Result<Self, LinkError> {
        let name = target.to_string();
        in_time(&name, async {
            match target {
                Target::Unix(path) => {
                    let connect = |error| LinkError::Connect(name.clone(), error);
                    Self::to_ours(UnixStream::connect(path).await.map_err(connect)?, pair, &name).await
                }
                Target::Tcp(address) => Self::to_ours(dial(address).await?, pair, &name).await,
            }
        })
        .await
    }

    /// Connects to a server elsewhere.
    pub(crate) async fn to_server(authority: &str, secured: Option<&Secured>) -> Result<Self, LinkError> {
        in_time(authority, async {
            let stream = dial(authority).await?;
            let Some(Secured { tls, name }) = secured else {
                return Self::over(stream, authority, origin("http", authority)).await;
            };
            let encrypt = |error| LinkError::Encrypt(authority.to_owned(), error);
            let stream = connect_h2(tls, name, stream).await.map_err(encrypt)?;
            Self::over(stream, authority, origin("https", authority)).await
        })
        .await
    }

    /// Speaks to a process of ours over a connection that is there.
    pub(crate) async fn through<S>(stream: S, pair: Option<&Pair>, name: &str) -> Result<Self, LinkError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        in_time(name, Self::to_ours(stream, pair, name)).await
    }

    async fn to_ours<S>(stream: S, pair: Option<&Pair>, name: &str) -> Result<Self, LinkError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        // The name means nothing to a plugin, but one must be there.
        let Some(pair) = pair else {
            return Self::over(stream, name, Uri::from_static("http://localhost")).await;
        };
        let encrypt = |error| LinkError::Encrypt(name.to_owned(), error);
        let stream = pair.connect(stream).await.map_err(encrypt)?;
        Self::over(stream, name, Uri::from_static("https://localhost")).await
    }

    async fn over<S>(stream: S, name: &str, origin: Uri) -> Result<Self, LinkError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
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
        let driver = Driver { origin, closed, _task: AbortOnDropHandle::new(task) };
        Ok(Self { sender, driver: Arc::new(driver) })
    }

    /// Told when the connection is gone.
    pub(crate) fn closed(&self) -> CancellationToken {
        self.driver.closed.clone()
    }

    /// What calls are addressed to.
    pub(crate) fn origin(&self) -> Uri {
        self.driver.origin.clone()
    }
}

async fn in_time(
    name: &str,
    opening: impl Future<Output = Result<Link, LinkError>>,
) -> Result<Link, LinkError> {
    let silent = |_| LinkError::Silent(name.to_owned(), PATIENCE.as_secs());
    timeout(PATIENCE, opening).await.map_err(silent)?
}

async fn dial(address: &str) -> Result<TcpStream, LinkError> {
    let connect = |error| LinkError::Connect(address.to_owned(), error);
    let stream = TcpStream::connect(address).await.map_err(connect)?;
    stream.set_nodelay(true).map_err(connect)?;
    Ok(stream)
}

/// What a server is called by those who look at that, such as proxies before it.
fn origin(scheme: &str, authority: &str) -> Uri {
    let uri = Uri::builder().scheme(scheme).authority(authority).path_and_query("/").build();
    uri.unwrap_or_else(|_| Uri::from_static("http://localhost"))
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
