//! Cutting a template into literal stretches, expressions and statements.
//!
//! Own code instead of the engine's lexer because of the two rules the engine does not have: foreign expressions
//! stay literal, and every piece must know where it was written. Whitespace control (`{{-`, `-%}`) is applied here,
//! since the engine sees markers where the whitespace was.

/// A template in pieces.
pub(super) struct Cut {
    pub(super) pieces: Vec<Piece>,
}

/// One piece: the range of its text, for tags without delimiters and dashes.
pub(super) struct Piece {
    pub(super) kind: PieceKind,
    pub(super) start: usize,
    pub(super) end: usize,
    /// Where the tag starts, delimiter included.
    pub(super) tag_start: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PieceKind {
    Literal,
    Expression,
    Statement,
}

/// Why a template cannot be cut, and where.
pub(super) struct CutError {
    pub(super) offset: usize,
    pub(super) message: String,
}

impl Cut {
    /// Whether the whole text is one literal stretch.
    pub(super) fn is_literal(&self, text: &str) -> bool {
        match self.pieces.as_slice() {
            [] => text.is_empty(),
            [only] => only.kind == PieceKind::Literal && only.start == 0 && only.end == text.len(),
            _ => false,
        }
    }
}

const STATEMENTS: [&str; 10] =
    ["if", "elif", "else", "endif", "for", "endfor", "set", "with", "endwith", "raw"];
const REFUSED: [&str; 18] = [
    "include",
    "import",
    "from",
    "extends",
    "block",
    "endblock",
    "macro",
    "endmacro",
    "call",
    "endcall",
    "filter",
    "endfilter",
    "autoescape",
    "endautoescape",
    "do",
    "endset",
    "break",
    "continue",
];

/// Cuts a template.
pub(super) fn cut(text: &str) -> Result<Cut, CutError> {
    let mut cutter = Cutter { text, pieces: Vec::new(), literal_from: 0, bound: Vec::new() };
    cutter.run()?;
    Ok(Cut { pieces: cutter.pieces })
}

struct Cutter<'t> {
    text: &'t str,
    pieces: Vec<Piece>,
    literal_from: usize,
    bound: Vec<&'t str>,
}

impl<'t> Cutter<'t> {
    fn run(&mut self) -> Result<(), CutError> {
        let mut at = 0;
        while let Some(found) = self.text.get(at..).and_then(|rest| rest.find('{')) {
            let start = at + found;
            let tag = self.text.as_bytes().get(start + 1).copied();
            at = match tag {
                Some(b'{') => self.expression(start),
                Some(b'%') => self.statement(start)?,
                Some(b'#') => self.comment(start),
                _ => start + 1,
            };
        }
        self.literal_until(self.text.len());
        Ok(())
    }

    fn literal_until(&mut self, end: usize) {
        if end > self.literal_from {
            let (start, kind) = (self.literal_from, PieceKind::Literal);
            self.pieces.push(Piece { kind, start, end, tag_start: start });
        }
        self.literal_from = end;
    }

    /// Ends the literal stretch before a tag and starts the next after it, as the tag's dashes ask.
    fn around(&mut self, tag_start: usize, tag_end: usize) {
        self.literal_until(tag_start);
        let text = self.text;
        if text.as_bytes().get(tag_start + 2) == Some(&b'-') {
            self.trim_last_literal();
        }
        self.literal_from = tag_end;
        if text.as_bytes().get(tag_end.saturating_sub(3)) == Some(&b'-') {
            let rest = text.get(tag_end..).unwrap_or_default();
            self.literal_from += rest.len() - rest.trim_start().len();
        }
    }

    fn trim_last_literal(&mut self) {
        if let Some(last) = self.pieces.last_mut()
            && last.kind == PieceKind::Literal
        {
            let kept = self.text.get(last.start..last.end).unwrap_or_default().trim_end();
            last.end = last.start + kept.len();
        }
    }

    fn push_tag(&mut self, kind: PieceKind, tag_start: usize, tag_end: usize) {
        self.around(tag_start, tag_end);
        let (start, end) = inner(self.text, tag_start, tag_end);
        self.pieces.push(Piece { kind, start, end, tag_start });
    }

    fn expression(&mut self, start: usize) -> usize {
        let Some(end) = tag_end(self.text, start, "}}") else { return start + 2 };
        let (from, to) = inner(self.text, start, end);
        let body = self.text.get(from..to).unwrap_or_default();
        if self.starts_at_known_name(body) || is_escaped_delimiter(body) {
            self.push_tag(PieceKind::Expression, start, end);
            return self.literal_from;
        }
        // A foreign expression on one line is skipped whole; one that "ends" lines below is no expression.
        if body.contains('\n') { start + 2 } else { end }
    }

    fn starts_at_known_name(&self, body: &str) -> bool {
        let body = body.trim_start_matches(|c: char| c.is_whitespace() || c == '(');
        let end = body.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(body.len());
        let name = body.get(..end).unwrap_or_default();
        name == "env" || self.bound.contains(&name)
    }

    fn statement(&mut self, start: usize) -> Result<usize, CutError> {
        let body = self.text.get(start + 2..).unwrap_or_default();
        let body = body.trim_start_matches(['-', '+']).trim_start();
        let word_end = body.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(body.len());
        let word = body.get(..word_end).unwrap_or_default();
        if REFUSED.contains(&word) {
            let message = format!("`{{% {word} %}}` cannot be used here; allowed: if, for, set, with, raw");
            return Err(CutError { offset: start, message });
        }
        if !STATEMENTS.contains(&word) {
            return Ok(start + 2);
        }
        let end = tag_end(self.text, start, "%}")
            .ok_or_else(|| CutError { offset: start, message: format!("`{{% {word}` is not closed") })?;
        if word == "raw" {
            return self.raw(start, end);
        }
        let (from, to) = inner(self.text, start, end);
        self.bind(word, self.text.get(from..to).unwrap_or_default(), start)?;
        self.push_tag(PieceKind::Statement, start, end);
        Ok(self.literal_from)
    }

    /// Remembers the names a statement binds, as expressions may start at them.
    fn bind(&mut self, word: &str, body: &'t str, offset: usize) -> Result<(), CutError> {
        let rest = body.trim_start().get(word.len()..).unwrap_or_default();
        let names = match word {
            "for" => rest.split(" in ").next(),
            "set" => match rest.split_once('=') {
                Some((names, _)) => Some(names),
                None => {
                    let message = "`{% set %}` without `=` cannot be used here".to_owned();
                    return Err(CutError { offset, message });
                }
            },
            "with" => Some(rest),
            _ => None,
        };
        for name in names.unwrap_or_default().split(|c: char| !(c.is_alphanumeric() || c == '_')) {
            if name.starts_with(|c: char| c.is_alphabetic() || c == '_') {
                self.bound.push(name);
            }
        }
        if word == "for" {
            self.bound.push("loop");
        }
        Ok(())
    }

    fn raw(&mut self, start: usize, end: usize) -> Result<usize, CutError> {
        let mut from = end;
        loop {
            let rest = self.text.get(from..).unwrap_or_default();
            let Some(found) = rest.find("{%") else {
                return Err(CutError { offset: start, message: "`{% raw %}` is not closed".to_owned() });
            };
            let close = from + found;
            let closing = self.text.get(close + 2..).unwrap_or_default();
            let closing = closing.trim_start_matches(['-', '+']).trim_start();
            if let Some(close_end) = tag_end(self.text, close, "%}").filter(|_| closing.starts_with("endraw"))
            {
                self.around(start, end);
                self.around(close, close_end);
                return Ok(self.literal_from);
            }
            from = close + 2;
        }
    }

    fn comment(&mut self, start: usize) -> usize {
        let rest = self.text.get(start + 2..).unwrap_or_default();
        let Some(found) = rest.find("#}") else { return start + 2 };
        self.around(start, start + 2 + found + 2);
        self.literal_from
    }
}

/// The range inside a tag, without delimiters and dashes.
fn inner(text: &str, tag_start: usize, tag_end: usize) -> (usize, usize) {
    let (mut from, mut to) = (tag_start + 2, tag_end.saturating_sub(2));
    if matches!(text.as_bytes().get(from), Some(b'-' | b'+')) {
        from += 1;
    }
    if to > from && matches!(text.as_bytes().get(to - 1), Some(b'-' | b'+')) {
        to -= 1;
    }
    (from, to.max(from))
}

/// Where a tag ends: its closing delimiter outside texts and brackets.
fn tag_end(text: &str, start: usize, close: &str) -> Option<usize> {
    const LONGEST: usize = 16 << 10;
    let bytes = text.as_bytes();
    let (mut quote, mut braces) = (None, 0usize);
    let mut at = start + 2;
    while at < bytes.len().min(start + LONGEST) {
        let byte = *bytes.get(at)?;
        match quote {
            Some(_) if byte == b'\\' => at += 1,
            Some(open) if byte == open => quote = None,
            Some(_) => {}
            None if braces == 0 && text.as_bytes().get(at..)?.starts_with(close.as_bytes()) => {
                return Some(at + close.len());
            }
            None => match byte {
                b'\'' | b'"' => quote = Some(byte),
                b'{' => braces += 1,
                b'}' => braces = braces.saturating_sub(1),
                _ => {}
            },
        }
        at += 1;
    }
    None
}

/// `'{{'` and the like: the usual way to write a delimiter that is meant literally.
fn is_escaped_delimiter(body: &str) -> bool {
    let body = body.trim();
    let quoted = |q: char| body.len() >= 2 && body.starts_with(q) && body.ends_with(q);
    (quoted('\'') || quoted('"'))
        && ["{{", "}}", "{%", "%}", "{#", "#}"].iter().any(|mark| body.contains(mark))
        && body.matches(['\'', '"']).count() == 2
}
