//! One record: made of references while the call runs, written as a line on the plugin's own thread.

use std::{
    sync::{Arc, OnceLock},
    time::{Duration, SystemTime},
};

use mortise_plugin_api::{Call, Caller, Revision, Wire};
use serde_json::{Map, Value, json};

use super::{config::Level, redact::Redactor};

/// What is told about one hook of one call.
pub(super) struct Record {
    pub(super) time: SystemTime,
    pub(super) level: Level,
    plugin: Arc<str>,
    event: Arc<str>,
    request_id: Arc<str>,
    outcome: Option<&'static str>,
    subject: Option<Box<str>>,
    original_name: Option<Arc<str>>,
    caller: Arc<Caller>,
    server_id: Option<Arc<str>>,
    upstream: Option<Arc<str>>,
    client: Option<std::net::SocketAddr>,
    traceparent: Option<Arc<str>>,
    payload_bytes: usize,
    took: Option<Duration>,
    payload: Option<Arc<Revision>>,
    /// Made once, however many destinations there are.
    line: OnceLock<Box<str>>,
}

impl Record {
    pub(super) fn new(
        plugin: &Arc<str>,
        event: &Arc<str>,
        after: bool,
        level: Level,
        took: Option<Duration>,
        call: &Call<'_>,
    ) -> Self {
        let (request, payload) = (call.request, call.payload.payload());
        Self {
            time: call.host.now(),
            level,
            plugin: plugin.clone(),
            event: event.clone(),
            request_id: request.id.clone(),
            outcome: after.then(|| call.end.word()),
            subject: payload.subject().map(Box::from),
            original_name: request.original_name.clone(),
            caller: request.caller.clone(),
            server_id: request.server_id.clone(),
            upstream: request.upstream.clone(),
            client: request.client,
            traceparent: request.traceparent.clone(),
            payload_bytes: payload.size(),
            took,
            payload: None,
            line: OnceLock::new(),
        }
    }

    /// The same with the payload as it is now.
    pub(super) fn with_payload(mut self, call: &Call<'_>) -> Self {
        self.payload = Some(call.payload.clone());
        self
    }

    /// Bytes that it keeps from being freed while it waits.
    pub(super) fn weight(&self) -> usize {
        if self.payload.is_some() { self.payload_bytes } else { 0 }
    }

    /// The record as JSON, without a line break.
    pub(super) fn line(&self, redactor: &Redactor, max_payload_bytes: usize) -> &str {
        self.line.get_or_init(|| Value::Object(self.members(redactor, max_payload_bytes)).to_string().into())
    }

    fn members(&self, redactor: &Redactor, max_payload_bytes: usize) -> Map<String, Value> {
        let caller = &self.caller;
        let text = |value: &Option<Arc<str>>| value.as_deref().map(Value::from);
        let teams =
            (!caller.teams.is_empty()).then(|| caller.teams.iter().map(|team| json!(**team)).collect());
        let millis = self.took.map(|took| json!(took.as_micros() as f64 / 1000.0));
        let members = [
            ("time", Some(timestamp(self.time).into())),
            ("level", Some(self.level.name().into())),
            ("plugin", Some(json!(*self.plugin))),
            ("event", Some(json!(*self.event))),
            ("outcome", self.outcome.map(Value::from)),
            ("request_id", Some(json!(*self.request_id))),
            ("subject", self.subject.as_deref().map(|subject| redactor.subject(subject).into())),
            ("original_name", text(&self.original_name)),
            ("user", text(&caller.user)),
            ("app", text(&caller.app)),
            ("tenant", text(&caller.tenant)),
            ("teams", teams),
            ("auth_method", text(&caller.auth_method)),
            ("client", self.client.map(|client| client.to_string().into())),
            ("server_id", text(&self.server_id)),
            ("upstream", text(&self.upstream)),
            ("traceparent", text(&self.traceparent)),
            ("duration_ms", millis),
            ("payload_bytes", Some(self.payload_bytes.into())),
        ];
        let mut members: Map<String, Value> =
            members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
        if let Some(payload) = &self.payload {
            let (name, value) = match redacted(payload, redactor, max_payload_bytes) {
                Some(payload) => ("payload", payload),
                None => ("payload_omitted", true.into()),
            };
            members.insert(name.to_owned(), value);
        }
        members
    }
}

/// The payload's JSON without what must not be in a log; `None` where it is too large or no JSON.
fn redacted(payload: &Revision, redactor: &Redactor, max: usize) -> Option<Value> {
    // A redacted payload is hardly smaller than it was, so much larger ones need no look.
    if payload.payload().size() > max.saturating_mul(4) {
        return None;
    }
    let mut value = serde_json::from_slice(payload.json(Wire::Json).ok()?).ok()?;
    redactor.json(&mut value, "");
    (value.to_string().len() <= max).then_some(value)
}

/// A record that so many are missing here.
pub(super) fn gap(plugin: &str, time: SystemTime, dropped: u64) -> String {
    json!({
        "time": timestamp(time),
        "level": Level::Error.name(),
        "plugin": plugin,
        "event": "audit_records_dropped",
        "dropped": dropped,
    })
    .to_string()
}

fn timestamp(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time).map_or_else(|_| String::new(), |time| format!("{time:.3}"))
}
