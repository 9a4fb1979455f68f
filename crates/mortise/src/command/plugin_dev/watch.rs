//! Waiting for a change of a project's files.
//!
//! By looking, several times a second: a project is small, editors save in many ways, and folders over a network or in
//! a container tell of nothing by themselves.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(200);

/// After a change, until nothing changes any more.
const SETTLING: Duration = Duration::from_millis(60);

/// Files that are looked at; more is no project that somebody writes.
const MOST_FILES: usize = 20_000;

/// What is made by building and running.
const MADE: [&str; 6] = ["target", "dist", "build", "node_modules", "__pycache__", "venv"];

type Seen = BTreeMap<PathBuf, (Option<SystemTime>, u64)>;

/// The files of a folder, as they were looked at last.
pub(super) struct Watch {
    folder: PathBuf,
    seen: Seen,
}

impl Watch {
    pub(super) async fn new(folder: PathBuf) -> Self {
        let seen = look(folder.clone()).await;
        Self { folder, seen }
    }

    /// Waits until something has changed; the name of one file that has. Cancel safe.
    pub(super) async fn changed(&mut self) -> String {
        loop {
            tokio::time::sleep(PAUSE).await;
            let mut now = look(self.folder.clone()).await;
            let Some(first) = difference(&self.seen, &now) else { continue };
            loop {
                tokio::time::sleep(SETTLING).await;
                let later = look(self.folder.clone()).await;
                if later == now {
                    break;
                }
                now = later;
            }
            self.seen = now;
            let shown = first.strip_prefix(&self.folder).unwrap_or(&first);
            return shown.display().to_string();
        }
    }
}

fn difference(before: &Seen, now: &Seen) -> Option<PathBuf> {
    let changed = now.iter().find(|(path, state)| before.get(*path) != Some(*state));
    let gone = || before.keys().find(|path| !now.contains_key(*path));
    changed.map(|(path, _)| path).or_else(gone).cloned()
}

async fn look(folder: PathBuf) -> Seen {
    tokio::task::spawn_blocking(move || {
        let mut seen = Seen::new();
        collect(&folder, &mut seen);
        seen
    })
    .await
    .unwrap_or_default()
}

fn collect(folder: &Path, seen: &mut Seen) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        if seen.len() >= MOST_FILES {
            return;
        }
        let name = entry.file_name().to_string_lossy().into_owned();
        // `.env` is a file like any other; what else begins with a dot is an editor's or a tool's.
        if MADE.contains(&&*name) || (name.starts_with('.') && name != ".env") || name.ends_with('~') {
            continue;
        }
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => collect(&entry.path(), seen),
            Ok(_) => {
                if let Ok(about) =
                    std::fs::metadata(entry.path()).map(|about| (about.modified().ok(), about.len()))
                {
                    seen.insert(entry.path(), about);
                }
            }
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_change_of_a_source_is_told_and_what_is_built_is_not() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["src", "target", ".git"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        std::fs::write(folder.path().join("src/a.rs"), "1").unwrap();
        let mut watch = Watch::new(folder.path().to_owned()).await;
        std::fs::write(folder.path().join("target/built"), "1").unwrap();
        std::fs::write(folder.path().join(".git/index"), "1").unwrap();
        assert_eq!(difference(&watch.seen, &look(folder.path().to_owned()).await), None);
        std::fs::write(folder.path().join("src/a.rs"), "22").unwrap();
        assert_eq!(watch.changed().await, "src/a.rs");
    }
}
