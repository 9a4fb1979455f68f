//! A list of searches and replacements, each applied to what the one before left.

use std::{borrow::Cow, ops::Range, sync::Arc};

use mortise_plugin_api::BuildError;
use regex::Regex;

use super::{Case, Template, compile, literals::Literals, longest_match};

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
    regex: Arc<Regex>,
    /// The same where it needs no regex engine.
    literals: Option<Literals>,
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
                let literals = template.fixed().and_then(|_| Literals::of(&regex, case));
                Ok(Rule { regex, literals, template })
            })
            .collect::<Result<Vec<_>, BuildError>>()?;
        Ok(Self { rules, case, limit })
    }

    /// The text after all replacements; borrowed where nothing was replaced.
    pub(crate) fn apply<'t>(&self, text: &'t str) -> Result<Cow<'t, str>, TooLong> {
        let mut text = Cow::Borrowed(text);
        for rule in &self.rules {
            if let Some(replaced) = rule.replaced(&text, self.limit)? {
                text = Cow::Owned(replaced);
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
    pub(crate) fn edits(&self, text: &str, from: usize) -> Result<Vec<(Range<usize>, String)>, TooLong> {
        let mut found = Vec::new();
        if let Some(rule) = self.rules.first() {
            rule.matches(text, from, self.limit, |range, with| found.push((range, with.to_owned())))?;
        }
        Ok(found)
    }
}

impl Rule {
    /// The text with every match replaced; `None` where there is none.
    fn replaced(&self, text: &str, limit: usize) -> Result<Option<String>, TooLong> {
        let mut out = String::new();
        let mut done = None;
        self.matches(text, 0, limit, |range, with| {
            if done.is_none() {
                out.reserve(text.len() + with.len());
            }
            out.push_str(&text[done.unwrap_or(0)..range.start]);
            out.push_str(with);
            done = Some(range.end);
        })?;
        Ok(done.map(|done| {
            out.push_str(&text[done..]);
            out
        }))
    }

    /// Gives every match that begins at `from` or later to `take`, with what stands there afterwards; in order, without
    /// overlap.
    fn matches(
        &self,
        text: &str,
        from: usize,
        limit: usize,
        mut take: impl FnMut(Range<usize>, &str),
    ) -> Result<(), TooLong> {
        let (mut at, mut added) = (from, 0usize);
        let mut with = String::new();
        // The iterators of the regex crate cannot start behind the beginning of the text.
        while at <= text.len()
            && let Some(range) = self.next(text, at, &mut with)
        {
            let with = self.template.fixed().unwrap_or(&with);
            added += with.len();
            if added > limit {
                return Err(TooLong { length: added, limit });
            }
            at = range.end;
            let past_end = range.is_empty() && at == text.len();
            if range.is_empty() {
                at = text.ceil_char_boundary(at + 1);
            }
            take(range, with);
            if past_end {
                break;
            }
        }
        Ok(())
    }

    /// The match at `at` or after it. Its replacement is written to `with` unless it is always the same; groups are only
    /// searched for where the replacement has some.
    fn next(&self, text: &str, at: usize, with: &mut String) -> Option<Range<usize>> {
        if let Some(literals) = &self.literals {
            return literals.find_at(text, at);
        }
        if self.template.fixed().is_some() {
            return self.regex.find_at(text, at).map(|found| found.range());
        }
        // Without captures first: where nothing matches, none are allocated.
        self.regex.find_at(text, at)?;
        let captures = self.regex.captures_at(text, at)?;
        with.clear();
        self.template.append(&captures, with);
        Some(captures.get(0)?.range())
    }
}
