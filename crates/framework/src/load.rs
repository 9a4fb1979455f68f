//! From validated entries to running pipelines.
//!
//! [`Framework`] is what a program that embeds plugins holds: the hook table, the runtimes it was built with, and the
//! current [`Pipelines`]. Building is aside and side-effect free up to the start of the plugins; a set of entries
//! with errors is refused whole, with all errors, and what runs goes on. An entry that is right but cannot run (an
//! absent service, a class that is not there) becomes an unavailable instance: it is listed, and calls it guards are
//! decided by its mode.

mod faults;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use faults::{config_error, faults};
use mortise_plugin_api::{
    HookId, HookTable, Host, Plugin,
    host::{Apps, Http, KeyValue},
};
use serde_json::Value;
use tokio::sync::{Mutex, OwnedMutexGuard, watch};

use crate::{
    background::Background,
    config::{Compiled, Diagnostic, DiagnosticKind, Errors, Mode, Notice, OfferName, PluginEntry, nearest},
    endpoints::{self, Claims},
    essence::Essence,
    host::{AppsOf, HttpOf, LocalHost, Offers, ValuesOf},
    instance::{Instance, State},
    lacking,
    pipeline::{
        self, Member, Pipelines,
        coverage::{Survey, facts::Who},
        scope::Binding,
    },
    registry,
    runtime::Runtime,
    served,
    stage::{Fresh, Layout},
    stats::Stats,
    supervisor::Supervisor,
};

/// Longest time a plugin may take to start or stop.
pub(crate) const LIFECYCLE_PATIENCE: Duration = Duration::from_secs(30);

/// Keys of an entry that are obeyed by some kinds of plugins only, or by none.
const WITHOUT_EFFECT: [&str; 3] = ["applied_to", "capabilities", "max_content_size"];

/// Background tasks at a time: background plugins and post hooks of cancelled calls.
const BACKGROUND_TASKS: usize = 1024;

/// What pipelines are made of.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Validated entries, in file order.
    pub entries: Vec<PluginEntry>,
    /// Bindings, in file order.
    pub bindings: Vec<Binding>,
    /// What holds for all chains.
    pub settings: pipeline::Settings,
    /// Whether plugins are to run at all.
    pub enabled: bool,
    /// Whether plugins that nothing would call are started too.
    pub start_idle: bool,
}

/// Schemas of kinds, compiled once for all entries of a kind.
type Schemas = HashMap<String, Option<Result<Compiled, Diagnostic>>>;

type HostOf = Box<dyn Fn(&Arc<str>) -> Arc<dyn Host> + Send + Sync>;
type Awaited = Box<dyn Fn(&str) -> Option<String> + Send + Sync>;

struct Inner {
    hooks: Arc<HookTable>,
    /// Hooks that this program never runs.
    dormant: HashSet<HookId>,
    runtimes: Vec<Arc<dyn Runtime>>,
    stats: Stats,
    background: Background,
    current: ArcSwap<Pipelines>,
    /// Told whenever other pipelines are put in place.
    changes: watch::Sender<()>,
    host_of: Option<HostOf>,
    offers: Offers,
    awaited: Awaited,
    supervisor: Supervisor,
    /// Held by whoever changes the configuration.
    changing: Arc<Mutex<()>>,
}

/// The plugins of a program.
#[derive(Clone)]
pub struct Framework(Arc<Inner>);

/// What a framework is put together from.
pub struct FrameworkBuilder {
    hooks: HookTable,
    dormant: HashSet<HookId>,
    runtimes: Vec<Arc<dyn Runtime>>,
    host_of: Option<HostOf>,
    awaited: Awaited,
}

impl FrameworkBuilder {
    /// Uses this hook table instead of the standard one.
    #[must_use]
    pub fn hooks(mut self, hooks: HookTable) -> Self {
        self.hooks = hooks;
        self
    }

    /// Says which of the standard hooks this program runs; without a word, all. A plugin at no other hook is not
    /// started.
    #[must_use]
    pub fn live_hooks(mut self, live: &[HookId]) -> Self {
        let standard = HookTable::standard();
        let rows = standard.rows().iter().map(|row| row.id);
        self.dormant = rows.filter(|id| !live.contains(id)).collect();
        self
    }

    /// Adds a runtime. The first that claims a kind gets it.
    #[must_use]
    pub fn runtime(mut self, runtime: impl Runtime + 'static) -> Self {
        self.runtimes.push(Arc::new(runtime));
        self
    }

    /// Gives plugins these host services, by plugin name. Without it they have a [`LocalHost`], with the HTTP client of
    /// [`Framework::offer_http`] where there is one.
    #[must_use]
    pub fn host(mut self, host_of: impl Fn(&Arc<str>) -> Arc<dyn Host> + Send + Sync + 'static) -> Self {
        self.host_of = Some(Box::new(host_of));
        self
    }

    /// Explains kinds that no runtime claims: what such an entry waits for.
    #[must_use]
    pub fn awaited(mut self, awaited: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        self.awaited = Box::new(awaited);
        self
    }

    /// The framework, without plugins yet.
    pub fn build(self) -> Framework {
        let hooks = Arc::new(self.hooks);
        let background = Background::new(BACKGROUND_TASKS);
        let current = ArcSwap::from_pointee(Pipelines::empty(hooks.clone(), background.clone()));
        Framework(Arc::new(Inner {
            hooks,
            dormant: self.dormant,
            runtimes: self.runtimes,
            stats: Stats::default(),
            background,
            current,
            changes: watch::Sender::default(),
            host_of: self.host_of,
            offers: Offers::default(),
            awaited: self.awaited,
            supervisor: Supervisor::default(),
            changing: Arc::default(),
        }))
    }
}

/// An entry together with what claims it.
pub(crate) struct Prepared {
    pub(crate) entry: Arc<PluginEntry>,
    runtime: Option<Arc<dyn Runtime>>,
    pub(crate) hooks: Vec<HookId>,
    pub(crate) config: Value,
    /// Why it is not started although its mode is not `disabled`.
    idle: Option<Arc<str>>,
}

impl Prepared {
    /// Where an instance of it stands instead of being started; `None` when it is to be started.
    pub(crate) fn rest(&self, wanted: bool) -> Option<State> {
        if wanted { self.idle.clone().map(State::Idle) } else { Some(State::Disabled) }
    }

    /// What its code depends on beside the entry.
    pub(crate) fn beside(&self) -> Value {
        self.runtime.as_ref().map_or(Value::Null, |runtime| runtime.beside(&self.entry))
    }

    /// The modes that its code has at some of its hooks where nobody names one.
    pub(crate) fn default_modes(&self) -> Vec<(HookId, Mode)> {
        let modes =
            self.hooks.iter().filter_map(|hook| Some((*hook, self.runtime.as_ref()?.default_mode(*hook)?)));
        modes.collect()
    }

    /// Name of the runtime that claims it, empty where none does.
    pub(crate) fn runtime_name(&self) -> &'static str {
        self.runtime.as_ref().map_or("", |runtime| runtime.name())
    }
}

impl Framework {
    /// Starts putting a framework together.
    pub fn builder() -> FrameworkBuilder {
        FrameworkBuilder {
            hooks: HookTable::standard(),
            dormant: HashSet::new(),
            runtimes: Vec::new(),
            host_of: None,
            awaited: Box::new(|_| None),
        }
    }

    /// The hook table.
    pub fn hooks(&self) -> &Arc<HookTable> {
        &self.0.hooks
    }

    /// The current pipelines: taken once at the start of a request and kept to its end.
    #[inline]
    pub fn pipelines(&self) -> Arc<Pipelines> {
        self.0.current.load_full()
    }

    /// Counters of all plugins.
    pub fn stats(&self) -> &Stats {
        &self.0.stats
    }

    /// Work that outlives its call.
    pub fn background(&self) -> &Background {
        &self.0.background
    }

    /// Offers an HTTP client to plugins that are made from now on, by plugin name, in place of what was offered before.
    /// Apart from the builder since who carries requests needs what is there only once a program runs.
    pub fn offer_http(&self, http_of: impl Fn(&Arc<str>) -> Arc<dyn Http> + Send + Sync + 'static) {
        let http_of: HttpOf = Box::new(http_of);
        self.0.offers.http.store(Some(Arc::new(http_of)));
    }

    /// Schema that `config:` of a kind must match, where whoever runs it knows one.
    #[must_use]
    pub fn config_schema(&self, kind: &str) -> Option<schemars::Schema> {
        self.0.runtimes.iter().find(|runtime| runtime.claims(kind))?.config_schema(kind)
    }

    /// Offers values of their own to plugins that are made from now on, by a plugin's name.
    pub fn offer_values(&self, values_of: impl Fn(&Arc<str>) -> Arc<dyn KeyValue> + Send + Sync + 'static) {
        let values_of: ValuesOf = Box::new(values_of);
        self.0.offers.values.store(Some(Arc::new(values_of)));
    }

    /// Offers what may be known of apps to plugins that are made from now on, by a plugin's name.
    pub fn offer_apps(&self, apps_of: impl Fn(&Arc<str>) -> Arc<dyn Apps> + Send + Sync + 'static) {
        let apps_of: AppsOf = Box::new(apps_of);
        self.0.offers.apps.store(Some(Arc::new(apps_of)));
    }

    fn host(&self, plugin: &Arc<str>) -> Arc<dyn Host> {
        match &self.0.host_of {
            Some(host_of) => host_of(plugin),
            None => Arc::new(LocalHost::with(plugin.clone(), &self.0.offers)),
        }
    }

    /// Checks a plan without starting anything.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn check(&self, plan: &Plan) -> Result<Vec<Notice>, Errors> {
        self.prepare(plan).map(|(_, notices)| notices)
    }

    /// Why an entry of this kind cannot run here; `None` when it can.
    pub fn waits_for(&self, entry: &PluginEntry) -> Option<String> {
        if let Some(problem) = entry.problems.first() {
            return Some(problem.reason.clone());
        }
        if let Some(runtime) = self.0.runtimes.iter().find(|runtime| runtime.claims(&entry.kind)) {
            return runtime.waits_for(entry);
        }
        Some((self.0.awaited)(&entry.kind).unwrap_or_else(|| match entry.kind.as_str() {
            "external" => "waits for external plugin servers, which this build cannot reach".to_owned(),
            kind if kind.contains('.') => format!("waits for a runtime that can load the class {kind}"),
            kind => format!("waits for a runtime of kind {kind}"),
        }))
    }

    /// What the code of an entry depends on beside the entry, such as files; null where that is nothing.
    pub fn beside(&self, entry: &PluginEntry) -> Value {
        let runtime = self.0.runtimes.iter().find(|runtime| runtime.claims(&entry.kind));
        runtime.map_or(Value::Null, |runtime| runtime.beside(entry))
    }

    /// Whether code of this kind is part of this program.
    pub fn is_native(&self, kind: &str) -> bool {
        self.0.runtimes.iter().find(|runtime| runtime.claims(kind)).is_some_and(|runtime| !runtime.foreign())
    }

    /// Entries that would not be started although their mode is not `disabled`, by name, each with the reason.
    pub fn idle(&self, entries: &[PluginEntry]) -> BTreeMap<String, Arc<str>> {
        let hooks_of = |entry: &PluginEntry| self.hooks_of(entry);
        let idle = registry::idle(entries, |entry| entry, hooks_of, &self.0.hooks, &self.0.dormant);
        let named = entries.iter().zip(idle).filter(|(entry, _)| self.waits_for(entry).is_none());
        named.filter_map(|(entry, idle)| Some((entry.name.clone(), idle?))).collect()
    }

    /// Where an entry runs: at the hooks it names, or else at those of its kind.
    pub(crate) fn hooks_of(&self, entry: &PluginEntry) -> Vec<HookId> {
        if !entry.hooks.is_empty() {
            return entry.hooks.iter().filter_map(|name| self.0.hooks.id(name)).collect();
        }
        match self.0.runtimes.iter().find(|runtime| runtime.claims(&entry.kind)) {
            Some(runtime) => runtime.hooks_of(entry).to_vec(),
            // Its server would say which; until it can be asked, a guard must not be missing anywhere.
            None if entry.is_external() => mortise_plugin_api::hooks::MCP_HOOKS.to_vec(),
            None => Vec::new(),
        }
    }

    /// Builds pipelines of a plan and starts all its plugins, beside those that run.
    ///
    /// # Errors
    /// Everything that is wrong with the plan; nothing has been started then.
    pub async fn build(&self, plan: &Plan) -> Result<(Arc<Pipelines>, Vec<Notice>), Errors> {
        let (prepared, notices) = self.prepare(plan)?;
        let Layout { members, listed, fresh } = self.lay_out(plan, &prepared, None, None);
        registry::start_in_order(&fresh, |fresh| &fresh.prepared.entry, |fresh| self.start(fresh)).await;
        Ok((Arc::new(self.compile(plan, &members, listed)), notices))
    }

    pub(crate) fn compile(&self, plan: &Plan, members: &[Member], listed: Vec<Arc<Instance>>) -> Pipelines {
        let (hooks, background) = (self.0.hooks.clone(), self.0.background.clone());
        let settings = pipeline::Settings { enabled: plan.enabled, ..plan.settings.clone() };
        let (members, listed) = served::laid_under(members, listed, &hooks);
        let may_have = |entry: &PluginEntry| self.may_have_endpoints(entry);
        let mounts = if plan.enabled { endpoints::mount(&listed, may_have) } else { Default::default() };
        let mut compiled = pipeline::compile(hooks, &members, listed, settings, background);
        compiled.bindings.clone_from(&plan.bindings);
        compiled.mounts = mounts;
        compiled
    }

    /// Whether the code of an entry that does not say what it offers may have endpoints.
    fn may_have_endpoints(&self, entry: &PluginEntry) -> bool {
        let runtime = self.0.runtimes.iter().find(|runtime| runtime.claims(&entry.kind));
        runtime.is_some_and(|runtime| runtime.may_have_endpoints(entry))
    }

    /// Asks pipelines of this framework which plugins would run for calls of `who`.
    pub fn survey<'a>(&self, pipelines: &'a Pipelines, who: &'a Who) -> Survey<'a> {
        Survey::new(pipelines, |instance| self.hooks_of(&instance.entry), who)
    }

    /// Puts pipelines in place: requests that start from now on use them. Returns those that were there.
    pub fn swap(&self, pipelines: Arc<Pipelines>) -> Arc<Pipelines> {
        let before = self.0.current.swap(pipelines);
        self.0.changes.send_replace(());
        before
    }

    /// Tells whenever other pipelines are put in place.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.0.changes.subscribe()
    }

    /// Stops every plugin of pipelines that are no longer used, in reverse order.
    pub async fn stop(&self, pipelines: &Pipelines) {
        for instance in pipelines.all_instances().iter().rev() {
            instance.stop(LIFECYCLE_PATIENCE).await;
        }
    }

    /// Waits for background work, then stops all plugins, those that were replaced and have not ended too.
    pub async fn shutdown(&self, patience: Duration) {
        let left = self.0.background.drain(patience).await;
        if left > 0 {
            tracing::warn!(left, "background work did not end in time");
        }
        self.0.supervisor.shutdown(patience).await;
        self.stop(&self.pipelines()).await;
    }

    /// Instances that are no longer part of the configuration and still serve requests that began before.
    pub fn draining(&self) -> usize {
        self.0.supervisor.draining()
    }

    pub(crate) fn supervisor(&self) -> &Supervisor {
        &self.0.supervisor
    }

    /// Waits until no other change of the configuration is under way.
    pub(crate) async fn turn(&self) -> OwnedMutexGuard<()> {
        self.0.changing.clone().lock_owned().await
    }

    pub(crate) fn instance(&self, prepared: &Prepared, essence: Essence) -> Arc<Instance> {
        let name: Arc<str> = prepared.entry.name.as_str().into();
        let foreign = prepared.runtime.as_ref().is_some_and(|runtime| runtime.foreign());
        let (entry, runtime) = (prepared.entry.clone(), prepared.runtime_name());
        let (stats, host) = (self.0.stats.of(&name), self.host(&name));
        Arc::new(Instance::new(entry, runtime, foreign, stats, host).identified(essence))
    }

    /// Starts an instance, or says why it cannot run. Never fails: an unavailable plugin is a state.
    pub(crate) async fn start(&self, fresh: &Fresh<'_>) {
        if let Some(plugin) = self.create(fresh) {
            fresh.instance.start(plugin, None, LIFECYCLE_PATIENCE).await;
        }
    }

    /// Makes the plugin of an instance, or says why it cannot run.
    pub(crate) fn create(&self, fresh: &Fresh<'_>) -> Option<Arc<dyn Plugin>> {
        let (instance, prepared) = (&fresh.instance, fresh.prepared);
        if let Some(reason) = self.waits_for(&prepared.entry) {
            tracing::warn!(plugin = &*instance.name, kind = prepared.entry.kind, reason, "plugin cannot run");
            instance.set_state(State::Unavailable(reason.into()));
            return None;
        }
        match prepared.runtime.as_ref()?.create(&prepared.entry, &fresh.config) {
            Ok(plugin) => Some(plugin),
            Err(error) => {
                instance.set_state(State::Unavailable(error.to_string().into()));
                None
            }
        }
    }

    pub(crate) fn prepare(&self, plan: &Plan) -> Result<(Vec<Prepared>, Vec<Notice>), Errors> {
        let (mut errors, mut notices, mut all) = (Vec::new(), Vec::new(), Vec::new());
        let (mut schemas, mut claims) = (Schemas::new(), Claims::default());
        for entry in &plan.entries {
            if let Some(prepared) = self.prepare_entry(entry, &mut schemas, &mut errors, &mut notices) {
                self.check_bindings(plan, &prepared, &mut errors);
                all.push(prepared);
            }
            match endpoints::check(entry, || self.may_have_endpoints(entry), &mut claims) {
                Ok(word) => notices.extend(word),
                Err(error) => errors.push(error),
            }
        }
        let names: BTreeMap<&str, ()> = plan.entries.iter().map(|e| (e.name.as_str(), ())).collect();
        for binding in plan.bindings.iter().filter(|b| !names.contains_key(b.plugin.as_str())) {
            let near = nearest(&binding.plugin, names.keys().copied());
            let message = format!("binding names the plugin `{}`, which is not configured", binding.plugin);
            let error = Diagnostic::new(DiagnosticKind::InvalidValue, message).path("bindings");
            errors.push(if near.is_empty() {
                error
            } else {
                error.help(format!("did you mean `{}`?", near[0]))
            });
        }
        self.check_scopes(plan, &all, &mut errors, &mut notices);
        let (found, remarks) = registry::check(&plan.entries);
        errors.extend(found);
        notices.extend(remarks);
        if let Some(errors) = Errors::from_list(errors) {
            return Err(errors);
        }
        registry::sort(&mut all, |prepared| &prepared.entry);
        let mut idle = if plan.start_idle { BTreeMap::new() } else { self.idle(&plan.entries) };
        for prepared in &mut all {
            prepared.idle = idle.remove(&prepared.entry.name);
        }
        Ok((all, notices))
    }

    fn prepare_entry(
        &self,
        entry: &PluginEntry,
        schemas: &mut Schemas,
        errors: &mut Vec<Diagnostic>,
        notices: &mut Vec<Notice>,
    ) -> Option<Prepared> {
        let runtime = self.0.runtimes.iter().find(|runtime| runtime.claims(&entry.kind)).cloned();
        let goes_by = |key: &str| runtime.as_ref().is_some_and(|runtime| runtime.goes_by(&entry.kind, key));
        let given = |key: &&&str| entry.given.iter().any(|given| given == **key);
        for key in WITHOUT_EFFECT.iter().filter(given).filter(|key| !goes_by(key)) {
            let message = format!("`{key}` is accepted and has no effect here");
            let notice = Diagnostic::new(DiagnosticKind::Remark, message);
            notices.push(notice.at(entry.place(key).clone()).path(format!("{}.{key}", entry.path)));
        }
        for offer in entry.offers.iter().filter(|offer| **offer != OfferName::CustomEndpoint) {
            let message = format!("the offer `{}` is accepted and has no effect yet", offer.word());
            let notice = Diagnostic::new(DiagnosticKind::Remark, message);
            notices.push(notice.at(entry.place("offers").clone()).path(format!("{}.offers", entry.path)));
        }
        let mut config = Value::Object(entry.config_json.clone());
        if runtime.is_none() && entry.kind.starts_with("builtin.") {
            errors.push(self.no_such_kind(entry));
        }
        let schema = schemas.entry(entry.kind.clone()).or_insert_with(|| {
            let schema = runtime.as_ref().and_then(|runtime| runtime.config_schema(&entry.kind));
            schema.map(|schema| Compiled::new(&schema))
        });
        if let (Some(schema), true) = (&*schema, entry.problems.is_empty()) {
            let checked = schema.as_ref().map_err(|error| Errors::from(error.clone()));
            match checked.and_then(|schema| entry.check_config(schema)) {
                Ok(checked) => {
                    config = checked.node.to_json();
                    notices.extend(checked.notices);
                }
                Err(found) => {
                    errors.extend(found.into_list());
                    if let (Some(runtime), Ok(schema)) = (&runtime, schema) {
                        errors.extend(faults(entry, &**runtime, Some(schema)));
                    }
                    return None;
                }
            }
        }
        if let (Some(runtime), true) = (&runtime, entry.problems.is_empty()) {
            match runtime.create(entry, &config) {
                // What runs elsewhere says only once it has started what it has.
                Ok(_) if runtime.foreign() => {}
                Ok(plugin) => {
                    let mut found = lacking::check(entry, &*plugin, &self.0.hooks);
                    found.extend(lacking::endpoints(entry, plugin));
                    let worse = if entry.dialect.is_foreign() { &mut *notices } else { &mut *errors };
                    worse.extend(found);
                }
                Err(error) => {
                    let schema = schema.as_ref().and_then(|schema| schema.as_ref().ok());
                    let found = faults(entry, &**runtime, schema);
                    if found.is_empty() {
                        errors.push(config_error(entry, &error.field, &error.message));
                    }
                    errors.extend(found);
                    return None;
                }
            }
        }
        let hooks = self.hooks_of(entry);
        Some(Prepared { entry: Arc::new(entry.clone()), runtime, hooks, config, idle: None })
    }

    /// The schema of an entry's own configuration, as its code knows it that does not run: it may be started for that,
    /// and no more.
    pub async fn own_schema(&self, entry: &PluginEntry) -> Option<Value> {
        let runtime = self.0.runtimes.iter().find(|runtime| runtime.claims(&entry.kind))?;
        let plugin = runtime.create(entry, &Value::Object(entry.config_json.clone())).ok()?;
        plugin.config_schema().await
    }

    /// What an entry that runs cannot do: the hooks it lists that its kind does not have. `None` where it has all, or
    /// only its runtime could tell.
    pub fn lacks(&self, entry: &PluginEntry) -> Option<String> {
        let runtime = self.0.runtimes.iter().find(|runtime| runtime.claims(&entry.kind))?;
        if runtime.foreign() || entry.hooks.is_empty() || !entry.problems.is_empty() {
            return None;
        }
        let checked = match runtime.config_schema(&entry.kind) {
            Some(schema) => entry.check_config(&Compiled::new(&schema).ok()?).ok()?.node.to_json(),
            None => Value::Object(entry.config_json.clone()),
        };
        let plugin = runtime.create(entry, &checked).ok()?;
        lacking::reason(&lacking::hooks(entry, &*plugin, &self.0.hooks))
    }
}

/// A binding's keys over a plugin's own.
pub(crate) fn merged(config: &Value, over: &serde_json::Map<String, Value>) -> Value {
    let mut merged = config.as_object().cloned().unwrap_or_default();
    merged.extend(over.clone());
    Value::Object(merged)
}

impl std::fmt::Debug for Framework {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Framework").field("pipelines", &self.pipelines()).finish_non_exhaustive()
    }
}
