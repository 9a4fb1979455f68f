//! Native plugins that come with Mortise.
//!
//! One module each, all of the same anatomy: `<name>.rs` says what the plugin is for and joins it to hooks,
//! `<name>/config.rs` holds its configuration with defaults, further files its engine, which knows nothing of plugins,
//! and `<name>/tests.rs` its tests. To add one, write the module and its line in [`all`]. Pages for users stand in
//! `docs/plugins`.

#![cfg_attr(test, expect(clippy::needless_pass_by_value, reason = "tests hand over literals"))]

pub mod argument_normalizer;
pub mod deny_list;
pub mod output_length_guard;
mod pattern;
pub mod pii_filter;
pub mod regex_filter;
pub mod resource_filter;
pub mod sql_sanitizer;

#[cfg(test)]
mod testing;

use mortise_plugin_api::NativeKind;

pub use pattern::{PatternError, TooLong};

/// Every kind of plugin in this crate.
#[must_use]
pub fn all() -> Vec<NativeKind> {
    vec![
        pii_filter::kind(),
        regex_filter::kind(),
        deny_list::kind(),
        resource_filter::kind(),
        argument_normalizer::kind(),
        sql_sanitizer::kind(),
        output_length_guard::kind(),
    ]
}
