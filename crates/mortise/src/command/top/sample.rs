//! One look at a gateway.

use std::{collections::BTreeMap, time::Duration};

use serde_json::Value;

use crate::command::explain::text;

/// What was seen at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sample {
    /// When, from the first look on.
    pub(crate) at: Duration,
    /// Requests so far, by method and outcome.
    pub(crate) requests: BTreeMap<(String, String), f64>,
    /// Single values of metrics without labels.
    pub(crate) values: BTreeMap<String, f64>,
    /// The last calls.
    pub(crate) calls: Vec<Call>,
    /// The upstreams.
    pub(crate) upstreams: Vec<Upstream>,
}

/// A call that is over.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// Method and what it was about.
    pub(crate) about: String,
    /// `ok`, `blocked`, …
    pub(crate) outcome: String,
    /// Microseconds.
    pub(crate) took: f64,
    /// Microseconds of the upstream.
    pub(crate) upstream: f64,
    /// Plugin, status, microseconds.
    pub(crate) plugins: Vec<(String, String, f64)>,
}

/// An upstream.
#[derive(Clone, Debug)]
pub(crate) struct Upstream {
    pub(crate) name: String,
    pub(crate) status: String,
    pub(crate) reason: String,
}

impl Sample {
    /// What metrics, calls and upstreams say.
    pub(crate) fn of(at: Duration, metrics: &str, calls: &[Value], upstreams: &[Value]) -> Self {
        let mut sample = Self { at, ..Self::default() };
        for line in metrics.lines().filter(|line| !line.starts_with('#')) {
            sample.take(line);
        }
        sample.calls = calls.iter().map(Call::of).collect();
        sample.upstreams = upstreams
            .iter()
            .map(|upstream| Upstream {
                name: text(upstream, "name"),
                status: text(upstream, "status"),
                reason: text(upstream, "reason"),
            })
            .collect();
        sample
    }

    fn take(&mut self, line: &str) {
        let Some((series, value)) = line.rsplit_once(' ') else { return };
        let Ok(value) = value.parse::<f64>() else { return };
        match series.split_once('{') {
            None => {
                self.values.insert(series.to_owned(), value);
            }
            Some(("mortise_mcp_requests_total", labels)) => {
                let key = (label(labels, "method"), label(labels, "outcome"));
                *self.requests.entry(key).or_default() += value;
            }
            Some(_) => {}
        }
    }
}

/// A label of a series. Those that are read here hold no quotes.
fn label(labels: &str, name: &str) -> String {
    let found = labels.split(&format!("{name}=\"")).nth(1);
    let found = found.and_then(|rest| rest.split('"').next()).unwrap_or_default();
    found.chars().filter(|c| !c.is_control()).collect()
}

impl Call {
    fn of(call: &Value) -> Self {
        let hooks = call["hooks"].as_array().into_iter().flatten();
        let plugins = hooks.flat_map(|hook| hook["plugins"].as_array().into_iter().flatten());
        let number = |value: &Value| value.as_f64().unwrap_or(0.0);
        let about = format!("{} {}", text(call, "method"), text(call, "subject"));
        Self {
            about: about.trim().to_owned(),
            outcome: text(call, "outcome"),
            took: number(&call["took_us"]),
            upstream: number(&call["upstream_us"]),
            plugins: plugins
                .map(|plugin| (text(plugin, "plugin"), text(plugin, "status"), number(&plugin["took_us"])))
                .collect(),
        }
    }
}
