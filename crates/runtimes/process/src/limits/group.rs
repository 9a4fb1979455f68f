//! Control groups (version 2): what the kernel holds a plugin's process, and all it starts, to together.
//!
//! Only in a part of the tree that was given to the gateway: the group it stands in, or the one above where the gateway
//! was put into a group of its own below it (systemd: `Delegate=` with `DelegateSubgroup=`). The gateway never moves
//! itself, and touches no group that belongs to others. Ending a group ends also those of its processes that have left
//! the plugin's process group.

use std::{
    fs::{self, File, OpenOptions},
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use super::Limits;

/// Where control groups are.
const ROOT: &str = "/sys/fs/cgroup";

/// How the groups are called: this, the gateway's process id, a number.
const NAME: &str = "mortise-plugin-";

/// Over which time use of the processor is counted, in microseconds.
const PERIOD: u32 = 100_000;

/// Makes groups. Looks for a place when the first is wanted.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    place: OnceLock<Result<PathBuf, String>>,
    number: AtomicU64,
    /// Groups whose processes were not gone yet when they were to be removed.
    left: Arc<Mutex<Vec<PathBuf>>>,
}

impl Groups {
    /// Makes a group with these limits.
    ///
    /// # Errors
    /// Why there is none, in words.
    pub(crate) fn make(&self, limits: &Limits) -> Result<Group, String> {
        let place = self.place.get_or_init(find).as_ref().map_err(String::clone)?;
        self.sweep();
        let controllers = [
            ("memory", limits.memory_mb > 0),
            ("cpu", limits.cpu_cores > 0.0),
            ("pids", limits.processes > 0),
        ];
        let wanted = controllers.iter().filter(|(_, wanted)| *wanted).map(|(name, _)| *name);
        enable(place, wanted).map_err(|error| format!("`{}`: {error}", place.display()))?;
        let number = self.number.fetch_add(1, Relaxed);
        let path = place.join(format!("{NAME}{}-{number}", std::process::id()));
        let failed = |error: io::Error| format!("`{}`: {error}", path.display());
        fs::create_dir(&path).map_err(failed)?;
        let group = Group { path: path.clone(), left: self.left.clone() };
        group.limit(limits).map_err(failed)?;
        Ok(group)
    }

    fn sweep(&self) {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        left.retain(|path| fs::remove_dir(path).is_err_and(|error| error.kind() != io::ErrorKind::NotFound));
    }
}

/// A group. Dropped, its processes are killed and it is removed.
#[derive(Debug)]
pub(crate) struct Group {
    path: PathBuf,
    left: Arc<Mutex<Vec<PathBuf>>>,
}

impl Group {
    fn limit(&self, limits: &Limits) -> io::Result<()> {
        if limits.memory_mb > 0 {
            self.say("memory.max", &limits.memory().to_string())?;
            // Without these it is bounded all the same: a kernel may know no swap, and end one process instead of all.
            let _ = self.say("memory.swap.max", "0");
            let _ = self.say("memory.oom.group", "1");
        }
        if limits.cpu_cores > 0.0 {
            // The kernel takes no less than a millisecond.
            let quota = (limits.cpu_cores * f64::from(PERIOD)).round().max(1000.0);
            self.say("cpu.max", &format!("{quota:.0} {PERIOD}"))?;
        }
        if limits.processes > 0 {
            self.say("pids.max", &limits.processes.to_string())?;
        }
        Ok(())
    }

    fn say(&self, file: &str, word: &str) -> io::Result<()> {
        fs::write(self.path.join(file), word)
    }

    /// What a process enters by, when it writes `0` to it.
    pub(crate) fn door(&self) -> io::Result<File> {
        OpenOptions::new().write(true).open(self.path.join("cgroup.procs"))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // An older kernel does not know this; the process group is killed in any case.
        let _ = self.say("cgroup.kill", "1");
        if fs::remove_dir(&self.path).is_err_and(|error| error.kind() != io::ErrorKind::NotFound) {
            // What was killed is gone in a moment; the next group that is made takes this one away.
            self.left.lock().unwrap_or_else(PoisonError::into_inner).push(self.path.clone());
        }
    }
}

/// Has a group hold these for groups in it.
fn enable<'c>(place: &Path, controllers: impl Iterator<Item = &'c str>) -> io::Result<()> {
    let file = place.join("cgroup.subtree_control");
    let enabled = fs::read_to_string(&file)?;
    for name in controllers.filter(|name| !enabled.split_whitespace().any(|one| one == *name)) {
        fs::write(&file, format!("+{name}"))?;
    }
    Ok(())
}

/// The group in which groups can be made.
fn find() -> Result<PathBuf, String> {
    let told = fs::read_to_string("/proc/self/cgroup").map_err(|error| error.to_string())?;
    let own = told.lines().find_map(|line| line.strip_prefix("0::"));
    let own = own.ok_or("there are no control groups of version 2")?.trim_start_matches('/');
    let root = Path::new(ROOT);
    let ours = root.join(own);
    let above = ours.parent().filter(|above| above.starts_with(root) && ours != root);
    // At the root of what it sees, the gateway stands in a container of its own, or there is nobody else.
    let given = |path: &Path| path == ours && path == root || is_delegated(path);
    let places = std::iter::once(ours.as_path()).chain(above).filter(|path| given(path));
    let mut why = "no control group was delegated to the gateway".to_owned();
    for place in places {
        match enable(place, ["memory", "cpu", "pids"].into_iter()) {
            Ok(()) => {
                forget_the_dead(place);
                return Ok(place.to_owned());
            }
            Err(error) => why = format!("`{}`: {error}", place.display()),
        }
    }
    Err(why)
}

/// Whether systemd has given a group away.
#[cfg(target_os = "linux")]
fn is_delegated(path: &Path) -> bool {
    ["user.delegate", "trusted.delegate"].iter().any(|name| {
        let mut value = [0; 4];
        matches!(rustix::fs::getxattr(path, *name, &mut value[..]), Ok(1)) && value[0] == b'1'
    })
}

#[cfg(not(target_os = "linux"))]
fn is_delegated(_: &Path) -> bool {
    false
}

/// Removes groups of gateways that did not come to it.
fn forget_the_dead(place: &Path) {
    for entry in fs::read_dir(place).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.strip_prefix(NAME)?.split('-').next());
        if pid.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            // One that still has processes stays.
            let _ = fs::remove_dir(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups_in(place: Result<PathBuf, String>) -> Groups {
        let groups = Groups::default();
        groups.place.set(place).unwrap();
        groups
    }

    /// A folder stands in for the kernel's: what is written there stays to be looked at.
    #[test]
    fn limits_are_told_to_the_kernel_in_its_words() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("cgroup.subtree_control"), "memory").unwrap();
        let groups = groups_in(Ok(folder.path().to_owned()));
        let limits = Limits { memory_mb: 64, cpu_cores: 0.5, processes: 20, open_files: 16 };

        let group = groups.make(&limits).unwrap();

        let said = |file: &str| fs::read_to_string(group.path.join(file)).unwrap();
        assert_eq!(said("memory.max"), "67108864");
        assert_eq!((said("cpu.max"), said("pids.max")), ("50000 100000".to_owned(), "20".to_owned()));
        let path = group.path.clone();
        drop(group);
        // The kernel's folders can be removed with what is in them; here they are left, and looked at again.
        assert_eq!(groups.left.lock().unwrap().as_slice(), std::slice::from_ref(&path));
        fs::remove_dir_all(&path).unwrap();
        drop(groups.make(&limits).unwrap());
        assert!(!groups.left.lock().unwrap().contains(&path), "what is gone is not kept in mind");
    }

    #[test]
    fn where_no_group_can_be_made_is_said_why() {
        let limits = Limits { memory_mb: 64, cpu_cores: 0.0, processes: 0, open_files: 16 };
        assert_eq!(groups_in(Err("why".to_owned())).make(&limits).unwrap_err(), "why");
        let nowhere = groups_in(Ok("/nowhere".into())).make(&limits).unwrap_err();
        assert!(nowhere.contains("/nowhere"), "{nowhere}");
    }
}
