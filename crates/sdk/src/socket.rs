//! Unix sockets that nobody else can connect to, put in their place whole.

use std::{
    io,
    os::unix::{fs::PermissionsExt, net::UnixStream as Probe},
    path::{Path, PathBuf},
};

use tokio::net::UnixListener;

/// A listening socket that goes from the disk with this value.
pub(crate) struct Socket {
    pub(crate) listener: UnixListener,
    _place: Place,
}

struct Place(PathBuf);

impl Drop for Place {
    fn drop(&mut self) {
        // Whoever removed it before has done the work.
        let _gone = std::fs::remove_file(&self.0);
    }
}

impl Socket {
    /// Listens at `path`, readable and writable by this user only. A socket that nobody listens at is replaced.
    ///
    /// It is made beside its place and moved there with its permissions set, so that there is no moment in which others
    /// could connect.
    pub(crate) fn bind(path: &Path) -> io::Result<Self> {
        if Probe::connect(path).is_ok() {
            return Err(io::Error::new(io::ErrorKind::AddrInUse, "somebody listens at it already"));
        }
        if std::fs::symlink_metadata(path).is_ok_and(|found| !is_socket(&found)) {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                "there is something else than a socket",
            ));
        }
        let mut aside = path.as_os_str().to_owned();
        aside.push(format!(".{}", std::process::id()));
        let aside = PathBuf::from(aside);
        let _left_behind = std::fs::remove_file(&aside);
        let listener = UnixListener::bind(&aside)?;
        std::fs::set_permissions(&aside, std::fs::Permissions::from_mode(0o600))?;
        std::fs::rename(&aside, path)?;
        Ok(Self { listener, _place: Place(path.to_owned()) })
    }
}

fn is_socket(found: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::FileTypeExt;
    found.file_type().is_socket()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_is_its_users_own_and_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plugins.sock");
        let first = Socket::bind(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(Socket::bind(&path).err().unwrap().kind(), io::ErrorKind::AddrInUse);
        drop(first);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        std::fs::write(&path, "not a socket").unwrap();
        assert_eq!(Socket::bind(&path).err().unwrap().kind(), io::ErrorKind::AlreadyExists);
    }

    #[tokio::test]
    async fn a_socket_that_a_crash_left_behind_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plugins.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(Socket::bind(&path).is_ok());
    }
}
