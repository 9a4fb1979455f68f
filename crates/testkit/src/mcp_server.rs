//! MCP servers to stand behind a gateway.
//!
//! - [`minimal`]: answers `tools/call` of one tool over HTTP as cheaply as possible; the yardstick of benches
//!   (program `fake-upstream`);
//! - [`scripted`]: in the test's own process, does what the test tells it (hang, break off, answer garbage, go down,
//!   come back) and records what reached it;
//! - [`demo`]: what a newcomer sees behind the quick start, over standard input and output (program
//!   `mortise-demo-server`).
//!
//! None of them is a model of a good MCP server; they share only the envelope of `mortise-mcp`.

pub mod demo;
pub mod minimal;
pub mod scripted;
