//! Process plugins: a program built with the library that plugin authors use, run by the gateway, through its front door.
//!
//! The program is in `tests/interop/go`; it is built once for all tests here. What it does is told it by the headers of
//! a request, so a test reads as what it asks for.

#![expect(clippy::unwrap_used, clippy::panic, reason = "what a test takes for granted ends it")]

mod authentication;
mod confined;
mod endings;
mod endpoints;
mod lives;
mod llm;
mod models;
mod program;
mod requests;
mod secured;
mod way_back;

#[path = "../llm/vendor.rs"]
#[expect(dead_code, reason = "more is needed where vendors fail")]
mod vendor;
