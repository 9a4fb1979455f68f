//! What a request is served by: plugins, upstreams and virtual servers, callers, limits, as they are at one moment.
//!
//! A request takes the current snapshot at its start and keeps it to its end, so that no call is answered by half of
//! two configurations. It costs one load of a pointer. Snapshots are never written to: a reload, and a change of what
//! an upstream lists, make a new one and swap it in. Writers come one after another, so that none overwrites what
//! another has just put there.

use std::{
    ops::Deref,
    sync::{Arc, Mutex, PoisonError},
};

use arc_swap::ArcSwap;
use ipnet::IpNet;
use mortise_framework::Pipelines;
use mortise_mcp::envelope::Limits;
use mortise_mcp_transport::workers::PerWorker;

use crate::{
    auth::{Authenticator, OriginCheck, Roster},
    config::{Datasource, EndpointLimits, ExplainConfig, Listen, Settled},
    endpoints::Apps,
    llm::Llms,
    upstreams::Catalogs,
};

/// Everything that one request needs of the configuration.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Which configuration this is; grows with each that takes effect, over restarts too.
    pub number: u64,
    /// The plugins.
    pub pipelines: Arc<Pipelines>,
    /// The upstreams, and what they list.
    pub catalogs: Arc<Catalogs>,
    /// The LLMs.
    pub llms: Arc<Llms>,
    /// The data sources.
    pub datasources: Arc<[Datasource]>,
    /// Who may come in, and with how much.
    pub access: Arc<Access>,
}

/// The plugins of a snapshot, as what a pair of hooks keeps.
#[derive(Clone, Debug)]
pub struct Plugins(pub Arc<Snapshot>);

impl Deref for Plugins {
    type Target = Pipelines;

    fn deref(&self) -> &Pipelines {
        &self.0.pipelines
    }
}

/// Who may come in, and with how much.
#[derive(Clone, Debug)]
pub struct Access {
    /// Tokens of apps.
    pub authenticator: Authenticator,
    /// Pages in browsers, and names the gateway may be called by.
    pub origins: OriginCheck,
    /// Networks of believed reverse proxies.
    pub trusted_proxies: Vec<IpNet>,
    /// Limits of a message, the size of a request's body among them.
    pub envelope: Limits,
    /// Whether the plugin endpoints are served.
    pub serves_plugins: bool,
    /// What is kept of the last calls.
    pub explain: ExplainConfig,
    /// Limits of plugins' own endpoints.
    pub endpoints: EndpointLimits,
    /// What these are told of apps.
    pub apps: Apps,
}

impl Access {
    /// As configured, for a gateway that listens as `listen` says, and at `port`.
    #[must_use]
    pub fn new(settled: &Settled, listen: &Listen, port: u16) -> Self {
        Self {
            authenticator: Authenticator::new(settled.apps.as_deref()),
            origins: OriginCheck::new(listen, port),
            trusted_proxies: listen.trusted_proxies.clone(),
            envelope: Limits { max_bytes: listen.max_body_bytes, ..Limits::default() },
            serves_plugins: settled.plugin_settings.enable_plugin_api,
            explain: settled.config.explain,
            endpoints: settled.endpoints,
            apps: Apps::new(settled.apps.as_deref(), &settled.plan.entries),
        }
    }

    /// The same with these apps and tokens of storage.
    #[must_use]
    pub fn with_stored(&self, stored: Roster) -> Self {
        Self { authenticator: self.authenticator.with_stored(stored), ..self.clone() }
    }

    /// Largest body of a request, in bytes.
    #[must_use]
    pub fn max_body_bytes(&self) -> usize {
        self.envelope.max_bytes
    }
}

/// The current snapshot. Each worker has a copy of its own, which counts its own references; what the copies hold is
/// shared.
#[derive(Debug)]
pub struct Snapshots {
    current: PerWorker<ArcSwap<Snapshot>>,
    writing: Mutex<()>,
}

impl Snapshots {
    /// Begins with this one.
    #[expect(clippy::needless_pass_by_value, reason = "who begins keeps none: copies stand with the workers")]
    pub fn new(first: Snapshot) -> Arc<Self> {
        let current = PerWorker::new(|| ArcSwap::from_pointee(first.clone()));
        Arc::new(Self { current, writing: Mutex::new(()) })
    }

    /// The current one.
    #[inline]
    pub fn load(&self) -> Arc<Snapshot> {
        self.current.own().load_full()
    }

    /// Puts what `change` makes of the current one in its place; gives back the one before. On return every request that
    /// begins is served by it.
    pub fn change(&self, change: impl FnOnce(&Snapshot) -> Snapshot) -> Arc<Snapshot> {
        let _one_at_a_time = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.load();
        let next = change(&before);
        for current in self.current.all() {
            current.store(Arc::new(next.clone()));
        }
        before
    }
}

#[cfg(test)]
mod tests;
