//! A configured Python class as a plugin.

use std::{
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use mortise_framework::config::PluginEntry;
use mortise_plugin_api::{
    Answer, Call, Context, Fut, HookId, HookSpec, HookTable, Init, Needs, Outcome, Part, Plugin, PluginError,
    Wire,
    wire::{WireContext, WireResult},
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{
    ISOLATED,
    home::Home,
    pool::{Lease, Pool},
    process::Launch,
    source::Source,
    worker::{Failure, Worker},
};

/// How long a start waits for what is installed; less than a start may take, so that the reason is ours.
const INSTALL_PATIENCE: Duration = Duration::from_secs(27);

/// Time for a plugin to end.
const END: Duration = Duration::from_secs(5);

/// One entry that runs a Python class.
pub(crate) struct PythonPlugin {
    hooks: Arc<HookTable>,
    pool: Arc<Pool>,
    entry: PluginEntry,
    source: Source,
    config: Value,
    running: OnceLock<Running>,
}

struct Running {
    worker: Arc<Worker>,
    number: u64,
    hooks: Vec<HookId>,
    lease: Mutex<Option<Lease>>,
}

/// An answer.
#[derive(Deserialize)]
struct AnswerFrame {
    result: Option<WireResult>,
    context: Option<WireContext>,
    error: Option<Failure>,
    unavailable: Option<String>,
    #[serde(default)]
    cancelled: bool,
}

impl PythonPlugin {
    /// The plugin of an entry and its checked configuration.
    pub(crate) fn new(
        hooks: Arc<HookTable>,
        pool: Arc<Pool>,
        entry: &PluginEntry,
        source: Source,
        config: &Value,
    ) -> Self {
        Self { hooks, pool, entry: entry.clone(), source, config: config.clone(), running: OnceLock::new() }
    }

    async fn start(&self, init: Init) -> Result<(), PluginError> {
        let settings = &self.entry.surroundings.python;
        let interpreter = match Home::of(&self.entry).map_err(PluginError::Unavailable)? {
            Home::Interpreter(path) => path,
            Home::Made(recipe) => {
                let ready = self.pool.installs().ready(&recipe, settings.install_timeout.0, &init.host);
                match tokio::time::timeout(INSTALL_PATIENCE, ready).await {
                    Ok(Ok(path)) => path,
                    Ok(Err(why)) => return Err(PluginError::Unavailable(why.to_string())),
                    Err(_) => {
                        let why = "its virtual environment is still being made; reload when it is ready";
                        return Err(PluginError::Unavailable(why.to_owned()));
                    }
                }
            }
        };
        let lease = self.pool.join(&self.launch(interpreter), &self.source);
        let worker = lease.worker().clone();
        let (number, found) = worker.load(self.request().as_bytes(), init.host.clone()).await?;
        let hooks = found.iter().filter_map(|name| self.hooks.id(name)).collect();
        let running = Running { worker, number, hooks, lease: Mutex::new(Some(lease)) };
        self.running.set(running).map_err(|_| PluginError::Unavailable("it was started before".to_owned()))
    }

    fn launch(&self, interpreter: std::path::PathBuf) -> Launch {
        let (around, settings) = (&self.entry.surroundings, &self.entry.surroundings.python);
        let group = match &self.entry.namespace {
            _ if self.entry.kind == ISOLATED => format!("plugin {}", self.entry.name),
            Some(namespace) => format!("namespace {namespace}"),
            None => "shared".to_owned(),
        };
        Launch {
            interpreter,
            group,
            directory: std::path::absolute(&around.directory).unwrap_or_else(|_| around.directory.clone()),
            memory_mb: settings.memory_mb,
            stuck_after: settings.debug.is_none().then_some(settings.stuck_after.0),
            env: settings.env.clone(),
            debug: settings.debug.clone().map(|address| (address, settings.debug_wait)),
        }
    }

    /// The members of the request that loads it, after its number.
    fn request(&self) -> String {
        let names = |written: &String| {
            let row = self.hooks.get(written)?;
            let others = row.aliases.iter().map(|alias| Value::from(*alias));
            let all = [row.name.as_ref().into(), written.as_str().into()].into_iter().chain(others);
            Some(Value::Array(all.collect()))
        };
        let hooks: Vec<Value> = self.entry.hooks.iter().filter_map(names).collect();
        let (class, folders) = (Value::from(self.source.class()), json!(self.source.folders()));
        format!(
            r#""class":{class},"folders":{folders},"hooks":{},"config":{}"#,
            Value::Array(hooks),
            self.configuration()
        )
    }

    /// The entry as its code sees it.
    fn configuration(&self) -> Value {
        let entry = &self.entry;
        let conditions: Vec<Value> = entry
            .conditions
            .iter()
            .map(|condition| {
                let fields = json!(condition).as_object().cloned().unwrap_or_default();
                let given = fields
                    .into_iter()
                    .filter(|(_, value)| value.as_array().is_none_or(|list| !list.is_empty()));
                Value::Object(given.collect())
            })
            .collect();
        let fields = json!({
            "name": entry.name, "kind": entry.kind, "description": entry.description, "author": entry.author,
            "version": entry.version, "namespace": entry.namespace, "hooks": entry.hooks, "tags": entry.tags,
            "mode": entry.mode.word(), "on_error": entry.on_error, "priority": entry.priority,
            "conditions": conditions, "applied_to": entry.applied_to, "config": self.config,
        });
        let fields: Map<String, Value> = fields.as_object().cloned().unwrap_or_default();
        // What is not said is left to the class' own defaults.
        Value::Object(fields.into_iter().filter(|(_, value)| !value.is_null()).collect())
    }

    fn running(&self) -> Result<&Running, PluginError> {
        self.running.get().ok_or_else(|| PluginError::Unavailable("it has not been started".to_owned()))
    }

    async fn exchange(&self, spec: &HookSpec, call: Call<'_>, mut context: Context<'_>) -> Outcome {
        let running = self.running()?;
        if let Part::Window { .. } = call.part {
            return Err(PluginError::failed("this runtime takes no windows: it asked for complete bodies"));
        }
        let payload = call.payload.json(Wire::Json)?;
        let shown = serde_json::to_vec(&WireContext::of(call.request, &context))
            .map_err(|error| PluginError::failed(format!("its context could not be encoded: {error}")))?;
        let head = format!(
            r#""do":"call","plugin":{},"hook":{},"end":"{}","payload":"#,
            running.number,
            Value::from(&*spec.name),
            call.end.word()
        );
        if let Some(why) = running.worker.lost(running.number) {
            return Err(PluginError::Unavailable(why.to_string()));
        }
        self.within_size(head.len() + payload.len() + shown.len())?;
        let link = running.worker.link().await?;
        let answer = link.request(&[head.as_bytes(), payload, br#","context":"#, &shown]).await?;
        read(&answer, spec, &mut context)
    }

    /// The bound on messages to a class in an environment of its own.
    fn within_size(&self, bytes: usize) -> Result<(), PluginError> {
        let most = self.entry.max_content_size;
        if self.entry.kind != ISOLATED || bytes as u64 <= most {
            return Ok(());
        }
        Err(PluginError::failed(format!(
            "the call of {bytes} bytes is longer than its `max_content_size` of {most}"
        )))
    }

    async fn stop(&self) {
        let Some(running) = self.running.get() else { return };
        let unload = running.worker.unload(running.number);
        let _ = tokio::time::timeout(END, unload).await;
        let lease = running.lease.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(lease);
        if !running.worker.is_wanted() {
            let _ = tokio::time::timeout(END, running.worker.ended()).await;
        }
    }
}

fn read(answer: &Bytes, spec: &HookSpec, context: &mut Context<'_>) -> Outcome {
    let answer: AnswerFrame = serde_json::from_slice(answer)
        .map_err(|error| PluginError::InvalidAnswer(format!("no answer to {}: {error}", spec.name)))?;
    if let Some(left) = answer.context {
        left.merge_into(context);
    }
    match (answer.result, answer.error, answer.unavailable) {
        (Some(result), None, None) => result.into_reply(spec, Wire::Json),
        (_, Some(failure), _) => Err(failure.into()),
        (_, _, Some(why)) => Err(PluginError::Unavailable(why)),
        (None, None, None) if answer.cancelled => Err(PluginError::failed("it cancelled itself")),
        (None, None, None) => Err(PluginError::InvalidAnswer("neither result nor error".to_owned())),
    }
}

impl Plugin for PythonPlugin {
    /// Of foreign code nothing is known: it may change everything.
    fn needs(&self, hook: HookId) -> Option<Needs> {
        self.running.get()?.hooks.contains(&hook).then(Needs::change)
    }

    fn call<'a>(&'a self, call: Call<'a>, context: Context<'a>) -> Answer<'a> {
        match self.hooks.spec(call.hook) {
            Some(spec) => Answer::Later(Box::pin(self.exchange(spec, call, context))),
            None => Answer::Ready(Err(PluginError::failed("the hook is of another table"))),
        }
    }

    fn initialize(&self, init: Init) -> Fut<'_, Result<(), PluginError>> {
        Box::pin(self.start(init))
    }

    /// What a class remembers beyond a request is its own; there is no word for handing it over.
    fn hands_over(&self) -> bool {
        false
    }

    fn health(&self) -> Fut<'_, Result<(), PluginError>> {
        let healthy = self.running().and_then(|running| match running.worker.lost(running.number) {
            Some(why) => Err(PluginError::Unavailable(why.to_string())),
            None => running.worker.health(),
        });
        Box::pin(std::future::ready(healthy))
    }

    fn process_id(&self) -> Option<u32> {
        let pid = self.running.get()?.worker.pid();
        u32::try_from(pid).ok().filter(|pid| *pid != 0)
    }

    fn shutdown(&self) -> Fut<'_, ()> {
        Box::pin(self.stop())
    }
}
