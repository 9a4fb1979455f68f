//! A program with everything it starts, as one process group.
//!
//! Ended as one, and by itself where this program goes without a word: a watcher in the group reads from a pipe whose
//! other end is here, and ends the group when that closes. It is a line of shell, since a signal at the parent's death
//! is sent when the thread ends that has started the child.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::{Child, ChildStdin, Command},
    time::timeout,
};
use tokio_util::task::AbortOnDropHandle;

use super::Console;

/// Runs `$@` and watches the pipe; both are in the group.
const WATCHED: &str = "exec 3<&0; ( trap '' TERM INT; cat <&3 >/dev/null 2>&1; kill -TERM 0; sleep 3; kill -KILL 0 ) \
     </dev/null >/dev/null 2>&1 & exec \"$@\" </dev/null 3<&-";

/// How long a program is given to end by itself.
const GRACE: Duration = Duration::from_secs(5);

/// Longest line that is shown.
const MOST_BYTES: usize = 4096;

/// A program to start.
pub(super) struct Started<'a> {
    who: &'static str,
    command: Vec<String>,
    folder: PathBuf,
    /// Added to this program's variables.
    pub(super) env: Vec<(String, String)>,
    console: &'a Console,
}

impl<'a> Started<'a> {
    pub(super) fn new(who: &'static str, command: Vec<String>, folder: &Path, console: &'a Console) -> Self {
        Self { who, command, folder: folder.to_owned(), env: Vec::new(), console }
    }

    pub(super) fn start(self) -> anyhow::Result<Group> {
        let mut command = Command::new("sh");
        command
            .args(["-c", WATCHED, "sh"])
            .args(&self.command)
            .current_dir(&self.folder)
            .envs(self.env)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        let shown = self.command.join(" ");
        let mut child = command.spawn().with_context(|| format!("cannot start `{shown}`"))?;
        let leader = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let mut told = Vec::new();
        if let Some(out) = child.stdout.take() {
            told.push(AbortOnDropHandle::new(tokio::spawn(show(self.who, out, self.console.clone()))));
        }
        if let Some(err) = child.stderr.take() {
            told.push(AbortOnDropHandle::new(tokio::spawn(show(self.who, err, self.console.clone()))));
        }
        Ok(Group { watched: child.stdin.take(), child, leader, told })
    }
}

/// A program that runs.
pub(super) struct Group {
    child: Child,
    leader: Option<Pid>,
    /// Closed, the group ends.
    watched: Option<ChildStdin>,
    told: Vec<AbortOnDropHandle<()>>,
}

/// How a program ended.
pub(super) struct Status {
    pub(super) success: bool,
    pub(super) shown: String,
}

impl Group {
    /// Waits until the program ends. Cancel safe.
    pub(super) async fn wait(&mut self) -> Status {
        match self.child.wait().await {
            Ok(status) => Status { success: status.success(), shown: status.to_string() },
            Err(error) => Status { success: false, shown: error.to_string() },
        }
    }

    /// Asks the group to end, and makes it.
    pub(super) async fn end(mut self) {
        self.signal(Signal::TERM);
        let _too_slow = timeout(GRACE, self.child.wait()).await;
        self.signal(Signal::KILL);
        self.leader = None;
        self.watched = None;
        // Reaped here where it can be; tokio reaps it otherwise. What it has still said is shown.
        let _reaped = timeout(GRACE, self.child.wait()).await;
        for told in self.told.drain(..) {
            let _said = timeout(Duration::from_millis(200), told).await;
        }
    }

    fn signal(&self, signal: Signal) {
        if let Some(leader) = self.leader {
            // An error means that nobody is left.
            let _gone = kill_process_group(leader, signal);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

/// What is said with every start and end, and is of no use: that make was asked to end, and the token of a gateway that
/// is gone in a moment.
fn is_noise(who: &str, text: &str) -> bool {
    match who {
        "gateway" => text.starts_with("admin token") || text.starts_with("listening on"),
        _ => text.starts_with("make: ***") && text.ends_with("Terminated"),
    }
}

async fn show(who: &'static str, from: impl AsyncRead + Unpin, console: Console) {
    let mut reader = BufReader::new(from);
    let mut line = Vec::new();
    loop {
        line.clear();
        match reader.read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let text = String::from_utf8_lossy(&line[..line.len().min(MOST_BYTES)]);
        let text = text.trim_end();
        if !is_noise(who, text) {
            console.line(who, text);
        }
    }
}
