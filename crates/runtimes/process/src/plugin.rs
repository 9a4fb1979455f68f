//! The plugin that pipelines call, whatever becomes of its process.
//!
//! What is called is the life there is at that moment. Where there is none, because the process has ended and is being
//! started again, calls are refused at once as not available, and the plugin's mode decides what that means; they do
//! not wait, since a guard that is away for a second must not hold up everything it guards.

use std::{
    sync::{
        Arc, Mutex, OnceLock, PoisonError, RwLock,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use arc_swap::ArcSwapOption;
use mortise_framework::config::{OfferName, PluginEntry};
use mortise_plugin_api::{
    Answer, Call, Confinement, Context, EndpointAnswer, EndpointCall, EndpointRegistration, Endpoints, Fut,
    HookId, Host, Init, Needs, Plugin, PluginError, host::NoHost,
};
use serde_json::{Map, Value};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{
    Shared, about,
    command::Place,
    endpoints, folder, hooks, keeper,
    manifest::Manifest,
    running::{Client, Patience, Running, Setup, described, ping, schema},
    status::chain,
    terms::Given,
    values,
};

/// How long the first start may take. Whoever starts plugins waits for half a minute, and a reason that comes before
/// that is better than none.
const FIRST_START: Patience =
    Patience { handshake: Duration::from_secs(25), initialize: Duration::from_secs(25) };

/// A configured process plugin.
pub(crate) struct ProcessPlugin {
    name: Arc<str>,
    place: Place,
    given: Given,
    config: Map<String, Value>,
    /// The hooks its entry lists; where it lists none, its manifest says.
    listed: Option<Vec<HookId>>,
    /// What its entry says that it offers.
    offers: Vec<OfferName>,
    shared: Arc<Shared>,
    life: Arc<Life>,
    hooks: OnceLock<Vec<HookId>>,
    keeper: Mutex<Option<JoinHandle<()>>>,
    stop: CancellationToken,
    /// A plugin that is let go without having been stopped takes its keeper with it.
    _let_go: DropGuard,
}

/// What there is to call, and if nothing, why.
#[derive(Default)]
pub(crate) struct Life {
    client: ArcSwapOption<Client>,
    /// The process it is in; 0 where there is none of ours.
    pid: AtomicU32,
    away: Mutex<String>,
    /// What holds the process of the life there is, or of the last one.
    confinement: RwLock<Option<Confinement>>,
    /// The endpoints of the life there is, or of the last one.
    registrations: RwLock<Arc<[EndpointRegistration]>>,
}

impl Life {
    pub(crate) fn begin(&self, running: &Running) {
        let (client, registrations) = (running.client(), running.registrations());
        {
            let mut known = self.registrations.write().unwrap_or_else(PoisonError::into_inner);
            // The same list is given out as long as it holds the same.
            if *known != *registrations {
                known.clone_from(registrations);
            }
        }
        *self.confinement.write().unwrap_or_else(PoisonError::into_inner) = running.confinement().cloned();
        self.pid.store(running.pid().unwrap_or(0), Relaxed);
        self.client.store(Some(Arc::new(client.clone())));
    }

    pub(crate) fn end(&self, why: &str) {
        let mut away = self.away.lock().unwrap_or_else(PoisonError::into_inner);
        why.clone_into(&mut away);
        self.pid.store(0, Relaxed);
        self.client.store(None);
    }

    fn registrations(&self) -> Arc<[EndpointRegistration]> {
        self.registrations.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn client(&self) -> Result<Client, PluginError> {
        match &*self.client.load() {
            Some(client) => Ok(Client::clone(client)),
            None => Err(PluginError::Unavailable(
                self.away.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            )),
        }
    }
}

impl ProcessPlugin {
    pub(crate) fn new(
        place: Place,
        entry: &PluginEntry,
        config: Map<String, Value>,
        listed: Option<Vec<HookId>>,
        shared: Arc<Shared>,
    ) -> Self {
        let stop = CancellationToken::new();
        let life = Arc::<Life>::default();
        life.end("it has not been started");
        Self {
            name: entry.name.as_str().into(),
            place,
            given: Given {
                keys: entry.process.clone(),
                requirements: entry
                    .manifest
                    .as_ref()
                    .map(|told| told.requirements.clone())
                    .unwrap_or_default(),
                cwd: entry.process.cwd.as_ref().map(|cwd| folder(entry).join(cwd)),
                folder: folder(entry).to_owned(),
            },
            config,
            listed,
            offers: entry.offers.clone(),
            shared,
            life,
            hooks: OnceLock::new(),
            keeper: Mutex::new(None),
            _let_go: stop.clone().drop_guard(),
            stop,
        }
    }

    fn setup(&self, name: Arc<str>, host: Arc<dyn Host>) -> Setup {
        Setup {
            place: self.place.clone(),
            given: self.given.clone(),
            learnt: OnceLock::new(),
            number: about::number(&name),
            config: values::texts(&self.config),
            store: self.shared.stores.of(&name),
            bus: self.shared.bus.clone(),
            starter: self.shared.starter.clone(),
            host,
            name,
        }
    }

    /// Starts its program for no more than a question: it is told nothing of its configuration.
    async fn ask_for_schema(&self) -> Option<Value> {
        let setup = self.setup(self.name.clone(), Arc::new(NoHost));
        match described(&setup, FIRST_START.handshake).await {
            Ok(schema) => schema,
            Err(error) => {
                let why = chain(&error);
                tracing::warn!(
                    plugin = &*self.name,
                    why,
                    "a program could not be asked for its configuration"
                );
                None
            }
        }
    }

    async fn start(&self, init: Init) -> Result<(), PluginError> {
        let setup = self.setup(init.name, init.host);
        let running = Running::start(&setup, FIRST_START).await;
        let running = running.map_err(|error| PluginError::Unavailable(chain(&error)))?;
        let hooks = self.hooks_with(&running)?;
        let told = running.manifest();
        tracing::info!(
            plugin = &*setup.name,
            pid = running.pid(),
            manifest = told.map(|manifest| manifest.id.as_str()),
            version = told.map(|manifest| manifest.version.as_str()),
            "process plugin started"
        );
        let _ = self.hooks.set(hooks);
        self.life.begin(&running);
        let pace = self.shared.pace;
        let keeper = tokio::spawn(keeper::keep(setup, running, self.life.clone(), pace, self.stop.clone()));
        *self.keeper.lock().unwrap_or_else(PoisonError::into_inner) = Some(keeper);
        Ok(())
    }

    fn hooks_with(&self, running: &Running) -> Result<Vec<HookId>, PluginError> {
        if let Some(listed) = &self.listed {
            return Ok(listed.clone());
        }
        let words = running.manifest().map(Manifest::hooks).unwrap_or_default();
        if !self.offers.is_empty() {
            if !hooks::of_words(words).is_empty() {
                let words = words.join(", ");
                tracing::warn!(
                    words,
                    "an entry with `offers:` and without `hooks:` runs at none of its program's hooks"
                );
            }
            return Ok(Vec::new());
        }
        if words.is_empty() && !running.registrations().is_empty() {
            return Ok(Vec::new());
        }
        if words.is_empty() {
            let why = "its program does not say which hooks it has: list them in `hooks:`";
            return Err(PluginError::Unavailable(why.to_owned()));
        }
        Ok(hooks::of_words(words))
    }

    async fn end(&self) {
        self.stop.cancel();
        let keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(keeper) = keeper {
            // A keeper that panicked has let go of everything it kept.
            let _ = keeper.await;
        }
    }
}

impl Endpoints for ProcessPlugin {
    fn registrations(&self) -> Arc<[EndpointRegistration]> {
        self.life.registrations()
    }

    fn handle(self: Arc<Self>, call: EndpointCall) -> Fut<'static, Result<EndpointAnswer, PluginError>> {
        match self.life.client() {
            Ok(client) => endpoints::handle(client, call),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }
}

impl Plugin for ProcessPlugin {
    fn needs(&self, hook: HookId) -> Option<Needs> {
        self.hooks.get()?.contains(&hook).then(|| hooks::needs(hook))
    }

    fn call<'a>(&'a self, call: Call<'a>, context: Context<'a>) -> Answer<'a> {
        match self.life.client() {
            Ok(client) => Answer::Later(Box::pin(hooks::call(client, call, context))),
            Err(error) => Answer::Ready(Err(error)),
        }
    }

    fn initialize(&self, init: Init) -> Fut<'_, Result<(), PluginError>> {
        Box::pin(self.start(init))
    }

    fn endpoints(self: Arc<Self>) -> Option<Arc<dyn Endpoints>> {
        let has = self.offers.contains(&OfferName::CustomEndpoint) || !self.life.registrations().is_empty();
        has.then_some(self as Arc<dyn Endpoints>)
    }

    /// What it counted is in its process, and the contract has no way to hand it on.
    fn hands_over(&self) -> bool {
        false
    }

    fn config_schema(&self) -> Fut<'_, Option<Value>> {
        Box::pin(async move {
            match self.life.client() {
                Ok(client) => schema(client).await,
                Err(_) => self.ask_for_schema().await,
            }
        })
    }

    fn health(&self) -> Fut<'_, Result<(), PluginError>> {
        Box::pin(async move { ping(self.life.client()?).await })
    }

    fn confinement(&self) -> Option<Confinement> {
        self.life.confinement.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn process_id(&self) -> Option<u32> {
        match self.life.pid.load(Relaxed) {
            0 => None,
            pid => Some(pid),
        }
    }

    fn shutdown(&self) -> Fut<'_, ()> {
        Box::pin(self.end())
    }
}
