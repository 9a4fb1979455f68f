//! A plugin under a clock of the test's own: for any caller, with any end of a call, from many threads.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    task::{Poll, Waker},
    time::{Duration, Instant, SystemTime},
};

use bytes::Bytes;
use mortise_plugin_api::{
    Answer, Call, Caller, Context, End, Fut, Hook, Host, Init, NativeKind, Part, Plugin, Request, Revision,
    Shared, State, host::LogLevel,
};
use serde_json::Value;

use super::Outcome;

/// Seconds since 1970 at which the clock of every test begins: the start of a minute and of an hour.
pub(crate) const BEGIN: u64 = 1_800_000_000;

/// A host whose time passes when the test says so.
pub(crate) struct Clock {
    base: Instant,
    passed: AtomicU64,
    log: Mutex<Vec<String>>,
}

impl Host for Clock {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(BEGIN) + self.passed()
    }

    fn instant(&self) -> Instant {
        self.base + self.passed()
    }

    fn log(&self, _: LogLevel, message: &str, _: &[(&str, &str)]) {
        self.log.lock().unwrap().push(message.to_owned());
    }
}

impl Clock {
    fn passed(&self) -> Duration {
        Duration::from_nanos(self.passed.load(SeqCst))
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.passed.fetch_add(u64::try_from(by.as_nanos()).unwrap(), SeqCst);
    }
}

/// A started plugin and its clock.
pub(crate) struct Stage {
    pub(crate) plugin: Arc<dyn Plugin>,
    pub(crate) clock: Arc<Clock>,
}

impl Stage {
    pub(crate) fn new(kind: &NativeKind, config: Value) -> Self {
        let clock = Clock { base: Instant::now(), passed: AtomicU64::new(0), log: Mutex::default() };
        Self::with(kind, config, Arc::new(clock), None)
    }

    fn with(kind: &NativeKind, config: Value, clock: Arc<Clock>, inherited: Option<Bytes>) -> Self {
        let plugin = (kind.build)(&config).unwrap();
        let (name, instance) = ("p".into(), "0".repeat(32).into());
        let init = Init { name, instance, host: clock.clone(), inherited };
        now(plugin.initialize(init)).unwrap();
        Self { plugin, clock }
    }

    /// A successor of another configuration, which was handed what this one leaves.
    pub(crate) fn succeeded(&self, kind: &NativeKind, config: Value) -> Self {
        let left = now(self.plugin.hand_over());
        Self::with(kind, config, self.clock.clone(), left)
    }

    /// A successor that was handed `left`.
    pub(crate) fn inheriting(kind: &NativeKind, config: Value, left: &'static [u8]) -> Self {
        let clock = Clock { base: Instant::now(), passed: AtomicU64::new(0), log: Mutex::default() };
        Self::with(kind, config, Arc::new(clock), Some(Bytes::from_static(left)))
    }

    pub(crate) fn advance(&self, seconds: f64) {
        self.clock.advance(Duration::from_secs_f64(seconds));
    }

    pub(crate) fn log(&self) -> Vec<String> {
        self.clock.log.lock().unwrap().clone()
    }

    /// A request of an anonymous caller.
    pub(crate) fn visit(&self) -> Visit<'_> {
        Visit { stage: self, request: Request::new("r1"), own: None }
    }

    /// A request of `user`.
    pub(crate) fn by(&self, user: &str) -> Visit<'_> {
        self.visit().caller(|caller| caller.user = Some(user.into()))
    }
}

/// What a future that never waits comes to.
fn now<T>(mut future: Fut<'_, T>) -> T {
    match future.as_mut().poll(&mut std::task::Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("built-in plugins start and hand over at once"),
    }
}

/// One request: what the plugin keeps for it lasts as long as this value.
pub(crate) struct Visit<'s> {
    stage: &'s Stage,
    pub(crate) request: Request,
    own: Option<Box<State>>,
}

impl Visit<'_> {
    pub(crate) fn caller(mut self, change: impl FnOnce(&mut Caller)) -> Self {
        change(Arc::make_mut(&mut self.request.caller));
        self
    }

    pub(crate) fn tenant(self, tenant: &str) -> Self {
        self.caller(|caller| caller.tenant = Some(tenant.into()))
    }

    pub(crate) fn at(mut self, upstream: &str) -> Self {
        self.request.upstream = Some(upstream.into());
        self
    }

    /// Runs hook `H` of a call that has gone well so far.
    pub(crate) fn call<H: Hook>(&mut self, payload: Value) -> Outcome
    where
        H::Payload: serde::de::DeserializeOwned,
    {
        self.ended::<H>(End::Ok, payload)
    }

    /// Runs hook `H` of a call that ended so.
    pub(crate) fn ended<H: Hook>(&mut self, end: End, payload: Value) -> Outcome
    where
        H::Payload: serde::de::DeserializeOwned,
    {
        self.text::<H>(end, &payload.to_string())
    }

    /// Runs hook `H` on a payload as it is written.
    pub(crate) fn text<H: Hook>(&mut self, end: End, payload: &str) -> Outcome
    where
        H::Payload: serde::de::DeserializeOwned,
    {
        let payload: H::Payload = serde_json::from_str(payload).unwrap();
        let revision = Revision::new(Box::new(payload));
        let (shared, mut patch) = (Shared::default(), None);
        let call = Call {
            hook: H::ID,
            payload: &revision,
            part: Part::Whole,
            request: &self.request,
            end,
            deadline: Instant::now() + Duration::from_secs(60),
            host: &*self.stage.clock,
        };
        let context = Context::new(&mut self.own, &shared, &mut patch);
        let Answer::Ready(reply) = self.stage.plugin.call(call, context) else {
            panic!("built-in plugins answer at once")
        };
        Outcome::of::<H>(&revision, reply.unwrap())
    }
}
