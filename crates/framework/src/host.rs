//! The host services of plugins: a log and a clock by itself, and what the program offers beside them.
//!
//! What services do is not here: a framework that is embedded has no network of its own, so whoever runs it hands in
//! what it has, once it has it.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use mortise_plugin_api::{
    PluginError,
    host::{Apps, Host, Http, KeyValue, LogLevel},
};

/// Makes the HTTP client of a plugin, by its name.
pub(crate) type HttpOf = Box<dyn Fn(&Arc<str>) -> Arc<dyn Http> + Send + Sync>;

/// Makes the values of a plugin, by its name.
pub(crate) type ValuesOf = Box<dyn Fn(&Arc<str>) -> Arc<dyn KeyValue> + Send + Sync>;

/// Makes what a plugin may know of apps, by its name.
pub(crate) type AppsOf = Box<dyn Fn(&Arc<str>) -> Arc<dyn Apps> + Send + Sync>;

/// What a program offers to plugins that are made from now on.
#[derive(Default)]
pub(crate) struct Offers {
    pub(crate) http: ArcSwapOption<HttpOf>,
    pub(crate) values: ArcSwapOption<ValuesOf>,
    pub(crate) apps: ArcSwapOption<AppsOf>,
}

/// A host that writes plugins' log lines to `tracing` under the plugin's name.
#[derive(Clone)]
pub struct LocalHost {
    plugin: Arc<str>,
    http: Option<Arc<dyn Http>>,
    values: Option<Arc<dyn KeyValue>>,
    apps: Option<Arc<dyn Apps>>,
}

impl LocalHost {
    /// The host as the plugin `plugin` sees it: a log and a clock.
    pub fn new(plugin: Arc<str>) -> Self {
        Self { plugin, http: None, values: None, apps: None }
    }

    pub(crate) fn with(plugin: Arc<str>, offers: &Offers) -> Self {
        let http = offers.http.load().as_ref().map(|http_of| http_of(&plugin));
        let values = offers.values.load().as_ref().map(|values_of| values_of(&plugin));
        let apps = offers.apps.load().as_ref().map(|apps_of| apps_of(&plugin));
        Self { plugin, http, values, apps }
    }
}

impl std::fmt::Debug for LocalHost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let http = self.http.is_some();
        f.debug_struct("LocalHost").field("plugin", &self.plugin).field("http", &http).finish()
    }
}

impl Host for LocalHost {
    fn log(&self, level: LogLevel, message: &str, fields: &[(&str, &str)]) {
        let plugin = &*self.plugin;
        let fields = fields.iter().map(|(name, value)| {
            let secret = mortise_telemetry::redact::is_secret_name(name);
            format!("{name}={}", if secret { mortise_telemetry::redact::HIDDEN } else { value })
        });
        let fields = fields.collect::<Vec<_>>().join(" ");
        match level {
            LogLevel::Debug => tracing::debug!(target: "mortise::plugin", plugin, fields, "{message}"),
            LogLevel::Info => tracing::info!(target: "mortise::plugin", plugin, fields, "{message}"),
            LogLevel::Warn => tracing::warn!(target: "mortise::plugin", plugin, fields, "{message}"),
            LogLevel::Error => tracing::error!(target: "mortise::plugin", plugin, fields, "{message}"),
        }
    }

    fn http(&self) -> Result<&dyn Http, PluginError> {
        self.http.as_deref().ok_or(PluginError::NoService("http"))
    }

    fn kv(&self) -> Result<&dyn KeyValue, PluginError> {
        self.values.as_deref().ok_or(PluginError::NoService("kv"))
    }

    fn apps(&self) -> Result<&dyn Apps, PluginError> {
        self.apps.as_deref().ok_or(PluginError::NoService("apps"))
    }
}
