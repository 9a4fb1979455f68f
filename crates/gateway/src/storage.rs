//! What is kept in a database, as a running gateway has it.
//!
//! Nothing is opened until something is kept: without `storage` in the configuration and without a database in the state
//! folder there is no pool, no thread and no table here. What gateways are configured by is read whole once and then
//! followed change by change, one's own and those of other gateways at the same database in one way; apps and tokens go
//! into the snapshot, plugins and LLMs through a [reload](crate::reload). A database that is away costs what would be
//! written there: who was known stays known.
//!
//! Everything runs on the runtime the gateway was started in, whoever asks: connections belong to it, and plugins may ask
//! from threads of their own. What is begun is seen to its end.

mod follow;
mod values;

use std::{
    future::Future,
    sync::{Arc, Mutex, OnceLock, PoisonError, Weak},
    time::Duration,
};

use arc_swap::{ArcSwap, Guard};
use mortise_framework::Framework;
use mortise_mcp_transport::chain::Chain;
use mortise_store::{Store, StoreError};
use tokio::{
    runtime::Handle,
    sync::{Notify, OnceCell},
};

use crate::{
    auth::Roster,
    config::{self, Kept},
    llm::Prices,
    reload::Reloader,
    snapshot::{Snapshot, Snapshots},
};

pub use values::StoredValues;

/// How long an operation may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why storage did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// The database says no, or failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It did not answer in time.
    #[error("the database did not answer within {} s", PATIENCE.as_secs())]
    TooSlow,
    /// The gateway is ending.
    #[error("the gateway is ending")]
    Ending,
}

/// The database of a gateway, open or not.
pub struct Storage {
    settings: config::Storage,
    store: OnceCell<Store>,
    /// Held while plugins or LLMs are changed through this gateway.
    changing: tokio::sync::Mutex<()>,
    /// The last change that was taken over. Held while changes are.
    seen: tokio::sync::Mutex<Option<i64>>,
    roster: ArcSwap<Roster>,
    kept: ArcSwap<Kept>,
    prices: ArcSwap<Prices>,
    /// Why the database cannot be used, where it cannot.
    trouble: Mutex<Option<String>>,
    opened: Notify,
    runtime: Handle,
    snapshots: OnceLock<Arc<Snapshots>>,
    reloader: OnceLock<Weak<Reloader>>,
}

impl Storage {
    /// The database that a configuration means. Opens nothing.
    #[must_use]
    pub fn new(settings: config::Storage, runtime: Handle) -> Arc<Self> {
        let roster = if settings.given { Roster::default().guarding() } else { Roster::default() };
        Arc::new(Self {
            settings,
            store: OnceCell::new(),
            changing: tokio::sync::Mutex::default(),
            seen: tokio::sync::Mutex::new(None),
            roster: ArcSwap::from_pointee(roster),
            kept: ArcSwap::default(),
            prices: ArcSwap::default(),
            trouble: Mutex::default(),
            opened: Notify::new(),
            runtime,
            snapshots: OnceLock::new(),
            reloader: OnceLock::new(),
        })
    }

    /// Reads what is kept, where something may be. A database that cannot be used is told and tried again later: it
    /// never keeps a gateway from starting.
    pub async fn begin(self: &Arc<Self>) {
        if !self.may_hold_something() {
            return;
        }
        let this = self.clone();
        let read = self.on_runtime(async move { this.take_over().await.map(drop) }).await;
        if let Err(error) = read {
            tracing::error!(error = %Chain(&error), place = %self.settings.place, "what is kept cannot be read");
        }
    }

    /// Whether there is anything to read: the configuration names a database, or one is in the state folder.
    pub fn may_hold_something(&self) -> bool {
        self.settings.given
            || self.store.initialized()
            || self.settings.place.file().is_some_and(std::path::Path::exists)
    }

    /// Has plugins keep their values here, and tells them about apps.
    pub(crate) fn offer_to(self: &Arc<Self>, framework: &Framework) {
        if cfg!(feature = "storage") {
            let this = self.clone();
            framework.offer_values(move |plugin| Arc::new(StoredValues::new(this.clone(), plugin.clone())));
        }
    }

    /// What changes who is let in, once there are requests to let in.
    pub(crate) fn serve(&self, snapshots: &Arc<Snapshots>, reloader: &Arc<Reloader>) {
        let _ = self.snapshots.set(snapshots.clone());
        let _ = self.reloader.set(Arc::downgrade(reloader));
    }

    /// Apps and tokens.
    pub fn roster(&self) -> Roster {
        Roster::clone(&self.roster.load())
    }

    /// Plugins and LLMs, of all namespaces.
    pub fn kept(&self) -> Arc<Kept> {
        self.kept.load_full()
    }

    /// Those that are this gateway's: of its namespace, and of none.
    pub fn kept_here(&self) -> Arc<Kept> {
        let kept = self.kept();
        let is_here = |namespace: &str| namespace.is_empty() || namespace == self.settings.namespace;
        let plugins = kept.plugins.iter().map(|plugin| &plugin.fields.namespace);
        let llms = kept.llms.iter().map(|llm| &llm.fields.namespace);
        if plugins.chain(llms).all(|namespace| is_here(namespace)) {
            return kept;
        }
        let mut here = Kept::clone(&kept);
        here.plugins.retain(|plugin| is_here(&plugin.fields.namespace));
        here.llms.retain(|llm| is_here(&llm.fields.namespace));
        Arc::new(here)
    }

    /// What models cost.
    pub(crate) fn prices(&self) -> Guard<Arc<Prices>> {
        self.prices.load()
    }

    /// Lets one change of plugins or LLMs in after another.
    pub(crate) async fn change(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.changing.lock().await
    }

    /// Has reloads go by these plugins and LLMs, which are about to be kept. Gives back those before.
    pub(crate) fn expect(&self, kept: Arc<Kept>) -> Arc<Kept> {
        self.kept.swap(kept)
    }

    /// What the configuration said of it at the start.
    pub fn settings(&self) -> &config::Storage {
        &self.settings
    }

    /// Where the database is.
    pub fn place(&self) -> &mortise_store::Place {
        &self.settings.place
    }

    /// Why the database cannot be used, where it cannot.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks for what is kept; `None` where nothing is, without opening anything.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn read<T, F, Fut>(self: &Arc<Self>, ask: F) -> Result<Option<T>, StorageError>
    where
        T: Send + 'static,
        F: FnOnce(Store) -> Fut + Send + 'static,
        Fut: Future<Output = Result<T, StoreError>> + Send,
    {
        if !self.may_hold_something() {
            return Ok(None);
        }
        self.write(ask).await.map(Some)
    }

    /// Does something with the database, which is made where there is none.
    ///
    /// # Errors
    /// When it says no, or cannot be used.
    pub async fn write<T, F, Fut>(self: &Arc<Self>, work: F) -> Result<T, StorageError>
    where
        T: Send + 'static,
        F: FnOnce(Store) -> Fut + Send + 'static,
        Fut: Future<Output = Result<T, StoreError>> + Send,
    {
        let this = self.clone();
        self.on_runtime(async move { work(this.store().await?).await }).await
    }

    /// The database, opened.
    async fn store(&self) -> Result<Store, StoreError> {
        if let Some(store) = self.store.get() {
            return Ok(store.clone());
        }
        let opened = self.store.get_or_try_init(|| Store::open(&self.settings.place)).await;
        self.note_trouble(opened.as_ref().err().map(|error| Chain(error).to_string()));
        if opened.is_ok() {
            self.opened.notify_one();
        }
        opened.cloned()
    }

    fn note_trouble(&self, trouble: Option<String>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }

    /// Sees work to its end on the gateway's runtime, also where whoever asked for it leaves.
    async fn on_runtime<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, StorageError> {
        let work = self.runtime.spawn(async move { tokio::time::timeout(PATIENCE, work).await });
        match work.await {
            Ok(Ok(done)) => Ok(done?),
            Ok(Err(_)) => Err(StorageError::TooSlow),
            Err(_) => Err(StorageError::Ending),
        }
    }

    /// Puts apps and tokens in force: requests that begin from now on go by them.
    fn put_in_force(&self, roster: Roster) {
        self.roster.store(Arc::new(roster));
        if let Some(snapshots) = self.snapshots.get() {
            snapshots.change(|now| {
                let access = now.access.with_stored(self.roster());
                Snapshot { access: Arc::new(access), ..now.clone() }
            });
        }
    }

    /// Writes down what is still to be, and closes the database.
    pub async fn stop(&self, patience: Duration) {
        if let Some(store) = self.store.get() {
            let ending = async {
                self.note_use(store).await;
                store.close().await;
            };
            let _ = tokio::time::timeout(patience, ending).await;
        }
    }
}

impl std::fmt::Debug for Storage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Storage")
            .field("place", &self.settings.place)
            .field("open", &self.store.initialized())
            .finish_non_exhaustive()
    }
}
