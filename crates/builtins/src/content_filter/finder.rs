//! What a configuration looks for, compiled, and what is found of it in a text.

use std::{ops::Range, sync::Arc};

use mortise_plugin_api::BuildError;
use regex::Regex;

use super::{attacks, config::Config, speech};
use crate::{
    pattern::{Case, compile},
    pii_filter::{
        category::{Categories, Category},
        scanner::Scanner,
    },
};

/// Longest pattern that an answer repeats, in characters.
const SHOWN: usize = 60;

/// Why something is not wanted. The order is the order in which a violation names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    SqlInjection,
    CommandInjection,
    FileSystem,
    Personal,
    Pattern,
    Profanity,
    Spam,
}

impl Kind {
    /// Its name in details and metadata.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::SqlInjection => "sql_injection",
            Self::CommandInjection => "command_injection",
            Self::FileSystem => "file_system",
            Self::Personal => "personal_data",
            Self::Pattern => "pattern",
            Self::Profanity => "profanity",
            Self::Spam => "spam",
        }
    }

    /// Code and reason of a violation.
    pub(super) const fn code(self) -> (&'static str, &'static str) {
        match self {
            Self::SqlInjection => ("BLOCKED_CONTENT", "Possible SQL injection"),
            Self::CommandInjection => ("BLOCKED_CONTENT", "Possible command injection"),
            Self::FileSystem => ("BLOCKED_CONTENT", "Restricted file system path"),
            Self::Personal => ("SENSITIVE_CONTENT", "Sensitive content"),
            Self::Pattern => ("BLOCKED_CONTENT", "Blocked content"),
            Self::Profanity => ("PROHIBITED_CONTENT", "Profanity"),
            Self::Spam => ("PROHIBITED_CONTENT", "Spam"),
        }
    }

    /// Whether the rest of a text is good without it.
    pub(super) const fn is_maskable(self) -> bool {
        matches!(self, Self::Personal | Self::Pattern | Self::Profanity)
    }
}

/// Something found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) kind: Kind,
    /// What was looked for: the entry of `block_patterns`, else empty.
    pub(super) what: String,
    pub(super) range: Range<usize>,
}

struct Wanted {
    kind: Kind,
    what: String,
    regex: Arc<Regex>,
}

/// A compiled configuration.
pub(super) struct Finder {
    personal: Option<Arc<Scanner>>,
    wanted: Vec<Wanted>,
    phrases: Vec<Arc<Regex>>,
}

impl Finder {
    pub(super) fn new(config: &Config) -> Result<Self, BuildError> {
        let mut personal = Categories::NONE;
        let mut wanted = Vec::new();
        for (i, pattern) in config.block_patterns.iter().enumerate() {
            let owner = format!("block_patterns[{i}]");
            if pattern.trim().is_empty() {
                return Err(BuildError::new(owner, "an empty pattern would match everything"));
            }
            match named(pattern) {
                Some(category) => personal.set(category, true),
                None => {
                    let regex = compile(pattern, Case::Insensitive, &owner)?;
                    let what = pattern.chars().take(SHOWN).collect();
                    wanted.push(Wanted { kind: Kind::Pattern, what, regex });
                }
            }
        }
        let mut all = |kind, field: &str, patterns: &[String]| -> Result<(), BuildError> {
            let regex = compile(&patterns.join("|"), Case::Insensitive, field)?;
            wanted.push(Wanted { kind, what: String::new(), regex });
            Ok(())
        };
        if config.sql_injection_protection {
            all(Kind::SqlInjection, "sql_injection_protection", &attacks::sql())?;
        }
        if config.command_injection_protection {
            all(Kind::CommandInjection, "command_injection_protection", &attacks::commands())?;
        }
        if config.file_system_restrictions {
            all(Kind::FileSystem, "file_system_restrictions", &attacks::paths())?;
        }
        if config.profanity_filter {
            all(Kind::Profanity, "profanity_words", &profanities(&config.profanity_words)?)?;
        }
        let phrases = if config.spam_detection { speech::PHRASES } else { &[] };
        let phrases =
            phrases.iter().map(|p| compile(&format!(r"\b(?:{p})"), Case::Insensitive, "spam_detection"));
        Ok(Self {
            personal: (!personal.is_empty()).then(|| Scanner::shared(personal, &[], &[])).transpose()?,
            wanted,
            phrases: phrases.collect::<Result<_, _>>()?,
        })
    }

    /// Whether nothing is looked for.
    pub(super) fn is_idle(&self) -> bool {
        self.personal.is_none() && self.wanted.is_empty() && self.phrases.is_empty()
    }

    /// What is found in a text; `key` is the name of the member whose value it is.
    pub(super) fn find(&self, text: &str, key: &str) -> Vec<Found> {
        let mut found = Vec::new();
        if let Some(personal) = &self.personal {
            found.extend(personal.find(text, key).into_iter().map(|finding| Found {
                kind: Kind::Personal,
                what: finding.category.name().to_owned(),
                range: finding.start..finding.end,
            }));
        }
        for Wanted { kind, what, regex } in &self.wanted {
            let matches = regex.find_iter(text).filter(|found| !found.is_empty());
            // Where one is enough to block, one is enough.
            let most = if kind.is_maskable() { usize::MAX } else { 1 };
            let one = |m: regex::Match<'_>| Found { kind: *kind, what: what.clone(), range: m.range() };
            found.extend(matches.take(most).map(one));
        }
        if !self.phrases.is_empty() {
            let phrases = self.phrases.iter().filter(|phrase| phrase.is_match(text)).count();
            if speech::is_spam(text, phrases) {
                found.push(Found { kind: Kind::Spam, what: String::new(), range: 0..0 });
            }
        }
        found
    }
}

/// The personal data that an entry names.
fn named(pattern: &str) -> Option<Category> {
    let name = pattern.trim().to_ascii_lowercase();
    Category::ALL.into_iter().find(|category| *category != Category::Custom && category.name() == name)
}

fn profanities(own: &[String]) -> Result<Vec<String>, BuildError> {
    let mut all: Vec<String> = speech::PROFANITIES.iter().map(|word| format!(r"\b(?:{word})\b")).collect();
    for (i, word) in own.iter().enumerate() {
        let word = word.trim();
        if word.is_empty() {
            return Err(BuildError::new(
                format!("profanity_words[{i}]"),
                "an empty word would match everything",
            ));
        }
        // Boundaries only where the word has any: not every script tells words apart.
        let edge = |c: Option<char>| if c.is_some_and(|c| c.is_ascii_alphanumeric()) { r"\b" } else { "" };
        let (first, last) = (edge(word.chars().next()), edge(word.chars().last()));
        all.push(format!("{first}{}{last}", regex::escape(word)));
    }
    Ok(all)
}
