//! What endpoints are told of apps.

use std::{collections::HashMap, sync::Arc};

use mortise_framework::config::PluginEntry;
use mortise_plugin_api::{Caller, EndpointApp};
use mortise_store::Stored;

use crate::{
    auth::{Authenticator, Grant},
    config::App,
};

/// The apps of a configuration, by name, for callers that a plugin says are one. Empty where no plugin has endpoints.
#[derive(Clone, Debug, Default)]
pub struct Apps(Arc<HashMap<Arc<str>, Arc<EndpointApp>>>);

impl Apps {
    /// Those of a configuration with these plugins.
    #[must_use]
    pub fn new(apps: Option<&[App]>, plugins: &[PluginEntry]) -> Self {
        // There may be 100,000 of them, and most gateways have no endpoints.
        if !plugins.iter().any(|entry| entry.config_json.contains_key("slug")) {
            return Self::default();
        }
        let apps = apps.unwrap_or_default().iter();
        Self(Arc::new(apps.map(|app| (app.name.as_str().into(), Arc::new(configured(app)))).collect()))
    }

    /// The app that a plugin says a caller is; of one that nobody else knows, what the plugin told. `None` where the
    /// caller is no app.
    pub(super) fn of(&self, caller: &Caller, authenticator: &Authenticator) -> Option<Arc<EndpointApp>> {
        let name = caller.app.as_deref()?;
        if let Some(known) = self.0.get(name) {
            return Some(known.clone());
        }
        let known = authenticator.stored().app(name).map(|app| stored(app));
        Some(Arc::new(known.unwrap_or_else(|| EndpointApp {
            name: name.to_owned(),
            owner_email: caller.user.as_deref().unwrap_or_default().to_owned(),
            is_active: true,
            metadata: caller.metadata.clone(),
            ..EndpointApp::default()
        })))
    }
}

/// The app whose token came.
pub(super) fn granted(grant: &Grant) -> Option<Arc<EndpointApp>> {
    let app = grant.app.as_deref()?;
    Some(Arc::new(EndpointApp {
        id: app.id.map_or(0, number),
        name: app.name.clone(),
        description: app.description.clone().unwrap_or_default(),
        owner_email: app.owner.clone().unwrap_or_default(),
        is_active: true,
        monthly_budget: app.monthly_budget.unwrap_or_default(),
        rate_limit: rate(app.rate_limit),
        metadata: grant.caller.metadata.clone(),
    }))
}

fn configured(app: &App) -> EndpointApp {
    EndpointApp {
        id: 0,
        name: app.name.clone(),
        description: String::new(),
        owner_email: app.user.clone().unwrap_or_default(),
        is_active: true,
        monthly_budget: app.monthly_budget.unwrap_or_default(),
        rate_limit: rate(app.rate_limit),
        metadata: app.metadata.clone(),
    }
}

fn stored(app: &Stored<mortise_store::App>) -> EndpointApp {
    let fields = &app.fields;
    EndpointApp {
        id: number(app.id),
        name: fields.name.clone(),
        description: fields.description.clone().unwrap_or_default(),
        owner_email: fields.owner.clone().unwrap_or_default(),
        is_active: fields.active,
        monthly_budget: fields.monthly_budget.unwrap_or_default(),
        rate_limit: rate(fields.rate_limit),
        metadata: fields.metadata.clone(),
    }
}

fn number(id: i64) -> u32 {
    u32::try_from(id).unwrap_or(0)
}

fn rate(limit: Option<u64>) -> u32 {
    limit.map_or(0, |rate| u32::try_from(rate).unwrap_or(u32::MAX))
}
