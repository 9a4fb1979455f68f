//! The state folder: what must outlive a restart, readable by its owner only.
//!
//! The admin token is made at the first start and shown once; only its SHA-256 is kept (`admin.json`), so whoever
//! reads the folder later cannot use it. The command line on the same machine must not need it either: for as long as
//! a gateway runs, `cli-token` holds its address and a credential of its own, made at each start and removed at the
//! end. Access to that file is what proves that the caller may administer this gateway.
//!
//! One gateway at a time has a folder: two would each write what it holds over what the other wrote. The lock is the
//! system's, on an open file: it ends with the process however that ends, and nobody has to remove anything. Who only
//! reads takes none.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use crate::config::{Secret, TokenDigest};

const ADMIN_FILE: &str = "admin.json";
const LOCAL_FILE: &str = "cli-token";
const LOCK_FILE: &str = "lock";
const NAMES_FILE: &str = "names.json";

/// How often a lock that another gateway has is tried again.
const LOCK_INTERVAL: Duration = Duration::from_millis(50);

/// Largest file of this folder that is read.
const MAX_FILE: u64 = 64 * 1024;

/// Where names that were given to tools and prompts are kept.
#[must_use]
pub fn names_file(state_dir: &Path) -> PathBuf {
    state_dir.join(NAMES_FILE)
}

/// Why the state folder cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateDirError {
    /// A file or the folder could not be read or written.
    #[error("{action} `{}`", path.display())]
    Io {
        /// What was attempted.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file is there and is not what this program writes.
    #[error("`{}` is damaged; remove it to have a new admin token made", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// Another gateway has the folder.
    #[error(
        "another gateway{} runs with the state folder `{}`; end it first, or give this one a `state_dir` of its own",
        holder.map(|pid| format!(" (pid {pid})")).unwrap_or_default(),
        path.display()
    )]
    Taken {
        /// The folder.
        path: PathBuf,
        /// The process that has it, where it says so.
        holder: Option<u32>,
    },
    /// The system has no randomness to give.
    #[error("asking the system for random bytes: {0}")]
    Random(getrandom::Error),
}

/// The folder.
#[derive(Clone, Debug)]
pub struct StateDir {
    path: PathBuf,
}

/// The admin token as it is known after the start.
#[derive(Debug)]
pub struct AdminToken {
    /// Its SHA-256.
    pub digest: TokenDigest,
    /// The token itself, where it was just made: to be shown once.
    pub fresh: Option<Secret>,
}

#[derive(Serialize, Deserialize)]
struct AdminFile {
    sha256: String,
}

/// A file that is written and waits to take the place of another, all at once. Dropped before, it is removed.
#[derive(Debug)]
pub(crate) struct Aside {
    path: PathBuf,
    aside: PathBuf,
    placed: bool,
}

impl Aside {
    /// Writes JSON, readable by the owner only.
    pub(crate) fn write<T: Serialize>(path: PathBuf, value: &T) -> Result<Self, StateDirError> {
        let mut aside = path.clone().into_os_string();
        aside.push(format!(".{}", std::process::id()));
        let aside = Self { path, aside: aside.into(), placed: false };
        write_private(&aside.aside, value)?;
        Ok(aside)
    }

    /// Puts it in its place.
    pub(crate) fn put_in_place(mut self) -> Result<(), StateDirError> {
        fs::rename(&self.aside, &self.path).map_err(failed("writing", &self.path))?;
        self.placed = true;
        Ok(())
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        if !self.placed {
            let _never_written = fs::remove_file(&self.aside);
        }
    }
}

/// A folder that no other gateway has. Dropping it leaves the folder to others.
#[derive(Debug)]
pub struct StateLock {
    _file: fs::File,
}

/// The credential of the command line, valid while the gateway runs. Dropping it removes the file.
#[derive(Debug)]
pub struct LocalToken {
    /// Its SHA-256.
    pub digest: TokenDigest,
    path: PathBuf,
    token: Secret,
}

/// What the command line finds of a running gateway.
#[derive(Debug)]
pub struct LocalGateway {
    /// Its base URL.
    pub url: String,
    /// The credential.
    pub token: Secret,
}

#[derive(Serialize, Deserialize)]
struct LocalFile {
    url: String,
    token: String,
}

impl StateDir {
    /// Opens the folder, made with access for its owner only if it is not there.
    ///
    /// # Errors
    /// When it can be neither found nor made.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, StateDirError> {
        let path = path.into();
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&path);
        made.map_err(failed("creating the state folder", &path))?;
        let mode =
            fs::metadata(&path).map_err(failed("reading the state folder", &path))?.permissions().mode();
        if mode & 0o077 != 0 {
            tracing::warn!(folder = %path.display(), "others have access to the state folder; its files stay private");
        }
        Ok(Self { path })
    }

    /// A file in it.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Keeps other gateways away from the folder, waiting at most `patience` for one that has it.
    ///
    /// # Errors
    /// [`StateDirError::Taken`] when another still has it then, and when the lock file cannot be used.
    pub async fn lock(&self, patience: Duration) -> Result<StateLock, StateDirError> {
        let path = self.file(LOCK_FILE);
        let options = fs::OpenOptions::new().read(true).write(true).create(true).mode(0o600).clone();
        let mut file = options.open(&path).map_err(failed("opening", &path))?;
        let (begun, mut told) = (Instant::now(), false);
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(fs::TryLockError::Error(error)) => return Err(failed("locking", &path)(error)),
                Err(fs::TryLockError::WouldBlock) => {}
            }
            let holder = fs::read_to_string(&path).ok().and_then(|pid| pid.trim().parse().ok());
            if begun.elapsed() >= patience {
                return Err(StateDirError::Taken { path: self.path.clone(), holder });
            }
            if !told {
                told = true;
                tracing::warn!(
                    folder = %self.path.display(),
                    pid = holder,
                    seconds = patience.as_secs(),
                    "another gateway runs with this state folder; waiting for its end"
                );
            }
            tokio::time::sleep(LOCK_INTERVAL).await;
        }
        let pid = std::process::id();
        let written = file.set_len(0).and_then(|()| writeln!(file, "{pid}"));
        written.map_err(failed("writing", &path))?;
        Ok(StateLock { _file: file })
    }

    /// The admin token, made now if there is none yet.
    ///
    /// # Errors
    /// When it can be neither read nor written, or what is there is damaged.
    pub fn admin_token(&self) -> Result<AdminToken, StateDirError> {
        let path = self.file(ADMIN_FILE);
        if let Some(digest) = read_admin(&path)? {
            return Ok(AdminToken { digest, fresh: None });
        }
        let token = random_token("mortise_admin_")?;
        let digest = TokenDigest::of(token.as_bytes());
        let file = AdminFile { sha256: digest.to_hex() };
        let aside = self.file(&format!("{ADMIN_FILE}.{}", std::process::id()));
        write_private(&aside, &file)?;
        // Linking fails where another gateway was faster; then its token holds.
        let linked = fs::hard_link(&aside, &path);
        fs::remove_file(&aside).map_err(failed("removing", &aside))?;
        match linked {
            Ok(()) => Ok(AdminToken { digest, fresh: Some(Secret::new(token)) }),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let digest = read_admin(&path)?.ok_or(StateDirError::Damaged { path })?;
                Ok(AdminToken { digest, fresh: None })
            }
            Err(error) => Err(failed("writing", &path)(error)),
        }
    }

    /// Makes the credential of the command line for a gateway that now listens at `url`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn local_token(&self, url: &str) -> Result<LocalToken, StateDirError> {
        let token = random_token("mortise_local_")?;
        let path = self.file(LOCAL_FILE);
        Aside::write(path.clone(), &LocalFile { url: url.to_owned(), token: token.clone() })?
            .put_in_place()?;
        Ok(LocalToken { digest: TokenDigest::of(token.as_bytes()), path, token: Secret::new(token) })
    }
}

impl LocalGateway {
    /// The gateway that runs with this state folder, if one says so. It may have been killed since.
    #[must_use]
    pub fn find(state_dir: &Path) -> Option<Self> {
        let file: LocalFile = read_json(&state_dir.join(LOCAL_FILE))?;
        Some(Self { url: file.url, token: Secret::new(file.token) })
    }
}

impl Drop for LocalToken {
    fn drop(&mut self) {
        // A gateway that started later may have put its own there.
        let still_ours =
            read_json::<LocalFile>(&self.path).is_some_and(|file| file.token == self.token.expose());
        if still_ours && let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(file = %self.path.display(), %error, "the credential of the command line was not removed");
        }
    }
}

fn failed<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> StateDirError + 'a {
    move |source| StateDirError::Io { action, path: path.to_owned(), source }
}

fn read_admin(path: &Path) -> Result<Option<TokenDigest>, StateDirError> {
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        found => found.map_err(failed("reading", path))?,
    };
    let digest = read_json::<AdminFile>(path).and_then(|file| TokenDigest::parse(&file.sha256));
    digest.map(Some).ok_or_else(|| StateDirError::Damaged { path: path.to_owned() })
}

fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Option<T> {
    let mut text = Vec::new();
    let file = fs::File::open(path).ok()?;
    io::Read::read_to_end(&mut io::Read::take(file, MAX_FILE), &mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

fn write_private<T: Serialize>(path: &Path, value: &T) -> Result<(), StateDirError> {
    let write = || {
        // What a crash left behind would keep its own permissions.
        let _nothing_there = fs::remove_file(path);
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(&serde_json::to_vec(value).map_err(io::Error::other)?)?;
        file.sync_all()
    };
    write().map_err(failed("writing", path))
}

fn random_token(prefix: &str) -> Result<String, StateDirError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(StateDirError::Random)?;
    Ok(format!("{prefix}{}", URL_SAFE_NO_PAD.encode(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn the_admin_token_is_shown_once_and_kept_as_a_digest_for_the_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::open(dir.path().join("a/state")).unwrap();
        let first = state.admin_token().unwrap();
        let token = first.fresh.unwrap();
        assert!(token.expose().starts_with("mortise_admin_") && token.expose().len() > 50);
        assert_eq!(TokenDigest::of(token.expose().as_bytes()), first.digest);
        let again = StateDir::open(dir.path().join("a/state")).unwrap().admin_token().unwrap();
        assert!(again.fresh.is_none());
        assert_eq!(again.digest, first.digest);
        assert_eq!((mode(&state.path), mode(&state.file(ADMIN_FILE))), (0o700, 0o600));
        assert!(!fs::read_to_string(state.file(ADMIN_FILE)).unwrap().contains(token.expose()));
        assert_eq!(fs::read_dir(&state.path).unwrap().count(), 1, "nothing is left aside");
    }

    #[test]
    fn a_damaged_file_is_an_error_and_not_a_new_token() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::open(dir.path()).unwrap();
        fs::write(state.file(ADMIN_FILE), "{}").unwrap();
        assert!(matches!(state.admin_token(), Err(StateDirError::Damaged { .. })));
    }

    #[tokio::test]
    async fn folder_is_one_gateways_until_it_ends_and_others_are_told_whose() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::open(dir.path()).unwrap();
        let lock = state.lock(Duration::ZERO).await.unwrap();
        assert_eq!(mode(&state.file(LOCK_FILE)), 0o600);

        let refused = state.lock(Duration::ZERO).await.unwrap_err();

        let pid = std::process::id();
        assert!(matches!(&refused, StateDirError::Taken { holder, .. } if *holder == Some(pid)));
        let told = refused.to_string();
        for word in [&format!("pid {pid}"), &*dir.path().to_string_lossy(), "`state_dir`"] {
            assert!(told.contains(word), "{told}");
        }
        let waiting = tokio::spawn(async move { state.lock(Duration::from_secs(60)).await });
        tokio::task::yield_now().await;
        drop(lock);
        waiting.await.unwrap().unwrap();
    }

    #[test]
    fn the_local_credential_lives_as_long_as_its_gateway() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::open(dir.path()).unwrap();
        let old = state.local_token("http://127.0.0.1:1").unwrap();
        let new = state.local_token("http://127.0.0.1:2").unwrap();
        assert_eq!(mode(&new.path), 0o600);
        drop(old);
        let found = LocalGateway::find(dir.path()).unwrap();
        assert_eq!(found.url, "http://127.0.0.1:2");
        assert_eq!(TokenDigest::of(found.token.expose().as_bytes()), new.digest);
        drop(new);
        assert!(LocalGateway::find(dir.path()).is_none());
    }
}
