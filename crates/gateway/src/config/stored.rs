//! Plugins that are kept in storage, as entries like those of files.
//!
//! What is wrong with one costs that one and never the gateway: it may have been right when it was written, for another
//! version or another gateway. So it is a notice, and whoever changes it is told.

use std::sync::Arc;

use mortise_framework::{
    Framework, Plan,
    config::{
        Diagnostic, DiagnosticKind, Dialect, EntryRules, Errors, Mode, Node, PluginEntry, Source,
        Surroundings, read_entries,
    },
    pipeline::scope::{Binding, Required, Scope},
};
use mortise_store::{Llm, Plugin, Stored};
use serde_json::{Map, Value, json};

use super::{
    Config, LlmConfig, LoadOptions, llm as config_llm,
    place::{self, Findings},
};

/// Where such an entry stands, as diagnostics say it.
const PLACE: &str = "storage";

/// How the paths of what is kept in storage begin.
pub const STORED: &str = "stored";

/// What is kept in storage of what gateways are configured by.
#[derive(Clone, Debug, Default)]
pub struct Kept {
    /// Plugins.
    pub plugins: Vec<Stored<Plugin>>,
    /// LLMs.
    pub llms: Vec<Stored<Llm>>,
}

/// What storage adds to a plan.
#[derive(Default)]
struct Additions {
    entries: Vec<PluginEntry>,
    bindings: Vec<Binding>,
    /// Entries as they would stand in a file, by name.
    nodes: Vec<(String, Node)>,
    /// Those that cannot be used, and why.
    refused: Vec<(String, Errors)>,
}

/// Whether an entry is from storage.
#[must_use]
pub fn is_stored(entry: &PluginEntry) -> bool {
    entry.span.file() == PLACE
}

/// The entries and bindings of what is active, beside a plan of files. A name that a file has is the file's.
fn additions(
    kept: &Kept,
    framework: &Framework,
    configured: &Plan,
    surroundings: &Arc<Surroundings>,
) -> Additions {
    let hooks = framework.hooks().names();
    let rules = EntryRules { known_hooks: &hooks, dialect: Dialect::Own, unset: &[] };
    let mut additions = Additions::default();
    for plugin in &kept.plugins {
        let name = plugin.fields.name.clone();
        if configured.entries.iter().any(|entry| entry.name == name) {
            let message = format!("a file has a plugin `{name}`; the one in storage does not run");
            additions.refuse(name, Diagnostic::new(DiagnosticKind::Duplicate, message).into());
            continue;
        }
        let span = Source::from_text(PLACE, "").start();
        let node = Node::from_json(&entry(&plugin.fields), &span);
        let list = Node::from_json(&json!([entry(&plugin.fields)]), &span);
        match read_entries(&list, "plugins", &rules) {
            Ok((mut read, _)) => {
                for mut entry in read.drain(..) {
                    entry.path = format!("{STORED}.plugins[{name}]");
                    entry.surroundings = surroundings.clone();
                    additions.bind(&plugin.fields, &mut entry);
                    additions.entries.push(entry);
                }
                additions.nodes.push((name, node));
            }
            Err(errors) => additions.refuse(name, errors),
        }
    }
    for llm in kept.llms.iter().filter(|llm| llm.fields.active) {
        for (order, plugin) in (1..).zip(&llm.fields.plugins) {
            let mut entries = configured.entries.iter().chain(&additions.entries);
            if entries.any(|entry| entry.name == *plugin) {
                let binding = bound(plugin, &llm.fields.name, Some(order), None);
                additions.bindings.push(binding);
            }
        }
    }
    additions.only_what_fits(framework, configured);
    additions
}

impl Additions {
    fn refuse(&mut self, name: String, errors: Errors) {
        self.refused.push((name, errors));
    }

    /// A plugin of certain LLMs runs there and nowhere else.
    fn bind(&mut self, plugin: &Plugin, entry: &mut PluginEntry) {
        if !plugin.active {
            entry.mode = Mode::Disabled;
        }
        if plugin.llms.is_empty() || entry.mode == Mode::Disabled {
            return;
        }
        for llm in &plugin.llms {
            self.bindings.push(bound(&plugin.name, llm, Some(plugin.order), Some(entry.mode)));
        }
        entry.mode = Mode::Disabled;
    }

    /// Leaves out what the framework refuses.
    fn only_what_fits(&mut self, framework: &Framework, configured: &Plan) {
        if self.entries.is_empty() && self.bindings.is_empty() {
            return;
        }
        let plan = self.over(configured);
        if framework.check(&plan).is_ok() || framework.check(configured).is_err() {
            return;
        }
        let (entries, bindings) = (std::mem::take(&mut self.entries), std::mem::take(&mut self.bindings));
        for entry in entries {
            let name = entry.name.clone();
            let own = bindings.iter().filter(|binding| binding.plugin == name).cloned();
            let before = self.bindings.len();
            self.bindings.extend(own);
            self.entries.push(entry);
            if let Err(errors) = framework.check(&self.over(configured)) {
                self.entries.pop();
                self.bindings.truncate(before);
                self.nodes.retain(|(known, _)| *known != name);
                self.refuse(name, errors);
            }
        }
    }

    /// The plan with what is added.
    fn over(&self, configured: &Plan) -> Plan {
        let mut plan = configured.clone();
        plan.entries.extend(self.entries.iter().cloned());
        plan.bindings.extend(self.bindings.iter().cloned());
        plan
    }
}

/// Adds what is kept to a plan. What is wrong with one that has to be right is an error, with others a notice. Gives
/// back what was added, each at its path in the outline.
pub(super) fn over(
    options: &LoadOptions,
    framework: &Framework,
    configured: &mut Plan,
    surroundings: &Arc<Surroundings>,
    found: &mut Findings<'_>,
) -> Vec<(String, Node)> {
    if options.kept.plugins.is_empty() && options.kept.llms.iter().all(|llm| llm.fields.plugins.is_empty()) {
        return Vec::new();
    }
    let additions = additions(&options.kept, framework, configured, surroundings);
    *configured = additions.over(configured);
    for (name, errors) in additions.refused {
        tell(options, "plugins", &name, errors.into_list(), found);
    }
    let path = |(name, node)| (format!("plugins[{name}]"), node);
    additions.nodes.into_iter().map(path).collect()
}

/// The LLMs that are kept. What is wrong is told as for plugins.
pub(super) fn llms(
    options: &LoadOptions,
    config: &Config,
    found: &mut Findings<'_>,
) -> (Vec<config_llm::Llm>, Vec<(String, Node)>) {
    let (mut llms, mut nodes) = (Vec::new(), Vec::new());
    let kept = &options.kept.llms;
    let names = config.llms.keys().chain(kept.iter().map(|llm| &llm.fields.name));
    for llm in kept {
        let name = &llm.fields.name;
        let before = found.errors.len();
        if config.llms.contains_key(name) {
            found.error(STORED, "a file has an LLM of this name; the one in storage is not served");
        } else {
            match llm_config(&llm.fields, options) {
                Ok(raw) => {
                    if let Some(mut settled) = config_llm::settle(name, &raw, names.clone(), found) {
                        settled.slug = Some(llm.fields.slug());
                        let span = Source::from_text(PLACE, "").start();
                        let shown = serde_json::to_value(&llm.fields).unwrap_or_default();
                        nodes.push((place::key("llms", name), Node::from_json(&shown, &span)));
                        llms.push(settled);
                    }
                }
                Err(why) => drop(found.error(STORED, why)),
            }
        }
        let errors = found.errors.split_off(before);
        tell(options, "llms", name, errors, found);
    }
    (llms, nodes)
}

/// A stored LLM as it would be written in a file, its key looked up.
fn llm_config(llm: &Llm, options: &LoadOptions) -> Result<LlmConfig, String> {
    let mut raw: Map<String, Value> = llm.entry.clone();
    let mut put = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            raw.insert(key.to_owned(), value);
        }
    };
    let text = |text: &Option<String>| text.clone().map(Value::from);
    put("vendor", Some(llm.vendor.as_str().into()));
    put("active", Some(llm.active.into()));
    put("description", text(&llm.description));
    put("endpoint", text(&llm.endpoint));
    put("default_model", text(&llm.default_model));
    put("models", llm.models.clone().map(Value::from));
    put("monthly_budget", llm.monthly_budget.map(Value::from));
    put("rate_limit", llm.rate_limit.map(Value::from));
    put("token_limit", llm.token_limit.map(Value::from));
    if let Some(key) = &llm.api_key {
        put("api_key", Some(looked_up(key, options)?.into()));
    }
    serde_path_to_error::deserialize(Value::Object(raw)).map_err(|error| error.to_string())
}

/// What `${NAME}`, `${file:PATH}` or `${vault:PATH#KEY}` stands for.
fn looked_up(reference: &str, options: &LoadOptions) -> Result<String, String> {
    let inner = reference.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')).unwrap_or(reference);
    let stored = |(scheme, rest)| Some((options.environment.store(scheme)?, rest));
    if let Some((store, rest)) = inner.split_once(':').and_then(stored) {
        return store.look_up(rest).map_err(|why| format!("{reference} {why}"));
    }
    match inner.strip_prefix("file:") {
        Some(path) => {
            let text = std::fs::read_to_string(options.path(path));
            text.map(|text| text.trim_end().to_owned()).map_err(|error| format!("reading {path}: {error}"))
        }
        None => {
            let value = options.environment.get(inner);
            value.map(str::to_owned).ok_or_else(|| format!("the variable {inner} is not set"))
        }
    }
}

/// Makes an error of what has to be right, and a notice of what costs only itself.
fn tell(options: &LoadOptions, section: &str, name: &str, errors: Vec<Diagnostic>, found: &mut Findings<'_>) {
    for mut error in errors {
        if options.must_fit.as_deref() == Some(name) {
            found.errors.push(error);
            continue;
        }
        error.message = format!("what storage has as `{name}` does not run: {}", error.message);
        error.path = format!("{STORED}.{section}[{name}]");
        error.kind = DiagnosticKind::Remark;
        error.span = None;
        found.notices.push(error);
    }
}

fn bound(plugin: &str, llm: &str, order: Option<i64>, mode: Option<Mode>) -> Binding {
    Binding {
        plugin: plugin.to_owned(),
        scope: Scope { llm: Some(llm.to_owned()), ..Scope::default() },
        order,
        mode,
        on_error: None,
        config: None,
        required: Required::default(),
    }
}

/// A stored plugin as it would be written in a file.
#[must_use]
pub fn entry(plugin: &Plugin) -> Value {
    let mut entry: Map<String, Value> = plugin.entry.clone();
    let mut config = plugin.config.clone();
    if let Some(slug) = &plugin.slug {
        config.insert("slug".to_owned(), slug.as_str().into());
    }
    let mut put = |key: &str, value: Value| entry.insert(key.to_owned(), value);
    put("name", plugin.name.as_str().into());
    put("kind", plugin.kind.as_str().into());
    put("priority", plugin.order.into());
    if !config.is_empty() {
        put("config", config.into());
    }
    for (key, words) in
        [("command", &plugin.command), ("hooks", &plugin.hook_types), ("offers", &plugin.offers)]
    {
        if !words.is_empty() {
            put(key, words.clone().into());
        }
    }
    if let Some(description) = &plugin.description {
        put("description", description.as_str().into());
    }
    if !plugin.namespace.is_empty() {
        put("namespace", plugin.namespace.as_str().into());
    }
    if plugin.kind == "process" {
        let process = entry.entry("process").or_insert_with(|| json!({}));
        if let Some(checksum) = &plugin.checksum {
            process["sha256"] = checksum.as_str().into();
        }
        // What nobody has approved is not given.
        let approved = plugin.scopes_approved == Some(true);
        process["services"] = if approved { plugin.scopes.clone().into() } else { json!([]) };
    }
    entry.into()
}
