//! Makes JSON of what is nearly JSON.
//!
//! One pass rewrites the notation without knowing the structure, then a parser that builds nothing says whether JSON
//! has come of it. So nothing here recurses, however deep a text nests.

use serde::de::IgnoredAny;

/// The text as JSON; `None` where it is JSON already, or where no repair makes it an object or a list.
pub(super) fn repair(text: &str) -> Option<String> {
    let trimmed = text.trim();
    let bare = match trimmed.as_bytes().first()? {
        b'{' | b'[' => false,
        // Members without their braces. Only where the first name is in quotation marks: `Total: 5` is prose.
        b'"' | b'\'' => true,
        _ => return None,
    };
    if is_json(trimmed) {
        return None;
    }
    let mut rewriter = Rewriter { rest: trimmed, out: String::with_capacity(trimmed.len() + 2), comma: None };
    if bare {
        rewriter.out.push('{');
    }
    rewriter.run()?;
    if bare {
        rewriter.drop_comma();
        rewriter.out.push('}');
    }
    is_json(&rewriter.out).then_some(rewriter.out)
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

struct Rewriter<'a> {
    rest: &'a str,
    out: String,
    /// Where in `out` a comma stands that nothing but white space has followed yet.
    comma: Option<usize>,
}

impl Rewriter<'_> {
    /// `None` where the text cannot become JSON.
    fn run(&mut self) -> Option<()> {
        while let Some(first) = self.rest.chars().next() {
            match first {
                '"' | '\'' => self.string(first)?,
                ',' => {
                    self.comma = Some(self.out.len());
                    self.keep(1);
                    continue;
                }
                '}' | ']' => {
                    self.drop_comma();
                    self.keep(1);
                }
                c if c.is_ascii_whitespace() => {
                    self.keep(1);
                    continue;
                }
                '{' | '[' | ':' => self.keep(1),
                c if c.is_alphanumeric() || matches!(c, '_' | '$' | '-' | '+' | '.') => self.word(),
                _ => return None,
            }
            self.comma = None;
        }
        Some(())
    }

    fn keep(&mut self, bytes: usize) {
        let (kept, rest) = self.rest.split_at(bytes);
        self.out.push_str(kept);
        self.rest = rest;
    }

    /// Takes back a comma that nothing followed.
    fn drop_comma(&mut self) {
        if let Some(at) = self.comma.take() {
            self.out.remove(at);
        }
    }

    /// A string in either quotation marks, written in double ones.
    fn string(&mut self, quote: char) -> Option<()> {
        self.out.push('"');
        let mut chars = self.rest.char_indices().skip(1);
        while let Some((at, c)) = chars.next() {
            match c {
                c if c == quote => {
                    self.out.push('"');
                    self.rest = &self.rest[at + 1..];
                    return Some(());
                }
                '\\' => match chars.next()?.1 {
                    '\'' => self.out.push('\''),
                    escaped => {
                        self.out.push('\\');
                        self.out.push(escaped);
                    }
                },
                '"' => self.out.push_str("\\\""),
                '\n' => self.out.push_str("\\n"),
                '\r' => self.out.push_str("\\r"),
                '\t' => self.out.push_str("\\t"),
                c => self.out.push(c),
            }
        }
        None
    }

    /// A number, a constant, or a name without quotation marks.
    fn word(&mut self) {
        let part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$' | '-' | '+' | '.');
        let end = self.rest.find(|c| !part(c)).unwrap_or(self.rest.len());
        let (word, after) = self.rest.split_at(end);
        let named = after.trim_ascii_start().starts_with(':');
        match word {
            _ if named => {
                self.out.push('"');
                self.out.push_str(word);
                self.out.push('"');
            }
            "True" => self.out.push_str("true"),
            "False" => self.out.push_str("false"),
            "None" => self.out.push_str("null"),
            word => self.out.push_str(word),
        }
        self.rest = after;
    }
}
