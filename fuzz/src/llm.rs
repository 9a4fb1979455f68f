//! Streams of vendors, and bodies on their way from one vendor's shape to another's.

use mortise_llm::{
    assemble::Assembler,
    convert::{self, Options, StreamConverter},
    meter::Meter,
    shape::Shape,
    stream::{Decoder, Frame, Framing, StreamError},
    text::Texts,
};

use super::knobs;

const SHAPES: [Shape; 7] = [
    Shape::Chat,
    Shape::Responses,
    Shape::Messages,
    Shape::Generate,
    Shape::Converse,
    Shape::InvokeMessages,
    Shape::Other,
];

/// Knobs: shape and framing, the largest frame in steps of sixteen bytes, the length of pieces. Then the stream.
pub fn stream(data: &[u8]) {
    let Some(([kind, max, piece], stream)) = knobs::<3>(data) else { return };
    let framing = [Framing::Sse, Framing::EventStream, Framing::JsonArray][kind % 3];
    let shape = SHAPES[kind / 3 % SHAPES.len()];
    let whole = frames(framing, stream.chunks(stream.len().max(1)), max * 16);
    for piece in [1, piece.max(1)] {
        assert_eq!(frames(framing, stream.chunks(piece), max * 16), whole, "in pieces of {piece}");
    }
    let raw: Vec<u8> = whole.0.iter().flat_map(|frame| frame.raw().to_vec()).collect();
    assert!(stream.starts_with(&raw), "frames keep their bytes");
    texts(shape, &whole.0);
    let mut meter = Meter::new(shape);
    let mut assembler = Assembler::new(shape, 1 << 16);
    for frame in &whole.0 {
        meter.frame(frame);
        let _ = assembler.frame(frame);
    }
    if let Some(body) = assembler.body() {
        assert!(is_json(&body), "what is put together is JSON");
    }
}

fn is_json(bytes: &[u8]) -> bool {
    serde_json::from_slice::<serde_json::Value>(bytes).is_ok()
}

type Read = (Vec<Frame>, Result<(), StreamError>);

fn frames<'a>(framing: Framing, mut pieces: impl Iterator<Item = &'a [u8]>, max: usize) -> Read {
    let (mut decoder, mut frames) = (Decoder::new(framing, max), Vec::new());
    let mut result = pieces.try_for_each(|piece| decoder.feed(piece, &mut frames));
    if result.is_ok() {
        match decoder.finish() {
            Ok(last) => frames.extend(last),
            Err(error) => result = Err(error),
        }
    }
    (frames, result)
}

/// Nothing changed is the same bytes; other texts are found where they were put.
fn texts(shape: Shape, frames: &[Frame]) {
    // One that changes nothing, and one that keeps what is said again in step with what it has changed.
    let (mut plain, mut texts) = (Texts::new(shape), Texts::new(shape));
    for frame in frames {
        let event = plain.look(frame);
        assert_eq!(&plain.write(frame, &event, &[]), frame.raw(), "untouched");
        let event = texts.look(frame);
        let other = vec![Some("\"x\\".to_owned()); event.deltas.len()];
        texts.write(frame, &event, &other);
        for delta in &event.deltas {
            texts.tail(delta.channel, "rest");
        }
        if is_json(frame.data()) && !event.deltas.is_empty() {
            let replaced = Texts::new(shape).write(frame, &event, &other);
            let framing = if replaced.first() == Some(&0) { Framing::EventStream } else { Framing::Sse };
            let (again, result) = self::frames(framing, std::iter::once(&replaced[..]), usize::MAX);
            if let (Ok(()), [again]) = (result, again.as_slice()) {
                let found = texts.look(again).deltas;
                assert!(found.iter().all(|delta| delta.text == "\"x\\"), "{found:?}");
            }
        }
    }
    let _ = texts.refuse("no");
}

/// Knobs: the shapes. Then a body: as a request, as an answer, and as an event of a stream.
pub fn convert(data: &[u8]) {
    const CHATS: [Shape; 5] =
        [Shape::Chat, Shape::Messages, Shape::Generate, Shape::Converse, Shape::Completions];
    let Some(([kind], body)) = knobs::<1>(data) else { return };
    let (from, to) = (CHATS[kind % 5], CHATS[kind / 5 % 4]);
    let options = Options { model: "m", created: 0, stream_usage: true, base64: false };
    if let Ok(request) = convert::request(from, to, body, "m") {
        assert!(is_json(&request.body), "a request is JSON");
    }
    let from = if from == Shape::Completions { Shape::Chat } else { from };
    if let Ok(answer) = convert::answer(from, to, body, &options) {
        let read = convert::answer(to, Shape::Chat, &answer, &options);
        assert!(read.is_ok(), "what is written can be read: {read:?}");
    }
    let raw = match from {
        Shape::Converse => Frame::event(["contentBlockDelta", "metadata", "messageStop"][kind % 3], body),
        _ => Frame::sse(None, body),
    };
    let Ok(mut converter) = StreamConverter::new(from, to, &options) else { return };
    let mut out = Vec::new();
    for frame in frames(from.framing(Some("alt=sse")), std::iter::once(&raw[..]), usize::MAX).0 {
        let _ = converter.frame(&frame, &mut out);
    }
    let _ = converter.finish(&mut out);
    let (_, result) = frames(to.framing(Some("alt=sse")), std::iter::once(&out[..]), usize::MAX);
    assert_eq!(result, Ok(()), "what is written is a stream");
}
