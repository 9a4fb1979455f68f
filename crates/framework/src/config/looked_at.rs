//! Which files a load looked at, found or not: what has to be watched so that the next load sees what changed.
//!
//! Kept per thread while [`during`] runs and nowhere else. Loading is one synchronous piece of work, files are opened
//! in many places of it, and what a failed load looked at matters most: the file with the error in it. Handing a list
//! down to each of these places, and out of every error, would put it into every signature here.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet, hash_map::DefaultHasher},
    ffi::{OsStr, OsString},
    hash::{Hash, Hasher},
    io::Read,
    path::{Component, Path, PathBuf},
};

/// Most bytes of a file that its fingerprint is made of.
const MOST_BYTES: u64 = 64 << 20;

thread_local! {
    static NOTED: RefCell<Option<LookedAt>> = const { RefCell::new(None) };
}

/// Files that a load looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LookedAt {
    /// The files, those that were missing too.
    pub files: BTreeSet<PathBuf>,
    /// Patterns of includes, with the folder they are relative to.
    pub patterns: BTreeSet<String>,
}

/// A number for what each file, or all that matches a pattern, held at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fingerprint(BTreeMap<PathBuf, u64>);

impl Fingerprint {
    /// The files and patterns of which it says something else than `before`.
    #[must_use]
    pub fn changed_since<'a>(&'a self, before: &'a Self) -> Vec<&'a Path> {
        let all: BTreeSet<&PathBuf> = self.0.keys().chain(before.0.keys()).collect();
        all.into_iter().filter(|at| self.0.get(*at) != before.0.get(*at)).map(PathBuf::as_path).collect()
    }
}

impl LookedAt {
    /// What all of them hold now: something else when a file changes, comes or goes. Reads them all.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.digests(|file| {
            let mut bytes = Vec::new();
            let read =
                std::fs::File::open(file).and_then(|file| file.take(MOST_BYTES).read_to_end(&mut bytes));
            holding(read.is_ok(), &bytes)
        })
    }

    /// Files that held something `before` and hold nothing `now`: they are empty or gone. One that a pattern of an
    /// include finds may go, as others come.
    #[must_use]
    pub fn emptied(&self, before: &Fingerprint, now: &Fingerprint) -> Vec<String> {
        let (gone, empty) = (holding(false, &[]), holding(true, &[]));
        let included = |file: &Path| {
            let matches = |pattern: &String| glob::Pattern::new(pattern).is_ok_and(|p| p.matches_path(file));
            self.patterns.iter().any(matches)
        };
        let emptied = self.files.iter().filter(|file| {
            let held = before.0.get(*file).is_some_and(|held| ![gone, empty].contains(held));
            match now.0.get(*file) {
                Some(now) => held && (*now == empty || *now == gone && !included(file)),
                None => false,
            }
        });
        emptied.map(|file| file.display().to_string()).collect()
    }

    /// The same by size and time of change, without reading them: for looking often.
    #[must_use]
    pub fn stamp(&self) -> Fingerprint {
        self.digests(|file| {
            let about = std::fs::metadata(file).ok();
            digest(&about.map(|about| (about.len(), about.modified().ok())))
        })
    }

    fn digests(&self, of: impl Fn(&Path) -> u64) -> Fingerprint {
        let files = self.files.iter().map(|file| (file.clone(), of(file)));
        let patterns = self.patterns.iter().map(|pattern| {
            let found = glob::glob(pattern).into_iter().flatten().flatten();
            (PathBuf::from(pattern), digest(&found.collect::<BTreeSet<_>>()))
        });
        Fingerprint(files.chain(patterns).collect())
    }

    /// The folders in which something happens when one of them changes: where each name stands, and where each
    /// symbolic link on the way to it leads. A file is replaced by renaming another one to its name, or (mounted
    /// configuration maps) by renaming a link above it, and a watch on the file alone sees neither.
    #[must_use]
    pub fn folders(&self) -> BTreeSet<PathBuf> {
        let folders = self.places().into_keys();
        folders.map(|folder| if folder.as_os_str().is_empty() { ".".into() } else { folder }).collect()
    }

    /// Tells what happens to these files from what happens beside them.
    #[must_use]
    pub fn names(&self) -> Names {
        let mut names = Names { exact: BTreeSet::new(), patterns: Vec::new(), any: false };
        for (folder, within) in self.places() {
            // A folder may not be there yet, or be replaced with all that is in it.
            names.exact.extend(folder.iter().map(OsString::from));
            names.exact.extend(within);
        }
        for part in self.patterns.iter().flat_map(|pattern| pattern.split('/')) {
            match glob::Pattern::new(part) {
                Ok(_) if part.contains("**") => names.any = true,
                Ok(pattern) => names.patterns.push(pattern),
                // What cannot be told apart counts.
                Err(_) => names.any = true,
            }
        }
        names
    }

    /// The folders, with the names in each that something leads through.
    fn places(&self) -> BTreeMap<PathBuf, BTreeSet<OsString>> {
        let mut places = BTreeMap::new();
        for file in &self.files {
            add_places(file, &mut places, 0);
        }
        for pattern in &self.patterns {
            let fixed = pattern.split(['*', '?', '[']).next().unwrap_or_default();
            add_places(Path::new(&format!("{fixed}any")), &mut places, 0);
        }
        places
    }
}

/// The names of files that were looked at, of links and folders on the way to them, and of what an include can find.
///
/// A folder that is watched holds other files too, and some are written all the time: a log, a database. Telling them
/// apart by name alone is enough, as one look too many costs little.
#[derive(Clone, Debug, Default)]
pub struct Names {
    exact: BTreeSet<OsString>,
    patterns: Vec<glob::Pattern>,
    any: bool,
}

impl Names {
    /// Whether something of this name can be, or lead to, a file that is looked at.
    #[must_use]
    pub fn may_be(&self, name: &OsStr) -> bool {
        self.any
            || self.exact.contains(name)
            || name.to_str().is_none_or(|name| self.patterns.iter().any(|pattern| pattern.matches(name)))
    }
}

/// The number for a file that could be read or not, and held this.
fn holding(read: bool, bytes: &[u8]) -> u64 {
    digest(&(read, bytes))
}

fn digest(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// Adds the folder and the name of every link on the way to `path`, and of the last name of all.
fn add_places(path: &Path, places: &mut BTreeMap<PathBuf, BTreeSet<OsString>>, depth: usize) {
    const DEEPEST_LINK: usize = 16;
    let mut so_far = PathBuf::new();
    let last = path.components().count();
    for (at, component) in path.components().enumerate() {
        let above = so_far.clone();
        so_far.push(component);
        if !matches!(component, Component::Normal(_)) {
            continue;
        }
        let name = component.as_os_str().to_owned();
        if let (Ok(target), true) = (std::fs::read_link(&so_far), depth < DEEPEST_LINK) {
            places.entry(above.clone()).or_default().insert(name.clone());
            let rest: PathBuf = path.components().skip(at + 1).collect();
            let target = above.join(target);
            let target = if rest.as_os_str().is_empty() { target } else { target.join(rest) };
            add_places(&target, places, depth + 1);
        }
        if at + 1 == last {
            places.entry(above).or_default().insert(name);
        }
    }
}

/// Runs `load` and tells which files it looked at; within another such call, that one is told too.
pub fn during<T>(load: impl FnOnce() -> T) -> (T, LookedAt) {
    /// Goes back to the outer notes, also where `load` panics.
    struct End(Option<LookedAt>);
    impl Drop for End {
        fn drop(&mut self) {
            NOTED.set(self.0.take());
        }
    }
    let mut end = End(NOTED.replace(Some(LookedAt::default())));
    let value = load();
    let noted = NOTED.take().unwrap_or_default();
    if let Some(outer) = &mut end.0 {
        outer.files.extend(noted.files.iter().cloned());
        outer.patterns.extend(noted.patterns.iter().cloned());
    }
    (value, noted)
}

/// Notes a file that is looked at, where somebody asks for that.
pub fn note(path: &Path) {
    NOTED.with_borrow_mut(|noted| {
        if let Some(noted) = noted {
            noted.files.insert(path.to_path_buf());
        }
    });
}

/// Notes a pattern: a file that comes to match it is one more reason to load anew.
pub(super) fn note_pattern(pattern: &str) {
    NOTED.with_borrow_mut(|noted| {
        if let Some(noted) = noted {
            noted.patterns.insert(pattern.to_owned());
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Environment, PluginsFile, PluginsFileOptions};

    fn load(path: &Path) -> (bool, LookedAt) {
        let env = Environment::default();
        during(|| PluginsFile::load(&[path.to_path_buf()], &PluginsFileOptions::new(&env)).is_ok())
    }

    #[test]
    fn files_that_are_missing_or_wrong_are_noted_too() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.yaml");
        std::fs::write(&path, "plugins: [").unwrap();
        let (loaded, noted) = load(&path);
        assert!(!loaded && noted.files.iter().eq([&path]));
        std::fs::write(&path, "include: [b.yaml, 'more/*.yaml']").unwrap();
        let (loaded, noted) = load(&path);
        assert!(!loaded);
        assert!(noted.files.iter().eq([&path, &dir.path().join("b.yaml")]));
        assert!(noted.folders().contains(&dir.path().join("more")), "{:?}", noted.folders());
        note(&path);
        assert_eq!(during(|| ()).1, LookedAt::default());
    }

    #[test]
    fn fingerprint_follows_contents_and_not_times() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.yaml");
        std::fs::write(&path, "include: ['*.part']").unwrap();
        let (_, noted) = load(&path);
        let before = noted.fingerprint();
        std::fs::write(&path, "include: ['*.part']").unwrap();
        assert_eq!(noted.fingerprint(), before);
        std::fs::write(dir.path().join("b.part"), "{}").unwrap();
        let with_part = noted.fingerprint();
        assert_ne!(with_part, before);
        std::fs::remove_file(&path).unwrap();
        assert_ne!(noted.fingerprint(), with_part);
    }

    #[test]
    fn files_that_came_to_hold_nothing_are_told_from_those_that_never_did() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::write(at("a.yaml"), "include: ['*.part']").unwrap();
        std::fs::write(at("b.part"), "{}").unwrap();
        let noted = LookedAt {
            files: [at("a.yaml"), at("b.part"), at("missing.yaml")].into(),
            patterns: [at("*.part").display().to_string()].into(),
        };
        let before = noted.fingerprint();
        let emptied = || noted.emptied(&before, &noted.fingerprint());
        std::fs::write(at("missing.yaml"), "").unwrap();
        std::fs::remove_file(at("b.part")).unwrap();
        assert_eq!(emptied(), Vec::<String>::new(), "what was included may go");
        std::fs::write(at("b.part"), "").unwrap();
        assert_eq!(emptied(), [at("b.part").display().to_string()]);
        std::fs::write(at("a.yaml"), "").unwrap();
        assert_eq!(emptied().len(), 2);
        std::fs::remove_file(at("a.yaml")).unwrap();
        assert_eq!(emptied().len(), 2);
        assert_eq!(noted.emptied(&noted.fingerprint(), &noted.fingerprint()), Vec::<String>::new());
    }

    #[test]
    fn folders_of_links_and_of_their_targets_are_watched() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::create_dir_all(at("mount/..2026")).unwrap();
        std::fs::write(at("mount/..2026/a.yaml"), "{}").unwrap();
        std::os::unix::fs::symlink("..2026", at("mount/..data")).unwrap();
        std::os::unix::fs::symlink("..data/a.yaml", at("mount/a.yaml")).unwrap();
        let noted = LookedAt { files: [at("mount/a.yaml")].into(), ..LookedAt::default() };
        let folders = noted.folders();
        assert!(folders.contains(&at("mount")) && folders.contains(&at("mount/..2026")), "{folders:?}");
        assert!(!folders.contains(&at("")), "{folders:?}");
        let names = noted.names();
        for name in ["a.yaml", "..data", "..2026", "mount"] {
            assert!(names.may_be(name.as_ref()), "{name}");
        }
        assert!(!names.may_be("mortise.log".as_ref()) && !names.may_be("..2027".as_ref()));
    }

    #[test]
    fn names_that_an_include_can_find_are_told_from_others() {
        let with =
            |pattern: &str| LookedAt { patterns: [pattern.to_owned()].into(), ..LookedAt::default() }.names();
        let flat = with("/etc/mortise/conf.d/*.yaml");
        assert!(flat.may_be("b.yaml".as_ref()) && flat.may_be("conf.d".as_ref()));
        assert!(!flat.may_be("mortise.log".as_ref()) && !flat.may_be("b.yaml.swp".as_ref()));
        let teams = with("/etc/team-?/plugins.yaml");
        assert!(teams.may_be("team-a".as_ref()) && teams.may_be("plugins.yaml".as_ref()));
        assert!(with("/etc/**/a.yaml").may_be("whatever".as_ref()));
        assert!(!LookedAt::default().names().may_be("a".as_ref()));
    }
}
