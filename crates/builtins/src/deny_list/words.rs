//! Finds any of many words in a text, whatever the case of their letters.

use std::sync::Arc;

use aho_corasick::AhoCorasick;
use mortise_plugin_api::BuildError;

use crate::shared::Shared;

/// A compiled list of words.
#[derive(Debug)]
pub(super) struct Words {
    words: Vec<String>,
    automaton: AhoCorasick,
    longest: usize,
}

/// All lists.
static LISTS: Shared<Vec<String>, Words> = Shared::new();

impl Words {
    /// The compiled list, shared with all who have the same.
    pub(super) fn shared(words: &[String]) -> Result<Arc<Self>, BuildError> {
        LISTS.get(words.to_vec(), || Self::new(words))
    }

    /// Compiles the list. An empty word is an error, since every text contains it.
    pub(super) fn new(words: &[String]) -> Result<Self, BuildError> {
        if let Some(i) = words.iter().position(String::is_empty) {
            return Err(BuildError::new(format!("words[{i}]"), "an empty word would block every call"));
        }
        let lower: Vec<String> = words.iter().map(|w| w.to_lowercase()).collect();
        let automaton = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .build(&lower)
            .map_err(|error| BuildError::new("words", format!("too many words to compile: {error}")))?;
        // A letter and its lower case can differ in length: three bytes and one at the most.
        let longest = lower.iter().map(|w| w.len() * 3).max().unwrap_or(1);
        Ok(Self { words: words.to_vec(), automaton, longest })
    }

    /// Longest text in bytes that a word can stand for.
    pub(super) fn longest(&self) -> usize {
        self.longest
    }

    /// A word as it was given.
    pub(super) fn get(&self, index: usize) -> &str {
        &self.words[index]
    }

    /// The words that `text` contains, each once, in the order of the list.
    pub(super) fn find(&self, text: &str) -> Vec<usize> {
        // Letters beyond ASCII change their case by tables: there a lower-case copy is searched.
        if text.is_ascii() { self.search(text) } else { self.search(&text.to_lowercase()) }
    }

    fn search(&self, text: &str) -> Vec<usize> {
        if !self.automaton.is_match(text) {
            return Vec::new();
        }
        let mut seen = vec![false; self.words.len()];
        let mut left = self.words.len();
        for found in self.automaton.find_overlapping_iter(text) {
            let index = found.pattern().as_usize();
            if !seen[index] {
                seen[index] = true;
                left -= 1;
                if left == 0 {
                    break;
                }
            }
        }
        seen.iter().enumerate().filter(|(_, seen)| **seen).map(|(i, _)| i).collect()
    }
}
