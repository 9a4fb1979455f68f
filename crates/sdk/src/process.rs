//! A plugin as a process of its gateway: HashiCorp's go-plugin, seen from the side that is started.
//!
//! The gateway starts the program, reads one line to learn where it listens, and calls it over gRPC from then on. What it
//! calls are moments of its own; here they become the hooks that the same plugin has within a gateway, and its answers
//! become theirs. Where one of their moments is several hooks here, each is its call; what plugins share of a request are
//! texts, since no others travel.
//!
//! A program serves one plugin, made of the configuration that the gateway gives it. Everything it may ask of its gateway
//! it asks through the usual [`Host`](crate::plugin_api::Host): values, events and the log.

mod answers;
mod calls;
mod config;
mod dispatch;
mod endpoints;
mod host;
mod manifest;
mod records;
mod service;
mod session;
mod way_back;

use std::{io, io::Write, path::PathBuf, sync::Arc, time::Duration};

use futures_util::{Stream, stream};
use mortise_plugin_api::{Plugin, PluginError};
use mortise_proto::tyk::{
    config_provider::config_provider_service_server::ConfigProviderServiceServer,
    grpc::health::v1::{
        HealthCheckRequest, HealthCheckResponse,
        health_check_response::ServingStatus,
        health_server::{Health, HealthServer},
    },
    plugin::{
        Empty,
        grpc_broker_server::GrpcBrokerServer,
        grpc_controller_server::{GrpcController, GrpcControllerServer},
        grpc_stdio_server::GrpcStdioServer,
        plugin_service_server::PluginServiceServer,
    },
};
use tokio::{
    net::UnixStream,
    signal::unix::{SignalKind, signal},
};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, transport::Server};

use crate::socket::Socket;

pub use config::Config;
pub use manifest::About;

/// What must stand in the environment for the program to be a plugin.
const COOKIE: (&str, &str) = ("AI_STUDIO_PLUGIN", "v1");

/// Where sockets are to be.
const SOCKET_DIR: &str = "PLUGIN_UNIX_SOCKET_DIR";

/// Largest message taken or sent, in bytes.
const MAX_MESSAGE: usize = 64 << 20;

/// How long calls under way may take once the process is to end.
const GRACE: Duration = Duration::from_secs(2);

/// Why a program does not serve.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProcessError {
    /// It was started by hand.
    #[error("{0} is a plugin: it is started by its gateway, by an entry of `kind: process`, not by hand")]
    ByHand(String),
    /// It cannot listen.
    #[error("listening at {}", path.display())]
    Listen {
        /// Where.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It cannot say where it listens, or take signals.
    #[error("speaking with the gateway that started it")]
    Speak(#[source] io::Error),
    /// The server ended.
    #[error("serving")]
    Serve(#[source] tonic::transport::Error),
}

type Make = dyn Fn(Config) -> Result<Arc<dyn Plugin>, PluginError> + Send + Sync;

/// A plugin to be served: what it says of itself, and how one is made of a configuration.
pub struct Program {
    about: About,
    make: Box<Make>,
}

impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Program").field("about", &self.about).finish_non_exhaustive()
    }
}

impl Program {
    /// A plugin that `make` makes of its configuration, once the gateway has told it.
    pub fn new(
        about: About,
        make: impl Fn(Config) -> Result<Arc<dyn Plugin>, PluginError> + Send + Sync + 'static,
    ) -> Self {
        Self { about, make: Box::new(make) }
    }

    /// Serves it until the gateway ends it, or SIGTERM does.
    ///
    /// # Errors
    /// Where no gateway has started the program, or it cannot serve.
    pub async fn serve(self) -> Result<(), ProcessError> {
        let variable = |name: &str| std::env::var(name).ok();
        if variable(COOKIE.0).as_deref() != Some(COOKIE.1) {
            return Err(ProcessError::ByHand(self.about.name));
        }
        let folder = variable(SOCKET_DIR).filter(|folder| !folder.is_empty());
        let folder = folder.map_or_else(std::env::temp_dir, PathBuf::from);
        let name = uuid::Uuid::new_v4().simple().to_string();
        let path = folder.join(format!("plugin{}", &name[..10]));
        let socket =
            Socket::bind(&path).map_err(|source| ProcessError::Listen { path: path.clone(), source })?;
        let mut terminate = signal(SignalKind::terminate()).map_err(ProcessError::Speak)?;
        // Whoever interrupts the gateway at a terminal interrupts its children too, which are the gateway's to end.
        let _ignored = signal(SignalKind::interrupt()).map_err(ProcessError::Speak)?;
        let line = format!("1|1|unix|{}|grpc|\n", path.display());
        let told = std::io::stdout().write_all(line.as_bytes()).and_then(|()| std::io::stdout().flush());
        told.map_err(ProcessError::Speak)?;
        let end = CancellationToken::new();
        let serving = self.serve_at(socket, end.clone());
        tokio::pin!(serving);
        tokio::select! {
            served = &mut serving => return served,
            _ = terminate.recv() => end.cancel(),
            () = end.cancelled() => {}
        }
        // Sessions and subscriptions stay open for as long as the gateway likes.
        tokio::time::timeout(GRACE, serving).await.unwrap_or(Ok(()))
    }

    /// Serves it at a socket until `end` is set.
    pub(crate) async fn serve_at(self, socket: Socket, end: CancellationToken) -> Result<(), ProcessError> {
        let way = Arc::new(way_back::WayBack::default());
        let about = Arc::new(self.about);
        let service = service::Service::new(about.clone(), self.make, &way);
        let dispatch = dispatch::Dispatch {
            health: HealthServer::new(Alive),
            broker: GrpcBrokerServer::new(way_back::Broker(way)),
            controller: GrpcControllerServer::new(Controller(end.clone())),
            stdio: GrpcStdioServer::new(way_back::Stdio),
            describer: ConfigProviderServiceServer::new(manifest::Describer(about)),
            plugin: PluginServiceServer::new(service)
                .max_decoding_message_size(MAX_MESSAGE)
                .max_encoding_message_size(MAX_MESSAGE),
        };
        Server::builder()
            .serve_with_incoming_shutdown(dispatch, accepted(socket), end.cancelled_owned())
            .await
            .map_err(ProcessError::Serve)
    }
}

/// Connections as they come.
fn accepted(socket: Socket) -> impl Stream<Item = io::Result<UnixStream>> {
    stream::unfold(socket, |socket| async move {
        loop {
            match socket.listener.accept().await {
                Ok((connection, _)) => return Some((Ok(connection), socket)),
                Err(error) => {
                    // Out of files or memory: trying again at once would only burn the processor.
                    tracing::error!(%error, "accepting a connection");
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            }
        }
    })
}

/// Whoever can ask is served.
struct Alive;

#[tonic::async_trait]
impl Health for Alive {
    async fn check(&self, _: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        Ok(Response::new(HealthCheckResponse { status: ServingStatus::Serving.into() }))
    }
}

/// The end, by order of the gateway.
struct Controller(CancellationToken);

#[tonic::async_trait]
impl GrpcController for Controller {
    async fn shutdown(&self, _: Request<Empty>) -> Result<Response<Empty>, Status> {
        self.0.cancel();
        Ok(Response::new(Empty {}))
    }
}

#[cfg(test)]
mod tests;
