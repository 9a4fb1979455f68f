//! `llms`: LLM providers behind the gateway.

use std::{fmt, time::Duration};

use http::HeaderMap;
use indexmap::IndexMap;
use jiff::civil::Date;
use mortise_framework::config::OneOrMany;
use mortise_llm::{
    price::{Price, PriceRow, PriceTable},
    vendor::{UnknownVendor, Vendor},
};
use schemars::JsonSchema;
use serde::Deserialize;
use url::Url;

use super::{
    Secret,
    check::known,
    headers::headers,
    place::{Findings, key},
};

/// An LLM provider: served at `/llm/call/{name}/…` in its own wire format, at `/ai/{name}/v1/…`, and at `/v1/…` for its
/// models.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LlmConfig {
    /// Whose API it speaks: `openai` (and whatever is compatible with it), `azure`, `vllm`, `ollama`, `mistral`, `groq`,
    /// `deepseek`, `openrouter`, `anthropic`, `gemini`, `vertex` or `bedrock`. Default `openai`.
    pub vendor: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// Base URL of the API, with the version that the vendor's own libraries put there. Not given, the vendor's public
    /// one, where there is one.
    pub endpoint: Option<Secret>,
    /// Key sent to the provider, as it wants it. Never shown. For `bedrock` the pair `ACCESS_KEY_ID:SECRET_ACCESS_KEY`,
    /// with `:SESSION_TOKEN` where there is one, or an API key of Bedrock.
    pub api_key: Option<Secret>,
    /// Region that requests to `bedrock` are signed for. Not given, the one in the endpoint.
    pub region: Option<String>,
    /// Models that may be asked for; `*` stands for anything. Not given, all.
    pub models: Option<Vec<String>>,
    /// The model that is asked where a request names none.
    pub default_model: Option<String>,
    /// Headers sent with every request, by name, over what the client sent. Values are never shown.
    pub headers: IndexMap<String, Secret>,
    /// Whether it is served. Default true.
    pub active: bool,
    /// Whether requests other than POST, and GET of models, go through: with them a client can read and delete what lies
    /// at the vendor's (files, stored answers, batches). Default false.
    pub all_methods: bool,
    /// Seconds to connect. Default 5.
    #[schemars(range(min = 0.001, max = 3600.0))]
    pub connect_timeout: f64,
    /// Seconds until the answer begins. Models that think answer late. Default 300.
    #[schemars(range(min = 0.001, max = 86400.0))]
    pub first_byte_timeout: f64,
    /// Seconds of silence within an answer after which it is given up. Default 60.
    #[schemars(range(min = 0.001, max = 86400.0))]
    pub chunk_timeout: f64,
    /// How often a request is sent again that was not answered, or with 429, 500, 502, 503, 504 or 529, as long as nothing
    /// has gone to the client. Default 0.
    #[schemars(range(max = 10))]
    pub retries: u32,
    /// LLMs that are asked, in this order, where this one does not answer; see `retries`. They have to speak the same wire
    /// format, and the app has to have them too.
    pub fallback: OneOrMany<String>,
    /// Share of the requests at `/v1/…`, where several LLMs have the model: 2 gets twice as many as 1. With 0 it is asked
    /// only where no other is left. Default 1.
    #[schemars(range(max = 1000))]
    pub weight: u32,
    /// What its models cost. Of those that fit the model and have begun, the one with the longest pattern counts, and of
    /// several the latest.
    pub prices: Vec<PriceConfig>,
    /// Money that all apps together may spend on it in a month (UTC), in what `prices` are in.
    #[schemars(range(min = 0))]
    pub monthly_budget: Option<f64>,
    /// Calls per minute, of all apps together.
    pub rate_limit: Option<u64>,
    /// Tokens per minute, in and out, of all apps together.
    pub token_limit: Option<u64>,
    /// Base URLs that a plugin may have a request sent to instead of `endpoint`, by `upstream_override`. The key goes with
    /// it. Default none: such a request is refused.
    pub other_endpoints: OneOrMany<Secret>,
    /// Connections to it at once. Default 4,096.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_connections: usize,
}

impl Default for LlmConfig {
    fn default() -> Self {
        Self {
            vendor: None,
            description: None,
            endpoint: None,
            api_key: None,
            region: None,
            models: None,
            default_model: None,
            headers: IndexMap::new(),
            active: true,
            all_methods: false,
            connect_timeout: 5.0,
            first_byte_timeout: 300.0,
            chunk_timeout: 60.0,
            retries: 0,
            fallback: OneOrMany::default(),
            weight: 1,
            prices: Vec::new(),
            monthly_budget: None,
            rate_limit: None,
            token_limit: None,
            other_endpoints: OneOrMany::default(),
            max_connections: 4096,
        }
    }
}

/// What models cost, in dollars (or whatever budgets are in) for a million tokens.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PriceConfig {
    /// Models; `*` stands for anything. Default all.
    #[serde(default = "anything")]
    pub model: String,
    /// From this day on (UTC), such as `2026-11-01`. Not given, always.
    #[serde(default)]
    pub from: Option<String>,
    /// For a million tokens that the model reads.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub input: f64,
    /// For a million tokens that it writes.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub output: f64,
    /// For a million tokens read from the vendor's cache. Not given, as `input`.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub cache_read: Option<f64>,
    /// For a million tokens written to the vendor's cache. Not given, as `input`.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub cache_write: Option<f64>,
}

fn anything() -> String {
    "*".to_owned()
}

/// Validated [`LlmConfig`] of an LLM that is served.
#[derive(Clone, PartialEq)]
pub struct Llm {
    /// Its name.
    pub name: String,
    /// The word of its paths, where that is another one.
    pub slug: Option<String>,
    /// Whose API it speaks.
    pub vendor: Vendor,
    /// Base URL.
    pub endpoint: Url,
    /// The key.
    pub api_key: Option<Secret>,
    /// Region for signatures.
    pub region: Option<String>,
    /// Models, `None` for all.
    pub models: Option<Vec<String>>,
    /// Model where none is named.
    pub default_model: Option<String>,
    /// Headers of its own; all marked as sensitive.
    pub headers: HeaderMap,
    /// Whether every method goes through.
    pub all_methods: bool,
    /// Longest time to connect.
    pub connect_timeout: Duration,
    /// Longest time until an answer begins.
    pub first_byte_timeout: Duration,
    /// Longest silence within an answer.
    pub chunk_timeout: Duration,
    /// Further attempts.
    pub retries: u32,
    /// LLMs to ask instead.
    pub fallback: Vec<String>,
    /// Share at `/v1`.
    pub weight: u32,
    /// What models cost.
    pub prices: PriceTable,
    /// Money for a month.
    pub monthly_budget: Option<f64>,
    /// Calls per minute.
    pub rate_limit: Option<u64>,
    /// Tokens per minute.
    pub token_limit: Option<u64>,
    /// Base URLs that a plugin may name instead.
    pub other_endpoints: Vec<Url>,
    /// Connections at once.
    pub max_connections: usize,
}

impl fmt::Debug for Llm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Llm")
            .field("name", &self.name)
            .field("vendor", &self.vendor)
            .field("endpoint", &mortise_telemetry::redact::url(self.endpoint.as_str()))
            .finish_non_exhaustive()
    }
}

/// Checks one LLM; `None` where it is wrong or not active.
pub(super) fn settle<'n>(
    name: &str,
    raw: &LlmConfig,
    names: impl Iterator<Item = &'n String>,
    found: &mut Findings<'_>,
) -> Option<Llm> {
    let path = key("llms", name);
    let names: Vec<&String> = names.collect();
    let before = found.errors.len();
    let vendor = vendor(&path, raw, found);
    let main = endpoint(&path, raw, vendor, found);
    let others = raw.other_endpoints.clone().into_vec();
    let others = others.iter().enumerate().filter_map(|(index, url)| {
        base_url(&format!("{}[{index}]", key(&path, "other_endpoints")), url.expose(), found)
    });
    let other_endpoints = others.collect();
    for (index, other) in raw.fallback.clone().into_vec().iter().enumerate() {
        let at = format!("{}[{index}]", key(&path, "fallback"));
        if other == name {
            found.error(&at, "an LLM cannot stand in for itself");
        } else {
            known("LLM", other, names.iter().copied(), &at, found);
        }
    }
    for (index, pattern) in raw.models.iter().flatten().enumerate() {
        if pattern.trim().is_empty() {
            found.error(&format!("{}[{index}]", key(&path, "models")), "a model needs a name, or `*`");
        }
    }
    let headers = headers(&key(&path, "headers"), &raw.headers, &NOT_CONFIGURABLE, found);
    let prices = raw.prices.iter().enumerate();
    let prices = prices
        .filter_map(|(at, raw)| price(&format!("{}[{at}]", key(&path, "prices")), raw, found))
        .collect();
    let prices = PriceTable(prices);
    let second = Duration::from_secs_f64;
    let llm = Llm {
        name: name.to_owned(),
        slug: None,
        vendor: vendor?,
        endpoint: main?,
        api_key: raw.api_key.clone(),
        region: raw.region.clone(),
        models: raw.models.clone(),
        default_model: raw.default_model.clone(),
        headers,
        all_methods: raw.all_methods,
        connect_timeout: second(bounded(raw.connect_timeout)),
        first_byte_timeout: second(bounded(raw.first_byte_timeout)),
        chunk_timeout: second(bounded(raw.chunk_timeout)),
        retries: raw.retries,
        fallback: raw.fallback.clone().into_vec(),
        weight: raw.weight,
        prices,
        monthly_budget: raw.monthly_budget.filter(|budget| budget.is_finite()),
        rate_limit: raw.rate_limit,
        token_limit: raw.token_limit,
        other_endpoints,
        max_connections: raw.max_connections.max(1),
    };
    (raw.active && found.errors.len() == before).then_some(llm)
}

/// A number of seconds that a duration can be made of; the schema has said what is allowed.
fn bounded(seconds: f64) -> f64 {
    if seconds.is_finite() { seconds.clamp(0.001, 86_400.0) } else { 86_400.0 }
}

fn vendor(path: &str, raw: &LlmConfig, found: &mut Findings<'_>) -> Option<Vendor> {
    let word = raw.vendor.as_deref().unwrap_or("openai");
    match word.parse() {
        Ok(vendor) => Some(vendor),
        Err(UnknownVendor(word)) => {
            let message = format!("no vendor is called `{}`", super::listen::shown(&word));
            found.error(&key(path, "vendor"), message).help = Some(
                format!("it is one of {}; `openai` for whatever is compatible with it", Vendor::names())
                    .into(),
            );
            None
        }
    }
}

fn endpoint(path: &str, raw: &LlmConfig, vendor: Option<Vendor>, found: &mut Findings<'_>) -> Option<Url> {
    let at = key(path, "endpoint");
    let Some(written) = raw.endpoint.as_ref().map(Secret::expose) else {
        let vendor = vendor?;
        let Some(default) = vendor.default_endpoint() else {
            found.error(path, format!("an LLM of {vendor} needs an `endpoint`"));
            return None;
        };
        return Url::parse(default).ok();
    };
    base_url(&at, written, found)
}

/// A base URL of an API. The text is not repeated: it may hold a key.
fn base_url(at: &str, written: &str, found: &mut Findings<'_>) -> Option<Url> {
    let url = match Url::parse(written) {
        Ok(url) => url,
        Err(error) => {
            found.secret_error(at, format!("this is not a URL: {error}")).help =
                Some("write it in full, for example https://api.openai.com/v1".into());
            return None;
        }
    };
    let before = found.errors.len();
    if !matches!(url.scheme(), "http" | "https") {
        let message = format!("an LLM is reached over `http` or `https`, not `{}`", url.scheme());
        found.secret_error(at, message);
    } else if !url.username().is_empty() || url.password().is_some() {
        found.secret_error(at, "a user name or password in a URL would end in logs").help =
            Some("write the key as `api_key`".into());
    } else if url.query().is_some() || url.fragment().is_some() {
        found.secret_error(at, "a base URL has no query and no fragment").help =
            Some("write the key as `api_key`, and anything else as `headers`".into());
    }
    (found.errors.len() == before).then_some(url)
}

/// Headers that belong to the connection or to the body.
const NOT_CONFIGURABLE: [&str; 8] = [
    "accept-encoding",
    "connection",
    "content-length",
    "host",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

fn price(path: &str, raw: &PriceConfig, found: &mut Findings<'_>) -> Option<PriceRow> {
    let from = match raw.from.as_deref().map(str::parse::<Date>) {
        None => String::new(),
        Some(Ok(date)) => date.to_string(),
        Some(Err(_)) => {
            found.error(&key(path, "from"), "this is not a day").help = Some("write it as 2026-11-01".into());
            return None;
        }
    };
    let amounts = [Some(raw.input), Some(raw.output), raw.cache_read, raw.cache_write];
    if amounts.iter().flatten().any(|price| !price.is_finite() || *price < 0.0) {
        found.error(path, "a price is a number that is not below zero");
        return None;
    }
    let price = Price {
        cache_read: raw.cache_read.map(Price::token),
        cache_write: raw.cache_write.map(Price::token),
        ..Price::per_million(raw.input, raw.output)
    };
    Some(PriceRow { model: raw.model.clone(), from, price })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_ones_that_durations_can_be() {
        assert_eq!(bounded(f64::NAN), 86_400.0);
        assert_eq!((bounded(-1.0), bounded(5.0)), (0.001, 5.0));
    }
}
