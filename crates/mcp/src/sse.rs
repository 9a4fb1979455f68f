//! Server-sent events: bytes in any split to events, and events to bytes.
//!
//! Follows the parsing rules of the HTML standard (line ends LF, CRLF or CR, byte order mark, comments, several
//! `data` lines to one event), with two differences that a relay of JSON wants: data stays bytes, since whoever
//! parses it checks the encoding anyway, and an event has a largest size, past which the stream is refused.

use bytes::{BufMut, Bytes};
use memchr::{memchr2, memchr2_iter};

#[cfg(test)]
mod tests;

/// The event name under which messages travel; also what an event without a name is.
pub const MESSAGE: &str = "message";

/// One event of a stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Event {
    /// The `id` field of this very event, for resuming after it.
    pub id: Option<String>,
    /// The `event` field; `None` means [`MESSAGE`].
    pub event: Option<String>,
    /// The `data` lines, joined by line feeds. Empty in events that only set an id.
    pub data: Bytes,
}

impl Event {
    /// Whether this is an event of the default kind.
    #[must_use]
    pub fn is_message(&self) -> bool {
        self.event.as_deref().is_none_or(|name| name == MESSAGE)
    }
}

/// Why a stream cannot be read on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SseError {
    /// An event is larger than allowed.
    #[error("could not take an event of more than {max} bytes")]
    TooLarge {
        /// The limit.
        max: usize,
    },
}

/// Reads a stream piece by piece.
///
/// Events come out in order whatever the pieces were. After an error the decoder only repeats it: the place in
/// the stream is lost. What stands unfinished at the end of the stream is no event and is dropped with the
/// decoder.
#[derive(Debug)]
pub struct Decoder {
    max: usize,
    /// The beginning of a line whose end has not come yet.
    line: Vec<u8>,
    /// The last byte was a CR, so a LF that follows belongs to the same line end.
    after_cr: bool,
    first_line: bool,
    data: Vec<u8>,
    has_data: bool,
    id: Option<String>,
    event: Option<String>,
    retry_ms: Option<u64>,
    last_event_id: Option<String>,
    failed: Option<SseError>,
}

impl Decoder {
    /// A decoder that takes events of at most `max` bytes, counting fields and comments as they stand in the
    /// stream.
    #[must_use]
    pub fn new(max: usize) -> Self {
        Self {
            max,
            line: Vec::new(),
            after_cr: false,
            first_line: true,
            data: Vec::new(),
            has_data: false,
            id: None,
            event: None,
            retry_ms: None,
            last_event_id: None,
            failed: None,
        }
    }

    /// Takes the next piece of the stream and appends the events that are complete with it.
    ///
    /// # Errors
    /// [`SseError`]; events before the fault are appended.
    pub fn feed(&mut self, mut piece: &[u8], events: &mut Vec<Event>) -> Result<(), SseError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let result = loop {
            if self.after_cr && !piece.is_empty() {
                self.after_cr = false;
                piece = piece.strip_prefix(b"\n").unwrap_or(piece);
            }
            let Some(end) = memchr2(b'\n', b'\r', piece) else {
                break self.keep(piece);
            };
            let (head, rest) = piece.split_at(end);
            self.after_cr = rest.first() == Some(&b'\r');
            piece = &rest[1..];
            if let Err(error) = self.end_line(head, events) {
                break Err(error);
            }
        };
        if let Err(error) = &result {
            self.failed = Some(error.clone());
        }
        result
    }

    /// The id to resume after: that of the last event that had one, data or not.
    #[must_use]
    pub fn last_event_id(&self) -> Option<&str> {
        self.last_event_id.as_deref()
    }

    /// How long to wait before connecting again, in milliseconds, as last said by the server.
    #[must_use]
    pub fn retry_ms(&self) -> Option<u64> {
        self.retry_ms
    }

    /// Keeps the beginning of a line.
    fn keep(&mut self, piece: &[u8]) -> Result<(), SseError> {
        self.check(self.line.len() + piece.len())?;
        self.line.extend_from_slice(piece);
        Ok(())
    }

    fn end_line(&mut self, tail: &[u8], events: &mut Vec<Event>) -> Result<(), SseError> {
        self.check(self.line.len() + tail.len())?;
        if self.line.is_empty() {
            self.take_line(tail, events);
            return Ok(());
        }
        let mut line = std::mem::take(&mut self.line);
        line.extend_from_slice(tail);
        self.take_line(&line, events);
        line.clear();
        self.line = line;
        Ok(())
    }

    fn check(&self, line: usize) -> Result<(), SseError> {
        let fields = self.id.as_ref().map_or(0, String::len) + self.event.as_ref().map_or(0, String::len);
        if self.data.len() + fields + line > self.max {
            return Err(SseError::TooLarge { max: self.max });
        }
        Ok(())
    }

    fn take_line(&mut self, line: &[u8], events: &mut Vec<Event>) {
        let line = match line.strip_prefix(b"\xef\xbb\xbf") {
            Some(rest) if self.first_line => rest,
            _ => line,
        };
        self.first_line = false;
        if line.is_empty() {
            self.end_event(events);
            return;
        }
        let (name, value) = match memchr::memchr(b':', line) {
            Some(0) => return,
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            None => (line, &b""[..]),
        };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match name {
            b"data" => {
                if self.has_data {
                    self.data.push(b'\n');
                }
                self.has_data = true;
                self.data.extend_from_slice(value);
            }
            b"event" => self.event = Some(String::from_utf8_lossy(value).into_owned()),
            b"id" if !value.contains(&0) => self.id = Some(String::from_utf8_lossy(value).into_owned()),
            b"retry" if !value.is_empty() && value.iter().all(u8::is_ascii_digit) => {
                self.retry_ms = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
            }
            _ => {}
        }
    }

    fn end_event(&mut self, events: &mut Vec<Event>) {
        let id = self.id.take();
        if let Some(id) = &id {
            self.last_event_id = Some(id.clone());
        }
        let event = self.event.take().filter(|name| !name.is_empty());
        if std::mem::take(&mut self.has_data) {
            let data = std::mem::take(&mut self.data).into();
            events.push(Event { id, event, data });
        }
    }
}

/// Appends an event. Line ends in `data`, which in JSON are insignificant, become line feeds; line ends and NULs
/// in `id` and `event` are left out.
pub fn write_event(out: &mut impl BufMut, id: Option<&str>, event: Option<&str>, data: &[u8]) {
    if let Some(event) = event {
        write_field(out, b"event: ", event);
    }
    if let Some(id) = id {
        write_field(out, b"id: ", id);
    }
    let mut start = 0;
    for end in memchr2_iter(b'\n', b'\r', data) {
        // The LF of a CRLF ends the line that its CR has ended already.
        if end > 0 && data[end] == b'\n' && data[end - 1] == b'\r' {
            start = end + 1;
            continue;
        }
        write_data(out, &data[start..end]);
        start = end + 1;
    }
    write_data(out, &data[start..]);
    out.put_u8(b'\n');
}

/// Appends a comment, which keeps a quiet connection open and means nothing.
pub fn write_comment(out: &mut impl BufMut, text: &str) {
    write_field(out, b": ", text);
    out.put_u8(b'\n');
}

/// Appends how long the client should wait before it connects again.
pub fn write_retry(out: &mut impl BufMut, milliseconds: u64) {
    write_field(out, b"retry: ", &milliseconds.to_string());
    out.put_u8(b'\n');
}

fn write_data(out: &mut impl BufMut, line: &[u8]) {
    out.put_slice(b"data: ");
    out.put_slice(line);
    out.put_u8(b'\n');
}

fn write_field(out: &mut impl BufMut, name: &[u8], value: &str) {
    out.put_slice(name);
    for part in value.split(['\r', '\n', '\0']) {
        out.put_slice(part.as_bytes());
    }
    out.put_u8(b'\n');
}
