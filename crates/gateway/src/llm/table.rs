//! The LLMs of one configuration, compiled, and what apps may of them.
//!
//! An LLM that a reload leaves as it is keeps its connections; one that it changes keeps its counters.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use http::{HeaderMap, HeaderName, HeaderValue, header::AUTHORIZATION};
use mortise_framework::pipeline::scope::Scope;
use mortise_llm::{
    family::Family,
    meter::Usage,
    price::Cost,
    vendor::{KeyPlacement, Vendor},
};
use mortise_mcp_transport::{
    http::{
        origin::{Origin, OriginError},
        pool::{Pool, PoolConfig},
    },
    tls::{ClientTls, LoadedClientTls, TlsError},
};
use mortise_plugin_api::Caller;
use url::Url;

use super::{
    choose::Health,
    headers::Sign,
    metrics::LlmMetrics,
    prices::{self, Prices},
};
use crate::{
    auth::{Grant, Roster},
    config::{self, Settled},
};

/// Why the LLMs of a configuration cannot be reached.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LlmError {
    /// An endpoint is no address.
    #[error("LLM {name} has an endpoint that cannot be reached")]
    Endpoint {
        /// The LLM.
        name: String,
        /// What is wrong with it.
        #[source]
        source: OriginError,
    },
    /// The key cannot be sent.
    #[error("the key of LLM {name} {reason}")]
    Key {
        /// The LLM.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Certificates cannot be used.
    #[error("cannot set up TLS for LLMs")]
    Tls(#[source] TlsError),
}

/// The LLMs of one configuration.
#[derive(Debug, Default)]
pub struct Llms {
    list: Vec<Arc<Llm>>,
    by_name: HashMap<Box<str>, usize>,
    /// Apps of the configuration, for callers that a plugin says belong to one.
    apps: HashMap<Box<str>, Arc<Terms>>,
    /// Largest body of a request or answer that is held, in bytes.
    pub(super) max_bytes: usize,
}

/// What an app may.
#[derive(Clone, Debug, Default)]
pub(crate) struct Terms {
    /// LLMs, `None` for all.
    pub(crate) llms: Option<Arc<BTreeSet<String>>>,
    pub(super) limits: Limits,
}

/// What an app, or an LLM, is held to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Limits {
    /// Money for a month.
    pub(super) budget: Option<f64>,
    /// The day on which a month begins.
    pub(super) reset: u8,
    /// Calls per minute.
    pub(super) calls: Option<u64>,
    /// Tokens per minute.
    pub(super) tokens: Option<u64>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { budget: None, reset: 1, calls: None, tokens: None }
    }
}

impl Limits {
    pub(super) fn any(&self) -> bool {
        self.budget.is_some() || self.calls.is_some() || self.tokens.is_some()
    }
}

/// Where an LLM is.
#[derive(Debug)]
pub(super) struct Endpoint {
    url: Url,
    /// Path, without a slash at its end.
    pub(super) base: Box<str>,
    pub(super) host: HeaderValue,
    pub(super) pool: Pool,
}

/// One LLM.
pub(crate) struct Llm {
    pub(super) settings: config::Llm,
    pub(super) name: Arc<str>,
    /// Headers of every request: the key, configured ones.
    pub(super) headers: HeaderMap,
    /// Set where requests are signed.
    pub(super) sign: Option<Sign>,
    pub(super) endpoint: Endpoint,
    /// Those that a plugin may name instead.
    pub(super) others: Vec<Endpoint>,
    pub(super) limits: Limits,
    pub(super) metrics: Arc<LlmMetrics>,
    pub(super) health: Arc<Health>,
}

impl std::fmt::Debug for Llm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Llm")
            .field("settings", &self.settings)
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}

impl Llms {
    /// The LLMs of a configuration. What was there `before` and did not change goes on.
    ///
    /// # Errors
    /// [`LlmError`].
    pub(crate) fn new(settled: &Settled, before: Option<&Self>) -> Result<Self, LlmError> {
        let mut tls = None;
        let mut list = Vec::with_capacity(settled.llms.len());
        for settings in &settled.llms {
            let known = before.and_then(|before| before.get(&settings.name));
            list.push(match known {
                Some(known) if known.settings == *settings => known.clone(),
                known => Arc::new(Llm::new(settings, known.map(|known| &**known), &mut tls)?),
            });
        }
        let mut by_name: HashMap<Box<str>, usize> = HashMap::new();
        for (at, llm) in list.iter().enumerate() {
            by_name.insert(llm.name.as_ref().into(), at);
        }
        // A name goes before another one's slug.
        for (at, llm) in list.iter().enumerate() {
            if let Some(slug) = &llm.settings.slug {
                by_name.entry(slug.as_str().into()).or_insert(at);
            }
        }
        let limited = settled
            .apps
            .iter()
            .flatten()
            .map(|app| {
                let limits = Limits {
                    budget: app.monthly_budget,
                    reset: app.budget_reset_day,
                    calls: app.rate_limit,
                    tokens: app.token_limit,
                };
                (&app.name, Terms { llms: app.llms.clone().map(Arc::new), limits })
            })
            .filter(|(_, terms)| terms.llms.is_some() || terms.limits.any());
        let apps = limited.map(|(name, terms)| (name.as_str().into(), Arc::new(terms)));
        let limits = &settled.config.limits;
        let max_bytes = limits.max_content_bytes.max(settled.listen.max_body_bytes);
        Ok(Self { apps: apps.collect(), list, by_name, max_bytes })
    }

    /// An LLM by its name, its slug, or its name in lower case.
    pub(crate) fn get(&self, name: &str) -> Option<&Arc<Llm>> {
        let by = |name: &str| self.by_name.get(name).and_then(|at| self.list.get(*at));
        by(name).or_else(|| self.list.iter().find(|llm| llm.name.eq_ignore_ascii_case(name)))
    }

    /// All, in file order.
    pub(crate) fn all(&self) -> &[Arc<Llm>] {
        &self.list
    }

    /// What a caller's app is held to: by the key that let it in, else by the configuration, else by what is kept of it.
    pub(crate) fn terms(
        &self,
        grant: Option<&Grant>,
        caller: &Caller,
        stored: &Roster,
    ) -> Option<Arc<Terms>> {
        if let Some(app) = grant.and_then(|grant| grant.app.as_ref()) {
            let llms = grant.and_then(|grant| grant.llms().cloned());
            let limits = Limits {
                budget: app.monthly_budget,
                reset: app.budget_reset_day,
                calls: app.rate_limit,
                tokens: app.token_limit,
            };
            return (llms.is_some() || limits.any()).then(|| Arc::new(Terms { llms, limits }));
        }
        let name = caller.app.as_deref()?;
        if let Some(configured) = self.apps.get(name) {
            return Some(configured.clone());
        }
        let app = &stored.app(name)?.fields;
        // One that may not call may use nothing, whoever says that a caller belongs to it.
        let llms = if app.active { app.llms.clone() } else { Some(Vec::new()) };
        let limits = Limits {
            budget: app.monthly_budget,
            reset: app.budget_reset_day,
            calls: app.rate_limit,
            tokens: app.token_limit,
        };
        let llms = llms.map(|llms| Arc::new(llms.into_iter().collect()));
        (llms.is_some() || limits.any()).then(|| Arc::new(Terms { llms, limits }))
    }
}

impl Llm {
    fn new(
        settings: &config::Llm,
        before: Option<&Self>,
        tls: &mut Option<LoadedClientTls>,
    ) -> Result<Self, LlmError> {
        let name = &settings.name;
        let endpoint = Endpoint::new(&settings.endpoint, settings, tls)?;
        let others = settings.other_endpoints.iter().map(|url| Endpoint::new(url, settings, tls));
        let others = others.collect::<Result<_, _>>()?;
        let (key, sign) = key(settings)?;
        let mut headers = HeaderMap::new();
        headers.extend(key);
        for (name, value) in &settings.headers {
            headers.insert(name.clone(), value.clone());
        }
        Ok(Self {
            name: name.as_str().into(),
            headers,
            sign,
            endpoint,
            others,
            limits: Limits {
                budget: settings.monthly_budget,
                reset: 1,
                calls: settings.rate_limit,
                tokens: settings.token_limit,
            },
            metrics: before.map(|before| before.metrics.clone()).unwrap_or_default(),
            health: before.map(|before| before.health.clone()).unwrap_or_default(),
            settings: settings.clone(),
        })
    }

    /// Whose wire format it speaks.
    pub(crate) fn family(&self) -> Family {
        self.settings.vendor.family()
    }

    /// Its name.
    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Its vendor.
    pub(crate) fn vendor(&self) -> Vendor {
        self.settings.vendor
    }

    /// Whether a model may be asked for.
    pub(super) fn has_model(&self, model: &str) -> bool {
        self.settings.models.as_ref().is_none_or(|models| models.iter().any(|word| Scope::fits(word, model)))
    }

    /// What tokens of a model cost now, by its own prices, else by those that are kept; `None` where no price is known.
    pub(super) fn cost(&self, model: &str, usage: &Usage, kept: &Prices) -> Option<Cost> {
        let own = &self.settings.prices;
        if own.0.is_empty() && kept.is_empty() {
            return None;
        }
        let now = prices::now();
        let price = own.price(model, &now).or_else(|| kept.price(self.vendor().name(), model, &now));
        price.map(|price| price.cost(usage))
    }

    /// The address at a number: 0 for its own, then those that a plugin may name.
    pub(super) fn at(&self, place: usize) -> &Endpoint {
        place.checked_sub(1).and_then(|other| self.others.get(other)).unwrap_or(&self.endpoint)
    }

    /// The number of the address that a plugin names by its base URL; `None` where it may not.
    pub(super) fn place_of(&self, url: &str) -> Option<usize> {
        let url = Url::parse(url).ok()?;
        let same = |endpoint: &Endpoint| {
            let path = |url: &Url| url.path().trim_end_matches('/').to_owned();
            endpoint.url.origin() == url.origin()
                && path(&endpoint.url) == path(&url)
                && url.query().is_none()
                && url.username().is_empty()
        };
        std::iter::once(&self.endpoint).chain(&self.others).position(same)
    }
}

impl Endpoint {
    fn new(url: &Url, settings: &config::Llm, tls: &mut Option<LoadedClientTls>) -> Result<Self, LlmError> {
        let failed = |source| LlmError::Endpoint { name: settings.name.clone(), source };
        let origin = Origin::of(url).map_err(failed)?;
        if origin.is_secure() && tls.is_none() {
            *tls = Some(ClientTls::default().load().map_err(LlmError::Tls)?);
        }
        let pool = PoolConfig {
            max_connections: settings.max_connections,
            connect_timeout: settings.connect_timeout,
            ..PoolConfig::default()
        };
        Ok(Self {
            url: url.clone(),
            base: url.path().trim_end_matches('/').into(),
            host: origin.authority().clone(),
            pool: Pool::new(origin.clone(), tls.clone().filter(|_| origin.is_secure()), pool),
        })
    }
}

/// A header.
type Field = (HeaderName, HeaderValue);

/// The header that carries the key, or what signs with it.
fn key(settings: &config::Llm) -> Result<(Option<Field>, Option<Sign>), LlmError> {
    let Some(key) = &settings.api_key else { return Ok((None, None)) };
    let key = key.expose();
    if key.is_empty() {
        return Ok((None, None));
    }
    let wrong = |reason| LlmError::Key { name: settings.name.clone(), reason };
    let (name, text) = match settings.vendor.key() {
        KeyPlacement::Header(name) => (HeaderName::from_static(name), key.to_owned()),
        KeyPlacement::SigV4 => match Sign::of(settings, key) {
            Some(sign) => return Ok((None, Some(sign))),
            None => (AUTHORIZATION, format!("Bearer {key}")),
        },
        _ => (AUTHORIZATION, format!("Bearer {key}")),
    };
    let mut value = HeaderValue::try_from(text)
        .map_err(|_| wrong("holds characters that a header cannot, such as a line break"))?;
    value.set_sensitive(true);
    Ok((Some((name, value)), None))
}
