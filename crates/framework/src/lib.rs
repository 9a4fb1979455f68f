//! How a chain of plugins runs: configuration, pipeline, context, registry. Embeddable; no server, no database.
//!
//! [`config`] turns files into validated plugin entries. [`load`] makes an [`Instance`] of
//! each (through the [`Runtime`] that claims its kind), starts them, and compiles
//! [`Pipelines`]: one chain per hook, sorted and with conditions turned into sets, immutable.
//! Whoever serves calls takes the current pipelines at the start of a request, keeps them to its end, and runs
//! chains: [`Chain::run`] for one hook, [`Pair`] for a hook
//! before and the hook after the same event.
//!
//! A changed plan is [staged](Framework::stage) beside the one in force and put in its place at once; what did not
//! change runs on.

pub mod background;
pub mod breaker;
pub mod catalogue;
pub mod config;
pub mod endpoints;
pub mod host;
pub mod instance;
pub mod load;
pub mod pipeline;
pub mod registry;
pub mod runtime;
mod served;
pub mod stage;
pub mod stats;

mod essence;
mod gate;
mod health;
mod lacking;
mod supervisor;

pub use config::manifest;
pub use instance::Instance;
pub use load::{Framework, FrameworkBuilder, Plan};
pub use pipeline::{
    Pipelines,
    chain::Chain,
    context::Contexts,
    outcome::{Blocked, Execution, Outcome, Status},
    pair::Pair,
    streamed::{Lane, Streamed},
    trace::{Happened, HookRun, Trace},
};
pub use runtime::Runtime;
pub use stage::Staged;
