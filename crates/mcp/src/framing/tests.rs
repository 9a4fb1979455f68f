use proptest::prelude::*;

use super::*;

fn lines(pieces: &[&[u8]], max: usize) -> Vec<String> {
    let mut decoder = LineDecoder::new(max);
    let mut out = Vec::new();
    let show = |line: Result<Bytes, LineError>| match line {
        Ok(line) => String::from_utf8_lossy(&line).into_owned(),
        Err(error) => format!("error: {error}"),
    };
    for piece in pieces {
        decoder.feed(piece);
        while let Some(line) = decoder.next_line() {
            out.push(show(line));
        }
    }
    out.extend(decoder.finish().map(show));
    out
}

#[test]
fn lines_come_out_one_by_one_and_blank_ones_do_not() {
    assert_eq!(lines(&[b"{\"a\":1}\n\n  \r\n[1]\r\n{", b"}\n"], 100), ["{\"a\":1}", "[1]\r", "{}"]);
}

#[test]
fn banner_is_an_error_and_the_next_message_is_read() {
    assert_eq!(
        lines(&[b"Server listening...\n{\"a\":1}\n"], 100),
        ["error: could not read a line of 19 bytes: it is no JSON object", "{\"a\":1}"]
    );
}

#[test]
fn over_long_line_is_one_error_and_the_next_message_is_read() {
    let long = [b'{'; 50];
    let error = "error: could not take a line of more than 20 bytes";
    assert_eq!(lines(&[&long, &long, &long, b"\n{}\n"], 20), [error, "{}"]);
    assert_eq!(lines(&[&[&long[..], b"\n{}\n"].concat()], 20), [error, "{}"]);
}

#[test]
fn last_line_needs_no_line_end() {
    assert_eq!(lines(&[b"{}\n{\"a\":1}"], 100), ["{}", "{\"a\":1}"]);
}

#[test]
fn bad_message_does_not_lose_the_good_one_after_it() {
    let mut decoder = LineDecoder::new(100);
    decoder.feed(b"{\"a\"\n{\"jsonrpc\":\"2.0\",\"method\":\"m\"}\n");
    let limits = Limits::default();
    assert!(matches!(decoder.next_body(&limits), Some(Err(LineError::Envelope(_)))));
    assert!(matches!(decoder.next_body(&limits), Some(Ok(Body::Single(Message::Notification(_))))));
    assert!(decoder.next_body(&limits).is_none());
}

#[test]
fn message_with_pretty_printed_params_becomes_one_line() {
    let body =
        Bytes::from_static(b"{\"jsonrpc\":\"2.0\",\"method\":\"m\",\"params\":{\r\n  \"a\": \"x\\ny\"\n}}");
    let message = Message::parse(&body, &Limits::default()).unwrap();
    let line = to_line(&message);
    assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
    assert_eq!(line.last(), Some(&b'\n'));
    let again = Message::parse(&line, &Limits::default()).unwrap();
    assert_eq!(again.method(), Some("m"));
}

proptest! {
    #[test]
    fn any_split_gives_the_same_lines(text in "[{}\\[a \r\n]{0,80}", cuts in prop::collection::vec(0_usize..80, 0..10), max in 1_usize..20) {
        let text = text.as_bytes();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
        cuts.sort_unstable();
        let mut pieces = Vec::new();
        let mut start = 0;
        for cut in cuts {
            pieces.push(&text[start..cut]);
            start = cut;
        }
        pieces.push(&text[start..]);
        let whole = lines(&[text], max);
        prop_assert_eq!(&lines(&pieces, max), &whole);
        prop_assert_eq!(&lines(&text.chunks(1).collect::<Vec<_>>(), max), &whole);
    }
}
