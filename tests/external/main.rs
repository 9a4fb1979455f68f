//! Plugins that are served elsewhere, behind the gateway as a client sees it: what they decide, and what becomes of
//! calls when their servers hang, lie, die or come back.

#![expect(clippy::unwrap_used, reason = "what a test takes for granted ends it")]

mod http;
mod stdio;
