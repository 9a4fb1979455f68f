//! The trail as a file of JSON lines, rotated by size and age.
//!
//! Lines are appended with one write each batch, so that several writers of one file (an old and a new configuration
//! for a while, instances of several bindings) do not tear each other's lines. Before each batch the file is looked up
//! by its path again: whoever renames it away, rotation by another writer or a tool of the operator's, is followed.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use super::{
    config::Config,
    queue::Queue,
    worker::{Line, Shared, Sink},
};

/// Held while files are renamed: of several writers of one file only one rotates it.
static ROTATING: Mutex<()> = Mutex::new(());
/// How long a file that cannot be rotated is left to grow before the next attempt.
const ROTATE_AGAIN: Duration = Duration::from_secs(60);

/// A file of JSON lines.
pub(super) struct FileSink {
    path: PathBuf,
    max_bytes: u64,
    max_age: Option<Duration>,
    keep: usize,
    open: Option<Open>,
    /// Whether the last write broke off, perhaps in the middle of a line.
    torn: bool,
    /// When rotation is tried again after it failed. Until then the file grows.
    rotate_again: Option<Instant>,
}

struct Open {
    file: File,
    identity: Identity,
    size: u64,
    since: SystemTime,
}

impl FileSink {
    pub(super) fn new(path: &str, config: &Config) -> Self {
        Self {
            path: path.into(),
            max_bytes: config.max_file_bytes,
            max_age: Some(config.max_file_age_seconds).filter(|age| *age > 0).map(Duration::from_secs),
            keep: config.keep_files,
            open: None,
            torn: false,
            rotate_again: None,
        }
    }

    /// The file as it stands at the path now.
    fn current(&mut self) -> io::Result<&mut Open> {
        let there = fs::metadata(&self.path).ok().map(|metadata| Identity::of(&metadata));
        match &self.open {
            Some(open) if there == Some(open.identity) => {}
            _ => self.open = Some(open(&self.path)?),
        }
        self.open.as_mut().ok_or_else(|| io::Error::other("no file is open"))
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let torn = self.torn;
        let open = self.current()?;
        let written = if torn { open.file.write_all(b"\n") } else { Ok(()) };
        let written = written.and_then(|()| open.file.write_all(bytes));
        open.size += bytes.len() as u64;
        self.torn = written.is_err();
        written
    }

    /// Whether the file is to be rotated before a line of this length and time.
    fn is_due(&mut self, pending: usize, line: &Line<'_>) -> io::Result<bool> {
        if self.rotate_again.is_some_and(|at| Instant::now() < at) {
            return Ok(false);
        }
        let (max_bytes, max_age) = (self.max_bytes, self.max_age);
        let open = self.current()?;
        let size = open.size + pending as u64;
        let age = line.time.duration_since(open.since).unwrap_or_default();
        Ok(size > 0 && (size + line.text.len() as u64 >= max_bytes || max_age.is_some_and(|max| age >= max)))
    }

    fn rotate(&mut self) -> io::Result<()> {
        let _rotating = ROTATING.lock().unwrap_or_else(PoisonError::into_inner);
        let there = Identity::of(&fs::metadata(&self.path)?);
        let mine = self.open.take().map(|open| open.identity);
        if mine != Some(there) {
            return Ok(());
        }
        let numbered = |n: usize| {
            let mut name = self.path.clone().into_os_string();
            name.push(format!(".{n}"));
            PathBuf::from(name)
        };
        if self.keep == 0 {
            return fs::remove_file(&self.path);
        }
        for n in (1..self.keep).rev() {
            match fs::rename(numbered(n), numbered(n + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        fs::rename(&self.path, numbered(1))
    }

    fn write_all(&mut self, lines: &[Line<'_>], shared: &Shared) -> io::Result<()> {
        let mut pending = Vec::new();
        for line in lines {
            if self.is_due(pending.len(), line)? {
                self.append(&pending)?;
                pending.clear();
                match self.rotate() {
                    Ok(()) => self.current()?.since = line.time,
                    Err(error) => {
                        self.rotate_again = Some(Instant::now() + ROTATE_AGAIN);
                        shared.warn("the audit file cannot be rotated", &[("reason", &error.to_string())]);
                    }
                }
            }
            pending.extend_from_slice(line.text.as_bytes());
            pending.push(b'\n');
        }
        self.append(&pending)
    }
}

impl Sink for FileSink {
    fn open(&mut self) -> Result<(), String> {
        self.current().map(|_| ()).map_err(|error| format!("the audit file cannot be opened: {error}"))
    }

    fn write(&mut self, lines: &[Line<'_>], _: &Queue, shared: &Shared) -> Result<(), String> {
        self.write_all(lines, shared).map_err(|error| format!("the audit file cannot be written: {error}"))
    }

    fn close(&mut self) {
        if let Some(open) = self.open.take() {
            // What cannot be synchronised now has at least been handed to the system.
            let _ = open.file.sync_all();
        }
    }
}

fn open(path: &Path) -> io::Result<Open> {
    // Opening a pipe would wait for a reader, for ever.
    if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        return Err(io::Error::other("it is no regular file"));
    }
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path)?;
    let metadata = file.metadata()?;
    let since = metadata.created().or_else(|_| metadata.modified()).unwrap_or_else(|_| SystemTime::now());
    Ok(Open { identity: Identity::of(&metadata), size: metadata.len(), since, file })
}

/// What tells one file from another that stands at the same path later.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Identity(u64, u64);

impl Identity {
    #[cfg(unix)]
    fn of(metadata: &fs::Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        Self(metadata.dev(), metadata.ino())
    }

    #[cfg(not(unix))]
    fn of(_: &fs::Metadata) -> Self {
        Self(0, 0)
    }
}
