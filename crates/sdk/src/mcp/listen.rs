//! What an HTTP server of plugins listens at: an address, with TLS or without, or a Unix socket.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use mortise_mcp_transport::{
    server::listen::{ListenConfig, serve},
    tls::{LoadedServerTls, ServerTls},
};
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::http::Site;
use crate::{
    server::ServeError,
    settings::{ClientCertificates, Settings, Tls},
    socket::Socket,
};

/// How far from the port of a server with TLS its health can be asked for without.
const PROBES: u16 = 1000;

/// Reads the files that TLS needs.
pub(crate) fn tls(tls: &Tls) -> Result<LoadedServerTls, ServeError> {
    let failed = |source| ServeError::Tls { transport: "HTTP", source };
    let client_ca = match tls.clients() {
        ClientCertificates::None => None,
        ClientCertificates::Required => tls.ca_bundle.clone(),
        ClientCertificates::Optional => {
            return Err(failed(
                "certificates of clients can be required or not asked for, not optional".into(),
            ));
        }
    };
    let files = tls.certfile.clone().zip(tls.keyfile.clone());
    let (cert, key) = files.ok_or_else(|| failed("`certfile` or `keyfile` is not named".into()))?;
    ServerTls { cert, key, client_ca }.load().map_err(|error| failed(Box::new(error)))
}

/// The listener for those who ask whether a server with TLS is well and have no certificate. It is missed where the port
/// is taken, and nothing else is.
pub(crate) async fn probes(address: SocketAddr) -> Option<TcpListener> {
    let port = address.port().checked_add(PROBES)?;
    match TcpListener::bind((address.ip(), port)).await {
        Ok(listener) => Some(listener),
        Err(error) => {
            tracing::warn!(port, %error, "health cannot be asked for without TLS");
            None
        }
    }
}

/// Serves an address until `stop` is set and what is under way has ended.
pub(crate) async fn tcp(
    site: Arc<Site>,
    listener: TcpListener,
    probes: Option<TcpListener>,
    tls: Option<LoadedServerTls>,
    settings: Settings,
    stop: CancellationToken,
) {
    let config = ListenConfig {
        tls,
        max_connections: settings.max_connections,
        drain: settings.drain,
        ..ListenConfig::default()
    };
    let asked = site.clone();
    let main = serve(listener, config, stop.clone(), move |request, _| {
        let site = asked.clone();
        async move { site.answer(request).await }
    });
    let Some(probes) = probes else { return main.await };
    let config = ListenConfig { max_connections: 16, drain: settings.drain, ..ListenConfig::default() };
    let beside = serve(probes, config, stop, move |request, _| {
        let site = site.clone();
        async move { site.about(request.method(), request.uri().path()).await }
    });
    tokio::join!(main, beside);
}

/// Serves a Unix socket until `stop` is set and what is under way has ended.
pub(crate) async fn unix(site: Arc<Site>, socket: Socket, settings: Settings, stop: CancellationToken) {
    let room = Arc::new(tokio::sync::Semaphore::new(settings.max_connections.max(1)));
    let (tasks, kill) = (TaskTracker::new(), CancellationToken::new());
    let accepting = async {
        loop {
            let Ok(permit) = room.clone().acquire_owned().await else { return };
            let Ok((stream, _)) = socket.listener.accept().await else {
                tokio::time::sleep(Duration::from_millis(200)).await;
                continue;
            };
            let (site, stop, kill) = (site.clone(), stop.clone(), kill.clone());
            tasks.spawn(async move {
                let _permit = permit;
                let service = service_fn(move |request| {
                    let site = site.clone();
                    async move { Ok::<_, Infallible>(site.answer(request).await) }
                });
                let mut builder = http1::Builder::new();
                builder.timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(75));
                let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
                tokio::select! {
                    _ended = connection.as_mut() => return,
                    () = stop.cancelled() => connection.as_mut().graceful_shutdown(),
                }
                kill.run_until_cancelled(connection).await;
            });
        }
    };
    stop.run_until_cancelled(accepting).await;
    drop(socket);
    tasks.close();
    if tokio::time::timeout(settings.drain, tasks.wait()).await.is_err() {
        kill.cancel();
        tasks.wait().await;
    }
}
