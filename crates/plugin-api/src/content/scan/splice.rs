//! Putting edited text values back into JSON text.
//!
//! Nothing is parsed into a tree and written again: values that are not edited, and of a value written without escapes
//! the parts that are not, keep their bytes.

use std::{borrow::Cow, ops::ControlFlow};

use bytes::Bytes;

use super::{Select, walk};
use crate::content::edits::{Edit, EditError, Edits, TextId, apply, pieces};

/// The same JSON with some text values replaced and every other byte kept; `None` where no edit is for one of them.
/// Also how many text values there are. They are numbered from `base` in `edits`.
///
/// # Errors
/// When an edit names bytes that are not there.
pub fn splice(
    json: &[u8],
    root: Select,
    edits: &Edits,
    base: u32,
) -> Result<(Option<Bytes>, u32), EditError> {
    let mut rest = edits.from(TextId(base));
    let mut out = Vec::new();
    let (mut done, mut count, mut failed) = (0, 0, None);
    walk(json, root, |spot, _| {
        count = spot.number + 1;
        let id = TextId(base + spot.number);
        let mine;
        (mine, rest) = rest.split_at(rest.partition_point(|edit| edit.text == id));
        if mine.is_empty() {
            return ControlFlow::Continue(());
        }
        if out.is_empty() {
            let longer: usize = rest.iter().chain(mine).map(|edit| edit.with.len()).sum();
            out.reserve(json.len() + longer);
        }
        out.extend_from_slice(&json[done..spot.start()]);
        done = spot.end(json);
        let text = spot.found(json).text;
        let plain = matches!(text, Cow::Borrowed(_));
        match write_edited(&text, plain, mine, &mut out) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        }
    });
    if let Some(error) = failed {
        return Err(error);
    }
    if done == 0 {
        return Ok((None, count));
    }
    out.extend_from_slice(&json[done..]);
    Ok((Some(out.into()), count))
}

/// Writes a string with edits applied. What was `plain`, that is written without escapes, needs none now, but for the
/// edits.
fn write_edited(text: &str, plain: bool, edits: &[Edit], out: &mut Vec<u8>) -> Result<(), EditError> {
    if !plain {
        write_string(&apply(text, edits)?, out);
        return Ok(());
    }
    out.push(b'"');
    pieces(text, edits, |piece, new| match new {
        true if needs_escape(piece) => {
            let mut quoted = Vec::with_capacity(piece.len() + 16);
            write_string(piece, &mut quoted);
            out.extend_from_slice(&quoted[1..quoted.len() - 1]);
        }
        _ => out.extend_from_slice(piece.as_bytes()),
    })?;
    out.push(b'"');
    Ok(())
}

fn needs_escape(text: &str) -> bool {
    // Without branches, so that the compiler makes vector instructions of it.
    text.bytes().fold(false, |found, b| found | (b < b' ') | (b == b'"') | (b == b'\\'))
}

fn write_string(text: &str, out: &mut Vec<u8>) {
    // Writing a string to memory cannot fail.
    let _ = serde_json::to_writer(out, text);
}
