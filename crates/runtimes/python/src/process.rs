//! One process of a worker: started with its program, greeted, ended with all it has started.
//!
//! One end of a socket pair is its standard input: no path, so nothing to guess, to clean up or to connect to for others.
//! When the gateway is gone, however it went, the socket closes, and that is how the worker knows (`worker/limits.py`).

use std::{collections::BTreeMap, io, os::fd::OwnedFd, path::PathBuf, process::Stdio, time::Duration};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde::Deserialize;
use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader},
    net::UnixStream,
    process::{Child, Command},
};
use tokio_util::task::AbortOnDropHandle;

use crate::{frame, program};

/// Variables that every worker inherits: where programs and homes are, languages, times, proxies, certificates, and what
/// tells an interpreter where its modules are.
pub(crate) const INHERITED: [&str; 26] = [
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TMPDIR",
    "USER",
    "LOGNAME",
    "SHELL",
    "TERM",
    "TZ",
    "PYTHONPATH",
    "PYTHONHOME",
    "LD_LIBRARY_PATH",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "all_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
];

/// Time for a worker to say that it is there. Interpreters on slow disks take seconds.
const GREETING: Duration = Duration::from_secs(25);

/// How a worker is started. Two plugins of equal ones share it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Launch {
    /// The interpreter.
    pub(crate) interpreter: PathBuf,
    /// Plugins of other groups have workers of their own.
    pub(crate) group: String,
    /// Where it runs.
    pub(crate) directory: PathBuf,
    /// Limit of its address space, 0 for none.
    pub(crate) memory_mb: u64,
    /// Silence after which it counts as stuck; `None` where it may be stopped by a debugger.
    pub(crate) stuck_after: Option<Duration>,
    /// Variables beside the inherited ones.
    pub(crate) env: BTreeMap<String, String>,
    /// Where a debugger may attach, and whether to wait for it.
    pub(crate) debug: Option<(String, bool)>,
}

/// A running worker. Dropped, it and all it started are killed.
pub(crate) struct Process {
    child: Child,
    group: Option<Pid>,
    /// The connection, until it is taken.
    pub(crate) stream: Option<UnixStream>,
    _output: [Option<AbortOnDropHandle<()>>; 2],
}

#[derive(Deserialize)]
struct Greeting {
    hello: Hello,
}

#[derive(Deserialize)]
struct Hello {
    python: String,
    prefix: String,
}

/// Any other frame that comes before the greeting.
#[derive(Deserialize)]
struct Line {
    log: (Option<u64>, String, String),
}

impl Launch {
    /// Starts a worker and waits for its greeting.
    ///
    /// # Errors
    /// Why it does not run, in words.
    pub(crate) async fn start(&self) -> Result<Process, String> {
        let program = self.interpreter.display();
        let (mut stream, mut process) =
            self.spawn().map_err(|error| format!("could not start {program}: {error}"))?;
        let greeting = async {
            stream.write_all(&program::modules()).await?;
            loop {
                let frame = frame::read(&mut stream).await?.ok_or(io::ErrorKind::UnexpectedEof)?;
                if let Ok(Line { log: (_, _, text) }) = serde_json::from_slice(&frame) {
                    tracing::info!(target: "mortise::python", worker = %self.group, "{text}");
                    continue;
                }
                let Greeting { hello } = serde_json::from_slice(&frame)?;
                return Ok::<_, io::Error>(hello);
            }
        };
        let patience =
            if self.debug.as_ref().is_some_and(|(_, wait)| *wait) { Duration::MAX } else { GREETING };
        let hello = match tokio::time::timeout(patience, greeting).await {
            Ok(Ok(hello)) => hello,
            Ok(Err(_)) => {
                let ended = tokio::time::timeout(Duration::from_secs(1), process.child.wait()).await;
                let how = ended.ok().and_then(Result::ok).map(|status| format!(" ({status})"));
                return Err(format!(
                    "{program} ended before it was ready{}; what it said is in the log",
                    how.unwrap_or_default()
                ));
            }
            Err(_) => return Err(format!("{program} was not ready within {} s", GREETING.as_secs())),
        };
        let (python, prefix) = (hello.python, hello.prefix);
        tracing::info!(target: "mortise::python", worker = %self.group, pid = process.child.id(), python, prefix, "worker started");
        process.stream = Some(stream);
        Ok(process)
    }

    fn spawn(&self) -> io::Result<(UnixStream, Process)> {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let theirs: OwnedFd = theirs.into();
        let (debug, wait) = self.debug.clone().unzip();
        let settings = json!({ "memory_mb": self.memory_mb, "debug": debug, "debug_wait": wait });
        // A debugger cannot stop in modules that are frozen into the interpreter.
        let for_debugger: &[&str] = if self.debug.is_some() { &["-X", "frozen_modules=off"] } else { &[] };
        let mut child = Command::new(&self.interpreter)
            .args(for_debugger)
            .args(["-c", program::BOOT, &settings.to_string()])
            .env_clear()
            .envs(INHERITED.iter().filter_map(|name| Some((name, std::env::var_os(name)?))))
            .env("PYTHONUNBUFFERED", "1")
            .envs(&self.env)
            .current_dir(&self.directory)
            .stdin(theirs)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .process_group(0)
            .spawn()?;
        let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let output = [stdout.map(|pipe| self.log_lines(pipe)), stderr.map(|pipe| self.log_lines(pipe))];
        Ok((UnixStream::from_std(ours)?, Process { child, group, stream: None, _output: output }))
    }

    /// What did not come by way of `sys.stdout`: crashes, libraries that are not Python.
    fn log_lines(&self, pipe: impl AsyncRead + Send + Unpin + 'static) -> AbortOnDropHandle<()> {
        const LONGEST_LINE: u64 = 8 << 10;
        let worker = self.group.clone();
        AbortOnDropHandle::new(tokio::spawn(async move {
            let mut pipe = BufReader::new(pipe);
            let mut line = Vec::new();
            loop {
                line.clear();
                let mut bounded = tokio::io::AsyncReadExt::take(&mut pipe, LONGEST_LINE);
                match bounded.read_until(b'\n', &mut line).await {
                    Ok(0) | Err(_) => return,
                    Ok(_) => {
                        let text = String::from_utf8_lossy(&line);
                        tracing::warn!(target: "mortise::python", worker, "{}", text.trim_end());
                    }
                }
            }
        }))
    }
}

impl Process {
    /// Its process id, while it runs.
    pub(crate) fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Lets it write to the log where its plugins are, whatever they are doing.
    pub(crate) fn show_where(&self) {
        if let Some(leader) = self.group {
            // An error means that it has ended.
            let _ = kill_process(leader, Signal::USR2);
        }
    }

    /// Waits until it has ended, then ends what it has started; says how it ended.
    pub(crate) async fn ended(&mut self) -> String {
        let status = self.child.wait().await;
        self.kill_group();
        status.map_or_else(|error| error.to_string(), |status| status.to_string())
    }

    /// Ends it, after `grace` by force.
    pub(crate) async fn end(mut self, grace: Duration) {
        if tokio::time::timeout(grace, self.ended()).await.is_err() {
            self.kill_group();
            let _ = tokio::time::timeout(grace, self.child.wait()).await;
        }
    }

    /// Once: afterwards the number may belong to others.
    fn kill_group(&mut self) {
        if let Some(group) = self.group.take() {
            // An error means that nobody is left.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill_group();
    }
}
