//! The Model Context Protocol over HTTP and pipes, client and server side.
//!
//! Used by the gateway to reach upstreams and to serve clients, and by whatever else speaks MCP over a
//! socket. What messages mean is the business of `mortise_mcp`; here they are carried.
//!
//! - [`upstream`]: one way to talk to an upstream, over HTTP or a pipe
//! - [`http`]: connections, requests and event streams of one HTTP endpoint
//! - [`stdio`]: child processes and conversations over pipes
//! - [`server`]: reading requests and writing answers as a server
//! - [`workers`]: threads that connections are spread over; [`in_place`]: futures made where they stay
//! - [`tls`], [`backoff`], [`chain`]: certificates; pauses between attempts; errors with their causes

pub mod backoff;
pub mod chain;
mod deadline;
pub mod http;
pub mod in_place;
pub mod server;
pub mod stdio;
pub mod tls;
pub mod upstream;
pub mod workers;
