//! The session of a plugin: a call into it that stays open, so that it can use the way back in between.

use std::time::Duration;

use mortise_proto::tyk::plugin::{OpenSessionRequest, open_session_response::CloseReason};
use tokio::time::{Instant, sleep, sleep_until};

use super::Client;
use crate::{broker, status};

/// How long a session lasts before it is opened anew.
const LASTS_MS: i32 = 30_000;

/// Pause after an error.
const AFTER_ERROR: Duration = Duration::from_secs(5);

/// Sessions are not opened more often than this, whatever the plugin answers.
const AT_LEAST: Duration = Duration::from_secs(1);

/// Keeps a session open. Ends when the plugin closes it for good, or knows no sessions.
pub(super) async fn keep(mut client: Client, number: u32) {
    loop {
        let opened = Instant::now();
        let request = OpenSessionRequest {
            service_broker_id: broker::ID,
            plugin_id: number,
            timeout_ms: LASTS_MS,
            ..OpenSessionRequest::default()
        };
        match client.open_session(request).await {
            Ok(answer) => match answer.get_ref().close_reason() {
                CloseReason::ExplicitClose => return,
                CloseReason::PluginError => sleep(AFTER_ERROR).await,
                CloseReason::Timeout | CloseReason::Unknown => sleep_until(opened + AT_LEAST).await,
            },
            Err(status) if status::is_unknown_method(&status) => return,
            Err(_) => sleep(AFTER_ERROR).await,
        }
    }
}
