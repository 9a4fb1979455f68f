//! The content view: text found in JSON and put back, and text in windows.

use std::ops::ControlFlow;

use mortise_plugin_api::{
    Edits, TextId, Windows,
    content::{
        edits::apply,
        scan::{self, Select, Within},
    },
};

use super::{json::Tree, knobs};

const SELECTS: [Select; 7] = [
    Select::All,
    Select::Result,
    Select::Resource,
    Select::Llm,
    Select::TextOr(Within::Result),
    Select::TextOr(Within::Llm),
    Select::Nothing,
];

/// Knobs: start and length of what is replaced in every text. Then any bytes, which mostly should be JSON.
pub fn scan(data: &[u8]) {
    let Some(([from, length], json)) = knobs::<2>(data) else { return };
    let tree = Tree::parse(json);
    for select in SELECTS {
        let texts = found(json, select);
        if let Some(tree) = &tree {
            let mut slow = String::new();
            tree.spelled_out(&mut slow);
            assert_eq!(texts, found(slow.as_bytes(), select), "spelling changes nothing: {select:?}");
        }
        replace(json, select, &texts, tree.as_ref(), (from % 32, length % 32));
    }
    if let Some(tree) = &tree {
        let mut expected = Vec::new();
        tree.texts(&mut expected);
        assert_eq!(found(json, Select::All), expected, "the scanner finds what a parser finds");
    }
}

/// The texts, after a look at how they are numbered and where they stand.
fn found(json: &[u8], select: Select) -> Vec<String> {
    let (mut texts, mut end) = (Vec::new(), 0);
    scan::strings(json, select, |found| {
        assert_eq!(found.number as usize, texts.len());
        assert!(end <= found.start && found.start < found.end && found.end <= json.len());
        end = found.end;
        texts.push(found.text.into_owned());
        ControlFlow::Continue(())
    });
    if select != Select::Nothing {
        assert_eq!(scan::count(json, select) as usize, texts.len());
    }
    for number in [0, texts.len() / 2, texts.len()] {
        drop(scan::path(json, select, number as u32));
    }
    texts
}

/// Replaces a part of every text, numbered from 3.
fn replace(json: &[u8], select: Select, texts: &[String], tree: Option<&Tree>, part: (usize, usize)) {
    if select == Select::Nothing {
        return;
    }
    let with = "\"\\\u{7}é";
    let mut edits = Edits::new();
    let mut expected = Vec::new();
    for (number, text) in texts.iter().enumerate() {
        let start = text.floor_char_boundary(part.0.min(text.len()));
        let end = text.floor_char_boundary((start + part.1).min(text.len()));
        let id = TextId(number as u32 + 3);
        edits.replace(id, start..end, with);
        expected.push(apply(text, edits.of(id)).unwrap());
    }
    let (out, count) = scan::splice(json, select, &edits, 3).unwrap();
    assert_eq!(count as usize, texts.len());
    assert_eq!(out.is_none(), texts.is_empty(), "only what changes is written");
    let Some(out) = out else { return };
    // What is cut off or not UTF-8 may read otherwise once written; valid JSON must not.
    if tree.is_some() {
        assert_eq!(found(&out, select), expected, "edited texts are found where they were");
        assert!(Tree::parse(&out).is_some(), "JSON stays JSON");
    }
}

/// Knobs: the longest match and the length of pieces. Then the text.
pub fn windows(data: &[u8]) {
    let Some(([longest, piece], text)) = knobs::<2>(data) else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    let (longest, piece) = (longest % 24 + 1, piece % 16 + 1);
    let whole = apply(text, digit_runs(text, 0, longest).of(TextId(0))).unwrap();
    for piece in [piece, 1, text.len().max(1)] {
        let streamed = streamed(text, longest, piece, |view, from| digit_runs(view, from, longest));
        assert_eq!(streamed, whole, "in pieces of {piece}, matches of up to {longest}");
        assert_eq!(self::streamed(text, longest, piece, |_, _| Edits::new()), text);
        // Edits that make no sense must do no harm.
        self::streamed(text, longest, piece, |view, _| nonsense(view.len(), data));
    }
}

fn streamed(text: &str, longest: usize, piece: usize, decide: impl Fn(&str, usize) -> Edits) -> String {
    let (mut windows, mut out, mut at) = (Windows::new(longest), String::new(), 0);
    while at < text.len() {
        let end = text.ceil_char_boundary((at + piece).min(text.len()));
        if windows.push(&text[at..end]) {
            let (view, context) = windows.view();
            let edits = decide(view, context);
            out.push_str(windows.settle(&edits, false));
        }
        at = end;
    }
    let (view, context) = windows.view();
    let edits = decide(view, context);
    out.push_str(windows.settle(&edits, true));
    assert_eq!(windows.held(), 0);
    out
}

/// Runs of digits that are words of their own, leftmost first.
fn digit_runs(text: &str, from: usize, longest: usize) -> Edits {
    let (bytes, mut at, mut edits) = (text.as_bytes(), from, Edits::new());
    let word = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    while at < bytes.len() {
        let run = bytes[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let before = at > 0 && word(bytes.get(at - 1));
        if (1..=longest).contains(&run) && !before && !word(bytes.get(at + run)) {
            edits.replace(TextId(0), at..at + run, "#");
        }
        at += run.max(1);
    }
    edits
}

fn nonsense(length: usize, data: &[u8]) -> Edits {
    let mut edits = Edits::new();
    for pair in data.chunks_exact(2).take(8) {
        let (start, end) = (usize::from(pair[0]) % (length + 2), usize::from(pair[1]) % (length + 3));
        edits.replace(TextId(u32::from(pair[0] & 1)), start..end, "é");
    }
    edits
}
