//! Streams: bytes in any split to frames, and frames to bytes.
//!
//! A frame keeps the bytes it came in as, so that what nobody changes goes on unchanged: all raw bytes of a stream's
//! frames, one after another, are the stream. Its data is the JSON within; a change of that writes the frame anew
//! around it.
//!
//! Three framings: server-sent events (all but Bedrock), Amazon's event stream, and the JSON array that Gemini sends
//! to who does not ask for events.

use bytes::{Bytes, BytesMut};

mod array;
mod event_stream;
mod frame;
mod sse;
#[cfg(test)]
mod tests;

pub use event_stream::{Header, HeaderValue, crc32};
pub use frame::Frame;

/// How a stream is cut into frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Framing {
    /// Server-sent events.
    Sse,
    /// `application/vnd.amazon.eventstream`.
    EventStream,
    /// One JSON array, item by item.
    JsonArray,
}

impl Framing {
    /// The content type of such a stream.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Sse => "text/event-stream",
            Self::EventStream => "application/vnd.amazon.eventstream",
            Self::JsonArray => "application/json",
        }
    }

    /// The framing that an answer's content type tells, if it is a stream by that alone.
    #[must_use]
    pub fn of_content_type(value: &str) -> Option<Self> {
        let kind = value.split(';').next().unwrap_or_default().trim();
        [Self::Sse, Self::EventStream].into_iter().find(|f| kind.eq_ignore_ascii_case(f.content_type()))
    }
}

/// Why a stream cannot be read on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError {
    /// A frame is larger than allowed.
    #[error("could not take a stream event of more than {max} bytes")]
    TooLarge {
        /// The limit.
        max: usize,
    },
    /// The bytes are no such stream.
    #[error("could not read the vendor's stream: {0}")]
    Broken(&'static str),
}

/// What a framing finds at the start of what is held.
enum Cut {
    /// A frame of this length.
    At(usize),
    /// Not whole yet.
    More,
}

/// Reads a stream piece by piece.
///
/// Frames come out in order and the same whatever the pieces were. After an error the decoder only repeats it.
#[derive(Debug)]
pub struct Decoder {
    framing: Framing,
    max: usize,
    held: BytesMut,
    sse: sse::Place,
    array: array::Place,
    failed: Option<StreamError>,
}

impl Decoder {
    /// A decoder that takes frames of at most `max` bytes.
    #[must_use]
    pub fn new(framing: Framing, max: usize) -> Self {
        Self {
            framing,
            max,
            held: BytesMut::new(),
            sse: sse::Place::default(),
            array: array::Place::default(),
            failed: None,
        }
    }

    /// Takes the next piece and appends the frames that are whole with it.
    ///
    /// # Errors
    /// [`StreamError`]; frames before the fault are appended.
    pub fn feed(&mut self, piece: &[u8], frames: &mut Vec<Frame>) -> Result<(), StreamError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        self.held.extend_from_slice(piece);
        let result = self.cut(frames);
        self.failed = result.as_ref().err().cloned();
        result
    }

    fn cut(&mut self, frames: &mut Vec<Frame>) -> Result<(), StreamError> {
        while !self.held.is_empty() {
            let cut = match self.framing {
                Framing::Sse => self.sse.find(&self.held),
                Framing::EventStream => event_stream::find(&self.held, self.max)?,
                Framing::JsonArray => self.array.find(&self.held),
            };
            match cut {
                Cut::At(len) if len > self.max => return Err(StreamError::TooLarge { max: self.max }),
                Cut::At(len) => {
                    let raw = self.held.split_to(len).freeze();
                    frames.push(self.frame(raw)?);
                }
                Cut::More if self.held.len() > self.max => {
                    return Err(StreamError::TooLarge { max: self.max });
                }
                Cut::More => break,
            }
        }
        Ok(())
    }

    fn frame(&self, raw: Bytes) -> Result<Frame, StreamError> {
        match self.framing {
            Framing::Sse => Ok(sse::frame(raw)),
            Framing::EventStream => event_stream::frame(raw),
            Framing::JsonArray => Ok(array::frame(raw)),
        }
    }

    /// Takes the end of the stream: what stands unfinished there comes out as a frame, since clients differ in
    /// whether they read it, and a guard must see what any of them may.
    ///
    /// # Errors
    /// [`StreamError::Broken`] where a frame with a length is cut short.
    pub fn finish(&mut self) -> Result<Option<Frame>, StreamError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        if self.held.is_empty() {
            return Ok(None);
        }
        let raw = self.held.split().freeze();
        self.frame(raw).map(Some)
    }
}
