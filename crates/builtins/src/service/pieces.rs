//! The texts of a payload, cut into pieces that a model can take.
//!
//! A text that is longer than a model looks at is cut and not cut off: what stands behind the limit is judged too. How
//! much is judged in all is bounded, and what is beyond that is no verdict.

use std::{ops::ControlFlow, ops::Range};

use mortise_plugin_api::{Payload, PluginError, TextId};

/// A piece of a text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    /// Which text.
    pub(crate) id: TextId,
    /// Which bytes of it.
    pub(crate) range: Range<usize>,
    /// What stands there.
    pub(crate) text: String,
}

/// All texts in pieces of at most `longest` characters; blank ones are left out.
///
/// # Errors
/// More than `most` bytes of text.
pub(crate) fn of(payload: &dyn Payload, longest: usize, most: usize) -> Result<Vec<Piece>, PluginError> {
    let (mut pieces, mut bytes) = (Vec::new(), 0_usize);
    payload.texts(&mut |part| {
        bytes = bytes.saturating_add(part.text.len());
        if bytes > most {
            return ControlFlow::Break(());
        }
        for range in ranges(&part.text, longest) {
            let text = part.text.get(range.clone()).unwrap_or_default();
            if !text.trim().is_empty() {
                pieces.push(Piece { id: part.id, range, text: text.to_owned() });
            }
        }
        ControlFlow::Continue(())
    });
    if bytes > most { Err(too_much(most)) } else { Ok(pieces) }
}

/// All texts as one, a line each, in pieces of at most `longest` characters that overlap a little.
///
/// # Errors
/// More than `most` bytes of text.
pub(crate) fn joined(payload: &dyn Payload, longest: usize, most: usize) -> Result<Vec<String>, PluginError> {
    let mut whole = String::new();
    payload.texts(&mut |part| {
        if !part.text.trim().is_empty() {
            whole.push_str(&part.text);
            whole.push('\n');
        }
        if whole.len() > most { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    if whole.len() > most {
        return Err(too_much(most));
    }
    let whole = whole.trim_end();
    // What a cut divides is whole in one of two pieces, unless it is long.
    let overlap = longest / 10;
    let ends: Vec<usize> = ranges(whole, longest - overlap).map(|range| range.end).collect();
    let mut start = 0;
    let mut pieces = Vec::with_capacity(ends.len());
    for end in ends {
        pieces.push(whole.get(start..end).unwrap_or_default().to_owned());
        start = back(whole, end, overlap);
    }
    Ok(pieces)
}

fn too_much(most: usize) -> PluginError {
    PluginError::failed(format!("there are more than {most} bytes of text, which is more than is judged"))
}

/// Where a text is cut into pieces of at most `longest` characters.
fn ranges(text: &str, longest: usize) -> impl Iterator<Item = Range<usize>> + '_ {
    let longest = longest.max(1);
    let mut start = 0;
    std::iter::from_fn(move || {
        let rest = text.get(start..).filter(|rest| !rest.is_empty())?;
        let end = rest.char_indices().nth(longest).map_or(text.len(), |(at, _)| start + at);
        let range = start..end;
        start = end;
        Some(range)
    })
}

/// Where `count` characters before `end` begin.
fn back(text: &str, end: usize, count: usize) -> usize {
    let before = text.get(..end).unwrap_or_default();
    before.char_indices().rev().take(count).last().map_or(end, |(at, _)| at)
}
