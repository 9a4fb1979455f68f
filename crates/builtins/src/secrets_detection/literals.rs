//! Secrets in texts that are JSON themselves.
//!
//! A tool often answers with JSON written into a text, and there a secret may be spelt with escapes: many encoders
//! write `\/` for a slash and `\u003d` for an equals sign. So in a text that looks like JSON, string literals with
//! escapes are also read decoded. What is found there replaces the literal as a whole, so that the text stays JSON.

use std::{borrow::Cow, ops::Range};

use memchr::{memchr, memchr2};

use super::scanner::{Finding, Scanner};

/// Bytes before a literal in which its label is looked for.
const LABEL_REACH: usize = 64;

/// Secrets of a text in one place, and how to take them out.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Bytes of the text.
    pub(super) range: Range<usize>,
    /// What was found there; one finding, or those of a literal that was read decoded.
    pub(super) findings: Vec<Finding>,
    /// The value of that literal.
    decoded: Option<String>,
}

impl Found {
    /// What stands in `range` once `redacted` stands for each secret.
    pub(super) fn replacement<'a>(&self, redacted: &'a str) -> Cow<'a, str> {
        let Some(value) = &self.decoded else { return Cow::Borrowed(redacted) };
        let mut out = String::with_capacity(value.len());
        let mut done = 0;
        for finding in &self.findings {
            out.push_str(&value[done..finding.start]);
            out.push_str(redacted);
            done = finding.end;
        }
        out.push_str(&value[done..]);
        Cow::Owned(serde_json::Value::String(out).to_string())
    }
}

/// All secrets of `text`, the value of the member `key`, in order and without overlap.
pub(super) fn find(scanner: &Scanner, text: &str, key: &str) -> Vec<Found> {
    let plain = scanner.find(text, key);
    let json = matches!(text.trim_ascii_start().as_bytes().first(), Some(b'{' | b'['));
    let mut found = Vec::new();
    if json && memchr(b'\\', text.as_bytes()).is_some() {
        // A literal counts as decoded where that shows more than its spelling does.
        let more = |d: &Found| d.findings.len() > inside(&plain, &d.range);
        found.extend(escaped_literals(text).filter_map(|l| decoded(scanner, text, l)).filter(more));
    }
    let literals = found.len();
    for finding in plain {
        let next = found[..literals].partition_point(|d| d.range.end <= finding.start);
        if found[..literals].get(next).is_none_or(|d| finding.end <= d.range.start) {
            let range = finding.start..finding.end;
            found.push(Found { range, findings: vec![finding], decoded: None });
        }
    }
    if literals > 0 {
        found.sort_by_key(|f| f.range.start);
    }
    found
}

/// How many of the sorted findings touch `range`.
fn inside(plain: &[Finding], range: &Range<usize>) -> usize {
    let first = plain.partition_point(|f| f.end <= range.start);
    plain[first..].iter().take_while(|f| f.start < range.end).count()
}

fn decoded(scanner: &Scanner, text: &str, literal: Range<usize>) -> Option<Found> {
    let value: String = serde_json::from_str(&text[literal.clone()]).ok()?;
    // Its label may stand before it.
    let from = text.floor_char_boundary(literal.start.saturating_sub(LABEL_REACH));
    let before = &text[from..literal.start];
    let findings = scanner.find(&format!("{before}{value}"), "");
    let findings: Vec<Finding> = findings
        .into_iter()
        .filter(|f| f.start >= before.len())
        .map(|f| Finding { start: f.start - before.len(), end: f.end - before.len(), ..f })
        .collect();
    (!findings.is_empty()).then_some(Found { range: literal, findings, decoded: Some(value) })
}

/// The string literals of a text that have escapes, quotation marks included.
fn escaped_literals(text: &str) -> impl Iterator<Item = Range<usize>> {
    let bytes = text.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let start = at + memchr(b'"', bytes.get(at..)?)?;
            let mut escaped = false;
            at = start + 1;
            let end = loop {
                let next = at + memchr2(b'"', b'\\', bytes.get(at..)?)?;
                if bytes[next] == b'"' {
                    break next + 1;
                }
                escaped = true;
                at = next + 2;
            };
            at = end;
            if escaped {
                return Some(start..end);
            }
        }
    })
}
