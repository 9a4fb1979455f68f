//! Messages as lines, the way they travel over the pipes of a subprocess.
//!
//! A line is one JSON value and a line feed. Programs also write what is no message to their standard output
//! (banners, stray prints), so a bad line is an error of its own and the next line is read as if nothing had
//! been.

use bytes::{Bytes, BytesMut};
use memchr::memchr;

use crate::envelope::{Body, EnvelopeError, Limits, Message, write_message};
use crate::raw;

/// Why a line is no message.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LineError {
    /// The line is longer than allowed; all of it is skipped.
    #[error("could not take a line of more than {max} bytes")]
    TooLong {
        /// The limit.
        max: usize,
    },
    /// The line does not begin like a JSON object or array. Its text is not shown: it may hold anything.
    #[error("could not read a line of {length} bytes: it is no JSON object")]
    NotJson {
        /// Bytes of the line.
        length: usize,
    },
    /// The line is JSON, or nearly so, but no message.
    #[error("could not read a line as a message")]
    Envelope(#[source] EnvelopeError),
}

/// Cuts a byte stream into lines. Holds at most one unfinished line of the largest size.
#[derive(Debug)]
pub struct LineDecoder {
    max: usize,
    buffer: BytesMut,
    /// How much of the buffer is known to hold no line feed.
    searched: usize,
    /// Within a line that was too long; it is skipped up to its end.
    skipping: bool,
}

impl LineDecoder {
    /// A decoder for lines of at most `max` bytes, line end not counted.
    #[must_use]
    pub fn new(max: usize) -> Self {
        Self { max, buffer: BytesMut::new(), searched: 0, skipping: false }
    }

    /// Takes the next piece of the stream. Call [`LineDecoder::next_line`] until it gives nothing before feeding
    /// more, so that no more than one piece is ever held beyond the limit.
    pub fn feed(&mut self, mut piece: &[u8]) {
        if self.skipping {
            let Some(end) = memchr(b'\n', piece) else { return };
            self.skipping = false;
            piece = &piece[end + 1..];
        }
        self.buffer.extend_from_slice(piece);
    }

    /// The next line, or nothing until more was fed. Blank lines are skipped.
    pub fn next_line(&mut self) -> Option<Result<Bytes, LineError>> {
        loop {
            let Some(end) = memchr(b'\n', &self.buffer[self.searched..]) else {
                self.searched = self.buffer.len();
                if self.buffer.len() > self.max {
                    self.buffer.clear();
                    self.searched = 0;
                    self.skipping = true;
                    return Some(Err(LineError::TooLong { max: self.max }));
                }
                return None;
            };
            let mut line = self.buffer.split_to(self.searched + end + 1);
            self.searched = 0;
            line.truncate(line.len() - 1);
            if let Some(line) = self.check(line.freeze()) {
                return Some(line);
            }
        }
    }

    /// The next line as a message or batch, or nothing until more was fed.
    pub fn next_body(&mut self, limits: &Limits) -> Option<Result<Body, LineError>> {
        self.next_line()
            .map(|line| line.and_then(|line| Body::parse(&line, limits).map_err(LineError::Envelope)))
    }

    /// What stands at the end of the stream without a line end. Some programs end that way after their last
    /// message.
    pub fn finish(&mut self) -> Option<Result<Bytes, LineError>> {
        self.searched = 0;
        if std::mem::take(&mut self.skipping) {
            return None;
        }
        let rest = std::mem::take(&mut self.buffer).freeze();
        self.check(rest)
    }

    fn check(&self, line: Bytes) -> Option<Result<Bytes, LineError>> {
        if line.len() > self.max {
            return Some(Err(LineError::TooLong { max: self.max }));
        }
        match raw::trim(&line).first() {
            None => None,
            Some(b'{' | b'[') => Some(Ok(line)),
            Some(_) => Some(Err(LineError::NotJson { length: line.len() })),
        }
    }
}

/// Encodes a message as a line. Line ends within raw parts are insignificant whitespace in JSON and become
/// spaces.
#[must_use]
pub fn to_line(message: &Message) -> Bytes {
    let mut out = Vec::new();
    write_message(&mut out, message);
    end_line(&mut out);
    out.into()
}

/// Turns text that is one JSON value into a line, in place.
pub fn end_line(text: &mut Vec<u8>) {
    // In valid JSON these bytes stand only between tokens; in a string they would have to be escaped.
    for byte in text.iter_mut() {
        if matches!(byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
    text.push(b'\n');
}

#[cfg(test)]
mod tests;
