//! What the gateway offers to plugins beside a log and a clock: HTTP requests of their own.
//!
//! The services' traits are the contract's (`mortise_plugin_api::host`); how plugins come to them is the framework's.
//! Here is what carries them out. [`HttpService`] sends, under the [guard] against requests to addresses that
//! only this machine can reach, and within bounds for each plugin.

pub mod guard;

mod account;
mod apps;
mod http;
mod request;

#[cfg(test)]
mod tests;

pub use apps::AppService;
pub use http::HttpService;
