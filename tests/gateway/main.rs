//! The gateway as clients and operators see it: real HTTP in front, scripted MCP servers behind, real plugins between.
//!
//! Here belongs what one healthy gateway does with one call, by configuration: hooks and what plugins may do there,
//! who may call, names and routes, limits, bindings, the management surface. What breaks on the way belongs to
//! `faults`, files of other products to `compat`, other people's clients and servers to `interop`.

#![expect(clippy::unwrap_used, reason = "what a test takes for granted ends it")]

mod bindings;
mod blocking;
mod callers;
mod changes;
mod coverage;
mod datasources;
mod deploy;
mod egress;
mod endings;
mod explain;
mod forwarding;
mod hooks;
mod http_hooks;
mod limits;
mod management;
mod overrides;
mod plugin_servers;
mod protect;
mod record;
mod reload;
mod routing;
mod serving;
mod sessions;
mod spans;
mod statistics;
mod storage;
mod tools;
mod unavailable;
mod watched;
