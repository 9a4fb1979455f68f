//! `${NAME}`, `${NAME:-default}`, `${file:/path}` and `${vault:path#key}` inside values.
//!
//! Done on the tree and not on the text, so a value can never turn into structure. Only identifiers expand
//! (`${1}` and `${a b}` stay), `$${` is a literal `${`. What came from an expansion is marked and never shown.

use std::path::Path;

use super::diagnostic::{Diagnostic, DiagnosticKind};
use super::environment::Environment;
use super::node::{Flags, Node, Value};
use super::path;
use super::source::{Span, read_bounded};
use super::stores::NoSecret;

const MOST_FILE_BYTES: usize = 1 << 20;
const DEEPEST_DEFAULT: usize = 8;

/// Schemes of stores. One that this program has no store for is an error, and never a value as it is written.
const STORES: [&str; 1] = ["vault"];

/// The scheme of files.
const FILE: &str = "file";

/// A `${...}` that nothing resolves.
#[derive(Debug, Clone)]
pub struct Unset {
    /// What is missing: a variable's name, `file:/path`, or a reference to a store of secrets.
    pub name: String,
    /// Why, for example "is not set".
    pub reason: String,
    /// The dotted path of the value it stands in.
    pub path: String,
    /// Where that value was written.
    pub span: Span,
}

impl Unset {
    /// The same as an error.
    pub(super) fn to_error(&self) -> Diagnostic {
        let error = Diagnostic::new(DiagnosticKind::Unset, format!("`${{{}}}` {}", self.name, self.reason))
            .at(self.span.clone())
            .path(self.path.clone());
        match self.name.split_once(':') {
            // The reason says what to do about a store.
            Some((scheme, _)) if scheme != FILE => error,
            _ => error
                .help("set it, give a default with `${NAME:-default}`, or write `$${` for a literal `${`"),
        }
    }
}

/// Expands every value of a tree in place. A value with something unset stays as written, is marked so, and is
/// returned.
pub(super) fn expand(root: &mut Node, env: &Environment) -> Vec<Unset> {
    let mut unset = Vec::new();
    walk(root, &Trail::Root, env, &mut unset);
    unset
}

/// The way to a value, spelled out only for the few that need it.
enum Trail<'a> {
    Root,
    Key(&'a Trail<'a>, &'a str),
    Index(&'a Trail<'a>, usize),
}

impl Trail<'_> {
    fn dotted(&self) -> String {
        match self {
            Self::Root => String::new(),
            Self::Key(above, key) => path::with_key(&above.dotted(), key),
            Self::Index(above, index) => path::with_index(&above.dotted(), *index),
        }
    }
}

fn walk(node: &mut Node, at: &Trail<'_>, env: &Environment, unset: &mut Vec<Unset>) {
    match node.value_mut() {
        Value::List(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                walk(item, &Trail::Index(at, index), env, unset);
            }
        }
        Value::Map(map) => {
            for (key, entry) in map.iter_mut() {
                let step = entry.path_key(key);
                walk(&mut entry.node, &Trail::Key(at, step), env, unset);
            }
        }
        Value::String(text) if text.contains("${") => {
            let text = std::mem::take(text);
            scalar(node, text, at, env, unset);
        }
        _ => {}
    }
}

fn scalar(node: &mut Node, text: String, at: &Trail<'_>, env: &Environment, unset: &mut Vec<Unset>) {
    // A `${` that a template printed is a value, not a reference.
    let from_template = node.is_expanded() && !node.span().source().text().contains("${");
    if from_template {
        node.set(Value::String(text));
        return;
    }
    let base = Path::new(node.span().file()).parent().map(Path::to_path_buf).unwrap_or_default();
    let mut expansion = Expansion { env, base: &base, expanded: false, missing: Vec::new() };
    let result = expansion.text(&text, 0);
    if expansion.missing.is_empty() {
        if expansion.expanded {
            node.flag(Flags::EXPANDED);
        }
        node.set(Value::String(result));
        return;
    }
    node.flag(Flags::UNSET);
    node.set(Value::String(text));
    for (name, reason) in expansion.missing {
        unset.push(Unset { name, reason, path: at.dotted(), span: node.span().clone() });
    }
}

struct Expansion<'a> {
    env: &'a Environment,
    base: &'a Path,
    expanded: bool,
    missing: Vec<(String, String)>,
}

impl Expansion<'_> {
    fn text(&mut self, text: &str, depth: usize) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find("${") {
            let (before, tail) = rest.split_at(at);
            let body = tail.get(2..).unwrap_or_default();
            if let Some(escaped) = before.strip_suffix('$') {
                out.push_str(escaped);
                out.push_str("${");
                rest = body;
                continue;
            }
            out.push_str(before);
            match closing(body).and_then(|end| Some((self.reference(body.get(..end)?, depth)?, end))) {
                Some((value, end)) => {
                    out.push_str(&value);
                    rest = body.get(end + 1..).unwrap_or_default();
                }
                None => {
                    out.push_str("${");
                    rest = body;
                }
            }
        }
        out.push_str(rest);
        out
    }

    /// The value of what stands between the braces; none when that is no reference and stays as it is.
    fn reference(&mut self, inner: &str, depth: usize) -> Option<String> {
        match inner.split_once(':') {
            Some((FILE, file)) => return Some(self.file(file)),
            Some((scheme, rest)) if STORES.contains(&scheme) && !rest.starts_with('-') => {
                return Some(self.stored(scheme, rest, depth));
            }
            _ => {}
        }
        let (name, default) = match inner.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inner, None),
        };
        if !is_identifier(name) || depth > DEEPEST_DEFAULT {
            return None;
        }
        self.expanded = true;
        let value = match default {
            None => self.env.get(name),
            Some(_) => self.env.get(name).filter(|value| !value.is_empty()),
        };
        Some(match (value, default) {
            (Some(value), _) => value.to_owned(),
            (None, Some(default)) => self.text(default, depth + 1),
            (None, None) => {
                self.missing.push((name.to_owned(), "is not set".to_owned()));
                String::new()
            }
        })
    }

    /// What a store of secrets has.
    fn stored(&mut self, scheme: &str, rest: &str, depth: usize) -> String {
        self.expanded = true;
        let (reference, default) = match rest.split_once(":-") {
            Some((reference, default)) => (reference, Some(default)),
            None => (rest, None),
        };
        let found = match self.env.store(scheme) {
            Some(store) => store.look_up(reference),
            None => Err(NoSecret::Failed("has no value: this program asks no store of that kind".to_owned())),
        };
        match (found, default) {
            (Ok(value), _) => value,
            (Err(NoSecret::Absent(_)), Some(default)) if depth < DEEPEST_DEFAULT => {
                self.text(default, depth + 1)
            }
            (Err(why), _) => {
                self.missing.push((format!("{scheme}:{reference}"), why.reason().to_owned()));
                String::new()
            }
        }
    }

    fn file(&mut self, name: &str) -> String {
        self.expanded = true;
        let read = read_bounded(&self.base.join(name), MOST_FILE_BYTES).map_err(|error| error.message);
        let text = read.and_then(|bytes| String::from_utf8(bytes).map_err(|_| "is not UTF-8".to_owned()));
        match text {
            Ok(text) => {
                let text = text.strip_suffix('\n').unwrap_or(&text);
                text.strip_suffix('\r').unwrap_or(text).to_owned()
            }
            Err(reason) => {
                self.missing.push((format!("file:{name}"), format!("has no value: {reason}")));
                String::new()
            }
        }
    }
}

/// Offset of the brace that closes a reference, nested references in its default passed over.
fn closing(body: &str) -> Option<usize> {
    let (bytes, mut depth, mut at) = (body.as_bytes(), 0usize, 0);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'$' if bytes.get(at + 1) == Some(&b'{') => {
                depth += 1;
                at += 1;
            }
            b'}' if depth == 0 => return Some(at),
            b'}' => depth -= 1,
            b'\n' => return None,
            _ => {}
        }
        at += 1;
    }
    None
}

fn is_identifier(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
