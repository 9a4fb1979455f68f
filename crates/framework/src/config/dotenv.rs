//! `.env` files: `NAME=value` lines, with `export`, quotes and comments.
//!
//! Only what such files commonly hold; no interpolation and no values over several lines, as readers differ there
//! and a guess would be a secret cut in half. Lines that make no sense are told, not fatal: the file usually
//! serves other programs as well.

use std::path::Path;

use super::diagnostic::{Diagnostic, DiagnosticKind, Notice};
use super::looked_at;
use super::source::{Limits, Source};

const MOST_BYTES: usize = 1 << 20;

/// The variables of the file, later lines over earlier, and notices about lines that could not be read.
pub(super) fn read(path: &Path) -> (Vec<(String, String)>, Vec<Notice>) {
    looked_at::note(path);
    if !path.is_file() {
        return (Vec::new(), Vec::new());
    }
    let limits = Limits { file_bytes: MOST_BYTES, ..Limits::default() };
    match Source::read(path, &limits) {
        Ok(source) => parse(&source),
        Err(error) => (Vec::new(), vec![error]),
    }
}

fn parse(source: &std::sync::Arc<Source>) -> (Vec<(String, String)>, Vec<Notice>) {
    let (mut variables, mut notices) = (Vec::new(), Vec::new());
    let mut offset = 0;
    for line in source.text().split_inclusive('\n') {
        match parse_line(line.trim()) {
            Ok(Some((name, value))) => {
                variables.retain(|(known, _): &(String, String)| *known != name);
                variables.push((name, value));
            }
            Ok(None) => {}
            Err(problem) => notices.push(
                Diagnostic::new(DiagnosticKind::Remark, format!("line skipped: {problem}"))
                    .at(source.span_at(offset, 1))
                    .help("a line is NAME=value, with quotes around a value that holds spaces or `#`"),
            ),
        }
        offset += line.len();
    }
    // The whole file counts as secret: no line of it is ever shown in full.
    source.keep_secret(variables.iter().map(|(_, value)| value.clone()).filter(|v| v.len() >= 4).collect());
    (variables, notices)
}

fn parse_line(line: &str) -> Result<Option<(String, String)>, &'static str> {
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let line = line.strip_prefix("export ").map_or(line, str::trim_start);
    let (name, value) = line.split_once('=').ok_or("there is no `=`")?;
    let name = name.trim_end();
    let mut characters = name.chars();
    let starts_well = characters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    if !starts_well || !characters.all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-')) {
        return Err("the part before `=` is no name");
    }
    Ok(Some((name.to_owned(), parse_value(value.trim())?)))
}

fn parse_value(value: &str) -> Result<String, &'static str> {
    match value.chars().next() {
        Some('\'') => {
            let inner = value.get(1..).unwrap_or_default();
            inner.split_once('\'').map(|(text, _)| text.to_owned()).ok_or("the quote is not closed")
        }
        Some('"') => double_quoted(value.get(1..).unwrap_or_default()),
        _ => {
            let end = value.find(" #").or_else(|| value.find("\t#")).unwrap_or(value.len());
            Ok(value.get(..end).unwrap_or_default().trim_end().to_owned())
        }
    }
}

fn double_quoted(text: &str) -> Result<String, &'static str> {
    let mut out = String::new();
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        match c {
            '"' => return Ok(out),
            '\\' => match characters.next() {
                Some('n') => out.push('\n'),
                Some('r') => out.push('\r'),
                Some('t') => out.push('\t'),
                Some(other) => out.push(other),
                None => break,
            },
            other => out.push(other),
        }
    }
    Err("the quote is not closed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_lines_are_read_and_nonsense_is_told() {
        let text = "# comment\nA=1\nexport B = \"two # \\\"words\\\"\"  # why\nC='$x'\nD=a b # c\nnonsense\n9=x\nA=2\r\n";
        let (variables, notices) = parse(&Source::from_text(".env", text));
        let expected = [("B", "two # \"words\""), ("C", "$x"), ("D", "a b"), ("A", "2")];
        assert_eq!(variables, expected.map(|(k, v)| (k.to_owned(), v.to_owned())));
        assert_eq!(notices.iter().filter_map(|n| n.span.as_ref()?.line()).collect::<Vec<_>>(), [6, 7]);
    }
}
