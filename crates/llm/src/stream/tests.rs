use proptest::prelude::*;

use super::*;

fn decode(framing: Framing, pieces: &[&[u8]]) -> Result<Vec<Frame>, StreamError> {
    let mut decoder = Decoder::new(framing, 1 << 20);
    let mut frames = Vec::new();
    for piece in pieces {
        decoder.feed(piece, &mut frames)?;
    }
    frames.extend(decoder.finish()?);
    Ok(frames)
}

fn split<'a>(bytes: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
    cuts.extend([0, bytes.len()]);
    cuts.sort_unstable();
    cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
}

fn joined(frames: &[Frame]) -> Vec<u8> {
    frames.iter().flat_map(|frame| frame.raw().to_vec()).collect()
}

#[test]
fn events_keep_their_bytes_and_show_their_data() {
    let text = b": hi\n\nevent: a\ndata: {\"x\":1}\nid: 7\n\ndata:{\r\ndata: }\r\n\r\ndata: [DONE]\n\n";
    let frames = decode(Framing::Sse, &[text]).unwrap();
    let seen: Vec<_> = frames.iter().map(|f| (f.name(), f.data().as_ref())).collect();
    let expected: [(Option<&str>, &[u8]); 4] =
        [(None, b""), (Some("a"), b"{\"x\":1}"), (None, b"{\n}"), (None, b"[DONE]")];
    assert_eq!(seen, expected);
    assert!(frames[3].is_done() && frames[0].is_empty());
    assert_eq!(joined(&frames), text);
}

#[test]
fn changed_data_leaves_the_rest_of_an_event() {
    let frames = decode(Framing::Sse, &[b"id: 7\nevent: a\ndata: {\"x\":1}\nretry: 5\n\n"]).unwrap();
    assert_eq!(frames[0].with_data(b"{}"), "id: 7\nevent: a\ndata: {}\nretry: 5\n\n");
    let frames = decode(Framing::Sse, &[b"event: a\ndata: {\ndata: }\n\n"]).unwrap();
    assert_eq!(frames[0].with_data(b"{}"), "event: a\ndata: {}\n\n");
}

#[test]
fn unfinished_event_at_the_end_is_seen() {
    let frames = decode(Framing::Sse, &[b"data: {\"a\":1}"]).unwrap();
    assert_eq!(frames[0].data(), "{\"a\":1}");
}

#[test]
fn array_comes_item_by_item() {
    let text = br#"[{"a":"}]\"{"}
,
{"b":[{}]}]
"#;
    let frames = decode(Framing::JsonArray, &[text]).unwrap();
    let data: Vec<_> = frames.iter().map(|f| f.data().clone()).collect();
    assert_eq!(data, [Bytes::from_static(br#"{"a":"}]\"{"}"#), r#"{"b":[{}]}"#.into(), "".into()]);
    assert_eq!(frames[1].with_data(b"{}"), "\n,\n{}");
    assert_eq!(joined(&frames), text);
}

#[test]
fn checksum_is_that_of_zip_files() {
    assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    assert_eq!(crc32(b""), 0);
}

/// The messages that Amazon's libraries test themselves with.
#[test]
fn published_messages_are_read_and_written() {
    let empty = [0, 0, 0, 0x10, 0, 0, 0, 0, 5, 0xc2, 0x48, 0xeb, 0x7d, 0x98, 0xc8, 0xff];
    let frames = decode(Framing::EventStream, &[&empty]).unwrap();
    assert_eq!((frames.len(), frames[0].data().len()), (1, 0));
    assert_eq!(event_stream::encode(&[], b""), empty.as_slice());
    let payload = b"{'foo':'bar'}";
    let with_payload = event_stream::encode(&[], payload);
    assert_eq!(&with_payload[..12], [0, 0, 0, 0x1d, 0, 0, 0, 0, 0xfd, 0x52, 0x8c, 0x5a]);
    assert_eq!(&with_payload[25..], [0xc3, 0x65, 0x39, 0x36]);
    let all: Vec<Header> = [
        HeaderValue::Bool(true),
        HeaderValue::Bool(false),
        HeaderValue::Int(-3, 1),
        HeaderValue::Int(-300, 2),
        HeaderValue::Int(40972, 4),
        HeaderValue::Int(-42, 8),
        HeaderValue::Bytes(vec![1, 2]),
        HeaderValue::Text("é".to_owned()),
        HeaderValue::Timestamp(8_675_309_000),
        HeaderValue::Uuid([7; 16]),
    ]
    .into_iter()
    .map(|value| Header { name: "h".to_owned(), value })
    .collect();
    let message = event_stream::encode(&all, b"x");
    assert_eq!(decode(Framing::EventStream, &[&message]).unwrap()[0].data(), "x");
}

#[test]
fn broken_messages_are_errors() {
    let good = Frame::event("a", b"{}").to_vec();
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1;
        assert!(decode(Framing::EventStream, &[&bad]).is_err(), "byte {at}");
    }
    assert!(decode(Framing::EventStream, &[&good[..good.len() - 1]]).is_err());
    let mut small = Decoder::new(Framing::EventStream, 20);
    assert_eq!(small.feed(&good, &mut Vec::new()), Err(StreamError::TooLarge { max: 20 }));
    assert_eq!(small.feed(b"", &mut Vec::new()), Err(StreamError::TooLarge { max: 20 }));
}

#[test]
fn chunks_of_invoke_show_what_is_in_them() {
    let raw = Frame::event("chunk", br#"{"bytes":"eyJhIjoxfQ==","p":"abc"}"#);
    let frame = Frame::of(&raw, Framing::EventStream).unwrap();
    assert_eq!(frame.data(), "{\"a\":1}");
    let changed = Frame::of(&frame.with_data(b"{\"a\":2}"), Framing::EventStream).unwrap();
    assert_eq!((changed.name(), changed.data().as_ref()), (Some("chunk"), b"{\"a\":2}".as_slice()));
}

#[test]
fn endless_event_is_refused_before_it_is_held() {
    let mut decoder = Decoder::new(Framing::Sse, 100);
    let mut frames = Vec::new();
    let mut fed = 0;
    while decoder.feed(b"data: aaaa\n", &mut frames).is_ok() {
        fed += 11;
        assert!(fed < 200);
    }
    assert!(frames.is_empty());
}

proptest! {
    #[test]
    fn any_split_of_events_gives_the_same_frames(
        text in "(data: [a-c]{0,3}|event: [a-c]|: x|\r\n|\n|\r){0,24}",
        cuts in prop::collection::vec(0usize..200, 0..12),
    ) {
        let whole = decode(Framing::Sse, &[text.as_bytes()]).unwrap();
        prop_assert_eq!(joined(&whole), text.as_bytes());
        prop_assert_eq!(decode(Framing::Sse, &split(text.as_bytes(), &cuts)).unwrap(), whole);
    }

    #[test]
    fn any_split_of_an_event_stream_gives_the_same_frames(
        payloads in prop::collection::vec("[a-z{}]{0,20}", 0..6),
        cuts in prop::collection::vec(0usize..2000, 0..12),
    ) {
        let bytes: Vec<u8> =
            payloads.iter().flat_map(|payload| Frame::event("e", payload.as_bytes()).to_vec()).collect();
        let frames = decode(Framing::EventStream, &split(&bytes, &cuts)).unwrap();
        let data: Vec<_> = frames.iter().map(|f| String::from_utf8(f.data().to_vec()).unwrap()).collect();
        prop_assert_eq!(data, payloads);
        prop_assert_eq!(joined(&frames), bytes);
    }

    #[test]
    fn any_split_of_an_array_gives_the_same_frames(
        text in r#"(\{|\}|\[|\]|"|\\|,| |a){0,40}"#,
        cuts in prop::collection::vec(0usize..200, 0..12),
    ) {
        let whole = decode(Framing::JsonArray, &[text.as_bytes()]).unwrap();
        prop_assert_eq!(joined(&whole), text.as_bytes());
        prop_assert_eq!(decode(Framing::JsonArray, &split(text.as_bytes(), &cuts)).unwrap(), whole);
    }

    #[test]
    fn no_bytes_bring_a_decoder_down(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        for framing in [Framing::Sse, Framing::EventStream, Framing::JsonArray] {
            let _ = decode(framing, &[&bytes]);
        }
    }
}
