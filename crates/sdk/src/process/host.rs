//! What a plugin may ask of its gateway, as host services.

use std::{
    sync::{Arc, OnceLock},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use mortise_plugin_api::{
    Fut, Host, PluginError,
    host::{Events, KeyValue, LogLevel},
};
use mortise_proto::tyk::{
    Timestamp,
    microgateway_management::{
        DeletePluginKvRequest, PluginContext, ReadPluginKvRequest, WritePluginKvRequest,
        microgateway_management_service_client::MicrogatewayManagementServiceClient,
    },
    plugin_events::{PublishRequest, plugin_event_service_client::PluginEventServiceClient},
};
use serde_json::Value;
use tonic::{Code, Status};

use super::way_back::{Link, WayBack, origin};

/// What covers a plugin's own values.
const VALUES: &str = "kv.readwrite";

/// The gateway, as a host.
pub(super) struct Gateway {
    way: Arc<WayBack>,
    plugin: OnceLock<u32>,
}

impl Gateway {
    pub(super) fn new(way: Arc<WayBack>) -> Self {
        Self { way, plugin: OnceLock::new() }
    }

    /// Takes the number by which the plugin is known.
    pub(super) fn know(&self, plugin: u32) {
        if plugin != 0 {
            let _ = self.plugin.set(plugin);
        }
    }

    fn number(&self) -> u32 {
        self.plugin.get().copied().unwrap_or(0)
    }

    fn about(&self) -> Option<PluginContext> {
        Some(PluginContext { plugin_id: self.number(), method_scope: VALUES.to_owned() })
    }

    async fn management(&self) -> Result<MicrogatewayManagementServiceClient<Link>, PluginError> {
        Ok(MicrogatewayManagementServiceClient::with_origin(self.way.link().await?, origin()))
    }
}

fn failed(what: &str, status: &Status) -> PluginError {
    let told = format!("{what}: {}", status.message());
    match status.code() {
        Code::Unavailable => PluginError::Unavailable(told),
        _ => PluginError::failed(told),
    }
}

fn timestamp(end: SystemTime) -> Timestamp {
    let since = end.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let seconds = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
    Timestamp { seconds, nanos: i32::try_from(since.subsec_nanos()).unwrap_or(0) }
}

impl Host for Gateway {
    /// Goes to standard error, which every gateway reads; of the level that stands in brackets.
    fn log(&self, level: LogLevel, message: &str, fields: &[(&str, &str)]) {
        let level = match level {
            LogLevel::Debug => "DEBUG",
            LogLevel::Info => "INFO",
            LogLevel::Warn => "WARN",
            LogLevel::Error => "ERROR",
        };
        let mut line = format!("[{level}] {message}");
        for (name, value) in fields {
            line.push_str(&format!(" {name}={value}"));
        }
        // A line break would begin a line that is in nobody's name.
        let mut line = line.replace('\r', "\\r").replace('\n', "\\n");
        line.push('\n');
        // Where nobody reads it, nothing is lost but the line.
        let _ = std::io::Write::write_all(&mut std::io::stderr().lock(), line.as_bytes());
    }

    fn kv(&self) -> Result<&dyn KeyValue, PluginError> {
        if self.way.is_offered() { Ok(self) } else { Err(PluginError::NoService("kv")) }
    }

    fn events(&self) -> Result<&dyn Events, PluginError> {
        if self.way.is_offered() { Ok(self) } else { Err(PluginError::NoService("events")) }
    }
}

impl KeyValue for Gateway {
    fn get<'a>(&'a self, key: &'a str) -> Fut<'a, Result<Option<Bytes>, PluginError>> {
        Box::pin(async move {
            let request = ReadPluginKvRequest { context: self.about(), key: key.to_owned() };
            match self.management().await?.read_plugin_kv(request).await {
                Ok(answer) => Ok(Some(answer.into_inner().value)),
                Err(status) if status.code() == Code::NotFound => Ok(None),
                Err(status) => Err(failed("reading a value", &status)),
            }
        })
    }

    fn set<'a>(
        &'a self,
        key: &'a str,
        value: Bytes,
        ttl: Option<Duration>,
    ) -> Fut<'a, Result<(), PluginError>> {
        Box::pin(async move {
            let expire_at = ttl.and_then(|ttl| SystemTime::now().checked_add(ttl)).map(timestamp);
            let request =
                WritePluginKvRequest { context: self.about(), key: key.to_owned(), value, expire_at };
            let written = self.management().await?.write_plugin_kv(request).await;
            written.map(drop).map_err(|status| failed("writing a value", &status))
        })
    }

    fn delete<'a>(&'a self, key: &'a str) -> Fut<'a, Result<(), PluginError>> {
        Box::pin(async move {
            let request = DeletePluginKvRequest { context: self.about(), key: key.to_owned() };
            let deleted = self.management().await?.delete_plugin_kv(request).await;
            deleted.map(drop).map_err(|status| failed("deleting a value", &status))
        })
    }

    fn list<'a>(&'a self, _: &'a str, _: usize) -> Fut<'a, Result<Vec<String>, PluginError>> {
        Box::pin(async { Err(PluginError::failed("gateways have no call that lists keys")) })
    }
}

impl Events for Gateway {
    fn publish<'a>(&'a self, topic: &'a str, payload: Value) -> Fut<'a, Result<(), PluginError>> {
        Box::pin(async move {
            let request = PublishRequest {
                topic: topic.to_owned(),
                payload: payload.to_string().into(),
                direction: 0,
                plugin_id: self.number().to_string(),
            };
            let mut client = PluginEventServiceClient::with_origin(self.way.link().await?, origin());
            let answer = client.publish(request).await;
            match answer.map_err(|status| failed("publishing an event", &status))?.into_inner() {
                answer if answer.success => Ok(()),
                answer => Err(PluginError::failed(format!("publishing an event: {}", answer.error_message))),
            }
        })
    }
}
