//! How much of its machine a plugin's process may use, and who holds it to that.
//!
//! A control group holds the process and all it starts together, and cores are held by nothing else; but only where the
//! gateway may make one. Elsewhere the process is given limits of its own, which hold each of its processes for itself.
//! Either is in force before the program's first instruction.
//!
//! Not here: what it may reach (the sandbox).

pub(crate) mod group;

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Limits of one plugin's process; 0 stands for none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Limits {
    pub(crate) memory_mb: u64,
    pub(crate) cpu_cores: f64,
    pub(crate) processes: u64,
    pub(crate) open_files: u64,
}

impl Limits {
    /// Whether there is anything that a control group would hold.
    pub(crate) fn want_a_group(&self) -> bool {
        self.memory_mb > 0 || self.cpu_cores > 0.0 || self.processes > 0
    }

    pub(crate) fn memory(&self) -> u64 {
        self.memory_mb.saturating_mul(1 << 20)
    }
}

/// Limits that a process has itself.
#[derive(Debug)]
pub(crate) struct Own(Vec<(Resource, Rlimit)>);

impl Own {
    /// What no group holds.
    pub(crate) fn new(limits: &Limits, grouped: bool) -> Self {
        let memory = (!grouped && limits.memory_mb > 0).then(|| (Resource::Data, limits.memory()));
        let processes = (!grouped && limits.processes > 0).then_some((Resource::Nproc, limits.processes));
        let always = [(Resource::Nofile, limits.open_files), (Resource::Core, 0)];
        let own = always.into_iter().chain(memory).chain(processes).map(|(resource, most)| {
            // More than the gateway may itself it cannot give.
            let most = getrlimit(resource).maximum.map_or(most, |ours| most.min(ours));
            (resource, Rlimit { current: Some(most), maximum: Some(most) })
        });
        Self(own.collect())
    }

    /// Bounds the calling process, for ever. Between fork and exec: makes system calls only.
    pub(crate) fn set(&self) -> io::Result<()> {
        for (resource, limit) in &self.0 {
            setrlimit(*resource, *limit)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_group_holds_is_not_held_twice_and_descriptors_always_are() {
        let limits = Limits { memory_mb: 64, cpu_cores: 0.5, processes: 20, open_files: 77 };
        let of = |grouped| Own::new(&limits, grouped).0;
        assert_eq!(of(true).len(), 2);
        let alone = of(false);
        let most = |wanted: Resource| {
            let found = alone.iter().find(|(resource, _)| *resource == wanted);
            found.and_then(|(_, limit)| limit.maximum)
        };
        assert_eq!((most(Resource::Nofile), most(Resource::Core)), (Some(77), Some(0)));
        assert_eq!((most(Resource::Data), most(Resource::Nproc)), (Some(64 << 20), Some(20)));
    }
}
