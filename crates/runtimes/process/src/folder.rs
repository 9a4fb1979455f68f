//! A folder of a plugin's own for its sockets, which nobody else may enter.
//!
//! Whoever can connect to a plugin can call it, and whoever can connect to the gateway's end can ask what the plugin may
//! ask. So the sockets do not stand in the common temporary folder, as go-plugin would put them. A path to a socket may
//! be some hundred bytes long at most, which is why the name is short.

use std::{
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

/// Longest path of the folder above, so that sockets in it can be named.
const MAX_BASE: usize = 60;

/// The folder. Dropped, it is gone with what is in it.
#[derive(Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// Makes a new one, mode 0700.
    pub(crate) fn new() -> io::Result<Self> {
        let base = std::env::temp_dir();
        let base = if base.as_os_str().len() > MAX_BASE { PathBuf::from("/tmp") } else { base };
        let random = uuid::Uuid::new_v4().simple().to_string();
        let path = base.join(format!("mortise-{}", &random[..12]));
        std::fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::debug!(folder = %self.0.display(), %error, "a folder of sockets could not be removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn folder_is_closed_to_others_and_goes_with_its_owner() {
        let folder = Folder::new().unwrap();
        let path = folder.path().to_owned();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        std::fs::write(path.join("socket"), "").unwrap();
        drop(folder);
        assert!(!path.exists());
    }
}
