//! MCP over HTTP, client side: connections, one endpoint's requests and answers, event streams.
//!
//! Not for what several messages mean together;
//! that is [`crate::upstream`].

pub mod client;
pub mod error;
pub mod events;
pub mod head;
pub mod legacy;
pub mod origin;
mod piped;
pub mod pool;
mod stream;
pub mod websocket;

use http::HeaderName;

/// Carries the session that the server opened.
pub const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
/// Carries the negotiated protocol version.
pub const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
/// Carries the last event seen, to resume a stream after it.
pub const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Media type of messages.
pub const JSON: &str = "application/json";
/// Media type of event streams.
pub const EVENT_STREAM: &str = "text/event-stream";

/// Whether a media type with optional parameters is `wanted` (lower case).
pub(crate) fn is_media_type(value: &[u8], wanted: &str) -> bool {
    let essence = value.split(|&byte| byte == b';').next().unwrap_or_default();
    essence.trim_ascii().eq_ignore_ascii_case(wanted.as_bytes())
}
