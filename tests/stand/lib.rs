//! The test stand: a gateway in front of fake upstreams, with plugins of the test's own, and a client.
//!
//! What the tests of the whole product share, and nothing a product would use: everything goes through public
//! interfaces and real HTTP over loopback, so a test can see only what an operator or a client can. Waiting is by
//! [`eventually`] on something that can be observed, never by sleeping for long enough.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test stand that does not stand fails the test at once"
)]

mod client;
pub mod collector;
mod given;
mod recorder;
mod results;
mod setup;

pub use client::{Client, HttpAnswer, UnderWay, text};
pub use recorder::{Recorder, Seen};
pub use results::prefixed_result;
pub use setup::{Setup, Stand};

use std::time::Duration;

/// Longest wait for anything that is to happen.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Asks `probe` until it gives something.
///
/// # Panics
/// After [`PATIENCE`], with `what` was waited for.
pub async fn eventually<T>(what: &str, mut probe: impl AsyncFnMut() -> Option<T>) -> T {
    let asking = async {
        loop {
            if let Some(found) = probe().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.unwrap_or_else(|_| panic!("waited in vain for {what}"))
}
