//! `plugins/config.yaml`: plugin files of the ContextForge format, unmodified.
//!
//! The format is theirs, down to its YAML 1.1 booleans and its Jinja; only where their loader drops something
//! silently does this one say so in a notice. Several files merge in order (a base and what an environment changes).

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::Dialect;
use super::check::check_in_place;
use super::diagnostic::{Diagnostic, DiagnosticKind, Errors, Notice, sorted};
use super::entry::{EntryRules, PluginEntry, RawPluginEntry, Reading, strip};
use super::environment::Environment;
use super::expand::Unset;
use super::loader::Layers;
use super::merge::prune;
use super::node::{Flags, Node};
use super::overrides::nowhere;
use super::scalar;
use super::settings::PluginSettings;
use super::source::{Limits, Span};
use super::typed;

/// The plugin file that is read when nobody names one; it may be missing.
pub const DEFAULT_PLUGINS_FILE: &str = "plugins/config.yaml";

/// What may be written at the top of a plugin file. Every key is optional.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawPluginsFile {
    /// The plugins.
    pub plugins: Option<Vec<RawPluginEntry>>,
    /// Folders in which manifests of plugins are looked for, and index files that list some.
    pub plugin_dirs: Option<Vec<String>>,
    /// What holds for all plugins.
    pub plugin_settings: Option<PluginSettings>,
    /// Where a plugin server of theirs listens; read by such servers only.
    pub server_settings: Option<Json>,
    /// Where a plugin server of theirs listens for gRPC; read by such servers only.
    pub grpc_server_settings: Option<Json>,
    /// The socket of a plugin server of theirs; read by such servers only.
    pub unix_socket_server_settings: Option<Json>,
    /// Files to read before this one, relative to it, as patterns.
    pub include: Option<Vec<String>>,
}

/// How plugin files are read.
#[derive(Debug, Clone)]
pub struct PluginsFileOptions<'a> {
    /// The variables for templates and `${NAME}`, and those that override settings.
    pub env: &'a Environment,
    /// All hook names that exist, aliases included; an empty list lets any name pass.
    pub known_hooks: &'a [&'a str],
    /// Whether unknown keys are errors.
    pub strict: bool,
    /// Settings that are accepted and have no effect yet: each is named in a notice where it is given.
    pub settings_without_effect: &'a [&'a str],
    /// Bounds on size and depth.
    pub limits: Limits,
}

impl<'a> PluginsFileOptions<'a> {
    /// Tolerant reading with the default limits, any hook name allowed.
    #[must_use]
    pub fn new(env: &'a Environment) -> Self {
        Self { env, known_hooks: &[], strict: false, settings_without_effect: &[], limits: Limits::default() }
    }
}

/// One of `plugin_dirs`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginDir {
    /// The folder or index file, as written.
    pub path: PathBuf,
    /// Where it was written.
    pub span: Span,
}

impl PluginDir {
    /// What a text names; none where there is no text, or one without a value.
    #[must_use]
    pub fn of(node: &Node) -> Option<Self> {
        let path = node.as_str().filter(|text| !text.is_empty() && !node.has(Flags::UNSET))?;
        Some(Self { path: path.into(), span: node.span().clone() })
    }

    /// Where it is: in `directory`, and where it is not there, beside the file that names it.
    #[must_use]
    pub fn resolved(&self, directory: &Path) -> PathBuf {
        let beside = Path::new(self.span.file()).parent().map(|folder| folder.join(&self.path));
        let in_directory =
            if directory == Path::new(".") { self.path.clone() } else { directory.join(&self.path) };
        match beside.filter(|path| !in_directory.exists() && path.exists()) {
            Some(beside) => beside,
            None => in_directory,
        }
    }
}

/// One or more plugin files, read and validated.
#[derive(Debug)]
pub struct PluginsFile {
    /// The entries in the order of the files, those with problems included.
    pub entries: Vec<PluginEntry>,
    /// The settings, variables of the environment applied.
    pub settings: PluginSettings,
    /// Folders in which manifests of plugins are looked for, as written.
    pub plugin_dirs: Vec<PluginDir>,
    /// What was tolerated.
    pub notices: Vec<Notice>,
    /// Every file that was read.
    pub files: Vec<PathBuf>,
    /// The merged tree.
    pub node: Node,
}

impl PluginsFile {
    /// Reads plugin files that must exist, later ones over earlier ones.
    ///
    /// # Errors
    ///
    /// Everything that is wrong in any of them, in the order of the text.
    pub fn load(paths: &[PathBuf], options: &PluginsFileOptions<'_>) -> Result<Self, Errors> {
        let (file, errors) = Self::load_partial(paths, options);
        complete(file, errors)
    }

    /// The same, going on with what could be read: the errors, and the files without what is wrong in them; none of
    /// them when one is missing or no YAML.
    #[must_use]
    pub fn load_partial(
        paths: &[PathBuf],
        options: &PluginsFileOptions<'_>,
    ) -> (Option<Self>, Vec<Diagnostic>) {
        let paths: Vec<(&Path, bool)> = paths.iter().map(|p| (p.as_path(), true)).collect();
        Self::read(&paths, options)
    }

    /// Reads the one file that the environment names, or the default one below `directory` if it is there.
    ///
    /// # Errors
    ///
    /// As [`PluginsFile::load`]; also when the named file is missing.
    pub fn load_default(directory: &Path, options: &PluginsFileOptions<'_>) -> Result<Self, Errors> {
        let switches = PluginSwitches::read(options.env)?;
        let (file, errors) = match switches.config_file {
            Some(named) => Self::read(&[(&directory.join(named), true)], options),
            None => Self::read(&[(&directory.join(DEFAULT_PLUGINS_FILE), false)], options),
        };
        complete(file, errors)
    }

    fn read(paths: &[(&Path, bool)], options: &PluginsFileOptions<'_>) -> (Option<Self>, Vec<Diagnostic>) {
        let dialect = Dialect::Foreign { strict: options.strict };
        let mut layers = Layers::new(options.env, dialect, &options.limits);
        for (path, required) in paths {
            layers.add_file(path, *required);
        }
        let Layers { node, mut errors, mut notices, files, unset, incomplete, .. } = layers;
        let mut node = node.unwrap_or_else(|| Node::empty_map(nowhere().span_at(0, 1)));
        prune(&mut node);
        let switches = PluginSwitches::read(options.env).unwrap_or_else(|found| {
            errors.extend(found.into_list());
            PluginSwitches::default()
        });
        if incomplete || !errors.iter().all(|e| e.kind == DiagnosticKind::Duplicate) {
            return (None, errors);
        }
        let schema = schemars::schema_for!(RawPluginsFile);
        let (found, remarks) = check_in_place(&mut node, &schema, "", dialect);
        notices.extend(remarks);
        let clean = found.is_empty();
        errors.extend(found);
        let rules = EntryRules { known_hooks: options.known_hooks, dialect, unset: &unset };
        let reading =
            node.get("plugins").map(|list| Reading::read(list, "plugins", &rules)).unwrap_or_default();
        errors.extend(reading.errors);
        if clean {
            errors.extend(reading.untyped);
        }
        notices.extend(reading.notices);
        let settings = read_settings(&node, &switches, options, &mut errors, &mut notices);
        notices.extend(remarks_about(&node, &unset));
        let plugin_dirs = node.get("plugin_dirs").and_then(Node::as_list).unwrap_or_default();
        let plugin_dirs = plugin_dirs.iter().filter_map(PluginDir::of).collect();
        let (entries, notices) = (reading.entries, sorted(notices));
        (Some(Self { entries, settings, plugin_dirs, notices, files, node }), errors)
    }
}

fn complete(file: Option<PluginsFile>, errors: Vec<Diagnostic>) -> Result<PluginsFile, Errors> {
    Errors::unless_empty(errors, ())?;
    file.ok_or_else(|| Diagnostic::new(DiagnosticKind::File, "nothing could be read").into())
}

fn read_settings(
    node: &Node,
    switches: &PluginSwitches,
    options: &PluginsFileOptions<'_>,
    errors: &mut Vec<Diagnostic>,
    notices: &mut Vec<Notice>,
) -> PluginSettings {
    let section = node.get("plugin_settings").filter(|s| !s.is_null());
    let mut settings = PluginSettings::default();
    if let Some(section) = section {
        let mut section = section.clone();
        strip(&mut section);
        match typed::deserialize(&section, "plugin_settings") {
            Ok(read) => settings = read,
            Err(error) if errors.is_empty() => errors.push(error),
            Err(_) => {}
        }
    }
    notices.extend(settings.notices(section, "plugin_settings", options.settings_without_effect));
    if let Some(timeout) = switches.plugin_timeout {
        settings.plugin_timeout = timeout;
    }
    if let Some(fail) = switches.fail_on_plugin_error {
        settings.fail_on_plugin_error = fail;
    }
    settings
}

/// Sections only a plugin server reads, and unset names outside of any entry.
fn remarks_about(node: &Node, unset: &[Unset]) -> Vec<Notice> {
    let mut notices = Vec::new();
    for key in ["server_settings", "grpc_server_settings", "unix_socket_server_settings"] {
        if let Some(span) = node.key_span(key) {
            let message = format!("`{key}` is read by plugin servers only and has no effect here");
            notices.push(Diagnostic::new(DiagnosticKind::Remark, message).at(span.clone()).path(key));
        }
    }
    for one in unset.iter().filter(|u| !u.path.starts_with("plugins[")) {
        notices.push(one.to_error());
    }
    notices
}

/// The environment variables that steer plugins. An empty variable counts as not set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginSwitches {
    /// `PLUGINS_ENABLED`; on unless it says otherwise.
    pub enabled: bool,
    /// `PLUGINS_CONFIG_FILE`, or the older `PLUGIN_CONFIG_FILE`.
    pub config_file: Option<PathBuf>,
    /// `PLUGINS_PLUGIN_TIMEOUT`, in seconds.
    pub plugin_timeout: Option<u64>,
    /// `PLUGINS_FAIL_ON_PLUGIN_ERROR`.
    pub fail_on_plugin_error: Option<bool>,
}

impl Default for PluginSwitches {
    fn default() -> Self {
        Self { enabled: true, config_file: None, plugin_timeout: None, fail_on_plugin_error: None }
    }
}

impl PluginSwitches {
    /// Reads the variables.
    ///
    /// # Errors
    ///
    /// For each variable that holds no value of its type.
    pub fn read(env: &Environment) -> Result<Self, Errors> {
        let mut errors = Vec::new();
        let mut flag = |name: &str| {
            let text = env.non_empty(name)?;
            let value = match text.trim() {
                "1" => Some(true),
                "0" => Some(false),
                word => scalar::boolean(word),
            };
            if value.is_none() {
                errors.push(bad_variable(name, "1, true, yes, on, 0, false, no, off"));
            }
            value
        };
        let enabled = flag("PLUGINS_ENABLED").unwrap_or(true);
        let fail_on_plugin_error = flag("PLUGINS_FAIL_ON_PLUGIN_ERROR");
        let plugin_timeout = env.non_empty("PLUGINS_PLUGIN_TIMEOUT").and_then(|text| {
            let value = text.trim().parse::<u64>().ok().filter(|seconds| *seconds > 0);
            if value.is_none() {
                errors.push(bad_variable("PLUGINS_PLUGIN_TIMEOUT", "whole seconds from 1"));
            }
            value
        });
        let named = env.non_empty("PLUGINS_CONFIG_FILE").or_else(|| env.non_empty("PLUGIN_CONFIG_FILE"));
        let config_file = named.map(PathBuf::from);
        Errors::unless_empty(errors, Self { enabled, config_file, plugin_timeout, fail_on_plugin_error })
    }
}

fn bad_variable(name: &str, allowed: &str) -> Diagnostic {
    let message = format!("the environment variable {name} has a value that is not allowed");
    Diagnostic::new(DiagnosticKind::InvalidValue, message).help(format!("allowed: {allowed}"))
}
