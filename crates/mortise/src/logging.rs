//! Where log lines go: standard error, as text or as JSON.

use std::io::IsTerminal;

use tracing_subscriber::{EnvFilter, fmt, prelude::*};

use crate::cli::LogFormat;

/// What is logged when neither `MORTISE_LOG` nor `RUST_LOG` says.
const DEFAULT_FILTER: &str = "info";

/// Begins to log. Only the first call of a process has an effect.
pub(crate) fn start(format: LogFormat) -> Result<(), String> {
    let variable = ["MORTISE_LOG", "RUST_LOG"].into_iter().find_map(|name| {
        let text = std::env::var(name).ok().filter(|text| !text.trim().is_empty())?;
        Some((name, text))
    });
    let filter = match variable {
        Some((name, text)) => EnvFilter::try_new(&text).map_err(|error| {
            format!("the variable {name} is no filter such as `info,mortise=debug`: {error}")
        })?,
        None => EnvFilter::new(DEFAULT_FILTER),
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
