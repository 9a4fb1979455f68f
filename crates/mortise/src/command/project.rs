//! The folder of a plugin that is being written: its manifest, and the Makefile that says how it is built and run.
//!
//! make is the seam: `compile` and `start` are all that is asked of a project, so that it may be written in anything,
//! and what runs here is what its author runs by hand.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use mortise_framework::config::Node;
use mortise_plugin_api::{
    Manifest,
    manifest::{MANIFEST_FILE, PluginType},
};

/// A folder with a plugin.
#[derive(Debug)]
pub(crate) struct Project {
    /// Where it is, absolute.
    pub(crate) folder: PathBuf,
    /// The plugin's name, where its manifest tells.
    pub(crate) name: Option<String>,
    /// Its manifest.
    pub(crate) manifest: Option<Manifest>,
    /// Targets of its Makefile.
    targets: Vec<String>,
}

impl Project {
    /// The project in a folder.
    pub(crate) fn find(folder: &Path) -> anyhow::Result<Self> {
        let absolute =
            folder.canonicalize().with_context(|| format!("there is no folder {}", folder.display()))?;
        if !absolute.is_dir() {
            bail!("{} is no folder", folder.display());
        }
        let manifest = manifest(&absolute.join(MANIFEST_FILE))?;
        let targets =
            fs::read_to_string(absolute.join("Makefile")).map(|text| targets(&text)).unwrap_or_default();
        let name = manifest.as_ref().and_then(|manifest| manifest.name.clone());
        Ok(Self { folder: absolute, name, manifest, targets })
    }

    /// Whether its Makefile has a target.
    pub(crate) fn has(&self, target: &str) -> bool {
        self.targets.iter().any(|known| known == target)
    }

    /// The command that makes a target, with variables as `NAME=VALUE`.
    pub(crate) fn make(&self, target: &str, variables: &[&str]) -> Vec<String> {
        let folder = self.folder.display().to_string();
        let words = ["make", "-s", "--no-print-directory", "-C", &folder, target];
        words.iter().chain(variables).map(|word| (*word).to_owned()).collect()
    }

    /// Whether it is a gateway of its own build rather than a server for one.
    pub(crate) fn is_native(&self) -> bool {
        let kind = self.manifest.as_ref().and_then(|manifest| manifest.plugin_type);
        kind == Some(PluginType::Native)
    }
}

impl Project {
    /// Whether it is a program that a gateway starts by itself.
    pub(crate) fn is_process(&self) -> bool {
        self.manifest.as_ref().and_then(|manifest| manifest.kind.as_deref()) == Some("process")
    }

    /// The words that a target prints.
    pub(crate) fn said(&self, target: &str) -> anyhow::Result<Vec<String>> {
        let command = self.make(target, &[]);
        let [program, args @ ..] = command.as_slice() else { return Ok(Vec::new()) };
        let told = std::process::Command::new(program).args(args).output().context("cannot run make")?;
        let text = String::from_utf8_lossy(&told.stdout);
        if !told.status.success() || text.trim().is_empty() {
            bail!("`make {target}` says nothing in {} ({})", self.folder.display(), told.status);
        }
        Ok(text.split_whitespace().map(str::to_owned).collect())
    }
}

fn manifest(path: &Path) -> anyhow::Result<Option<Manifest>> {
    let Ok(text) = fs::read_to_string(path) else { return Ok(None) };
    let shown = path.display().to_string();
    let node = Node::parse(&shown, &text).map_err(|error| anyhow::anyhow!("{error}"))?;
    let manifest =
        serde_json::from_value(node.to_json()).with_context(|| format!("{shown} is no manifest"))?;
    Ok(Some(manifest))
}

/// Names that begin a line and are followed by a colon.
fn targets(makefile: &str) -> Vec<String> {
    let named = makefile.lines().filter(|line| !line.starts_with(['\t', ' ', '#', '.']));
    let named = named.filter(|line| !line.contains(":=")).filter_map(|line| line.split_once(':'));
    named.flat_map(|(names, _)| names.split_whitespace().map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_told_from_variables_and_recipes() {
        let text =
            "-include .env\nA := b:c\n.PHONY: x\nstart: compile\n\t@echo no: target\ntest compile:\n# c: d\n";
        assert_eq!(targets(text), ["start", "test", "compile"]);
    }
}
