//! MCP messages over a WebSocket: one message a frame, both ways.
//!
//! No revision of the protocol names this transport; servers and clients of the official SDKs have it all the same,
//! under the subprotocol `mcp`. As with the HTTP transport of 2024-11-05, a task turns the socket into a pair of byte
//! streams, and [`PipeConnection`] does the rest. The connection itself is made as all others to a URL are: same TLS
//! settings, same deadline for connecting, same headers.

#[cfg(test)]
mod tests;

use std::time::Duration;

use futures_util::{Sink, SinkExt, Stream, StreamExt};
use http::Uri;
use mortise_mcp::framing::end_line;
use thiserror::Error;
use tokio::io::{AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::ClientRequestBuilder;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error as SocketError, Message};

use super::client::EndpointConfig;
use super::origin::{Origin, OriginError};
use super::piped;
use super::pool::connected;
use super::stream;
use crate::stdio::connection::{PipeConfig, PipeConnection};
use crate::stdio::lines::{Line, LineReader};

/// The subprotocol under which MCP is spoken.
const SUBPROTOCOL: &str = "mcp";

/// Why a WebSocket could not be opened.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum WebSocketError {
    /// The address is none.
    #[error(transparent)]
    Origin(#[from] OriginError),
    /// No connection came about.
    #[error("connecting to {origin}")]
    Connect {
        /// Scheme, host and port.
        origin: Origin,
        /// What the system or the TLS layer said.
        #[source]
        source: std::io::Error,
    },
    /// The server did not take it for a WebSocket.
    #[error("opening a WebSocket at {origin}")]
    Handshake {
        /// Scheme, host and port.
        origin: Origin,
        /// What it said instead.
        #[source]
        source: Box<SocketError>,
    },
    /// It took too long.
    #[error("opening a WebSocket at {origin} took longer than {} ms", limit.as_millis())]
    Late {
        /// Scheme, host and port.
        origin: Origin,
        /// The deadline.
        limit: Duration,
    },
}

/// Opens a WebSocket at the configured URL, whose scheme is `http` or `https`, within `patience`.
///
/// # Errors
///
/// See [`WebSocketError`].
pub async fn connect(
    name: &str,
    config: EndpointConfig,
    pipe: PipeConfig,
    patience: Duration,
) -> Result<PipeConnection, WebSocketError> {
    let origin = Origin::of(&config.url)?;
    let limit = pipe.limits.max_bytes;
    let opening = async {
        let failed = |source| WebSocketError::Connect { origin: origin.clone(), source };
        let transport = connected(&origin, config.tls.as_ref(), &config.pool).await.map_err(failed)?;
        let io = stream::Stream::new(transport, std::sync::Arc::default());
        let bounds = WebSocketConfig::default().max_message_size(Some(limit)).max_frame_size(Some(limit));
        let opened = tokio_tungstenite::client_async_with_config(request(&config), io, Some(bounds)).await;
        let refused = |source| WebSocketError::Handshake { origin: origin.clone(), source: Box::new(source) };
        opened.map(|(socket, _)| socket).map_err(refused)
    };
    let late = |_| WebSocketError::Late { origin: origin.clone(), limit: patience };
    let socket = timeout(patience, opening).await.map_err(late)??;
    let (outgoing, incoming) = socket.split();
    Ok(piped::connection(name, pipe, |to| receive(incoming, to), |from| post(outgoing, from, limit)))
}

fn request(config: &EndpointConfig) -> ClientRequestBuilder {
    let secure = config.url.scheme() == "https";
    let rest = &config.url[url::Position::BeforeHost..url::Position::AfterQuery];
    let text = format!("{}://{rest}", if secure { "wss" } else { "ws" });
    // What was a URL with a host is a URI; should it not be, the handshake says so.
    let mut request = ClientRequestBuilder::new(text.parse::<Uri>().unwrap_or_default());
    for (name, value) in &config.headers {
        if let Ok(value) = value.to_str() {
            request = request.with_header(name.as_str(), value);
        }
    }
    request.with_sub_protocol(SUBPROTOCOL)
}

/// Writes the messages of the socket as lines, until either ends.
async fn receive(
    mut socket: impl Stream<Item = Result<Message, SocketError>> + Unpin,
    mut out: WriteHalf<DuplexStream>,
) {
    while let Some(message) = socket.next().await {
        let mut line = match message {
            Ok(Message::Text(text)) => text.as_bytes().to_vec(),
            Ok(Message::Binary(bytes)) => bytes.to_vec(),
            // Pings are answered by the socket.
            Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => continue,
            Ok(Message::Close(_)) => break,
            Err(error) => {
                tracing::debug!(%error, "a WebSocket broke");
                break;
            }
        };
        end_line(&mut line);
        if out.write_all(&line).await.is_err() {
            return;
        }
    }
    let _ = out.shutdown().await;
}

/// Sends each line as a message.
async fn post(
    mut socket: impl Sink<Message, Error = SocketError> + Unpin,
    lines: ReadHalf<DuplexStream>,
    limit: usize,
) {
    let mut lines = LineReader::new(lines, limit);
    while let Ok(Some(Line::Whole(line))) = lines.next().await {
        let Ok(text) = std::str::from_utf8(&line) else { continue };
        if let Err(error) = socket.send(Message::text(text)).await {
            tracing::debug!(%error, "sending over a WebSocket");
            return;
        }
    }
    let _ = socket.close().await;
}
