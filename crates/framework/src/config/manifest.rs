//! `plugin-manifest.yaml`: from text to a [`Manifest`] that holds.
//!
//! Pure: no file is followed, no template runs, no variable is read, since a manifest comes from whoever wrote the
//! plugin. The shape is checked against the schema of the type; what no schema can say (hooks, versions, ranges,
//! dependencies, permissions) is checked value by value, so that all errors are told at once and at their place.
//! Other spellings that such files have (`hooks`, `default_configs`, hooks by their old words) are read as what they
//! mean. Keys that nothing reads are notices, as in other files that are not Mortise's own.

mod values;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

use mortise_plugin_api::HookTable;
use mortise_plugin_api::manifest::{MANIFEST_FILE, Manifest};

use super::Dialect;
use super::check::{check_compiled, join};
use super::diagnostic::{Diagnostic, DiagnosticKind, Errors, Notice, sorted};
use super::node::{Node, Value};
use super::schema::Compiled;
use super::source::{Limits, Source, Span, read_bounded};
use super::typed;
use super::yaml;

/// Largest manifest that is read, in bytes.
pub const MANIFEST_BYTES: usize = 256 << 10;

/// Keys by which a manifest is known whose file has another name.
const TELLING_KEYS: [&str; 7] = [
    "available_hooks",
    "default_config",
    "default_configs",
    "framework_compatibility",
    "performance_tier",
    "plugin_type",
    "signing",
];

/// A manifest that holds, with what was tolerated in it.
#[derive(Clone, Debug)]
pub struct ParsedManifest {
    /// The manifest; hooks by their names in the table.
    pub manifest: Manifest,
    /// Where it starts.
    pub span: Span,
    /// Where each of its dependencies was written, in their order.
    pub dependencies: Vec<Span>,
    /// What was tolerated.
    pub notices: Vec<Notice>,
}

/// How manifests are read. Made once for many: it holds the compiled schema.
#[derive(Debug)]
pub struct ManifestReader<'h> {
    hooks: &'h HookTable,
    schema: Compiled,
    dialect: Dialect,
}

impl<'h> ManifestReader<'h> {
    /// Reading with the hooks of a table. With `strict`, keys that nothing reads are errors.
    ///
    /// # Errors
    /// Never with a correct build: when the schema of manifests were not valid.
    pub fn new(hooks: &'h HookTable, strict: bool) -> Result<Self, Errors> {
        let schema = Compiled::new(&schemars::schema_for!(Manifest))?;
        Ok(Self { hooks, schema, dialect: Dialect::Foreign { strict } })
    }

    /// Reads a manifest's text; `name` is what errors call it.
    ///
    /// # Errors
    /// Everything that is wrong with it, in the order of the text.
    pub fn parse(&self, name: &str, text: &str) -> Result<ParsedManifest, Errors> {
        self.decode(name, text.as_bytes().to_vec())
    }

    /// Reads the manifest in a file.
    ///
    /// # Errors
    /// When it cannot be read or is larger than [`MANIFEST_BYTES`], and as for [`ManifestReader::parse`].
    pub fn read(&self, path: &Path) -> Result<ParsedManifest, Errors> {
        let bytes = read_bounded(path, MANIFEST_BYTES)?;
        self.decode(&path.display().to_string(), bytes)
    }

    fn decode(&self, name: &str, bytes: Vec<u8>) -> Result<ParsedManifest, Errors> {
        let node = tree(name, bytes, &limits(MANIFEST_BYTES), self.dialect)?;
        self.from_node(node, "")
    }

    /// Reads a manifest that stands in another file; `prefix` is its dotted path there.
    ///
    /// # Errors
    /// As for [`ManifestReader::parse`].
    pub fn from_node(&self, mut node: Node, prefix: &str) -> Result<ParsedManifest, Errors> {
        let span = node.span().clone();
        if node.as_map().is_none() {
            let message = format!("expected a map, found {}", node.shown(false));
            return Err(Diagnostic::new(DiagnosticKind::WrongType, message).at(span).path(prefix).into());
        }
        drop_nulls(&mut node, 0);
        let (mut errors, mut notices) = (Vec::new(), Vec::new());
        for (other, key) in [("hooks", "available_hooks"), ("default_configs", "default_config")] {
            errors.extend(rename(&mut node, other, key, prefix));
        }
        let (found, remarks) = check_compiled(&mut node, &self.schema, prefix, self.dialect);
        errors.extend(found);
        notices.extend(remarks);
        values::check(&mut node, prefix, self.hooks, &mut errors, &mut notices);
        if errors.is_empty() {
            match typed::deserialize::<Manifest>(&node, prefix) {
                Ok(manifest) => {
                    let dependencies = node.get("dependencies").and_then(Node::as_list).unwrap_or_default();
                    let dependencies = dependencies.iter().map(|item| item.span().clone()).collect();
                    return Ok(ParsedManifest { manifest, span, dependencies, notices: sorted(notices) });
                }
                Err(error) => errors.push(error),
            }
        }
        Err(Errors::from_list(errors).unwrap_or_else(|| {
            Diagnostic::new(DiagnosticKind::InvalidValue, "the manifest cannot be read").at(span).into()
        }))
    }
}

/// Reads a manifest's text with the standard hooks; `name` is what errors call it. Pure: the whole result follows from
/// the arguments.
///
/// # Errors
/// Everything that is wrong with it, in the order of the text.
///
/// ```
/// use mortise_framework::manifest;
///
/// let text = "description: Looks\nauthor: me\nversion: 1.0.0\navailable_hooks: [tool_pre_invok]\n";
/// let errors = manifest::parse("plugin-manifest.yaml", text).unwrap_err();
/// assert_eq!(errors.list()[0].span.as_ref().unwrap().to_string(), "plugin-manifest.yaml:4:19");
/// assert!(errors.to_string().contains("did you mean `tool_pre_invoke`"));
/// ```
pub fn parse(name: &str, text: &str) -> Result<ParsedManifest, Errors> {
    ManifestReader::new(&HookTable::standard(), false)?.parse(name, text)
}

/// Whether a file is a manifest: by its name, or else by its top-level keys.
#[must_use]
pub fn is_manifest(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let stem = MANIFEST_FILE.trim_end_matches(".yaml");
    if name.strip_prefix(stem).is_some_and(|rest| matches!(rest, ".yaml" | ".yml" | ".json")) {
        return true;
    }
    let Ok(source) = Source::read(path, &limits(MANIFEST_BYTES)) else { return false };
    let mut keys = super::recognise::top_level_keys(source.text());
    let has = |key: &str| TELLING_KEYS.contains(&key);
    let found = keys.any(has);
    found && !super::recognise::top_level_keys(source.text()).any(|key| key == "plugins")
}

/// The tree of a text that stands by itself: no template, no variables.
pub(crate) fn tree(name: &str, bytes: Vec<u8>, limits: &Limits, dialect: Dialect) -> Result<Node, Errors> {
    let source: Arc<Source> = Source::decode(name.to_owned(), bytes, limits)?;
    let parsed = yaml::parse(&source, None, dialect, limits);
    let gathered = parsed.map_err(|list| {
        let echo = || Diagnostic::new(DiagnosticKind::Syntax, format!("{name} cannot be read")).into();
        Errors::from_list(list).unwrap_or_else(echo)
    })?;
    gathered.ok_or_else(|| {
        Diagnostic::new(DiagnosticKind::Syntax, "the file is empty").at(source.span_at(0, 1)).into()
    })
}

/// Bounds for files of strangers.
pub(crate) fn limits(file_bytes: usize) -> Limits {
    Limits {
        file_bytes,
        scalar_bytes: 64 << 10,
        depth: 32,
        nodes: 400_000,
        alias_nodes: 5_000,
        ..Limits::default()
    }
}

/// The bytes of a file, at most `limit` of them.
pub(crate) fn bounded(path: &Path, limit: usize) -> Result<Vec<u8>, Errors> {
    Ok(read_bounded(path, limit)?)
}

/// A key without a value is as if it were not there. The default configuration keeps its own.
fn drop_nulls(node: &mut Node, depth: usize) {
    let Some(map) = node.as_map_mut() else { return };
    map.retain(|_, entry| !entry.node.is_null());
    if depth == 0 {
        for (_, entry) in map.iter_mut().filter(|(key, _)| !key.starts_with("default_config")) {
            drop_nulls(&mut entry.node, 1);
        }
    }
}

/// Reads `other` as `key`; both are one too many.
fn rename(node: &mut Node, other: &str, key: &str, prefix: &str) -> Option<Diagnostic> {
    let map = node.as_map_mut()?;
    let entry = map.shift_remove(other)?;
    if let Some(known) = map.get(key) {
        let message = format!("`{other}` and `{key}` are two words for the same key");
        let error = Diagnostic::new(DiagnosticKind::Duplicate, message).at(entry.key_span);
        return Some(error.path(join(prefix, other)).related(known.key_span.clone(), "the other is here"));
    }
    map.insert(key.to_owned(), entry);
    None
}

/// The items of a list, to be changed.
fn items_mut<'n>(node: &'n mut Node, key: &str) -> Option<&'n mut Vec<Node>> {
    match node.as_map_mut()?.get_mut(key)?.node.value_mut() {
        Value::List(items) => Some(items),
        _ => None,
    }
}
