//! Starting processes: one thread that starts them all, and what the kernel is told about each.
//!
//! What is told holds from the first instruction of the program on, since the child says it itself between fork and exec:
//! that it dies with us, how much it may use, what it may reach.

use std::{
    fs::File,
    io,
    process::Stdio,
    sync::{Mutex, PoisonError, mpsc},
};

use tokio::{
    process::{Child, Command},
    sync::oneshot,
};

use super::{ProcessError, Start};
use crate::{
    handshake,
    limits::{Own, group::Groups},
    sandbox::{Places, Sandbox},
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

/// Starts processes, all from one thread, which is there from the first one on.
#[derive(Debug, Default)]
pub(crate) struct Starter {
    orders: Mutex<Option<mpsc::Sender<Order>>>,
    /// Control groups for them.
    pub(super) groups: Groups,
}

struct Order {
    command: Command,
    runtime: tokio::runtime::Handle,
    started: oneshot::Sender<io::Result<Child>>,
}

impl Starter {
    pub(super) async fn start(&self, command: Command) -> io::Result<Child> {
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

/// What is started, with `door` the way into its control group, if it has one.
pub(super) fn command(start: &Start<'_>, door: Option<File>) -> Result<Command, ProcessError> {
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
    if let Some(identity) = start.identity {
        command.env(handshake::CERTIFICATE, identity.pem());
    }
    if start.keys.multiplex {
        command.env(handshake::MULTIPLEX, "true");
    }
    if let Some(cwd) = start.cwd {
        command.current_dir(cwd);
    }
    dies_with_us(&mut command);
    bounded(&mut command, Own::new(&start.terms.limits, door.is_some()), door);
    let places =
        Places { program: start.program, cwd: start.cwd, sockets: start.sockets, folder: start.folder };
    if let Some(sandbox) = Sandbox::new(&start.terms.sandbox, &places)? {
        enters(&mut command, sandbox);
    }
    Ok(command)
}

/// Bounds the process from its first instruction on.
fn bounded(command: &mut Command, limits: Own, door: Option<File>) {
    let bound = move || {
        if let Some(door) = &door {
            // The one who writes 0 means itself.
            rustix::io::write(door, b"0")?;
        }
        limits.set()
    };
    // SAFETY: between fork and exec only what is safe in a signal handler may be done. `bound` makes system calls (write,
    // setrlimit) with what was made before the fork, holds no lock, and allocates nothing: its errors are plain codes.
    #[expect(unsafe_code, reason = "nothing but code in the child can ask this of the kernel")]
    unsafe {
        command.pre_exec(bound);
    }
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
