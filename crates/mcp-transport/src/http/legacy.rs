//! The network transport of 2024-11-05: a GET stream for what the server says, and a path, named by its
//! first event, to POST what the client says.
//!
//! All answers come on the one stream, so this is a pipe in all but name: a task turns it into a pair of
//! byte streams, and [`PipeConnection`] does the rest. Slower than streamable HTTP, and meant to be: what
//! still speaks it is old.

#[cfg(test)]
mod tests;

use std::time::Duration;

use bytes::Bytes;
use mortise_mcp::framing::end_line;
use mortise_mcp::sse::Event;
use thiserror::Error;
use tokio::io::{AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf};
use tokio::time::timeout;
use url::Url;

use super::client::{Endpoint, EndpointConfig, Session};
use super::error::HttpError;
use super::events::EventStream;
use super::origin::OriginError;
use super::piped;
use crate::chain::Chain;
use crate::stdio::connection::{PipeConfig, PipeConnection};
use crate::stdio::lines::{Line, LineReader};

/// Deadline for a POST to be taken; its answer comes on the stream.
const POST_TIMEOUT: Duration = Duration::from_secs(30);

/// Why a legacy stream could not be opened.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LegacyError {
    /// The address is none.
    #[error(transparent)]
    Origin(#[from] OriginError),
    /// The stream did not open.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The stream opened, but did not say in time where to post.
    #[error("the stream named no endpoint within {} ms", waited.as_millis())]
    NoEndpoint {
        /// How long was waited.
        waited: Duration,
    },
    /// The endpoint lies on another host, where requests and their credentials must not go.
    #[error("the stream named an endpoint of another origin")]
    ForeignEndpoint,
}

/// Opens the stream at the configured URL and waits up to `patience` for its endpoint.
///
/// # Errors
///
/// See [`LegacyError`].
pub async fn connect(
    name: &str,
    config: EndpointConfig,
    pipe: PipeConfig,
    patience: Duration,
) -> Result<PipeConnection, LegacyError> {
    let waiting = async {
        let session = Endpoint::new(config.clone())?.session(None, None);
        let mut stream = session.events(None).await?;
        let url = named_endpoint(&config.url, &mut stream).await?;
        Ok((stream, url))
    };
    let opened = timeout(patience, waiting).await;
    let (stream, url) = opened.unwrap_or(Err(LegacyError::NoEndpoint { waited: patience }))?;
    let posts = Endpoint::new(EndpointConfig { url, ..config })?.session(None, None);
    let limit = pipe.limits.max_bytes;
    Ok(piped::connection(name, pipe, |to| receive(stream, to), |from| post(posts, from, limit)))
}

async fn named_endpoint(base: &Url, stream: &mut EventStream) -> Result<Url, LegacyError> {
    while let Some(event) = stream.next().await {
        let event = event?;
        if event.event.as_deref() != Some("endpoint") {
            continue;
        }
        let text = String::from_utf8_lossy(&event.data);
        let url = base.join(text.trim()).map_err(|_| LegacyError::ForeignEndpoint)?;
        return if url.origin() == base.origin() { Ok(url) } else { Err(LegacyError::ForeignEndpoint) };
    }
    Err(LegacyError::NoEndpoint { waited: Duration::ZERO })
}

/// Writes the messages of the stream as lines, until either ends.
async fn receive(mut stream: EventStream, mut out: WriteHalf<DuplexStream>) {
    while let Some(event) = stream.next().await {
        let line = match event {
            Ok(event) if event.is_message() => line(&event),
            Ok(_) => continue,
            Err(error) => {
                tracing::debug!(error = %Chain(&error), "a legacy stream broke");
                break;
            }
        };
        if out.write_all(&line).await.is_err() {
            return;
        }
    }
    let _ = out.shutdown().await;
}

fn line(event: &Event) -> Vec<u8> {
    let mut line = event.data.to_vec();
    end_line(&mut line);
    line
}

/// Posts each line. Ends, and with it the conversation, when a post is refused: what it carried would
/// otherwise never be answered.
async fn post(session: Session, lines: ReadHalf<DuplexStream>, limit: usize) {
    let mut lines = LineReader::new(lines, limit);
    while let Ok(Some(Line::Whole(line))) = lines.next().await {
        if let Err(error) = deliver(&session, line).await {
            tracing::debug!(%error, "posting to a legacy endpoint");
            return;
        }
    }
}

async fn deliver(session: &Session, message: Bytes) -> Result<(), String> {
    let posted = timeout(POST_TIMEOUT, session.post(message, None)).await.map_err(|late| late.to_string())?;
    match posted {
        // Some servers answer 200 with a word of text instead of 202 with nothing.
        Ok(_) | Err(HttpError::ContentType { .. }) => Ok(()),
        Err(error) => Err(Chain(&error).to_string()),
    }
}
