//! A call of the gateway as a call of the plugin at a hook: with its request, what plugins share, and a time limit.

use std::{
    any::Any,
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use mortise_plugin_api::{
    Call, Caller, Change, Context, End, Hook, Host, Part, Plugin, PluginError, Reply, Request, Revision,
    Violation,
    context::{Shared, State},
};
use mortise_proto::tyk::plugin::PluginContext;
use serde_json::{Map, Value};
use tonic::metadata::MetadataMap;

use crate::{call, memory::Memory};

/// How long a call may take where the gateway does not say.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the plugin decided, in the type of its hook.
pub(super) enum Decided<C> {
    /// It lets the call pass, or has nothing there.
    Pass,
    Block(Box<Violation>),
    Change(C),
}

/// Who calls, and what is known of it.
pub(super) struct Asked {
    pub(super) request: Request,
    /// What plugins of the request share.
    pub(super) shared: Map<String, Value>,
    pub(super) patience: Duration,
}

impl Asked {
    /// Reads what the gateway tells of a call.
    pub(super) fn of(about: Option<&PluginContext>, metadata: &MetadataMap) -> Self {
        let empty = PluginContext::default();
        let about = about.unwrap_or(&empty);
        let number = |number: u32| (number != 0).then(|| Arc::<str>::from(number.to_string()));
        let mut request = Request::new(about.request_id.as_str());
        request.caller =
            Arc::new(Caller { app: number(about.app_id), user: number(about.user_id), ..Caller::default() });
        request.upstream = Some(about.llm_slug.as_str()).filter(|slug| !slug.is_empty()).map(Arc::from);
        request.traceparent = about.trace_context.get("traceparent").map(|trace| Arc::from(trace.as_str()));
        let texts = about.metadata.iter().map(|(key, text)| (key.clone(), Value::from(text.as_str())));
        Self { request, shared: texts.collect(), patience: patience(metadata) }
    }

    /// The same caller, as the gateway's own record has them.
    pub(super) fn by(mut self, user: &str, app: &str) -> Self {
        let named = |name: &str| Some(name).filter(|name| !name.is_empty()).map(Arc::<str>::from);
        let caller = Caller {
            user: named(user).or_else(|| self.request.caller.user.clone()),
            app: named(app).filter(|app| &**app != "0").or_else(|| self.request.caller.app.clone()),
            ..Caller::default()
        };
        self.request.caller = Arc::new(caller);
        self
    }
}

/// The time limit that a call came with: `29999m`, `30S`, ….
fn patience(metadata: &MetadataMap) -> Duration {
    let text = metadata.get("grpc-timeout").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let Some((at, unit)) = text.char_indices().next_back() else { return PATIENCE };
    let Ok(count) = text[..at].parse::<u64>() else { return PATIENCE };
    match unit {
        'H' => Duration::from_secs(count.saturating_mul(3600)),
        'M' => Duration::from_secs(count.saturating_mul(60)),
        'S' => Duration::from_secs(count),
        'm' => Duration::from_millis(count),
        'u' => Duration::from_micros(count),
        'n' => Duration::from_nanos(count),
        _ => PATIENCE,
    }
}

/// The plugin, and what it keeps of requests between its hooks.
pub(super) struct Asking {
    plugin: Arc<dyn Plugin>,
    host: Arc<dyn Host>,
    name: Arc<str>,
    memory: Memory,
    /// For requests without an id, which must not find what others have left.
    nameless: AtomicU64,
}

impl Asking {
    pub(super) fn new(plugin: Arc<dyn Plugin>, host: Arc<dyn Host>, name: &str) -> Self {
        Self { plugin, host, name: name.into(), memory: Memory::default(), nameless: AtomicU64::new(0) }
    }

    pub(super) fn plugin(&self) -> &Arc<dyn Plugin> {
        &self.plugin
    }

    pub(super) fn host(&self) -> &Arc<dyn Host> {
        &self.host
    }

    /// Asks the plugin at a hook; beside what it decided, the texts it leaves to the plugins after it.
    pub(super) async fn ask<H: Hook>(
        &self,
        payload: H::Payload,
        part: Part<'_>,
        mut asked: Asked,
    ) -> Result<(Decided<H::Change>, HashMap<String, String>), PluginError> {
        if self.plugin.needs(H::ID).is_none() {
            return Ok((Decided::Pass, HashMap::new()));
        }
        if asked.request.id.is_empty() {
            asked.request.id = format!("nameless-{}", self.nameless.fetch_add(1, Relaxed)).into();
        }
        let payload = Revision::new(Box::new(payload));
        let base = Shared { state: asked.shared, metadata: Map::new() };
        let kept = self.memory.take(&asked.request.id, &self.name);
        let mut own: Option<Box<State>> = kept.and_then(|kept| kept.downcast().ok());
        let mut patch = None;
        let context = Context::new(&mut own, &base, &mut patch);
        let call = Call {
            hook: H::ID,
            payload: &payload,
            part,
            request: &asked.request,
            end: End::Ok,
            deadline: self.host.instant() + asked.patience,
            host: &*self.host,
        };
        let reply = call::ask(&*self.plugin, call, context, asked.patience).await;
        if let Some(own) = own.filter(|own| !own.is_empty()) {
            let own: Box<dyn Any + Send + Sync> = own;
            self.memory.keep(&asked.request.id, &self.name, own, Instant::now());
        }
        let decided = decided::<H>(reply?, &payload)?;
        let left = patch.map(|patch: Box<Shared>| patch.state).unwrap_or_default();
        Ok((decided, left.into_iter().map(|(key, value)| (key, text(value))).collect()))
    }
}

fn text(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

fn decided<H: Hook>(reply: Reply, payload: &Revision) -> Result<Decided<H::Change>, PluginError> {
    if let Some(violation) = reply.violation {
        return Ok(Decided::Block(violation));
    }
    let foreign = || PluginError::InvalidAnswer(format!("the answer is of another hook than {}", H::NAME));
    match reply.change {
        None => Ok(Decided::Pass),
        Some(Change::Answer(answer)) => {
            answer.downcast().map(|answer| Decided::Change(*answer)).map_err(|_| foreign())
        }
        Some(Change::Text(edits)) => {
            let edited = payload.payload().edited(&edits);
            let edited = edited.map_err(|error| PluginError::InvalidAnswer(error.to_string()))?;
            // Texts are those of a payload, so the answer is one.
            let edited: Box<dyn Any> = edited;
            edited.downcast().map(|answer| Decided::Change(*answer)).map_err(|_| foreign())
        }
        Some(Change::Serve(_)) => {
            Err(PluginError::InvalidAnswer(format!("nothing can be served at {}", H::NAME)))
        }
    }
}
