//! Over gRPC, under the package of today and that of the first release, with the health service that probes know.
//!
//! Messages are the same under both names, and so are those of the standard health service; only the path of a method
//! differs. So one service answers, and paths are translated before it is asked.

use std::{
    convert::Infallible,
    future::Future,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::{Stream, stream};
use http::{Request as HttpRequest, Response as HttpResponse, Uri};
use mortise_proto::contextforge::cpex::{
    GetPluginConfigRequest, GetPluginConfigResponse, GetPluginConfigsRequest, GetPluginConfigsResponse,
    HealthCheckRequest, HealthCheckResponse, InvokeHookRequest, InvokeHookResponse,
    health_check_response::ServingStatus,
    health_server::{Health, HealthServer},
    plugin_service_server::{PluginService, PluginServiceServer},
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::{
    Request, Response, Status,
    body::Body,
    transport::{Certificate, Identity, Server, ServerTlsConfig, server::Connected},
};

use crate::{
    Plugins, protobuf,
    settings::{ClientCertificates, Settings, Tls},
    socket::Socket,
};

/// Calls at a time on one connection.
const STREAMS: u32 = 256;

/// Paths under other names, and what they are here.
const PATHS: [(&str, &str); 5] = [
    ("/mcpgateway.plugins.PluginService/InvokeHook", "/cpex.PluginService/InvokeHook"),
    ("/mcpgateway.plugins.PluginService/GetPluginConfig", "/cpex.PluginService/GetPluginConfig"),
    ("/mcpgateway.plugins.PluginService/GetPluginConfigs", "/cpex.PluginService/GetPluginConfigs"),
    ("/mcpgateway.plugins.Health/Check", "/cpex.Health/Check"),
    ("/grpc.health.v1.Health/Check", "/cpex.Health/Check"),
];

/// Why a gRPC server did not start.
pub(crate) type Failed = tonic::transport::Error;

/// Where it listens.
pub(crate) enum Listening {
    Tcp(TcpListener),
    Unix(Socket),
}

/// What a certificate, a key or an authority is read from.
pub(crate) fn tls(tls: &Tls) -> io::Result<ServerTlsConfig> {
    let read = |path: &Option<std::path::PathBuf>| match path {
        Some(path) => std::fs::read(path)
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display()))),
        None => Err(io::Error::other("a file is not named")),
    };
    let identity = Identity::from_pem(read(&tls.certfile)?, read(&tls.keyfile)?);
    let config = ServerTlsConfig::new().identity(identity).timeout(std::time::Duration::from_secs(10));
    Ok(match tls.clients() {
        ClientCertificates::None => config,
        wanted => config
            .client_ca_root(Certificate::from_pem(read(&tls.ca_bundle)?))
            .client_auth_optional(wanted == ClientCertificates::Optional),
    })
}

/// Serves until `stop` is set; then calls under way have the drain to end.
pub(crate) async fn serve(
    plugins: Arc<Plugins>,
    listening: Listening,
    tls: Option<ServerTlsConfig>,
    settings: &Settings,
    stop: CancellationToken,
) -> Result<(), Failed> {
    let mut server = Server::builder()
        .max_concurrent_streams(STREAMS)
        .http2_max_pending_accept_reset_streams(Some(64))
        .http2_keepalive_interval(Some(std::time::Duration::from_secs(60)));
    if let Some(tls) = tls {
        server = server.tls_config(tls)?;
    }
    let dispatch = Dispatch::new(plugins, settings.max_message_bytes);
    let stopped = stop.clone().cancelled_owned();
    let serving = async {
        match listening {
            Listening::Tcp(listener) => {
                let accepted = connections(listener, |listener| {
                    Box::pin(async move {
                        let (stream, _) = listener.accept().await?;
                        stream.set_nodelay(true)?;
                        Ok(stream)
                    })
                });
                server.serve_with_incoming_shutdown(dispatch, accepted, stopped).await
            }
            Listening::Unix(socket) => {
                let accepted = connections(socket, |socket| {
                    Box::pin(async move { Ok(socket.listener.accept().await?.0) })
                });
                server.serve_with_incoming_shutdown(dispatch, accepted, stopped).await
            }
        }
    };
    let drained = async {
        stop.cancelled().await;
        tokio::time::sleep(settings.drain).await;
    };
    tokio::select! {
        served = serving => served,
        () = drained => {
            tracing::warn!("calls were still under way at the end of the drain");
            Ok(())
        }
    }
}

type Accepting<'a, C> = Pin<Box<dyn Future<Output = io::Result<C>> + Send + 'a>>;

/// Connections as they come.
fn connections<L: Send + Sync + 'static, C: Connected + Send + 'static>(
    listener: L,
    accept: impl for<'a> Fn(&'a L) -> Accepting<'a, C> + Send + Sync + 'static,
) -> impl Stream<Item = io::Result<C>> {
    stream::unfold((listener, accept), |(listener, accept)| async move {
        loop {
            match accept(&listener).await {
                Ok(connection) => return Some((Ok(connection), (listener, accept))),
                Err(error) => {
                    // Out of files or memory: trying again at once would only burn the processor.
                    tracing::error!(%error, "accepting a connection");
                    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
                }
            }
        }
    })
}

/// The services, by path.
#[derive(Clone)]
struct Dispatch {
    plugins: PluginServiceServer<Service>,
    health: HealthServer<Service>,
}

impl Dispatch {
    fn new(plugins: Arc<Plugins>, max_bytes: usize) -> Self {
        let service = Service(plugins);
        Self {
            plugins: PluginServiceServer::new(service.clone())
                .max_decoding_message_size(max_bytes)
                .max_encoding_message_size(max_bytes),
            health: HealthServer::new(service),
        }
    }
}

impl tower_service::Service<HttpRequest<Body>> for Dispatch {
    type Response = HttpResponse<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: HttpRequest<Body>) -> Self::Future {
        let path = request.uri().path();
        if let Some((_, own)) = PATHS.iter().find(|(other, _)| *other == path) {
            *request.uri_mut() = Uri::from_static(own);
        }
        if request.uri().path().starts_with("/cpex.Health/") {
            return self.health.call(request);
        }
        // It says of every other path that it is not there.
        self.plugins.call(request)
    }
}

#[derive(Clone)]
struct Service(Arc<Plugins>);

#[tonic::async_trait]
impl PluginService for Service {
    async fn get_plugin_config(
        &self,
        request: Request<GetPluginConfigRequest>,
    ) -> Result<Response<GetPluginConfigResponse>, Status> {
        Ok(Response::new(protobuf::config(&self.0, &request.into_inner().name)))
    }

    async fn get_plugin_configs(
        &self,
        _: Request<GetPluginConfigsRequest>,
    ) -> Result<Response<GetPluginConfigsResponse>, Status> {
        Ok(Response::new(protobuf::configs(&self.0)))
    }

    async fn invoke_hook(
        &self,
        request: Request<InvokeHookRequest>,
    ) -> Result<Response<InvokeHookResponse>, Status> {
        Ok(Response::new(protobuf::invoke(&self.0, request.into_inner()).await))
    }
}

#[tonic::async_trait]
impl Health for Service {
    async fn check(&self, _: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        let status = match self.0.health().await {
            Ok(()) => ServingStatus::Serving,
            Err((plugin, error)) => {
                tracing::warn!(plugin = &*plugin, %error, "plugin is unwell");
                ServingStatus::NotServing
            }
        };
        Ok(Response::new(HealthCheckResponse { status: status.into() }))
    }
}
