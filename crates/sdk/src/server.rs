//! A plugin server: the plugins of a program behind one transport.

use std::{io, net::SocketAddr, path::Path, sync::Arc};

use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::{
    Plugins,
    settings::{Bind, Settings, Transport},
};

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The address cannot be listened at.
    #[error("cannot listen at {address}")]
    Listen {
        /// Where it should listen.
        address: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Certificates or keys cannot be used.
    #[error("cannot use the TLS settings of the {transport} server")]
    Tls {
        /// The server.
        transport: &'static str,
        /// What is wrong.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// This build does not speak the transport.
    #[error("this build has no {0} server: it was built without that feature")]
    NotBuilt(&'static str),
}

/// A server that runs. Dropping it ends it at once.
#[derive(Debug)]
pub struct Running {
    address: String,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    /// Where clients reach it: `http://127.0.0.1:8000/mcp`, `grpc://127.0.0.1:50051`, `unix:/run/plugins.sock`, `stdio`.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// What ends it once it is set: calls under way have the drain to end.
    #[must_use]
    pub fn stopper(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Waits until it has ended: because it was stopped, or because its client went (`stdio`).
    pub async fn ended(&mut self) {
        // A panic has been logged by then.
        let _ended = (&mut self.task).await;
    }

    /// Takes no more calls, lets those under way end, and returns.
    pub async fn stop(mut self) {
        self.stop.cancel();
        self.ended().await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Begins to serve `plugins` over `transport`.
///
/// # Errors
/// When it cannot listen, or TLS settings cannot be used.
pub async fn serve(
    plugins: Arc<Plugins>,
    transport: Transport,
    settings: &Settings,
) -> Result<Running, ServeError> {
    let stop = CancellationToken::new();
    let (address, task) = match transport {
        #[cfg(feature = "mcp")]
        Transport::Stdio => stdio(plugins, settings, stop.clone()),
        #[cfg(feature = "mcp")]
        Transport::Http => http(plugins, settings, stop.clone()).await?,
        #[cfg(feature = "grpc")]
        Transport::Grpc => grpc(plugins, settings, stop.clone()).await?,
        #[cfg(feature = "unix")]
        Transport::Unix => unix(plugins, settings, stop.clone())?,
        #[cfg(not(all(feature = "mcp", feature = "grpc", feature = "unix")))]
        other => {
            let word = match other {
                Transport::Stdio => "stdio",
                Transport::Http => "http",
                Transport::Grpc => "grpc",
                Transport::Unix => "unix",
            };
            return Err(ServeError::NotBuilt(word));
        }
    };
    Ok(Running { address, stop, task })
}

type Begun = (String, JoinHandle<()>);

async fn listen(bind: &Bind) -> Result<(TcpListener, SocketAddr), ServeError> {
    let address = (bind.host.trim_matches(['[', ']']), bind.port);
    let bound = async {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    };
    let told = || format!("{}:{}", bind.host, bind.port);
    let (listener, address) =
        bound.await.map_err(|source: io::Error| ServeError::Listen { address: told(), source })?;
    if !address.ip().is_loopback() && bind.tls.as_ref().is_none_or(|tls| tls.ca_bundle.is_none()) {
        tracing::warn!(%address, "anyone who can reach this address can call the plugins: it asks for no certificates");
    }
    Ok((listener, address))
}

#[cfg(any(feature = "mcp", feature = "grpc", feature = "unix"))]
fn socket(path: &Path) -> Result<crate::socket::Socket, ServeError> {
    let address = format!("unix:{}", path.display());
    crate::socket::Socket::bind(path).map_err(|source| ServeError::Listen { address, source })
}

#[cfg(feature = "mcp")]
fn stdio(plugins: Arc<Plugins>, settings: &Settings, stop: CancellationToken) -> Begun {
    use crate::mcp::{Service, stdio};
    let service = Arc::new(Service::new(plugins));
    let (pipes, drain) = ((tokio::io::stdin(), tokio::io::stdout()), settings.drain);
    let limits = (settings.max_message_bytes, crate::plugins::DEFAULT_CALLS);
    let task = tokio::spawn(stdio::serve(service, pipes, limits, drain, stop));
    ("stdio".to_owned(), task)
}

#[cfg(feature = "mcp")]
async fn http(
    plugins: Arc<Plugins>,
    settings: &Settings,
    stop: CancellationToken,
) -> Result<Begun, ServeError> {
    use crate::mcp::{Service, http::Site, listen};
    let bind = &settings.http;
    let mut site = Site {
        service: Arc::new(Service::new(plugins.clone())),
        plugins,
        max_bytes: settings.max_message_bytes,
        loopback: true,
        secure: bind.tls.is_some(),
        metrics: settings.metrics,
    };
    if let Some(path) = &bind.uds {
        let task = tokio::spawn(listen::unix(Arc::new(site), socket(path)?, settings.clone(), stop));
        return Ok((format!("unix:{}", path.display()), task));
    }
    let tls = bind.tls.as_ref().map(listen::tls).transpose()?;
    let (listener, address) = self::listen(bind).await?;
    site.loopback = address.ip().is_loopback();
    let scheme = if site.secure { "https" } else { "http" };
    let site = Arc::new(site);
    let probes = match &tls {
        Some(_) => listen::probes(address).await,
        None => None,
    };
    let task = tokio::spawn(listen::tcp(site, listener, probes, tls, settings.clone(), stop));
    Ok((format!("{scheme}://{address}/mcp"), task))
}

#[cfg(feature = "grpc")]
async fn grpc(
    plugins: Arc<Plugins>,
    settings: &Settings,
    stop: CancellationToken,
) -> Result<Begun, ServeError> {
    use crate::grpc::{Listening, serve, tls};
    let bind = &settings.grpc;
    let tls = bind.tls.as_ref().map(tls).transpose();
    let tls = tls.map_err(|error| ServeError::Tls { transport: "gRPC", source: error.into() })?;
    let (listening, address) = match &bind.uds {
        Some(path) => (Listening::Unix(socket(path)?), format!("unix:{}", path.display())),
        None => {
            let (listener, address) = listen(bind).await?;
            (Listening::Tcp(listener), format!("grpc://{address}"))
        }
    };
    let settings = settings.clone();
    let task = tokio::spawn(async move {
        if let Err(error) = serve(plugins, listening, tls, &settings, stop).await {
            tracing::error!(error = %mortise_mcp_transport::chain::Chain(&error), "the gRPC server ended");
        }
    });
    Ok((address, task))
}

#[cfg(feature = "unix")]
fn unix(plugins: Arc<Plugins>, settings: &Settings, stop: CancellationToken) -> Result<Begun, ServeError> {
    let (path, settings) = (&settings.unix_path, settings.clone());
    let (socket, address) = (socket(path)?, format!("unix:{}", path.display()));
    // Frames are never longer than this, whatever messages may be elsewhere.
    let max_bytes = settings.max_message_bytes.min(16 << 20);
    let task = tokio::spawn(async move {
        crate::unix::serve(plugins, socket, max_bytes, settings.max_connections, settings.drain, stop).await;
    });
    Ok((address, task))
}
