//! Errors and notices about a configuration, as a person reads them.
//!
//! Not an enum of failures, because every step of a load (reading, parsing, merging, checking) says the same kind
//! of thing: here, this key, wrong in this way, these are allowed. [`DiagnosticKind`] tells programs apart what
//! the text tells people. Display is a block with the source line and a caret; colours only on request.

use std::fmt;

use serde::ser::{Serialize, SerializeStruct, Serializer};

use super::secret;
use super::source::{SourceKind, Span};

/// What sort of thing a [`Diagnostic`] is about, for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DiagnosticKind {
    /// A file is missing or cannot be read.
    File,
    /// The bytes are no text.
    Encoding,
    /// The text is no YAML.
    Syntax,
    /// The template in the text fails.
    Template,
    /// A bound on size, depth or work was reached.
    Limit,
    /// A key stands twice in one map, or a name twice in one list.
    Duplicate,
    /// A `${...}` cannot be resolved.
    Unset,
    /// An include is wrong or goes round in a circle.
    Include,
    /// A key that nothing reads.
    UnknownKey,
    /// A key that must be there is not.
    MissingKey,
    /// A value of the wrong type.
    WrongType,
    /// A value of the right type that is not allowed.
    InvalidValue,
    /// A plugin that ran and would not run any more.
    NotStarted,
    /// Something accepted that deserves a word.
    Remark,
}

/// A second place that belongs to a [`Diagnostic`], such as the first of two duplicates.
#[derive(Debug, Clone)]
pub struct Related {
    /// The place.
    pub span: Span,
    /// What is there.
    pub message: String,
}

/// One error or notice: where, what field, what is wrong, what would be right.
#[derive(Debug, Clone)]
pub struct Diagnostic {
    /// What sort of thing it is.
    pub kind: DiagnosticKind,
    /// Where; none when it is about a file as a whole.
    pub span: Option<Span>,
    /// The dotted path of the field, empty when there is none.
    pub path: String,
    /// What is wrong, in lower case, without secrets.
    pub message: String,
    /// What is allowed or was probably meant.
    pub help: Option<Box<str>>,
    /// Other places that belong to it.
    pub related: Vec<Related>,
    hide_line: bool,
}

/// Something accepted that deserves a word: an unknown key of a foreign file, a setting without effect.
pub type Notice = Diagnostic;

impl Diagnostic {
    /// A diagnostic without place.
    #[must_use]
    pub fn new(kind: DiagnosticKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            span: None,
            path: String::new(),
            message: message.into(),
            help: None,
            related: Vec::new(),
            hide_line: false,
        }
    }

    /// The same at a place.
    #[must_use]
    pub fn at(mut self, span: Span) -> Self {
        self.span = Some(span);
        self
    }

    /// The same about a field.
    #[must_use]
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = path.into();
        self
    }

    /// The same with advice.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into().into_boxed_str());
        self
    }

    /// The same without the source line: what is there is secret although its key does not tell.
    #[must_use]
    pub fn hide_line(mut self) -> Self {
        self.hide_line = true;
        self
    }

    /// The same with a second place.
    #[must_use]
    pub fn related(mut self, span: Span, message: impl Into<String>) -> Self {
        self.related.push(Related { span, message: message.into() });
        self
    }

    /// The diagnostic as a block of text: `label` is `error` or `notice`; colours as ANSI escapes.
    #[must_use]
    pub fn render(&self, label: &str, colour: bool) -> String {
        let paint = Paint(colour);
        let tint = if label == "error" { "1;31" } else { "1;33" };
        let mut out = format!("{}: {}\n", paint.on(tint, label), paint.on("1", &self.message));
        if let Some(span) = &self.span {
            render_place(&mut out, span, &self.path, !self.hide_line, paint, tint);
        } else if !self.path.is_empty() {
            out.push_str(&format!("  {} `{}`\n", paint.on("1;34", "-->"), self.path));
        }
        for related in &self.related {
            out.push_str(&format!("  {} {}\n", paint.on("1;34", "note:"), related.message));
            render_place(&mut out, &related.span, "", !self.hide_line, paint, "1;34");
        }
        if let Some(help) = &self.help {
            out.push_str(&format!("  {} {help}\n", paint.on("1;36", "help:")));
        }
        out
    }

    fn sort_key(&self) -> (String, u32, u32) {
        let place = |f: fn(&Span) -> Option<u32>| self.span.as_ref().and_then(f).unwrap_or(0);
        let file = self.span.as_ref().map(|s| s.file().to_owned()).unwrap_or_default();
        (file, place(Span::line), place(Span::column))
    }
}

#[derive(Clone, Copy)]
struct Paint(bool);

impl Paint {
    fn on(self, code: &str, text: &str) -> String {
        if self.0 { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// The place line, and for files the source line with a caret under the culprit.
fn render_place(out: &mut String, span: &Span, path: &str, with_line: bool, paint: Paint, tint: &str) {
    let field = if path.is_empty() { String::new() } else { format!(" (`{path}`)") };
    out.push_str(&format!("  {} {span}{field}\n", paint.on("1;34", "-->")));
    if !with_line {
        return;
    }
    let (SourceKind::File, Some(line), Some(column)) = (span.source().kind(), span.line(), span.column())
    else {
        return;
    };
    let number = line.to_string();
    let (safe, column) = secret::safe_line(span.source(), line, column as usize);
    let (shown, column) = window(&safe, column);
    let room = shown.chars().count().saturating_sub(column - 1).max(1);
    let width = (span.width() as usize).clamp(1, room);
    let gap = " ".repeat(number.len());
    let bar = paint.on("1;34", "|");
    out.push_str(&format!("{gap} {bar}\n{} {bar} {shown}\n", paint.on("1;34", &number)));
    let caret = paint.on(tint, &"^".repeat(width));
    out.push_str(&format!("{gap} {bar} {}{caret}\n", " ".repeat(column - 1)));
}

/// A stretch of a long line around its column, and the column in it (from 1).
fn window(line: &str, column: usize) -> (String, usize) {
    const WIDE: usize = 140;
    let length = line.chars().count();
    let column = column.clamp(1, length + 1);
    if length <= WIDE {
        return (line.to_owned(), column);
    }
    let start = column.saturating_sub(WIDE / 2);
    let text: String = line.chars().skip(start).take(WIDE).collect();
    (text, column - start)
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(span) = &self.span {
            write!(f, "{span}: ")?;
        }
        if !self.path.is_empty() {
            write!(f, "`{}`: ", self.path)?;
        }
        f.write_str(&self.message)?;
        for related in &self.related {
            write!(f, "; {} at {}", related.message, related.span)?;
        }
        if let Some(help) = &self.help {
            write!(f, " ({help})")?;
        }
        Ok(())
    }
}

impl Serialize for Diagnostic {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let span = self.span.as_ref();
        let mut out = serializer.serialize_struct("Diagnostic", 7)?;
        out.serialize_field("kind", &self.kind)?;
        out.serialize_field("file", &span.map(Span::file))?;
        out.serialize_field("line", &span.and_then(Span::line))?;
        out.serialize_field("column", &span.and_then(Span::column))?;
        out.serialize_field("path", &self.path)?;
        out.serialize_field("message", &self.message)?;
        out.serialize_field("help", &self.help)?;
        out.end()
    }
}

/// In the order of the text, each once.
pub(super) fn sorted(mut list: Vec<Diagnostic>) -> Vec<Diagnostic> {
    list.sort_by_cached_key(Diagnostic::sort_key);
    list.dedup_by(|a, b| a.span == b.span && a.path == b.path && a.message == b.message);
    list
}

/// Everything that is wrong with a configuration, at least one thing, in the order of the text.
#[derive(Debug, Clone)]
pub struct Errors(Vec<Diagnostic>);

impl Errors {
    /// Sorts and de-duplicates; none when the list is empty.
    pub(super) fn gather(list: Vec<Diagnostic>) -> Option<Self> {
        let list = sorted(list);
        (!list.is_empty()).then_some(Self(list))
    }

    /// `Ok(value)` when there is nothing wrong.
    pub(super) fn unless_empty<T>(list: Vec<Diagnostic>, value: T) -> Result<T, Self> {
        Self::gather(list).map_or(Ok(value), Err)
    }

    /// The errors, in the order of the text.
    #[must_use]
    pub fn list(&self) -> &[Diagnostic] {
        &self.0
    }

    /// The errors, for adding to others.
    #[must_use]
    pub fn into_list(self) -> Vec<Diagnostic> {
        self.0
    }

    /// The errors of several loads together; none when there are none.
    #[must_use]
    pub fn from_list(list: Vec<Diagnostic>) -> Option<Self> {
        Self::gather(list)
    }

    /// All errors as blocks with source lines; colours as ANSI escapes.
    #[must_use]
    pub fn render(&self, colour: bool) -> String {
        let blocks: Vec<String> = self.0.iter().map(|e| e.render("error", colour)).collect();
        blocks.join("\n")
    }
}

impl From<Diagnostic> for Vec<Diagnostic> {
    fn from(one: Diagnostic) -> Self {
        vec![one]
    }
}

impl From<Diagnostic> for Errors {
    fn from(one: Diagnostic) -> Self {
        Self(vec![one])
    }
}

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.render(false).trim_end())
    }
}

impl std::error::Error for Errors {}

impl Serialize for Errors {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}
