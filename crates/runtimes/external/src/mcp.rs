//! Plugin servers over MCP: the `mcp:` block of an entry.
//!
//! The protocol is the one of upstreams, and so is its client (`mortise-mcp-transport`): sessions, pipes, event
//! streams, cancelled requests. Here is what a plugin server is beyond that: which generation it speaks, told by its
//! tools, and that a session it has forgotten is opened anew. A server that says so has not looked at the call, which
//! is then sent again over the new session, once.

mod block;
mod dial;
mod pool;
mod tls;
mod wire;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use http::{StatusCode, Uri};
use mortise_framework::config::PluginEntry;
use mortise_mcp::{envelope::method, raw::Raw};
use mortise_mcp_transport::{
    chain::Chain,
    http::{client::Endpoint, error::HttpError, pool::PoolError},
    stdio::{child::SpawnError, connection::PipeError},
    upstream::{self, Connection, InitializeError, Outcome, UpstreamError},
};
use mortise_plugin_api::{BuildError, Fut, HookTable, PluginError};
use serde_json::{Map, Value};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use crate::{
    Settings,
    link::{Ask, Fault, Link, Remote, Survey, Told},
};
use dial::Dial;
use wire::{Dialect, Offer, ToolPage};

/// Longest wait for an answer that nobody else bounds.
const LONGEST_CALL: Duration = Duration::from_secs(3600);

/// Longest wait for an answer to what is asked of a server itself.
const ASKING: Duration = Duration::from_secs(30);

/// Most pages of a list of tools that are read.
const MOST_PAGES: usize = 50;

/// Makes the link that the block of an entry describes. Pure: connects nothing.
pub(crate) fn link(
    entry: &PluginEntry,
    block: &Map<String, Value>,
    settings: &Settings,
    hooks: &Arc<HookTable>,
) -> Result<Box<dyn Link>, BuildError> {
    let way = block::Way::of(entry, block)?;
    let target = way.target();
    let dialect = block::dialect(block)?;
    let dial = Dial::new(&entry.name, way, settings);
    Ok(Box::new(McpLink {
        dial,
        target,
        dialect,
        hooks: hooks.clone(),
        session: Mutex::new(None),
        opening: tokio::sync::Mutex::new(()),
    }))
}

/// A server that speaks MCP.
struct McpLink {
    dial: Dial,
    target: String,
    /// The generation that the entry asks for; else the newest that the server has.
    dialect: Option<Dialect>,
    hooks: Arc<HookTable>,
    session: Mutex<Option<Arc<Session>>>,
    /// Held while a session is opened in the place of one that the server has forgotten.
    opening: tokio::sync::Mutex<()>,
}

/// A conversation with a server.
struct Session {
    connection: Connection,
    offer: Offer,
    /// For looking at its health by a path.
    endpoint: Option<Endpoint>,
    child: Option<Child>,
}

/// A server that was started, and the task that waits for its end. Dropped, the server is killed.
struct Child {
    /// Its process.
    id: Option<u32>,
    /// Asks it to end.
    stop: CancellationToken,
    /// How it ended.
    ended: tokio::sync::watch::Receiver<Option<String>>,
    _task: AbortOnDropHandle<()>,
}

impl McpLink {
    fn current(&self) -> Option<Arc<Session>> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn replace(&self, session: Option<Arc<Session>>) -> Option<Arc<Session>> {
        std::mem::replace(&mut *self.session.lock().unwrap_or_else(PoisonError::into_inner), session)
    }

    /// A session that was opened and asked for its tools.
    async fn connect(&self) -> Result<Arc<Session>, Fault> {
        let dialled = self.dial.open().await?;
        let mut names = tools(&dialled.connection).await.map_err(Failure::fault)?;
        if let Some(dialect) = self.dialect {
            let other = |name: &String| {
                Dialect::ALL.iter().any(|other| *other != dialect && other.has(name, &self.hooks))
            };
            names.retain(|name| !other(name));
        }
        let offer = Offer::of(&names, &self.hooks)?;
        let dial::Dialled { connection, endpoint, child } = dialled;
        Ok(Arc::new(Session { connection, offer, endpoint, child }))
    }

    /// The session in the place of one that the server has forgotten: of all calls that find out, one opens it.
    async fn renewed(&self, gone: &Arc<Session>) -> Result<Arc<Session>, Fault> {
        let _turn = self.opening.lock().await;
        match self.current() {
            Some(now) if !Arc::ptr_eq(&now, gone) => Ok(now),
            _ => {
                let session = self.connect().await?;
                self.replace(Some(session.clone()));
                Ok(session)
            }
        }
    }

    async fn ask(&self, session: &Session, ask: Ask<'_>) -> Result<Told, Failure> {
        let dialect = session.offer.dialect;
        let params = dialect.params(ask).map_err(Failure::from)?;
        let result = call_tool(&session.connection, &params, LONGEST_CALL).await?;
        Ok(wire::told(&result, dialect.wire())?)
    }

    async fn surveyed(&self) -> Result<Survey, Fault> {
        let dialled = self.dial.open().await?;
        let names = tools(&dialled.connection).await.map_err(Failure::fault)?;
        let has = |dialect: &Dialect| names.iter().any(|name| dialect.has(name, &self.hooks));
        let dialects = Dialect::ALL.into_iter().filter(has).map(Dialect::word).collect();
        let plugins = match names.iter().any(|name| name == wire::GET_PLUGIN_CONFIGS) {
            true => {
                let told = call_tool(&dialled.connection, &wire::configs_params(), ASKING).await;
                wire::names(&told.map_err(Failure::fault)?)
            }
            false => Vec::new(),
        };
        let offer = Offer { dialect: Dialect::InvokeHook, hooks: None, tells_config: false };
        let dial::Dialled { connection, endpoint, child } = dialled;
        Self::leave(&Session { connection, offer, endpoint, child }).await;
        Ok(Survey { dialects, plugins })
    }

    async fn look(&self) -> Result<(), Fault> {
        let session = self.current().ok_or_else(not_connected)?;
        if let (Some(endpoint), Some(path)) = (&session.endpoint, self.dial.health_path()) {
            return probe(endpoint, path).await;
        }
        // Not every server knows `ping`; that it answers is what counts.
        match request(&session.connection, method::PING, None, ASKING).await {
            Ok(_) => Ok(()),
            Err(Failure::Refused(PluginError::Failed { code, .. })) if !code.is_empty() => Ok(()),
            Err(Failure::SessionGone) => self.renewed(&session).await.map(|_| ()),
            Err(failure) => Err(failure.fault()),
        }
    }

    async fn leave(session: &Session) {
        session.connection.close().await;
        if let Some(child) = &session.child {
            child.stop.cancel();
            // It is told how the child ended, or dropped by the task that has ended it.
            let _ = child.ended.clone().wait_for(Option::is_some).await;
        }
    }
}

impl Link for McpLink {
    fn target(&self) -> String {
        self.target.clone()
    }

    fn open<'a>(&'a self, plugin: &'a str) -> Fut<'a, Result<Remote, Fault>> {
        Box::pin(async move {
            if let Some(before) = self.replace(None)
                && before.child.is_some()
            {
                // Two copies of a server might fight over what it holds.
                Self::leave(&before).await;
            }
            let session = self.connect().await?;
            let entry = match session.offer.tells_config {
                true => {
                    let params = wire::config_params(plugin);
                    let result = call_tool(&session.connection, &params, ASKING).await;
                    let told = wire::config(&result.map_err(Failure::fault)?)?;
                    Some(told.ok_or_else(|| {
                        PluginError::InvalidAnswer(format!("its server knows no plugin `{plugin}`"))
                    })?)
                }
                false => None,
            };
            let hooks = session.offer.hooks.clone();
            self.replace(Some(session));
            Ok(Remote { entry, hooks })
        })
    }

    fn invoke<'a>(&'a self, ask: Ask<'a>) -> Fut<'a, Result<Told, Fault>> {
        Box::pin(async move {
            let session = self.current().ok_or_else(not_connected)?;
            match self.ask(&session, ask).await {
                Ok(told) => Ok(told),
                Err(Failure::SessionGone) => {
                    let session = self.renewed(&session).await?;
                    self.ask(&session, ask).await.map_err(Failure::fault)
                }
                Err(failure) => Err(failure.fault()),
            }
        })
    }

    fn survey(&self) -> Fut<'_, Result<Survey, Fault>> {
        Box::pin(self.surveyed())
    }

    fn health(&self) -> Fut<'_, Result<(), Fault>> {
        Box::pin(self.look())
    }

    fn lost(&self) -> Fut<'_, String> {
        Box::pin(async move {
            let Some(session) = self.current() else { return "it is not connected".to_owned() };
            let Connection::Pipe(pipe) = &session.connection else { return std::future::pending().await };
            let reason = pipe.ended().await.to_string();
            let Some(child) = &session.child else { return reason };
            // Its pipe may end a moment before it does.
            let mut ended = child.ended.clone();
            let status =
                tokio::time::timeout(Duration::from_millis(500), ended.wait_for(Option::is_some)).await;
            match status {
                Ok(Ok(status)) => status.clone().unwrap_or(reason),
                _ => reason,
            }
        })
    }

    fn process_id(&self) -> Option<u32> {
        let session = self.current()?;
        let child = session.child.as_ref()?;
        let running = child.ended.borrow().is_none();
        child.id.filter(|_| running)
    }

    fn close(&self) -> Fut<'_, ()> {
        Box::pin(async move {
            if let Some(session) = self.replace(None) {
                Self::leave(&session).await;
            }
        })
    }
}

/// Why a question came to nothing.
enum Failure {
    /// The server does not know the session any more.
    SessionGone,
    Unreached(String),
    Lost(String),
    Refused(PluginError),
}

impl Failure {
    fn fault(self) -> Fault {
        match self {
            Self::SessionGone => Fault::Unreached("its server forgets each session at once".to_owned()),
            Self::Unreached(why) => Fault::Unreached(why),
            Self::Lost(why) => Fault::Lost(why),
            Self::Refused(error) => Fault::Refused(error),
        }
    }

    fn unavailable(why: impl std::fmt::Display) -> Self {
        Self::Refused(PluginError::Unavailable(why.to_string()))
    }

    /// The same while a session is opened, when nobody has seen a call and a later attempt may succeed.
    fn unopened(self) -> Self {
        match self {
            Self::Lost(why)
            | Self::Refused(PluginError::Unavailable(why) | PluginError::Failed { message: why, .. }) => {
                Self::Unreached(why)
            }
            Self::Refused(PluginError::Timeout(after)) => {
                Self::Unreached(PluginError::Timeout(after).to_string())
            }
            other => other,
        }
    }

    fn of_http(error: &HttpError) -> Self {
        let said = Chain(error).to_string();
        match error {
            HttpError::SessionGone { .. } => Self::SessionGone,
            // How servers of other SDKs say it.
            HttpError::Status { status: StatusCode::BAD_REQUEST, body, .. } if names_session(body) => {
                Self::SessionGone
            }
            HttpError::Pool(PoolError::Connect { .. } | PoolError::ConnectTimeout { .. }) => {
                Self::Unreached(said)
            }
            HttpError::TooLarge { .. }
            | HttpError::ContentType { .. }
            | HttpError::ContentEncoding { .. } => Self::Refused(PluginError::InvalidAnswer(said)),
            HttpError::Pool(PoolError::Exhausted { .. }) => Self::unavailable(said),
            // It is there and does not do its work.
            _ => Self::Refused(PluginError::failed(said)),
        }
    }
}

/// Whether the start of an answer speaks of a session.
fn names_session(body: &[u8]) -> bool {
    String::from_utf8_lossy(&body[..body.len().min(1024)]).to_lowercase().contains("session")
}

impl From<PluginError> for Failure {
    fn from(error: PluginError) -> Self {
        Self::Refused(error)
    }
}

impl From<UpstreamError> for Failure {
    fn from(error: UpstreamError) -> Self {
        match &error {
            UpstreamError::Http(http) => Self::of_http(http),
            UpstreamError::Pipe(PipeError::TooLarge { .. }) => {
                Self::Refused(PluginError::InvalidAnswer(error.to_string()))
            }
            UpstreamError::Pipe(_) => Self::Lost(Chain(&error).to_string()),
            UpstreamError::Timeout { after, .. } => Self::Refused(PluginError::Timeout(*after)),
            _ => Self::Refused(PluginError::InvalidAnswer(Chain(&error).to_string())),
        }
    }
}

impl From<InitializeError> for Failure {
    fn from(error: InitializeError) -> Self {
        match error {
            InitializeError::Upstream(error) => Self::from(error).unopened(),
            other => Self::Refused(PluginError::InvalidAnswer(Chain(&other).to_string())),
        }
    }
}

impl From<SpawnError> for Failure {
    fn from(error: SpawnError) -> Self {
        Self::Unreached(Chain(&error).to_string())
    }
}

impl From<Failure> for Fault {
    fn from(failure: Failure) -> Self {
        failure.fault()
    }
}

fn not_connected() -> Fault {
    Fault::Unreached("its server is not connected".to_owned())
}

/// Asks a server, and gives its result.
async fn request(
    connection: &Connection,
    method: &str,
    params: Option<&Raw>,
    timeout: Duration,
) -> Result<Raw, Failure> {
    let call = upstream::Call { timeout, ..upstream::Call::new(method, params) };
    let outcome: Outcome = connection.request(call).await?.outcome().await?;
    outcome.map_err(|error| {
        let message = wire::quoted(&error.message().unwrap_or_default());
        if message.to_lowercase().contains("session") && message.to_lowercase().contains("terminated") {
            return Failure::SessionGone;
        }
        let code = error.code().map(|code| code.to_string()).unwrap_or_default();
        Failure::Refused(PluginError::Failed { message, code, details: Map::new() })
    })
}

async fn call_tool(connection: &Connection, params: &Raw, timeout: Duration) -> Result<Raw, Failure> {
    request(connection, method::TOOLS_CALL, Some(params), timeout).await
}

/// The names of a server's tools.
async fn tools(connection: &Connection) -> Result<Vec<String>, Failure> {
    let (mut names, mut cursor) = (Vec::new(), None::<String>);
    for _ in 0..MOST_PAGES {
        let params = cursor.as_ref().map(|cursor| serde_json::json!({ "cursor": cursor }));
        let params = params.and_then(|params| Raw::from_serialize(&params).ok());
        let result = request(connection, method::TOOLS_LIST, params.as_ref(), ASKING).await?;
        let page: ToolPage = serde_json::from_slice(result.as_bytes())
            .map_err(|error| PluginError::InvalidAnswer(format!("its list of tools: {error}")))?;
        names.extend(page.tools.into_iter().map(|tool| tool.name));
        match page.next.filter(|next| !next.is_empty()) {
            Some(next) => cursor = Some(next),
            None => break,
        }
    }
    Ok(names)
}

async fn probe(endpoint: &Endpoint, path: &Uri) -> Result<(), Fault> {
    match endpoint.probe(path).await {
        Ok(status) if status.is_success() => Ok(()),
        Ok(status) => {
            let why = format!("its health check answered with status {}", status.as_u16());
            Err(Fault::Refused(PluginError::Unavailable(why)))
        }
        Err(error) => Err(Failure::of_http(&error).fault()),
    }
}
