//! What breaks: upstreams, plugins, foreign processes, and the gateway's own end, while calls are under way.
//!
//! Here belongs what must cost the calls that depended on the broken thing, and no more: each call ends exactly once,
//! none is mixed with another, and what comes back is used again without a restart.

#![expect(clippy::unwrap_used, reason = "what a test takes for granted ends it")]

mod foreign;
mod misbehaving;
mod proxy;
mod served;
mod shutdown;
mod stdio;
mod upstreams;
