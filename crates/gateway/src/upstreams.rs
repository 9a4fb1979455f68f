//! The MCP servers behind the gateway: kept connected, their lists merged.
//!
//! One [`Upstream`] per configured server keeps a shared connection and follows what the server lists. The servers of
//! one configuration are a [`Fleet`]. [`Upstreams`] merges their lists into [`Catalogs`], which are part of the
//! snapshot and which requests read without a lock; a new set is put in place whenever a list changes. Names once
//! given are kept on disk, so adding a server never renames what clients know.

pub mod catalogs;
pub mod fleet;
mod keep;
pub mod link;
pub mod lists;
pub mod upstream;

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use futures_util::future::join_all;
use mortise_mcp::{
    catalog::{Kind, Names, Page},
    raw::Raw,
};
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::snapshot::{Snapshot, Snapshots};
pub use catalogs::{Catalogs, ServerSpec, Views};
use fleet::Berth;
pub use fleet::Fleet;
use lists::Offered;
pub use upstream::{State, Status, Transport, Upstream, UpstreamSpec};

/// An upstream of a new configuration.
#[derive(Debug)]
pub enum Wanted {
    /// The one of this name that is there goes on.
    Unchanged(String),
    /// A new one, or one that has changed.
    Fresh(UpstreamSpec),
}

/// All upstreams of a gateway.
pub struct Upstreams {
    snapshots: Arc<Snapshots>,
    names: Mutex<Names>,
    names_file: Option<PathBuf>,
    changed: watch::Sender<u64>,
    /// Set once every upstream had an attempt, or nobody waits for that any more.
    attempted: AtomicBool,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// A fleet that is being connected and not in force yet. Dropped, what was started for it ends.
#[derive(Debug)]
pub struct StagedFleet {
    fleet: Arc<Fleet>,
    fresh: Vec<Arc<Upstream>>,
}

/// An upstream that was replaced or removed.
#[derive(Debug)]
pub struct Retired {
    /// The upstream.
    pub upstream: Arc<Upstream>,
    /// Set once no request knows it any more.
    pub ended: CancellationToken,
}

impl Upstreams {
    /// Takes the configured servers and starts connecting to them; returns at once.
    ///
    /// `names_file` keeps the names given to tools and prompts over restarts.
    pub fn start(
        snapshots: Arc<Snapshots>,
        specs: Vec<UpstreamSpec>,
        servers: Vec<ServerSpec>,
        names_file: Option<PathBuf>,
    ) -> Arc<Self> {
        let names = names_file.as_deref().and_then(read_names).unwrap_or_default();
        Self::begin(snapshots, specs, servers, names, names_file)
    }

    /// The same beside a gateway that keeps its names in that file, or for one that is still to be: what is given anew is
    /// kept nowhere.
    pub fn start_apart(
        snapshots: Arc<Snapshots>,
        specs: Vec<UpstreamSpec>,
        servers: Vec<ServerSpec>,
        names_file: &Path,
    ) -> Arc<Self> {
        Self::begin(snapshots, specs, servers, read_names(names_file).unwrap_or_default(), None)
    }

    /// The merged lists of servers that are taken to have these tools, each with its upstream, and nothing else. Connects
    /// to none of them.
    pub fn taken_to_have(
        specs: Vec<UpstreamSpec>,
        servers: Vec<ServerSpec>,
        names_file: &Path,
        tools: &[(&str, &str)],
    ) -> Catalogs {
        let berths = specs.into_iter().map(|spec| {
            let names = tools.iter().filter(|(upstream, _)| *upstream == spec.name);
            let listed: Vec<_> = names.map(|(_, name)| serde_json::json!({ "name": name })).collect();
            let page = Raw::from_serialize(&serde_json::json!({ "tools": listed }));
            let page = page.ok().and_then(|page| Page::parse(Kind::Tools, &page).ok());
            let upstream = Upstream::new(spec);
            let offered =
                Offered { tools: page.map(|page| page.items).unwrap_or_default(), ..Offered::default() };
            *upstream.offered.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(offered);
            Berth::new(Arc::new(upstream))
        });
        let fleet = Fleet::new(berths.collect(), servers.into_iter().map(Arc::new).collect());
        Catalogs::build(&Arc::new(fleet), &mut read_names(names_file).unwrap_or_default())
    }

    fn begin(
        snapshots: Arc<Snapshots>,
        specs: Vec<UpstreamSpec>,
        servers: Vec<ServerSpec>,
        names: Names,
        names_file: Option<PathBuf>,
    ) -> Arc<Self> {
        let upstreams = Arc::new(Self {
            snapshots,
            names: Mutex::new(names),
            names_file,
            changed: watch::channel(0).0,
            attempted: AtomicBool::new(false),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        let staged = upstreams.stage(specs.into_iter().map(Wanted::Fresh).collect(), servers);
        upstreams.put_in_force(staged, |now, catalogs| Snapshot { catalogs, ..now.clone() });
        upstreams
    }

    /// Begins to connect to what is new of a configuration, beside what is in force; returns at once.
    pub fn stage(self: &Arc<Self>, wanted: Vec<Wanted>, servers: Vec<ServerSpec>) -> StagedFleet {
        let now = self.fleet();
        let unchanged = wanted.len() == now.upstreams().len()
            && wanted
                .iter()
                .zip(now.upstreams())
                .all(|(wanted, now)| matches!(wanted, Wanted::Unchanged(name) if **name == *now.name))
            && servers.len() == now.servers().len()
            && servers.iter().zip(now.servers()).all(|(wanted, now)| *wanted == **now);
        if unchanged {
            return StagedFleet { fleet: now, fresh: Vec::new() };
        }
        let mut fresh = Vec::new();
        let berths = wanted.into_iter().filter_map(|wanted| match wanted {
            Wanted::Unchanged(name) => now.berth(&name),
            Wanted::Fresh(spec) => {
                let before = now.upstreams().iter().find(|now| *now.name == *spec.name);
                let upstream = Arc::new(match before {
                    Some(before) => Upstream::succeeding(spec, before),
                    None => Upstream::new(spec),
                });
                self.keep(&upstream);
                fresh.push(upstream.clone());
                Some(Berth::new(upstream))
            }
        });
        let fleet = Fleet::new(berths.collect(), servers.into_iter().map(Arc::new).collect());
        StagedFleet { fleet: Arc::new(fleet), fresh }
    }

    /// Puts a fleet in force: `snapshot` makes the next snapshot of the current one and the fleet's catalogs. Returns
    /// the upstreams that are no part of it.
    pub fn put_in_force(
        &self,
        mut staged: StagedFleet,
        snapshot: impl FnOnce(&Snapshot, Arc<Catalogs>) -> Snapshot,
    ) -> Vec<Retired> {
        staged.fresh.clear();
        let before = self.snapshots.change(|now| {
            let catalogs = self.catalogs(&staged.fleet);
            snapshot(now, Arc::new(catalogs))
        });
        self.changed.send_modify(|generation| *generation += 1);
        let gone = before.catalogs.fleet.missing_in(&staged.fleet);
        gone.into_iter().map(|(upstream, ended)| Retired { upstream, ended }).collect()
    }

    /// Keeps an upstream connected until it is told to stop.
    fn keep(self: &Arc<Self>, upstream: &Arc<Upstream>) {
        let (upstream, all) = (upstream.clone(), Arc::downgrade(self));
        let everything = self.stop.clone();
        self.tasks.spawn(async move {
            let publish = move || {
                if let Some(all) = all.upgrade() {
                    all.rebuild();
                }
            };
            tokio::select! {
                () = everything.cancelled() => {}
                () = upstream.stop.cancelled() => upstream.close().await,
                () = upstream.keep_connected(publish) => {}
            }
        });
    }

    /// Ends an upstream that no request knows any more.
    pub fn end(&self, upstream: &Upstream) {
        upstream.stop.cancel();
    }

    /// The upstreams in force, in file order.
    pub fn fleet(&self) -> Arc<Fleet> {
        self.snapshots.load().catalogs.fleet.clone()
    }

    /// Changes whenever the merged lists do.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Waits until every upstream had one attempt to start, at most `patience`; after that, costs nothing.
    pub async fn attempted(&self, patience: Duration) {
        if self.attempted.load(Relaxed) {
            return;
        }
        let fleet = self.fleet();
        let all = join_all(fleet.upstreams().iter().map(|upstream| upstream.attempted()));
        if tokio::time::timeout(patience, all).await.is_ok() {
            self.attempted.store(true, Relaxed);
        }
    }

    /// Gives `use_names` the table of names, and writes it to disk if that changed it.
    pub fn with_names<T>(&self, use_names: impl FnOnce(&mut Names) -> T) -> T {
        let (value, text) = {
            let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
            let value = use_names(&mut names);
            let changed = names.tools.take_changed() | names.prompts.take_changed();
            (value, changed.then(|| serde_json::to_vec_pretty(&*names).unwrap_or_default()))
        };
        if let (Some(text), Some(file)) = (text, self.names_file.clone()) {
            self.tasks.spawn_blocking(move || {
                if let Err(error) = write_whole(&file, &text) {
                    tracing::warn!(file = %file.display(), %error, "names of tools could not be kept");
                }
            });
        }
        value
    }

    /// The merged lists of a fleet. Names are given for good once each upstream had an attempt to connect: of two that
    /// have a tool of the same name, the first in the file is to get it, and not the faster one.
    fn catalogs(&self, fleet: &Arc<Fleet>) -> Catalogs {
        let all = fleet.upstreams().iter().all(|upstream| upstream.was_attempted());
        self.with_names(|names| {
            if all { Catalogs::build(fleet, names) } else { Catalogs::build(fleet, &mut names.clone()) }
        })
    }

    /// Merges the lists anew.
    fn rebuild(&self) {
        self.snapshots.change(|now| {
            let catalogs = self.catalogs(&now.catalogs.fleet);
            Snapshot { catalogs: Arc::new(catalogs), ..now.clone() }
        });
        self.changed.send_modify(|generation| *generation += 1);
    }

    /// Ends all connections and children.
    pub async fn stop(&self, patience: Duration) {
        self.stop.cancel();
        self.tasks.close();
        let ended = async {
            for upstream in self.fleet().upstreams() {
                upstream.close().await;
            }
            self.tasks.wait().await;
        };
        let _ = tokio::time::timeout(patience, ended).await;
    }
}

impl StagedFleet {
    /// Waits until everything new had one attempt to connect, at most `patience`.
    pub async fn attempted(&self, patience: Duration) {
        let all = join_all(self.fresh.iter().map(|upstream| upstream.attempted()));
        let _ = tokio::time::timeout(patience, all).await;
    }
}

impl Drop for StagedFleet {
    fn drop(&mut self) {
        for upstream in &self.fresh {
            upstream.stop.cancel();
        }
    }
}

impl std::fmt::Debug for Upstreams {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upstreams").field("fleet", &self.fleet()).finish_non_exhaustive()
    }
}

fn read_names(file: &Path) -> Option<Names> {
    let text = std::fs::read(file).ok()?;
    match serde_json::from_slice(&text) {
        Ok(names) => Some(names),
        Err(error) => {
            tracing::warn!(file = %file.display(), %error, "kept names of tools could not be read and are given anew");
            None
        }
    }
}

/// Writes a file so that a reader sees the old text or the new one, never half of it.
fn write_whole(file: &Path, text: &[u8]) -> std::io::Result<()> {
    let aside = file.with_extension("tmp");
    std::fs::write(&aside, text)?;
    std::fs::rename(aside, file)
}
