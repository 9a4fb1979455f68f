//! Opening the connection to a gRPC server, and telling when it has ended.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use hyper_util::rt::TokioIo;
use mortise_mcp_transport::{
    chain::Chain,
    tls::{LoadedClientTls, connect_h2},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpStream, UnixStream},
    sync::watch,
};
use tonic::transport::{Channel, Endpoint};

use super::block::{TlsKeys, Way};

/// How long opening a connection may take, TLS included.
const CONNECT: Duration = Duration::from_secs(5);

/// What may be under way of answers before their readers take it: of one call, and of all.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 8 << 20;

/// Connects, and gives what tells when the connection has ended; or says why it could not.
pub(super) async fn connect(way: Arc<Way>) -> Result<(Channel, watch::Receiver<bool>), String> {
    let tls = load(&way).await?;
    let authority = match &*way {
        Way::Tcp { host, port, .. } => format!("{host}:{port}"),
        Way::Unix(_) => "localhost".to_owned(),
    };
    let scheme = if tls.is_some() { "https" } else { "http" };
    let origin =
        format!("{scheme}://{authority}").parse().map_err(|error| format!("its address: {error}"))?;
    // TLS is this side's own business; to the channel the connection is plain.
    let endpoint = Endpoint::from_shared(format!("http://{authority}"));
    let endpoint = endpoint
        .map_err(|error| Chain(&error).to_string())?
        .origin(origin)
        .connect_timeout(CONNECT)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW);
    let (sender, gone) = watch::channel(false);
    let sender = Arc::new(sender);
    let connector = tower::service_fn(move |_: http::Uri| {
        let (way, tls, sender) = (way.clone(), tls.clone(), sender.clone());
        async move {
            let io = tokio::time::timeout(CONNECT, open(&way, tls)).await;
            let io = io.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
            Ok::<_, io::Error>(TokioIo::new(Watched { io, gone: sender }))
        }
    });
    let channel = endpoint.connect_with_connector(connector).await;
    Ok((channel.map_err(|error| Chain(&error).to_string())?, gone))
}

async fn load(way: &Way) -> Result<Option<LoadedClientTls>, String> {
    let Way::Tcp { tls, .. } = way else { return Ok(None) };
    let keys = tls.clone().or_else(|| TlsKeys::of_environment(|name| std::env::var(name).ok()));
    let Some(keys) = keys else { return Ok(None) };
    // The files are on a disk.
    let loaded = tokio::task::spawn_blocking(move || keys.settings().load()).await;
    match loaded {
        Ok(Ok(tls)) => Ok(Some(tls)),
        Ok(Err(error)) => Err(Chain(&error).to_string()),
        Err(_) => Err("reading the TLS files was broken off".to_owned()),
    }
}

async fn open(way: &Way, tls: Option<LoadedClientTls>) -> io::Result<Box<dyn Io>> {
    match way {
        Way::Unix(path) => Ok(Box::new(UnixStream::connect(path).await?)),
        Way::Tcp { host, port, .. } => {
            let stream = TcpStream::connect((host.trim_matches(['[', ']']), *port)).await?;
            stream.set_nodelay(true)?;
            match tls {
                Some(tls) => Ok(Box::new(connect_h2(&tls, host, stream).await?)),
                None => Ok(Box::new(stream)),
            }
        }
    }
}

/// A connection of any kind.
trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A connection that tells when it is let go, which is when it has ended.
struct Watched {
    io: Box<dyn Io>,
    gone: Arc<watch::Sender<bool>>,
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.gone.send_replace(true);
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}
