//! `mortise plugin serve`: plugins of this build as a plugin server.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::LogFormat;

/// What a plugin server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ServeTransport {
    /// MCP over standard input and output
    Stdio,
    /// MCP over HTTP, at /mcp
    Http,
    /// gRPC
    Grpc,
    /// Protobuf frames over a Unix socket
    Unix,
}

/// Serve plugins to gateways elsewhere.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  mortise plugin serve --config plugins.yaml --transport http --port 8000
  mortise plugin serve --config plugins.yaml --transport grpc --uds /run/plugins.sock
  mortise plugin serve --config plugins.yaml --transport unix --uds /run/plugins.sock
  mortise plugin serve --config plugins.yaml --transport stdio

The file lists plugins as for a gateway; each is served under its name. A gateway reaches one by an entry of
`kind: external`. Where the server listens is said by flags, else by server_settings, grpc_server_settings or
unix_socket_server_settings in the file, else by PLUGINS_SERVER_HOST, PLUGINS_SERVER_PORT, PLUGINS_SERVER_UDS,
PLUGINS_SERVER_SSL_*, PLUGINS_GRPC_SERVER_* and PLUGINS_UNIX_SOCKET_PATH. Logs go to standard error. SIGTERM and SIGINT
end it once the calls under way are answered; a second one ends it at once.")]
pub struct PluginServeArgs {
    /// File that lists the plugins
    #[arg(
        short = 'c',
        long,
        env = "PLUGINS_CONFIG_PATH",
        value_name = "FILE",
        default_value = "resources/plugins/config.yaml"
    )]
    pub config: PathBuf,
    /// What is spoken. Without it, PLUGINS_TRANSPORT, else stdio where standard input is no terminal, else http
    #[arg(short, long, value_enum)]
    pub transport: Option<ServeTransport>,
    /// Host name or address to listen at, for http and grpc
    #[arg(long, value_name = "ADDRESS")]
    pub host: Option<String>,
    /// Port to listen at, for http and grpc; 0 takes any free one
    #[arg(short, long, value_name = "PORT")]
    pub port: Option<u16>,
    /// Unix socket to listen at, instead of host and port
    #[arg(long, value_name = "PATH", conflicts_with_all = ["host", "port"])]
    pub uds: Option<PathBuf>,
    /// Treat unknown keys of the file as errors too
    #[arg(long)]
    pub strict: bool,
    /// Write the server's address to this file once it serves, and remove it at the end
    #[arg(long, value_name = "FILE")]
    pub ready_file: Option<PathBuf>,
    /// How log lines look
    #[arg(long, env = "MORTISE_LOG_FORMAT", value_enum, default_value_t)]
    pub log_format: LogFormat,
}
