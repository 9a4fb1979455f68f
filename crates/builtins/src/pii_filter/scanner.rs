//! Finds personal data in a text, in one pass.
//!
//! The built-in categories are found by one sweep (`sweep.rs`), patterns from the configuration by the regex
//! crate, one pass each.
//!
//! Where matches overlap, the leftmost wins, of two with the same start the longer, of two with the same place the
//! category that is declared first. That order depends on nothing but the text around a match, and this is what makes
//! streams safe: cut a text into windows anywhere, and the matches stay the same, as long as [`Scanner::reach`] bytes
//! are held back. For that, a match knows its [`anchor`](Finding::anchor): where the label it depends on begins. A
//! window may only let the match go together with its anchor.

use std::sync::Arc;

use regex::Regex;

use super::{
    address::{EMAIL_MAX, IPV6_MAX},
    category::{Categories, Category},
    checks::IBAN_MAX,
    labels::{LABEL_REACH, Source},
    sweep::Sweep,
    tokens::KEY_MAX,
};
use crate::{
    leftmost,
    pattern::{self, Case, PatternError},
    shared::Shared,
};

/// Bytes that a custom pattern without a bound is trusted to match at most, in streams. Texts that are shown whole are
/// matched without this bound.
pub const CUSTOM_MATCH_CAP: usize = 1024;
/// Longest number with separators, in bytes.
const NUMBER_MAX: usize = IBAN_MAX * 2;

/// A match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finding {
    /// First byte of the label it depends on, or two bytes before the match, which are its boundary.
    pub anchor: usize,
    /// First byte.
    pub start: usize,
    /// Byte after the last.
    pub end: usize,
    /// What it is.
    pub category: Category,
    /// Which custom pattern found it, by its place in the configuration.
    pub custom: Option<u16>,
}

/// A pattern from the configuration, to be compiled.
#[derive(Debug, Clone)]
pub struct CustomPattern {
    /// The entry, for error messages.
    pub owner: String,
    /// Place in the configuration.
    pub index: u16,
    /// What a match counts as.
    pub category: Category,
    /// The regular expression; letters match whatever their case.
    pub pattern: String,
}

#[derive(Debug)]
struct Custom {
    regex: Arc<Regex>,
    index: u16,
    category: Category,
}

impl Custom {
    fn find(&self, text: &str, from: usize, found: &mut Vec<Finding>) {
        let mut at = from;
        while let Some(m) = self.regex.find_at(text, at) {
            let (start, end) = (m.start(), m.end());
            if start < end {
                found.push(Finding {
                    anchor: start,
                    start,
                    end,
                    category: self.category,
                    custom: Some(self.index),
                });
                at = end;
            } else if end < text.len() {
                // An empty match hides nothing; look on behind the next character.
                at = text.ceil_char_boundary(end + 1);
            } else {
                return;
            }
        }
    }
}

/// A compiled set of categories and patterns.
#[derive(Debug)]
pub struct Scanner {
    on: Categories,
    custom: Vec<Custom>,
    allowed: Vec<Arc<Regex>>,
    span: usize,
}

/// What a scanner is compiled of.
type Key = (Categories, Vec<(u16, Category, String)>, Vec<String>);

/// All scanners.
static SCANNERS: Shared<Key, Scanner> = Shared::new();

impl Scanner {
    /// The scanner of these categories and patterns, shared with all who look for the same.
    ///
    /// # Errors
    /// As [`Scanner::new`].
    pub fn shared(
        on: Categories,
        custom: &[CustomPattern],
        allowed: &[String],
    ) -> Result<Arc<Self>, PatternError> {
        let patterns = custom.iter().map(|c| (c.index, c.category, c.pattern.clone())).collect();
        SCANNERS.get((on, patterns, allowed.to_vec()), || Self::new(on, custom, allowed))
    }

    /// Compiles the scanner. Matches in which one of the `allowed` patterns is found are left alone.
    ///
    /// # Errors
    /// A pattern does not compile; the error names it.
    pub fn new(on: Categories, custom: &[CustomPattern], allowed: &[String]) -> Result<Self, PatternError> {
        let custom = custom
            .iter()
            .map(|c| {
                let regex = pattern::compile(&c.pattern, Case::Insensitive, &c.owner)?;
                Ok(Custom { regex, index: c.index, category: c.category })
            })
            .collect::<Result<Vec<_>, PatternError>>()?;
        let allowed = allowed
            .iter()
            .enumerate()
            .map(|(i, p)| pattern::compile(p, Case::Insensitive, &format!("whitelist_patterns[{i}]")))
            .collect::<Result<Vec<_>, PatternError>>()?;
        let span = span(on, &custom);
        Ok(Self { on, custom, allowed, span })
    }

    /// Bytes that the end of a window must be held back so that no match is missed at its border: the longest match,
    /// what follows it and the label before it. Custom patterns without a bound count as [`CUSTOM_MATCH_CAP`].
    #[must_use]
    pub fn reach(&self) -> usize {
        self.span + LABEL_REACH
    }

    /// Whether nothing is looked for.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.on.is_empty() && self.custom.is_empty()
    }

    /// All matches of a text, in order and without overlap. `key` is the name of the member whose value the text is;
    /// it counts as the label of what begins the text. Empty where there is none.
    #[must_use]
    pub fn find(&self, text: &str, key: &str) -> Vec<Finding> {
        self.find_from(text, key, 0)
    }

    /// The same for matches that begin at `from` or later; what stands before it is only looked back at.
    #[must_use]
    pub fn find_from(&self, text: &str, key: &str, from: usize) -> Vec<Finding> {
        self.search(text, key, from, false)
    }

    /// The same without quick looks: what they leave out must be nothing.
    #[cfg(test)]
    pub(super) fn find_plainly(&self, text: &str, key: &str) -> Vec<Finding> {
        self.search(text, key, 0, true)
    }

    fn search(&self, text: &str, key: &str, from: usize, plain: bool) -> Vec<Finding> {
        let mut found = Vec::new();
        if !self.on.is_empty() {
            let source = Source { bytes: text.as_bytes(), key: key.as_bytes(), plain };
            let bytes = source.bytes;
            Sweep { source, bytes, from, on: self.on, covered: 0, colons: 0, found: &mut found }.run();
        }
        for custom in &self.custom {
            custom.find(text, from, &mut found);
        }
        if !found.is_empty() {
            found.retain(|f| !self.allowed.iter().any(|a| a.is_match(&text[f.start..f.end])));
            leftmost::resolve(&mut found, |f| f.start..f.end, |f| (f.category, f.custom));
        }
        found
    }
}

/// Longest match with what must be seen after it.
fn span(on: Categories, custom: &[Custom]) -> usize {
    /// Bytes looked at after the end of a match.
    const AFTER: usize = 4;
    let builtin = [
        (Category::Email, EMAIL_MAX),
        (Category::IpAddress, IPV6_MAX),
        (Category::AwsKey, KEY_MAX),
        (Category::ApiKey, KEY_MAX),
    ]
    .into_iter()
    .filter(|(category, _)| on.has(*category))
    .map(|(_, length)| length);
    let own = custom.iter().map(|c| {
        pattern::longest_match(&c.regex, Case::Insensitive).unwrap_or(CUSTOM_MATCH_CAP).min(CUSTOM_MATCH_CAP)
    });
    let number = if on.is_empty() { 0 } else { NUMBER_MAX };
    builtin.chain(own).fold(number, usize::max) + AFTER
}
