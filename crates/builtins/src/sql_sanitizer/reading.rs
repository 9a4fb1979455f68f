//! Reads a text as SQL: what is code, what is literal, name or comment.
//!
//! The outcome of a reading is the code alone: literals become `''`, quoted names `""`, comments a space. What is
//! opened and never closed hides nothing: it is read as code. Each kind of quotation mark is searched for its end at
//! most once in vain, so the time is linear.

use std::ops::Range;

use memchr::memmem;

/// How a family of databases reads SQL, where they differ.
#[derive(Debug, Clone, Copy)]
struct Dialect {
    /// A backslash escapes in string literals.
    backslash: bool,
    /// Block comments nest.
    nested: bool,
    /// `#` begins a comment.
    hash: bool,
    /// `--` begins a comment only before white space.
    dash_space: bool,
    /// `/*! ... */` is code.
    executable: bool,
}

/// PostgreSQL, SQL Server, DB2.
const NESTING: Dialect =
    Dialect { backslash: false, nested: true, hash: false, dash_space: false, executable: false };
/// SQLite, Oracle.
const FLAT: Dialect = Dialect { nested: false, ..NESTING };
/// MySQL, MariaDB.
const MYSQL: Dialect =
    Dialect { backslash: true, nested: false, hash: true, dash_space: true, executable: true };

/// One reading of a text.
#[derive(Debug)]
pub(super) struct Reading {
    /// The code.
    pub(super) code: String,
    /// How many string literals there were.
    pub(super) literals: usize,
    comments: Vec<Range<usize>>,
}

/// Every reading of `text` that a database could take, given to `look` until it says to stop.
pub(super) fn readings(text: &str, mut look: impl FnMut(&Reading)) {
    let has = |needle: &str| memmem::find(text.as_bytes(), needle.as_bytes()).is_some();
    let block = has("/*");
    let mysql = block || has("\\") || has("#") || has("--");
    let dialects = [(NESTING, true), (FLAT, block), (MYSQL, mysql)];
    let fragment = !is_statement(text);
    for (dialect, _) in dialects.iter().filter(|(_, differs)| *differs) {
        look(&Reader::new(text, *dialect).read(None));
        for quote in [b'\'', b'"'] {
            if fragment && has(if quote == b'"' { "\"" } else { "'" }) {
                look(&Reader::new(text, *dialect).read(Some(quote)));
            }
        }
    }
}

/// Whether `text` is all code in every reading: it has no literals, quoted names, comments or escapes.
pub(super) fn is_plain(text: &str) -> bool {
    let bytes = text.as_bytes();
    memchr::memchr3(b'\'', b'"', b'`', bytes).is_none()
        && memchr::memchr3(b'#', b'[', b'\\', bytes).is_none()
        && !has_comment(bytes)
}

/// Whether there is what comments begin with.
fn has_comment(bytes: &[u8]) -> bool {
    // Without branches, so that the compiler makes vector instructions of it.
    let pairs = bytes.iter().zip(bytes.get(1..).unwrap_or_default());
    pairs.fold(false, |found, (a, b)| found | ((*a == b'-') & (*b == b'-')) | ((*a == b'/') & (*b == b'*')))
}

/// The text without its comments; `None` where it has none, or is no SQL.
///
/// A statement begins with a word of SQL. In anything else, `--` and `/*` are comments only behind a quotation mark or
/// a semicolon, where injected SQL has them: command lines and paths keep theirs.
pub(super) fn without_comments(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    if !has_comment(bytes) {
        return None;
    }
    let from =
        if is_statement(text) { 0 } else { bytes.iter().position(|b| matches!(b, b'\'' | b'"' | b';'))? };
    let reading = Reader::new(text, NESTING).read(None);
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    for comment in reading.comments.iter().filter(|c| c.start >= from) {
        out.push_str(&text[done..comment.start]);
        // Words on both sides of a block comment are two words.
        if text[comment.clone()].starts_with("/*") {
            out.push(' ');
        }
        done = comment.end;
    }
    (done > 0).then(|| {
        out.push_str(&text[done..]);
        out
    })
}

/// Whether a text begins as a statement does.
pub(super) fn is_statement(text: &str) -> bool {
    const VERBS: &[&str] = &[
        "alter", "analyze", "begin", "call", "comment", "commit", "copy", "create", "declare", "delete",
        "do", "drop", "exec", "execute", "explain", "grant", "insert", "lock", "merge", "pragma", "replace",
        "revoke", "rollback", "select", "set", "show", "start", "truncate", "update", "use", "vacuum",
        "values", "with",
    ];
    let mut rest = text.trim_start_matches(|c: char| c.is_whitespace() || matches!(c, '(' | ';'));
    // A comment in front does not make it anything else; a few are looked behind.
    for _ in 0..4 {
        rest = if let Some(comment) = rest.strip_prefix("/*") {
            comment.split_once("*/").map_or("", |(_, rest)| rest)
        } else if rest.starts_with("--") || rest.starts_with('#') {
            rest.split_once('\n').map_or("", |(_, rest)| rest)
        } else {
            break;
        }
        .trim_start_matches(|c: char| c.is_whitespace() || matches!(c, '(' | ';'));
    }
    let end = rest.bytes().take(10).position(|b| !b.is_ascii_alphabetic()).unwrap_or(rest.len().min(10));
    VERBS.iter().any(|verb| rest.as_bytes()[..end].eq_ignore_ascii_case(verb.as_bytes()))
}

struct Reader<'a> {
    text: &'a str,
    bytes: &'a [u8],
    dialect: Dialect,
    at: usize,
    /// What was opened and never closed: looked for once.
    open: [bool; 4],
    reading: Reading,
}

/// Places in [`Reader::open`].
const SINGLE: usize = 0;
const DOUBLE: usize = 1;
const BACKTICK: usize = 2;
const COMMENT: usize = 3;

impl<'a> Reader<'a> {
    fn new(text: &'a str, dialect: Dialect) -> Self {
        let reading = Reading { code: String::with_capacity(text.len()), literals: 0, comments: Vec::new() };
        Self { text, bytes: text.as_bytes(), dialect, at: 0, open: [false; 4], reading }
    }

    /// Reads the text, from inside a literal with the mark `inside` where given.
    fn read(mut self, inside: Option<u8>) -> Reading {
        if let Some(quote) = inside
            && let Some(end) = self.quote_end(quote, 0, false)
        {
            self.reading.code.push_str("''");
            self.at = end;
        }
        let mut code = self.at;
        while self.at < self.bytes.len() {
            let start = self.at;
            let Some((end, instead)) = self.special() else {
                self.at += 1;
                continue;
            };
            self.reading.code.push_str(&self.text[code..start]);
            self.reading.code.push_str(instead);
            self.at = end;
            code = end;
        }
        self.reading.code.push_str(&self.text[code..]);
        self.reading
    }

    /// What begins here that is no code: its end, and what stands for it.
    fn special(&mut self) -> Option<(usize, &'static str)> {
        let at = self.at;
        let next = self.bytes.get(at + 1).copied().unwrap_or(0);
        match self.bytes[at] {
            b'\'' => {
                let end = self.closed(SINGLE, b'\'')?;
                self.reading.literals += 1;
                Some((end, "''"))
            }
            b'"' => Some((self.closed(DOUBLE, b'"')?, "\"\"")),
            b'`' => Some((self.closed(BACKTICK, b'`')?, "\"\"")),
            b'[' => Some((self.bracket_end(at)?, "\"\"")),
            b'-' if next == b'-' && self.dash_comment(at) => Some((self.line(at), " ")),
            b'#' if self.dialect.hash => Some((self.line(at), " ")),
            b'/' if next == b'*' => self.block(at),
            _ => None,
        }
    }

    fn closed(&mut self, place: usize, quote: u8) -> Option<usize> {
        if self.open[place] {
            return None;
        }
        let before = self.at.checked_sub(1).map_or(0, |i| self.bytes[i]);
        let escapes =
            self.dialect.backslash && quote != b'`' || quote == b'\'' && matches!(before, b'e' | b'E');
        let end = self.quote_end(quote, self.at + 1, escapes);
        self.open[place] = end.is_none();
        end
    }

    /// The byte after the mark that ends a literal whose inside begins at `from`.
    fn quote_end(&self, quote: u8, from: usize, escapes: bool) -> Option<usize> {
        let escapes = escapes || (self.dialect.backslash && quote != b'`');
        let mut at = from;
        while let Some(b) = self.bytes.get(at) {
            at += 1;
            if *b == b'\\' && escapes {
                at += 1;
            } else if *b == quote {
                if self.bytes.get(at) != Some(&quote) {
                    return Some(at);
                }
                at += 1;
            }
        }
        None
    }

    /// `[name]` as SQL Server quotes it; only letters, digits and spaces, so that nothing hides in it.
    fn bracket_end(&self, at: usize) -> Option<usize> {
        let inside = |b: &&u8| b.is_ascii_alphanumeric() || matches!(**b, b'_' | b' ');
        let length = self.bytes[at + 1..].iter().take(128).take_while(inside).count();
        (length > 0 && self.bytes.get(at + 1 + length) == Some(&b']')).then_some(at + length + 2)
    }

    fn dash_comment(&self, at: usize) -> bool {
        !self.dialect.dash_space
            || self.bytes.get(at + 2).is_none_or(|b| b.is_ascii_whitespace() || b.is_ascii_control())
    }

    /// The end of the line; notes the comment.
    fn line(&mut self, at: usize) -> usize {
        let end = memchr::memchr2(b'\n', b'\r', &self.bytes[at..]).map_or(self.bytes.len(), |n| at + n);
        self.reading.comments.push(at..end);
        end
    }

    fn block(&mut self, at: usize) -> Option<(usize, &'static str)> {
        if self.dialect.executable && matches!(self.bytes.get(at + 2), Some(b'!')) {
            // Its marks and version number go, what is between them is code.
            let digits = self.bytes[at + 3..].iter().take(6).take_while(|b| b.is_ascii_digit()).count();
            return Some((at + 3 + digits, " "));
        }
        if self.open[COMMENT] {
            return None;
        }
        let end = self.block_end(at + 2);
        self.open[COMMENT] = end.is_none();
        let end = end?;
        self.reading.comments.push(at..end);
        Some((end, " "))
    }

    fn block_end(&self, from: usize) -> Option<usize> {
        let mut depth = 1;
        let mut at = from;
        while let Some(n) = memchr::memchr2(b'*', b'/', &self.bytes[at..]) {
            at += n;
            match (self.bytes[at], self.bytes.get(at + 1)) {
                (b'*', Some(b'/')) => {
                    depth -= 1;
                    at += 2;
                    if depth == 0 {
                        return Some(at);
                    }
                }
                (b'/', Some(b'*')) if self.dialect.nested => {
                    depth += 1;
                    at += 2;
                }
                _ => at += 1,
            }
        }
        None
    }
}
