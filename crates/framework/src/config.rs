//! Configuration: from text in files and variables to typed values that cannot be wrong.
//!
//! One way for every file: text → template (files of the ContextForge format only) → a tree of [`Node`]s that
//! remember where they were written → `${NAME}` expansion → merge of files, environment and flags → check
//! against a JSON Schema → serde type. The tree is our own and keeps its [`Span`]s through every step, because an
//! error that cannot name file, line and field is of little use; so all errors of a load are collected and
//! reported at once ([`Errors`]), and what merely deserves a word becomes a [`Notice`].
//!
//! Two dialects share the machinery ([`Dialect`]): Mortise's own file, where an unknown key or an unset name is
//! an error, and the `plugins/config.yaml` of ContextForge ([`PluginsFile`]), which loads unmodified and is told
//! about such things in notices. The root type of the own file belongs to the program that loads it, so
//! [`Loader`] is generic over it.
//!
//! Nothing here reads the process environment or the clock by itself: variables come in as an [`Environment`].
//! Secrets (values under telling keys, and everything that came from a variable) never appear in errors or
//! debug output.

mod check;
mod coerce;
mod diagnostic;
mod dotenv;
mod entry;
mod environment;
mod expand;
mod loader;
pub mod looked_at;
pub mod manifest;
mod merge;
mod nearest;
mod node;
mod overlay;
mod overrides;
mod path;
mod plugins_file;
mod process;
mod python;
mod recognise;
mod scalar;
mod schema;
mod secret;
mod settings;
mod source;
mod stores;
mod template;
mod typed;
mod yaml;

#[cfg(test)]
mod tests;

pub use check::{Checked, Gaps, Salvaged, check};
pub use diagnostic::{Diagnostic, DiagnosticKind, Errors, Notice, Related};
pub use entry::{
    Condition, DependsOn, EntryRules, Mode, OfferName, OnError, OneOrMany, PluginEntry, PluginPermission,
    Problem, ProblemKind, RawPluginEntry, duplicates, read_entries, read_partial_entries,
};
pub use environment::Environment;
pub use expand::Unset;
pub use loader::{Loaded, Loader, Partial};
pub use merge::merge;
pub use nearest::nearest;
pub use node::{Map, MapEntry, Node, Value};
pub use overlay::{Overlaid, Overlay};
pub use overrides::Override;
pub use plugins_file::{
    DEFAULT_PLUGINS_FILE, PluginDir, PluginSwitches, PluginsFile, PluginsFileOptions, RawPluginsFile,
};
pub use process::{ProcessKeys, ProcessTls, SandboxKeys, SandboxProfile};
pub use python::{PythonSettings, Surroundings};
pub use recognise::{FileKind, Recognised, recognise, recognise_surely};
pub use schema::Compiled;
pub use secret::is_secret_key;
pub use settings::{BreakerKeys, ConditionMatching, PluginSettings, Seconds};
pub use source::{Limits, Source, Span};
pub use stores::{NoSecret, SecretStore};

/// Whose rules a file is read by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Mortise's own file: YAML 1.2 scalars, no templates, unknown keys and unset names are errors.
    Own,
    /// A file of the ContextForge format: a template over `env`, YAML 1.1 booleans and octals as its own loader
    /// reads them, unknown keys are notices (errors if `strict`), an unset name costs the plugin entry it
    /// stands in.
    Foreign {
        /// Whether unknown keys are errors here too.
        strict: bool,
    },
}

impl Dialect {
    /// Whether this is a file of another product.
    #[must_use]
    pub fn is_foreign(self) -> bool {
        matches!(self, Self::Foreign { .. })
    }

    /// Whether an unknown key is an error rather than a notice.
    #[must_use]
    pub fn refuses_unknown_keys(self) -> bool {
        matches!(self, Self::Own | Self::Foreign { strict: true })
    }
}
