//! Where a text is cut.

use unicode_segmentation::{GraphemeCursor, UnicodeSegmentation};

use super::config::{Config, LimitMode};

/// Bytes looked back at for the border of what a reader sees as one character. Longer sequences are made to hurt.
const GRAPHEME_REACH: usize = 128;

/// Limits in characters, and how to cut.
#[derive(Debug)]
pub(super) struct Limits {
    /// Fewest characters.
    pub(super) min: usize,
    /// Most characters.
    pub(super) max: usize,
    ellipsis: String,
    words: bool,
}

impl Limits {
    pub(super) fn new(config: &Config) -> Self {
        let (min, max) = match config.limit_mode {
            LimitMode::Character => (config.min_chars, config.max_chars),
            LimitMode::Token => (
                // One character begins a token, so the fewest characters of n tokens are those of n - 1 full ones and one.
                config.min_tokens.checked_sub(1).map_or(0, |n| n.saturating_mul(config.chars_per_token) + 1),
                config.max_tokens.map(|n| n.saturating_mul(config.chars_per_token)),
            ),
        };
        let max = max.unwrap_or(usize::MAX).min(config.max_text_length);
        Self { min, max, ellipsis: config.ellipsis.clone(), words: config.word_boundary }
    }

    /// Whether a text of so many bytes is within bounds whatever its characters are: most texts need no counting.
    pub(super) fn surely_within(&self, bytes: usize) -> bool {
        bytes <= self.max && bytes >= self.min.saturating_mul(4)
    }

    /// How many bytes of a text that is too long stay, and what stands behind them.
    pub(super) fn cut<'a>(&'a self, text: &str) -> (usize, &'a str) {
        let ellipsis = self.ellipsis.chars().count();
        // An ellipsis longer than what may stay would be all that is left.
        let (room, ellipsis) =
            if ellipsis < self.max { (self.max - ellipsis, self.ellipsis.as_str()) } else { (self.max, "") };
        let end = text.char_indices().nth(room).map_or(text.len(), |(i, _)| i);
        let end = whole_graphemes(text, end);
        let end = if self.words { whole_words(text, end) } else { end };
        (end, ellipsis)
    }
}

fn whole_graphemes(text: &str, end: usize) -> usize {
    let from = text.floor_char_boundary(end.saturating_sub(GRAPHEME_REACH));
    let to = text.floor_char_boundary((end + GRAPHEME_REACH).min(text.len()));
    let near = &text[from..to];
    let at = end - from;
    let mut cursor = GraphemeCursor::new(at, near.len(), true);
    if cursor.is_boundary(near, 0) == Ok(true) {
        return end;
    }
    let before = near[..at].grapheme_indices(true).next_back().map_or(0, |(i, _)| i);
    // No border in reach: then the text is none that anybody reads.
    if before == 0 && from > 0 { end } else { from + before }
}

/// The end of the last whole word, where giving up less than a fifth reaches one.
fn whole_words(text: &str, end: usize) -> usize {
    if text[end..].starts_with(char::is_whitespace) {
        return end;
    }
    let kept = &text[..end];
    match kept.rfind(char::is_whitespace) {
        Some(space) if space >= end - end / 5 => kept[..space].trim_end().len(),
        _ => end,
    }
}
