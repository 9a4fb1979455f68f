//! The upstreams and virtual servers of one configuration, by position.
//!
//! Catalogs name upstreams by their position in a fleet, so the two belong together and a request keeps both. An
//! upstream that a reload does not change is part of the next fleet too. One that it does change or remove serves the
//! requests that know it and ends after the last of them: every fleet with the upstream in it holds a share of its
//! lease, and the last share dropped says so.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use tokio_util::sync::{CancellationToken, DropGuard};

use super::{ServerSpec, Upstream};

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// An upstream's place in a fleet.
#[derive(Clone, Debug)]
pub(super) struct Berth {
    pub(super) upstream: Arc<Upstream>,
    lease: Arc<DropGuard>,
    /// Set once no fleet has it any more.
    pub(super) ended: CancellationToken,
}

impl Berth {
    pub(super) fn new(upstream: Arc<Upstream>) -> Self {
        let ended = CancellationToken::new();
        Self { upstream, lease: Arc::new(ended.clone().drop_guard()), ended }
    }
}

/// The upstreams and virtual servers of one configuration.
#[derive(Debug)]
pub struct Fleet {
    /// Tells fleets apart: positions in one mean nothing in another.
    pub id: u64,
    upstreams: Vec<Arc<Upstream>>,
    servers: Vec<Arc<ServerSpec>>,
    leases: Vec<(Arc<DropGuard>, CancellationToken)>,
    has_tools: bool,
}

impl Fleet {
    pub(super) fn new(berths: Vec<Berth>, servers: Vec<Arc<ServerSpec>>) -> Self {
        let (upstreams, leases): (Vec<Arc<Upstream>>, _) =
            berths.into_iter().map(|berth| (berth.upstream, (berth.lease, berth.ended))).unzip();
        let has_tools = upstreams.iter().any(|upstream| upstream.tool().is_some());
        Self { id: NEXT_ID.fetch_add(1, Relaxed), upstreams, servers, leases, has_tools }
    }

    /// All upstreams, in file order.
    pub fn upstreams(&self) -> &[Arc<Upstream>] {
        &self.upstreams
    }

    /// Whether there are tools over HTTP among them, which are granted one by one.
    pub fn has_tools(&self) -> bool {
        self.has_tools
    }

    /// The upstream at a position.
    pub fn get(&self, at: usize) -> Option<&Arc<Upstream>> {
        self.upstreams.get(at)
    }

    /// All virtual servers, in file order.
    pub fn servers(&self) -> &[Arc<ServerSpec>] {
        &self.servers
    }

    /// The place of the upstream of a name.
    pub(super) fn berth(&self, name: &str) -> Option<Berth> {
        let at = self.upstreams.iter().position(|upstream| *upstream.name == *name)?;
        let (lease, ended) = self.leases.get(at)?.clone();
        Some(Berth { upstream: self.upstreams.get(at)?.clone(), lease, ended })
    }

    /// Upstreams that another fleet does not have, and what tells that nobody knows them any more.
    pub(super) fn missing_in(&self, other: &Self) -> Vec<(Arc<Upstream>, CancellationToken)> {
        let all = self.upstreams.iter().zip(&self.leases);
        let gone = all.filter(|(upstream, _)| !other.upstreams.iter().any(|kept| kept.id == upstream.id));
        gone.map(|(upstream, (_, ended))| (upstream.clone(), ended.clone())).collect()
    }
}
