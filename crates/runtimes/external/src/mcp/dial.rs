//! Connecting to a server: by URL, or by starting it.

use std::{path::Path, sync::Arc, time::Duration};

use http::{StatusCode, Uri};
use mortise_mcp::envelope::Limits;
use mortise_mcp_transport::{
    chain::Chain,
    http::{
        client::{Endpoint, EndpointConfig},
        error::HttpError,
        legacy::{self, LegacyError},
        websocket::{self, WebSocketError},
    },
    stdio::{
        child::{ChildConfig, ChildPipes, ChildProcess, ChildRole},
        connection::{PipeConfig, PipeConnection},
    },
    upstream::{
        Connection, Hello, HttpOptions, InitializeError, UpstreamError, connect_http, initialize_pipe,
    },
};
use mortise_plugin_api::PluginError;
use tokio::sync::{OnceCell, watch};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use url::Url;

use super::{
    Child, Failure,
    block::{HttpWay, StdioWay, Way},
    pool,
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
                let mut endpoint = self.endpoint(way).await?.clone();
                let options = HttpOptions { limits: self.limits(), ..HttpOptions::default() };
                let mut opened = connect_http(&endpoint, &self.hello, options.clone()).await;
                if let Some(url) = opened.as_ref().err().and_then(|error| moved(error, &way.url)) {
                    let config = EndpointConfig { url, ..self.config(way).await? };
                    endpoint = Endpoint::new(config).map_err(Failure::unavailable)?;
                    opened = connect_http(&endpoint, &self.hello, options).await;
                }
                let connection = Connection::Http(opened?.0);
                Ok(Dialled { connection, endpoint: Some(endpoint), child: None })
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
        config.pool = pool::config(self.in_flight, way.socket.clone(), |name| std::env::var(name).ok());
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
        let id = process.id();
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
        Ok((pipe, Child { id, stop, ended, _task: task }))
    }
}

/// Where a server says that it is to be found: a path with a slash more, mostly. Only on the same origin, as credentials
/// go there, and only where the message is to be sent as it was.
fn moved(error: &InitializeError, url: &Url) -> Option<Url> {
    let InitializeError::Upstream(UpstreamError::Http(HttpError::Status { status, location, .. })) = error
    else {
        return None;
    };
    let kept = matches!(*status, StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT);
    let there = url.join(location.as_ref().filter(|_| kept)?.to_str().ok()?).ok()?;
    (there.origin() == url.origin() && there != *url).then_some(there)
}

fn of_legacy(error: &LegacyError) -> Failure {
    match error {
        LegacyError::Http(http) => Failure::of_http(http).unopened(),
        LegacyError::NoEndpoint { .. } => Failure::Unreached(error.to_string()),
        _ => Failure::Refused(PluginError::InvalidAnswer(error.to_string())),
    }
}

fn of_websocket(error: &WebSocketError) -> Failure {
    Failure::Unreached(Chain(error).to_string())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use mortise_mcp_transport::http::origin::Origin;

    use super::*;

    #[test]
    fn a_redirect_is_followed_on_its_own_origin_and_where_the_message_is_kept() {
        let url = Url::parse("http://host:8000/mcp").unwrap();
        let there = |status: u16, location: &'static str| {
            let error = HttpError::Status {
                origin: Origin::of(&url).unwrap(),
                status: StatusCode::from_u16(status).unwrap(),
                retry_after: None,
                location: Some(HeaderValue::from_static(location)),
                body: bytes::Bytes::new(),
            };
            moved(&InitializeError::Upstream(error.into()), &url).map(String::from)
        };
        assert_eq!(there(307, "/mcp/").as_deref(), Some("http://host:8000/mcp/"));
        assert_eq!(there(308, "http://host:8000/new").as_deref(), Some("http://host:8000/new"));
        for (status, location) in
            [(302, "/mcp/"), (307, "http://other:8000/mcp"), (307, "https://host:8000/mcp"), (307, "/mcp")]
        {
            assert_eq!(there(status, location), None, "{status} {location}");
        }
    }
}
