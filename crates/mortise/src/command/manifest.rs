//! `mortise config check` of a plugin's manifest or an index of plugins.

use std::path::Path;

use mortise_framework::{
    catalogue::{Catalogue, is_index},
    config::{
        Errors,
        manifest::{ManifestReader, ParsedManifest, is_manifest},
    },
};
use serde_json::{Value, json};

use crate::{
    Assembly, Exit,
    cli::Format,
    output::{Output, Paint, counted},
};

/// Checks a file that is a manifest or an index; `None` for any other. The JSON is for a list of checked files.
pub(super) fn check(
    path: &Path,
    strict: bool,
    format: Format,
    assembly: &Assembly,
    output: &mut Output,
) -> Option<(Exit, Value)> {
    let result = if is_index(path) {
        read_index(path, strict, assembly)
    } else if is_manifest(path) {
        ManifestReader::new(assembly.framework.hooks(), strict)
            .and_then(|reader| reader.read(path))
            .map(|read| Checked::Manifest(Box::new(read)))
    } else {
        return None;
    };
    let name = path.display().to_string();
    if format == Format::Text {
        tell(&name, &result, output);
    }
    let exit = if result.is_ok() { Exit::Ok } else { Exit::Failed };
    Some((exit, as_json(&name, &result)))
}

enum Checked {
    Manifest(Box<ParsedManifest>),
    Index(Box<Catalogue>),
}

/// In a file that is checked for itself, what costs one entry elsewhere is an error.
fn read_index(path: &Path, strict: bool, assembly: &Assembly) -> Result<Checked, Errors> {
    let reader = ManifestReader::new(assembly.framework.hooks(), strict)?;
    let mut catalogue = Catalogue::new();
    catalogue.try_add_path(path, &reader)?;
    let broken = catalogue.broken().to_vec();
    match Errors::from_list(broken) {
        Some(errors) => Err(errors),
        None => Ok(Checked::Index(Box::new(catalogue))),
    }
}

fn tell(name: &str, result: &Result<Checked, Errors>, output: &mut Output) {
    let checked = match result {
        Ok(checked) => checked,
        Err(errors) => return output.errors_of(name, errors),
    };
    let word = output.paint(Paint::Good, "ok");
    match checked {
        Checked::Manifest(read) => {
            output.notices(&read.notices);
            let manifest = &read.manifest;
            let called = manifest.name.as_deref().or(manifest.kind.as_deref()).unwrap_or("a plugin");
            output.line(format!("{name}: {word}"));
            output.line(format!("  {called} {} by {}", manifest.version, manifest.author));
            if let Some(problem) = manifest.framework_problem() {
                let waits = output.paint(Paint::Warn, "waits");
                output.line(format!("  {waits} {problem}"));
            }
        }
        Checked::Index(catalogue) => {
            output.notices(catalogue.notices());
            output.line(format!("{name}: {word}"));
            output.line(format!("  {}", counted(catalogue.items().len(), "plugin")));
        }
    }
}

fn as_json(name: &str, result: &Result<Checked, Errors>) -> Value {
    match result {
        Err(errors) => json!({ "file": name, "ok": false, "errors": errors }),
        Ok(Checked::Manifest(read)) => json!({
            "file": name,
            "ok": true,
            "errors": [],
            "notices": read.notices,
            "manifest": read.manifest,
            "problem": read.manifest.framework_problem(),
        }),
        Ok(Checked::Index(catalogue)) => json!({
            "file": name,
            "ok": true,
            "errors": [],
            "notices": catalogue.notices(),
            "catalogue": catalogue.items().iter().map(mortise_framework::catalogue::Item::to_json).collect::<Vec<_>>(),
        }),
    }
}
