//! Where the code of a plugin is: which folders its module is looked for in, and what stands there now.
//!
//! Found by name alone, without running anything, so that a configuration can be checked and a changed file is a changed
//! plugin. What is installed elsewhere is not seen from here; only the interpreter knows.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
};

use mortise_framework::config::{PluginEntry, looked_at};

use crate::ISOLATED;

/// Files of one plugin that are looked at, at most.
const MOST_FILES: usize = 500;

/// The code of one entry.
pub(crate) struct Source {
    class: String,
    folders: Vec<PathBuf>,
    file: Option<PathBuf>,
}

impl Source {
    /// Looks for the code of an entry.
    pub(crate) fn of(entry: &PluginEntry) -> Self {
        let class = match entry.config_json.get("class_name").and_then(serde_json::Value::as_str) {
            Some(class) if entry.kind == ISOLATED => class.to_owned(),
            _ => entry.kind.clone(),
        };
        let folders = folders(entry, class.split('.').next().unwrap_or_default());
        let file = folders.iter().find_map(|folder| module_file(folder, &class));
        Self { class, folders, file }
    }

    /// The dotted path of the class.
    pub(crate) fn class(&self) -> &str {
        &self.class
    }

    /// The folders that are looked through, as text.
    pub(crate) fn folders(&self) -> Vec<String> {
        self.folders.iter().map(|folder| folder.display().to_string()).collect()
    }

    /// The file of its module, where it is in one of the folders.
    pub(crate) fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// What is loaded and found again under one name: the package, or the module where it stands alone.
    pub(crate) fn package(&self) -> &str {
        let module = self.class.rsplit_once('.').map_or("", |(module, _)| module);
        module.rsplit_once('.').map_or(module, |(package, _)| package)
    }

    /// Notes its files as looked at, so that a change of one is seen.
    pub(crate) fn note(&self) {
        self.files().iter().for_each(|file| looked_at::note(file));
    }

    /// A number for what its files hold now; 0 where none are known.
    pub(crate) fn digest(&self) -> u64 {
        let files = self.files();
        if files.is_empty() {
            return 0;
        }
        let mut hasher = DefaultHasher::new();
        for file in files {
            (&file, std::fs::read(&file).ok()).hash(&mut hasher);
        }
        hasher.finish()
    }

    /// Its module and what stands beside and below it in its package.
    fn files(&self) -> Vec<PathBuf> {
        let Some(file) = &self.file else { return Vec::new() };
        let mut files = Vec::new();
        if self.class.split('.').count() >= 3
            && let Some(folder) = file.parent()
        {
            collect(folder, &mut files, 0);
        }
        if !files.contains(file) {
            files.push(file.clone());
        }
        files.sort();
        files
    }
}

/// The `plugin_dirs`, and above them where a class path begins with the name of one; then the working folder.
fn folders(entry: &PluginEntry, first: &str) -> Vec<PathBuf> {
    let around = &entry.surroundings;
    let mut folders: Vec<PathBuf> = Vec::new();
    let mut add = |folder: &Path| {
        if let Ok(folder) = std::path::absolute(folder)
            && !folders.contains(&folder)
        {
            folders.push(folder);
        }
    };
    for dir in around.plugin_dirs.iter().filter(|dir| dir.is_dir()) {
        if let (true, Some(above)) = (dir.file_name().is_some_and(|name| name == first), dir.parent()) {
            add(if above.as_os_str().is_empty() { Path::new(".") } else { above });
        }
        add(dir);
    }
    add(&around.directory);
    folders
}

fn module_file(folder: &Path, class: &str) -> Option<PathBuf> {
    let (module, _) = class.rsplit_once('.')?;
    let path = folder.join(module.replace('.', "/"));
    let file = path.with_extension("py");
    [file, path.join("__init__.py")].into_iter().find(|file| file.is_file())
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>, depth: usize) {
    const DEEPEST: usize = 6;
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for path in entries.filter_map(Result::ok).map(|entry| entry.path()) {
        if files.len() >= MOST_FILES {
            return;
        }
        let hidden = path.file_name().is_some_and(|name| {
            let name = name.to_string_lossy();
            name.starts_with('.') || name == "__pycache__" || name == "node_modules"
        });
        if hidden {
            continue;
        }
        if path.is_dir() {
            // A virtual environment is no part of the plugin.
            if depth < DEEPEST && !path.join("pyvenv.cfg").exists() {
                collect(&path, files, depth + 1);
            }
        } else if path.extension().is_some_and(|kind| kind == "py") {
            files.push(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use mortise_framework::config::Surroundings;

    use super::*;

    fn entry(kind: &str, dir: &Path) -> PluginEntry {
        let around = Surroundings {
            directory: dir.to_path_buf(),
            plugin_dirs: vec![dir.join("plugins"), dir.join("more")],
            ..Surroundings::default()
        };
        PluginEntry { surroundings: Arc::new(around), ..PluginEntry::new("p", kind) }
    }

    #[test]
    fn modules_are_found_in_and_above_plugin_dirs_and_changes_are_seen() {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["plugins/mine", "more"] {
            std::fs::create_dir_all(dir.path().join(folder)).unwrap();
        }
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        write("plugins/mine/guard.py", "");
        write("more/alone.py", "");
        for (kind, file) in [
            ("plugins.mine.guard.Guard", "plugins/mine/guard.py"),
            ("mine.guard.Guard", "plugins/mine/guard.py"),
            ("alone.Guard", "more/alone.py"),
        ] {
            let source = Source::of(&entry(kind, dir.path()));
            assert_eq!(source.file(), Some(&*dir.path().join(file)), "{kind}");
        }
        assert_eq!(Source::of(&entry("gone.Guard", dir.path())).digest(), 0);
        let digest = || Source::of(&entry("mine.guard.Guard", dir.path())).digest();
        let before = digest();
        assert_eq!(digest(), before);
        write("plugins/mine/rules.py", "");
        assert_ne!(digest(), before, "what it may import counts");
    }
}
