//! A plugin's process: what it is started with, what it writes, and how it ends, with all it has started.
//!
//! It gets no environment but a short list of names every program needs: what the gateway was started with holds
//! secrets that are none of a plugin's business. It leads a process group, which is what is killed. And it dies with
//! the gateway, however that ends: the kernel is asked to kill it when the thread that started it is gone, so all
//! processes are started by one thread that stays ([`Starter`]).

use std::{
    io,
    path::Path,
    process::{ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError, mpsc},
    time::Duration,
};

use mortise_framework::config::ProcessKeys;
use mortise_plugin_api::host::Host;
use sha2::{Digest, Sha256};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::{Child, ChildStdout, Command},
    sync::oneshot,
};
use tokio_util::task::AbortOnDropHandle;

use crate::{
    handshake::{self, Address, HandshakeError},
    lines::{LineBuffer, Tail, log},
    sandbox::{Places, Sandbox, SandboxError},
};

/// Names a process inherits: where programs are, what language people speak, and whom to trust.
const INHERITED: [&str; 11] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "TERM",
];

/// Bytes read at once of what it writes.
const PIECE: usize = 16 * 1024;

/// How long after its end its last words are waited for.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Starts processes, all from one thread, which is there from the first one on.
#[derive(Debug, Default)]
pub(crate) struct Starter {
    orders: Mutex<Option<mpsc::Sender<Order>>>,
}

struct Order {
    command: Command,
    runtime: tokio::runtime::Handle,
    started: oneshot::Sender<io::Result<Child>>,
}

impl Starter {
    async fn start(&self, command: Command) -> io::Result<Child> {
        let (started, answer) = oneshot::channel();
        let order = Order { command, runtime: tokio::runtime::Handle::current(), started };
        self.orders()?
            .send(order)
            .map_err(|_| io::Error::other("the thread that starts processes is gone"))?;
        answer.await.map_err(|_| io::Error::other("the thread that starts processes is gone"))?
    }

    fn orders(&self) -> io::Result<mpsc::Sender<Order>> {
        let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(orders) = &*orders {
            return Ok(orders.clone());
        }
        let (sender, receiver) = mpsc::channel::<Order>();
        std::thread::Builder::new().name("plugin-starter".to_owned()).spawn(move || {
            for mut order in receiver {
                let _inside = order.runtime.enter();
                // Whoever gave up meanwhile lets the process go, which kills it.
                let _ = order.started.send(order.command.spawn());
            }
        })?;
        *orders = Some(sender.clone());
        Ok(sender)
    }
}

/// A running process. Dropped, it and its group are killed.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    group: Group,
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
    /// Its environment beside the short list, its folder and its bounds.
    pub(crate) keys: &'a ProcessKeys,
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
    ) -> Result<(Self, Address), ProcessError> {
        let program = start.program.display().to_string();
        if !can_be_run(start.program).await {
            return Err(ProcessError::NoProgram(program));
        }
        if let Some(approved) = &start.keys.sha256 {
            is_approved(start.program, approved).await?;
        }
        let spawned = starter.start(command(start)?).await;
        let child = spawned.map_err(|source| ProcessError::Spawn { program, source })?;
        let group = Group::of(&child);
        group.limit(start.keys);
        let tail = Arc::<Tail>::default();
        let mut process = Self { group, output: Vec::new(), tail, child };
        if let Some(stderr) = process.child.stderr.take() {
            process.drain(stderr, "stderr", host, LineBuffer::default());
        }
        let Some(stdout) = process.child.stdout.take() else {
            return Err(ProcessError::Watch(io::Error::other("no pipe to it")));
        };
        let greeting = tokio::time::timeout(start.patience, greet(stdout, host)).await;
        match greeting {
            Ok(Greeting::Listens(address, stdout, rest)) => {
                process.drain(stdout, "stdout", host, rest);
                Ok((process, address?))
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

fn command(start: &Start<'_>) -> Result<Command, ProcessError> {
    let mut command = Command::new(start.program);
    let inherited = INHERITED.into_iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
    command
        .args(start.args)
        .env_clear()
        .envs(inherited)
        .envs(&start.keys.env)
        .envs(handshake::ENVIRONMENT)
        .env(handshake::SOCKET_DIR, start.sockets)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    if let Some(cwd) = start.cwd {
        command.current_dir(cwd);
    }
    dies_with_us(&mut command);
    let places =
        Places { program: start.program, cwd: start.cwd, sockets: start.sockets, folder: start.folder };
    if let Some(sandbox) = Sandbox::new(&start.keys.sandbox, &places)? {
        enters(&mut command, sandbox);
    }
    Ok(command)
}

/// Holds the process to its rules from its first instruction on.
#[cfg(target_os = "linux")]
fn enters(command: &mut Command, sandbox: Sandbox) {
    let mut sandbox = Some(sandbox);
    let enter = move || sandbox.take().map_or(Ok(()), Sandbox::enter);
    // SAFETY: between fork and exec only what is safe in a signal handler may be done. `enter` makes system calls (prctl,
    // landlock_restrict_self, seccomp, close) on what was made before the fork, and holds no lock.
    #[expect(unsafe_code, reason = "nothing but code in the child can ask this of the kernel")]
    unsafe {
        command.pre_exec(enter);
    }
}

#[cfg(not(target_os = "linux"))]
fn enters(_: &mut Command, _: Sandbox) {}

/// Asks the kernel to kill the process when the thread that starts it ends.
#[cfg(target_os = "linux")]
fn dies_with_us(command: &mut Command) {
    let parent = rustix::process::getpid();
    let ask = move || {
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
        // Had the parent ended just before, nobody would send the signal.
        if rustix::process::getppid() == Some(parent) {
            Ok(())
        } else {
            Err(io::Error::from(io::ErrorKind::BrokenPipe))
        }
    };
    // SAFETY: between fork and exec only what is safe in a signal handler may be done. `ask` makes two system calls
    // (prctl, getppid), holds no lock, and allocates nothing: it captures a number, and both errors it makes are plain
    // codes.
    #[expect(unsafe_code, reason = "nothing but code in the child can ask this of the kernel")]
    unsafe {
        command.pre_exec(ask);
    }
}

#[cfg(not(target_os = "linux"))]
fn dies_with_us(_: &mut Command) {}

enum Greeting {
    /// Where it listens, its output, and what of it was read beyond that line.
    Listens(Result<Address, HandshakeError>, ChildStdout, LineBuffer),
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
            (None, Some(address)) => found = Some(address),
            _ => log(&**host, "stdout", line),
        });
        if let Some(address) = found {
            return Greeting::Listens(address, stdout, lines);
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

    /// Bounds what it may use. Set from outside, so for its first moments it is not bounded.
    #[cfg(target_os = "linux")]
    fn limit(&self, keys: &ProcessKeys) {
        use rustix::process::{Resource, Rlimit, prlimit};
        let memory = (keys.memory_mb > 0).then(|| (Resource::Data, keys.memory_mb.saturating_mul(1 << 20)));
        let limits = [(Resource::Nofile, keys.open_files), (Resource::Core, 0)];
        for (resource, most) in limits.into_iter().chain(memory) {
            let limit = Rlimit { current: Some(most), maximum: Some(most) };
            if let Err(error) = prlimit(self.0, resource, limit) {
                tracing::warn!(?resource, %error, "a limit could not be set for a plugin's process");
            }
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn limit(&self, _: &ProcessKeys) {}
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}
