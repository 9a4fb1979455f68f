//! The plugin as an entry of a file that a running gateway watches, for as long as it is worked on.
//!
//! Put in as text, between two comments, so that nothing else of the file is touched: not its order, comments or
//! spelling. What a run that was killed has left is replaced by the next one.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use mortise_gateway::{config::DEFAULT_STATE_DIR, state_dir::LocalGateway};
use serde_json::{Map, Value};

use super::{Console, gateway};
use crate::command::remote::Remote;

/// An entry that is in a file.
pub(super) struct Entered {
    file: PathBuf,
    name: String,
    /// Whether there was no file before.
    made: bool,
}

impl Entered {
    /// Puts an entry into a file, which is made where there is none.
    pub(super) fn into(file: &Path, name: &str, entry: &Map<String, Value>) -> anyhow::Result<Self> {
        let made = !file.exists();
        let text = if made { String::new() } else { read(file)? };
        let entry = Value::Object(entry.clone()).to_string();
        let with = with_entry(&without_entry(&text, name), name, &entry)
            .with_context(|| format!("cannot enter the plugin into {}", file.display()))?;
        replace(file, &with)?;
        Ok(Self { file: file.to_owned(), name: name.to_owned(), made })
    }

    /// Has the gateway that runs beside the file look at the plugin anew, where there is one.
    pub(super) async fn reload(&self, plugin: &str, console: &Console) {
        let beside = self.file.parent().map(|folder| folder.join(DEFAULT_STATE_DIR));
        let mut folders = beside.into_iter().chain([PathBuf::from(DEFAULT_STATE_DIR)]);
        let Some(local) = folders.find_map(|folder| LocalGateway::find(&folder)) else { return };
        if !gateway::reload(&Remote::at(local.url, Some(local.token)), plugin).await {
            console.say("the gateway did not look at the plugin anew; it does with the next call");
        }
    }

    /// Takes the entry out again.
    pub(super) fn take_out(self) -> anyhow::Result<()> {
        let text = without_entry(&read(&self.file)?, &self.name);
        if self.made && text.trim().is_empty() {
            return fs::remove_file(&self.file)
                .with_context(|| format!("cannot remove {}", self.file.display()));
        }
        replace(&self.file, &text)
    }
}

fn read(file: &Path) -> anyhow::Result<String> {
    fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}

/// In one step, so that nobody reads half of it.
fn replace(file: &Path, text: &str) -> anyhow::Result<()> {
    let writing = || format!("cannot write {}", file.display());
    // Through links, so that the file they lead to is what changes.
    let file = file.canonicalize().unwrap_or_else(|_| file.to_owned());
    let mut aside = file.as_os_str().to_owned();
    aside.push(".dev");
    fs::write(&aside, text).with_context(writing)?;
    if let Ok(about) = fs::metadata(&file) {
        fs::set_permissions(&aside, about.permissions()).with_context(writing)?;
    }
    fs::rename(&aside, &file).with_context(writing)
}

fn marks(name: &str) -> (String, String) {
    (format!("# begin: mortise plugin dev {name}"), format!("# end: mortise plugin dev {name}"))
}

/// The text without what was put in.
fn without_entry(text: &str, name: &str) -> String {
    let (begin, end) = marks(name);
    let mut inside = false;
    let mut kept = String::new();
    for line in text.split_inclusive('\n') {
        let word = line.trim();
        if word == begin {
            inside = true;
        } else if word == end {
            inside = false;
        } else if !inside {
            kept.push_str(line);
        }
    }
    kept
}

/// The text with an entry more, as the first of its plugins.
fn with_entry(text: &str, name: &str, entry: &str) -> anyhow::Result<String> {
    let (begin, end) = marks(name);
    let mut lines = text.split_inclusive('\n');
    let mut before = String::new();
    for line in lines.by_ref() {
        before.push_str(line);
        let Some(rest) = line.strip_prefix("plugins:") else { continue };
        let rest = rest.split('#').next().unwrap_or_default().trim();
        if !rest.is_empty() {
            bail!("its `plugins:` is written in one line: write the list over several, one `- ` for each");
        }
        if !before.ends_with('\n') {
            before.push('\n');
        }
        let after: String = lines.collect();
        let item = after.lines().find(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'));
        let indent = item.filter(|line| line.trim_start().starts_with('-'));
        let indent = indent.map_or("  ", |line| &line[..line.len() - line.trim_start().len()]);
        return Ok(format!("{before}{indent}{begin}\n{indent}- {entry}\n{indent}{end}\n{after}"));
    }
    let gap = if before.is_empty() || before.ends_with('\n') { "" } else { "\n" };
    Ok(format!("{before}{gap}{begin}\nplugins:\n  - {entry}\n{end}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRY: &str = r#"{"name":"A","kind":"external"}"#;

    #[test]
    fn an_entry_goes_in_and_out_and_leaves_everything_else_as_it_was() {
        for text in [
            "# mine\nplugins:   # all of them\n  # the first\n  - name: b   # b\n    kind: builtin.cel\nlisten: {}\n",
            "plugins:\n- {name: b, kind: builtin.cel}\n",
            "listen: {}\n",
            "",
        ] {
            let with = with_entry(text, "A", ENTRY).unwrap();
            let node = mortise_framework::config::Node::parse("test", &with).unwrap();
            let plugins = &node.to_json()["plugins"];
            assert_eq!(plugins[0]["name"], "A", "{with}");
            assert_eq!(plugins[1].is_object(), text.contains("name: b"), "{with}");
            assert_eq!(without_entry(&with, "A"), text);
        }
    }

    #[test]
    fn a_list_in_one_line_is_refused_rather_than_broken() {
        assert!(with_entry("plugins: [{name: b, kind: builtin.cel}]\n", "A", ENTRY).is_err());
    }
}
