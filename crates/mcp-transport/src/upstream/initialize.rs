//! Opening a session: who we are, what version we agree on, what the server can do.

use std::time::Duration;

use ::http::HeaderValue;
use mortise_mcp::envelope::{RpcError, method};
use mortise_mcp::raw::{Raw, as_string};
use mortise_mcp::version::Version;
use thiserror::Error;

use super::{Call, Connection, HttpConnection, HttpOptions, Outcome, UpstreamError};
use crate::http::client::Endpoint;
use crate::stdio::connection::PipeConnection;

/// What is said of this side when a session is opened.
#[derive(Debug, Clone)]
pub struct Hello {
    /// The version asked for.
    pub version: Version,
    /// The client's capabilities, an object.
    pub capabilities: Raw,
    /// Name and version of the client, an object.
    pub client_info: Raw,
    /// Deadline for the server's answer. Default 30 s.
    pub timeout: Duration,
}

impl Hello {
    /// A client without capabilities that asks for the newest version with sessions.
    #[must_use]
    pub fn new(name: &str, version: &str) -> Self {
        let info = serde_json::json!({ "name": name, "version": version }).to_string();
        Self {
            version: Version::LATEST_WITH_INITIALIZE,
            capabilities: Raw::EMPTY_OBJECT,
            client_info: Raw::parse(info).unwrap_or(Raw::EMPTY_OBJECT),
            timeout: Duration::from_secs(30),
        }
    }

    fn params(&self) -> Raw {
        let mut text = format!(r#"{{"protocolVersion":"{}","capabilities":"#, self.version).into_bytes();
        text.extend_from_slice(self.capabilities.as_bytes());
        text.extend_from_slice(br#","clientInfo":"#);
        text.extend_from_slice(self.client_info.as_bytes());
        text.push(b'}');
        Raw::parse(text).unwrap_or(Raw::EMPTY_OBJECT)
    }
}

/// What the server said of itself.
#[derive(Debug, Clone)]
pub struct Initialized {
    /// The version both speak.
    pub version: Version,
    /// The server's capabilities.
    pub capabilities: Raw,
    /// Name and version of the server.
    pub server_info: Option<Raw>,
    /// How the server wants to be used, for models.
    pub instructions: Option<String>,
    /// The whole result.
    pub result: Raw,
}

/// Why a session could not be opened.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum InitializeError {
    /// The server could not be reached or did not answer.
    #[error("opening a session")]
    Upstream(#[from] UpstreamError),
    /// The server answered with an error.
    #[error("opening a session: the server refused it with code {code:?}")]
    Refused {
        /// The JSON-RPC code.
        code: Option<i64>,
        /// The whole error object.
        error: RpcError,
    },
    /// The server speaks no version that is spoken here.
    #[error(
        "opening a session: the server speaks protocol version `{offered}`, known are 2024-11-05 to 2025-11-25"
    )]
    Version {
        /// What it offered.
        offered: String,
    },
    /// The result is not what the protocol says.
    #[error("opening a session: the server's answer lacks `{member}`")]
    Malformed {
        /// The missing or malformed member.
        member: &'static str,
    },
}

/// Opens a session of an HTTP upstream.
///
/// # Errors
///
/// See [`InitializeError`].
pub async fn connect_http(
    endpoint: &Endpoint,
    hello: &Hello,
    options: HttpOptions,
) -> Result<(HttpConnection, Initialized), InitializeError> {
    let opening = Connection::Http(HttpConnection::new(endpoint.session(None, None), options.clone()));
    let params = hello.params();
    let exchange = opening.request(call(hello, &params)).await?;
    let session_id = exchange.session_id().cloned();
    let initialized = read(exchange.outcome().await?)?;
    let version = HeaderValue::from_static(initialized.version.as_str());
    let connection = HttpConnection::new(endpoint.session(session_id, Some(version)), options);
    Connection::Http(connection.clone()).notify(method::INITIALIZED, None).await?;
    Ok((connection, initialized))
}

/// Opens the session of a pipe.
///
/// # Errors
///
/// See [`InitializeError`].
pub async fn initialize_pipe(pipe: &PipeConnection, hello: &Hello) -> Result<Initialized, InitializeError> {
    let connection = Connection::Pipe(pipe.clone());
    let params = hello.params();
    let initialized = read(connection.request(call(hello, &params)).await?.outcome().await?)?;
    connection.notify(method::INITIALIZED, None).await?;
    Ok(initialized)
}

fn call<'a>(hello: &Hello, params: &'a Raw) -> Call<'a> {
    Call { timeout: hello.timeout, ..Call::new(method::INITIALIZE, Some(params)) }
}

fn read(outcome: Outcome) -> Result<Initialized, InitializeError> {
    let result = outcome.map_err(|error| InitializeError::Refused { code: error.code(), error })?;
    let malformed = |member| InitializeError::Malformed { member };
    let object = result.object().map_err(|_| malformed("result"))?;
    let member = |name| object.get(name).map_err(|_| malformed(name));
    let own = |value: mortise_mcp::raw::RawStr<'_>| Raw::parse(value.get().to_owned()).ok();
    let offered = member("protocolVersion")?.and_then(as_string).ok_or(malformed("protocolVersion"))?;
    let version = match offered.parse::<Version>() {
        Ok(version) if version.has_initialize() => version,
        _ => return Err(InitializeError::Version { offered: offered.chars().take(40).collect() }),
    };
    let capabilities = member("capabilities")?.and_then(own).unwrap_or(Raw::EMPTY_OBJECT);
    let server_info = member("serverInfo")?.and_then(own);
    let instructions = member("instructions")?.and_then(as_string).map(std::borrow::Cow::into_owned);
    Ok(Initialized { version, capabilities, server_info, instructions, result: result.clone() })
}
