//! Configurations of other products: what their documents show must load here, unmodified, and do what they say.
//!
//! `contextforge/configs` holds the complete sample configurations of ContextForge's documents, one file each; those
//! in `incomplete` are excerpts that no loader can take. Here belongs what such files mean, and what such documents
//! promise of a call; how configuration is read in general is tested with the framework, and what only Mortise promises
//! with `gateway`.

#![expect(clippy::unwrap_used, clippy::panic, reason = "what a test takes for granted ends it")]

mod class_paths;
mod flow;
mod merging;
mod pii;
mod running;
mod samples;

use std::path::{Path, PathBuf};

use mortise_framework::{
    Framework,
    config::{Environment, Errors, FileKind},
    runtime::NativeRuntime,
};
use mortise_gateway::config::{LoadOptions, Settled};

/// The framework as the product has it.
fn framework() -> Framework {
    let native = NativeRuntime::new(mortise::builtins::all());
    Framework::builder().runtime(native).awaited(mortise::awaited::reason).build()
}

/// Loads plugin files in order, with these variables and nothing else.
fn load(framework: &Framework, files: &[&Path], variables: &[(&str, &str)]) -> Result<Settled, Errors> {
    let environment = Environment::new(variables.iter().copied());
    let mut options = LoadOptions::new(configs(), environment);
    options.defaults = false;
    options.files = files.iter().map(|file| (file.to_path_buf(), FileKind::Plugins)).collect();
    Settled::load(&options, framework)
}

/// The folder of the documents' samples.
fn configs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("compat/contextforge/configs")
}
