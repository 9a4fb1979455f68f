//! The edge: listener, authentication, surfaces, upstreams.
//!
//! A request flows forward only: listener → router → authentication → surface → hooks → upstream → hooks → answer.
//! This crate knows plugins as the framework's pipelines and their runtimes not at all; the binary hands them in.

pub mod mcp;
pub mod metrics;
pub mod upstreams;
