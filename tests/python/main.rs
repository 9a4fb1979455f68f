//! Plugins that are Python classes, through a whole gateway: what they do to calls, and what their trouble costs.

#![expect(clippy::unwrap_used, reason = "what a test takes for granted ends it")]

mod classes;
mod trouble;
mod upkeep;

use std::path::Path;

use mortise_testkit::mcp_server::scripted::Scripted;
use mortise_tests::Setup;
use serde_json::{Value, json};

/// Puts modules into the folder of a gateway.
fn write(folder: &Path, files: &[(&str, &str)]) {
    for (name, text) in files {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
}

/// An upstream whose tools answer what they are sent.
async fn upstream() -> Scripted {
    let upstream = Scripted::start().await.unwrap();
    upstream.set_tools(&["echo", "block", "raise", "hang", "crash", "spin", "slow", "exit"]);
    upstream
}

/// A gateway in front of it that looks for classes in `plugins`.
#[expect(clippy::needless_pass_by_value, reason = "values are written where they are given")]
fn setup(upstream: &Scripted, kind: &str, more: Value) -> Setup {
    let mut entry = json!({
        "name": "mine", "kind": kind, "hooks": ["tool_pre_invoke", "tool_post_invoke"], "mode": "enforce",
        "circuit_breaker_enabled": false,
    });
    for (key, value) in more.as_object().unwrap() {
        entry[key] = value.clone();
    }
    Setup::new().python().upstream("docs", upstream).set("plugin_dirs", json!(["plugins"])).entry(entry)
}
