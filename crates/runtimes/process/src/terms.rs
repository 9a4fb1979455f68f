//! What a process is started under: what its entry says, and where that says nothing, what its manifest asks for.
//!
//! Who configures the gateway approves by naming: what the entry names holds, whatever the program wants. Where it names
//! no sandbox, the program's own section holds, since it can only take away: whatever goes beyond what a program without
//! such a section has, which is the profile `compat`, is left out and told of. Requirements are limits: who says that 64
//! MiB are enough gets no more.

use std::path::{Path, PathBuf};

use mortise_framework::config::{ProcessKeys, SandboxKeys, SandboxProfile};
use mortise_plugin_api::{Confinement, manifest::Requirements};

use crate::{limits::Limits, manifest::Manifest, sandbox};

/// Rules and limits of one plugin's process.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Terms {
    pub(crate) sandbox: SandboxKeys,
    pub(crate) limits: Limits,
}

impl Terms {
    /// As people are shown them; `held_by` holds the limits.
    pub(crate) fn shown(&self, held_by: &'static str) -> Confinement {
        let Self { sandbox, limits } = self;
        let strict = sandbox.profile == SandboxProfile::Strict;
        let limit = |most: u64| (most > 0).then_some(most);
        Confinement {
            profile: sandbox.profile.word(),
            enforced: sandbox.profile != SandboxProfile::None && sandbox::kernel_holds(),
            network: !strict || sandbox.network,
            read: if strict { sandbox.read.clone() } else { Vec::new() },
            write: if sandbox.profile == SandboxProfile::None { Vec::new() } else { sandbox.write.clone() },
            memory_mb: limit(limits.memory_mb),
            cpu_cores: (limits.cpu_cores > 0.0).then_some(limits.cpu_cores),
            processes: limit(limits.processes),
            open_files: limit(limits.open_files),
            limits_held_by: held_by,
        }
    }
}

/// What terms are made of, beside what the program says of itself.
#[derive(Clone, Debug)]
pub(crate) struct Given {
    pub(crate) keys: ProcessKeys,
    /// Of a manifest that lies beside the program.
    pub(crate) requirements: Requirements,
    /// Where it works, if it was given a place.
    pub(crate) cwd: Option<PathBuf>,
    /// What relative paths count from.
    pub(crate) folder: PathBuf,
}

impl Given {
    /// The terms with what the program says of itself, as far as that is known.
    pub(crate) fn terms(&self, told: Option<&Manifest>) -> Terms {
        let (keys, beside) = (&self.keys, &self.requirements);
        let told_of = told.map(|told| &told.requirements);
        let memory = || told_of.and_then(|told| told.memory_mb).or(beside.memory_mb).and_then(megabytes);
        let cores =
            || told_of.and_then(|told| told.cpu_cores).or(beside.cpu_cores).filter(|cores| *cores > 0.0);
        let limits = Limits {
            memory_mb: keys.memory_mb.or_else(memory).unwrap_or(0),
            cpu_cores: keys.cpu_cores.or_else(cores).unwrap_or(0.0),
            processes: keys.processes,
            open_files: keys.open_files,
        };
        let sandbox = match (&keys.sandbox, told.and_then(|told| told.sandbox.as_ref())) {
            (Some(named), _) => named.clone(),
            (None, Some(asked)) => self.as_far_as_compat(asked),
            (None, None) => SandboxKeys::default(),
        };
        Terms { sandbox, limits }
    }

    /// What a manifest asks for, without what a program that asks for nothing would not have.
    fn as_far_as_compat(&self, asked: &SandboxKeys) -> SandboxKeys {
        let mut sandbox = asked.clone();
        let mut beyond = Vec::new();
        if sandbox.profile == SandboxProfile::None {
            sandbox.profile = SandboxProfile::Compat;
            beyond.push("profile none".to_owned());
        }
        let places = sandbox::writable_by_all(self.cwd.as_deref());
        let places: Vec<PathBuf> = places.iter().filter_map(|place| place.canonicalize().ok()).collect();
        sandbox.write.retain(|path| {
            let full = plain(&self.folder.join(path));
            let may = full.as_ref().is_some_and(|full| places.iter().any(|place| full.starts_with(place)));
            if !may {
                beyond.push(format!("write {path}"));
            }
            may
        });
        if !beyond.is_empty() {
            let beyond = beyond.join(", ");
            tracing::warn!(
                beyond,
                "a plugin's manifest asks for more than `process.sandbox` of its entry gives"
            );
        }
        sandbox
    }
}

/// A path without steps up; where there are any, who knows where they lead.
fn plain(path: &Path) -> Option<PathBuf> {
    let up = path.components().any(|part| matches!(part, std::path::Component::ParentDir));
    // A link may lead elsewhere, and what is not there yet leads nowhere.
    (!up).then(|| path.canonicalize().ok()).flatten()
}

/// Whole MiB, at least one.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float beyond all numbers is the largest"
)]
fn megabytes(asked: f64) -> Option<u64> {
    (asked > 0.0).then(|| asked.ceil() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(keys: &str) -> Given {
        Given {
            keys: serde_json::from_str(keys).unwrap(),
            requirements: Requirements { memory_mb: Some(100.0), ..Requirements::default() },
            cwd: None,
            folder: "/".into(),
        }
    }

    fn manifest(text: &str) -> Manifest {
        Manifest::read(text).unwrap()
    }

    #[test]
    fn requirements_become_limits_where_the_entry_names_none() {
        let told = manifest(r#"{"id": "a", "requirements": {"memory_mb": 63.5, "cpu_cores": 0.5}}"#);
        let limits = |keys: &str, told: Option<&Manifest>| {
            let limits = given(keys).terms(told).limits;
            (limits.memory_mb, limits.cpu_cores.to_string())
        };
        assert_eq!(limits("{}", Some(&told)), (64, "0.5".to_owned()));
        assert_eq!(limits("{}", None), (100, "0".to_owned()), "the manifest beside it");
        let named = r#"{"memory_mb": 0, "cpu_cores": 2}"#;
        assert_eq!(limits(named, Some(&told)), (0, "2".to_owned()), "the entry's word is the last");
        let absurd = manifest(r#"{"id": "a", "requirements": {"memory_mb": -5, "cpu_cores": 1e300}}"#);
        assert_eq!(limits("{}", Some(&absurd)).0, 0);
    }

    #[test]
    fn sandbox_of_a_manifest_holds_as_far_as_it_takes_away() {
        let temporary = tempfile::tempdir().unwrap();
        let told = manifest(
            &serde_json::json!({ "id": "a", "sandbox": {
                "profile": "strict", "network": true, "read": ["/srv"],
                "write": [temporary.path(), "/usr", "/tmp/../usr"],
            }})
            .to_string(),
        );
        let sandbox = |keys: &str, told: Option<&Manifest>| given(keys).terms(told).sandbox;

        let asked = sandbox("{}", Some(&told));
        assert_eq!((asked.profile, asked.network), (SandboxProfile::Strict, true));
        assert_eq!(asked.read, ["/srv"]);
        assert_eq!(asked.write, [temporary.path().to_str().unwrap()]);

        assert_eq!(sandbox("{}", None), SandboxKeys::default());
        let none = manifest(r#"{"id": "a", "sandbox": {"profile": "none"}}"#);
        assert_eq!(sandbox("{}", Some(&none)).profile, SandboxProfile::Compat);
        let named = sandbox(r#"{"sandbox": {"profile": "none"}}"#, Some(&told));
        assert_eq!(named.profile, SandboxProfile::None, "the entry's word is the last");
    }
}
