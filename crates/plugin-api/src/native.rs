//! The typed convenience for native plugins: list the hooks it has, write one function for each.
//!
//! [`Native`] turns a plain struct and a handful of functions into a [`Plugin`]. A handler is a plain function
//! (it decides at once, nothing is allocated) or an async one (boxed when called); the two are registered by
//! different methods because a future cannot be polled first and boxed only if it has to wait. A guardrail that
//! only cares about text registers one function for all hooks through the content view.

mod endpoints;

use std::{ops::ControlFlow, sync::Arc};

use bytes::Bytes;
use serde_json::{Map, Value};

use crate::{
    Answer, Call, Context, Edits, End, Fut, Hook, HookId, Host, Init, Needs, Notes, Outcome, Part, Payload,
    Plugin, PluginError, Reply, Request, TextId, TextPart, Verdict, Violation, endpoint::Endpoints,
};

/// What a handler is given beside the payload: the call, the plugin's context, and a place for notes.
#[derive(Debug)]
pub struct Cx<'a> {
    /// The call.
    pub call: Call<'a>,
    /// The plugin's memory of this request.
    pub context: Context<'a>,
    notes: Option<Box<Notes>>,
}

impl<'a> Cx<'a> {
    /// A handler's view of a call; runtimes and tests make it.
    pub fn new(call: Call<'a>, context: Context<'a>) -> Self {
        Self { call, context, notes: None }
    }

    /// The request this call belongs to.
    pub fn request(&self) -> &'a Request {
        self.call.request
    }

    /// Host services.
    pub fn host(&self) -> &'a dyn Host {
        self.call.host
    }

    /// Whether an answer is no longer waited for; long computations look here now and then.
    pub fn overdue(&self) -> bool {
        self.call.host.instant() >= self.call.deadline
    }

    /// Adds metadata about this execution to the result of the chain.
    pub fn metadata(&mut self, key: impl Into<String>, value: impl Into<Value>) {
        self.notes.get_or_insert_default().metadata.insert(key.into(), value.into());
    }

    /// Metadata added so far.
    pub fn metadata_mut(&mut self) -> &mut Map<String, Value> {
        &mut self.notes.get_or_insert_default().metadata
    }

    /// Wishes for a header on the answer to the client.
    pub fn response_header(&mut self, name: &str, value: impl Into<Box<str>>) {
        self.notes.get_or_insert_default().response_headers.set(name, value);
    }

    /// Asks for the tool to be called again after `delay`.
    pub fn retry_after(&mut self, delay: std::time::Duration) {
        self.notes.get_or_insert_default().retry_after = delay;
    }

    /// Puts a verdict and the notes together.
    fn reply(self, verdict: impl Into<Reply>) -> Reply {
        let mut reply = verdict.into();
        reply.notes = self.notes;
        reply
    }
}

/// What a handler of texts decides about one call.
#[derive(Debug, Default)]
pub struct TextVerdict {
    /// Why the call must not go on; ends the visit.
    pub violation: Option<Violation>,
    /// Text to replace.
    pub edits: Edits,
}

trait Handler<P>: Send + Sync {
    fn call<'a>(&'a self, plugin: &'a P, call: Call<'a>, context: Context<'a>) -> Answer<'a>;
}

struct Sync_<F, H>(F, std::marker::PhantomData<fn() -> H>);

impl<P, H, F> Handler<P> for Sync_<F, H>
where
    P: Send + Sync,
    H: Hook,
    F: for<'a> Fn(&'a P, &'a H::Payload, &mut Cx<'a>) -> Result<Verdict<H::Change>, PluginError>
        + Send
        + Sync,
{
    fn call<'a>(&'a self, plugin: &'a P, call: Call<'a>, context: Context<'a>) -> Answer<'a> {
        Answer::Ready(typed::<H>(&call).and_then(|payload| {
            let mut cx = Cx::new(call, context);
            let verdict = (self.0)(plugin, payload, &mut cx)?;
            Ok(cx.reply(verdict))
        }))
    }
}

struct Async_<F, H>(F, std::marker::PhantomData<fn() -> H>);

impl<P, H, F> Handler<P> for Async_<F, H>
where
    P: Send + Sync,
    H: Hook,
    F: for<'a, 'c> Fn(
            &'a P,
            &'a H::Payload,
            &'c mut Cx<'a>,
        ) -> Fut<'c, Result<Verdict<H::Change>, PluginError>>
        + Send
        + Sync,
{
    fn call<'a>(&'a self, plugin: &'a P, call: Call<'a>, context: Context<'a>) -> Answer<'a> {
        let payload = match typed::<H>(&call) {
            Ok(payload) => payload,
            Err(error) => return Answer::Ready(Err(error)),
        };
        Answer::Later(Box::pin(async move {
            let mut cx = Cx::new(call, context);
            let verdict = (self.0)(plugin, payload, &mut cx).await?;
            Ok(cx.reply(verdict))
        }))
    }
}

struct Any_<F>(F);

impl<P, F> Handler<P> for Any_<F>
where
    P: Send + Sync,
    F: for<'a> Fn(&'a P, &'a dyn Payload, &mut Cx<'a>) -> Outcome + Send + Sync,
{
    fn call<'a>(&'a self, plugin: &'a P, call: Call<'a>, context: Context<'a>) -> Answer<'a> {
        let payload = call.payload.payload();
        let mut cx = Cx::new(call, context);
        Answer::Ready((self.0)(plugin, payload, &mut cx).map(|mut reply| {
            reply.notes = reply.notes.or(cx.notes);
            reply
        }))
    }
}

fn typed<'a, H: Hook>(call: &Call<'a>) -> Result<&'a H::Payload, PluginError> {
    let revision: &'a crate::Revision = call.payload;
    revision.get::<H::Payload>().ok_or_else(|| PluginError::Payload {
        hook: H::NAME,
        action: "decoded",
        reason: "the pipeline passed a payload of another hook".to_owned(),
    })
}

/// Shows the text of a call: of its window where it is one, else of its payload.
pub fn visit_texts(call: &Call<'_>, visit: &mut dyn FnMut(TextPart<'_>) -> ControlFlow<()>) {
    match call.part {
        Part::Window { text, context, .. } => {
            let _ = visit(TextPart { id: TextId(0), text: text.into(), key: "".into(), context });
        }
        Part::Whole | Part::Complete => call.payload.payload().texts(visit),
    }
}

type Registered<P> = (Needs, Box<dyn Handler<P>>);
type StartFn<P> = Box<dyn for<'a> Fn(&'a P, Init) -> Fut<'a, Result<(), PluginError>> + Send + Sync>;
type HandOverFn<P> = Box<dyn for<'a> Fn(&'a P) -> Fut<'a, Option<Bytes>> + Send + Sync>;
type HealthFn<P> = Box<dyn for<'a> Fn(&'a P) -> Fut<'a, Result<(), PluginError>> + Send + Sync>;
type StopFn<P> = Box<dyn for<'a> Fn(&'a P) -> Fut<'a, ()> + Send + Sync>;

/// A native plugin: a value and the hooks it has.
pub struct Native<P> {
    plugin: P,
    /// By hook id.
    handlers: Vec<Option<Registered<P>>>,
    on_start: Option<StartFn<P>>,
    on_hand_over: Option<HandOverFn<P>>,
    on_health: Option<HealthFn<P>>,
    on_stop: Option<StopFn<P>>,
    served: Option<Box<endpoints::Served<P>>>,
}

impl<P: Send + Sync + 'static> Native<P> {
    /// A plugin without hooks.
    pub fn new(plugin: P) -> Self {
        Self {
            plugin,
            handlers: Vec::new(),
            on_start: None,
            on_hand_over: None,
            on_health: None,
            on_stop: None,
            served: None,
        }
    }

    /// Has hook `H`, decided at once by `handler`.
    #[must_use]
    pub fn on<H: Hook>(
        self,
        needs: Needs,
        handler: impl for<'a> Fn(&'a P, &'a H::Payload, &mut Cx<'a>) -> Result<Verdict<H::Change>, PluginError>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        self.add(H::ID, needs, Box::new(Sync_::<_, H>(handler, std::marker::PhantomData)))
    }

    /// Has hook `H`, decided by an async `handler`: `|p, payload, cx| Box::pin(async move { … })`.
    #[must_use]
    pub fn on_async<H: Hook>(
        self,
        needs: Needs,
        handler: impl for<'a, 'c> Fn(
            &'a P,
            &'a H::Payload,
            &'c mut Cx<'a>,
        ) -> Fut<'c, Result<Verdict<H::Change>, PluginError>>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        self.add(H::ID, needs, Box::new(Async_::<_, H>(handler, std::marker::PhantomData)))
    }

    /// Has all of `hooks`, decided by one `handler` that sees payloads without their types.
    #[must_use]
    pub fn on_each(
        mut self,
        hooks: &[HookId],
        needs: Needs,
        handler: impl for<'a> Fn(&'a P, &'a dyn Payload, &mut Cx<'a>) -> Outcome + Send + Sync + Clone + 'static,
    ) -> Self {
        for hook in hooks {
            self = self.add(*hook, needs, Box::new(Any_(handler.clone())));
        }
        self
    }

    /// Has all of `hooks`, decided by one `handler` that sees only text: it is shown every text of a payload in
    /// turn, or the window of a stream, and replaces parts of it or refuses the call.
    #[must_use]
    pub fn on_texts(
        self,
        hooks: &[HookId],
        needs: Needs,
        handler: impl for<'a> Fn(&'a P, TextPart<'_>, &mut TextVerdict, &mut Cx<'a>) -> Result<(), PluginError>
        + Send
        + Sync
        + Clone
        + 'static,
    ) -> Self {
        self.on_each(hooks, needs, move |plugin, _, cx| {
            let mut verdict = TextVerdict::default();
            let mut failed = None;
            let call = cx.call;
            visit_texts(&call, &mut |part| match handler(plugin, part, &mut verdict, cx) {
                Ok(()) if verdict.violation.is_none() => ControlFlow::Continue(()),
                Ok(()) => ControlFlow::Break(()),
                Err(error) => {
                    failed = Some(error);
                    ControlFlow::Break(())
                }
            });
            match (failed, verdict) {
                (Some(error), _) => Err(error),
                (None, TextVerdict { violation: Some(violation), .. }) => {
                    Ok(Verdict::<()>::from(violation).into())
                }
                (None, TextVerdict { edits, .. }) => Ok(Verdict::<()>::Edit(edits).into()),
            }
        })
    }

    /// Runs `start` before the first call.
    #[must_use]
    pub fn on_start(
        mut self,
        start: impl for<'a> Fn(&'a P, Init) -> Fut<'a, Result<(), PluginError>> + Send + Sync + 'static,
    ) -> Self {
        self.on_start = Some(Box::new(start));
        self
    }

    /// Asks `hand_over` what a successor should know.
    #[must_use]
    pub fn on_hand_over(
        mut self,
        hand_over: impl for<'a> Fn(&'a P) -> Fut<'a, Option<Bytes>> + Send + Sync + 'static,
    ) -> Self {
        self.on_hand_over = Some(Box::new(hand_over));
        self
    }

    /// Asks `health` whether it could serve.
    #[must_use]
    pub fn on_health(
        mut self,
        health: impl for<'a> Fn(&'a P) -> Fut<'a, Result<(), PluginError>> + Send + Sync + 'static,
    ) -> Self {
        self.on_health = Some(Box::new(health));
        self
    }

    /// Runs `stop` after the last call.
    #[must_use]
    pub fn on_stop(mut self, stop: impl for<'a> Fn(&'a P) -> Fut<'a, ()> + Send + Sync + 'static) -> Self {
        self.on_stop = Some(Box::new(stop));
        self
    }

    /// The plugin, ready for a pipeline.
    pub fn into_plugin(self) -> Arc<dyn Plugin> {
        Arc::new(self)
    }

    fn add(mut self, hook: HookId, needs: Needs, handler: Box<dyn Handler<P>>) -> Self {
        if self.handlers.len() <= hook.index() {
            self.handlers.resize_with(hook.index() + 1, || None);
        }
        self.handlers[hook.index()] = Some((needs, handler));
        self
    }
}

impl<P: Send + Sync + 'static> Plugin for Native<P> {
    fn needs(&self, hook: HookId) -> Option<Needs> {
        self.handlers.get(hook.index())?.as_ref().map(|(needs, _)| *needs)
    }

    fn call<'a>(&'a self, call: Call<'a>, context: Context<'a>) -> Answer<'a> {
        match self.handlers.get(call.hook.index()) {
            Some(Some((_, handler))) => handler.call(&self.plugin, call, context),
            _ => Answer::Ready(Ok(Reply::pass())),
        }
    }

    fn initialize(&self, init: Init) -> Fut<'_, Result<(), PluginError>> {
        match &self.on_start {
            Some(start) => start(&self.plugin, init),
            None => Box::pin(std::future::ready(Ok(()))),
        }
    }

    fn endpoints(self: Arc<Self>) -> Option<Arc<dyn Endpoints>> {
        self.served.is_some().then_some(self as Arc<dyn Endpoints>)
    }

    fn hands_over(&self) -> bool {
        self.on_hand_over.is_some()
    }

    fn hand_over(&self) -> Fut<'_, Option<Bytes>> {
        match &self.on_hand_over {
            Some(hand_over) => hand_over(&self.plugin),
            None => Box::pin(std::future::ready(None)),
        }
    }

    fn health(&self) -> Fut<'_, Result<(), PluginError>> {
        match &self.on_health {
            Some(health) => health(&self.plugin),
            None => Box::pin(std::future::ready(Ok(()))),
        }
    }

    fn shutdown(&self) -> Fut<'_, ()> {
        match &self.on_stop {
            Some(stop) => stop(&self.plugin),
            None => Box::pin(std::future::ready(())),
        }
    }
}

/// Whether a post hook's call can still be changed, or only observed.
pub const fn is_final(end: End) -> bool {
    matches!(end, End::Blocked | End::Cancelled)
}
