//! Messages and services of `contracts/proto`, and how they become what plugins are shown.
//!
//! The code is made when this crate is built, so the contract is the one thing to change and nothing can lag behind it;
//! no `protoc` is needed for that. Each family of packages has a feature and a module. Nothing but conversions lives
//! here: no sockets, no retries.

#[cfg(feature = "contextforge")]
pub mod contextforge;
pub mod json;
#[cfg(feature = "tyk")]
pub mod tyk;
