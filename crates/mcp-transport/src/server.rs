//! Serving MCP: the accept loop, and what every answer needs. Not routing, authentication or sessions,
//! which belong to whoever serves.

pub mod answer;
pub mod listen;
pub mod request;
#[cfg(test)]
mod tests;

use crate::stdio::connection::{PipeConfig, PipeConnection};

/// Serves one client over this process's standard input and output. Its requests come by
/// [`PipeConnection::incoming`]; nothing else may be written to standard output.
#[must_use]
pub fn stdio(config: PipeConfig) -> PipeConnection {
    PipeConnection::new("client", tokio::io::stdin(), tokio::io::stdout(), config)
}
