//! The host services of a program that offers nothing beyond a log and a clock.

use std::sync::Arc;

use mortise_plugin_api::host::{Host, LogLevel};

/// A host that writes plugins' log lines to `tracing` under the plugin's name.
#[derive(Clone, Debug)]
pub struct LocalHost {
    plugin: Arc<str>,
}

impl LocalHost {
    /// The host as the plugin `plugin` sees it.
    pub fn new(plugin: Arc<str>) -> Self {
        Self { plugin }
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
}
