//! Where log lines go: standard error, as text or as JSON.

use std::io::IsTerminal;

use tracing_subscriber::{EnvFilter, filter::LevelFilter, fmt, prelude::*};

use crate::cli::LogFormat;

/// What holds where a filter lets `trace` through: the watcher of files tells of every event at that level, and an event is
/// also that this log was written, where it goes to a file in a folder that is watched.
const WITH_TRACE: &str = "notify=info";

/// What is logged when neither `MORTISE_LOG` nor `RUST_LOG` says.
const DEFAULT_FILTER: &str = "info";

/// Begins to log. Only the first call of a process has an effect.
pub(crate) fn start(format: LogFormat) -> Result<(), String> {
    start_with(format, DEFAULT_FILTER)
}

/// The same with another filter for when no variable says one.
pub(crate) fn start_with(format: LogFormat, default: &str) -> Result<(), String> {
    let variable = ["MORTISE_LOG", "RUST_LOG"].into_iter().find_map(|name| {
        let text = std::env::var(name).ok().filter(|text| !text.trim().is_empty())?;
        Some((name, text))
    });
    let filter = match variable {
        Some((name, text)) => EnvFilter::try_new(&text).map_err(|error| {
            format!("the variable {name} is no filter such as `info,mortise=debug`: {error}")
        })?,
        None => EnvFilter::new(default),
    };
    let filter = match WITH_TRACE.parse() {
        Ok(quiet) if filter.max_level_hint() == Some(LevelFilter::TRACE) => filter.add_directive(quiet),
        _ => filter,
    };
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let layer = fmt::layer().with_writer(std::io::stderr);
    let layer = match format {
        LogFormat::Text => {
            layer.with_ansi(!plain && std::io::stderr().is_terminal()).with_target(false).boxed()
        }
        LogFormat::Json => layer.json().flatten_event(true).boxed(),
    };
    let _already_logging = tracing_subscriber::registry().with(filter).with(layer).try_init();
    Ok(())
}
