//! Which interpreter a plugin runs in, and what must be installed there.
//!
//! In this order: what an `isolated_venv` entry says of itself, what `plugin_settings.python` says of all, `python3`.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

use mortise_framework::config::{OneOrMany, PluginEntry};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{ISOLATED, pool::program};

/// The interpreter that is looked for when nobody says otherwise.
const INTERPRETER: &str = "python3";

/// Where the code of a plugin finds its packages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Home {
    /// An interpreter with what it has.
    Interpreter(PathBuf),
    /// A virtual environment that is made, or brought up to date, before it is used.
    Made(Recipe),
}

/// How a virtual environment is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Recipe {
    /// Where it is.
    pub(crate) venv: PathBuf,
    /// Whether it is ours alone, so that one that was left half made may be removed.
    pub(crate) ours: bool,
    /// The interpreter it is made with.
    pub(crate) base: PathBuf,
    /// What is handed to pip.
    pub(crate) requirements: Vec<Requirement>,
    /// Changes with what is to be installed.
    pub(crate) digest: String,
}

/// Something to install.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Requirement {
    /// A file in the format of pip.
    File(PathBuf),
    /// A single requirement.
    One(String),
}

/// The interpreter below a virtual environment.
pub(crate) fn interpreter_of(venv: &Path) -> PathBuf {
    venv.join("bin/python")
}

/// What keeps an entry from running that can be told without running anything.
pub(crate) fn missing(entry: &PluginEntry) -> Option<String> {
    Home::of(entry).err().map(|why| format!("waits for Python: {why}"))
}

/// A number for what is to be installed; changes when a file of requirements does.
pub(crate) fn requirements_digest(entry: &PluginEntry) -> Option<String> {
    match Home::of(entry) {
        Ok(Home::Made(recipe)) => Some(recipe.digest),
        _ => None,
    }
}

impl Home {
    /// Where an entry lives.
    ///
    /// # Errors
    /// Why it cannot live anywhere, in words.
    pub(crate) fn of(entry: &PluginEntry) -> Result<Self, String> {
        let around = &entry.surroundings;
        let settings = &around.python;
        let directory = std::path::absolute(&around.directory).unwrap_or_else(|_| around.directory.clone());
        let base = || {
            let name = settings.interpreter.as_deref().unwrap_or(INTERPRETER);
            let missing =
                || format!("there is no `{name}`; install it, or set `plugin_settings.python.interpreter`");
            program(name, &directory).ok_or_else(missing)
        };
        let own = Own::of(entry);
        let venv = own.venv.or_else(|| Some(directory.join(settings.venv.as_deref()?)));
        let venv = venv.map(|venv| directory.join(venv));
        let requirements = match own.requirements {
            Some(file) => vec![Requirement::File(file)],
            None => of_all(settings.requirements.as_ref(), &directory),
        };
        if requirements.is_empty() {
            return match venv {
                Some(venv) if interpreter_of(&venv).is_file() => Ok(Self::Interpreter(interpreter_of(&venv))),
                Some(venv) => Err(format!(
                    "there is no virtual environment {}; make it, or name its `requirements`",
                    venv.display()
                )),
                None => base().map(Self::Interpreter),
            };
        }
        let base = base()?;
        let digest = digest(&base, &requirements)?;
        let (venv, ours) = match (venv, &around.state_dir) {
            (Some(venv), _) => (venv, false),
            (None, Some(state)) => {
                let state = std::path::absolute(state).unwrap_or_else(|_| state.clone());
                (state.join("python").join(&digest), true)
            }
            (None, None) => {
                return Err("there is no state folder for its virtual environment; name a `venv`".into());
            }
        };
        Ok(Self::Made(Recipe { venv, ours, base, requirements, digest }))
    }
}

/// What an `isolated_venv` entry says of its environment.
#[derive(Default)]
struct Own {
    venv: Option<PathBuf>,
    requirements: Option<PathBuf>,
}

impl Own {
    fn of(entry: &PluginEntry) -> Self {
        if entry.kind != ISOLATED {
            return Self::default();
        }
        let around = &entry.surroundings;
        let directory = std::path::absolute(&around.directory).unwrap_or_else(|_| around.directory.clone());
        let text = |key: &str| entry.config_json.get(key).and_then(Value::as_str);
        let package = text("class_name").and_then(|class| class.split('.').next()).unwrap_or_default();
        let folders = around.plugin_dirs.iter().map(|dir| directory.join(dir).join(package));
        let folder = folders.clone().find(|folder| folder.is_dir()).or_else(|| folders.clone().next());
        let requirements = text("requirements_file").map(|file| {
            let beside = folder.as_ref().map(|folder| folder.join(file)).filter(|file| file.is_file());
            beside.unwrap_or_else(|| directory.join(file))
        });
        let there = folder.map(|folder| folder.join(".venv")).filter(|venv| interpreter_of(venv).is_file());
        let venv = match text("venv_path") {
            Some(path) => Some(directory.join(path)),
            None if requirements.is_none() => there,
            None => None,
        };
        Self { venv, requirements }
    }
}

fn of_all(requirements: Option<&OneOrMany<String>>, directory: &Path) -> Vec<Requirement> {
    let written = requirements.cloned().map(OneOrMany::into_vec).unwrap_or_default();
    let read = |text: String| {
        let file = directory.join(&text);
        if text.ends_with(".txt") || file.is_file() {
            Requirement::File(file)
        } else {
            Requirement::One(text)
        }
    };
    written.into_iter().map(read).collect()
}

fn digest(base: &Path, requirements: &[Requirement]) -> Result<String, String> {
    let mut hasher = Sha256::new();
    hasher.update(base.as_os_str().as_encoded_bytes());
    for requirement in requirements {
        hasher.update([0]);
        match requirement {
            Requirement::One(text) => hasher.update(text),
            Requirement::File(file) => {
                mortise_framework::config::looked_at::note(file);
                let text = std::fs::read(file).map_err(|error| {
                    format!("its requirements in {} cannot be read: {error}", file.display())
                })?;
                hasher.update(text);
            }
        }
    }
    Ok(hasher.finalize().iter().take(8).fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    }))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use mortise_framework::config::{PythonSettings, Surroundings};
    use serde_json::json;

    use super::*;

    fn entry(kind: &str, config: &Value, directory: &Path, python: PythonSettings) -> PluginEntry {
        let around = Surroundings {
            directory: directory.to_path_buf(),
            state_dir: Some(directory.join("state")),
            plugin_dirs: vec!["plugins".into()],
            python,
        };
        let entry = PluginEntry::new("p", kind).with_config(config.as_object().cloned().unwrap_or_default());
        PluginEntry { surroundings: Arc::new(around), ..entry }
    }

    #[test]
    fn environments_are_found_where_the_entry_or_the_settings_say() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for file in
            ["plugins/mine/requirements.txt", "all.txt", "venv/bin/python", "plugins/mine/.venv/bin/python"]
        {
            std::fs::create_dir_all(at(file).parent().unwrap()).unwrap();
            std::fs::write(at(file), "six\n").unwrap();
        }
        let none = PythonSettings::default();
        let home = |kind: &str, config: Value, python: &PythonSettings| {
            Home::of(&entry(kind, &config, dir.path(), python.clone()))
        };
        assert!(
            matches!(home("a.B", json!({}), &none), Ok(Home::Interpreter(path)) if path.ends_with("python3"))
        );
        let venv = PythonSettings { venv: Some("venv".to_owned()), ..none.clone() };
        assert_eq!(home("a.B", json!({}), &venv), Ok(Home::Interpreter(at("venv/bin/python"))));
        let gone = PythonSettings { venv: Some("gone".to_owned()), ..none.clone() };
        assert!(home("a.B", json!({}), &gone).unwrap_err().contains("no virtual environment"));
        let missing = PythonSettings { interpreter: Some("./no-python".to_owned()), ..none.clone() };
        assert!(home("a.B", json!({}), &missing).unwrap_err().contains("no `./no-python`"));

        let isolated = json!({ "class_name": "mine.guard.Guard" });
        assert_eq!(
            home(ISOLATED, isolated, &none),
            Ok(Home::Interpreter(at("plugins/mine/.venv/bin/python")))
        );
        let isolated = json!({ "class_name": "mine.guard.Guard", "requirements_file": "requirements.txt" });
        let Ok(Home::Made(recipe)) = home(ISOLATED, isolated.clone(), &none) else { panic!() };
        assert_eq!(recipe.requirements, [Requirement::File(at("plugins/mine/requirements.txt"))]);
        assert_eq!(recipe.venv, at("state/python").join(&recipe.digest));
        std::fs::write(at("plugins/mine/requirements.txt"), "six>=1\n").unwrap();
        let Ok(Home::Made(changed)) = home(ISOLATED, isolated, &none) else { panic!() };
        assert_ne!(changed.venv, recipe.venv);

        let both = OneOrMany::Many(vec!["all.txt".to_owned(), "requests>=2".to_owned()]);
        let all = PythonSettings { requirements: Some(both), ..venv };
        let Ok(Home::Made(recipe)) = home("a.B", json!({}), &all) else { panic!() };
        assert_eq!((recipe.venv, recipe.ours), (at("venv"), false));
        assert_eq!(
            recipe.requirements,
            [Requirement::File(at("all.txt")), Requirement::One("requests>=2".to_owned())]
        );
    }
}
