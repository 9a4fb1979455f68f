//! Native plugins that come with Mortise.
//!
//! One module each, all of the same anatomy: `<name>.rs` says what the plugin is for and joins it to hooks,
//! `<name>/config.rs` holds its configuration with defaults, further files its engine, which knows nothing of plugins,
//! and `<name>/tests.rs` its tests. To add one, write the module and its line in [`all`]. Pages for users stand in
//! `docs/plugins`.

mod pattern;
pub mod pii_filter;

#[cfg(test)]
mod testing;

use mortise_plugin_api::NativeKind;

pub use pattern::PatternError;

/// Every kind of plugin in this crate.
#[must_use]
pub fn all() -> Vec<NativeKind> {
    vec![
        pii_filter::kind(),
    ]
}
