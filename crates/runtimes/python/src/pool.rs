//! Which plugins share a worker.
//!
//! Those of one virtual environment, one trust group and one set of limits do. A plugin whose code has changed since its
//! worker imported it gets a new worker, since an interpreter keeps what it has imported; those that come later go there
//! too, and the old one ends with its last plugin.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{install::Installs, process::Launch, source::Source, worker::Worker};

/// The workers of a program.
#[derive(Default)]
pub(crate) struct Pool {
    rooms: Mutex<Vec<Room>>,
    installs: Installs,
}

struct Room {
    worker: Arc<Worker>,
    guests: usize,
    /// What it has imported, by package, and which state of the code that was.
    imported: HashMap<String, u64>,
}

impl Pool {
    /// A place in a worker that runs what `source` holds now.
    pub(crate) fn join(self: &Arc<Self>, launch: &Launch, source: &Source) -> Lease {
        let (package, digest) = (source.package(), source.digest());
        let mut rooms = self.rooms();
        // The newest first.
        let fits = |room: &&mut Room| {
            room.worker.is_of(launch) && room.imported.get(package).is_none_or(|known| *known == digest)
        };
        let worker = match rooms.iter_mut().rev().find(fits) {
            Some(room) => {
                room.guests += 1;
                room.imported.insert(package.to_owned(), digest);
                room.worker.clone()
            }
            None => {
                let worker = Worker::start(launch.clone());
                let imported = HashMap::from([(package.to_owned(), digest)]);
                rooms.push(Room { worker: worker.clone(), guests: 1, imported });
                worker
            }
        };
        Lease { pool: self.clone(), worker }
    }

    /// The interpreter of a virtual environment that is made if need be.
    pub(crate) fn installs(&self) -> &Installs {
        &self.installs
    }

    fn rooms(&self) -> MutexGuard<'_, Vec<Room>> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let workers: Vec<(u64, usize)> =
            self.rooms().iter().map(|room| (room.worker.pid(), room.guests)).collect();
        f.debug_struct("Pool").field("workers", &workers).finish_non_exhaustive()
    }
}

/// A place in a worker. The last one dropped ends it.
pub(crate) struct Lease {
    pool: Arc<Pool>,
    worker: Arc<Worker>,
}

impl Lease {
    /// The worker.
    pub(crate) fn worker(&self) -> &Arc<Worker> {
        &self.worker
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut rooms = self.pool.rooms();
        let Some(at) = rooms.iter().position(|room| Arc::ptr_eq(&room.worker, &self.worker)) else { return };
        rooms[at].guests -= 1;
        if rooms[at].guests == 0 {
            rooms.remove(at).worker.end();
        }
    }
}

/// Where a program is: as given where it is a path, else the first of that name in `PATH`.
pub(crate) fn program(name: &str, directory: &std::path::Path) -> Option<PathBuf> {
    if name.contains('/') {
        // Not resolved further: a virtual environment is known by the path of its link.
        return std::path::absolute(directory.join(name)).ok().filter(|path| path.is_file());
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|path| path.is_file())
}
