//! Plugin entries and settings of all sources, laid over one another: plugin files in order, then the own file.

use std::{path::PathBuf, sync::Arc};

use mortise_framework::{
    Framework, Plan,
    catalogue::Catalogue,
    config::{
        ConditionMatching, DEFAULT_PLUGINS_FILE, Diagnostic, DiagnosticKind, Dialect, EntryRules, Errors,
        FileKind, Loaded, Mode, Node, Notice, PluginDir, PluginEntry, PluginSettings, PluginSwitches,
        PluginsFile, PluginsFileOptions, Surroundings, looked_at, read_entries, read_partial_entries,
    },
    pipeline,
};

use super::{
    Config, LoadOptions, catalogue,
    place::{self, Findings},
    stored,
};
use crate::overrides::Overrides;

/// Settings that are read and checked and that nothing obeys yet.
const WITHOUT_EFFECT: [&str; 1] = ["include_user_info"];

/// What all sources together say of plugins.
pub(super) struct Plugins {
    /// With what was changed while running.
    pub(super) plan: Plan,
    /// Without.
    pub(super) configured: Plan,
    pub(super) settings: PluginSettings,
    pub(super) files: Vec<PathBuf>,
    /// The plugin files as one tree.
    pub(super) foreign: Option<Node>,
    /// The manifests in `plugin_dirs`.
    pub(super) catalogue: Arc<Catalogue>,
    /// Those of storage, each at its path in the outline.
    pub(super) kept: Vec<(String, Node)>,
}

/// Reads the plugin files and lays the own file over them, and over all what was changed while running. Errors go to
/// `found`.
pub(super) fn settle(
    options: &LoadOptions,
    framework: &Framework,
    loaded: &Loaded<Config>,
    overrides: &Overrides,
    found: &mut Findings<'_>,
) -> Plugins {
    let switches = PluginSwitches::read(&options.environment).unwrap_or_else(|errors| {
        found.errors.extend(errors.into_list());
        found.unread.plugins = true;
        PluginSwitches::default()
    });
    let hooks = framework.hooks().names();
    let foreign = foreign(options, &hooks, &switches, loaded, found);
    let inline = inline(&hooks, loaded, found);
    let settings = settings(&foreign.settings, &switches, loaded.node.get("plugin_settings"), found);
    let config = &loaded.value;
    let mut entries = laid_over(foreign.entries, inline, found);
    let (catalogue, plugin_dirs) =
        catalogue::settle(options, framework, loaded, foreign.plugin_dirs, &mut entries, found);
    let surroundings = Arc::new(Surroundings {
        directory: options.directory.clone(),
        state_dir: Some(super::load::state_dir(loaded, options)),
        plugin_dirs,
        python: settings.python.clone(),
    });
    for entry in &mut entries {
        entry.surroundings = surroundings.clone();
    }
    let mut configured = Plan {
        entries,
        bindings: config.bindings.clone(),
        settings: pipeline::Settings {
            plugin_timeout: settings.timeout(),
            breaker: settings.breaker(),
            parallel_bands: settings.parallel_execution_within_band,
            request_budget: settings.request_budget.map(|budget| budget.0),
            health_interval: settings.health_interval(),
            fail_on_plugin_error: settings.fail_on_plugin_error,
            exact_conditions: settings.condition_matching == ConditionMatching::Exact,
            max_arguments: config.limits.max_argument_bytes,
            max_content: config.limits.max_content_bytes,
            ..pipeline::Settings::default()
        },
        enabled: switches.enabled,
        start_idle: false,
    };
    let kept = stored::over(options, framework, &mut configured, &surroundings, found);
    let (plan, notices) = overrides.lay_over(&configured);
    // A plugin that could not be read is not one that is gone.
    if found.errors.is_empty() {
        found.notices.extend(notices);
    }
    check(framework, &plan, foreign.node.as_ref(), found);
    Plugins { plan, configured, settings, files: foreign.files, foreign: foreign.node, catalogue, kept }
}

#[derive(Default)]
struct Foreign {
    entries: Vec<PluginEntry>,
    settings: PluginSettings,
    files: Vec<PathBuf>,
    node: Option<Node>,
    plugin_dirs: Vec<PluginDir>,
}

fn foreign(
    options: &LoadOptions,
    hooks: &[&str],
    switches: &PluginSwitches,
    loaded: &Loaded<Config>,
    found: &mut Findings<'_>,
) -> Foreign {
    let paths = paths(options, switches, loaded, found.unread.plugins);
    if paths.is_empty() {
        return Foreign::default();
    }
    let how = PluginsFileOptions {
        known_hooks: hooks,
        strict: options.strict,
        settings_without_effect: &WITHOUT_EFFECT,
        ..PluginsFileOptions::new(&options.environment)
    };
    let (file, errors) = PluginsFile::load_partial(&paths, &how);
    // What is wrong in one entry of a list need not keep others from being looked at; what its name is may be.
    let nameless = file.as_ref().and_then(|file| file.node.get("plugins"));
    found.unread.plugins |=
        !errors.is_empty() && (file.is_none() || nameless.is_some_and(|list| place::may_hold(list, "")));
    found.errors.extend(errors);
    match file {
        Some(file) => {
            found.notices.extend(file.notices);
            Foreign {
                entries: file.entries,
                settings: file.settings,
                files: file.files,
                node: Some(file.node),
                plugin_dirs: file.plugin_dirs,
            }
        }
        None => Foreign::default(),
    }
}

/// The plugin files, in order: those configured or else the default one, those given like a configuration file, and
/// the one that the environment names.
fn paths(
    options: &LoadOptions,
    switches: &PluginSwitches,
    loaded: &Loaded<Config>,
    unsure: bool,
) -> Vec<PathBuf> {
    let given = options
        .files
        .iter()
        .filter(|(_, kind)| *kind == FileKind::Plugins)
        .map(|(path, _)| options.path(path));
    let mut paths: Vec<PathBuf> = Vec::new();
    match &loaded.value.plugins_files {
        Some(written) => {
            let node = loaded.node.at("plugins_files");
            for (index, name) in written.clone().into_vec().iter().enumerate() {
                let item = node.and_then(Node::as_list).and_then(|items| items.get(index)).or(node);
                paths.push(place::folder(item, &options.directory).join(name));
            }
        }
        None if !unsure
            && options.defaults
            && switches.config_file.is_none()
            && given.clone().next().is_none() =>
        {
            let default = options.path(DEFAULT_PLUGINS_FILE);
            looked_at::note(&default);
            paths.extend(default.exists().then_some(default));
        }
        None => {}
    }
    paths.extend(given);
    if let Some(named) = switches.config_file.as_ref().filter(|_| options.defaults) {
        let named = options.path(named);
        if !paths.contains(&named) {
            paths.push(named);
        }
    }
    paths
}

fn inline(hooks: &[&str], loaded: &Loaded<Config>, found: &mut Findings<'_>) -> Vec<PluginEntry> {
    let whole = found.unread.whole.unwrap_or(&loaded.node);
    let Some(list) = whole.get("plugins") else { return Vec::new() };
    let rules = EntryRules { known_hooks: hooks, dialect: Dialect::Own, unset: &[] };
    if found.unread.whole.is_some() {
        let (entries, errors) = read_partial_entries(list, "plugins", &rules);
        found.errors.extend(errors);
        return entries;
    }
    match read_entries(list, "plugins", &rules) {
        Ok((entries, notices)) => {
            found.notices.extend(notices);
            entries
        }
        Err(errors) => {
            found.errors.extend(errors.into_list());
            read_partial_entries(list, "plugins", &rules).0
        }
    }
}

fn laid_over(
    mut entries: Vec<PluginEntry>,
    inline: Vec<PluginEntry>,
    found: &mut Findings<'_>,
) -> Vec<PluginEntry> {
    for entry in inline {
        match entries.iter_mut().find(|known| known.name == entry.name) {
            Some(known) => {
                let message = format!("replaces the plugin of this name in {}", known.span);
                found.notice(&format!("{}.name", entry.path), message);
                *known = entry;
            }
            None => entries.push(entry),
        }
    }
    entries
}

/// Keys of the own file over those of plugin files, variables over both.
fn settings(
    foreign: &PluginSettings,
    switches: &PluginSwitches,
    own: Option<&Node>,
    found: &mut Findings<'_>,
) -> PluginSettings {
    let mut settings = foreign.clone();
    if let (Some(serde_json::Value::Object(given)), Ok(serde_json::Value::Object(mut all))) =
        (own.map(Node::to_json), serde_json::to_value(foreign))
    {
        all.extend(given);
        // Both halves have been read as settings before, so this cannot fail.
        let python = foreign.python.clone();
        let own_python = own.is_some_and(|own| own.get("python").is_some());
        settings = serde_json::from_value(all.into()).unwrap_or(settings);
        if !own_python {
            // Its variables do not survive being written out.
            settings.python = python;
        }
    }
    found.notices.extend(settings.notices(own, "plugin_settings", &WITHOUT_EFFECT));
    settings.plugin_timeout = switches.plugin_timeout.unwrap_or(settings.plugin_timeout);
    settings.fail_on_plugin_error = switches.fail_on_plugin_error.unwrap_or(settings.fail_on_plugin_error);
    settings
}

/// What only the framework can check: kinds, configurations, bindings.
fn check(framework: &Framework, plan: &Plan, foreign: Option<&Node>, found: &mut Findings<'_>) {
    let unread = foreign.and_then(|node| node.get("plugins")).filter(|_| !found.errors.is_empty());
    let names: Vec<&String> = plan.entries.iter().map(|entry| &entry.name).collect();
    for (index, binding) in plan.bindings.iter().enumerate() {
        if unread.is_some_and(|list| place::may_hold(list, &binding.plugin)) {
            continue;
        }
        let path = format!("bindings[{index}].plugin");
        super::check::known("plugin", &binding.plugin, names.iter().copied(), &path, found);
    }
    let lists = [foreign, found.unread.whole].into_iter().flatten().filter_map(|node| node.get("plugins"));
    let mut written = lists.filter_map(Node::as_list).flatten().map(|entry| entry.get("name")?.as_str());
    let all_read = !found.unread.plugins
        && written.all(|name| name.is_some_and(|name| names.iter().any(|known| *known == name)));
    found.notices.extend(plan.entries.iter().filter_map(|entry| waiting(framework, entry)));
    match framework.check(plan) {
        Ok(notices) => {
            let placed = notices.into_iter().map(|notice| placed(notice, found));
            let placed: Vec<_> = placed.collect();
            found.notices.extend(placed);
        }
        Err(errors) if !all_read => {
            // What is depended on may be among what could not be read.
            let depends = |error: &Diagnostic| error.path.contains(".dependencies");
            let errors = errors.into_list().into_iter().filter(|error| !depends(error)).collect();
            if let Some(errors) = Errors::from_list(errors) {
                add_errors(errors, plan, found);
            }
        }
        Err(errors) => add_errors(errors, plan, found),
    }
}

/// A word about the settings of an entry that nothing here runs: nobody has looked at their values.
fn waiting(framework: &Framework, entry: &PluginEntry) -> Option<Notice> {
    if !entry.problems.is_empty() || entry.mode == Mode::Disabled {
        return None;
    }
    let settings = ["mcp", "grpc", "unix_socket", "config"];
    let given: Vec<&str> =
        settings.into_iter().filter(|key| entry.given.iter().any(|given| given == key)).collect();
    let first = given.first()?;
    let reason = framework.waits_for(entry)?;
    let shown = given.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(" and ");
    let message = format!("{shown} of `{}` has no effect yet: it {reason}", entry.name);
    let notice = Diagnostic::new(DiagnosticKind::Remark, message).at(entry.place(first).clone());
    Some(notice.path(format!("{}.{first}", entry.path)))
}

/// The framework knows bindings as values without places; where one can be found, it is added.
fn add_errors(errors: Errors, plan: &Plan, found: &mut Findings<'_>) {
    for mut error in errors.into_list() {
        if error.span.is_none() && error.path == "bindings" {
            // A binding of an unknown plugin, told above with its place.
            continue;
        }
        if let (None, Some(field)) = (&error.span, error.path.strip_prefix("bindings.")) {
            let places = (0..plan.bindings.len()).map(|index| format!("bindings[{index}].config.{field}"));
            let place = places.filter_map(|path| Some((found.node(&path)?.span().clone(), path))).next();
            if let Some((span, path)) = place {
                error = error.at(span).path(path);
            }
        }
        let error = placed(error, found);
        found.errors.push(error);
    }
}

/// The same at its place, where only its path is known.
fn placed(error: Diagnostic, found: &Findings<'_>) -> Diagnostic {
    if error.span.is_some() || !error.path.starts_with("bindings[") {
        return error;
    }
    match found.node(&error.path).map(|node| node.span().clone()) {
        Some(span) => error.at(span),
        None => error,
    }
}
