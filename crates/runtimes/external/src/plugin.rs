//! An external plugin as the pipeline knows it.
//!
//! A call costs no task: context and payload are written, the link is asked, the answer is read, all within the
//! caller's own wait, so that dropping the call drops the exchange and the link tells the server. What is queued is
//! bounded by the number of calls under way at once.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use mortise_plugin_api::{
    Answer, Call, Context, Fut, HookId, HookSpec, HookTable, Init, Needs, Outcome, Part, Plugin, PluginError,
    Reply, hooks::MCP_HOOKS, wire::WireContext,
};
use tokio::{
    sync::{Notify, Semaphore, watch},
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use crate::{
    cache::{Cache, Kept},
    link::{Ask, Fault, Link, Told},
    settings::Settings,
    supervise::{Lifeline, Stand},
    terms::{Local, Terms},
};

/// How long a start waits for the server before it goes on without; attempts go on behind it.
const START_PATIENCE: Duration = Duration::from_secs(25);

/// How long a call that is to be sent again waits for the server to come back.
const RETRY_PATIENCE: Duration = Duration::from_secs(2);

/// A plugin behind a link.
pub(crate) struct ExternalPlugin {
    life: Arc<Lifeline>,
    settings: Settings,
    cache: Option<Cache>,
    slots: Semaphore,
    task: Mutex<Option<AbortOnDropHandle<()>>>,
}

impl ExternalPlugin {
    pub(crate) fn new(local: Local, settings: Settings, link: Box<dyn Link>, table: Arc<HookTable>) -> Self {
        let life = Lifeline {
            local,
            table,
            link,
            stand: watch::Sender::new(Stand::New),
            trouble: Notify::new(),
            stop: CancellationToken::new(),
            first_pause: settings.reconnect_delay,
            health_interval: settings.health_interval,
            unwell: watch::Sender::new(None),
        };
        Self {
            life: Arc::new(life),
            cache: settings.cache.map(Cache::new),
            slots: Semaphore::new(settings.in_flight),
            settings,
            task: Mutex::new(None),
        }
    }

    fn terms(&self) -> Result<Arc<Terms>, PluginError> {
        match &*self.life.stand.borrow() {
            Stand::Ready(terms) => Ok(terms.clone()),
            other => Err(other.why()),
        }
    }

    /// Connects; a server that cannot be reached is waited for behind the start.
    async fn start(&self) -> Result<(), PluginError> {
        let mut stand = self.life.stand.subscribe();
        let task = AbortOnDropHandle::new(tokio::spawn(self.life.clone().run()));
        *self.task.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
        let settled = |stand: &Stand| match stand {
            Stand::New => false,
            Stand::Away { attempts, refused, .. } => {
                *refused || *attempts >= self.settings.reconnect_attempts
            }
            Stand::Ready(_) | Stand::Stopped => true,
        };
        let reached = match timeout(START_PATIENCE, stand.wait_for(settled)).await {
            Ok(Ok(found)) => found.clone(),
            // Still at its first attempt.
            _ => return Ok(()),
        };
        match reached {
            Stand::Away { refused: true, reason, .. } => {
                self.stop().await;
                Err(PluginError::Unavailable(reason.to_string()))
            }
            _ => Ok(()),
        }
    }

    async fn stop(&self) {
        self.life.stop.cancel();
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task {
            // A task that panicked has ended too.
            let _ = task.await;
        }
    }

    async fn exchange(
        &self,
        spec: &HookSpec,
        call: Call<'_>,
        mut context: Context<'_>,
        terms: Arc<Terms>,
    ) -> Outcome {
        if let Part::Window { .. } = call.part {
            return Err(PluginError::failed("this runtime takes no windows: it asked for complete bodies"));
        }
        let shown = WireContext::of(call.request, &context);
        let key = match &self.cache {
            Some(_) => {
                let payload = call.payload.json(mortise_plugin_api::Wire::Json)?;
                Cache::key(spec.id, payload, call.request, &shown)
            }
            None => None,
        };
        if let Some(kept) = key.as_ref().and_then(|key| self.cache.as_ref()?.get(key)) {
            if let Some(returned) = kept.context {
                returned.merge_into(&mut context);
            }
            return kept.result.into_reply(spec, kept.wire);
        }
        let ask = Ask { hook: spec, plugin: &terms.plugin, payload: call.payload, context: &shown };
        let told = self.within_limits(ask).await?;
        if let (Some(cache), Some(key), Ok(result)) = (&self.cache, key, &told.outcome) {
            let bytes = 512 + result.modified_payload.as_ref().map_or(0, |payload| payload.get().len());
            let kept = Kept { context: told.context.clone(), result: result.clone(), wire: told.wire };
            cache.put(key, kept, bytes);
        }
        if let Some(returned) = told.context {
            returned.merge_into(&mut context);
        }
        told.outcome?.into_reply(spec, told.wire)
    }

    /// Asks within the number of calls and the time that are allowed.
    async fn within_limits(&self, ask: Ask<'_>) -> Result<Told, PluginError> {
        let asking = async {
            let _slot = self.slots.acquire().await.map_err(|_| Stand::Stopped.why())?;
            self.ask(ask).await
        };
        match self.settings.timeout {
            Some(limit) => timeout(limit, asking).await.unwrap_or(Err(PluginError::Timeout(limit))),
            None => asking.await,
        }
    }

    /// Asks, again where nobody has seen the question and the settings say so.
    async fn ask(&self, ask: Ask<'_>) -> Result<Told, PluginError> {
        for attempt in 0.. {
            match self.life.link.invoke(ask).await {
                Ok(told) => return Ok(told),
                Err(Fault::Unreached(_)) if attempt < self.settings.retries => {
                    self.life.trouble.notify_waiters();
                    let mut stand = self.life.stand.subscribe();
                    // The task that connects needs a moment to hear of it.
                    sleep(self.settings.reconnect_delay).await;
                    let back = stand.wait_for(|stand| matches!(stand, Stand::Ready(_)));
                    let _ = timeout(RETRY_PATIENCE, back).await;
                }
                Err(fault) => {
                    if !matches!(fault, Fault::Refused(_)) {
                        self.life.trouble.notify_waiters();
                    }
                    return Err(fault.into());
                }
            }
        }
        Err(Stand::Stopped.why())
    }

    async fn ask_how_it_is(&self) -> Result<(), PluginError> {
        self.terms()?;
        if let Some(reason) = self.life.unwell.borrow().clone() {
            return Err(PluginError::Unavailable(reason));
        }
        match self.life.link.health().await {
            Ok(()) => Ok(()),
            Err(fault) => {
                if !matches!(fault, Fault::Refused(_)) {
                    self.life.trouble.notify_waiters();
                }
                Err(fault.into())
            }
        }
    }
}

impl Plugin for ExternalPlugin {
    /// Of foreign code nothing is known: it may change everything. Before its server was reached, it counts as being
    /// wherever it may turn out to be.
    fn needs(&self, hook: HookId) -> Option<Needs> {
        let listed = &self.life.local.hooks;
        let has = match &*self.life.stand.borrow() {
            Stand::Ready(terms) => terms.has(hook),
            _ if listed.is_empty() => MCP_HOOKS.contains(&hook),
            _ => listed.contains(&hook),
        };
        has.then(Needs::change)
    }

    fn call<'a>(&'a self, call: Call<'a>, context: Context<'a>) -> Answer<'a> {
        let terms = match self.terms() {
            Ok(terms) => terms,
            Err(error) => return Answer::Ready(Err(error)),
        };
        let Some(spec) = self.life.table.spec(call.hook) else {
            return Answer::Ready(Err(PluginError::failed("the hook is of another table")));
        };
        if !terms.has(call.hook) {
            // Its chains were made while nobody knew that it is not there.
            return Answer::Ready(Ok(Reply::pass()));
        }
        Answer::Later(Box::pin(self.exchange(spec, call, context, terms)))
    }

    fn initialize(&self, _: Init) -> Fut<'_, Result<(), PluginError>> {
        Box::pin(self.start())
    }

    fn served_entry(&self) -> Option<serde_json::Map<String, serde_json::Value>> {
        match &*self.life.stand.borrow() {
            Stand::Ready(terms) => Some(terms.entry.clone()),
            _ => None,
        }
    }

    /// Whatever it remembers is its server's, and stays there.
    fn hands_over(&self) -> bool {
        false
    }

    fn health(&self) -> Fut<'_, Result<(), PluginError>> {
        Box::pin(self.ask_how_it_is())
    }

    fn process_id(&self) -> Option<u32> {
        self.life.link.process_id()
    }

    fn shutdown(&self) -> Fut<'_, ()> {
        Box::pin(self.stop())
    }
}
