//! The text of a configuration, and places in it.
//!
//! A [`Source`] keeps the text as it was written (for a template: before rendering), so that an error shows the
//! reader's own line. Reading is where size, encoding and control characters are refused, before anything else
//! looks at the bytes.

use std::fmt;
use std::io::Read;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use super::diagnostic::{Diagnostic, DiagnosticKind};
use super::looked_at;

/// Bounds on what a configuration may ask of its reader. The defaults hold a file with 100,000 apps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one file, before and after templating. Default 64 MiB.
    pub file_bytes: usize,
    /// Bytes of one scalar. Default 1 MiB.
    pub scalar_bytes: usize,
    /// Nested lists and maps. Default 64.
    pub depth: usize,
    /// Values in one file, aliases counted as often as they are used. Default 4,000,000.
    pub nodes: usize,
    /// Values that come from aliases in one file. Default 100,000.
    pub alias_nodes: usize,
    /// Files read by one load, includes counted. Default 256.
    pub files: usize,
    /// Steps of template evaluation in one file. Default 1,000,000.
    pub template_steps: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            file_bytes: 64 << 20,
            scalar_bytes: 1 << 20,
            depth: 64,
            nodes: 4_000_000,
            alias_nodes: 100_000,
            files: 256,
            template_steps: 1_000_000,
        }
    }
}

/// What a source is, which decides how it is named and whether its text may be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SourceKind {
    File,
    /// A variable or flag: named without a line, its text never shown.
    Value,
}

/// One text that values came from.
pub struct Source {
    name: String,
    text: String,
    line_starts: Vec<usize>,
    kind: SourceKind,
    secrets: OnceLock<Vec<String>>,
}

impl Source {
    /// A source from text already in memory, as if read from the file `name`.
    #[must_use]
    pub fn from_text(name: impl Into<String>, text: impl Into<String>) -> Arc<Self> {
        Self::new(name.into(), text.into(), SourceKind::File)
    }

    /// A source that is one value: an environment variable or a flag.
    pub(super) fn from_value(name: impl Into<String>, text: impl Into<String>) -> Arc<Self> {
        Self::new(name.into(), text.into(), SourceKind::Value)
    }

    fn new(name: String, mut text: String, kind: SourceKind) -> Arc<Self> {
        if text.starts_with('\u{feff}') {
            text.remove(0);
        }
        let line_starts = line_starts(&text);
        Arc::new(Self { name, text, line_starts, kind, secrets: OnceLock::new() })
    }

    /// Reads the file at `path`.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, is larger than `limits.file_bytes`, or is not UTF-8 text.
    pub(super) fn read(path: &Path, limits: &Limits) -> Result<Arc<Self>, Diagnostic> {
        let bytes = read_bounded(path, limits.file_bytes)?;
        Self::decode(path.display().to_string(), bytes, limits)
    }

    /// Turns bytes into a source, refusing what is no text.
    pub(super) fn decode(name: String, bytes: Vec<u8>, limits: &Limits) -> Result<Arc<Self>, Diagnostic> {
        if bytes.len() > limits.file_bytes {
            return Err(too_large(&name, limits.file_bytes));
        }
        let source = match String::from_utf8(bytes) {
            Ok(text) => Self::from_text(name, text),
            Err(error) => {
                let valid = error.utf8_error().valid_up_to();
                let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
                let source = Self::from_text(name, text);
                let span = source.span_at(valid.min(source.text.len()), 1);
                return Err(Diagnostic::new(DiagnosticKind::Encoding, "the file is not valid UTF-8 here")
                    .at(span)
                    .help("save the file as UTF-8"));
            }
        };
        source.refuse_control_characters()?;
        Ok(source)
    }

    fn refuse_control_characters(self: &Arc<Self>) -> Result<(), Diagnostic> {
        let is_bad = |b: u8| b < 0x20 && !matches!(b, b'\t' | b'\n' | b'\r') || b == 0x7f;
        match self.text.bytes().position(is_bad) {
            None => Ok(()),
            Some(at) => {
                let code = self.text.as_bytes().get(at).copied().unwrap_or_default();
                let message = format!("control character U+{code:04X} is not allowed here");
                Err(Diagnostic::new(DiagnosticKind::Encoding, message)
                    .at(self.span_at(at, 1))
                    .help("write it as an escape in a double-quoted text, for example \"\\x1b\""))
            }
        }
    }

    /// How errors name this source: a file's path, or `environment variable NAME`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The text as written.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn kind(&self) -> SourceKind {
        self.kind
    }

    /// Line `line` (from 1) without its line break; empty when there is none.
    pub(super) fn line(&self, line: u32) -> &str {
        let index = (line as usize).saturating_sub(1);
        let Some(&start) = self.line_starts.get(index) else { return "" };
        let end = self.line_starts.get(index + 1).copied().unwrap_or(self.text.len());
        self.text.get(start..end).unwrap_or_default().trim_end_matches(['\n', '\r'])
    }

    /// The place of its beginning, for what stands nowhere else.
    #[must_use]
    pub fn start(self: &Arc<Self>) -> Span {
        self.span_at(0, 1)
    }

    /// The place of a byte offset, `width` characters wide.
    pub(super) fn span_at(self: &Arc<Self>, offset: usize, width: usize) -> Span {
        let narrow = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Span {
            source: Arc::clone(self),
            offset: narrow(offset.min(self.text.len())),
            width: narrow(width.max(1)),
        }
    }

    /// Line and column of a byte offset, both from 1, the column in characters.
    fn place(&self, offset: u32) -> (u32, u32) {
        let offset = (offset as usize).min(self.text.len());
        let line = self.line_starts.partition_point(|&start| start <= offset).max(1);
        let start = self.line_starts.get(line - 1).copied().unwrap_or(0);
        let before = self.text.as_bytes().get(start..offset).unwrap_or_default();
        let column = before.iter().filter(|&&b| b & 0xc0 != 0x80).count() + 1;
        let narrow = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        (narrow(line), narrow(column))
    }

    /// Remembers literal secrets of this text, so that no shown line spells one out.
    pub(super) fn keep_secret(&self, secrets: Vec<String>) {
        // A source is parsed once; were it parsed twice, the secrets would be the same.
        let _already_known = self.secrets.set(secrets);
    }

    pub(super) fn known_secrets(&self) -> &[String] {
        self.secrets.get().map(Vec::as_slice).unwrap_or_default()
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A place in a [`Source`]: where a key or value was written.
///
/// Line and column are worked out when somebody asks: counting characters for each of the values in a file of one long
/// line would take time by the square of its length.
#[derive(Clone)]
pub struct Span {
    source: Arc<Source>,
    offset: u32,
    width: u32,
}

impl Span {
    /// The source this place is in.
    #[must_use]
    pub fn source(&self) -> &Arc<Source> {
        &self.source
    }

    /// The name of the file, or `environment variable NAME`.
    #[must_use]
    pub fn file(&self) -> &str {
        self.source.name()
    }

    /// The line, from 1; none where the source is a single value such as an environment variable.
    #[must_use]
    pub fn line(&self) -> Option<u32> {
        (self.source.kind == SourceKind::File).then(|| self.source.place(self.offset).0)
    }

    /// The column in characters, from 1; none as for [`Span::line`].
    #[must_use]
    pub fn column(&self) -> Option<u32> {
        (self.source.kind == SourceKind::File).then(|| self.source.place(self.offset).1)
    }

    pub(super) fn width(&self) -> u32 {
        self.width
    }
}

impl PartialEq for Span {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.source, &other.source) && self.offset == other.offset
    }
}

impl Eq for Span {}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.source.kind {
            SourceKind::File => {
                let (line, column) = self.source.place(self.offset);
                write!(f, "{}:{line}:{column}", self.source.name)
            }
            SourceKind::Value => f.write_str(&self.source.name),
        }
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Reads at most `limit` bytes of a file; more is an error, so a device or a huge file cannot fill the memory.
pub(super) fn read_bounded(path: &Path, limit: usize) -> Result<Vec<u8>, Diagnostic> {
    looked_at::note(path);
    let name = path.display().to_string();
    let fail = |error: std::io::Error| {
        let what = match error.kind() {
            std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
            _ => error.to_string(),
        };
        Diagnostic::new(DiagnosticKind::File, format!("cannot read {name}: {what}"))
    };
    let file = std::fs::File::open(path).map_err(fail)?;
    if file.metadata().map_err(fail)?.is_dir() {
        return Err(Diagnostic::new(DiagnosticKind::File, format!("cannot read {name}: it is a directory")));
    }
    let mut bytes = Vec::new();
    let bound = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    file.take(bound).read_to_end(&mut bytes).map_err(fail)?;
    if bytes.len() > limit { Err(too_large(&name, limit)) } else { Ok(bytes) }
}

fn too_large(name: &str, limit: usize) -> Diagnostic {
    Diagnostic::new(DiagnosticKind::Limit, format!("{name} is larger than the {limit} bytes that are read"))
}

/// Offsets at which lines start: after `\n`, `\r\n` and a lone `\r`, as YAML counts.
fn line_starts(text: &str) -> Vec<usize> {
    let bytes = text.as_bytes();
    let mut starts = vec![0];
    for (index, byte) in bytes.iter().enumerate() {
        let ends = *byte == b'\n' || (*byte == b'\r' && bytes.get(index + 1) != Some(&b'\n'));
        if ends {
            starts.push(index + 1);
        }
    }
    starts
}
