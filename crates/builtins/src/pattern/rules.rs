//! A list of searches and replacements, each applied to what the one before left.

use std::borrow::Cow;

use mortise_plugin_api::BuildError;
use regex::Regex;

use super::{Case, Template, compile, longest_match};

/// A replacement list made a text longer than it may get.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the replacements make a text of {length} bytes or more; at most {limit} are allowed")]
pub struct TooLong {
    /// Bytes written when it was noticed.
    pub length: usize,
    /// The limit.
    pub limit: usize,
}

#[derive(Debug)]
struct Rule {
    regex: Regex,
    template: Template,
}

/// A compiled list.
#[derive(Debug)]
pub(crate) struct Rules {
    rules: Vec<Rule>,
    case: Case,
    limit: usize,
}

impl Rules {
    /// Compiles `(entry, pattern, replacement)` triples; `entry` is what errors name. Texts never get longer than
    /// `limit` bytes.
    pub(crate) fn new<'a>(
        entries: impl Iterator<Item = (String, &'a str, &'a str)>,
        case: Case,
        limit: usize,
    ) -> Result<Self, BuildError> {
        let rules = entries
            .map(|(entry, pattern, replacement)| {
                let regex = compile(pattern, case, &entry)?;
                let template = Template::new(replacement, &regex, &entry)?;
                Ok(Rule { regex, template })
            })
            .collect::<Result<Vec<_>, BuildError>>()?;
        Ok(Self { rules, case, limit })
    }

    /// The text after all replacements; borrowed where nothing was replaced.
    pub(crate) fn apply<'t>(&self, text: &'t str) -> Result<Cow<'t, str>, TooLong> {
        let mut text = Cow::Borrowed(text);
        for rule in &self.rules {
            if let Some(replaced) = rule.replace(&text, 0, self.limit)? {
                text = Cow::Owned(replaced.concat(&text));
            }
        }
        Ok(text)
    }

    /// Bytes of a window in which the list can work on a stream: the longest match, where the list is one bounded rule.
    /// A longer list works on its own results, which only the whole text has.
    pub(crate) fn window(&self) -> Option<usize> {
        match self.rules.as_slice() {
            [] => Some(1),
            [rule] => longest_match(&rule.regex, self.case),
            _ => None,
        }
    }

    /// Replacements of the first rule in the part of `text` that begins at `from`, by range.
    pub(crate) fn edits(
        &self,
        text: &str,
        from: usize,
    ) -> Result<Vec<(std::ops::Range<usize>, String)>, TooLong> {
        match self.rules.first() {
            Some(rule) => Ok(rule.replace(text, from, self.limit)?.map(|r| r.0).unwrap_or_default()),
            None => Ok(Vec::new()),
        }
    }
}

/// Replacements in order, without overlap.
struct Replaced(Vec<(std::ops::Range<usize>, String)>);

impl Replaced {
    fn concat(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut done = 0;
        for (range, with) in &self.0 {
            out.push_str(&text[done..range.start]);
            out.push_str(with);
            done = range.end;
        }
        out.push_str(&text[done..]);
        out
    }
}

impl Rule {
    fn replace(&self, text: &str, from: usize, limit: usize) -> Result<Option<Replaced>, TooLong> {
        if !self.regex.is_match_at(text, from) {
            return Ok(None);
        }
        let mut found = Vec::new();
        let (mut at, mut added) = (from, 0usize);
        // `captures_iter` cannot start behind the beginning of the text.
        while at <= text.len()
            && let Some(captures) = self.regex.captures_at(text, at)
            && let Some(whole) = captures.get(0)
        {
            let mut with = String::new();
            self.template.append(&captures, &mut with);
            added += with.len();
            if added > limit {
                return Err(TooLong { length: added, limit });
            }
            at = if whole.is_empty() { text.ceil_char_boundary(whole.end() + 1) } else { whole.end() };
            let past_end = whole.is_empty() && whole.end() == text.len();
            found.push((whole.range(), with));
            if past_end {
                break;
            }
        }
        Ok(Some(Replaced(found)))
    }
}
