//! The catalogue: plugins that are known, whether configured or not, by their manifests.
//!
//! Three sources: the native kinds of a program, folders with manifests in them, and index files that list some. What
//! is wrong with one entry costs that entry and is told in a notice; nothing that stands in a folder of plugins can
//! keep a gateway from starting. What a catalogue is used for: searching, and what a manifest means for the
//! configured plugins of its kind ([`Catalogue::attach`]): dependencies, ranges of versions, hooks.
//!
//! Nothing here loads code, and nothing a manifest says is believed further than that.

mod attach;
mod index;
mod native;
mod scan;
mod search;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mortise_plugin_api::manifest::{Manifest, slug};
use mortise_plugin_api::{HookTable, NativeKind, manifest::About};
use serde_json::{Value, json};

use crate::config::{
    Diagnostic, DiagnosticKind, Errors, Notice, PluginDir, Span,
    manifest::{ManifestReader, ParsedManifest},
};

pub use index::is_index;
pub use search::Query;

/// Plugins that one catalogue holds at most.
pub const MOST_ITEMS: usize = 20_000;

/// Notices that one catalogue keeps at most.
const MOST_NOTICES: usize = 200;

/// Where the knowledge of a plugin comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A native kind of this program.
    BuiltIn,
    /// The manifest in this folder.
    Folder(PathBuf),
    /// This index file.
    Index(PathBuf),
}

impl Origin {
    /// A stable word: `built-in`, `folder`, `index`.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::BuiltIn => "built-in",
            Self::Folder(_) => "folder",
            Self::Index(_) => "index",
        }
    }

    /// The folder or file; `None` for what is built in.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::BuiltIn => None,
            Self::Folder(path) | Self::Index(path) => Some(path),
        }
    }
}

/// One plugin of a catalogue.
#[derive(Clone, Debug)]
pub struct Item {
    /// Its name: the manifest's, or else that of the folder it stands in.
    pub name: String,
    /// What it says of itself.
    pub manifest: Arc<Manifest>,
    /// Where that is from.
    pub origin: Origin,
    /// Where its manifest starts; `None` for what is built in.
    pub span: Option<Span>,
    /// Where each of its dependencies was written.
    dependencies: Vec<Span>,
}

impl Item {
    fn new(name: String, read: ParsedManifest, origin: Origin) -> Self {
        let ParsedManifest { manifest, span, dependencies, .. } = read;
        Self { name, manifest: Arc::new(manifest), origin, span: Some(span), dependencies }
    }

    /// As JSON for programs: the manifest's fields, and `origin`, `path` and `problem` beside.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut json = json!(*self.manifest);
        json["name"] = self.name.clone().into();
        json["origin"] = self.origin.word().into();
        json["path"] = json!(self.origin.path());
        json["problem"] = json!(self.manifest.framework_problem());
        json
    }
}

/// The plugins that are known.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    items: Vec<Item>,
    /// What costs an entry.
    broken: Vec<Diagnostic>,
    /// That, and what was tolerated.
    notices: Vec<Notice>,
    files: Vec<PathBuf>,
    /// Positions of items by name, by kind, and, of those without a kind, by folder.
    by_name: HashMap<String, Vec<usize>>,
    by_kind: HashMap<String, Vec<usize>>,
    by_folder: HashMap<String, Vec<usize>>,
}

impl Catalogue {
    /// A catalogue without plugins.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds native kinds. Of two with one name the later one counts, as where they run.
    pub fn add_kinds(&mut self, kinds: &[NativeKind], hooks: &HookTable, about: impl Fn(&str) -> About) {
        for kind in kinds {
            let item = native::item(kind, hooks, &about(kind.name));
            let same = |known: &&mut Item| known.origin == Origin::BuiltIn && known.name == item.name;
            match self.items.iter_mut().find(same) {
                Some(known) => *known = item,
                None => self.push(item),
            }
        }
    }

    /// Adds what a folder or an index file holds. What cannot be read is told in [`Catalogue::notices`].
    pub fn add_path(&mut self, path: &Path, reader: &ManifestReader<'_>) {
        if let Err(errors) = self.try_add_path(path, reader) {
            self.lose(errors);
        }
    }

    /// The same, but a folder or index file that cannot be read as a whole is an error.
    ///
    /// # Errors
    /// When there is no such folder or file, or it is no index.
    pub fn try_add_path(&mut self, path: &Path, reader: &ManifestReader<'_>) -> Result<(), Errors> {
        match std::fs::metadata(path) {
            Ok(found) if found.is_dir() => scan::folder(self, path, reader),
            Ok(found) if found.is_file() => index::file(self, path, reader),
            Ok(_) => {
                let message = format!("{} is neither a folder nor a file", path.display());
                Err(Diagnostic::new(DiagnosticKind::File, message).into())
            }
            Err(error) => {
                let what = match error.kind() {
                    std::io::ErrorKind::NotFound => "there is no such folder or file".to_owned(),
                    _ => error.to_string(),
                };
                let message = format!("cannot look for plugins in {}: {what}", path.display());
                Err(Diagnostic::new(DiagnosticKind::File, message).into())
            }
        }
    }

    /// Adds the `plugin_dirs` of a configuration. A relative one is looked for in `directory`, and where it is not
    /// there, beside the file that names it.
    pub fn add_dirs(&mut self, dirs: &[PluginDir], directory: &Path, reader: &ManifestReader<'_>) {
        for dir in dirs {
            if let Err(errors) = self.try_add_path(&dir.resolved(directory), reader) {
                for error in errors.into_list() {
                    let here = error.span.is_none();
                    self.notices.push(if here {
                        error.at(dir.span.clone()).path("plugin_dirs")
                    } else {
                        error
                    });
                }
            }
        }
    }

    /// The plugins, in the order they were found.
    #[must_use]
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// What was wrong with entries that are missing here, and what was tolerated in others.
    #[must_use]
    pub fn notices(&self) -> &[Notice] {
        &self.notices
    }

    /// Of the notices those that cost an entry.
    #[must_use]
    pub fn broken(&self) -> &[Diagnostic] {
        &self.broken
    }

    /// Every manifest and index file that was read: what a reload has to watch.
    #[must_use]
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// The plugin that `kind:` means: the manifest that names this kind, or one without a kind in the folder that a
    /// class path names. Of several, the newest.
    #[must_use]
    pub fn of_kind(&self, kind: &str) -> Option<&Item> {
        let newest = |positions: &Vec<usize>| {
            let items = positions.iter().filter_map(|at| self.items.get(*at));
            // Of equals the first.
            items.reduce(|best, item| {
                let newer = item.manifest.version.cmp_precedence(&best.manifest.version).is_gt();
                if newer { item } else { best }
            })
        };
        // plugins.my_plugin.plugin.MyPlugin: class, module, folder.
        let in_folder = || self.by_folder.get(kind.rsplit('.').nth(2)?);
        self.by_kind.get(plain_kind(kind)).or_else(in_folder).and_then(newest)
    }

    /// The first plugin of a name, however its words are joined.
    #[must_use]
    pub fn of_name(&self, name: &str) -> Option<&Item> {
        self.named(name).next()
    }

    /// All plugins of a name.
    fn named<'c>(&'c self, name: &str) -> impl Iterator<Item = &'c Item> + use<'c> {
        let positions = self.by_name.get(&slug(name)).map(Vec::as_slice).unwrap_or_default();
        positions.iter().filter_map(|at| self.items.get(*at))
    }

    fn push(&mut self, item: Item) {
        let at = self.items.len();
        self.by_name.entry(slug(&item.name)).or_default().push(at);
        let folder = match &item.origin {
            Origin::Folder(folder) => folder.file_name().map(|name| name.to_string_lossy().into_owned()),
            _ => None,
        };
        match (&item.manifest.kind, folder) {
            (Some(kind), _) => self.by_kind.entry(plain_kind(kind).to_owned()).or_default().push(at),
            (None, Some(folder)) => self.by_folder.entry(folder).or_default().push(at),
            (None, None) => {}
        }
        self.items.push(item);
    }

    /// Takes an item up, unless one of its name and version is there.
    fn add(&mut self, item: Item) {
        let same = |known: &&Item| {
            known.origin != Origin::BuiltIn && known.manifest.version == item.manifest.version
        };
        let known = self.named(&item.name).find(same).map(|known| known.span.clone());
        if let Some(first) = known {
            let place = |span: &Option<Span>| span.as_ref().map(|span| (span.file().to_owned(), span.line()));
            if place(&first) != place(&item.span) {
                let message =
                    format!("`{}` {} is here twice; the first counts", item.name, item.manifest.version);
                let mut notice = Diagnostic::new(DiagnosticKind::Duplicate, message);
                if let (Some(here), Some(first)) = (item.span, first) {
                    notice = notice.at(here).related(first, "the first is here");
                }
                self.tell([notice]);
            }
            return;
        }
        if self.items.len() < MOST_ITEMS {
            self.push(item);
        } else if self.items.len() == MOST_ITEMS {
            let message = format!("more than {MOST_ITEMS} plugins; those after `{}` are left out", item.name);
            self.note(DiagnosticKind::Limit, message);
        }
    }

    /// An entry that is missing for these errors.
    fn lose(&mut self, errors: Errors) {
        let errors = errors.into_list();
        let room = MOST_NOTICES.saturating_sub(self.broken.len());
        self.broken.extend(errors.iter().take(room).cloned());
        self.tell(errors);
    }

    fn note(&mut self, kind: DiagnosticKind, message: String) {
        self.tell([Diagnostic::new(kind, message)]);
    }

    /// Keeps notices, each once and not more than a person would read.
    fn tell(&mut self, notices: impl IntoIterator<Item = Notice>) {
        for notice in notices {
            if self.notices.len() > MOST_NOTICES {
                return;
            }
            if self.notices.len() == MOST_NOTICES {
                let message = format!("more than {MOST_NOTICES} notices about plugins; the rest is left out");
                return self.notices.push(Diagnostic::new(DiagnosticKind::Limit, message));
            }
            let known = |known: &Notice| known.message == notice.message && known.span == notice.span;
            if !self.notices.iter().any(known) {
                self.notices.push(notice);
            }
        }
    }
}

/// `builtin.NAME` and `NAME` are one kind.
fn plain_kind(kind: &str) -> &str {
    kind.strip_prefix("builtin.").unwrap_or(kind)
}
