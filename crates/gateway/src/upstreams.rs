//! The MCP servers behind the gateway: kept connected, their lists merged.
//!
//! One [`Upstream`] per configured server keeps a shared connection and follows what the server
//! lists. [`Upstreams`] merges the lists into [`Catalogs`], which requests read without a lock;
//! a new set is put in place whenever a list changes. Names once given are kept on disk, so adding a server never
//! renames what clients know.

pub mod catalogs;
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

use arc_swap::ArcSwap;
use mortise_mcp::catalog::Names;
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use catalogs::{Catalogs, ServerSpec, Views};
pub use upstream::{State, Status, Transport, Upstream, UpstreamSpec};

/// All upstreams of a gateway.
pub struct Upstreams {
    list: Vec<Arc<Upstream>>,
    servers: Vec<ServerSpec>,
    catalogs: ArcSwap<Catalogs>,
    names: Mutex<Names>,
    names_file: Option<PathBuf>,
    changed: watch::Sender<u64>,
    /// Set once every upstream had an attempt, or nobody waits for that any more.
    attempted: AtomicBool,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Upstreams {
    /// Takes the configured servers and starts connecting to them; returns at once.
    ///
    /// `names_file` keeps the names given to tools and prompts over restarts.
    pub fn start(
        specs: Vec<UpstreamSpec>,
        servers: Vec<ServerSpec>,
        names_file: Option<PathBuf>,
    ) -> Arc<Self> {
        let names = names_file.as_deref().and_then(read_names).unwrap_or_default();
        let list: Vec<_> = specs.into_iter().map(|spec| Arc::new(Upstream::new(spec))).collect();
        let upstreams = Arc::new(Self {
            catalogs: ArcSwap::from_pointee(Catalogs::empty()),
            names: Mutex::new(names),
            names_file,
            changed: watch::channel(0).0,
            attempted: AtomicBool::new(false),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            list,
            servers,
        });
        upstreams.rebuild();
        for upstream in &upstreams.list {
            let (upstream, all) = (upstream.clone(), Arc::downgrade(&upstreams));
            let stop = upstreams.stop.clone();
            upstreams.tasks.spawn(async move {
                let publish = move || {
                    if let Some(all) = all.upgrade() {
                        all.rebuild();
                    }
                };
                stop.run_until_cancelled(upstream.keep_connected(publish)).await;
            });
        }
        upstreams
    }

    /// All upstreams, in file order; catalogs name them by position.
    pub fn list(&self) -> &[Arc<Upstream>] {
        &self.list
    }

    /// The upstream at a catalog's position.
    pub fn get(&self, at: usize) -> Option<&Arc<Upstream>> {
        self.list.get(at)
    }

    /// The merged lists as they are now.
    pub fn catalogs(&self) -> Arc<Catalogs> {
        self.catalogs.load_full()
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
        let all = async {
            for upstream in &self.list {
                upstream.attempted().await;
            }
        };
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

    /// Merges the lists anew.
    fn rebuild(&self) {
        let lists: Vec<_> = self.list.iter().map(|upstream| upstream.offered()).collect();
        let next = self.with_names(|names| Catalogs::build(&self.list, &lists, &self.servers, names));
        self.catalogs.store(Arc::new(next));
        self.changed.send_modify(|generation| *generation += 1);
    }

    /// Ends all connections and children.
    pub async fn stop(&self, patience: Duration) {
        self.stop.cancel();
        self.tasks.close();
        let ended = async {
            for upstream in &self.list {
                upstream.close().await;
            }
            self.tasks.wait().await;
        };
        let _ = tokio::time::timeout(patience, ended).await;
    }
}

impl std::fmt::Debug for Upstreams {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upstreams").field("list", &self.list).finish_non_exhaustive()
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
