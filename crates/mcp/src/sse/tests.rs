use proptest::prelude::*;

use super::*;

fn decode(pieces: &[&[u8]], max: usize) -> (Vec<Event>, Result<(), SseError>, Option<String>) {
    let mut decoder = Decoder::new(max);
    let mut events = Vec::new();
    let mut result = Ok(());
    for piece in pieces {
        result = decoder.feed(piece, &mut events);
        if result.is_err() {
            break;
        }
    }
    (events, result, decoder.last_event_id().map(str::to_owned))
}

fn data(text: &str) -> Vec<String> {
    let (events, result, _) = decode(&[text.as_bytes()], 1 << 20);
    result.unwrap();
    events.iter().map(|event| String::from_utf8_lossy(&event.data).into_owned()).collect()
}

#[test]
fn all_line_ends_part_lines() {
    assert_eq!(data("data: a\n\ndata: b\r\n\r\ndata: c\r\rdata: d\n\r\n"), ["a", "b", "c", "d"]);
}

#[test]
fn several_data_lines_are_one_event() {
    assert_eq!(data("data: a\ndata:b\ndata\ndata:  c\n\n"), ["a\nb\n\n c"]);
}

#[test]
fn comments_unknown_fields_and_a_byte_order_mark_are_skipped() {
    assert_eq!(data("\u{feff}data: a\n: hello\nfoo: bar\ndata\u{feff}: x\n\n: b\n\n"), ["a"]);
}

#[test]
fn event_without_data_is_none_but_its_id_counts() {
    let (events, _, last) = decode(&[b"id: 7\nevent: x\n\ndata: a\n\n"], 100);
    assert_eq!(events, [Event { id: None, event: None, data: "a".into() }]);
    assert_eq!(last.as_deref(), Some("7"));
}

#[test]
fn empty_data_line_is_an_event() {
    let (events, _, _) = decode(&[b"id: 1\ndata:\n\n"], 100);
    assert_eq!(events, [Event { id: Some("1".into()), event: None, data: Bytes::new() }]);
}

#[test]
fn id_with_a_nul_is_ignored_and_retry_takes_digits_only() {
    let mut decoder = Decoder::new(100);
    let mut events = Vec::new();
    decoder.feed(b"id: a\0b\nretry: 1500\nretry: 9x\ndata: d\n\n", &mut events).unwrap();
    assert_eq!(events[0].id, None);
    assert_eq!(decoder.retry_ms(), Some(1500));
}

#[test]
fn unfinished_event_is_not_given_out() {
    assert!(data("data: a\n").is_empty());
}

#[test]
fn event_over_the_limit_is_refused_before_it_is_whole_and_for_good() {
    let mut decoder = Decoder::new(16);
    let mut events = Vec::new();
    decoder.feed(b"data: ok\n\n", &mut events).unwrap();
    assert_eq!(decoder.feed(b"data: 0123456789abcdef", &mut events), Err(SseError::TooLarge { max: 16 }));
    assert_eq!(decoder.feed(b"\n\ndata: x\n\n", &mut events), Err(SseError::TooLarge { max: 16 }));
    assert_eq!(events.len(), 1);
}

#[test]
fn many_short_data_lines_count_together() {
    let (_, result, _) = decode(&[b"data: abcd\n".repeat(10).as_slice()], 30);
    assert_eq!(result, Err(SseError::TooLarge { max: 30 }));
}

#[test]
fn encoder_keeps_fields_on_their_lines() {
    let mut out = Vec::new();
    write_event(&mut out, Some("1\r\n2"), Some("mess\nage"), b"{\r\n\"a\":\r1\n}");
    assert_eq!(out, b"event: message\nid: 12\ndata: {\ndata: \"a\":\ndata: 1\ndata: }\n\n");
    out.clear();
    write_comment(&mut out, "ping");
    write_retry(&mut out, 3000);
    assert_eq!(out, b": ping\n\nretry: 3000\n\n");
}

fn stream() -> impl Strategy<Value = Vec<u8>> {
    let token = prop_oneof![
        Just(&b"data: x"[..]),
        Just(&b"data:"[..]),
        Just(&b"id: 1"[..]),
        Just(&b"event: e"[..]),
        Just(&b": c"[..]),
        Just(&b"\n"[..]),
        Just(&b"\r"[..]),
        Just(&b"\r\n"[..]),
        Just(&b"\n\n"[..]),
        Just(&b"\xef\xbb\xbf"[..]),
        Just(&b"\xff\x00"[..]),
    ];
    prop::collection::vec(token, 0..60).prop_map(|tokens| tokens.concat())
}

proptest! {
    #[test]
    fn any_split_gives_the_same_events(stream in stream(), cuts in prop::collection::vec(0_usize..400, 0..20), max in 5_usize..60) {
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(stream.len())).collect();
        cuts.sort_unstable();
        let mut pieces = Vec::new();
        let mut start = 0;
        for cut in cuts {
            pieces.push(&stream[start..cut]);
            start = cut;
        }
        pieces.push(&stream[start..]);
        let bytes: Vec<&[u8]> = stream.chunks(1).collect();
        let whole = decode(&[&stream], max);
        prop_assert_eq!(&decode(&pieces, max), &whole);
        prop_assert_eq!(&decode(&bytes, max), &whole);
    }

    #[test]
    fn what_is_encoded_decodes_to_the_same(id in "[^\r\n\0]{0,8}", name in "[^\r\n\0]{1,8}", text in "[^\r]{0,40}") {
        let mut out = Vec::new();
        write_event(&mut out, Some(&id), Some(&name), text.as_bytes());
        let (events, result, _) = decode(&[&out], 1 << 16);
        prop_assert_eq!(result, Ok(()));
        prop_assert_eq!(events, vec![Event { id: Some(id), event: Some(name), data: text.into_bytes().into() }]);
    }
}
