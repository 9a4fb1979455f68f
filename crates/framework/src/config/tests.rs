//! Behaviour of the whole path from text to typed values, by topic.

mod checking;
mod compat;
mod entries;
mod expansion;
mod hostile;
mod layers;
mod properties;
mod templates;

use std::path::{Path, PathBuf};

use super::{Environment, Errors, PluginsFile, PluginsFileOptions};

pub(super) const HOOKS: [&str; 8] = [
    "prompt_pre_fetch",
    "prompt_post_fetch",
    "tool_pre_invoke",
    "tool_post_invoke",
    "resource_pre_fetch",
    "resource_post_fetch",
    "agent_pre_invoke",
    "agent_post_invoke",
];

/// A folder with these files in it.
pub(super) fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a temporary folder");
    for (name, text) in files {
        write(dir.path(), name, text.as_bytes());
    }
    dir
}

pub(super) fn write(dir: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = dir.join(name);
    std::fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
    std::fs::write(&path, bytes).expect("a file");
    path
}

pub(super) fn env(variables: &[(&str, &str)]) -> Environment {
    Environment::new(variables.iter().copied())
}

/// Reads `text` as a plugin file.
pub(super) fn plugins(text: &str, variables: &[(&str, &str)]) -> Result<PluginsFile, Errors> {
    plugins_with(text, variables, false)
}

pub(super) fn plugins_with(
    text: &str,
    variables: &[(&str, &str)],
    strict: bool,
) -> Result<PluginsFile, Errors> {
    let dir = folder(&[("config.yaml", text)]);
    let env = env(variables);
    let mut options = PluginsFileOptions::new(&env);
    options.known_hooks = &HOOKS;
    options.strict = strict;
    options.settings_without_effect = &["plugin_health_check_interval"];
    PluginsFile::load(&[dir.path().join("config.yaml")], &options)
}

/// Line and path of each error.
pub(super) fn places(errors: &Errors) -> Vec<(u32, String)> {
    let place =
        |e: &super::Diagnostic| (e.span.as_ref().and_then(super::Span::line).unwrap_or(0), e.path.clone());
    errors.list().iter().map(place).collect()
}
