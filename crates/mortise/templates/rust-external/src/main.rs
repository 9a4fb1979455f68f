//! Serves the plugin: over HTTP, gRPC, a Unix socket or standard input and output, as `PLUGINS_TRANSPORT` says.

use std::io::{IsTerminal, stderr, stdin};

use mortise_sdk::{Plugins, Sections, Settings, Transport};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Standard output belongs to the protocol.
    tracing_subscriber::fmt()
        .with_writer(stderr)
        .with_ansi(stderr().is_terminal())
        .init();
    let guard = {{module}}::Guard::from_env();
    let plugins = Plugins::start(vec![guard.served()]).await?;
    let settings = Settings::read(|name| std::env::var(name).ok(), &Sections::default())?;
    let unsaid = if stdin().is_terminal() {
        Transport::Http
    } else {
        Transport::Stdio
    };
    mortise_sdk::run(plugins, settings.transport.unwrap_or(unsaid), &settings).await?;
    Ok(())
}
