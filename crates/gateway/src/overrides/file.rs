//! Where overrides are kept.

use std::{fs, io, path::Path};

use mortise_framework::config::{Diagnostic, DiagnosticKind};

use super::Overrides;
use crate::state_dir::{Aside, StateDirError};

/// Largest file that is read.
const MAX_BYTES: u64 = 16 << 20;

/// Reads the overrides of a state folder; without a file, none. Blocks.
///
/// # Errors
/// When what is there cannot be read: leaving out what somebody switched off would switch it on. A file of somebody
/// else's gateway, which this user may not read, is a notice.
pub(crate) fn read(state_dir: &Path) -> Result<(Overrides, Option<Diagnostic>), Diagnostic> {
    let path = Overrides::path(state_dir);
    let told = |why: String| {
        let message = format!("cannot read the overrides in {}: {why}", path.display());
        Diagnostic::new(DiagnosticKind::File, message)
    };
    let text = match open(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Default::default()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            return Ok((Overrides::default(), Some(told(error.to_string()))));
        }
        Err(error) => return Err(told(error.to_string())),
    };
    match serde_json::from_str(&text) {
        Ok(overrides) => Ok((overrides, None)),
        // The text of the error may spell a value out; where it is, is enough.
        Err(error) => Err(told(format!("line {} column {} is wrong", error.line(), error.column()))
            .help("put it right, or remove the file and with it all overrides")),
    }
}

fn open(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let file = fs::File::open(path)?;
    io::Read::read_to_string(&mut io::Read::take(file, MAX_BYTES), &mut text)?;
    Ok(text)
}

/// Writes the overrides beside those of a state folder, to take their place. Blocks.
///
/// # Errors
/// When they cannot be written.
pub(crate) fn write_aside(overrides: &Overrides, state_dir: &Path) -> Result<Aside, StateDirError> {
    Aside::write(Overrides::path(state_dir), overrides)
}
