//! Streamed text in windows.
//!
//! A text arrives in chunks of any size; a secret may be split over two of them. [`Windows`] holds back just
//! enough that every match of up to `longest_match` bytes is seen in one piece before any of it goes out, and
//! gives the same result however the text was split.
//!
//! How: the held text is shown whole. A match that starts at least `longest_match + 1` bytes before its end is
//! certain (nothing that follows can lengthen it, and one byte of look-ahead is there); its edit is taken.
//! What starts later is not certain: its edit is ignored and it is shown again, with more text behind it. What
//! lies before the first uncertain byte goes out. Replaced text goes out at once and is not shown again. Only the
//! last character that went out stays in view as context, so that word boundaries are told as in the whole text.

use super::edits::{Edits, TextId};

/// Splits one streamed text into windows.
#[derive(Debug)]
pub struct Windows {
    /// Text in view: `context` bytes that have gone out, then what is held.
    text: String,
    context: usize,
    longest: usize,
    /// Text with edits applied, on its way out.
    out: String,
}

impl Windows {
    /// Windows that show any match of up to `longest_match` bytes whole.
    pub fn new(longest_match: usize) -> Self {
        Self { text: String::new(), context: 0, longest: longest_match.max(1), out: String::new() }
    }

    /// Takes the next chunk. Returns whether there is a window worth looking at.
    pub fn push(&mut self, chunk: &str) -> bool {
        self.text.push_str(chunk);
        self.text.len() - self.context > self.longest + 1
    }

    /// The window to decide on: the text, and how many bytes at its start have gone out already.
    pub fn view(&self) -> (&str, usize) {
        (&self.text, self.context)
    }

    /// Takes the edits for the window (text id 0, positions in [`view`](Windows::view)) and returns the text that
    /// may go out now. `last` says that nothing follows, so everything goes out.
    pub fn settle(&mut self, edits: &Edits, last: bool) -> &str {
        self.out.clear();
        let mut cut = if last {
            self.text.len()
        } else {
            let certain = self.text.len().saturating_sub(self.longest + 1).max(self.context);
            self.text.floor_char_boundary(certain).max(self.context)
        };
        let mut done = self.context;
        for edit in edits.of(TextId(0)) {
            let range = edit.range.clone();
            let usable =
                range.start >= done && range.start < cut.max(done + usize::from(last && range.is_empty()));
            if !usable || self.text.get(range.clone()).is_none() {
                continue;
            }
            self.out.push_str(&self.text[done..range.start]);
            self.out.push_str(&edit.with);
            done = range.end;
            cut = cut.max(done);
        }
        self.out.push_str(&self.text[done..cut]);
        let keep = self.text.floor_char_boundary(cut.saturating_sub(1));
        self.text.drain(..keep);
        self.context = cut - keep;
        &self.out
    }

    /// Bytes held back at the moment.
    pub fn held(&self) -> usize {
        self.text.len() - self.context
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A scanner for `\bd{3,6}\b`-like digit runs: leftmost, longest, word boundaries on both sides.
    fn digit_runs(text: &str, from: usize) -> Edits {
        let bytes = text.as_bytes();
        let word = |b: u8| b.is_ascii_alphanumeric();
        let mut edits = Edits::new();
        let mut at = from;
        while at < bytes.len() {
            let run = bytes[at..].iter().take_while(|b| b.is_ascii_digit()).count();
            let before = at > 0 && word(bytes[at - 1]);
            let after = bytes.get(at + run).is_some_and(|b| word(*b));
            if (3..=6).contains(&run) && !before && !after {
                edits.replace(TextId(0), at..at + run, "#");
            }
            at += run.max(1);
        }
        edits
    }

    fn streamed(chunks: &[&str]) -> String {
        let mut windows = Windows::new(6);
        let mut out = String::new();
        for chunk in chunks {
            if windows.push(chunk) {
                let (text, context) = windows.view();
                let edits = digit_runs(text, context);
                out.push_str(windows.settle(&edits, false));
            }
        }
        let (text, context) = windows.view();
        let edits = digit_runs(text, context);
        out.push_str(windows.settle(&edits, true));
        out
    }

    #[test]
    fn a_secret_split_over_chunks_is_found() {
        assert_eq!(
            streamed(&["call 12", "34", "5 now, please and thank you"]),
            "call # now, please and thank you"
        );
    }

    #[test]
    fn text_goes_out_before_the_end() {
        let mut windows = Windows::new(6);
        assert!(windows.push("a long harmless text"));
        let sent = windows.settle(&Edits::new(), false).to_owned();
        assert_eq!(sent, "a long harmle");
        assert_eq!(windows.held(), 7);
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_answer(
            text in "[a-c0-9 é]{0,60}",
            cuts in prop::collection::vec(0usize..60, 0..12),
        ) {
            let whole = {
                let edits = digit_runs(&text, 0);
                crate::content::edits::apply(&text, edits.of(TextId(0))).unwrap()
            };
            let mut cuts: Vec<usize> = cuts.into_iter().map(|c| text.floor_char_boundary(c)).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let chunks: Vec<&str> = cuts.windows(2).map(|w| &text[w[0]..w[1]]).collect();
            prop_assert_eq!(streamed(&chunks), whole);
        }
    }
}
