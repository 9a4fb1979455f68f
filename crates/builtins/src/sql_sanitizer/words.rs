//! Tells fast whether any of a few words is in a text, whatever the case of its ASCII letters.
//!
//! Nearly every argument has none, so this is what the sanitizer costs. A vector search over sixteen or more bytes at
//! once knows no letter case; so the text goes through a small buffer in lower case. Where the processor has no such
//! search, or the words are too many for it, an automaton reads the text byte by byte.

use std::sync::Arc;

use aho_corasick::{AhoCorasick, AhoCorasickKind, packed};

use crate::shared::Shared;

/// Bytes that are made lower case at a time.
const CHUNK: usize = 1024;

/// Compiled words.
#[derive(Debug)]
pub(super) enum Words {
    /// The search, and the length of the longest word.
    Packed(packed::Searcher, usize),
    Automaton(AhoCorasick),
}

/// All compiled words.
static WORDS: Shared<Vec<Vec<u8>>, Words> = Shared::new();

impl Words {
    /// Compiles words, in lower case, or shares what somebody has of them. `None` where they are too many for either
    /// search.
    pub(super) fn new(mut words: Vec<Vec<u8>>) -> Option<Arc<Self>> {
        words.sort_unstable();
        words.dedup();
        WORDS.get(words.clone(), || Self::compile(&words).ok_or(())).ok()
    }

    fn compile(words: &[Vec<u8>]) -> Option<Self> {
        let longest = words.iter().map(Vec::len).max().unwrap_or(0);
        let packed = packed::Config::new().builder().extend(words).build();
        match packed.filter(|_| longest < CHUNK / 4) {
            Some(searcher) => Some(Self::Packed(searcher, longest)),
            None => Self::automaton(words),
        }
    }

    fn automaton(words: &[Vec<u8>]) -> Option<Self> {
        let mut builder = AhoCorasick::builder();
        let builder = builder.ascii_case_insensitive(true).kind(Some(AhoCorasickKind::DFA));
        builder.build(words).ok().map(Self::Automaton)
    }

    /// Whether one of the words is in `text`.
    pub(super) fn any_in(&self, text: &str) -> bool {
        match self {
            Self::Packed(searcher, longest) => any_in(searcher, *longest, text.as_bytes()),
            Self::Automaton(words) => words.is_match(text),
        }
    }
}

fn any_in(searcher: &packed::Searcher, longest: usize, text: &[u8]) -> bool {
    let mut lower = [0; CHUNK];
    let mut at = 0;
    loop {
        let piece = &text[at..text.len().min(at + CHUNK)];
        let lower = &mut lower[..piece.len()];
        for (to, b) in lower.iter_mut().zip(piece) {
            *to = b.to_ascii_lowercase();
        }
        if searcher.find(&*lower).is_some() {
            return true;
        }
        if at + piece.len() == text.len() {
            return false;
        }
        // A word that the border cuts is whole in the next piece.
        at += CHUNK - longest.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words() -> Vec<Vec<u8>> {
        ["drop", "delete", "alter", "revo\u{212a}e"].map(|word| word.as_bytes().to_vec()).to_vec()
    }

    #[test]
    fn a_word_is_found_wherever_it_lies() {
        let words = Words::new(words()).unwrap();
        for pad in (0..40).chain(CHUNK - 20..CHUNK + 20).chain(3 * CHUNK - 20..3 * CHUNK + 20) {
            assert!(words.any_in(&format!("{}dElEtE{}", "x".repeat(pad), "y".repeat(pad))), "{pad}");
            assert!(!words.any_in(&format!("{}delet{}", "x".repeat(pad), "y".repeat(pad))), "{pad}");
        }
    }

    #[test]
    fn no_words_are_in_nothing() {
        assert!(!Words::new(Vec::new()).unwrap().any_in("drop"));
    }

    proptest! {
        #[test]
        fn both_searches_agree(text in "[dropDROPeletaALKx\u{212a}]{0,60}", pad in 0usize..2100) {
            let text = format!("{}{text}", "-".repeat(pad));
            let automaton = Words::automaton(&words()).unwrap();
            prop_assert_eq!(Words::new(words()).unwrap().any_in(&text), automaton.any_in(&text));
        }
    }
}
