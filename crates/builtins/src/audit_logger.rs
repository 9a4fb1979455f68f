//! Writes what passes to an audit trail: JSON lines in a file, to HTTP endpoints, or in the host's log.
//!
//! Observes and never delays: a call makes a record and puts it into a bounded queue for each destination; a thread of
//! the plugin's own writes it. A full queue drops the record and counts it, and the trail itself says how many are
//! missing. Threads, because what writes to a file blocks and this crate has no async runtime; they begin when the
//! plugin starts and end when it stops, within a deadline.

pub mod config;
mod endpoint;
mod file;
mod queue;
mod record;
mod redact;
mod signal;
mod worker;

#[cfg(test)]
mod tests;

use std::{
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use mortise_plugin_api::{
    BuildError, Cx, Fut, HookId, HookTable, Init, Moment, Native, NativeKind, Needs, Outcome, Plugin,
    PluginError, Reply,
    hooks::MCP_HOOKS,
    host::{Host, LogLevel},
};
use serde_json::Value;

use config::{Config, Level};
use queue::{Limits, Queue};
use record::Record;
use redact::Redactor;
use worker::{HostLog, Running};

/// How often the host's log is told of dropped records.
const COMPLAINT_EVERY: Duration = Duration::from_secs(60);

/// The kind, for registration.
#[must_use]
pub fn kind() -> NativeKind {
    NativeKind {
        name: "audit_logger",
        class_paths: &["plugins.audit.audit_logger.AuditLoggerPlugin"],
        about: "Writes an audit trail: JSON lines to a file, to HTTP endpoints or to the log.",
        hooks: MCP_HOOKS,
        config_schema: NativeKind::schema_of::<Config>,
        build,
    }
}

fn build(config: &Value) -> Result<Arc<dyn Plugin>, BuildError> {
    let config: Config = NativeKind::read(config)?;
    config.check()?;
    let table = HookTable::standard();
    let hooks: Vec<HookId> = table.rows().iter().map(|row| row.id).collect();
    let needs = if config.include_payloads { Needs::observe() } else { Needs::observe().without_body() };
    let logger = AuditLogger {
        events: table.rows().iter().map(Event::of).collect(),
        redactor: Arc::new(Redactor::new()?),
        config,
        started: OnceLock::new(),
    };
    Ok(Native::new(logger)
        .on_each(&hooks, needs, |logger, _, cx| logger.look(cx))
        .on_start(AuditLogger::start)
        .on_health(|logger| Box::pin(std::future::ready(logger.health())))
        .on_stop(AuditLogger::stop)
        .into_plugin())
}

/// What is known of a hook.
struct Event {
    name: Arc<str>,
    after: bool,
    pair: Option<HookId>,
}

impl Event {
    fn of(row: &mortise_plugin_api::HookSpec) -> Self {
        Self { name: row.name.clone(), after: row.moment != Moment::Before, pair: row.pair }
    }
}

/// When the hooks before began whose hook after is still to come, by the hook after.
type Begun = Vec<(HookId, Instant)>;

struct AuditLogger {
    /// By hook id.
    events: Vec<Event>,
    redactor: Arc<Redactor>,
    config: Config,
    started: OnceLock<Started>,
}

/// What there is from start to stop.
struct Started {
    name: Arc<str>,
    sinks: Vec<Running>,
}

impl AuditLogger {
    fn look(&self, cx: &mut Cx<'_>) -> Outcome {
        let (Some(event), Some(started)) = (self.events.get(cx.call.hook.index()), self.started.get()) else {
            return Ok(Reply::pass());
        };
        let took = Self::clock(event, cx);
        let level = if event.after { Level::of(cx.call.end) } else { Level::Info };
        if level < self.config.log_level {
            return Ok(Reply::pass());
        }
        let record = Record::new(&started.name, &event.name, event.after, level, took, &cx.call);
        let record = if self.config.include_payloads { record.with_payload(&cx.call) } else { record };
        let record = Arc::new(record);
        for sink in &started.sinks {
            if let Some(lost) = sink.queue.push(record.clone(), cx.host().instant()) {
                let lost = lost.to_string();
                let fields = [("destination", &*sink.name), ("dropped", &lost), ("reason", "queue is full")];
                cx.host().log(LogLevel::Warn, "audit records dropped", &fields);
            }
        }
        Ok(Reply::pass())
    }

    /// Notes when an event began, or says how long it took.
    fn clock(event: &Event, cx: &mut Cx<'_>) -> Option<Duration> {
        let now = cx.host().instant();
        if event.after {
            cx.context.own_ref()?;
            let begun = cx.context.native::<Begun>();
            let at = begun.iter().rposition(|(hook, _)| *hook == cx.call.hook)?;
            return Some(now.saturating_duration_since(begun.swap_remove(at).1));
        }
        if let Some(after) = event.pair {
            cx.context.native::<Begun>().push((after, now));
        }
        None
    }

    fn start(&self, init: Init) -> Fut<'_, Result<(), PluginError>> {
        Box::pin(async move {
            let mut sinks = Vec::new();
            let limits = || Limits {
                records: self.config.queue_records,
                bytes: self.config.queue_bytes,
                complaint_every: COMPLAINT_EVERY,
            };
            let shared = |destination: String| worker::Shared {
                plugin: init.name.clone(),
                destination,
                host: init.host.clone(),
                redactor: self.redactor.clone(),
                max_payload_bytes: self.config.max_payload_bytes,
            };
            if let Some(path) = &self.config.file {
                let sink = file::FileSink::new(path, &self.config);
                sinks.push(Running::start(sink, Queue::new(limits()), shared(path.clone())).await?);
            }
            for url in &self.config.audit_endpoints {
                init.host.http()?;
                let sink = endpoint::Endpoint::new(url, &self.config);
                let shared = shared(config::origin(url));
                sinks.push(Running::start(sink, Queue::new(limits()), shared).await?);
            }
            if sinks.is_empty() {
                let shared = shared("log".to_owned());
                sinks.push(Running::start(HostLog, Queue::new(limits()), shared).await?);
            }
            // Started twice is not started twice: what the second start made ends with it.
            let _ = self.started.set(Started { name: init.name, sinks });
            Ok(())
        })
    }

    fn health(&self) -> Result<(), PluginError> {
        let sinks = self.started.get().map(|started| started.sinks.as_slice()).unwrap_or_default();
        match sinks.iter().find_map(|sink| Some((sink, sink.trouble()?))) {
            Some((sink, trouble)) => Err(PluginError::failed(format!("{}: {trouble}", sink.name))),
            None => Ok(()),
        }
    }

    fn stop(&self) -> Fut<'_, ()> {
        Box::pin(async move {
            let Some(started) = self.started.get() else { return };
            let deadline = Instant::now() + Duration::from_secs(self.config.shutdown_timeout_seconds);
            worker::stop(&started.sinks, deadline).await;
        })
    }
}

/// The host as the threads hold it.
type SharedHost = Arc<dyn Host>;
