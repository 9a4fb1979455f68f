//! A JSON array that comes in item by item.
//!
//! A frame is an item with what stands before it: the bracket that opens the array, or a comma.

use bytes::Bytes;
use memchr::memchr2;

use super::{
    Cut,
    frame::{Form, Frame},
};

/// How far an unfinished item was looked through.
#[derive(Debug, Default)]
pub(super) struct Place {
    at: usize,
    /// Open brackets within the array; its own is not counted.
    depth: usize,
    within_text: bool,
}

impl Place {
    /// The end of the first item that is an object.
    pub(super) fn find(&mut self, held: &[u8]) -> Cut {
        while let Some(&byte) = held.get(self.at) {
            if self.within_text {
                let Some(found) = memchr2(b'"', b'\\', &held[self.at..]) else {
                    self.at = held.len();
                    break;
                };
                self.at += found;
                if held[self.at] == b'"' {
                    self.within_text = false;
                    self.at += 1;
                } else if self.at + 1 < held.len() {
                    self.at += 2;
                } else {
                    break;
                }
                continue;
            }
            self.at += 1;
            match byte {
                b'"' => self.within_text = true,
                b'{' => self.depth += 1,
                b'[' if self.depth > 0 => self.depth += 1,
                b'}' | b']' if self.depth > 0 => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        let end = self.at;
                        *self = Self::default();
                        return Cut::At(end);
                    }
                }
                _ => {}
            }
        }
        Cut::More
    }
}

/// The item, from its brace on.
pub(super) fn frame(raw: Bytes) -> Frame {
    match memchr::memchr(b'{', &raw) {
        Some(start) => {
            Frame { data: raw.slice(start..), name: None, form: Form::Piece(start..raw.len()), raw }
        }
        None => Frame { raw, name: None, data: Bytes::new(), form: Form::Lines },
    }
}
