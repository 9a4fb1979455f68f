//! Fake vendors of language models as a process of its own, for tests in other languages.
//!
//! Prints nothing when it is ready: whoever starts it connects until it answers. `GET /__asked` tells what it was
//! asked, `DELETE /__asked` tells it and forgets it.

use std::net::{Ipv4Addr, SocketAddr};

use clap::Parser;
use mortise_testkit::vendors::FakeVendor;
use tokio::net::TcpListener;

/// Speaks as OpenAI, Anthropic, Gemini and Bedrock do, told apart by path.
#[derive(Parser)]
struct Options {
    /// Port on 127.0.0.1.
    #[arg(long)]
    port: u16,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let options = Options::parse();
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, options.port))).await?;
    let _vendor = FakeVendor::serve(listener)?;
    std::future::pending().await
}
