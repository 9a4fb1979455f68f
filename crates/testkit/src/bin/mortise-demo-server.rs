//! The demo MCP server over standard input and output, as the quick start runs it behind the gateway.

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    mortise_testkit::mcp_server::demo::serve(tokio::io::stdin(), tokio::io::stdout()).await
}
