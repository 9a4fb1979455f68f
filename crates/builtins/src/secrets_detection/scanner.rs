//! Finds secrets in a text: an automaton finds where one could begin, a check by hand says whether one does.
//!
//! Everything is linear in the text, whatever the text: a check reads a bounded stretch, or one that no other check
//! of its kind reads again.

use std::{convert::Infallible, sync::Arc};

use aho_corasick::{AhoCorasick, MatchKind};

use super::{
    config::Detector,
    runs,
    shapes::{self, Shape},
};
use crate::{leftmost, shared::Shared};

/// Longest value that the name of its member is read as a label for, in bytes.
const LABELLED_VALUE_MAX: usize = 1024;

/// A secret in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finding {
    /// First byte.
    pub start: usize,
    /// Byte after the last.
    pub end: usize,
    /// What found it.
    pub detector: Detector,
}

/// A compiled set of detectors.
#[derive(Debug)]
pub struct Scanner {
    /// Finds prefixes and what they begin; `None` where no detector has one.
    prefixes: Option<(AhoCorasick, Vec<&'static Shape>)>,
    /// Finds labels; `None` where no detector has one.
    labels: Option<(AhoCorasick, Vec<Detector>)>,
    hex: bool,
    base64: bool,
}

/// All scanners.
static SCANNERS: Shared<Vec<Detector>, Scanner> = Shared::new();

impl Scanner {
    /// The scanner of these detectors, shared with all who look for the same.
    #[must_use]
    pub fn shared(detectors: &[Detector]) -> Arc<Self> {
        let Ok(scanner) = SCANNERS.get(detectors.to_vec(), || Ok::<_, Infallible>(Self::new(detectors)));
        scanner
    }

    /// A scanner of these detectors.
    #[must_use]
    pub fn new(detectors: &[Detector]) -> Self {
        let on = |detector: Detector| detectors.contains(&detector);
        let wanted: Vec<&'static Shape> = shapes::SHAPES.iter().filter(|shape| on(shape.detector)).collect();
        let labels: Vec<_> = shapes::LABELS.iter().filter(|(_, detector)| on(*detector)).collect();
        Self {
            prefixes: automaton(wanted.iter().map(|shape| shape.prefix), false).map(|found| (found, wanted)),
            labels: automaton(labels.iter().map(|(label, _)| *label), true)
                .map(|found| (found, labels.iter().map(|(_, detector)| *detector).collect())),
            hex: on(Detector::HexSecret),
            base64: on(Detector::Base64),
        }
    }

    /// A scanner of all detectors that are on by default, and of JSON web tokens and labelled keys.
    #[must_use]
    pub fn broad() -> Arc<Self> {
        let on: Vec<Detector> = Detector::ALL
            .into_iter()
            .filter(|detector| !matches!(detector, Detector::HexSecret | Detector::Base64))
            .collect();
        Self::shared(&on)
    }

    /// All secrets of a text, in order and without overlap. `key` is the name of the member whose value the text is;
    /// it counts as a label in front of it.
    #[must_use]
    pub fn find(&self, text: &str, key: &str) -> Vec<Finding> {
        let bytes = text.as_bytes();
        let mut found = Vec::new();
        self.by_prefix(bytes, &mut found);
        self.by_label(bytes, &mut found);
        if self.labels.is_some() && !key.is_empty() && bytes.len() <= LABELLED_VALUE_MAX {
            self.by_key(text, key, &mut found);
        }
        if self.hex {
            runs::hex(bytes, |start, end| found.push(Finding { start, end, detector: Detector::HexSecret }));
        }
        if self.base64 {
            runs::base64(bytes, |start, end| found.push(Finding { start, end, detector: Detector::Base64 }));
        }
        leftmost::resolve(&mut found, |f| f.start..f.end, |f| f.detector);
        found
    }

    fn by_prefix(&self, bytes: &[u8], found: &mut Vec<Finding>) {
        let Some((automaton, shapes)) = &self.prefixes else { return };
        let mut ends = shapes::KeyEnds::default();
        let mut covered = 0;
        for hit in automaton.find_iter(bytes) {
            let shape = shapes[hit.pattern().as_usize()];
            if hit.start() < covered {
                continue;
            }
            if let Some(end) = shape.end(bytes, hit.start(), &mut ends) {
                found.push(Finding { start: hit.start(), end, detector: shape.detector });
                covered = end;
            }
        }
    }

    fn by_label(&self, bytes: &[u8], found: &mut Vec<Finding>) {
        let Some((automaton, detectors)) = &self.labels else { return };
        for hit in automaton.find_iter(bytes) {
            let detector = detectors[hit.pattern().as_usize()];
            if let Some((start, end)) = shapes::labelled(bytes, hit.end(), detector) {
                found.push(Finding { start, end, detector });
            }
        }
    }

    /// Reads `{"api_key": "…"}` as `api_key=…`.
    fn by_key(&self, text: &str, key: &str, found: &mut Vec<Finding>) {
        let Some((automaton, _)) = &self.labels else { return };
        if automaton.find(key).is_none() {
            return;
        }
        let joined = format!("{key}={text}");
        let mut inside = Vec::new();
        self.by_label(joined.as_bytes(), &mut inside);
        let before = key.len() + 1;
        let value = |f: Finding| {
            (f.start >= before).then(|| Finding { start: f.start - before, end: f.end - before, ..f })
        };
        found.extend(inside.into_iter().filter_map(value));
    }
}

fn automaton(words: impl Iterator<Item = &'static str>, any_case: bool) -> Option<AhoCorasick> {
    let words: Vec<&str> = words.collect();
    if words.is_empty() {
        return None;
    }
    let built = AhoCorasick::builder()
        .match_kind(MatchKind::LeftmostLongest)
        .ascii_case_insensitive(any_case)
        .build(&words);
    #[expect(
        clippy::expect_used,
        reason = "two dozen short constant words never exceed the automaton's limits"
    )]
    Some(built.expect("constant words make an automaton"))
}
