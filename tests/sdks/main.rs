//! Kits for authors of process plugins: the one list of cases that plugins of every kit pass, and the examples.
//!
//! Nothing here knows how a kit does what it does: each one's plugin is a program that the gateway's own runtime starts.

#![expect(clippy::unwrap_used, clippy::panic, reason = "what a test takes for granted ends it")]

mod conformance;
mod examples;
mod own_tests;
mod programs;
