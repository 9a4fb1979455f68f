//! The Python framework, from its virtual environment: its interpreter, and its own client under measurement.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, bail};
use serde_json::{Value, json};

use super::{HOOK, PLUGIN, SIZE, Samples};

/// The interpreter that `make bench` sets up.
const INTERPRETER: &str = ".venv/cpex/bin/python";

/// Where the scripts and the plugin stand.
pub(super) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("python")
}

/// The interpreter that has the framework.
pub(super) fn command() -> Command {
    Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(INTERPRETER))
}

/// Lets the framework's own client ask the server that is reached by this block, for so long.
pub(super) fn manager(
    block: &(&'static str, Value),
    seconds: f64,
    folder: &Path,
    samples: &mut Samples,
) -> anyhow::Result<()> {
    let mut entry = json!({ "name": PLUGIN, "kind": "external", "hooks": [HOOK], "mode": "sequential" });
    entry[block.0] = block.1.clone();
    let file = folder.join("asking.yaml");
    // YAML takes JSON.
    std::fs::write(&file, json!({ "plugins": [entry], "plugin_dirs": [] }).to_string())?;
    let mut command = command();
    command.arg(self::folder().join("manager.py")).arg(&file).arg(seconds.to_string()).arg(SIZE.to_string());
    let output = command.output().context("the Python framework is missing: make setup-bench")?;
    let said = String::from_utf8_lossy(&output.stdout);
    let Some(line) = said.lines().find(|line| line.starts_with('{')) else {
        bail!("the Python client said nothing: {}", String::from_utf8_lossy(&output.stderr));
    };
    let told: Value = serde_json::from_str(line)?;
    let number =
        |name: &str| told[name].as_f64().with_context(|| format!("the Python client told no {name}"));
    let calls = number("calls")?;
    samples.medians.push(number("median")?);
    samples.late.push(number("p99")?);
    samples.calls += calls;
    samples.seconds += number("seconds")?;
    samples.cpu += Duration::from_secs_f64(number("cpu")? * calls / 1e6);
    Ok(())
}
