use mortise_plugin_api::{
    Change, Edits, Part, Revision, Stream, Windows,
    hooks::{LlmOutput, ToolPostInvoke, tool::ToolPostInvokePayload},
};
use proptest::prelude::*;
use serde_json::json;

use super::super::kind;
use crate::testing::Bench;

/// Streams `chunks` through the plugin as a host does.
fn streamed(chunks: &[&str]) -> String {
    let mut bench = Bench::new(&kind(), json!({}));
    let Stream::Window { longest_match } = bench.stream::<LlmOutput>() else {
        panic!("streams come in windows")
    };
    let payload =
        Revision::new(Box::new(ToolPostInvokePayload { name: "t".into(), result: json!("").into() }));
    let mut windows = Windows::new(longest_match);
    let mut out = String::new();
    for (i, chunk) in chunks.iter().enumerate() {
        let last = i + 1 == chunks.len();
        if windows.push(chunk) || last {
            let (text, context) = windows.view();
            let reply =
                bench.reply::<ToolPostInvoke>(&payload, Part::Window { text, context, last }).unwrap();
            let edits = match reply.change {
                Some(Change::Text(edits)) => edits,
                _ => Edits::new(),
            };
            out.push_str(windows.settle(&edits, last));
        }
    }
    out
}

fn whole(text: &str) -> String {
    let mut bench = Bench::new(&kind(), json!({}));
    let payload =
        Revision::new(Box::new(ToolPostInvokePayload { name: "t".into(), result: json!(text).into() }));
    let reply = bench.reply::<ToolPostInvoke>(&payload, Part::Whole).unwrap();
    match reply.change {
        Some(Change::Text(edits)) => {
            let edited = payload.payload().edited(&edits).unwrap();
            let edited: &ToolPostInvokePayload = edited.as_any().downcast_ref().unwrap();
            edited.result.value().unwrap().as_str().unwrap().to_owned()
        }
        _ => text.to_owned(),
    }
}

#[test]
fn a_value_split_from_its_label_is_still_found() {
    let filler = "nothing to see here; ".repeat(60);
    let text = format!("{filler}passport number: A1234567 and mail a@example.com {filler}");
    let expected = whole(&text);
    assert!(expected.contains("passport number: [REDACTED] and mail [REDACTED] "));
    for size in [1, 3, 7, 64, 500] {
        let chunks: Vec<&str> =
            text.as_bytes().chunks(size).map(|c| std::str::from_utf8(c).unwrap()).collect();
        assert_eq!(streamed(&chunks), expected, "chunks of {size}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn any_split_of_a_stream_gives_the_same_answer(
        pieces in prop::collection::vec(
            prop::sample::select(vec![
                "My SSN is 123-45-6789. ", "account number: 12345678901, ", "mail a.b@example.com; ", "é ü 漢字 ",
                "(555) 123-4567 ", "::1 ", "the wind had turned and the ferry sailed. ", "card 4111 1111 1111 1111 ",
                "DOB: March 12, 1980. ", "10.0.0.1, ", "api_key=abcd1234efgh5678ijkl ", "GB82 WEST 1234 5698 7654 32. ",
            ]),
            0..120,
        ),
        cuts in prop::collection::vec(0usize..4000, 0..40),
    ) {
        let text = pieces.concat();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|c| text.floor_char_boundary(c)).collect();
        cuts.extend([0, text.len()]);
        cuts.sort_unstable();
        let chunks: Vec<&str> = cuts.windows(2).map(|w| &text[w[0]..w[1]]).collect();
        prop_assert_eq!(streamed(&chunks), whole(&text));
    }
}
