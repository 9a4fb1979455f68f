//! Streams cut in pieces: server-sent events, and messages as lines.

use bytes::Bytes;
use mortise_mcp::{
    envelope::{Body, Limits, Message},
    framing::{LineDecoder, LineError, to_line},
    sse::{Decoder, Event, SseError, write_event},
};

use super::knobs;

/// Knobs: the largest event in steps of four bytes, and the length of pieces. Then the stream.
pub fn sse(data: &[u8]) {
    let Some(([max, piece], stream)) = knobs::<2>(data) else { return };
    let whole = events(stream.chunks(stream.len().max(1)), max * 4);
    for piece in [1, piece.max(1)] {
        assert_eq!(events(stream.chunks(piece), max * 4), whole, "in pieces of {piece}");
    }
    let mut out = Vec::new();
    for event in &whole.0 {
        write_event(&mut out, event.id.as_deref(), event.event.as_deref(), &event.data);
    }
    let again = events(out.chunks(7), usize::MAX);
    let expected: Vec<Event> = whole.0.into_iter().map(writable).collect();
    assert_eq!((again.0, again.1), (expected, Ok(())), "what is written is read again");
}

/// An event without what is not written: NULs in its name.
fn writable(event: Event) -> Event {
    let name = event.event.map(|name| name.replace('\0', ""));
    Event { event: name.filter(|name| !name.is_empty()), ..event }
}

type Read = (Vec<Event>, Result<(), SseError>, Option<String>, Option<u64>);

fn events<'a>(mut pieces: impl Iterator<Item = &'a [u8]>, max: usize) -> Read {
    let (mut decoder, mut events) = (Decoder::new(max), Vec::new());
    let result = pieces.try_for_each(|piece| decoder.feed(piece, &mut events));
    if let Err(error) = &result {
        assert_eq!(decoder.feed(b"data: x\n\n", &mut Vec::new()).as_ref(), Err(error), "for good");
    }
    (events, result, decoder.last_event_id().map(str::to_owned), decoder.retry_ms())
}

/// Knobs: the longest line in steps of four bytes, and the length of pieces. Then the stream.
pub fn lines(data: &[u8]) {
    let Some(([max, piece], stream)) = knobs::<2>(data) else { return };
    let whole = cut(stream.chunks(stream.len().max(1)), max * 4);
    for piece in [1, piece.max(1)] {
        assert_eq!(cut(stream.chunks(piece), max * 4), whole, "in pieces of {piece}");
    }
    for line in whole.into_iter().flatten() {
        assert!(line.len() <= max * 4 && !line.contains(&b'\n'));
        match Body::parse(&line, &Limits::default()) {
            Ok(Body::Single(message)) => comes_back(&message),
            Ok(Body::Batch(messages)) => messages.iter().flatten().for_each(comes_back),
            Err(error) => comes_back(&error.to_response().into()),
        }
    }
}

/// Lines, and what kind of error stood in the place of one.
fn cut<'a>(pieces: impl Iterator<Item = &'a [u8]>, max: usize) -> Vec<Result<Bytes, String>> {
    let (mut decoder, mut out) = (LineDecoder::new(max), Vec::new());
    let mut keep = |line: Result<Bytes, LineError>| out.push(line.map_err(|error| error.to_string()));
    for piece in pieces {
        decoder.feed(piece);
        while let Some(line) = decoder.next_line() {
            keep(line);
        }
    }
    decoder.finish().into_iter().for_each(keep);
    out
}

/// A message written as a line is one line and the same message.
fn comes_back(message: &Message) {
    let mut decoder = LineDecoder::new(usize::MAX);
    decoder.feed(&to_line(message));
    let read = decoder.next_body(&Limits::default());
    let Some(Ok(Body::Single(again))) = read else { panic!("{message:?} is read again: {read:?}") };
    assert!(decoder.next_line().is_none() && decoder.finish().is_none(), "one line");
    assert_eq!(to_line(&again), to_line(message));
}
