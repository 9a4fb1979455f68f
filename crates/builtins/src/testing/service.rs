//! A host whose HTTP is answered by the test, for plugins that ask a service.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    task::{Poll, Waker},
    time::{Duration, Instant},
};

use bytes::Bytes;
use mortise_plugin_api::{
    Answer, BuildError, Call, Caller, Context, End, Fut, Headers, Hook, Host, Init, NativeKind, Part, Plugin,
    PluginError, Request, Revision, Shared,
    host::{Http, HttpRequest, HttpResponse, LogLevel},
};
use serde_json::Value;

use super::Outcome;

type Respond = Box<dyn Fn(&HttpRequest) -> Result<HttpResponse, PluginError> + Send + Sync>;

/// The host.
pub(crate) struct ServiceHost {
    respond: Mutex<Respond>,
    asked: Mutex<Vec<HttpRequest>>,
    log: Mutex<Vec<String>>,
    base: Instant,
    passed: AtomicU64,
}

impl Host for ServiceHost {
    fn instant(&self) -> Instant {
        self.base + Duration::from_millis(self.passed.load(SeqCst))
    }

    fn log(&self, _: LogLevel, message: &str, fields: &[(&str, &str)]) {
        let fields: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
        self.log.lock().unwrap().push(format!("{message} {}", fields.join(" ")));
    }

    fn http(&self) -> Result<&dyn Http, PluginError> {
        Ok(self)
    }
}

impl Http for ServiceHost {
    fn send(&self, request: HttpRequest) -> Fut<'_, Result<HttpResponse, PluginError>> {
        let answer = (self.respond.lock().unwrap())(&request);
        self.asked.lock().unwrap().push(request);
        Box::pin(std::future::ready(answer))
    }
}

/// An answer of this status and body.
pub(crate) fn answer(status: u16, body: impl Into<Bytes>) -> Result<HttpResponse, PluginError> {
    Ok(HttpResponse { status, headers: Headers::new(), body: body.into() })
}

/// A started plugin and the service it asks.
pub(crate) struct Desk {
    plugin: Arc<dyn Plugin>,
    pub(crate) host: Arc<ServiceHost>,
    request: Request,
    pub(crate) shared: Shared,
}

impl Desk {
    /// A plugin whose service answers so, with JSON.
    pub(crate) fn new(
        kind: &NativeKind,
        config: Value,
        respond: impl Fn(Value) -> Value + Send + Sync + 'static,
    ) -> Self {
        Self::raw(kind, config, move |request| {
            answer(200, respond(serde_json::from_slice(&request.body).unwrap()).to_string())
        })
        .unwrap()
    }

    /// The same with any answer.
    pub(crate) fn raw(
        kind: &NativeKind,
        config: Value,
        respond: impl Fn(&HttpRequest) -> Result<HttpResponse, PluginError> + Send + Sync + 'static,
    ) -> Result<Self, BuildError> {
        let plugin = (kind.build)(&config)?;
        let host = Arc::new(ServiceHost {
            respond: Mutex::new(Box::new(respond)),
            asked: Mutex::default(),
            log: Mutex::default(),
            base: Instant::now(),
            passed: AtomicU64::new(0),
        });
        Ok(Self { plugin, host, request: Request::new("r1"), shared: Shared::default() })
    }

    /// Starts the plugin.
    pub(crate) fn start(&self) -> Result<(), PluginError> {
        let (name, instance) = ("p".into(), "0".repeat(32).into());
        now(self.plugin.initialize(Init { name, instance, host: self.host.clone(), inherited: None }))
    }

    pub(crate) fn health(&self) -> Result<(), PluginError> {
        now(self.plugin.health())
    }

    /// The service answers otherwise from now on.
    pub(crate) fn respond(
        &self,
        respond: impl Fn(&HttpRequest) -> Result<HttpResponse, PluginError> + Send + Sync + 'static,
    ) {
        *self.host.respond.lock().unwrap() = Box::new(respond);
    }

    /// Changes whose request it is.
    pub(crate) fn caller(&mut self, change: impl FnOnce(&mut Caller)) {
        change(Arc::make_mut(&mut self.request.caller));
    }

    /// The request of the calls.
    pub(crate) fn request(&mut self) -> &mut Request {
        &mut self.request
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.host.passed.fetch_add(u64::try_from(by.as_millis()).unwrap(), SeqCst);
    }

    /// What was asked so far, as JSON.
    pub(crate) fn asked(&self) -> Vec<Value> {
        let asked = self.host.asked.lock().unwrap();
        asked.iter().map(|request| serde_json::from_slice(&request.body).unwrap()).collect()
    }

    /// The requests so far.
    pub(crate) fn requests(&self) -> Vec<HttpRequest> {
        self.host.asked.lock().unwrap().clone()
    }

    pub(crate) fn log(&self) -> Vec<String> {
        self.host.log.lock().unwrap().clone()
    }

    /// Runs hook `H` on a payload written as JSON.
    pub(crate) fn call<H: Hook>(&self, payload: Value) -> Outcome
    where
        H::Payload: serde::de::DeserializeOwned,
    {
        self.try_call::<H>(payload).unwrap()
    }

    pub(crate) fn try_call<H: Hook>(&self, payload: Value) -> Result<Outcome, PluginError>
    where
        H::Payload: serde::de::DeserializeOwned,
    {
        let payload: H::Payload = serde_json::from_str(&payload.to_string()).unwrap();
        let revision = Revision::new(Box::new(payload));
        let (mut own, mut patch) = (None, None);
        let call = Call {
            hook: H::ID,
            payload: &revision,
            part: Part::Whole,
            request: &self.request,
            end: End::Ok,
            deadline: Instant::now() + Duration::from_secs(60),
            host: &*self.host,
        };
        assert!(self.plugin.needs(H::ID).is_some(), "the plugin is not at this hook");
        let context = Context::new(&mut own, &self.shared, &mut patch);
        let reply = match self.plugin.call(call, context) {
            Answer::Ready(outcome) => outcome,
            Answer::Later(asking) => now(asking),
        }?;
        Ok(Outcome::of::<H>(&revision, reply))
    }
}

/// What a future that never waits comes to.
fn now<T>(mut future: Fut<'_, T>) -> T {
    match future.as_mut().poll(&mut std::task::Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("the service of a test answers at once"),
    }
}
