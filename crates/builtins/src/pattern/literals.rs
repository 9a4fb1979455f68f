//! Patterns that stand for a few plain texts, such as `colou?r` or `foo|foobar`, searched without a regex engine.
//!
//! Most patterns of replacement lists are such. For them a regex engine finds each match in three steps (a candidate,
//! its end, its start); here the beginning that all texts share is searched, and then compared.

use memchr::memmem::Finder;
use regex::Regex;
use regex_syntax::hir::{Hir, literal::Extractor};
use std::ops::Range;

use super::{Case, syntax};

/// Most texts that are compared at one place.
const MAX_TEXTS: usize = 16;

/// A finite set of texts with a common beginning.
#[derive(Debug)]
pub(super) struct Literals {
    beginning: Finder<'static>,
    /// In order of preference, as a regex engine has it: of those that match at one place the first counts.
    texts: Vec<Vec<u8>>,
}

impl Literals {
    /// The texts that a compiled pattern stands for; `None` where it stands for more than a few, or looks around.
    pub(super) fn of(regex: &Regex, case: Case) -> Option<Self> {
        let hir: Hir = syntax(regex, case)?;
        if !hir.properties().look_set().is_empty() {
            return None;
        }
        let found = Extractor::new().extract(&hir);
        let literals = found.literals().filter(|all| all.len() <= MAX_TEXTS && found.is_exact())?;
        let texts: Vec<Vec<u8>> = literals.iter().map(|literal| literal.as_bytes().to_vec()).collect();
        let beginning = found.longest_common_prefix().filter(|beginning| beginning.len() > 1)?;
        Some(Self { beginning: Finder::new(beginning).into_owned(), texts })
    }

    /// The first match that begins at `from` or later.
    pub(super) fn find_at(&self, text: &str, from: usize) -> Option<Range<usize>> {
        let bytes = text.as_bytes();
        let mut at = from;
        loop {
            at += self.beginning.find(bytes.get(at..)?)?;
            if let Some(matched) = self.texts.iter().find(|text| bytes[at..].starts_with(text)) {
                return Some(at..at + matched.len());
            }
            at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::pattern::compile;

    #[test]
    fn only_plain_texts_are_taken_for_some() {
        let known = |pattern: &str, case| Literals::of(&compile(pattern, case, "x").unwrap(), case).is_some();
        for pattern in ["lazy dogs?", "colou?r", "foo|foobar", "(ab)c", "ab{2}", "ab[cd]"] {
            assert!(known(pattern, Case::Sensitive), "{pattern}");
        }
        for pattern in [r"\bab\b", "ab+", "a?", "", "ab|cd", "^ab", "ab$", "ab.", "a|", "ab*", "ab{1,3}"] {
            assert!(!known(pattern, Case::Sensitive), "{pattern}");
        }
        assert!(!known("dog", Case::Insensitive));
    }

    proptest! {
        #[test]
        fn matches_are_those_of_the_regex_engine(
            pattern in prop::sample::select(vec![
                "abab?", "ab|abc|abcd", "abcd|abc|ab", "ab(c|cd)??", "aa", "aab?a", "ab{2}", "ab[ac]", "é(a|b)?",
            ]),
            text in "[abcdé]{0,40}",
        ) {
            let regex = compile(pattern, Case::Sensitive, "x").unwrap();
            let literals = Literals::of(&regex, Case::Sensitive).unwrap();
            for from in (0..=text.len()).filter(|at| text.is_char_boundary(*at)) {
                let expected = regex.find_at(&text, from).map(|found| found.range());
                prop_assert_eq!(literals.find_at(&text, from), expected, "{} from {}", pattern, from);
            }
        }
    }
}
