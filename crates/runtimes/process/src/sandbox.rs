//! What a plugin's process may reach of its machine, held by the kernel: files by Landlock, the network by seccomp.
//!
//! The rules are made before the process is, where mistakes can be told and memory be had; what is left to do between
//! fork and exec is a handful of system calls. They hold for all that the process starts, too, and bring two things more:
//! no program gains privileges by being run, and nothing in there signals or looks into a process out here, whose memory
//! holds the secrets of the gateway.
//!
//! Not here: what the process is given (environment, descriptors, sockets), and how much it may use.

use std::{
    io,
    path::{Path, PathBuf},
};

use mortise_framework::config::{SandboxKeys, SandboxProfile};

/// Where the process is, for rules about it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Places<'a> {
    /// Its program.
    pub(crate) program: &'a Path,
    /// The folder that it works in, if it was given one.
    pub(crate) cwd: Option<&'a Path>,
    /// The folder of its sockets.
    pub(crate) sockets: &'a Path,
    /// What relative paths of the rules count from.
    pub(crate) folder: &'a Path,
}

/// Why there are no rules.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SandboxError {
    #[error("the sandbox names `{0}`, which is not there")]
    NoPath(String, #[source] io::Error),
    #[error("making the rules of its sandbox")]
    Rules(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[cfg(not(target_os = "linux"))]
    #[error("a sandbox of the profile `strict` is there on Linux only")]
    NoKernel,
}

/// Folders of the system that any program reads: programs, libraries, settings, and what the kernel tells.
#[cfg(target_os = "linux")]
const SYSTEM: [&str; 12] = [
    "/bin",
    "/etc",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/nix/store",
    "/proc",
    "/run/systemd/resolve",
    "/sbin",
    "/sys",
    "/usr",
];

/// Devices that any program writes to.
#[cfg(target_os = "linux")]
const DEVICES: [&str; 8] = [
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
    "/dev/tty",
    "/dev/shm",
    "/dev/pts",
];

/// Folders that a program writes to under the profile `compat`, whatever its entry says.
pub(crate) fn writable_by_all(cwd: Option<&Path>) -> Vec<PathBuf> {
    // Without a folder of its own it works in the gateway's.
    let own = cwd.map(Path::to_owned).or_else(|| std::env::current_dir().ok());
    let temporary = [std::env::temp_dir(), PathBuf::from("/tmp"), PathBuf::from("/var/tmp")];
    own.into_iter().chain(temporary).collect()
}

/// Paths of an entry, which must be there: a rule about a path that does not exist holds nobody to anything.
fn named(paths: &[String], folder: &Path) -> Result<Vec<PathBuf>, SandboxError> {
    let found = |path: &String| {
        let full = folder.join(path);
        full.symlink_metadata().map_err(|error| SandboxError::NoPath(path.clone(), error))?;
        Ok(full)
    };
    paths.iter().map(found).collect()
}

#[cfg(target_os = "linux")]
pub(crate) use linux::{Sandbox, kernel_holds};

#[cfg(target_os = "linux")]
mod linux {
    use landlock::{
        ABI, Access, AccessFs, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetCreated,
        RulesetCreatedAttr, RulesetStatus, Scope, path_beneath_rules,
    };
    use seccompiler::{
        BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
        SeccompRule,
    };

    use super::{
        DEVICES, Path, PathBuf, Places, SYSTEM, SandboxError, SandboxKeys, SandboxProfile, io, named,
        writable_by_all,
    };

    /// The newest rules that are asked for; a kernel that knows fewer holds those it knows.
    const ABI_WANTED: ABI = ABI::V6;

    /// Families of addresses by which something leaves the machine, or its packets are seen.
    const NETWORK: [i32; 4] = [2, 10, 16, 17];

    /// Whether the kernel can hold anybody to rules about files.
    pub(crate) fn kernel_holds() -> bool {
        let rules = Ruleset::default()
            .set_compatibility(CompatLevel::HardRequirement)
            .handle_access(AccessFs::from_write(ABI::V1));
        rules.and_then(Ruleset::create).is_ok()
    }

    /// The rules for one process.
    pub(crate) struct Sandbox {
        rules: RulesetCreated,
        filter: Option<BpfProgram>,
        strict: bool,
    }

    impl Sandbox {
        /// Makes the rules; `None` where there are to be none.
        pub(crate) fn new(keys: &SandboxKeys, places: &Places<'_>) -> Result<Option<Self>, SandboxError> {
            let strict = match keys.profile {
                SandboxProfile::None => return Ok(None),
                SandboxProfile::Compat => false,
                SandboxProfile::Strict => true,
            };
            let handled =
                if strict { AccessFs::from_all(ABI_WANTED) } else { AccessFs::from_write(ABI_WANTED) };
            let refused = |error: landlock::RulesetError| SandboxError::Rules(error.into());
            let mut rules = Ruleset::default()
                .handle_access(handled)
                .and_then(|rules| rules.scope(Scope::Signal))
                .and_then(Ruleset::create)
                .map_err(refused)?;
            if strict {
                let read = AccessFs::from_read(ABI_WANTED);
                let paths = readable(keys, places)?;
                rules = rules.add_rules(path_beneath_rules(paths, read)).map_err(refused)?;
            }
            let paths = writable(keys, places, strict)?;
            rules = rules.add_rules(path_beneath_rules(paths, handled)).map_err(refused)?;
            let filter = if strict && !keys.network { Some(without_network()?) } else { None };
            Ok(Some(Self { rules, filter, strict }))
        }

        /// Holds the calling process to the rules, for ever. Between fork and exec: makes system calls, and no more where
        /// they succeed.
        pub(crate) fn enter(self) -> io::Result<()> {
            let refused = |_| io::Error::from(io::ErrorKind::PermissionDenied);
            let status = self.rules.restrict_self().map_err(refused)?;
            if self.strict && status.ruleset == RulesetStatus::NotEnforced {
                return Err(io::Error::from(io::ErrorKind::Unsupported));
            }
            match &self.filter {
                Some(filter) => {
                    seccompiler::apply_filter(filter).map_err(|_| io::Error::from(io::ErrorKind::Unsupported))
                }
                None => Ok(()),
            }
        }
    }

    fn readable(keys: &SandboxKeys, places: &Places<'_>) -> Result<Vec<PathBuf>, SandboxError> {
        let mut paths: Vec<PathBuf> = SYSTEM.iter().map(PathBuf::from).collect();
        // A program may be a link, and find what it needs beside what the link points to.
        let program = places.program.canonicalize().unwrap_or_else(|_| places.program.to_owned());
        paths.extend(
            [places.program, program.as_path()].iter().filter_map(|path| path.parent()).map(Path::to_owned),
        );
        paths.extend(named(&keys.read, places.folder)?);
        Ok(paths)
    }

    fn writable(keys: &SandboxKeys, places: &Places<'_>, strict: bool) -> Result<Vec<PathBuf>, SandboxError> {
        let mut paths: Vec<PathBuf> = DEVICES.iter().map(PathBuf::from).collect();
        paths.push(places.sockets.to_owned());
        paths.extend(places.cwd.map(Path::to_owned));
        if !strict {
            paths.extend(writable_by_all(places.cwd));
        }
        paths.extend(named(&keys.write, places.folder)?);
        Ok(paths)
    }

    /// A filter that lets no socket be made that reaches beyond this machine.
    fn without_network() -> Result<BpfProgram, SandboxError> {
        let failed = |error: seccompiler::BackendError| SandboxError::Rules(error.into());
        let family = |number: i32| {
            let number = u64::try_from(number).unwrap_or_default();
            let is = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, number)?;
            SeccompRule::new(vec![is])
        };
        let families =
            NETWORK.iter().map(|number| family(*number)).collect::<Result<Vec<_>, _>>().map_err(failed)?;
        // A ring makes sockets by another door, so there is none.
        let rules = [(libc_numbers::SOCKET, families), (libc_numbers::IO_URING_SETUP, Vec::new())];
        let arch = std::env::consts::ARCH.try_into().map_err(failed)?;
        let errno = SeccompAction::Errno(libc_numbers::EACCES);
        let filter = SeccompFilter::new(rules.into_iter().collect(), SeccompAction::Allow, errno, arch);
        filter.and_then(TryInto::try_into).map_err(failed)
    }

    /// Numbers of the kernel's, of the machines that there are filters for.
    mod libc_numbers {
        #[cfg(target_arch = "x86_64")]
        pub(super) const SOCKET: i64 = 41;
        #[cfg(not(target_arch = "x86_64"))]
        pub(super) const SOCKET: i64 = 198;
        pub(super) const IO_URING_SETUP: i64 = 425;
        pub(super) const EACCES: u32 = 13;
    }
}

/// Whether the kernel can hold anybody to rules about files.
#[cfg(not(target_os = "linux"))]
pub(crate) fn kernel_holds() -> bool {
    false
}

#[cfg(not(target_os = "linux"))]
pub(crate) struct Sandbox;

#[cfg(not(target_os = "linux"))]
impl Sandbox {
    pub(crate) fn new(keys: &SandboxKeys, places: &Places<'_>) -> Result<Option<Self>, SandboxError> {
        named(&keys.write, places.folder)?;
        if keys.profile == SandboxProfile::Strict { Err(SandboxError::NoKernel) } else { Ok(None) }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt;

    use super::*;

    fn places<'a>(folder: &'a Path, sockets: &'a Path) -> Places<'a> {
        Places { program: Path::new("/bin/sh"), cwd: None, sockets, folder }
    }

    /// Runs a shell in a sandbox, and says whether it succeeded.
    #[cfg(target_os = "linux")]
    fn runs(keys: &SandboxKeys, places: &Places<'_>, script: &str) -> bool {
        let mut sandbox = Sandbox::new(keys, places).unwrap();
        let mut command = std::process::Command::new("/bin/sh");
        command.args(["-c", script]);
        let enter = move || sandbox.take().map_or(Ok(()), Sandbox::enter);
        // SAFETY: as where plugins are started: `enter` makes system calls only.
        #[expect(unsafe_code, reason = "nothing but code in the child can ask this of the kernel")]
        unsafe {
            command.pre_exec(enter);
        }
        command.output().unwrap().status.success()
    }

    /// Kernels that cannot hold anybody to rules cannot be tested.
    #[cfg(target_os = "linux")]
    fn can() -> bool {
        std::fs::read_to_string("/sys/kernel/security/lsm").map_or(true, |all| all.contains("landlock"))
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn foreign_program_changes_files_where_it_may_and_nowhere_else() {
        if !can() {
            return;
        }
        // Beside the temporary folder, in which it may write.
        let outside = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let (sockets, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let target = outside.path().join("file");
        let cwd = Places { cwd: Some(other.path()), ..places(outside.path(), sockets.path()) };
        let write = |keys: &SandboxKeys| runs(keys, &cwd, &format!("echo a > {}", target.display()));

        assert!(!write(&SandboxKeys::default()));
        assert!(write(&SandboxKeys { write: vec![".".to_owned()], ..SandboxKeys::default() }));
        assert!(runs(
            &SandboxKeys::default(),
            &cwd,
            &format!("cat {} && echo a > /dev/null", target.display())
        ));
        assert!(runs(&SandboxKeys::default(), &cwd, &format!("echo a > {}/b", sockets.path().display())));
        assert!(write(&SandboxKeys { profile: SandboxProfile::None, ..SandboxKeys::default() }));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn program_in_a_strict_sandbox_reads_what_it_is_let_and_has_no_network() {
        if !can() {
            return;
        }
        let (folder, sockets) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::write(folder.path().join("secret"), "s").unwrap();
        let strict = SandboxKeys { profile: SandboxProfile::Strict, ..SandboxKeys::default() };
        let read = format!("cat {}/secret", folder.path().display());
        let places = places(folder.path(), sockets.path());

        assert!(runs(&strict, &places, "ls / > /dev/null || true; true"));
        assert!(!runs(&strict, &places, &read));
        assert!(runs(&SandboxKeys { read: vec!["secret".to_owned()], ..strict.clone() }, &places, &read));
        let connect = "exec 3<>/dev/tcp/127.0.0.1/1";
        let said = |keys: &SandboxKeys| {
            let script = format!("bash -c '{connect}' 2>&1 | grep -q -i 'permission denied'");
            runs(keys, &places, &script)
        };
        assert!(said(&strict), "no socket is made");
        assert!(
            !said(&SandboxKeys { network: true, ..strict }),
            "the connection is refused by whoever is asked"
        );
    }

    #[test]
    fn path_that_is_not_there_is_named() {
        let sockets = tempfile::tempdir().unwrap();
        let keys = SandboxKeys { write: vec!["nowhere".to_owned()], ..SandboxKeys::default() };
        let error = Sandbox::new(&keys, &places(sockets.path(), sockets.path())).err().unwrap();
        assert!(error.to_string().contains("nowhere"), "{error}");
    }
}
