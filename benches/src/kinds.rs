//! The plugins that are measured: the product's and the test kit's.

use mortise_plugin_api::NativeKind;

/// All kinds a bench may name.
pub(crate) fn all() -> Vec<NativeKind> {
    let mut kinds = mortise::builtins::all();
    kinds.extend(mortise_testkit::plugins::kinds());
    kinds
}

/// The kind `name`, if it is there.
pub(crate) fn find(name: &str) -> Option<NativeKind> {
    all().into_iter().find(|kind| kind.name == name)
}
