//! A bound on nesting, checked without parsing.
//!
//! Skipping over raw values needs no stack, but whoever decodes them later may recurse, and peers certainly do.
//! The bound is checked once per body, before anything else looks at it.

use memchr::{memchr2, memchr2_iter};

use super::RawError;

/// How deep arrays and objects may be nested unless said otherwise. Equals what common decoders take.
pub const DEFAULT_MAX_DEPTH: usize = 128;

/// Checks that arrays and objects in a JSON text are nested at most `max` deep.
///
/// Meant for any bytes: where the text is not JSON the answer says only that no decoder would get deeper before
/// it finds out.
///
/// # Errors
/// [`RawError::TooDeep`].
pub fn check_depth(text: &[u8], max: usize) -> Result<(), RawError> {
    // Nearly every message: fewer brackets than levels allowed, strings and all.
    if memchr2_iter(b'{', b'[', text).take(max.saturating_add(1)).count() <= max {
        return Ok(());
    }
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        match byte {
            b'"' => at = end_of_string(text, at + 1),
            b'{' | b'[' => {
                depth += 1;
                if depth > max {
                    return Err(RawError::TooDeep { max });
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += 1;
    }
    Ok(())
}

/// Position of the closing quote, or the end of the text.
fn end_of_string(text: &[u8], mut at: usize) -> usize {
    while let Some(found) = text.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
        at += found;
        if text[at] == b'"' {
            return at;
        }
        at += 2;
    }
    text.len()
}
