//! Sessions: calls of the gateway that stay open until they are closed, or over.

use std::time::Duration;

use mortise_proto::tyk::plugin::{
    OpenSessionRequest, OpenSessionResponse, open_session_response::CloseReason,
};
use tokio::sync::watch;

/// How long one lasts where the gateway does not say.
const LASTS: Duration = Duration::from_secs(30);

/// Reasons by which a session is closed for good.
const FOR_GOOD: [&str; 4] = ["explicit_close", "shutdown", "unload", "plugin_unload"];

/// The sessions of a plugin.
#[derive(Default)]
pub(super) struct Sessions(watch::Sender<(u64, String)>);

impl Sessions {
    /// Waits for the end of a session that begins now.
    pub(super) async fn open(&self, request: &OpenSessionRequest) -> OpenSessionResponse {
        let mut closed = self.0.subscribe();
        closed.mark_unchanged();
        let lasts = u64::try_from(request.timeout_ms).ok().filter(|millis| *millis > 0);
        let lasts = lasts.map_or(LASTS, Duration::from_millis);
        let why = match tokio::time::timeout(lasts, closed.changed()).await {
            Err(_) => CloseReason::Timeout,
            Ok(_) if FOR_GOOD.contains(&closed.borrow().1.as_str()) => CloseReason::ExplicitClose,
            Ok(_) => CloseReason::PluginError,
        };
        OpenSessionResponse {
            success: true,
            session_id: format!("session-{}-{}", request.plugin_id, request.service_broker_id),
            close_reason: why.into(),
            ..OpenSessionResponse::default()
        }
    }

    /// Closes those that are open.
    pub(super) fn close(&self, reason: String) {
        self.0.send_modify(|closed| *closed = (closed.0 + 1, reason));
    }
}
