//! Runs a plugin's hooks in tests: builds the call, keeps the context, applies the answer.

pub(crate) mod service;
pub(crate) mod stage;

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use mortise_plugin_api::{
    Answer, BuildError, Call, Change, Context, End, Hook, Host, NativeKind, Notes, Part, Payload, Plugin,
    PluginError, Reply, Request, Revision, Shared, State, Violation, Wire, host::LogLevel,
};
use serde_json::Value;

/// A host that keeps its log.
#[derive(Default)]
pub(crate) struct LogHost(Mutex<Vec<String>>);

impl Host for LogHost {
    fn log(&self, _: LogLevel, message: &str, fields: &[(&str, &str)]) {
        let fields: Vec<String> = fields.iter().map(|(k, v)| format!("{k}={v}")).collect();
        self.0.lock().unwrap().push(format!("{message} {}", fields.join(" ")));
    }
}

/// A plugin and the memory of one request.
pub(crate) struct Bench {
    plugin: Arc<dyn Plugin>,
    own: Option<Box<State>>,
    shared: Shared,
    host: LogHost,
}

/// What a call came to.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) violation: Option<Violation>,
    /// The payload's JSON afterwards, `None` where nothing changed.
    pub(crate) changed: Option<Value>,
    /// The result it served the call with.
    pub(crate) served: Option<Value>,
    pub(crate) notes: Option<Notes>,
}

impl Outcome {
    /// What an answer at hook `H` comes to.
    fn of<H: Hook>(revision: &Revision, reply: Reply) -> Self {
        let (mut changed, mut served) = (None, None);
        match reply.change {
            Some(Change::Serve(result)) => served = Some(result.value().unwrap().clone()),
            change => changed = self::changed::<H>(revision, change),
        }
        Self {
            violation: reply.violation.map(|v| *v),
            changed: changed.map(|p| serde_json::from_slice(&p.encode(Wire::Json).unwrap()).unwrap()),
            served,
            notes: reply.notes.map(|n| *n),
        }
    }

    /// The metadata of the answer under `key`.
    pub(crate) fn metadata(&self, key: &str) -> Value {
        self.notes.as_ref().and_then(|n| n.metadata.get(key)).cloned().unwrap_or_default()
    }

    /// Code of the violation, empty where there is none.
    pub(crate) fn code(&self) -> &str {
        self.violation.as_ref().map_or("", |v| &v.code)
    }

    pub(crate) fn passed(&self) -> bool {
        self.violation.is_none() && self.changed.is_none() && self.served.is_none()
    }
}

impl Bench {
    pub(crate) fn new(kind: &NativeKind, config: Value) -> Self {
        Self::try_new(kind, config).unwrap()
    }

    pub(crate) fn try_new(kind: &NativeKind, config: Value) -> Result<Self, BuildError> {
        let plugin = (kind.build)(&config)?;
        Ok(Self { plugin, own: None, shared: Shared::default(), host: LogHost::default() })
    }

    /// Runs hook `H` on a payload written as JSON.
    pub(crate) fn call<H: Hook>(&mut self, payload: Value) -> Outcome
    where
        H::Payload: serde::de::DeserializeOwned,
    {
        self.try_call::<H>(payload).unwrap()
    }

    pub(crate) fn try_call<H: Hook>(&mut self, payload: Value) -> Result<Outcome, PluginError>
    where
        H::Payload: serde::de::DeserializeOwned,
    {
        // By way of text: payloads keep the JSON they came as.
        let payload: H::Payload = serde_json::from_str(&payload.to_string()).unwrap();
        let revision = Revision::new(Box::new(payload));
        let reply = self.reply::<H>(&revision, Part::Whole)?;
        Ok(Outcome::of::<H>(&revision, reply))
    }

    /// Runs hook `H` on a part of a payload.
    pub(crate) fn reply<H: Hook>(
        &mut self,
        payload: &Arc<Revision>,
        part: Part<'_>,
    ) -> Result<Reply, PluginError> {
        let request = Request::new("r1");
        let mut patch = None;
        let call = Call {
            hook: H::ID,
            payload,
            part,
            request: &request,
            end: End::Ok,
            deadline: Instant::now() + Duration::from_secs(60),
            host: &self.host,
        };
        let context = Context::new(&mut self.own, &self.shared, &mut patch);
        match self.plugin.call(call, context) {
            Answer::Ready(outcome) => outcome,
            Answer::Later(_) => panic!("built-in plugins answer at once"),
        }
    }

    /// How the plugin takes streams at hook `H`.
    pub(crate) fn stream<H: Hook>(&self) -> mortise_plugin_api::Stream {
        self.plugin.needs(H::ID).unwrap().stream
    }

    /// Metadata the plugin left in its context.
    pub(crate) fn own_metadata(&self, key: &str) -> Value {
        self.own.as_ref().and_then(|s| s.metadata.get(key)).cloned().unwrap_or_default()
    }

    /// Lines the plugin logged.
    pub(crate) fn log(&self) -> Vec<String> {
        self.host.0.lock().unwrap().clone()
    }
}

fn changed<H: Hook>(revision: &Revision, change: Option<Change>) -> Option<Box<dyn Payload>> {
    match change? {
        Change::Text(edits) => Some(revision.payload().edited(&edits).unwrap()),
        Change::Answer(answer) => {
            let answer = *answer.downcast::<H::Change>().expect("an answer of the hook's type");
            let applied = H::apply(revision.get::<H::Payload>().unwrap(), answer);
            applied.payload.map(|p| Box::new(p) as Box<dyn Payload>)
        }
        Change::Serve(_) => None,
    }
}

/// Time this thread has computed so far. What other programs and tests do meanwhile is not in it.
pub(crate) fn computed() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap(), time.tv_nsec.try_into().unwrap())
}

/// How many times longer `work` takes for eight times the input: about 8 where it is linear, 64 where it is quadratic.
/// Counted is what this thread computes, so that a busy machine changes little. What is left (caches, memory that is
/// fetched for the first time) only ever adds time, so the best of several runs and the lowest of several ratios count.
pub(crate) fn growth<T>(make: impl Fn(usize) -> T, mut work: impl FnMut(&T), n: usize) -> f64 {
    let (small, large) = (make(n), make(n * 8));
    let mut best = |input: &T| {
        let run = || {
            let start = computed();
            work(input);
            (computed() - start).as_secs_f64()
        };
        std::iter::repeat_with(run).take(3).fold(f64::INFINITY, f64::min)
    };
    let mut lowest = f64::INFINITY;
    for _ in 0..8 {
        let base = best(&small).max(1e-6);
        lowest = lowest.min(best(&large) / base);
        if lowest < 16.0 {
            break;
        }
    }
    lowest
}
