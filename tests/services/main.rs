//! Built-in plugins that ask services or decide by policy, through the whole gateway.
//!
//! The services are the test kit's, which keep to the published contracts and fail on demand: what is shown is that the
//! gateway reaches them, that their verdicts come to what they should, and that nothing passes unjudged where they fail.

#![expect(clippy::unwrap_used, reason = "what a test takes for granted ends it")]

mod faults;
mod guardrail;
mod moderation;
mod policies;
mod secrets;
mod tokens;

use mortise_testkit::{mcp_server::scripted::Scripted, services::Service};
use mortise_tests::{Setup, Stand};
use serde_json::{Value, json};

/// An entry of a plugin of this kind, at both hooks of tools.
#[expect(clippy::needless_pass_by_value, reason = "values are written where they are given")]
fn entry(kind: &str, config: Value) -> Value {
    json!({
        "name": "guard",
        "kind": format!("builtin.{kind}"),
        "hooks": ["tool_pre_invoke", "tool_post_invoke"],
        "mode": "enforce",
        "config": config,
    })
}

/// A gateway before one upstream whose plugins may reach the service.
fn setup(upstream: &Scripted, service: &Service) -> Setup {
    let egress = json!({ "allow": [service.address().to_string()] });
    Setup::new().upstream("docs", upstream).set("egress", egress)
}

/// The same, started, with one plugin.
async fn stand(upstream: &Scripted, service: &Service, entry: Value) -> Stand {
    setup(upstream, service).entry(entry).start().await
}
