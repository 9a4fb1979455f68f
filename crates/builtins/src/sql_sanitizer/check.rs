//! What is dangerous in SQL code.

use std::sync::Arc;

use aho_corasick::AhoCorasick;
use mortise_plugin_api::BuildError;
use regex::Regex;

use super::{
    config::Config,
    reading::{self, Reading},
    words::Words,
};
use crate::pattern::{Case, beginnings, compile};

/// A compiled configuration.
#[derive(Debug)]
pub(super) struct Checks {
    blocked: Vec<(Arc<Regex>, String)>,
    delete: bool,
    update: bool,
    parameters: bool,
    /// Words without which no statement is looked at closely.
    verbs: AhoCorasick,
    /// Words without one of which nothing is found in any reading; `None` where a pattern begins with no such word.
    words: Option<Arc<Words>>,
}

impl Checks {
    pub(super) fn new(config: &Config) -> Result<Self, BuildError> {
        let blocked = config
            .blocked_statements
            .iter()
            .enumerate()
            .map(|(i, p)| {
                Ok((compile(p, Case::Insensitive, &format!("blocked_statements[{i}]"))?, p.clone()))
            })
            .collect::<Result<Vec<_>, BuildError>>()?;
        let verbs = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .build(["delete", "update"])
            .map_err(|error| BuildError::new("", error.to_string()))?;
        let words = words(config, &blocked);
        Ok(Self {
            words,
            blocked,
            delete: config.block_delete_without_where,
            update: config.block_update_without_where,
            parameters: config.require_parameterization,
            verbs,
        })
    }

    /// What is dangerous in `text`, each thing once.
    pub(super) fn issues(&self, text: &str) -> Vec<String> {
        let mut issues = Vec::new();
        if !self.parameters && self.words.as_ref().is_some_and(|words| !words.any_in(text)) {
            return issues;
        }
        if reading::is_plain(text) {
            self.statements(text, &mut issues);
            self.blocked(text, &mut issues);
        } else {
            reading::readings(text, |reading| {
                self.statements(&reading.code, &mut issues);
                self.blocked(&reading.code, &mut issues);
                if self.parameters && reading::is_statement(text) {
                    literals(reading, &mut issues);
                }
            });
        }
        if self.parameters && reading::is_statement(text) {
            if compares_number(text) {
                note(&mut issues, "literal value instead of a parameter");
            }
            if interpolates(text) {
                note(&mut issues, "interpolation instead of a parameter");
            }
        }
        issues
    }

    fn blocked(&self, code: &str, issues: &mut Vec<String>) {
        for (regex, pattern) in &self.blocked {
            if regex.is_match(code) {
                note(issues, &format!("blocked statement {pattern}"));
            }
        }
    }

    fn statements(&self, code: &str, issues: &mut Vec<String>) {
        if !(self.delete || self.update) || !self.verbs.is_match(code) {
            return;
        }
        let (delete, update) = without_where(code);
        if delete && self.delete {
            note(issues, "DELETE without WHERE");
        }
        if update && self.update {
            note(issues, "UPDATE without WHERE");
        }
    }
}

/// Finds the words that what is dangerous begins with.
///
/// The words are cut before their first mark: a reading puts marks and spaces in the place of literals and comments, so
/// only letters and digits that stand together in the code are sure to stand together in the text.
fn words(config: &Config, blocked: &[(Arc<Regex>, String)]) -> Option<Arc<Words>> {
    let mut words: Vec<Vec<u8>> = Vec::new();
    for (regex, _) in blocked {
        for literal in beginnings(regex, Case::Insensitive)? {
            let inside = |b: &&u8| b.is_ascii_alphanumeric() || **b == b'_' || !b.is_ascii();
            let length = literal.iter().take_while(inside).count();
            if length == 0 {
                return None;
            }
            words.push(literal[..length].to_ascii_lowercase());
        }
    }
    let wanted =
        [(config.block_delete_without_where, "delete"), (config.block_update_without_where, "update")];
    words.extend(wanted.iter().filter(|(on, _)| *on).map(|(_, word)| word.as_bytes().to_vec()));
    Words::new(words)
}

fn note(issues: &mut Vec<String>, issue: &str) {
    if issues.iter().all(|known| known != issue) {
        issues.push(issue.to_owned());
    }
}

fn literals(reading: &Reading, issues: &mut Vec<String>) {
    if reading.literals > 0 {
        note(issues, "literal value instead of a parameter");
    }
}

/// Whether a number stands behind a comparison.
fn compares_number(text: &str) -> bool {
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(n) = memchr::memchr3(b'=', b'<', b'>', &bytes[at..]) {
        at += n + 1;
        if bytes[at..].trim_ascii_start().first().is_some_and(u8::is_ascii_digit) {
            return true;
        }
        // Skip the white space that was looked over, so that none is looked over twice.
        at += bytes[at..].len() - bytes[at..].trim_ascii_start().len();
    }
    false
}

/// Whether the text has marks of string templates: `${x}`, `#{x}`, `{x}`.
fn interpolates(text: &str) -> bool {
    let bytes = text.as_bytes();
    memchr::memchr_iter(b'{', bytes).any(|i| {
        let name =
            bytes[i + 1..].iter().take(64).take_while(|b| b.is_ascii_alphanumeric() || **b == b'_').count();
        name > 0 && bytes.get(i + 1 + name) == Some(&b'}')
    })
}

/// A statement that waits for its `WHERE`.
struct Waiting {
    delete: bool,
    depth: usize,
    /// Whether it is surely the statement it looks like: `DELETE ... FROM`, `UPDATE ... SET`.
    sure: bool,
    /// First word of its statement.
    first: bool,
    words: usize,
}

/// Whether there is a `DELETE`, and an `UPDATE`, without a `WHERE` of its own.
fn without_where(code: &str) -> (bool, bool) {
    let mut found = (false, false);
    let mut end = |waiting: Waiting| {
        // SQL Server and Oracle take `DELETE name` for `DELETE FROM name`.
        if waiting.delete && (waiting.sure || (waiting.first && waiting.words == 1)) {
            found.0 = true;
        } else if !waiting.delete && waiting.sure {
            found.1 = true;
        }
    };
    let mut waiting: Vec<Waiting> = Vec::new();
    let (mut depth, mut before, mut first) = (0usize, "", true);
    for token in Tokens(code) {
        match token {
            "(" => {
                depth += 1;
                first = true;
            }
            ")" => {
                depth = depth.saturating_sub(1);
                while waiting.last().is_some_and(|w| w.depth > depth) {
                    waiting.pop().into_iter().for_each(&mut end);
                }
            }
            ";" => {
                waiting.drain(..).for_each(&mut end);
                (depth, first) = (0, true);
            }
            word => {
                let is = |other: &str| word.eq_ignore_ascii_case(other);
                if let Some(top) = waiting.last_mut().filter(|w| w.depth == depth) {
                    top.sure |= if top.delete { is("from") } else { is("set") };
                    top.words += 1;
                    if is("where") {
                        waiting.pop();
                    }
                }
                let after = |others: &[&str]| others.iter().any(|other| before.eq_ignore_ascii_case(other));
                if is("delete") && !after(&["on", "then"])
                    || is("update") && !after(&["on", "then", "for", "key", "do"])
                {
                    waiting.push(Waiting { delete: is("delete"), depth, sure: false, first, words: 0 });
                }
                first = false;
            }
        }
        before = token;
    }
    waiting.into_iter().for_each(end);
    found
}

/// Words, brackets and semicolons of code.
struct Tokens<'a>(&'a str);

impl<'a> Iterator for Tokens<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let wanted = |c: char| c.is_alphabetic() || matches!(c, '_' | '(' | ')' | ';' | '"');
        let rest = &self.0[self.0.find(wanted)?..];
        let length = if rest.starts_with(['(', ')', ';']) {
            1
        } else if rest.starts_with('"') {
            // A quoted name was read as two marks.
            rest.len().min(if rest.starts_with("\"\"") { 2 } else { 1 })
        } else {
            rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$')).unwrap_or(rest.len())
        };
        let (token, rest) = rest.split_at(length);
        self.0 = rest;
        Some(token)
    }
}
