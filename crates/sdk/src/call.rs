//! One call of one served plugin, whatever it came over: from JSON to the plugin and back.

use std::{
    mem::take,
    panic::AssertUnwindSafe,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::FutureExt;
use mortise_plugin_api::{
    Answer, Call, Caller, Context, End, HookSpec, Moment, Part, Plugin, PluginError, Reply, Request,
    Revision, Wire,
    context::{Shared, State},
    wire::WireContext,
};
use serde_json::Value;

use crate::{Decision, Served, memory::Memory, policy::Trouble};

/// A call as it came.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Name of the hook.
    pub hook: String,
    /// Name of the plugin, in its own letter case.
    pub plugin: String,
    /// The payload as JSON.
    pub payload: Bytes,
    /// Which JSON form: [`Wire::Json`], or [`Wire::JsonLegacy`] of the first generation.
    pub wire: Wire,
    /// The plugin's context.
    pub context: WireContext,
}

/// The answer to a call.
#[derive(Debug)]
pub struct Answered {
    /// Name of the plugin, as it was asked for.
    pub plugin: String,
    /// The plugin's context afterwards; `None` where there is nothing in it.
    pub context: Option<WireContext>,
    /// What it decided, or how it failed.
    pub outcome: Result<Decision, PluginError>,
}

impl Answered {
    pub(crate) fn failed(plugin: String, error: PluginError) -> Self {
        Self { plugin, context: None, outcome: Err(error) }
    }
}

/// Runs a call of a plugin that has the hook.
pub(crate) async fn run(served: &Served, spec: &HookSpec, asked: Asked, memory: &Memory) -> Answered {
    let Asked { plugin, payload, wire, context, .. } = asked;
    if served.off.load(Relaxed) {
        return Answered { plugin, context: None, outcome: Ok(Decision::pass()) };
    }
    let payload = match spec.decode(&payload, wire) {
        Ok(payload) => Revision::new(payload),
        Err(error) => return Answered::failed(plugin, error),
    };
    let request = request_of(&context);
    let before = spec.moment == Moment::Before;
    // What a request of the same id left is not this one's; only the hook after finds what the hook before kept.
    let kept = memory.take(&request.id, &served.name).filter(|_| !before);
    let mut global = context.global_context;
    let base = Shared { state: take(&mut global.state), metadata: take(&mut global.metadata) };
    let mut own = Some(Box::new(State { values: context.state, metadata: context.metadata, native: kept }));
    let mut patch = None;
    let result = reply(served, spec, &payload, &request, Context::new(&mut own, &base, &mut patch)).await;
    let own = own.map(|own| *own).unwrap_or_default();
    if let Some(value) = own.native {
        memory.keep(&request.id, &served.name, value, Instant::now());
    }
    let mut shared = base;
    if let Some(patch) = patch.filter(|_| served.policy.shares) {
        shared.merge(*patch);
    }
    (global.state, global.metadata) = (shared.state, shared.metadata);
    let after = WireContext { state: own.values, metadata: own.metadata, global_context: global };
    let told =
        !(after.state.is_empty() && after.metadata.is_empty() && after.global_context.state.is_empty());
    let outcome = result.and_then(|reply| Decision::of(reply, spec, &payload, wire, served.policy));
    Answered { plugin, context: told.then_some(after), outcome: troubled(served, spec, outcome) }
}

/// What the policy makes of an error.
fn troubled(
    served: &Served,
    spec: &HookSpec,
    outcome: Result<Decision, PluginError>,
) -> Result<Decision, PluginError> {
    let error = match outcome {
        Ok(decision) => return Ok(decision),
        Err(error) => error,
    };
    tracing::warn!(plugin = &*served.name, hook = &*spec.name, %error, "plugin gave no answer");
    match served.policy.trouble {
        Trouble::Tell => return Err(error),
        Trouble::Pass => {}
        Trouble::PassAndDisable => {
            if !served.off.swap(true, Relaxed) {
                tracing::error!(plugin = &*served.name, "plugin is switched off");
            }
        }
    }
    Ok(Decision::pass())
}

/// Asks the plugin. A panic is an error of that plugin, and slowness of what waits ends with its time limit.
async fn reply(
    served: &Served,
    spec: &HookSpec,
    payload: &Arc<Revision>,
    request: &Request,
    context: Context<'_>,
) -> Result<Reply, PluginError> {
    let deadline = served.host.instant() + served.timeout;
    let call = Call {
        hook: spec.id,
        payload,
        part: Part::Whole,
        request,
        end: End::Ok,
        deadline,
        host: &*served.host,
    };
    ask(&*served.plugin, call, context, served.timeout).await
}

/// Makes a call of a plugin, which may panic, and wait for `patience` at most.
pub(crate) async fn ask<'a>(
    plugin: &'a dyn Plugin,
    call: Call<'a>,
    context: Context<'a>,
    patience: Duration,
) -> Result<Reply, PluginError> {
    let answer = std::panic::catch_unwind(AssertUnwindSafe(|| plugin.call(call, context)));
    match answer.map_err(|panic| panicked(&*panic))? {
        Answer::Ready(outcome) => outcome,
        Answer::Later(later) => timed(patience, later).await,
    }
}

/// Awaits at most `patience`, a panic being an error.
pub(crate) async fn timed<T>(
    patience: Duration,
    future: impl Future<Output = Result<T, PluginError>>,
) -> Result<T, PluginError> {
    match tokio::time::timeout(patience, AssertUnwindSafe(future).catch_unwind()).await {
        Ok(Ok(result)) => result,
        Ok(Err(panic)) => Err(panicked(&*panic)),
        Err(_) => Err(PluginError::Timeout(patience)),
    }
}

fn panicked(panic: &(dyn std::any::Any + Send)) -> PluginError {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    PluginError::Panicked(text.unwrap_or_else(|| "without a message".to_owned()))
}

/// The request, as far as its context tells.
fn request_of(context: &WireContext) -> Request {
    let global = &context.global_context;
    let shared = |value: &Value| value.as_str().map(Arc::<str>::from);
    let (named, record) = match &global.user {
        Some(Value::Object(record)) => (None, Some(record)),
        Some(user) => (shared(user), None),
        None => (None, None),
    };
    let more = global.user_context.as_ref().and_then(Value::as_object).or(record);
    let field = |name: &str| more.and_then(|more| more.get(name)).and_then(shared);
    let caller = Caller {
        user: named.or_else(|| field("email")).or_else(|| field("user_id")),
        full_name: field("full_name"),
        is_admin: more.and_then(|more| more.get("is_admin")).and_then(Value::as_bool).unwrap_or(false),
        tenant: global.tenant_id.as_deref().map(Arc::from),
        teams: more
            .and_then(|more| more.get("teams"))
            .and_then(Value::as_array)
            .map(|teams| teams.iter().filter_map(shared).collect())
            .unwrap_or_default(),
        auth_method: field("auth_method"),
        ..Caller::default()
    };
    let mut request = Request::new(global.request_id.as_str());
    request.caller = Arc::new(caller);
    request.server_id = global.server_id.as_deref().map(Arc::from);
    request.content_type = global.content_type.as_deref().map(Arc::from);
    let gateway = global.metadata.get("gateway");
    request.upstream = gateway.and_then(|gateway| gateway.get("name")).and_then(shared);
    request
}
