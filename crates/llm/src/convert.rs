//! Conversions between the vendors' shapes of a conversation: requests, answers and streams.
//!
//! Each shape is read into one model of a conversation (`model`) and written from it, so that four shapes make
//! sixteen directions with four readers and four writers; OpenAI's completions and responses are two more that clients
//! may speak and no vendor is spoken to in. What the target has no place for is an error where the
//! answer would mean something else without it (an image by address, audio), and is left out and named in
//! [`Request::dropped`] where it would only be tuned otherwise. Members that nobody knows go on as they are: whoever
//! sends them writes for the model behind. `docs/llm-vendors.md` lists both.
//!
//! Conversion builds trees: it is for traffic whose bytes change in any case. Where shapes are equal nothing is
//! converted.

use bytes::Bytes;
use serde_json::{Map, Value};

use crate::{
    anthropic::{messages, messages_stream},
    bedrock::{converse, converse_stream},
    fault::parse,
    gemini::{generate, generate_stream},
    openai::{chat, chat_stream, completions, embeddings, responses, responses_stream},
    shape::Shape,
    stream::Frame,
};

pub(crate) mod model;
pub(crate) mod read;
#[cfg(test)]
mod tests;

/// Why something cannot be converted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConvertError {
    /// It is no JSON object.
    #[error("could not read the body as a JSON object")]
    NotAnObject,
    /// A member is not as its vendor documents it.
    #[error("could not read `{place}`: expected {expected}")]
    WrongShape {
        /// Where it stands.
        place: String,
        /// What it should have been.
        expected: &'static str,
    },
    /// The target has no place for something that matters.
    #[error("could not carry {what} over to {to}")]
    NotCarried {
        /// What it is.
        what: &'static str,
        /// The target.
        to: &'static str,
    },
    /// Nobody has written this conversion.
    #[error("could not convert {from} to {to}: there is no such conversion")]
    NoConversion {
        /// The shape that is there.
        from: &'static str,
        /// The shape that is wanted.
        to: &'static str,
    },
    /// Pieces of tool calls come mixed, which the target cannot say.
    #[error("could not carry over tool calls whose pieces come mixed")]
    MixedToolCalls,
}

/// A request in another shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The body.
    pub body: Bytes,
    /// Whether the answer shall stream. Some vendors are told by the path.
    pub stream: bool,
    /// Whether a chat client wants the usage of the stream.
    pub stream_usage: bool,
    /// Whether a client wants embeddings as base64.
    pub base64: bool,
    /// What the target has no place for and does without.
    pub dropped: Vec<String>,
}

/// What an answer or a stream must say that the vendor's does not.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    /// The model, for where the vendor's answer names none.
    pub model: &'a str,
    /// Seconds since 1970.
    pub created: u64,
    /// Whether a chat client wants the usage of the stream.
    pub stream_usage: bool,
    /// Whether a client wants embeddings as base64.
    pub base64: bool,
}

/// Whether there is a conversion between these shapes.
#[must_use]
pub fn exists(from: Shape, to: Shape) -> bool {
    use Shape::{Chat, Completions, Converse, Embeddings, Generate, GenerateEmbed, Messages, Responses};
    matches!(
        (from, to),
        (
            Chat | Messages | Generate | Converse | Completions | Responses,
            Chat | Messages | Generate | Converse
        ) | (Embeddings, GenerateEmbed)
    )
}

fn none(from: Shape, to: Shape) -> ConvertError {
    ConvertError::NoConversion { from: from.name(), to: to.name() }
}

fn object(body: &[u8]) -> Result<Map<String, Value>, ConvertError> {
    serde_json::from_slice(body).map_err(|_| ConvertError::NotAnObject)
}

/// Converts a request. `model` is the one that the target is to be asked for.
///
/// # Errors
/// [`ConvertError`].
pub fn request(from: Shape, to: Shape, body: &[u8], model: &str) -> Result<Request, ConvertError> {
    let body = object(body)?;
    if (from, to) == (Shape::Embeddings, Shape::GenerateEmbed) {
        return embeddings::request(body, model);
    }
    let mut asked = match from {
        Shape::Chat => chat::read_request(body)?,
        Shape::Completions => completions::read_request(body)?,
        Shape::Responses => responses::read_request(body)?,
        Shape::Messages => messages::read_request(body)?,
        Shape::Generate => generate::read_request(body)?,
        Shape::Converse => converse::read_request(body)?,
        _ => return Err(none(from, to)),
    };
    model.clone_into(&mut asked.model);
    let written = match to {
        Shape::Chat => chat::write_request(&mut asked)?,
        Shape::Messages => messages::write_request(&mut asked)?,
        Shape::Generate => generate::write_request(&mut asked)?,
        Shape::Converse => converse::write_request(&mut asked)?,
        _ => return Err(none(from, to)),
    };
    let (stream, stream_usage) = (asked.stream, asked.stream_usage);
    let mut dropped = asked.dropped;
    dropped.sort();
    dropped.dedup();
    Ok(Request {
        body: Value::from(written).to_string().into(),
        stream,
        stream_usage,
        base64: false,
        dropped,
    })
}

/// Converts a whole answer that came with a status of success. `from` is the vendor's shape.
///
/// # Errors
/// [`ConvertError`].
pub fn answer(from: Shape, to: Shape, body: &[u8], options: &Options<'_>) -> Result<Bytes, ConvertError> {
    let body = object(body)?;
    if (from, to) == (Shape::GenerateEmbed, Shape::Embeddings) {
        return embeddings::answer(&body, options);
    }
    let mut told = match from {
        Shape::Chat => chat::read_answer(body)?,
        Shape::Messages => messages::read_answer(body)?,
        Shape::Generate => generate::read_answer(body)?,
        Shape::Converse => converse::read_answer(body)?,
        _ => return Err(none(from, to)),
    };
    if told.model.is_empty() {
        options.model.clone_into(&mut told.model);
    }
    told.created = told.created.or(Some(options.created));
    let written = match to {
        Shape::Chat => chat::write_answer(&told),
        Shape::Completions => completions::write_answer(&told),
        Shape::Responses => responses::write_answer(&told),
        Shape::Messages => messages::write_answer(&told),
        Shape::Generate => generate::write_answer(&told),
        Shape::Converse => converse::write_answer(&told),
        _ => return Err(none(from, to)),
    };
    Ok(written.to_string().into())
}

/// Converts an error answer of a vendor.
#[must_use]
pub fn fault(to: Shape, status: u16, body: &[u8]) -> Bytes {
    let told = parse(status, body);
    // Codes are one vendor's words: another's client must not take them for its own.
    crate::fault::Fault::new(told.kind, &told.message).body(to.family())
}

enum Reader {
    Chat(chat_stream::Reader),
    Messages(messages_stream::Reader),
    Generate(generate_stream::Reader),
    Converse(converse_stream::Reader),
}

enum Writer {
    Chat(chat_stream::Writer),
    Responses(Box<responses_stream::Writer>),
    Messages(messages_stream::Writer),
    Generate(generate_stream::Writer),
    Converse(converse_stream::Writer),
}

/// Converts a stream, event by event.
pub struct StreamConverter {
    reader: Reader,
    writer: Writer,
    pieces: Vec<model::Piece>,
}

impl std::fmt::Debug for StreamConverter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StreamConverter").finish_non_exhaustive()
    }
}

impl StreamConverter {
    /// A converter from the vendor's shape `from` to the client's shape `to`.
    ///
    /// # Errors
    /// [`ConvertError::NoConversion`].
    pub fn new(from: Shape, to: Shape, options: &Options<'_>) -> Result<Self, ConvertError> {
        let reader = match from {
            Shape::Chat => Reader::Chat(chat_stream::Reader::default()),
            Shape::Messages => Reader::Messages(messages_stream::Reader::default()),
            Shape::Generate => Reader::Generate(generate_stream::Reader::default()),
            Shape::Converse => Reader::Converse(converse_stream::Reader),
            _ => return Err(none(from, to)),
        };
        let writer = match to {
            Shape::Chat | Shape::Completions => {
                Writer::Chat(chat_stream::Writer::new(options, to == Shape::Completions))
            }
            Shape::Responses => Writer::Responses(Box::new(responses_stream::Writer::new(options))),
            Shape::Messages => Writer::Messages(messages_stream::Writer::new(options)),
            Shape::Generate => Writer::Generate(generate_stream::Writer::new(options)),
            Shape::Converse => Writer::Converse(converse_stream::Writer::default()),
            _ => return Err(none(from, to)),
        };
        Ok(Self { reader, writer, pieces: Vec::new() })
    }

    /// Takes an event and appends what the client is to see of it, which may be nothing.
    ///
    /// # Errors
    /// [`ConvertError`]; the stream then is to be ended with an error.
    pub fn frame(&mut self, frame: &Frame, out: &mut Vec<u8>) -> Result<(), ConvertError> {
        if frame.is_empty() || frame.is_done() {
            return Ok(());
        }
        let data = frame.data();
        let value: Value = serde_json::from_slice(data).map_err(|_| ConvertError::NotAnObject)?;
        match &mut self.reader {
            Reader::Chat(reader) => reader.event(value, &mut self.pieces),
            Reader::Messages(reader) => reader.event(value, &mut self.pieces),
            Reader::Generate(reader) => reader.event(value, &mut self.pieces),
            Reader::Converse(reader) => {
                reader.event(frame.name().unwrap_or_default(), value, &mut self.pieces);
            }
        }
        self.write(out)
    }

    /// Takes the end of the stream and appends what ends the client's. Where the vendor's stream ended before its time
    /// nothing is made up: no reason to have stopped, and no mark of the end.
    ///
    /// # Errors
    /// [`ConvertError`].
    pub fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), ConvertError> {
        self.pieces.push(model::Piece::End);
        self.write(out)
    }

    fn write(&mut self, out: &mut Vec<u8>) -> Result<(), ConvertError> {
        for piece in self.pieces.drain(..) {
            match &mut self.writer {
                Writer::Chat(writer) => writer.piece(piece, out),
                Writer::Responses(writer) => writer.piece(piece, out)?,
                Writer::Messages(writer) => writer.piece(piece, out)?,
                Writer::Generate(writer) => writer.piece(piece, out),
                Writer::Converse(writer) => writer.piece(piece, out)?,
            }
        }
        Ok(())
    }
}
