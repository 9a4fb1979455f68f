//! Generated files: what they are, and whether those on disk are current.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;
use mortise::{
    framework::config::RawPluginsFile,
    plugin_api::{HookSpec, HookTable, Manifest},
};
use serde_json::{Value, json};

use crate::reference;

/// Folders in which nothing but generated files stands.
const WHOLE_FOLDERS: [&str; 2] = ["contracts/schema", "docs/reference"];

/// Writes all files, or with `check` tells which are not current.
pub(crate) fn run(root: &Path, check: bool) -> anyhow::Result<Vec<String>> {
    let files = files();
    let mut problems = Vec::new();
    for (name, text) in &files {
        let path = root.join(name);
        if fs::read_to_string(&path).is_ok_and(|found| found == *text) {
            continue;
        }
        if check {
            problems.push(format!("{name} is not current: run `cargo xtask gen`"));
            continue;
        }
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
        }
        fs::write(&path, text).with_context(|| format!("writing {name}"))?;
        crate::say(&format!("wrote {name}"));
    }
    for folder in WHOLE_FOLDERS {
        for stray in strays(root, Path::new(folder), &files)? {
            if check {
                problems.push(format!("{stray} is no longer generated: run `cargo xtask gen`"));
            } else {
                fs::remove_file(root.join(&stray)).with_context(|| format!("removing {stray}"))?;
                crate::say(&format!("removed {stray}"));
            }
        }
    }
    Ok(problems)
}

/// Files of a folder that are not generated any more.
fn strays(root: &Path, folder: &Path, files: &BTreeMap<String, String>) -> anyhow::Result<Vec<String>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(root.join(&folder)) else { continue };
        for entry in entries {
            let entry = entry.with_context(|| format!("looking into {}", folder.display()))?;
            let name: PathBuf = folder.join(entry.file_name());
            let shown = name.display().to_string();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(name);
            } else if !files.contains_key(&shown) {
                found.push(shown);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Every generated file by its path in the repository.
fn files() -> BTreeMap<String, String> {
    let hooks = HookTable::standard();
    let config = mortise::gateway::config::schema().to_value();
    let mut files = BTreeMap::from([
        ("contracts/schema/mortise.schema.json".to_owned(), pretty(&config)),
        (
            "contracts/schema/plugins-file.schema.json".to_owned(),
            pretty(&schemars::schema_for!(RawPluginsFile).to_value()),
        ),
        (
            "contracts/schema/plugin-manifest.schema.json".to_owned(),
            pretty(&schemars::schema_for!(Manifest).to_value()),
        ),
        (
            "contracts/openapi/management.json".to_owned(),
            pretty(&mortise::gateway::manage::openapi::document()),
        ),
        ("docs/reference/config.md".to_owned(), reference::config::page(&config)),
        ("docs/reference/hooks.md".to_owned(), reference::hooks::page(&hooks)),
        ("docs/reference/metrics.md".to_owned(), reference::metrics::page()),
        ("docs/reference/cli.md".to_owned(), reference::cli::page()),
    ]);
    for row in hooks.rows() {
        let hook = json!({
            "hook": &*row.name,
            "aliases": row.aliases,
            "family": row.family,
            "moment": row.moment,
            "may": row.may,
            "rule": row.rule,
            "writable": row.writable,
            "payload": row.payload_schema().to_value(),
            "answer": row.change_schema().to_value(),
            "examples": examples(row),
        });
        files.insert(format!("contracts/schema/hooks/{}.json", row.name), pretty(&hook));
    }
    files
}

/// The example of a hook: a payload, and an answer where one is taken.
fn examples(row: &HookSpec) -> Value {
    let read = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_default();
    match row.example.answer {
        "" => json!({ "payload": read(row.example.payload) }),
        answer => json!({ "payload": read(row.example.payload), "answer": read(answer) }),
    }
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}
