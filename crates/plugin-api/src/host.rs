//! What a plugin may ask of its host, as traits.
//!
//! The host implements them, every runtime reaches them in the same way, and a plugin gets only the services its
//! approved permissions name: each accessor answers [`PluginError::NoService`] where a service is not offered.

use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use serde_json::{Map, Value};

use crate::{Fut, Headers, PluginError};

/// The services of a host, as one plugin sees them.
pub trait Host: Send + Sync {
    /// The current time of the day.
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    /// A monotonic instant, the clock of deadlines.
    fn instant(&self) -> Instant {
        Instant::now()
    }

    /// Writes one line to the host's log in the plugin's name. Fields must hold no secrets.
    fn log(&self, level: LogLevel, message: &str, fields: &[(&str, &str)]);

    /// Outgoing HTTP under the host's guard against requests to internal addresses.
    ///
    /// # Errors
    /// [`PluginError::NoService`] unless the host offers it and the plugin may use it.
    fn http(&self) -> Result<&dyn Http, PluginError> {
        Err(PluginError::NoService("http"))
    }

    /// A key-value store of the plugin's own.
    ///
    /// # Errors
    /// [`PluginError::NoService`] unless the host offers it and the plugin may use it.
    fn kv(&self) -> Result<&dyn KeyValue, PluginError> {
        Err(PluginError::NoService("kv"))
    }

    /// The apps that may call this gateway.
    ///
    /// # Errors
    /// [`PluginError::NoService`] unless the host offers it and the plugin may use it.
    fn apps(&self) -> Result<&dyn Apps, PluginError> {
        Err(PluginError::NoService("apps"))
    }

    /// Events between plugins and from the host.
    ///
    /// # Errors
    /// [`PluginError::NoService`] unless the host offers it and the plugin may use it.
    fn events(&self) -> Result<&dyn Events, PluginError> {
        Err(PluginError::NoService("events"))
    }
}

/// How loud a log line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// For whoever debugs the plugin.
    Debug,
    /// Normal operation worth noting.
    Info,
    /// Something is off, calls still succeed.
    Warn,
    /// Something failed.
    Error,
}

/// An outgoing HTTP request of a plugin.
#[derive(Clone, Debug)]
pub struct HttpRequest {
    /// Method in upper case.
    pub method: String,
    /// Absolute `http` or `https` URL.
    pub url: String,
    /// Request headers. Those that frame a message or belong to the connection (`host`, `content-length`, …) are the
    /// host's and refused.
    pub headers: Headers,
    /// Body, may be empty.
    pub body: Bytes,
    /// Limit for the whole exchange, from waiting for a turn to the end of the answer.
    pub timeout: Duration,
    /// Largest answer body accepted, in bytes. A larger one is an error and is not read further.
    pub max_response_bytes: usize,
}

/// The answer to an [`HttpRequest`].
#[derive(Clone, Debug)]
pub struct HttpResponse {
    /// Status code.
    pub status: u16,
    /// Response headers; several values of one name are joined by `, `.
    pub headers: Headers,
    /// Body.
    pub body: Bytes,
}

/// Outgoing HTTP.
pub trait Http: Send + Sync {
    /// Sends a request and reads the whole answer, whatever its status; redirects are not followed. The future may be
    /// awaited on any thread, and dropping it ends the request.
    ///
    /// # Errors
    /// [`PluginError::Timeout`]; [`PluginError::Unavailable`] once the host has ended; else [`PluginError::Failed`], with
    /// the code `EGRESS_REFUSED` where the request may not be made at all.
    fn send(&self, request: HttpRequest) -> Fut<'_, Result<HttpResponse, PluginError>>;
}

/// A key-value store, one namespace per plugin.
pub trait KeyValue: Send + Sync {
    /// The value of `key`, if it is set and has not expired.
    fn get<'a>(&'a self, key: &'a str) -> Fut<'a, Result<Option<Bytes>, PluginError>>;
    /// Sets `key`, for ever or for `ttl`.
    fn set<'a>(
        &'a self,
        key: &'a str,
        value: Bytes,
        ttl: Option<Duration>,
    ) -> Fut<'a, Result<(), PluginError>>;
    /// Removes `key`.
    fn delete<'a>(&'a self, key: &'a str) -> Fut<'a, Result<(), PluginError>>;
    /// Keys that start with `prefix`, at most `limit`.
    fn list<'a>(&'a self, prefix: &'a str, limit: usize) -> Fut<'a, Result<Vec<String>, PluginError>>;
}

/// What a plugin may know of the apps that call.
pub trait Apps: Send + Sync {
    /// The public fields of the app `name` (never its tokens), if there is one.
    fn get<'a>(&'a self, name: &'a str) -> Fut<'a, Result<Option<Map<String, Value>>, PluginError>>;

    /// The public fields of all apps, sorted by name.
    fn list(&self) -> Fut<'_, Result<Vec<Map<String, Value>>, PluginError>> {
        Box::pin(std::future::ready(Err(PluginError::NoService("apps"))))
    }

    /// The public fields of the LLMs that they may ask, in the order of the configuration: never a key.
    fn llms(&self) -> Fut<'_, Result<Vec<Map<String, Value>>, PluginError>> {
        Box::pin(std::future::ready(Err(PluginError::NoService("llms"))))
    }

    /// What models cost now: `vendor`, `model` (a pattern), and per token `input`, `output`, `cache_read`, `cache_write`.
    fn prices(&self) -> Fut<'_, Result<Vec<Map<String, Value>>, PluginError>> {
        Box::pin(std::future::ready(Err(PluginError::NoService("prices"))))
    }

    /// What one model of a vendor costs now, with the same fields; `None` where no price is known.
    fn price<'a>(
        &'a self,
        vendor: &'a str,
        model: &'a str,
    ) -> Fut<'a, Result<Option<Map<String, Value>>, PluginError>> {
        let _ = (vendor, model);
        Box::pin(std::future::ready(Err(PluginError::NoService("prices"))))
    }

    /// What an app has spent in the month that is now, at all LLMs or at one: `budget` (null for none), `spent`, `tokens`,
    /// `requests`, and when that month `begins` and `ends`, in seconds since 1970. `None` where there is no such app.
    fn budget<'a>(
        &'a self,
        app: &'a str,
        llm: Option<&'a str>,
    ) -> Fut<'a, Result<Option<Map<String, Value>>, PluginError>> {
        let _ = (app, llm);
        Box::pin(std::future::ready(Err(PluginError::NoService("budgets"))))
    }

    /// Whose token this is, if it lets anybody in now.
    fn credential<'a>(&'a self, token: &'a [u8]) -> Fut<'a, Result<Option<Credential>, PluginError>> {
        let _ = token;
        Box::pin(std::future::ready(Err(PluginError::NoService("credentials"))))
    }
}

/// A token that lets somebody in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credential {
    /// The app, by name.
    pub app: String,
    /// Its number; 0 for one that has none.
    pub number: u32,
    /// When it ends, in seconds since 1970; `None` for never.
    pub expires: Option<i64>,
}

/// Publishing events.
pub trait Events: Send + Sync {
    /// Publishes `payload` under `topic`; whoever subscribed gets it, later and at most once.
    fn publish<'a>(&'a self, topic: &'a str, payload: Value) -> Fut<'a, Result<(), PluginError>>;
}

/// A host without services, whose log goes nowhere: for unit tests of plugins.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoHost;

impl Host for NoHost {
    fn log(&self, _: LogLevel, _: &str, _: &[(&str, &str)]) {}
}
