//! Telling Mortise's own file from a plugin file.
//!
//! By its top-level keys as text, not by parsing: the answer is wanted most for a file that is broken.

use std::path::Path;

use super::diagnostic::Errors;
use super::source::{Limits, Source};

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// Mortise's own configuration.
    Own,
    /// A plugin file of the ContextForge format.
    Plugins,
}

const ONLY_OWN: [&str; 11] = [
    "listen",
    "state_dir",
    "plugins_files",
    "bindings",
    "upstreams",
    "servers",
    "llms",
    "apps",
    "limits",
    "telemetry",
    "admin",
];
const ONLY_PLUGINS: [&str; 4] =
    ["plugin_settings", "server_settings", "grpc_server_settings", "unix_socket_server_settings"];

/// Looks at a file's top-level keys; where these fit both, its name decides (`mortise*.yaml` is Mortise's own).
///
/// # Errors
///
/// When the file cannot be read or is no text.
pub fn recognise(path: &Path) -> Result<FileKind, Errors> {
    let source = Source::read(path, &Limits::default())?;
    let has = |keys: &[&str]| top_level_keys(source.text()).any(|key| keys.contains(&key));
    if has(&ONLY_OWN) {
        return Ok(FileKind::Own);
    }
    let named_own = path.file_name().and_then(|n| n.to_str()).is_some_and(|n| n.starts_with("mortise"));
    if has(&ONLY_PLUGINS) || (!named_own && has(&["plugins", "plugin_dirs"])) {
        return Ok(FileKind::Plugins);
    }
    Ok(FileKind::Own)
}

pub(super) fn top_level_keys(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| {
        let line = line.trim_start_matches('\u{feff}').trim_start_matches('{');
        let starts_key = line.starts_with(|c: char| c.is_alphabetic() || matches!(c, '"' | '\''));
        let (key, _) = line.split_once(':').filter(|_| starts_key)?;
        Some(key.trim().trim_matches(['"', '\'']))
    })
}
