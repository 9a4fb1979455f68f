//! `telemetry`: where spans are sent, of which requests, and under which name.
//!
//! What OpenTelemetry's own variables say (`OTEL_*`) holds where the file says nothing, so that a gateway among other
//! instrumented programs is configured as they are. Nothing is sent unless the file or a variable names an endpoint.

mod environment;

use std::{collections::BTreeMap, time::Duration};

use http::HeaderMap;
use indexmap::IndexMap;
use mortise_framework::config::Environment;
use schemars::JsonSchema;
use serde::Deserialize;
use url::Url;

use super::{Secret, headers::headers, place::Findings};

/// Headers that frame what is sent.
const NOT_CONFIGURABLE: [&str; 6] =
    ["host", "content-length", "content-type", "content-encoding", "connection", "transfer-encoding"];

/// Where the collector listens to spans, below the base URL.
const TRACES: &str = "v1/traces";

/// Spans of requests, hooks and plugins, sent to an OpenTelemetry collector. Off unless an endpoint is given. The
/// standard variables `OTEL_*` hold where nothing is written here. A change takes effect with a restart.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TelemetryConfig {
    /// The collector.
    pub otlp: OtlpConfig,
    /// Name of this gateway among services. Default `mortise`.
    pub service_name: Option<String>,
    /// Further attributes of all spans, such as `deployment.environment.name: staging`.
    pub resource_attributes: IndexMap<String, String>,
    /// Share of requests that are traced, 0 to 1. Default 1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub sample_ratio: Option<f64>,
    /// Whether a request that says by its `traceparent` whether it is traced is traced exactly then, whatever the
    /// share. Default true.
    pub follow_caller: Option<bool>,
}

/// An OpenTelemetry collector, or whatever else speaks OTLP over HTTP.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct OtlpConfig {
    /// Base URL, `http` or `https`: `http://127.0.0.1:4318`. Spans go to `/v1/traces` below it, unless it ends in
    /// that already.
    pub endpoint: Option<Secret>,
    /// Headers to send along, such as `Authorization`.
    pub headers: IndexMap<String, Secret>,
    /// How spans are encoded; there is one way. Default `http/protobuf`.
    pub protocol: Option<Protocol>,
    /// Longest time for one batch, in seconds. Default 10.
    #[schemars(range(min = 0.001, max = 600.0))]
    pub timeout: Option<f64>,
    /// Longest time a finished request waits to be sent, in seconds. Default 5.
    #[schemars(range(min = 0.001, max = 600.0))]
    pub delay: Option<f64>,
    /// Requests that may wait to be sent; those that come while so many wait are dropped and counted. Default 2,048.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub queue: Option<usize>,
}

/// How spans are encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum Protocol {
    /// Protobuf over HTTP.
    #[serde(rename = "http/protobuf")]
    HttpProtobuf,
}

/// Which requests are traced.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// Share of the requests that do not say so themselves.
    pub ratio: f64,
    /// Whether the rest is traced as the caller says.
    pub follow_caller: bool,
}

/// Validated [`TelemetryConfig`] of a gateway that sends spans. `Debug` shows no secrets.
#[derive(Clone, PartialEq)]
pub struct Telemetry {
    /// Where spans go; may hold secrets in its query.
    pub url: Url,
    /// Sent with every batch; all marked as sensitive.
    pub headers: HeaderMap,
    /// Longest time for one batch.
    pub timeout: Duration,
    /// Longest time a finished request waits to be sent.
    pub delay: Duration,
    /// Requests that may wait.
    pub queue: usize,
    /// Attributes of all spans, `service.name` among them.
    pub resource: BTreeMap<String, String>,
    /// Which requests are traced.
    pub sampling: Sampling,
}

impl std::fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Telemetry")
            .field("url", &mortise_telemetry::redact::url(self.url.as_str()))
            .field("sampling", &self.sampling)
            .finish_non_exhaustive()
    }
}

/// Checks the section; `None` where no spans are sent.
pub(super) fn settle(
    raw: &TelemetryConfig,
    environment: &Environment,
    found: &mut Findings<'_>,
) -> Option<Telemetry> {
    let given = environment::read(environment);
    let errors = found.errors.len();
    let headers = headers("telemetry.otlp.headers", &raw.otlp.headers, &NOT_CONFIGURABLE, found);
    let url = match &raw.otlp.endpoint {
        Some(written) => below(written.expose(), found),
        None => None,
    };
    if found.errors.len() > errors {
        return None;
    }
    let url = match (url, given) {
        (url, Ok(given)) => (url.or(given.url.clone()), given),
        (url, Err(problem)) => {
            // A variable that is meant for all programs must not keep this one from starting.
            found.notice("telemetry", problem);
            (url, environment::Given::default())
        }
    };
    let (Some(url), given) = url else { return None };
    if given.disabled {
        return None;
    }
    let seconds = |written: Option<f64>| written.and_then(|value| Duration::try_from_secs_f64(value).ok());
    let mut resource = given.resource;
    resource.extend(raw.resource_attributes.iter().map(|(name, value)| (name.clone(), value.clone())));
    let name = raw.service_name.clone().or(given.service_name);
    match name {
        Some(name) => drop(resource.insert("service.name".to_owned(), name)),
        None => drop(resource.entry("service.name".to_owned()).or_insert_with(|| "mortise".to_owned())),
    }
    Some(Telemetry {
        url,
        headers: if raw.otlp.headers.is_empty() { given.headers } else { headers },
        timeout: seconds(raw.otlp.timeout).or(given.timeout).unwrap_or(Duration::from_secs(10)),
        delay: seconds(raw.otlp.delay).or(given.delay).unwrap_or(Duration::from_secs(5)),
        queue: raw.otlp.queue.or(given.queue).unwrap_or(2_048),
        resource,
        sampling: Sampling {
            ratio: raw.sample_ratio.or(given.sampling.map(|sampling| sampling.ratio)).unwrap_or(1.0),
            follow_caller: raw
                .follow_caller
                .or(given.sampling.map(|sampling| sampling.follow_caller))
                .unwrap_or(true),
        },
    })
}

fn below(written: &str, found: &mut Findings<'_>) -> Option<Url> {
    let at = "telemetry.otlp.endpoint";
    match base(written) {
        Ok(url) => Some(url),
        Err(why) => {
            // The text is not repeated: it may hold a token.
            found.secret_error(at, why).help = Some("write it in full: http://127.0.0.1:4318".into());
            None
        }
    }
}

/// The URL for spans below a base URL.
fn base(written: &str) -> Result<Url, String> {
    let mut url = usable(written)?;
    if !url.path().trim_end_matches('/').ends_with(TRACES) {
        let path = format!("{}/{TRACES}", url.path().trim_end_matches('/'));
        url.set_path(&path);
    }
    Ok(url)
}

fn usable(written: &str) -> Result<Url, String> {
    let url = Url::parse(written).map_err(|error| format!("this is not a URL: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("spans are sent over `http` or `https`, not `{}`", url.scheme()));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err("this URL names no host".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("a user name or password in a URL would end in logs; send it as a header".to_owned());
    }
    Ok(url)
}

#[cfg(test)]
mod tests;
