//! Plugins that are served elsewhere: over MCP, gRPC or a Unix socket.

pub mod link;

mod grpc;
mod unix;
