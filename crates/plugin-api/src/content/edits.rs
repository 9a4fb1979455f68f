//! Replacements of text in a payload.

use std::ops::Range;

/// Number of a text part within one revision of a payload, in the order the content view shows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TextId(pub u32);

/// One replacement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// Which text.
    pub text: TextId,
    /// Which bytes of it; both ends lie on character boundaries.
    pub range: Range<usize>,
    /// What stands there afterwards.
    pub with: Box<str>,
}

/// Replacements of one call, by text and position.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edits(Vec<Edit>);

/// Why replacements cannot be applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// There is no text of that number.
    #[error("there is no text {0} in this payload")]
    NoSuchText(u32),
    /// The bytes named are outside the text or cut a character.
    #[error("bytes {start}..{end} are no range of text {text}, which has {len} bytes")]
    NoSuchRange {
        /// The text.
        text: u32,
        /// First byte.
        start: usize,
        /// Byte after the last.
        end: usize,
        /// Length of the text.
        len: usize,
    },
    /// Two replacements overlap.
    #[error("two replacements overlap in text {0}")]
    Overlap(u32),
}

impl Edits {
    /// No replacements.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Replaces `range` of `text`.
    pub fn replace(&mut self, text: TextId, range: Range<usize>, with: impl Into<Box<str>>) {
        let edit = Edit { text, range, with: with.into() };
        let key = |e: &Edit| (e.text, e.range.start, e.range.end);
        // Scanners report in order, so this is an append in nearly every case.
        let at = match self.0.last() {
            Some(last) if key(last) > key(&edit) => self.0.partition_point(|e| key(e) <= key(&edit)),
            _ => self.0.len(),
        };
        self.0.insert(at, edit);
    }

    /// Replaces all of `text`, whose length is `len`.
    pub fn replace_all(&mut self, text: TextId, len: usize, with: impl Into<Box<str>>) {
        self.replace(text, 0..len, with);
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// All, sorted by text and position.
    pub fn iter(&self) -> std::slice::Iter<'_, Edit> {
        self.0.iter()
    }

    /// Those of one text.
    pub fn of(&self, text: TextId) -> &[Edit] {
        let from = self.0.partition_point(|e| e.text < text);
        let to = self.0.partition_point(|e| e.text <= text);
        &self.0[from..to]
    }

    /// The highest text number named, if any.
    pub fn last_text(&self) -> Option<TextId> {
        self.0.last().map(|e| e.text)
    }

    /// Those of `text` and the texts after it.
    pub(crate) fn from(&self, text: TextId) -> &[Edit] {
        &self.0[self.0.partition_point(|e| e.text < text)..]
    }
}

/// Applies the edits of one text to it.
///
/// # Errors
/// When an edit lies outside the text, cuts a character, or overlaps another.
pub fn apply(text: &str, edits: &[Edit]) -> Result<String, EditError> {
    let mut out = String::with_capacity(text.len() + edits.iter().map(|edit| edit.with.len()).sum::<usize>());
    pieces(text, edits, |piece, _| out.push_str(piece))?;
    Ok(out)
}

/// Shows what a text is made of after its edits, piece by piece, and whether a piece is new.
pub(crate) fn pieces(text: &str, edits: &[Edit], mut take: impl FnMut(&str, bool)) -> Result<(), EditError> {
    let mut done = 0;
    for edit in edits {
        let Range { start, end } = edit.range;
        if start > end || text.get(start..end).is_none() {
            return Err(EditError::NoSuchRange { text: edit.text.0, start, end, len: text.len() });
        }
        if start < done {
            return Err(EditError::Overlap(edit.text.0));
        }
        take(&text[done..start], false);
        take(&edit.with, true);
        done = end;
    }
    take(&text[done..], false);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_apply_in_any_order_they_were_given() {
        let mut edits = Edits::new();
        edits.replace(TextId(0), 6..11, "there");
        edits.replace(TextId(0), 0..5, "hi");
        edits.replace(TextId(1), 0..1, "x");
        assert_eq!(apply("hello world", edits.of(TextId(0))).unwrap(), "hi there");
        assert_eq!(edits.of(TextId(1)).len(), 1);
    }

    #[test]
    fn impossible_edits_are_errors() {
        let edit = |range: Range<usize>| Edit { text: TextId(3), range, with: "".into() };
        assert!(matches!(apply("é", &[edit(0..1)]), Err(EditError::NoSuchRange { text: 3, .. })));
        assert!(matches!(apply("ab", &[edit(0..9)]), Err(EditError::NoSuchRange { .. })));
        assert_eq!(apply("abcd", &[edit(0..3), edit(2..4)]), Err(EditError::Overlap(3)));
    }
}
