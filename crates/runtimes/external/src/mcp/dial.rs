//! Connecting to a server: by URL, or by starting it.

use std::{path::Path, sync::Arc, time::Duration};

use http::Uri;
use mortise_mcp::envelope::Limits;
use mortise_mcp_transport::{
    chain::Chain,
    http::{
        client::{Endpoint, EndpointConfig},
        legacy::{self, LegacyError},
        pool::PoolConfig,
        websocket::{self, WebSocketError},
    },
    stdio::{
        child::{ChildConfig, ChildPipes, ChildProcess, ChildRole},
        connection::{PipeConfig, PipeConnection},
    },
    upstream::{Connection, Hello, HttpOptions, connect_http, initialize_pipe},
};
use mortise_plugin_api::PluginError;
use tokio::sync::{OnceCell, watch};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use super::{
    Child, Failure,
    block::{HttpWay, StdioWay, Way},
    tls::Loaded,
};
use crate::Settings;

/// How long a child is given to end by itself, and again after it was asked to.
const GRACE: Duration = Duration::from_secs(2);

/// How long a stream may take to open.
const PATIENCE: Duration = Duration::from_secs(15);

/// Connects, again and again.
pub(super) struct Dial {
    name: Arc<str>,
    way: Way,
    hello: Hello,
    max_answer_bytes: usize,
    in_flight: usize,
    tls: Loaded,
    /// The connections to a URL, kept over sessions.
    endpoint: OnceCell<Endpoint>,
}

/// A server that answered.
pub(super) struct Dialled {
    pub(super) connection: Connection,
    pub(super) endpoint: Option<Endpoint>,
    pub(super) child: Option<Child>,
}

impl Dial {
    pub(super) fn new(name: &str, way: Way, settings: &Settings) -> Self {
        Self {
            name: name.into(),
            way,
            hello: Hello::new("mortise", env!("CARGO_PKG_VERSION")),
            max_answer_bytes: settings.max_answer_bytes,
            in_flight: settings.in_flight,
            tls: Loaded::default(),
            endpoint: OnceCell::new(),
        }
    }

    /// What is asked whether the server is well.
    pub(super) fn health_path(&self) -> Option<&Uri> {
        match &self.way {
            Way::Http(way) | Way::Sse(way) | Way::WebSocket(way) => way.health.as_ref(),
            Way::Stdio(_) => None,
        }
    }

    pub(super) async fn open(&self) -> Result<Dialled, Failure> {
        match &self.way {
            Way::Http(way) => {
                let endpoint = self.endpoint(way).await?;
                let options = HttpOptions { limits: self.limits(), ..HttpOptions::default() };
                let (connection, _) = connect_http(endpoint, &self.hello, options).await?;
                let connection = Connection::Http(connection);
                Ok(Dialled { connection, endpoint: Some(endpoint.clone()), child: None })
            }
            Way::Sse(way) => {
                let endpoint = self.endpoint(way).await?.clone();
                let config = self.config(way).await?;
                let opened = legacy::connect(&self.name, config, self.pipe(), PATIENCE).await;
                self.introduced(opened.map_err(|error| of_legacy(&error))?, Some(endpoint), None).await
            }
            Way::WebSocket(way) => {
                let endpoint = self.endpoint(way).await?.clone();
                let config = self.config(way).await?;
                let opened = websocket::connect(&self.name, config, self.pipe(), PATIENCE).await;
                self.introduced(opened.map_err(|error| of_websocket(&error))?, Some(endpoint), None).await
            }
            Way::Stdio(way) => {
                let (pipe, child) = self.start(way)?;
                self.introduced(pipe, None, Some(child)).await
            }
        }
    }

    /// A conversation over a pipe, begun.
    async fn introduced(
        &self,
        pipe: PipeConnection,
        endpoint: Option<Endpoint>,
        child: Option<Child>,
    ) -> Result<Dialled, Failure> {
        let introduced = initialize_pipe(&pipe, &self.hello).await;
        if let Err(error) = introduced {
            let failure = Failure::from(error);
            let Some(child) = child else { return Err(failure) };
            // How it ended says more than that its pipe did.
            let mut ended = child.ended.clone();
            let status =
                tokio::time::timeout(Duration::from_millis(500), ended.wait_for(Option::is_some)).await;
            return Err(match status {
                Ok(Ok(status)) => Failure::Unreached(format!(
                    "{} before it answered",
                    status.as_deref().unwrap_or("it ended")
                )),
                _ => failure,
            });
        }
        Ok(Dialled { connection: Connection::Pipe(pipe), endpoint, child })
    }

    fn limits(&self) -> Limits {
        Limits { max_bytes: self.max_answer_bytes, ..Limits::default() }
    }

    fn pipe(&self) -> PipeConfig {
        PipeConfig { limits: self.limits(), ..PipeConfig::default() }
    }

    async fn endpoint(&self, way: &HttpWay) -> Result<&Endpoint, Failure> {
        self.endpoint
            .get_or_try_init(async || {
                let config = self.config(way).await?;
                Endpoint::new(config).map_err(Failure::unavailable)
            })
            .await
    }

    async fn config(&self, way: &HttpWay) -> Result<EndpointConfig, Failure> {
        let mut config = EndpointConfig::new(way.url.clone());
        config.headers.clone_from(&way.headers);
        config.max_answer_bytes = self.max_answer_bytes;
        config.max_event_bytes = self.max_answer_bytes;
        config.statuses.clone_from(&way.statuses);
        config.pool = PoolConfig {
            // Some beside the calls, for telling the server that one was given up.
            max_connections: self.in_flight + 8,
            max_idle: self.in_flight.min(PoolConfig::default().max_idle),
            unix_socket: way.socket.clone(),
            ..PoolConfig::default()
        };
        if way.url.scheme() == "https" {
            let load = async || {
                let keys = way.tls.clone();
                // It reads files, among them the system's authorities.
                let loaded = tokio::task::spawn_blocking(move || keys.load()).await;
                let said = match loaded {
                    Ok(Ok(tls)) => return Ok(tls),
                    Ok(Err(error)) => Chain(&error).to_string(),
                    Err(error) => error.to_string(),
                };
                Err(Failure::Refused(PluginError::Unavailable(said)))
            };
            config.tls = Some(self.tls.get_or_try_init(load).await?.clone());
        }
        Ok(config)
    }

    /// Starts the server, and a task that waits for its end.
    fn start(&self, way: &StdioWay) -> Result<(PipeConnection, Child), Failure> {
        let config = ChildConfig {
            name: self.name.to_string(),
            program: way.program.clone(),
            args: way.args.clone(),
            env: way.env.clone(),
            cwd: way.cwd.clone(),
        };
        if let Some(missing) = way.cwd.as_deref().filter(|cwd| !cwd.is_dir()).map(Path::display) {
            return Err(Failure::unavailable(format!("its working folder `{missing}` is not there")));
        }
        let (mut process, pipes) = ChildProcess::spawn_as(ChildRole::Plugin, &config)?;
        let ChildPipes { stdin, stdout } = pipes;
        let pipe = PipeConnection::new(&self.name, stdout, stdin, self.pipe());
        let (tell, ended) = watch::channel(None);
        let stop = CancellationToken::new();
        let (stopped, conversation) = (stop.clone(), pipe.clone());
        let task = AbortOnDropHandle::new(tokio::spawn(async move {
            let status = tokio::select! {
                status = process.wait() => status,
                () = stopped.cancelled() => {
                    conversation.close();
                    return process.stop(GRACE).await;
                }
            };
            let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
            tell.send_replace(Some(format!("its server ended ({status})")));
            conversation.close();
        }));
        Ok((pipe, Child { stop, ended, _task: task }))
    }
}

fn of_legacy(error: &LegacyError) -> Failure {
    match error {
        LegacyError::Http(http) => match Failure::of_http(http) {
            Failure::Refused(PluginError::Unavailable(why)) => Failure::Unreached(why),
            other => other,
        },
        LegacyError::NoEndpoint { .. } => Failure::Unreached(error.to_string()),
        _ => Failure::Refused(PluginError::InvalidAnswer(error.to_string())),
    }
}

fn of_websocket(error: &WebSocketError) -> Failure {
    Failure::Unreached(Chain(error).to_string())
}
