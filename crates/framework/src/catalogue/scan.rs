//! Manifests in a folder.
//!
//! A folder of plugins holds what others wrote, so a walk through it is bounded in depth and number, follows a link
//! only where it stays inside, and opens nothing but plain files.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use mortise_plugin_api::manifest::MANIFEST_FILE;

use super::{Catalogue, Item, MOST_ITEMS, Origin, index};
use crate::config::{Diagnostic, DiagnosticKind, Errors, manifest::ManifestReader};

/// Folders below the first in which manifests are looked for.
const DEEPEST: usize = 5;

/// Names looked at in one walk.
const MOST_NAMES: usize = 50_000;

/// Folders in which no plugin of their own stands.
const SKIPPED: [&str; 5] = ["__pycache__", "node_modules", "target", "venv", "site-packages"];

/// Other names that a manifest may have.
const OTHER_NAME: &str = "plugin-manifest.yml";

/// Adds what stands in a folder, in the order of names.
pub(super) fn folder(
    catalogue: &mut Catalogue,
    path: &Path,
    reader: &ManifestReader<'_>,
) -> Result<(), Errors> {
    let unreadable = |error: std::io::Error| {
        let message = format!("cannot look for plugins in {}: {error}", path.display());
        Errors::from(Diagnostic::new(DiagnosticKind::File, message))
    };
    let root = fs::canonicalize(path).map_err(unreadable)?;
    fs::read_dir(&root).map_err(unreadable)?;
    let mut walk = Walk { catalogue, reader, root, seen: HashSet::new(), names: 0 };
    walk.folder(path, 0);
    Ok(())
}

struct Walk<'w, 'h> {
    catalogue: &'w mut Catalogue,
    reader: &'w ManifestReader<'h>,
    root: PathBuf,
    /// Folders by their real paths: links may lead to one of them again.
    seen: HashSet<PathBuf>,
    names: usize,
}

impl Walk<'_, '_> {
    fn folder(&mut self, shown: &Path, depth: usize) {
        let real = match fs::canonicalize(shown) {
            Ok(real) if self.seen.insert(real.clone()) => real,
            Ok(_) => return,
            Err(error) => return self.cannot_read(shown, &error),
        };
        let entries = match fs::read_dir(&real) {
            Ok(entries) => entries,
            Err(error) => return self.cannot_read(shown, &error),
        };
        let mut names: Vec<_> =
            entries.filter_map(|entry| Some(entry.ok()?.file_name())).take(MOST_NAMES).collect();
        names.sort_unstable();
        if depth == 0
            && let Some(name) = names.iter().find(|name| index::is_index(Path::new(name)))
        {
            let path = shown.join(name);
            if self.may_open(&path)
                && let Err(errors) = index::file(self.catalogue, &path, self.reader)
            {
                self.catalogue.lose(errors);
            }
        }
        let is_manifest = |name: &&std::ffi::OsString| *name == MANIFEST_FILE || *name == OTHER_NAME;
        if let Some(name) = names.iter().find(is_manifest) {
            self.manifest(&shown.join(name), shown);
        }
        for name in &names {
            self.names += 1;
            if self.names > MOST_NAMES {
                let message = format!(
                    "{} holds more than {MOST_NAMES} names; the rest is left out",
                    self.root.display()
                );
                return self.catalogue.note(DiagnosticKind::Limit, message);
            }
            let text = name.to_string_lossy();
            let skipped = text.starts_with('.') || SKIPPED.contains(&&*text);
            let path = shown.join(name);
            if !skipped
                && depth < DEEPEST
                && fs::metadata(&path).is_ok_and(|found| found.is_dir())
                && self.is_inside(&path)
            {
                self.folder(&path, depth + 1);
            }
        }
    }

    fn manifest(&mut self, path: &Path, folder: &Path) {
        if self.catalogue.files.len() >= MOST_ITEMS || !self.may_open(path) {
            return;
        }
        self.catalogue.files.push(path.to_path_buf());
        match self.reader.read(path) {
            Ok(read) => {
                self.catalogue.tell(read.notices.iter().cloned());
                let here = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_path_buf());
                let name = here.file_name().map(|name| name.to_string_lossy().into_owned());
                let name = read.manifest.name.clone().or(name).unwrap_or_else(|| "plugin".to_owned());
                self.catalogue.add(Item::new(name, read, Origin::Folder(folder.to_path_buf())));
            }
            Err(errors) => self.catalogue.lose(errors),
        }
    }

    /// Whether a path is a plain file inside the folder. Says so where it is not.
    fn may_open(&mut self, path: &Path) -> bool {
        match fs::metadata(path) {
            Ok(found) if found.is_file() => self.is_inside(path),
            Ok(_) => {
                self.catalogue.note(DiagnosticKind::File, format!("{} is no file", path.display()));
                false
            }
            Err(error) => {
                self.cannot_read(path, &error);
                false
            }
        }
    }

    /// Whether a path is inside the folder once its links are followed. Says so where it is not.
    fn is_inside(&mut self, path: &Path) -> bool {
        let inside = fs::canonicalize(path).is_ok_and(|real| real.starts_with(&self.root));
        if !inside {
            let message =
                format!("{} leads out of {} and is not followed", path.display(), self.root.display());
            self.catalogue.note(DiagnosticKind::File, message);
        }
        inside
    }

    fn cannot_read(&mut self, path: &Path, error: &std::io::Error) {
        self.catalogue.note(DiagnosticKind::File, format!("cannot read {}: {error}", path.display()));
    }
}
