//! Index files: one file, YAML or JSON, that lists plugins.
//!
//! ```yaml
//! plugins:
//!   - manifest: pii/plugin-manifest.yaml   # a manifest beside the index
//!   - name: Summariser                     # or all of it in place
//!     description: Shortens long results
//!     author: Acme
//!     version: 1.4.0
//! ```
//!
//! A list alone is read as the list under `plugins`.

use std::fs;
use std::path::Path;

use super::{Catalogue, Item, MOST_ITEMS, Origin};
use crate::config::{
    Diagnostic, DiagnosticKind, Dialect, Errors, Node,
    manifest::{ManifestReader, bounded, limits, tree},
};

/// Largest index file that is read, in bytes.
const INDEX_BYTES: usize = 8 << 20;

/// Whether a file is an index, by its name: `plugin-index.yaml`, `.yml` or `.json`.
#[must_use]
pub fn is_index(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    matches!(name, "plugin-index.yaml" | "plugin-index.yml" | "plugin-index.json")
}

/// Adds what an index file lists. What is wrong with one item costs that item.
pub(super) fn file(
    catalogue: &mut Catalogue,
    path: &Path,
    reader: &ManifestReader<'_>,
) -> Result<(), Errors> {
    catalogue.files.push(path.to_path_buf());
    let bytes = bounded(path, INDEX_BYTES)?;
    let dialect = Dialect::Foreign { strict: false };
    let root = tree(&path.display().to_string(), bytes, &limits(INDEX_BYTES), dialect)?;
    let (list, prefix) = match root.get("plugins") {
        Some(list) => (list, "plugins"),
        None => (&root, ""),
    };
    let Some(items) = list.as_list() else {
        let error = Diagnostic::new(
            DiagnosticKind::WrongType,
            "an index is a list of plugins, under `plugins` or alone",
        );
        return Err(error.at(list.span().clone()).path(prefix).into());
    };
    for (at, node) in items.iter().enumerate().take(MOST_ITEMS) {
        let place = format!("{prefix}[{at}]");
        if let Err(errors) = item(catalogue, path, node, &place, reader) {
            catalogue.lose(errors);
        }
    }
    Ok(())
}

fn item(
    catalogue: &mut Catalogue,
    index: &Path,
    node: &Node,
    place: &str,
    reader: &ManifestReader<'_>,
) -> Result<(), Errors> {
    let Some(file) = node.get("manifest") else {
        let read = reader.from_node(node.clone(), place)?;
        catalogue.tell(read.notices.iter().cloned());
        let Some(name) = read.manifest.name.clone() else {
            let error =
                Diagnostic::new(DiagnosticKind::MissingKey, "the key `name` is missing: no folder gives one");
            return Err(error.at(node.span().clone()).path(format!("{place}.name")).into());
        };
        catalogue.add(Item::new(name, read, Origin::Index(index.to_path_buf())));
        return Ok(());
    };
    let refuse = |message: String| {
        let error = Diagnostic::new(DiagnosticKind::InvalidValue, message).at(file.span().clone());
        Errors::from(error.path(format!("{place}.manifest")))
    };
    let written = file.as_str().ok_or_else(|| refuse("expected the path of a manifest".to_owned()))?;
    let folder = index.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let path = folder.join(written);
    let missing = |error: std::io::Error| refuse(format!("cannot read {}: {error}", path.display()));
    let (root, real) =
        (fs::canonicalize(folder).map_err(missing)?, fs::canonicalize(&path).map_err(missing)?);
    if !real.starts_with(&root) {
        return Err(refuse(format!("{} is not below the folder of the index", path.display())));
    }
    if !fs::metadata(&real).map_err(missing)?.is_file() {
        return Err(refuse(format!("{} is no file", path.display())));
    }
    catalogue.files.push(path.clone());
    let read = reader.read(&path)?;
    catalogue.tell(read.notices.iter().cloned());
    let own = real.parent().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
    let name = read.manifest.name.clone().or(own).unwrap_or_else(|| "plugin".to_owned());
    let stands = path.parent().unwrap_or(folder).to_path_buf();
    catalogue.add(Item::new(name, read, Origin::Folder(stands)));
    Ok(())
}
