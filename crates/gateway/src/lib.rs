//! The edge: listener, authentication, surfaces, upstreams.
//!
//! A request flows forward only: listener → router → authentication → surface → hooks → upstream → hooks → answer.
//! This crate knows plugins as the framework's pipelines and their runtimes not at all; the binary hands them in.

pub mod auth;
pub mod config;
pub mod coverage;
pub mod datasource;
pub mod edge;
pub mod endpoints;
pub mod gateway;
pub mod history;
pub mod host;
mod live;
pub mod llm;
pub mod manage;
pub mod mcp;
pub mod metrics;
pub mod overrides;
pub mod reload;
pub mod snapshot;
pub mod spans;
pub mod state_dir;
pub mod storage;
pub mod tools;
pub mod trace;
pub mod upstreams;
mod vault;

pub use gateway::{Gateway, StartError};
pub use live::LIVE_HOOKS;
