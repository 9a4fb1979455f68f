//! Regular expressions that come from a configuration file.
//!
//! Every plugin that takes patterns compiles them here, so that one set of bounds holds: matching is linear in the
//! text (no look-around, no back-references), the compiled size is capped, an error names the entry it came from, and
//! equal patterns are compiled once.
//! Replacement texts follow Python's rules (`\1`, `\g<name>`), since that is what the patterns' authors wrote them for.

mod literals;
mod rules;
mod template;

use std::sync::Arc;

use mortise_plugin_api::BuildError;
use regex::{Regex, RegexBuilder};

use crate::shared::Shared;

pub(crate) use rules::Rules;
pub use rules::TooLong;
pub(crate) use template::{Template, TemplateError};

/// Largest compiled program of one pattern, in bytes.
const SIZE_LIMIT: usize = 1 << 20;
/// Largest lazily built automaton of one pattern, in bytes.
const DFA_SIZE_LIMIT: usize = 2 << 20;
/// Deepest nesting of groups in one pattern.
const NEST_LIMIT: u32 = 100;
/// Characters of a pattern that an error message repeats.
const SHOWN: usize = 80;

/// A pattern that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot compile the pattern `{pattern}` of {owner}; look-around and back-references are not supported"
)]
pub struct PatternError {
    /// The entry the pattern stands in, such as `custom_patterns[2]`.
    pub owner: String,
    /// The pattern, shortened to 80 characters.
    pub pattern: String,
    /// What the regex compiler said.
    #[source]
    pub source: Box<regex::Error>,
}

impl From<PatternError> for BuildError {
    fn from(error: PatternError) -> Self {
        let message = format!("{error}: {}", error.source);
        Self::new(error.owner, message)
    }
}

impl From<TemplateError> for BuildError {
    fn from(error: TemplateError) -> Self {
        let message = error.to_string();
        let (TemplateError::UnknownGroup { owner, .. } | TemplateError::BadGroup { owner }) = error;
        Self::new(owner, message)
    }
}

/// Whether letters match whatever their case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Case {
    /// `a` matches `a`.
    Sensitive,
    /// `a` matches `a` and `A`.
    Insensitive,
}

/// All compiled patterns.
static PATTERNS: Shared<(Box<str>, Case), Regex> = Shared::new();

/// Compiles `pattern`, which stands in the entry `owner`; whoever has the same pattern has the same compiled one.
pub(crate) fn compile(pattern: &str, case: Case, owner: &str) -> Result<Arc<Regex>, PatternError> {
    PATTERNS.get((pattern.into(), case), || compiled(pattern, case, owner))
}

fn compiled(pattern: &str, case: Case, owner: &str) -> Result<Regex, PatternError> {
    let failed = |source: regex::Error| PatternError {
        owner: owner.to_owned(),
        pattern: pattern.chars().take(SHOWN).collect(),
        source: Box::new(source),
    };
    RegexBuilder::new(&from_python(pattern))
        .case_insensitive(case == Case::Insensitive)
        .size_limit(SIZE_LIMIT)
        .dfa_size_limit(DFA_SIZE_LIMIT)
        .nest_limit(NEST_LIMIT)
        .build()
        .map_err(failed)
}

/// Longest text in bytes that a compiled pattern can match; `None` where it has no bound.
pub(crate) fn longest_match(regex: &Regex, case: Case) -> Option<usize> {
    syntax(regex, case).and_then(|hir| hir.properties().maximum_len())
}

/// Texts with one of which every match of a compiled pattern begins; `None` where they are not known.
pub(crate) fn beginnings(regex: &Regex, case: Case) -> Option<Vec<Vec<u8>>> {
    let found = regex_syntax::hir::literal::Extractor::new().extract(&syntax(regex, case)?);
    Some(found.literals()?.iter().map(|literal| literal.as_bytes().to_vec()).collect())
}

/// What a compiled pattern was read as.
fn syntax(regex: &Regex, case: Case) -> Option<regex_syntax::hir::Hir> {
    let mut parser = regex_syntax::ParserBuilder::new();
    parser.case_insensitive(case == Case::Insensitive).build().parse(regex.as_str()).ok()
}

/// Python spells the end of the text `\Z`; the regex crate spells it `\z`.
fn from_python(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        out.push(c);
        if c == '\\' {
            match chars.next() {
                Some('Z') => out.push('z'),
                Some(escaped) => out.push(escaped),
                None => {}
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invalid_pattern_names_its_entry() {
        let error = compile("(unclosed", Case::Sensitive, "words[3]").unwrap_err();
        assert!(error.to_string().contains("`(unclosed` of words[3]"), "{error}");
    }

    #[test]
    fn equal_patterns_are_compiled_once() {
        let one = compile("shared-[a-z]+", Case::Sensitive, "words[0]").unwrap();
        let same = compile("shared-[a-z]+", Case::Sensitive, "block_patterns[7]").unwrap();
        let other = compile("shared-[a-z]+", Case::Insensitive, "words[0]").unwrap();
        assert!(Arc::ptr_eq(&one, &same) && !Arc::ptr_eq(&one, &other));
    }

    #[test]
    fn look_around_is_refused_with_the_reason() {
        let error = compile("a(?=b)", Case::Sensitive, "words[0]").unwrap_err();
        assert!(error.to_string().contains("look-around"), "{error}");
    }

    #[test]
    fn a_pattern_that_compiles_to_too_much_is_refused() {
        assert!(compile(r"(\pL{1000}){1000}", Case::Sensitive, "words[0]").is_err());
        assert!(compile(&"(".repeat(5000), Case::Sensitive, "words[0]").is_err());
    }

    #[test]
    fn pythons_end_of_text_is_understood() {
        let regex = compile(r"b\Z", Case::Sensitive, "words[0]").unwrap();
        assert!(regex.is_match("ab") && !regex.is_match("ba"));
    }

    #[test]
    fn beginnings_are_known_where_a_pattern_has_them() {
        let known = |p: &str| beginnings(&compile(p, Case::Insensitive, "x").unwrap(), Case::Insensitive);
        let drop = known(r"\bdrop\b").unwrap();
        assert!(drop.contains(&b"DROP".to_vec()) && drop.iter().all(|b| b.eq_ignore_ascii_case(b"drop")));
        assert!(known(r"\w+ table").is_none());
        assert!(known("a*").is_none_or(|found| found.contains(&Vec::new())));
    }

    #[test]
    fn longest_match_is_known_for_bounded_patterns_only() {
        let length = |p: &str| longest_match(&compile(p, Case::Sensitive, "x").unwrap(), Case::Sensitive);
        assert_eq!(length("a{2,5}b"), Some(6));
        assert_eq!(length("a+"), None);
    }
}
