//! The streamed answer of an LLM, as the plugin wants it: in windows, whole, or not at all.

use std::sync::Arc;

use mortise_plugin_api::{Change, Edits, HookSpec, Part, Revision, Stream, Violation, Windows, Wire};
use serde_json::{Value, json};

use super::{Decision, Visit};

/// What became of a stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Streamed {
    /// The text that went out.
    pub text: String,
    /// Why the rest did not.
    pub violation: Option<Violation>,
}

impl Streamed {
    /// All of it went out, and it is this.
    ///
    /// # Panics
    /// Where it is not.
    #[track_caller]
    pub fn assert_text(&self, expected: &str) -> &Self {
        assert_eq!((self.text.as_str(), &self.violation), (expected, &None), "the text that went out");
        self
    }

    /// It was cut short, with a violation of this code.
    ///
    /// # Panics
    /// Where it was not, or with another code.
    #[track_caller]
    pub fn assert_blocked(&self, code: &str) -> &Violation {
        match &self.violation {
            Some(violation) if violation.code == code => violation,
            other => panic!("it blocks with {code}, but: {other:?}, after {:?}", self.text),
        }
    }
}

/// A text in pieces of about `size` bytes, cut between characters.
pub(super) fn pieces(text: &str, size: usize) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (piece, after) = rest.split_at(rest.ceil_char_boundary(size.min(rest.len())));
        rest = after;
        (!piece.is_empty()).then_some(piece)
    })
}

impl Visit<'_> {
    /// The answer of an LLM, in pieces.
    ///
    /// # Panics
    /// Where the plugin fails, or answers a window with something else than replaced text or a violation.
    pub async fn llm_stream<'c>(&mut self, pieces: impl IntoIterator<Item = &'c str>) -> Streamed {
        let harness = self.harness;
        let row = harness.row("llm_output");
        let needs = harness.plugin().await.needs(row.id);
        match needs.map_or(Stream::Skip, |needs| needs.stream) {
            Stream::Window { longest_match } => self.in_windows(row, pieces, longest_match).await,
            Stream::Complete => self.as_a_whole(row, pieces).await,
            Stream::Observe | Stream::Skip => {
                let text: String = pieces.into_iter().collect();
                if needs.is_some() {
                    let seen = self.call(row, &payload(row, &text.as_str().into()), Part::Complete).await;
                    assert!(seen.is_ok(), "the plugin looks at what has gone out: {:?}", seen.err());
                }
                Streamed { text, violation: None }
            }
        }
    }

    async fn in_windows<'c>(
        &mut self,
        row: &HookSpec,
        pieces: impl IntoIterator<Item = &'c str>,
        longest: usize,
    ) -> Streamed {
        let (payload, mut windows) = (payload(row, &Value::Null), Windows::new(longest));
        let mut streamed = Streamed { text: String::new(), violation: None };
        let mut pieces = pieces.into_iter();
        loop {
            let piece = pieces.next();
            let last = piece.is_none();
            if !windows.push(piece.unwrap_or_default()) && !last {
                continue;
            }
            let (text, context) = windows.view();
            let answer = self.call(row, &payload, Part::Window { text, context, last }).await;
            let reply = answer.unwrap_or_else(|error| panic!("the plugin looks at a window: {error}"));
            if let Some(violation) = reply.violation {
                streamed.violation = Some(*violation);
                return streamed;
            }
            let edits = match reply.change {
                None => Edits::new(),
                Some(Change::Text(edits)) => edits,
                Some(Change::Answer(_) | Change::Serve(_)) => {
                    panic!("a window is answered with edits, not with a payload")
                }
            };
            streamed.text.push_str(windows.settle(&edits, last));
            if last {
                return streamed;
            }
        }
    }

    async fn as_a_whole<'c>(
        &mut self,
        row: &HookSpec,
        pieces: impl IntoIterator<Item = &'c str>,
    ) -> Streamed {
        let text: String = pieces.into_iter().collect();
        let payload = payload(row, &text.into());
        let answer = self.call(row, &payload, Part::Whole).await;
        let decision = Decision::new(row, payload, answer);
        match decision.violation() {
            Some(violation) => Streamed { text: String::new(), violation: Some(violation.clone()) },
            None => Streamed { text: decision.texts().concat(), violation: None },
        }
    }
}

/// The payload that goes with a stream of text.
fn payload(row: &HookSpec, text: &Value) -> Arc<Revision> {
    let body = json!({ "choices": [{ "message": { "role": "assistant", "content": text } }] });
    let payload = json!({ "llm": "test", "vendor": "test", "streamed": true, "body": body }).to_string();
    Revision::new(row.decode(payload.as_bytes(), Wire::Json).expect("a payload of llm_output"))
}
