//! `plugin_dirs`: manifests of plugins, and what they mean for those that are configured.

use std::{path::PathBuf, sync::Arc};

use mortise_framework::{
    Framework,
    catalogue::Catalogue,
    config::{Node, PluginDir, PluginEntry, manifest::ManifestReader},
};

use super::{
    Config, LoadOptions,
    place::{self, Findings},
};
use mortise_framework::config::Loaded;

/// Reads the manifests in the folders that plugin files and the own file name, and attaches them to entries of their
/// kinds. What is wrong in a folder is a notice: it costs the catalogue an entry and nothing else. Gives back where these
/// folders are, too.
pub(super) fn settle(
    options: &LoadOptions,
    framework: &Framework,
    loaded: &Loaded<Config>,
    mut dirs: Vec<PluginDir>,
    entries: &mut [PluginEntry],
    found: &mut Findings<'_>,
) -> (Arc<Catalogue>, Vec<PathBuf>) {
    let own = loaded.node.get("plugin_dirs");
    for node in own.and_then(Node::as_list).unwrap_or_default() {
        // Names in the own file are relative to it, as all names there.
        dirs.extend(PluginDir::of(node).map(|dir| PluginDir {
            path: place::folder(Some(node), &options.directory).join(&dir.path),
            ..dir
        }));
    }
    if dirs.is_empty() {
        return (Arc::default(), Vec::new());
    }
    let resolved = dirs.iter().map(|dir| dir.resolved(&options.directory)).collect();
    let mut catalogue = Catalogue::new();
    match ManifestReader::new(framework.hooks(), options.strict) {
        Ok(reader) => catalogue.add_dirs(&dirs, &options.directory, &reader),
        Err(errors) => found.errors.extend(errors.into_list()),
    }
    found.notices.extend(catalogue.notices().iter().cloned());
    found.notices.extend(catalogue.attach(entries, framework.hooks(), |kind| framework.is_native(kind)));
    (Arc::new(catalogue), resolved)
}
