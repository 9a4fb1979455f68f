//! The minimal MCP upstream of benches as a process of its own.
//!
//! Prints nothing when it is ready: whoever starts it connects until it answers.

use std::net::{Ipv4Addr, SocketAddr};

use clap::Parser;
use mortise_testkit::mcp_server::minimal::Minimal;
use tokio::net::TcpListener;

/// Answers MCP's `tools/call` of the tool `echo` at `POST /mcp`, as cheaply as possible.
#[derive(Parser)]
struct Options {
    /// Port on 127.0.0.1.
    #[arg(long)]
    port: u16,
    /// Threads that serve.
    #[arg(long, default_value_t = 1)]
    workers: usize,
    /// Answers every call with a text of this many bytes instead of its own.
    #[arg(long)]
    answer_bytes: Option<usize>,
}

fn main() -> std::io::Result<()> {
    let options = Options::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(options.workers.max(1))
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, options.port))).await?;
        let server = options.answer_bytes.map_or_else(Minimal::new, Minimal::with_answer_of);
        server.serve(listener).await
    })
}
