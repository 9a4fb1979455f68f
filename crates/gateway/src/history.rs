//! What became of the configuration, and who wanted it: every change that was tried, in `state_dir/history.jsonl`.
//!
//! One JSON object a line, only ever appended to, readable by the owner alone. Past 1 MiB the file becomes
//! `history.1.jsonl` and so on, three of them, so that a gateway that is reloaded for years does not fill a disk.
//! Values of secrets are not in it: it holds what [`Outline`](crate::config::outline::Outline) shows.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::outline::Change;

/// Name of the file in the state folder.
pub const FILE: &str = "history.jsonl";

/// Size at which a new file is begun, in bytes.
const MOST_BYTES: u64 = 1 << 20;

/// Full files that are kept beside the current one.
const KEPT: usize = 3;

/// Differences written of one change; the rest is counted.
const MOST_CHANGES: usize = 200;

/// Reasons written of one change.
const MOST_REASONS: usize = 50;

/// What wanted a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The start of the gateway.
    Start,
    /// A file that changed.
    File,
    /// A signal.
    Signal,
    /// A request.
    Api,
    /// Another gateway at the same database.
    Storage,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It is in force.
    Applied,
    /// There was nothing to change.
    Unchanged,
    /// What was in force before stayed so.
    Refused,
}

impl Outcome {
    /// All of them, in order.
    pub const ALL: [Self; 3] = [Self::Applied, Self::Unchanged, Self::Refused];

    /// As it is written.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Unchanged => "unchanged",
            Self::Refused => "refused",
        }
    }
}

/// One change that was tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "HistoryEntry")]
pub struct Entry {
    /// When, in UTC.
    pub at: String,
    /// The snapshot in force afterwards.
    pub snapshot: u64,
    /// What wanted it.
    pub source: Source,
    /// Who, as far as known: the files, the signal, the app.
    pub who: String,
    /// The plugin, where only one was to be read anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin: Option<String>,
    /// What became of it.
    pub outcome: Outcome,
    /// The differences, secrets as `***`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
    /// How many more differences there were.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more_changes: usize,
    /// Why it was refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
    /// Settings that wait for a restart.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waiting: Vec<String>,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

impl Entry {
    /// Whether it concerns the plugin of this name.
    #[must_use]
    pub fn is_about(&self, plugin: &str) -> bool {
        let path = format!("plugins[{plugin}]");
        self.plugin.as_deref() == Some(plugin)
            || self.changes.iter().any(|change| change.path.starts_with(&path))
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// The file.
#[derive(Debug)]
pub struct History {
    path: PathBuf,
    writing: Mutex<()>,
}

impl History {
    /// The history in a state folder. Nothing is touched yet.
    #[must_use]
    pub fn new(state_dir: &Path) -> Self {
        Self { path: state_dir.join(FILE), writing: Mutex::new(()) }
    }

    /// Adds an entry. Blocks.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn append(&self, entry: &Entry) -> io::Result<()> {
        let mut entry = entry.clone();
        entry.more_changes += entry.changes.len().saturating_sub(MOST_CHANGES);
        entry.changes.truncate(MOST_CHANGES);
        entry.reasons.truncate(MOST_REASONS);
        let mut line = serde_json::to_vec(&entry)?;
        line.push(b'\n');
        let _one_at_a_time = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        if fs::metadata(&self.path).is_ok_and(|file| file.len() > MOST_BYTES) {
            self.rotate()?;
        }
        let mut file = OpenOptions::new().create(true).append(true).mode(0o600).open(&self.path)?;
        // One write, so that a reader never sees the half of a line.
        file.write_all(&line)
    }

    /// The last `limit` entries, the newest first. Lines that cannot be read are left out. Blocks.
    #[must_use]
    pub fn last(&self, limit: usize) -> Vec<Entry> {
        let mut entries = Vec::new();
        for file in std::iter::once(self.path.clone()).chain((1..=KEPT).map(|age| self.full(age))) {
            if entries.len() >= limit {
                break;
            }
            let text = fs::read_to_string(file).unwrap_or_default();
            let read = text.lines().rev().filter_map(|line| serde_json::from_str(line).ok());
            entries.extend(read.take(limit - entries.len()));
        }
        entries
    }

    fn rotate(&self) -> io::Result<()> {
        for age in (1..KEPT).rev() {
            match fs::rename(self.full(age), self.full(age + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        fs::rename(&self.path, self.full(1))
    }

    fn full(&self, age: usize) -> PathBuf {
        self.path.with_file_name(format!("history.{age}.jsonl"))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::config::outline::ChangeKind;

    fn entry(snapshot: u64) -> Entry {
        Entry {
            at: "2026-11-21T00:00:00Z".to_owned(),
            snapshot,
            source: Source::Api,
            who: "admin token".to_owned(),
            plugin: None,
            outcome: Outcome::Applied,
            changes: Vec::new(),
            more_changes: 0,
            reasons: Vec::new(),
            waiting: Vec::new(),
            took_ms: 1,
        }
    }

    #[test]
    fn entries_come_back_newest_first_and_the_file_is_the_owners() {
        let dir = tempfile::tempdir().unwrap();
        let history = History::new(dir.path());
        assert_eq!(history.last(5), []);
        for number in 1..=4 {
            history.append(&entry(number)).unwrap();
        }
        fs::write(dir.path().join(FILE), {
            let mut text = fs::read_to_string(dir.path().join(FILE)).unwrap();
            text.push_str("half of a li");
            text
        })
        .unwrap();
        let read: Vec<u64> = history.last(3).iter().map(|entry| entry.snapshot).collect();
        assert_eq!(read, [4, 3, 2]);
        let mode = fs::metadata(dir.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn it_is_bounded_and_the_newest_entries_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let history = History::new(dir.path());
        let change = |at: usize| Change {
            path: format!("plugins[p{at}].config.words"),
            change: ChangeKind::Changed,
            from: Some("x".repeat(100).into()),
            to: Some("y".repeat(100).into()),
        };
        let large = Entry { changes: (0..300).map(change).collect(), ..entry(0) };
        for number in 0..150 {
            history.append(&Entry { snapshot: number, ..large.clone() }).unwrap();
        }
        let files: u64 =
            fs::read_dir(dir.path()).unwrap().map(|f| f.unwrap().metadata().unwrap().len()).sum();
        assert!(files < (MOST_BYTES + 100_000) * (KEPT as u64 + 1), "{files}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), KEPT + 1);
        let last = history.last(40);
        assert_eq!(last.len(), 40, "also from full files");
        assert_eq!((last[0].snapshot, last[39].snapshot), (149, 110));
        assert_eq!((last[0].changes.len(), last[0].more_changes), (200, 100));
    }
}
