//! Noticing that a file of the configuration has changed.
//!
//! What the system tells of a folder is a hint and no more: how a file is replaced differs from editor to editor, and
//! a mounted configuration map changes by a link above it. So every hint leads to the same question, whether the files
//! now hold something else than what was read last; and since that question is cheap, it is asked now and then without
//! a hint too, for network file systems that give none. Where the system watches nothing, this is what is left.
//!
//! What happens to other files of these folders is no hint: one of them may be the log that this program writes, and
//! whoever looked at every line of it would never do anything else.
//!
//! Nobody has asked for what is done here, so it is done with care: a file that is still being written is waited for,
//! where the system tells, and one that has become empty or is gone is refused, not taken for a configuration without
//! plugins.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use mortise_framework::config::looked_at::{Fingerprint, LookedAt, Names};
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

/// What is known of the files that are watched.
#[derive(Clone, Default)]
struct Watched(Arc<Mutex<Files>>);

#[derive(Default)]
struct Files {
    /// The folders, as the system was asked to watch them.
    folders: BTreeSet<PathBuf>,
    /// Names of all files of the configuration: what else is written in their folders is no business of ours.
    ours: Names,
    /// Those that somebody has begun to write and not closed yet.
    open: BTreeSet<PathBuf>,
}

impl Watched {
    fn files(&self) -> MutexGuard<'_, Files> {
        // Each critical section leaves the sets whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of an event; whether it is a hint.
    fn note(&self, event: &notify::Event) -> bool {
        let mut files = self.files();
        // Of what was lost nobody can say what it was about.
        let mut ours = event.paths.is_empty() || event.need_rescan();
        for path in &event.paths {
            if !files.is_ours(path) {
                continue;
            }
            ours = true;
            match event.kind {
                // Only Linux tells when a file is closed.
                EventKind::Modify(ModifyKind::Data(_)) if cfg!(target_os = "linux") => {
                    files.open.insert(path.clone());
                }
                EventKind::Access(AccessKind::Close(AccessMode::Write))
                | EventKind::Remove(_)
                | EventKind::Modify(ModifyKind::Name(_)) => {
                    files.open.remove(path);
                }
                _ => {}
            }
        }
        // That a file was opened or read is no news, and this program does it itself.
        let written = AccessKind::Close(AccessMode::Write);
        ours && !matches!(event.kind, EventKind::Access(access) if access != written)
    }

    fn is_open(&self) -> bool {
        !self.files().open.is_empty()
    }
}

impl Files {
    fn is_ours(&self, path: &Path) -> bool {
        self.folders.contains(path) || path.file_name().is_none_or(|name| self.ours.may_be(name))
    }
}

/// The folders the system watches.
struct Folders {
    watcher: Option<RecommendedWatcher>,
    watched: Watched,
    /// Whether all that were asked for are watched.
    complete: bool,
}

impl Folders {
    fn new(hints: mpsc::Sender<()>) -> Self {
        let watched = Watched::default();
        let noted = watched.clone();
        let told = move |event: notify::Result<notify::Event>| {
            if event.map_or(true, |event| noted.note(&event)) {
                // A hint that waits already stands for this one too.
                let _ = hints.try_send(());
            }
        };
        let watcher = notify::recommended_watcher(told)
            .inspect_err(|error| tracing::warn!(%error, "files are not watched but looked at every 2 s"));
        Self { watcher: watcher.ok(), watched, complete: false }
    }

    /// Watches the folders of these files and no others. A folder that was replaced is watched anew. Blocks.
    fn follow(&mut self, files: &LookedAt) {
        let folders = files.folders().into_iter().map(|folder| {
            // A folder that is not there yet: where it will be made.
            let there = folder.ancestors().find(|folder| folder.is_dir());
            there.map_or_else(|| PathBuf::from("."), PathBuf::from)
        });
        let folders: BTreeSet<PathBuf> = folders.collect();
        let before = {
            let mut watched = self.watched.files();
            watched.ours = files.names();
            std::mem::replace(&mut watched.folders, folders.clone())
        };
        let Some(watcher) = &mut self.watcher else { return };
        for folder in before {
            let _already_gone = watcher.unwatch(&folder);
        }
        self.complete = true;
        for folder in folders {
            if let Err(error) = watcher.watch(&folder, RecursiveMode::NonRecursive) {
                tracing::debug!(folder = %folder.display(), %error, "folder is not watched");
                self.complete = false;
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
                        quiet(&mut hints, &folders.watched).await;
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
async fn quiet(hints: &mut mpsc::Receiver<()>, watched: &Watched) {
    let began = Instant::now();
    while began.elapsed() < LONGEST_WRITE {
        let silent = tokio::time::timeout(QUIET, hints.recv()).await.is_err();
        if (silent || began.elapsed() >= LONGEST_BURST) && !watched.is_open() {
            return;
        }
    }
    // Whoever keeps a file open for longer than this is not waited for a second time.
    watched.files().open.clear();
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

#[cfg(test)]
mod tests {
    use notify::event::{CreateKind, DataChange};

    use super::*;

    fn watched() -> Watched {
        let watched = Watched::default();
        let files = LookedAt { files: ["/etc/mortise/mortise.yaml".into()].into(), ..LookedAt::default() };
        watched.files().ours = files.names();
        watched.files().folders = files.folders();
        watched
    }

    fn event(kind: EventKind, path: &str) -> notify::Event {
        notify::Event::new(kind).add_path(path.into())
    }

    #[test]
    fn only_files_that_were_looked_at_and_what_leads_to_them_give_hints() {
        let watched = watched();
        let written = EventKind::Modify(ModifyKind::Data(DataChange::Any));
        let made = EventKind::Create(CreateKind::Any);
        for hint in ["/etc/mortise/mortise.yaml", "/etc/mortise"] {
            assert!(watched.note(&event(made, hint)), "{hint}");
        }
        for other in ["/etc/mortise/mortise.log", "/etc/mortise/mortise.yaml.new"] {
            assert!(!watched.note(&event(written, other)) && !watched.is_open(), "{other}");
        }
        assert!(watched.note(&notify::Event::new(EventKind::Other)), "nobody knows what it is about");
        let read = EventKind::Access(AccessKind::Close(AccessMode::Read));
        assert!(!watched.note(&event(read, "/etc/mortise/mortise.yaml")));
    }
}
