//! What plugins are told of apps: those of the configuration and those of storage, as they are in force at that moment.
//! Never a token, nor how one begins. And of what they ask: LLMs, prices, and what was spent.

use std::sync::{Arc, OnceLock};

use mortise_framework::Framework;
use mortise_plugin_api::{
    Fut, PluginError,
    host::{Apps, Credential},
};
use serde_json::{Map, Value, json};

use crate::{
    auth::{Authenticator, GrantedApp},
    llm::{LlmSurface, told},
    snapshot::{Snapshot, Snapshots},
};

/// The apps of a gateway, once it serves.
#[derive(Debug, Default)]
pub struct AppService(OnceLock<(Arc<Snapshots>, Arc<LlmSurface>)>);

impl AppService {
    /// Offers what is known of them to plugins.
    #[must_use]
    pub fn offer_to(framework: &Framework) -> Arc<Self> {
        let this = Arc::new(Self::default());
        let offered = this.clone();
        framework.offer_apps(move |_| offered.clone());
        this
    }

    /// Tells of those of the snapshot in force, from now on.
    pub fn serve(&self, snapshots: Arc<Snapshots>, llm: Arc<LlmSurface>) {
        let _ = self.0.set((snapshots, llm));
    }

    fn now(&self) -> Result<(Arc<Snapshot>, &LlmSurface), PluginError> {
        let starting = || PluginError::Unavailable("the gateway is starting".to_owned());
        let (snapshots, llm) = self.0.get().ok_or_else(starting)?;
        Ok((snapshots.load(), llm))
    }

    fn ask<T>(&self, ask: impl FnOnce(&Authenticator) -> T) -> Result<T, PluginError> {
        let (snapshot, _) = self.now()?;
        Ok(ask(&snapshot.access.authenticator))
    }
}

impl Apps for AppService {
    fn get<'a>(&'a self, name: &'a str) -> Fut<'a, Result<Option<Map<String, Value>>, PluginError>> {
        let found = self.ask(|apps| apps.facts().find(|app| app.name == name));
        Box::pin(std::future::ready(found.map(|app| app.as_ref().map(shown))))
    }

    fn list(&self) -> Fut<'_, Result<Vec<Map<String, Value>>, PluginError>> {
        let apps = self.ask(|apps| apps.facts().collect::<Vec<GrantedApp>>());
        let apps = apps.map(|mut apps| {
            apps.sort_by(|a, b| a.name.cmp(&b.name));
            apps.iter().map(shown).collect()
        });
        Box::pin(std::future::ready(apps))
    }

    fn credential<'a>(&'a self, token: &'a [u8]) -> Fut<'a, Result<Option<Credential>, PluginError>> {
        Box::pin(std::future::ready(self.ask(|apps| apps.credential(token))))
    }

    fn llms(&self) -> Fut<'_, Result<Vec<Map<String, Value>>, PluginError>> {
        let told = self.now().map(|(snapshot, _)| told::llms(&snapshot.llms));
        Box::pin(std::future::ready(told))
    }

    fn prices(&self) -> Fut<'_, Result<Vec<Map<String, Value>>, PluginError>> {
        let told = self.now().map(|(snapshot, llm)| told::prices(&snapshot.llms, &llm.prices()));
        Box::pin(std::future::ready(told))
    }

    fn price<'a>(
        &'a self,
        vendor: &'a str,
        model: &'a str,
    ) -> Fut<'a, Result<Option<Map<String, Value>>, PluginError>> {
        let told =
            self.now().map(|(snapshot, llm)| told::price_of(&snapshot.llms, &llm.prices(), vendor, model));
        Box::pin(std::future::ready(told))
    }

    fn budget<'a>(
        &'a self,
        app: &'a str,
        llm: Option<&'a str>,
    ) -> Fut<'a, Result<Option<Map<String, Value>>, PluginError>> {
        Box::pin(async move {
            let Some(found) = self.ask(|apps| apps.facts().find(|found| found.name == app))? else {
                return Ok(None);
            };
            Ok(Some(told::budget(self.now()?.1, &found, llm).await))
        })
    }
}

fn shown(app: &GrantedApp) -> Map<String, Value> {
    let fields = json!({
        "name": app.name,
        "description": app.description,
        "owner": app.owner,
        "active": app.active,
        "monthly_budget": app.monthly_budget,
        "budget_reset_day": app.budget_reset_day,
        "rate_limit": app.rate_limit,
        "metadata": app.metadata,
        "created": app.created,
        "updated": app.updated,
    });
    match fields {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}
