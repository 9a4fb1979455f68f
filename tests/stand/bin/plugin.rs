//! The foreign plugin of the test kit as a process that a test can kill: it gets its socket as standard input.
//!
//! Built with these tests, so that they run without anything else having been built.

use std::os::fd::AsFd;

use mortise_testkit::foreign::peer::{PeerError, serve};
use tokio::net::UnixStream;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), PeerError> {
    let hooks: Vec<String> = std::env::args().skip(1).collect();
    let socket = std::os::unix::net::UnixStream::from(std::io::stdin().as_fd().try_clone_to_owned()?);
    socket.set_nonblocking(true)?;
    serve(UnixStream::from_std(socket)?, &hooks, None).await
}
