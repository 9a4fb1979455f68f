//! Server-sent events, cut at blank lines.
//!
//! By the rules of the HTML standard (line ends LF, CRLF or CR, byte order mark, comments, several `data` lines), but
//! that nothing is taken out of the bytes: a frame is an event with its blank line, or a run of comments with theirs.
//! A CR at the end of what is there waits for the byte behind it, which may belong to the same line end.

use bytes::Bytes;
use memchr::memchr2;

use super::{
    Cut,
    frame::{Form, Frame},
};

/// How far an unfinished event was looked through.
#[derive(Debug, Default)]
pub(super) struct Place {
    /// Where the line begins that has not ended yet.
    line: usize,
    /// Up to where that line holds no line end.
    seen: usize,
}

impl Place {
    /// The end of the first event.
    pub(super) fn find(&mut self, held: &[u8]) -> Cut {
        while let Some(found) = memchr2(b'\n', b'\r', held.get(self.seen..).unwrap_or_default()) {
            let end = self.seen + found;
            let next = match (held[end], held.get(end + 1)) {
                (b'\r', Some(b'\n')) => end + 2,
                (b'\r', None) => {
                    self.seen = end;
                    return Cut::More;
                }
                _ => end + 1,
            };
            let blank = end == self.line;
            (self.line, self.seen) = (next, next);
            if blank {
                *self = Self::default();
                return Cut::At(next);
            }
        }
        self.seen = held.len();
        Cut::More
    }
}

/// Reads the fields of an event.
pub(super) fn frame(raw: Bytes) -> Frame {
    let mut name = None;
    let mut pieces: smallvec::SmallVec<[std::ops::Range<usize>; 2]> = smallvec::SmallVec::new();
    let mut at = if raw.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
    while at < raw.len() {
        let end = memchr2(b'\n', b'\r', &raw[at..]).map_or(raw.len(), |found| at + found);
        let line = &raw[at..end];
        let (field, value) = match memchr::memchr(b':', line) {
            Some(colon) => {
                let gap = usize::from(line.get(colon + 1) == Some(&b' '));
                (&line[..colon], at + colon + 1 + gap..end)
            }
            None => (line, end..end),
        };
        match field {
            b"data" => pieces.push(value),
            b"event" => name = Some(String::from_utf8_lossy(&raw[value]).into_owned().into_boxed_str()),
            _ => {}
        }
        at = end + 1;
    }
    let name = name.filter(|name| !name.is_empty());
    match pieces.as_slice() {
        [] => Frame { raw, name, data: Bytes::new(), form: Form::Lines },
        [one] => Frame { data: raw.slice(one.clone()), name, form: Form::Piece(one.clone()), raw },
        several => {
            let lines: Vec<&[u8]> = several.iter().map(|piece| &raw[piece.clone()]).collect();
            let data = lines.join(&b'\n').into();
            Frame { raw, name, data, form: Form::Lines }
        }
    }
}
