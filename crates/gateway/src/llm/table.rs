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
    tls::{ClientTls, TlsError},
};
use mortise_plugin_api::Caller;

use super::{choose::Health, headers::Sign, metrics::LlmMetrics};
use crate::{
    auth::Grant,
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
    /// Money for a month.
    pub(super) budget: Option<f64>,
    /// Calls per minute.
    pub(super) rate: Option<u64>,
}

/// One LLM.
pub(crate) struct Llm {
    pub(super) settings: config::Llm,
    pub(super) name: Arc<str>,
    /// Path of the endpoint, without a slash at its end.
    pub(super) base: Box<str>,
    /// Headers of every request: the key, the host, configured ones.
    pub(super) headers: HeaderMap,
    /// Set where requests are signed.
    pub(super) sign: Option<Sign>,
    pub(super) pool: Pool,
    pub(super) metrics: Arc<LlmMetrics>,
    pub(super) health: Arc<Health>,
}

impl std::fmt::Debug for Llm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Llm")
            .field("settings", &self.settings)
            .field("pool", &self.pool)
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
        let by_name = list.iter().enumerate().map(|(at, llm)| (llm.name.as_ref().into(), at)).collect();
        let limited = settled
            .apps
            .iter()
            .flatten()
            .filter(|app| app.llms.is_some() || app.monthly_budget.is_some() || app.rate_limit.is_some());
        let apps = limited.map(|app| {
            let llms = app.llms.clone().map(Arc::new);
            let terms = Terms { llms, budget: app.monthly_budget, rate: app.rate_limit };
            (app.name.as_str().into(), Arc::new(terms))
        });
        let limits = &settled.config.limits;
        let max_bytes = limits.max_content_bytes.max(settled.listen.max_body_bytes);
        Ok(Self { apps: apps.collect(), list, by_name, max_bytes })
    }

    /// An LLM by its name, or its name in lower case.
    pub(crate) fn get(&self, name: &str) -> Option<&Arc<Llm>> {
        let by = |name: &str| self.by_name.get(name).and_then(|at| self.list.get(*at));
        by(name).or_else(|| self.list.iter().find(|llm| llm.name.eq_ignore_ascii_case(name)))
    }

    /// All, in file order.
    pub(crate) fn all(&self) -> &[Arc<Llm>] {
        &self.list
    }

    /// What a caller's app is held to: by the key that let it in, else by the configuration.
    pub(crate) fn terms(&self, grant: Option<&Grant>, caller: &Caller) -> Option<Arc<Terms>> {
        if let Some(app) = grant.and_then(|grant| grant.app.as_ref()) {
            let llms = grant.and_then(|grant| grant.llms().cloned());
            let (budget, rate) = (app.monthly_budget, app.rate_limit);
            let limited = llms.is_some() || budget.is_some() || rate.is_some();
            return limited.then(|| Arc::new(Terms { llms, budget, rate }));
        }
        self.apps.get(caller.app.as_deref()?).cloned()
    }
}

impl Llm {
    fn new(
        settings: &config::Llm,
        before: Option<&Self>,
        tls: &mut Option<mortise_mcp_transport::tls::LoadedClientTls>,
    ) -> Result<Self, LlmError> {
        let name = &settings.name;
        let failed = |source| LlmError::Endpoint { name: name.clone(), source };
        let origin = Origin::of(&settings.endpoint).map_err(failed)?;
        if origin.is_secure() && tls.is_none() {
            *tls = Some(ClientTls::default().load().map_err(LlmError::Tls)?);
        }
        let pool = PoolConfig {
            max_connections: settings.max_connections,
            connect_timeout: settings.connect_timeout,
            ..PoolConfig::default()
        };
        let (key, sign) = key(settings)?;
        let mut headers = HeaderMap::new();
        headers.insert(http::header::HOST, origin.authority().clone());
        headers.extend(key);
        for (name, value) in &settings.headers {
            headers.insert(name.clone(), value.clone());
        }
        Ok(Self {
            name: name.as_str().into(),
            base: settings.endpoint.path().trim_end_matches('/').into(),
            headers,
            sign,
            pool: Pool::new(origin.clone(), tls.clone().filter(|_| origin.is_secure()), pool),
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

    /// What tokens of a model cost today; `None` where no price is known.
    pub(super) fn cost(&self, model: &str, usage: &Usage) -> Option<Cost> {
        let prices = &self.settings.prices;
        if prices.0.is_empty() {
            return None;
        }
        let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date().to_string();
        prices.price(model, &today).map(|price| price.cost(usage))
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
