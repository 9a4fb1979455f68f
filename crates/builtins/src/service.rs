//! Asking a service: what the plugins that do so have in common.
//!
//! A call of theirs ends in one of three ways: the answer is known already and given at once, without a box or a timer;
//! the service is asked, through the host and its guard; or there is no answer. The last is never a verdict: it is an
//! error of the plugin, so that the entry's mode and the framework's breaker go by it. Only where the operator wants
//! calls to pass (`on_failure: pass`) is it swallowed here, and then the breaker is too, so that calls do not wait for a
//! service that is away.

mod cache;
pub(crate) mod facts;
pub(crate) mod pieces;
mod rest;

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use mortise_plugin_api::{
    Answer, BuildError, Call, Context, Fut, Headers, HookId, Host, Init, Needs, Notes, Outcome, Plugin,
    PluginError, Reply,
    host::{HttpRequest, LogLevel},
    native::is_final,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

pub(crate) use cache::{Cache, Key};
use rest::Rest;

/// Longest wait for a service that may be configured, in milliseconds.
const LONGEST_WAIT: u64 = 300_000;
/// Largest answer that may be configured, in bytes.
const LARGEST_ANSWER: usize = 16 << 20;
/// Longest a verdict may be kept, in seconds.
const LONGEST_KEPT: u64 = 86_400;
/// Most verdicts that may be kept.
const MOST_KEPT: usize = 1_000_000;
/// How often the log is told of calls that pass without a verdict.
const COMPLAINT_EVERY: Duration = Duration::from_secs(60);

/// What becomes of a call on which the service gave no verdict: it is away, slow, or answers what is no answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnFailure {
    /// It is an error of the plugin, and the entry's mode decides: `enforce` blocks the call.
    #[default]
    Block,
    /// It passes, and log and metadata say so.
    Pass,
}

/// What becomes of a call that is found fault with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// It is blocked.
    #[default]
    Block,
    /// It passes; log and metadata say what would have been blocked.
    Audit,
}

/// How a service is reached, read from a plugin's configuration.
pub(crate) struct Reach<'c> {
    /// What it is called in messages: `the guardrail`.
    pub(crate) name: &'static str,
    /// Key of its address.
    pub(crate) field: &'static str,
    pub(crate) url: &'c str,
    /// Sent as `authorization: Bearer`.
    pub(crate) token: Option<&'c str>,
    pub(crate) headers: &'c BTreeMap<String, String>,
    pub(crate) timeout_ms: u64,
    pub(crate) max_answer_bytes: usize,
    pub(crate) on_failure: OnFailure,
}

/// A service that is asked by POST of JSON.
pub(crate) struct Service {
    name: &'static str,
    url: String,
    headers: Headers,
    timeout: Duration,
    largest: usize,
    on_failure: OnFailure,
    rest: Rest,
    /// Why the last call had no answer, if it had none; for health.
    trouble: Mutex<Option<String>>,
    complained: Mutex<Option<Instant>>,
}

impl Service {
    /// The service that is reached so.
    ///
    /// # Errors
    /// An address that is none, headers that are none, a number out of its range.
    pub(crate) fn new(reach: &Reach<'_>) -> Result<Self, BuildError> {
        between("timeout_ms", reach.timeout_ms, 1, LONGEST_WAIT)?;
        between("max_answer_bytes", reach.max_answer_bytes as u64, 1, LARGEST_ANSWER as u64)?;
        let mut headers = headers(reach.headers)?;
        if let Some(token) = reach.token {
            let value = format!("Bearer {token}");
            if !is_header_value(&value) {
                return Err(BuildError::new("api_key", "holds a line break or another control character"));
            }
            headers.set("authorization", value);
        }
        headers.set("content-type", "application/json");
        headers.set("accept", "application/json");
        Ok(Self {
            name: reach.name,
            url: address(reach.field, reach.url)?,
            headers,
            timeout: Duration::from_millis(reach.timeout_ms),
            largest: reach.max_answer_bytes,
            on_failure: reach.on_failure,
            rest: Rest::default(),
            trouble: Mutex::default(),
            complained: Mutex::default(),
        })
    }

    /// Posts JSON and takes the answer to it.
    ///
    /// # Errors
    /// No answer in time, none at all, one that is too large, or another status than 2xx.
    pub(crate) async fn ask(&self, host: &dyn Host, body: Bytes) -> Result<Bytes, PluginError> {
        self.ask_at(&self.url, host, body).await
    }

    /// The same at another address of the same service, which [`address`] has approved of.
    ///
    /// # Errors
    /// As [`Service::ask`].
    pub(crate) async fn ask_at(&self, url: &str, host: &dyn Host, body: Bytes) -> Result<Bytes, PluginError> {
        let passes = self.on_failure == OnFailure::Pass;
        if passes && !self.rest.admits(host.instant()) {
            let message = format!("{} is left alone for a while after failures in a row", self.name);
            return Err(PluginError::Unavailable(message));
        }
        let answered = self.send(url, host, body).await;
        match &answered {
            Ok(_) => self.rest.succeeded(),
            Err(_) => self.rest.failed(host.instant()),
        }
        answered
    }

    async fn send(&self, url: &str, host: &dyn Host, body: Bytes) -> Result<Bytes, PluginError> {
        let request = HttpRequest {
            method: "POST".to_owned(),
            url: url.to_owned(),
            headers: self.headers.clone(),
            body,
            timeout: self.timeout,
            max_response_bytes: self.largest,
        };
        let answer = host.http()?.send(request).await?;
        // The host bounds what it reads; one that does not must not make this plugin read without bound.
        if answer.body.len() > self.largest {
            return Err(PluginError::failed(format!("the answer of {} is too large", self.name)));
        }
        match answer.status {
            200..=299 => Ok(answer.body),
            status => Err(PluginError::failed(format!("{} answered with status {status}", self.name))),
        }
    }

    /// Posts JSON and reads the answer as `T`.
    ///
    /// # Errors
    /// As [`Service::ask`], and an answer that is no `T`.
    pub(crate) async fn ask_for<T: serde::de::DeserializeOwned>(
        &self,
        host: &dyn Host,
        body: Bytes,
    ) -> Result<T, PluginError> {
        self.read(&self.ask(host, body).await?)
    }

    /// Reads an answer as `T`.
    ///
    /// # Errors
    /// One that is no `T`.
    pub(crate) fn read<T: serde::de::DeserializeOwned>(&self, answer: &[u8]) -> Result<T, PluginError> {
        // Lists would be read by position.
        if !answer.trim_ascii_start().starts_with(b"{") {
            return Err(self.invalid("no JSON object"));
        }
        // What does not fit is not repeated: it may be anything, and goes to the caller.
        serde_json::from_slice(answer).map_err(|error| {
            self.invalid(&format!(
                "not what it should be, at line {} column {}",
                error.line(),
                error.column()
            ))
        })
    }

    /// An answer that is none.
    pub(crate) fn invalid(&self, why: &str) -> PluginError {
        PluginError::InvalidAnswer(format!("{} answered with what is {why}", self.name))
    }

    /// Settles a call: a verdict as it is, and where there is none, what the operator wants then.
    pub(crate) fn settle(&self, host: &dyn Host, outcome: Outcome) -> Outcome {
        let error = match outcome {
            Ok(reply) => {
                self.note(None);
                return Ok(reply);
            }
            Err(error) => error,
        };
        self.note(Some(error.to_string()));
        if self.on_failure == OnFailure::Block {
            return Err(error);
        }
        if self.complains(host.instant()) {
            let fields = [("service", self.name), ("error", &*error.to_string())];
            host.log(LogLevel::Warn, "calls pass without a verdict", &fields);
        }
        Ok(noted("unjudged", error.kind()))
    }

    fn note(&self, trouble: Option<String>) {
        let mut held = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if held.is_some() || trouble.is_some() {
            *held = trouble;
        }
    }

    fn complains(&self, now: Instant) -> bool {
        let mut last = self.complained.lock().unwrap_or_else(PoisonError::into_inner);
        let due = last.is_none_or(|last| now.saturating_duration_since(last) >= COMPLAINT_EVERY);
        if due {
            *last = Some(now);
        }
        due
    }

    fn health(&self) -> Result<(), PluginError> {
        let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone();
        trouble.map_or(Ok(()), |why| Err(PluginError::failed(format!("the last call had no verdict: {why}"))))
    }
}

/// A reply that passes and says one thing.
pub(crate) fn noted(key: &str, value: impl Into<Value>) -> Reply {
    let mut notes = Notes::default();
    notes.metadata.insert(key.to_owned(), value.into());
    Reply { notes: Some(Box::new(notes)), ..Reply::pass() }
}

/// What judges calls by asking a service.
pub(crate) trait Judge: Send + Sync + 'static {
    /// The service it asks.
    fn service(&self) -> &Service;

    /// Whether it can judge at all; asked when it starts.
    ///
    /// # Errors
    /// What is missing. The plugin is unavailable then.
    fn ready(&self) -> Result<(), PluginError> {
        Ok(())
    }

    /// Judges one call.
    fn judge<'a>(&'a self, call: Call<'a>, context: Context<'a>) -> Answer<'a>;
}

/// A judge as a plugin.
pub(crate) struct Asking<J> {
    pub(crate) judge: J,
    pub(crate) hooks: &'static [HookId],
    pub(crate) needs: Needs,
}

impl<J: Judge> Plugin for Asking<J> {
    fn needs(&self, hook: HookId) -> Option<Needs> {
        self.hooks.contains(&hook).then_some(self.needs)
    }

    fn call<'a>(&'a self, call: Call<'a>, context: Context<'a>) -> Answer<'a> {
        // Of a call that is over for good, nothing is left to decide.
        if is_final(call.end) {
            return Answer::Ready(Ok(Reply::pass()));
        }
        let service = self.judge.service();
        match self.judge.judge(call, context) {
            Answer::Ready(outcome) => Answer::Ready(service.settle(call.host, outcome)),
            Answer::Later(asking) => {
                Answer::Later(Box::pin(async move { service.settle(call.host, asking.await) }))
            }
        }
    }

    fn initialize(&self, init: Init) -> Fut<'_, Result<(), PluginError>> {
        let ready = init.host.http().map(|_| ()).and_then(|()| self.judge.ready());
        Box::pin(std::future::ready(ready))
    }

    fn hands_over(&self) -> bool {
        false
    }

    fn health(&self) -> Fut<'_, Result<(), PluginError>> {
        Box::pin(std::future::ready(self.judge.service().health()))
    }
}

/// A cache of verdicts as it is configured; none where verdicts are not kept.
///
/// # Errors
/// A number out of its range.
pub(crate) fn cache<V: Clone>(seconds: u64, entries: usize) -> Result<Option<Cache<V>>, BuildError> {
    between("cache_seconds", seconds, 0, LONGEST_KEPT)?;
    between("cache_entries", entries as u64, 0, MOST_KEPT as u64)?;
    Ok((seconds > 0 && entries > 0).then(|| Cache::new(Duration::from_secs(seconds), entries)))
}

/// Whether a number is within its range.
///
/// # Errors
/// That it is not, and what is allowed.
pub(crate) fn between(field: &str, value: u64, least: u64, most: u64) -> Result<(), BuildError> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(BuildError::new(field, format!("is {value}; allowed are {least} to {most}")))
}

/// An address as it is requested.
///
/// # Errors
/// One that is no absolute `http` or `https` URL, or carries a login.
pub(crate) fn address(field: &str, url: &str) -> Result<String, BuildError> {
    let wrong = |why: &str| Err(BuildError::new(field, why));
    if url.is_empty() {
        return wrong("is required: the address of the service");
    }
    match Url::parse(url) {
        Ok(url) if !matches!(url.scheme(), "http" | "https") || !url.has_host() => {
            wrong("must be an absolute http or https URL")
        }
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            wrong("carries a user name or password; send them in a header")
        }
        Ok(url) => Ok(url.into()),
        Err(_) => wrong("must be an absolute http or https URL"),
    }
}

fn headers(written: &BTreeMap<String, String>) -> Result<Headers, BuildError> {
    let mut headers = Headers::new();
    for (name, value) in written {
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if name.is_empty() || !name.bytes().all(token) || !is_header_value(value) {
            let message = "is no header: names are letters, digits and dashes, values have no line breaks";
            return Err(BuildError::new(format!("headers.{name}"), message));
        }
        headers.set(name, value.as_str());
    }
    Ok(headers)
}

fn is_header_value(value: &str) -> bool {
    !value.bytes().any(|byte| byte.is_ascii_control() && byte != b'\t')
}
