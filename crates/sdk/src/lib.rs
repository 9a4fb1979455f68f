//! For authors of plugins in Rust: what serves a plugin to gateways elsewhere.
//!
//! A plugin is the same value here as within a gateway: anything that implements [`plugin_api::Plugin`], which
//! [`plugin_api::Native`] makes of a struct and a function for each hook. This crate gives it further targets: an MCP
//! server over standard input and output or HTTP, a gRPC server, a server at a Unix socket. All of them speak the
//! contract of plugin servers of the ContextForge family, in all its generations, so that its gateways take such a
//! plugin as they take their own. With the feature `process` there is one target more: a process that its gateway starts
//! (`process`).
//!
//! Not a gateway: no chains, no conditions, no limits of payloads. Those are applied where a plugin is called from. Not
//! a reader of plugin files either: a program has its plugins in code, and `mortise plugin serve` has those of a file.
//!
//! ```no_run
//! use mortise_sdk::{
//!     Plugins, Served, Settings, Transport,
//!     plugin_api::{Native, Needs, PluginError, Verdict, Violation, hooks::ToolPreInvoke},
//! };
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let no_shell = Native::new(()).on::<ToolPreInvoke>(Needs::block(), |(), call, _| {
//!     let blocked = || Violation::new("NO_SHELL", "shell access is not allowed").into();
//!     Ok::<_, PluginError>(if call.name == "shell" { blocked() } else { Verdict::Pass })
//! });
//! let plugins = Plugins::start(vec![Served::new("NoShell", no_shell.into_plugin())]).await?;
//! let settings = Settings::read(|name| std::env::var(name).ok(), &Default::default())?;
//! mortise_sdk::run(plugins, settings.transport.unwrap_or(Transport::Http), &settings).await?;
//! # Ok(())
//! # }
//! ```

pub mod call;
pub mod decision;
pub mod plugins;
pub mod policy;
pub mod served;
pub mod server;
pub mod settings;

mod memory;

#[cfg(feature = "process")]
pub mod process;

#[cfg(feature = "grpc")]
mod grpc;
#[cfg(feature = "mcp")]
mod mcp;
#[cfg(feature = "protobuf")]
mod protobuf;
mod socket;
#[cfg(test)]
mod tests;
#[cfg(feature = "unix")]
mod unix;

use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};

pub use call::{Answered, Asked};
pub use decision::Decision;
pub use mortise_plugin_api as plugin_api;
pub use plugins::{Plugins, SetupError};
pub use policy::{Policy, Trouble};
pub use served::Served;
pub use server::{Running, ServeError, serve};
pub use settings::{Sections, Settings, Transport};

/// Serves plugins until SIGTERM or SIGINT, or until the client of standard input goes; then stops them. A second signal
/// ends the program's wait at once.
///
/// # Errors
/// When the server does not start.
pub async fn run(plugins: Plugins, transport: Transport, settings: &Settings) -> Result<(), ServeError> {
    let plugins = Arc::new(plugins);
    let mut running = serve(plugins.clone(), transport, settings).await?;
    tracing::info!(address = running.address(), "serving plugins");
    let stop = running.stopper();
    let signalled = |source| ServeError::Listen { address: "signals".to_owned(), source };
    let mut terminate = signal(SignalKind::terminate()).map_err(signalled)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(signalled)?;
    for first in [true, false] {
        tokio::select! {
            () = running.ended() => break,
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        if first {
            tracing::info!("ending; another signal ends at once");
            stop.cancel();
        }
    }
    plugins.stop().await;
    Ok(())
}
