//! Other processes: what they cost, and that they end.
//!
//! Reads Linux' `/proc`; elsewhere every reading is an error, nothing is guessed. CPU time has the resolution of the
//! kernel's accounting, 10 ms: measure over seconds.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command},
    time::Duration,
};

/// Ticks per second of the times in `/proc/PID/stat`: a constant of Linux' interface on every common platform,
/// whatever the kernel's own timer frequency.
const TICKS_PER_SECOND: u64 = 100;

/// Bytes of a page in `/proc/PID/statm` on x86-64 and on nearly all aarch64 systems.
const PAGE_BYTES: u64 = 4096;

/// What a process, or a tree of processes, has used so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// CPU time in user mode, of children that were waited for too.
    pub user: Duration,
    /// CPU time in the kernel, of children that were waited for too.
    pub system: Duration,
    /// Memory that is in RAM now, in bytes.
    pub resident: u64,
}

impl Usage {
    /// What the process `pid` alone has used, children that ended included.
    ///
    /// # Errors
    /// When there is no such process, or no `/proc`.
    pub fn of(pid: u32) -> io::Result<Self> {
        let stat = Stat::read(pid)?;
        let statm = fs::read_to_string(format!("/proc/{pid}/statm"))?;
        let pages: u64 = field(&statm, 1)?;
        Ok(Self { user: stat.user, system: stat.system, resident: pages * PAGE_BYTES })
    }

    /// What the process `pid` and all its living descendants have used: nginx works in children.
    ///
    /// # Errors
    /// When there is no process `pid`; descendants that end meanwhile are left out.
    pub fn of_tree(pid: u32) -> io::Result<Self> {
        let mut total = Self::of(pid)?;
        for child in descendants(pid)? {
            if let Ok(usage) = Self::of(child) {
                total.user += usage.user;
                total.system += usage.system;
                total.resident += usage.resident;
            }
        }
        Ok(total)
    }

    /// CPU time altogether.
    pub fn cpu(&self) -> Duration {
        self.user + self.system
    }

    /// CPU time since an earlier reading of the same process.
    pub fn cpu_since(&self, earlier: &Self) -> Duration {
        self.cpu().saturating_sub(earlier.cpu())
    }
}

/// All living descendants of `pid`.
fn descendants(pid: u32) -> io::Result<Vec<u32>> {
    let all: Vec<(u32, u32)> = fs::read_dir("/proc")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|pid| Some((pid, Stat::read(pid).ok()?.parent)))
        .collect();
    let mut found = vec![pid];
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        next += 1;
        found.extend(all.iter().filter(|(_, p)| *p == parent).map(|(pid, _)| pid));
    }
    found.remove(0);
    Ok(found)
}

struct Stat {
    parent: u32,
    user: Duration,
    system: Duration,
}

impl Stat {
    fn read(pid: u32) -> io::Result<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat"))?)
    }

    /// Fields are counted after the command's name, which may itself hold spaces and parentheses.
    fn parse(stat: &str) -> io::Result<Self> {
        let (_, rest) = stat.rsplit_once(')').ok_or_else(|| unreadable("no command name"))?;
        let ticks = |at| field::<u64>(rest, at).map(ticks);
        Ok(Self { parent: field(rest, 1)?, user: ticks(11)? + ticks(13)?, system: ticks(12)? + ticks(14)? })
    }
}

fn ticks(ticks: u64) -> Duration {
    Duration::from_millis(ticks * (1000 / TICKS_PER_SECOND))
}

fn field<T: std::str::FromStr>(line: &str, at: usize) -> io::Result<T> {
    let text = line.split_ascii_whitespace().nth(at);
    text.and_then(|text| text.parse().ok()).ok_or_else(|| unreadable("a field is missing or no number"))
}

fn unreadable(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("could not read /proc: {what}"))
}

/// A child process that is killed and waited for when this is dropped, so that no test leaves one behind.
#[derive(Debug)]
pub struct Owned(Child);

impl Owned {
    /// Starts `command`.
    ///
    /// # Errors
    /// As [`Command::spawn`], with the program's name.
    pub fn spawn(command: &mut Command) -> io::Result<Self> {
        command.spawn().map(Self).map_err(|error| {
            io::Error::new(error.kind(), format!("could not start {:?}: {error}", command.get_program()))
        })
    }

    /// Its standard output, where that was piped and not taken before.
    pub fn stdout(&mut self) -> Option<ChildStdout> {
        self.0.stdout.take()
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.0.try_wait(), Ok(None))
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        // Both fail only where it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The program `name` of this workspace, as built beside the running test, bench or example.
///
/// # Errors
/// When it has not been built; the message names the command that builds it.
pub fn program(name: &str) -> io::Result<PathBuf> {
    let mut folder: &Path = &std::env::current_exe()?;
    while let Some(parent) = folder.parent() {
        let candidate = parent.join(name).with_extension(std::env::consts::EXE_EXTENSION);
        if candidate.is_file() {
            return Ok(candidate);
        }
        // Test binaries stand in `deps/`, examples in `examples/`, programs right in the profile's folder.
        if !parent.ends_with("deps") && !parent.ends_with("examples") {
            break;
        }
        folder = parent;
    }
    let message = format!("could not find the program {name} beside this one: cargo build --bin {name}");
    Err(io::Error::new(io::ErrorKind::NotFound, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_of_a_process_with_an_unkind_name_is_read() {
        let line =
            "7 (a) b (c) S 3 7 7 0 -1 4194560 1 2 3 4 150 25 50 5 20 0 1 0 99 1000 10 18446744073709551615";
        let stat = Stat::parse(line).unwrap();
        assert_eq!(stat.parent, 3);
        assert_eq!(stat.user, Duration::from_millis(2000));
        assert_eq!(stat.system, Duration::from_millis(300));
        assert!(Stat::parse("7 (x").is_err());
        assert!(Stat::parse("7 (x) S 3 7").is_err());
    }

    #[test]
    fn tree_of_a_process_holds_its_children() {
        let me = std::process::id();
        let child = Owned::spawn(Command::new("cat").stdin(std::process::Stdio::piped())).unwrap();
        assert!(descendants(me).unwrap().contains(&child.pid()));
        assert!(Usage::of_tree(me).unwrap().resident > Usage::of(child.pid()).unwrap().resident);
        let pid = child.pid();
        drop(child);
        assert!(Usage::of(pid).is_err(), "a dropped child is gone");
    }
}
