//! One child process with pipes, in a process group of its own.
//!
//! The group is what is ended: launchers such as `npx` start the real server as a grandchild, which a
//! signal to the child alone would leave behind. If the gateway itself is killed, the pipes close, and that
//! is how MCP servers learn that they are done; a death signal set by the child before `exec` would add
//! `unsafe` code and is sent when the *thread* that spawned it ends, which with a pool of threads is at any
//! time.
//!
//! The child sees no environment but a short list of names every program needs, and what is configured.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use thiserror::Error;
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::lines::{Line, LineReader};

/// Names a child inherits: where programs and its home are, and how to speak to humans.
pub const INHERITED: [&str; 9] =
    ["PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "USER", "LOGNAME", "SHELL", "TERM"];

/// Bytes of a line on standard error that are logged.
const MAX_LOG_LINE: usize = 4 * 1024;

/// A program to run. Its `Debug` shows neither arguments nor values: both may be secrets.
#[derive(Clone)]
pub struct ChildConfig {
    /// The upstream's name, for logs.
    pub name: String,
    /// The program; looked up in `PATH` unless it holds a slash.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// Added to, or replacing, what is inherited ([`INHERITED`]).
    pub env: BTreeMap<String, String>,
    /// Working directory; unset, the gateway's.
    pub cwd: Option<PathBuf>,
}

impl std::fmt::Debug for ChildConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChildConfig")
            .field("name", &self.name)
            .field("program", &self.program)
            .field("args", &self.args.len())
            .field("env", &self.env.keys())
            .field("cwd", &self.cwd)
            .finish()
    }
}

/// Why a child could not be started.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SpawnError {
    /// The system refused.
    #[error("starting `{}` for `{name}`", program.display())]
    Spawn {
        /// The upstream.
        name: String,
        /// The program.
        program: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The system gave no pipes.
    #[error("starting `{}` for `{name}`: no pipes to it", program.display())]
    NoPipes {
        /// The upstream.
        name: String,
        /// The program.
        program: PathBuf,
    },
}

/// What a child is, for the field under which its standard error is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChildRole {
    /// An upstream: `upstream`.
    Upstream,
    /// The server of a plugin: `plugin`.
    Plugin,
}

/// A running child. Dropped, it and all of its group are killed.
#[derive(Debug)]
pub struct ChildProcess {
    child: Child,
    group: Group,
    /// Ends with the child's last holder of standard error, or with this.
    _log: Option<AbortOnDropHandle<()>>,
}

/// The ends of a child's pipes.
#[derive(Debug)]
pub struct ChildPipes {
    /// Where to write messages.
    pub stdin: ChildStdin,
    /// Where to read messages.
    pub stdout: ChildStdout,
}

impl ChildProcess {
    /// Starts the program. Lines it writes to standard error are logged under the upstream's name.
    ///
    /// # Errors
    ///
    /// See [`SpawnError`].
    pub fn spawn(config: &ChildConfig) -> Result<(Self, ChildPipes), SpawnError> {
        Self::spawn_as(ChildRole::Upstream, config)
    }

    /// The same for a child that is something else than an upstream.
    ///
    /// # Errors
    ///
    /// See [`SpawnError`].
    pub fn spawn_as(role: ChildRole, config: &ChildConfig) -> Result<(Self, ChildPipes), SpawnError> {
        let mut command = Command::new(&config.program);
        command
            .args(&config.args)
            .env_clear()
            .envs(inherited())
            .envs(&config.env)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        #[cfg(unix)]
        command.process_group(0);
        if let Some(cwd) = &config.cwd {
            command.current_dir(cwd);
        }
        let failed =
            |source| SpawnError::Spawn { name: config.name.clone(), program: config.program.clone(), source };
        let mut child = command.spawn().map_err(failed)?;
        let group = Group::of(&child);
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(SpawnError::NoPipes { name: config.name.clone(), program: config.program.clone() });
        };
        let log = child
            .stderr
            .take()
            .map(|stderr| AbortOnDropHandle::new(tokio::spawn(log_lines(role, config.name.clone(), stderr))));
        Ok((Self { child, group, _log: log }, ChildPipes { stdin, stdout }))
    }

    /// The process id, while it runs.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits for the child to end, then kills what is left of its group. Cancel safe.
    ///
    /// # Errors
    ///
    /// What the system says about waiting.
    pub async fn wait(&mut self) -> std::io::Result<ExitStatus> {
        let status = self.child.wait().await;
        self.group.kill();
        status
    }

    /// Ends the child in the order MCP asks for: its standard input is closed (by the caller, before), then
    /// after `grace` it is asked to terminate, then after another `grace` killed.
    pub async fn stop(mut self, grace: Duration) {
        if timeout(grace, self.wait()).await.is_ok() {
            return;
        }
        self.group.terminate();
        if timeout(grace, self.wait()).await.is_err() {
            self.group.kill();
            // Reaped here where it can be; tokio reaps it otherwise.
            let _ = timeout(grace, self.child.wait()).await;
        }
    }
}

fn inherited() -> impl Iterator<Item = (&'static str, OsString)> {
    INHERITED.into_iter().filter_map(|name| Some((name, std::env::var_os(name)?)))
}

async fn log_lines(role: ChildRole, name: String, stderr: tokio::process::ChildStderr) {
    let mut lines = LineReader::new(stderr, MAX_LOG_LINE);
    loop {
        let (line, cut) = match lines.next().await {
            Ok(Some(Line::Whole(line))) => (line, ""),
            Ok(Some(Line::TooLong(start))) => (start, " (cut)"),
            Ok(None) | Err(_) => return,
        };
        let text = String::from_utf8_lossy(&line);
        match role {
            ChildRole::Upstream => tracing::info!(upstream = %name, "stderr: {text}{cut}"),
            ChildRole::Plugin => tracing::info!(plugin = %name, "stderr: {text}{cut}"),
        }
    }
}

/// The process group of a child. Killed once: afterwards its number may belong to others.
#[derive(Debug)]
struct Group {
    #[cfg(unix)]
    leader: Option<rustix::process::Pid>,
}

impl Group {
    fn of(child: &Child) -> Self {
        #[cfg(unix)]
        {
            let leader = child.id().and_then(|id| i32::try_from(id).ok());
            Self { leader: leader.and_then(rustix::process::Pid::from_raw) }
        }
        #[cfg(not(unix))]
        {
            let _ = child;
            Self {}
        }
    }

    fn terminate(&self) {
        #[cfg(unix)]
        if let Some(leader) = self.leader {
            // An error means that nobody is left.
            let _ = rustix::process::kill_process_group(leader, rustix::process::Signal::TERM);
        }
    }

    fn kill(&mut self) {
        #[cfg(unix)]
        if let Some(leader) = self.leader.take() {
            let _ = rustix::process::kill_process_group(leader, rustix::process::Signal::KILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}
