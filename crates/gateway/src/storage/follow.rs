//! Taking over what has changed: one's own changes at once, those of other gateways when they are looked for.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use mortise_mcp_transport::chain::Chain;
use mortise_store::{Change, Filter, Store, StoreError, What};
use tokio_util::task::AbortOnDropHandle;

use super::{Storage, StorageError};
use crate::{auth::Roster, config::Kept, history::Source, llm::Prices, reload::Trigger};

/// How often other gateways' changes are looked for.
const LOOK: Duration = Duration::from_secs(2);

/// How often it is noted which tokens were used, in looks.
const NOTE_USE: u32 = 30;

/// How often what has ended is removed, in looks.
const TIDY: u32 = 1_800;

/// Name of the fact that there has been an app: from then on callers need a token.
const GUARDED: &str = "guarded";

impl Storage {
    /// Takes over what has changed, and says whether plugins or LLMs have. On return requests that begin go by it.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn catch_up(self: &Arc<Self>) -> Result<bool, StorageError> {
        let this = self.clone();
        self.on_runtime(async move { this.take_over().await }).await
    }

    /// The same, on the gateway's runtime.
    pub(super) async fn take_over(&self) -> Result<bool, StoreError> {
        let store = self.store().await?;
        let mut seen = self.seen.lock().await;
        let done = match *seen {
            None => self.read_all(&store).await.map(|revision| (revision, true)),
            Some(revision) => self.read_changes(&store, revision).await,
        };
        self.note_trouble(done.as_ref().err().map(|error| Chain(error).to_string()));
        let (revision, changed) = done?;
        *seen = Some(revision);
        Ok(changed)
    }

    async fn read_all(&self, store: &Store) -> Result<i64, StoreError> {
        // First, so that what changes meanwhile is seen once more rather than never.
        let revision = store.revision().await?;
        // Of both there may be 100,000, and making sense of what is read takes a processor longer than the database.
        let tokens = store.clone();
        let tokens = async move { tokens.tokens().all(&Filter::new()).await };
        let tokens = AbortOnDropHandle::new(tokio::spawn(tokens));
        let apps = store.apps().all(&Filter::new()).await?;
        let broke = |source| StoreError::Failed { doing: "reading tokens", source: Box::new(source) };
        let tokens = tokens.await.map_err(broke)??;
        let guarded = store.fact(GUARDED).await? != 0;
        if !guarded && !apps.is_empty() {
            store.keep_fact(GUARDED, 1).await?;
        }
        self.read_kept(store).await?;
        self.read_prices(store).await?;
        self.put_in_force(Roster::of(apps, tokens, guarded || self.settings.given));
        Ok(revision)
    }

    async fn read_kept(&self, store: &Store) -> Result<(), StoreError> {
        let plugins = store.plugins().all(&Filter::new()).await?;
        let llms = store.llms().all(&Filter::new()).await?;
        self.kept.store(Arc::new(Kept { plugins, llms }));
        Ok(())
    }

    async fn read_prices(&self, store: &Store) -> Result<(), StoreError> {
        let prices = store.prices().all(&Filter::new()).await?;
        self.prices.store(Arc::new(Prices::of(&prices)));
        Ok(())
    }

    async fn read_changes(&self, store: &Store, revision: i64) -> Result<(i64, bool), StoreError> {
        let changes = store.changes_since(revision).await?;
        let Some(mut changed) = changes.changed else {
            return self.read_all(store).await.map(|revision| (revision, true));
        };
        if changed.is_empty() {
            return Ok((revision, false));
        }
        // A token finds its app here, also where that changed once more after it.
        changed.sort_by_key(|change| change.what != What::App);
        let mut roster = self.roster();
        let (mut is_kept, mut is_price) = (false, false);
        for Change { what, id } in &changed {
            match what {
                What::App => {
                    let app = store.apps().get(*id).await?;
                    if app.is_some() && !roster.guards() {
                        store.keep_fact(GUARDED, 1).await?;
                    }
                    roster.put_app(*id, app);
                }
                What::Token => roster.put_token(*id, store.tokens().get(*id).await?),
                What::Plugin | What::Llm => is_kept = true,
                What::Price => is_price = true,
                _ => {}
            }
        }
        if is_kept {
            self.read_kept(store).await?;
        }
        if is_price {
            self.read_prices(store).await?;
        }
        self.put_in_force(roster);
        Ok((changes.revision, is_kept))
    }

    /// Looks for changes of other gateways, notes which tokens were used, and removes what has ended, for ever. Waits
    /// until there is a database.
    pub(crate) async fn watch(self: &Arc<Self>) {
        if !self.may_hold_something() {
            self.opened.notified().await;
        }
        let mut looks: u32 = 0;
        loop {
            tokio::time::sleep(LOOK).await;
            looks = looks.wrapping_add(1);
            let had_trouble = self.trouble().is_some();
            match self.take_over().await {
                Ok(changed) if changed || had_trouble => self.reload().await,
                Ok(_) => {}
                Err(error) if !had_trouble => {
                    tracing::error!(error = %Chain(&error), place = %self.place(), "the database cannot be used");
                }
                Err(_) => {}
            }
            let Some(store) = self.store.get() else { continue };
            if looks.is_multiple_of(NOTE_USE) {
                self.note_use(store).await;
            }
            if looks.is_multiple_of(TIDY) {
                self.tidy(store).await;
            }
        }
    }

    /// Puts plugins and LLMs in force that another gateway has changed.
    async fn reload(&self) {
        let Some(reloader) = self.reloader.get().and_then(std::sync::Weak::upgrade) else { return };
        // What was wrong is in the log and in the history.
        let _ = reloader.reload(Trigger::new(Source::Storage, "storage")).await;
    }

    /// Removes what has ended, and records that are old.
    async fn tidy(&self, store: &Store) {
        let dropped = store.drop_ended_values().await.map(drop);
        let mut done = dropped.and(store.forget_changes().await);
        let days = i64::from(self.settings().records.days);
        if days > 0 {
            let before = Timestamp::now().as_millisecond() - days * 86_400_000;
            done = done.and(store.drop_records_before(before).await.map(drop));
        }
        if let Err(error) = done {
            tracing::warn!(error = %Chain(&error), "what has ended could not be removed from the database");
        }
    }

    /// Notes which tokens were used.
    pub(super) async fn note_use(&self, store: &Store) {
        let used = self.roster.load().take_used();
        if used.is_empty() {
            return;
        }
        if let Err(error) = store.tokens().used(&used).await {
            tracing::warn!(error = %Chain(&error), "it could not be noted which tokens were used");
        }
    }
}
