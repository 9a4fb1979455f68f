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

/// Kept in step with the gateway's configuration by a test there: its type is not known here.
const ONLY_OWN: [&str; 18] = [
    "listen",
    "state_dir",
    "plugins_files",
    "bindings",
    "upstreams",
    "servers",
    "llms",
    "tools",
    "datasources",
    "secrets",
    "apps",
    "storage",
    "limits",
    "egress",
    "endpoints",
    "watch",
    "explain",
    "telemetry",
];
const ONLY_PLUGINS: [&str; 3] = ["server_settings", "grpc_server_settings", "unix_socket_server_settings"];

/// Keys of both that a file which changes single plugins of another has no use for, and nearly every whole plugin
/// file has.
const MOSTLY_PLUGINS: [&str; 2] = ["plugin_settings", "plugin_dirs"];

/// What a file is, and whether it could as well be the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recognised {
    /// What it is when it stands alone.
    pub kind: FileKind,
    /// Whether its own keys or name say so. Without, it follows the files it is given together with.
    pub certain: bool,
}

/// Looks at a file's top-level keys; where these fit both, its name decides (`mortise*.yaml` is Mortise's own).
///
/// # Errors
///
/// When the file cannot be read or is no text.
pub fn recognise(path: &Path) -> Result<FileKind, Errors> {
    recognise_surely(path).map(|found| found.kind)
}

/// The same, and whether it is certain: a file with nothing but `plugins:` can be a plugin file, or change a few
/// plugins of a file of Mortise's own.
///
/// # Errors
///
/// When the file cannot be read or is no text.
pub fn recognise_surely(path: &Path) -> Result<Recognised, Errors> {
    let source = Source::read(path, &Limits::default())?;
    let text = source.text();
    let has = |keys: &[&str]| top_level_keys(text).any(|key| keys.contains(&key));
    let named_own = path.file_name().and_then(|n| n.to_str()).is_some_and(|n| n.starts_with("mortise"));
    let templated = ["{{", "{%"].iter().any(|mark| text.contains(mark));
    let (kind, certain) = if has(&ONLY_OWN) {
        (FileKind::Own, true)
    } else if has(&ONLY_PLUGINS) {
        (FileKind::Plugins, true)
    } else if named_own {
        (FileKind::Own, true)
    } else if has(&MOSTLY_PLUGINS) {
        (FileKind::Plugins, true)
    } else if has(&["plugins"]) {
        (FileKind::Plugins, templated)
    } else {
        (FileKind::Own, false)
    };
    Ok(Recognised { kind, certain })
}

pub(super) fn top_level_keys(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| {
        let line = line.trim_start_matches('\u{feff}').trim_start_matches('{');
        let starts_key = line.starts_with(|c: char| c.is_alphabetic() || matches!(c, '"' | '\''));
        let (key, _) = line.split_once(':').filter(|_| starts_key)?;
        Some(key.trim().trim_matches(['"', '\'']))
    })
}
