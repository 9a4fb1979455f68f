//! The history of the configuration, as the surface shows it.

use bytes::Bytes;
use http::Response;

use super::{answers::ok, asked::Asked};

/// Entries that are shown where nobody asks for another number, and the most there are.
const ENTRIES: (usize, usize) = (100, 1_000);

/// The newest entries first; `?limit=`, `?plugin=`.
pub(super) async fn list(asked: &Asked<'_>) -> Response<Bytes> {
    let reloader = match asked.reloader() {
        Ok(reloader) => reloader,
        Err(refused) => return *refused,
    };
    let limit = match asked.number("limit", ENTRIES.0, ENTRIES.1) {
        Ok(limit) => limit,
        Err(refused) => return *refused,
    };
    let plugin = asked.parameter("plugin");
    let all = reloader.history(if plugin.is_some() { ENTRIES.1 } else { limit }).await;
    let entries: Vec<_> = all
        .into_iter()
        .filter(|entry| plugin.as_deref().is_none_or(|name| entry.is_about(name)))
        .take(limit)
        .collect();
    ok(&entries)
}
