//! Fake upstreams, misbehaving plugins and a load generator, for tests and benches.
//!
//! Not part of any product binary: only tests and benches depend on this crate. It knows the plugin contract and
//! the MCP envelope, but neither framework nor gateway, so that these may use it in their own tests. What
//! authors of plugins test with is `mortise-plugin-test`.
//!
//! | module | for |
//! |---|---|
//! | [`mcp_server`] | MCP servers to stand behind a gateway: a minimal one for load, a scripted one for tests, a demo |
//! | [`load`] | closed-loop and open-loop load over HTTP/1.1 |
//! | [`process`] | CPU time and memory of other processes, and children that end with the test |
//! | [`foreign`] | a plugin runtime in another process, which proves that the plugin trait carries foreign code |
//! | [`services`] | services that plugins ask, by their published contracts, with faults on demand |
//! | [`plugins`] | native plugins that misbehave, each in one way |
//! | [`vendors`] | vendors of language models, by their published wire, with faults on demand |
//! | [`postgres`] | a real PostgreSQL, a database for each test |

pub mod foreign;
pub mod load;
pub mod mcp_server;
pub mod plugins;
pub mod postgres;
pub mod process;
pub mod services;
pub mod vendors;
