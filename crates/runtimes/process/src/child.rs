//! A plugin's process: what it is started with, what it writes, and how it ends, with all it has started.
//!
//! It gets no environment but a short list of names every program needs: what the gateway was started with holds
//! secrets that are none of a plugin's business. It leads a process group, which is what is killed. And it dies with
//! the gateway, however that ends: the kernel is asked to kill it when the thread that started it is gone, so all
//! processes are started by one thread that stays ([`Starter`]).

mod launch;

use std::{io, path::Path, process::ExitStatus, sync::Arc, time::Duration};

use mortise_framework::config::ProcessKeys;
use mortise_mcp_transport::tls::Identity;
use mortise_plugin_api::host::Host;
use sha2::{Digest, Sha256};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::{Child, ChildStdout},
};
use tokio_util::task::AbortOnDropHandle;

pub(crate) use launch::Starter;

use crate::{
    handshake::{self, HandshakeError, Heard},
    limits::group,
    lines::{LineBuffer, Tail, log},
    sandbox::SandboxError,
    terms::Terms,
};

/// Bytes read at once of what it writes.
const PIECE: usize = 16 * 1024;

/// How long after its end its last words are waited for.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// A running process. Dropped, it and its group are killed.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    group: Group,
    /// What holds it to its limits; goes, with all that is in it, after the process.
    held: Option<group::Group>,
    output: Vec<AbortOnDropHandle<()>>,
    tail: Arc<Tail>,
}

/// Why a process did not come to listen.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProcessError {
    #[error("`{0}` is not a file that can be run")]
    NoProgram(String),
    #[error("reading `{0}`")]
    Unreadable(String, #[source] io::Error),
    #[error("`{program}` is not the program that was approved: its SHA-256 is {found}")]
    Changed { program: String, found: String },
    #[error("starting `{program}`")]
    Spawn {
        program: String,
        #[source]
        source: io::Error,
    },
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    #[error("its process ended ({status}) before it said where it listens{said}")]
    Ended { status: String, said: String },
    #[error("it did not say where it listens within {seconds} s{said}")]
    Silent { seconds: u64, said: String },
    #[error("its handshake cannot be used")]
    Handshake(#[from] HandshakeError),
    #[error("its process could not be watched")]
    Watch(#[source] io::Error),
}

/// What is started.
pub(crate) struct Start<'a> {
    pub(crate) program: &'a Path,
    pub(crate) args: &'a [String],
    /// Its environment beside the short list, and what it must be.
    pub(crate) keys: &'a ProcessKeys,
    /// What it may use and reach.
    pub(crate) terms: &'a Terms,
    /// Our certificate, where it is to encrypt.
    pub(crate) identity: Option<&'a Identity>,
    /// Where it is to work; unset, where the gateway does.
    pub(crate) cwd: Option<&'a Path>,
    /// What relative paths of its rules count from.
    pub(crate) folder: &'a Path,
    /// Where it is to put its sockets.
    pub(crate) sockets: &'a Path,
    /// How long it may take to say where it listens.
    pub(crate) patience: Duration,
}

impl Process {
    /// Starts a process and waits until it says where it listens. What it writes goes to the log of its plugin.
    pub(crate) async fn start(
        starter: &Starter,
        start: &Start<'_>,
        host: &Arc<dyn Host>,
    ) -> Result<(Self, Heard), ProcessError> {
        let program = start.program.display().to_string();
        if !can_be_run(start.program).await {
            return Err(ProcessError::NoProgram(program));
        }
        if let Some(approved) = &start.keys.sha256 {
            is_approved(start.program, approved).await?;
        }
        let failed = |source| ProcessError::Spawn { program: program.clone(), source };
        let held = hold(starter, start);
        let door = held.as_ref().map(group::Group::door).transpose().map_err(failed)?;
        let child = starter.start(launch::command(start, door)?).await.map_err(failed)?;
        let group = Group::of(&child);
        let tail = Arc::<Tail>::default();
        let mut process = Self { group, held, output: Vec::new(), tail, child };
        if let Some(stderr) = process.child.stderr.take() {
            process.drain(stderr, "stderr", host, LineBuffer::default());
        }
        let Some(stdout) = process.child.stdout.take() else {
            return Err(ProcessError::Watch(io::Error::other("no pipe to it")));
        };
        let greeting = tokio::time::timeout(start.patience, greet(stdout, host)).await;
        match greeting {
            Ok(Greeting::Listens(heard, stdout, rest)) => {
                process.drain(stdout, "stdout", host, rest);
                Ok((process, heard?.if_asked(start.identity.is_some(), start.keys.multiplex)?))
            }
            Ok(Greeting::Ended) => Err(process.ended_early().await),
            Err(_) => {
                Err(ProcessError::Silent { seconds: start.patience.as_secs(), said: process.last_words() })
            }
        }
    }

    /// Its id, while it runs.
    pub(crate) fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits for it to end, and says how it did. Cancel safe.
    pub(crate) async fn ended(&mut self) -> String {
        let status = self.child.wait().await;
        self.group.kill();
        match status {
            Ok(status) => format!("its process ended ({})", words(status)),
            Err(error) => format!("its process could not be watched: {error}"),
        }
    }

    /// Who holds it to its limits, in a word: `cgroup` or `rlimits`.
    pub(crate) fn held_by(&self) -> &'static str {
        if self.held.is_some() { "cgroup" } else { "rlimits" }
    }

    /// Kills it, and waits until it is gone.
    pub(crate) async fn kill(mut self) {
        self.group.kill();
        let _ = tokio::time::timeout(LAST_WORDS, self.child.wait()).await;
    }

    /// Gives it this long to end by itself, then kills it.
    pub(crate) async fn end(mut self, patience: Duration) {
        if tokio::time::timeout(patience, self.child.wait()).await.is_err() {
            self.group.kill();
            // Killed, it ends; whoever waits is only there so that nothing is left of it.
            let _ = tokio::time::timeout(patience, self.child.wait()).await;
        }
        self.group.kill();
    }

    /// What it wrote last, for a message.
    pub(crate) fn last_words(&self) -> String {
        match self.tail.text() {
            text if text.is_empty() => String::new(),
            text => format!("; it wrote: {text}"),
        }
    }

    async fn ended_early(&mut self) -> ProcessError {
        let status = match tokio::time::timeout(LAST_WORDS, self.child.wait()).await {
            Ok(Ok(status)) => words(status),
            Ok(Err(error)) => return ProcessError::Watch(error),
            Err(_) => "it has only closed its output".to_owned(),
        };
        for drain in std::mem::take(&mut self.output) {
            let _ = tokio::time::timeout(LAST_WORDS, drain).await;
        }
        ProcessError::Ended { status, said: self.last_words() }
    }

    fn drain(
        &mut self,
        stream: impl AsyncRead + Unpin + Send + 'static,
        name: &'static str,
        host: &Arc<dyn Host>,
        lines: LineBuffer,
    ) {
        let drain = tokio::spawn(drain(stream, name, host.clone(), self.tail.clone(), lines));
        self.output.push(AbortOnDropHandle::new(drain));
    }
}

fn words(status: ExitStatus) -> String {
    status.to_string()
}

async fn can_be_run(program: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    let found = tokio::fs::metadata(program).await;
    found.is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

/// Compares the program with what was approved.
async fn is_approved(program: &Path, approved: &str) -> Result<(), ProcessError> {
    let path = program.to_owned();
    let digest = tokio::task::spawn_blocking(move || {
        let (mut file, mut hasher, mut piece) = (std::fs::File::open(path)?, Sha256::new(), vec![0; PIECE]);
        loop {
            match std::io::Read::read(&mut file, &mut piece)? {
                0 => return Ok(hasher.finalize()),
                length => hasher.update(&piece[..length]),
            }
        }
    });
    let name = program.display().to_string();
    match digest.await.unwrap_or_else(|error| Err(io::Error::other(error))) {
        Err(error) => Err(ProcessError::Unreadable(name, error)),
        Ok(digest) => {
            let found: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            let same = found.eq_ignore_ascii_case(approved);
            if same { Ok(()) } else { Err(ProcessError::Changed { program: name, found }) }
        }
    }
}

/// A control group for a process, where it has limits that want one and one can be made.
fn hold(starter: &Starter, start: &Start<'_>) -> Option<group::Group> {
    let limits = &start.terms.limits;
    if !limits.want_a_group() {
        return None;
    }
    let program = start.program.display();
    match starter.groups.make(limits) {
        Ok(group) => {
            tracing::info!(%program, ?limits, "a control group holds the limits of a plugin's process");
            Some(group)
        }
        Err(why) if limits.cpu_cores > 0.0 => {
            tracing::warn!(
                %program, ?limits, why,
                "limits of a plugin's process hold each of its processes for itself, and nothing holds its cores: \
                 there is no control group"
            );
            None
        }
        Err(why) => {
            tracing::info!(
                %program, ?limits, why,
                "limits of a plugin's process hold each of its processes for itself: there is no control group"
            );
            None
        }
    }
}

enum Greeting {
    /// What its line says, its output, and what of it was read beyond that line.
    Listens(Result<Heard, HandshakeError>, ChildStdout, LineBuffer),
    Ended,
}

/// Reads output up to the handshake; other lines go to the log.
async fn greet(mut stdout: ChildStdout, host: &Arc<dyn Host>) -> Greeting {
    let (mut lines, mut piece) = (LineBuffer::default(), vec![0; PIECE]);
    loop {
        let length = match stdout.read(&mut piece).await {
            Ok(0) | Err(_) => return Greeting::Ended,
            Ok(length) => length,
        };
        let mut found = None;
        lines.push(&piece[..length], |line| match (&found, handshake::parse(line)) {
            (None, Some(heard)) => found = Some(heard),
            _ => log(&**host, "stdout", line),
        });
        if let Some(heard) = found {
            return Greeting::Listens(heard, stdout, lines);
        }
    }
}

async fn drain(
    mut stream: impl AsyncRead + Unpin,
    name: &'static str,
    host: Arc<dyn Host>,
    tail: Arc<Tail>,
    mut lines: LineBuffer,
) {
    let mut piece = vec![0; PIECE];
    let mut line = |line: &[u8]| {
        tail.push(line);
        log(&*host, name, line);
    };
    while let Ok(length) = stream.read(&mut piece).await {
        if length == 0 {
            break;
        }
        lines.push(&piece[..length], &mut line);
    }
    lines.finish(&mut line);
}

/// The process group. Killed once: afterwards its number may belong to others.
#[derive(Debug)]
struct Group(Option<rustix::process::Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        Self(child.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw))
    }

    fn kill(&mut self) {
        if let Some(leader) = self.0.take() {
            // An error means that nobody is left.
            let _ = rustix::process::kill_process_group(leader, rustix::process::Signal::KILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}
