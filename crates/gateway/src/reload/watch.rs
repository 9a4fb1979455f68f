//! Noticing that a file of the configuration has changed.
//!
//! What the system tells of a folder is a hint and no more: how a file is replaced differs from editor to editor, and
//! a mounted configuration map changes by a link above it. So every hint leads to the same question, whether the files
//! now hold something else than what was read last; and since that question is cheap, it is asked now and then without
//! a hint too, for network file systems that give none. Where the system watches nothing, this is what is left.
//!
//! Nobody has asked for what is done here, so it is done with care: a file that is still being written is waited for,
//! where the system tells, and one that has become empty or is gone is refused, not taken for a configuration without
//! plugins.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use mortise_framework::config::looked_at::{Fingerprint, LookedAt};
use notify::{
    EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode, ModifyKind},
};
use tokio::sync::mpsc;

use super::{Refused, Reloader, Trigger, apply::Seen};
use crate::history::Source;

/// How long nothing may happen before a change counts as finished: editors write in several steps.
const QUIET: Duration = Duration::from_millis(100);

/// How long a change may go on before it is looked at nevertheless.
const LONGEST_BURST: Duration = Duration::from_secs(2);

/// How long a file may stay open for writing before it is looked at nevertheless.
const LONGEST_WRITE: Duration = Duration::from_secs(10);

/// How often is looked without a hint.
const NOW_AND_THEN: Duration = Duration::from_secs(10);

/// The same where the system does not watch all folders.
const WITHOUT_HINTS: Duration = Duration::from_secs(2);

/// Files of the configuration that somebody has begun to write and not closed yet.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Names>>);

#[derive(Default)]
struct Names {
    /// Names of all files of the configuration: what else is written in their folders is no business of ours.
    ours: BTreeSet<OsString>,
    open: BTreeSet<PathBuf>,
}

impl Written {
    fn names(&self) -> MutexGuard<'_, Names> {
        // Each critical section leaves the sets whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of an event. Only Linux tells when a file is closed.
    fn note(&self, event: &notify::Event) {
        if !cfg!(target_os = "linux") {
            return;
        }
        let mut names = self.names();
        for path in &event.paths {
            match event.kind {
                EventKind::Modify(ModifyKind::Data(_))
                    if path.file_name().is_some_and(|name| names.ours.contains(name)) =>
                {
                    names.open.insert(path.clone());
                }
                EventKind::Access(AccessKind::Close(AccessMode::Write))
                | EventKind::Remove(_)
                | EventKind::Modify(ModifyKind::Name(_)) => {
                    names.open.remove(path);
                }
                _ => {}
            }
        }
    }

    fn is_open(&self) -> bool {
        !self.names().open.is_empty()
    }
}

/// The folders the system watches.
struct Folders {
    watcher: Option<RecommendedWatcher>,
    written: Written,
    watched: BTreeSet<PathBuf>,
    /// Whether all that were asked for are watched.
    complete: bool,
}

impl Folders {
    fn new(hints: mpsc::Sender<()>) -> Self {
        let written = Written::default();
        let noted = written.clone();
        let told = move |event: notify::Result<notify::Event>| {
            if let Ok(event) = &event {
                noted.note(event);
            }
            // That a file was opened or read is no news, and this program does it itself.
            let reading = event.is_ok_and(|event| match event.kind {
                EventKind::Access(AccessKind::Close(AccessMode::Write)) => false,
                EventKind::Access(_) => true,
                _ => false,
            });
            if !reading {
                // A hint that waits already stands for this one too.
                let _ = hints.try_send(());
            }
        };
        let watcher = notify::recommended_watcher(told)
            .inspect_err(|error| tracing::warn!(%error, "files are not watched but looked at every 2 s"));
        Self { watcher: watcher.ok(), written, watched: BTreeSet::new(), complete: false }
    }

    /// Watches the folders of these files and no others. A folder that was replaced is watched anew. Blocks.
    fn follow(&mut self, files: &LookedAt) {
        let folders = files.folders();
        let ours = files.files.iter().filter_map(|file| file.file_name().map(OsString::from));
        self.written.names().ours = ours.collect();
        let Some(watcher) = &mut self.watcher else { return };
        for folder in std::mem::take(&mut self.watched) {
            let _already_gone = watcher.unwatch(&folder);
        }
        self.complete = true;
        for folder in folders {
            // A folder that is not there yet: where it will be made.
            let there = folder.ancestors().find(|folder| folder.is_dir());
            let there = there.map_or_else(|| PathBuf::from("."), PathBuf::from);
            if self.watched.contains(&there) {
                continue;
            }
            match watcher.watch(&there, RecursiveMode::NonRecursive) {
                Ok(()) => {
                    self.watched.insert(there);
                }
                Err(error) => {
                    tracing::debug!(folder = %there.display(), %error, "folder is not watched");
                    self.complete = false;
                }
            }
        }
    }
}

impl Reloader {
    /// Reloads whenever a file changes that the configuration was made of, or could not be made of; for ever.
    pub(crate) async fn watch_files(self: &Arc<Self>) {
        let (sender, mut hints) = mpsc::channel(1);
        let mut folders = Folders::new(sender);
        let mut seen = self.seen.subscribe();
        let mut stamp = Fingerprint::default();
        loop {
            let files = seen.borrow_and_update().files.clone();
            let to_watch = files.clone();
            let followed = blocking(folders, move |folders| folders.follow(&to_watch));
            let Some((back, ())) = followed.await else { return };
            folders = back;
            // Whatever changed before the folders were watched gave no hint.
            self.look().await;
            loop {
                let pause = if folders.complete { NOW_AND_THEN } else { WITHOUT_HINTS };
                tokio::select! {
                    changed = seen.changed() => {
                        if changed.is_err() {
                            return;
                        }
                        if seen.borrow_and_update().files != files {
                            break;
                        }
                    }
                    Some(()) = hints.recv() => {
                        quiet(&mut hints, &folders.written).await;
                        break;
                    }
                    () = tokio::time::sleep(pause) => {
                        let Some((_, now)) = blocking(files.clone(), |files| files.stamp()).await else { return };
                        if now != stamp {
                            stamp = now;
                            break;
                        }
                    }
                }
            }
        }
    }

    /// Reloads if the files hold something else than what was read last.
    async fn look(self: &Arc<Self>) {
        if !self.watches.load(Relaxed) {
            return;
        }
        let seen = self.seen.borrow().clone();
        let Some((seen, now)) = blocking(seen, |seen| seen.files.fingerprint()).await else { return };
        let emptied = seen.files.emptied(&seen.held, &now);
        let changed = now.changed_since(&seen.held);
        let changed: Vec<String> = changed.iter().map(|file| file.display().to_string()).collect();
        // A reload that somebody else asked for in the meantime has seen it.
        if changed.is_empty() || !Arc::ptr_eq(&seen, &self.seen.borrow()) {
            return;
        }
        let trigger = Trigger::new(Source::File, changed.join(", "));
        if !emptied.is_empty() {
            // Told once: what is there now has been looked at.
            self.seen.send_replace(Arc::new(Seen { files: seen.files.clone(), held: now }));
            return self.refuse(&trigger, Refused::Emptied(emptied)).await;
        }
        // What became of it is told by the reload itself.
        let _told = self.reload(trigger).await;
    }
}

/// Waits until no hint has come for a while and no file is being written.
async fn quiet(hints: &mut mpsc::Receiver<()>, written: &Written) {
    let began = Instant::now();
    while began.elapsed() < LONGEST_WRITE {
        let silent = tokio::time::timeout(QUIET, hints.recv()).await.is_err();
        if (silent || began.elapsed() >= LONGEST_BURST) && !written.is_open() {
            return;
        }
    }
    // Whoever keeps a file open for longer than this is not waited for a second time.
    written.names().open.clear();
}

/// Does something that blocks elsewhere and gives back what it was done with.
async fn blocking<T: Send + 'static, R: Send + 'static>(
    mut value: T,
    work: impl FnOnce(&mut T) -> R + Send + 'static,
) -> Option<(T, R)> {
    let work = move || {
        let result = work(&mut value);
        (value, result)
    };
    tokio::task::spawn_blocking(work).await.ok()
}
