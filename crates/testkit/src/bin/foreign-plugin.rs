//! The foreign plugin of the test kit as a process: the host hands it its socket as standard input.

use std::os::fd::AsFd;

use clap::Parser;
use mortise_testkit::foreign::peer::{PeerError, serve};
use tokio::net::UnixStream;

/// A plugin in a process of its own, for tests of the plugin contract.
#[derive(Parser)]
struct Options {
    /// Does this at every call, instead of going by the name of the tool.
    #[arg(long)]
    behaviour: Option<String>,
    /// Hooks it offers.
    #[arg(long, value_delimiter = ',', default_values_t = DEFAULT_HOOKS.map(str::to_owned))]
    hooks: Vec<String>,
}

const DEFAULT_HOOKS: [&str; 6] = [
    "tool_pre_invoke",
    "tool_post_invoke",
    "prompt_pre_fetch",
    "prompt_post_fetch",
    "resource_pre_fetch",
    "resource_post_fetch",
];

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), PeerError> {
    let options = Options::parse();
    let socket = std::os::unix::net::UnixStream::from(std::io::stdin().as_fd().try_clone_to_owned()?);
    socket.set_nonblocking(true)?;
    serve(UnixStream::from_std(socket)?, &options.hooks, options.behaviour).await
}
