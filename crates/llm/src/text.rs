//! The text that people read, in the events of a stream: where it stands, and other text in its place.
//!
//! A guard looks at text in windows, holds some of it back and lets it out later, changed or not. So an event is taken
//! apart into [`Delta`]s, each belonging to a [`Channel`] whose deltas one after another are a text; it is written
//! again with other texts in their places and every other byte as it came in. What is held when a channel closes goes
//! out before, in an event like the last one of that channel ([`Texts::tail`]).
//!
//! How to drive it, event by event:
//!
//! 1. `let event = texts.look(&frame)`.
//! 2. For each channel that holds text, that `event.closes` it, and that has no delta in the event: decide on what is
//!    held, and send `texts.tail(channel, …)`.
//! 3. For each delta: feed its window; where `event.closes` the channel and it is the channel's last delta of the
//!    event, nothing is held back.
//! 4. Send `texts.write(&frame, &event, …)`.
//!
//! At the end of the stream, whatever is still held goes out as in 2. Some vendors say a text again when it is done
//! (OpenAI's responses do it three times); `write` keeps those in step with what was sent.

use std::{collections::HashMap, ops::Range};

use bytes::Bytes;
use serde_json::Value;
use smallvec::SmallVec;

use crate::{
    anthropic, bedrock, gemini,
    json::{self, Step, Token, unescape},
    openai,
    shape::Shape,
    stream::Frame,
};

mod refuse;
#[cfg(test)]
mod tests;

/// One text among those that a stream carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Channel {
    /// Which of the alternative answers; in OpenAI's responses, which item of the output.
    pub choice: u32,
    /// Which block, part or tool call of it; 0 where the shape has no such number.
    pub block: u32,
    /// What it is.
    pub kind: TextKind,
}

/// What a text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum TextKind {
    /// What the model says.
    Text,
    /// What it thought before.
    Reasoning,
    /// Why it does not answer.
    Refusal,
    /// The arguments of a tool call. Where they come in pieces they are JSON text: whoever puts other text in their place
    /// must keep it JSON ([`escaped`]).
    Arguments,
    /// What nobody knows: a string of an unknown shape.
    Other,
}

/// `text` as it must stand within JSON text that is a text itself, as tool arguments that come in pieces are.
#[must_use]
pub fn escaped(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    json::write_inner(&mut out, text);
    String::from_utf8(out).unwrap_or_default()
}

/// A piece of text in an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delta {
    /// The text it is part of.
    pub channel: Channel,
    /// The piece.
    pub text: String,
    /// Whether it is a text by itself, complete: nothing before or after it belongs to it.
    pub whole: bool,
    at: Range<usize>,
}

/// Which channels an event closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Close {
    All,
    Choice(u32),
    Block(u32, u32),
}

/// An answer or an event without the probabilities of its tokens, which say its text once more: for where the text was
/// changed. `None` where there are none. Builds a tree, as hardly anybody asks for them.
#[must_use]
pub fn without_logprobs(body: &[u8]) -> Option<Bytes> {
    memchr::memmem::find(body, b"\"logprobs")?;
    let mut body: Value = serde_json::from_slice(body).ok()?;
    strip_logprobs(&mut body).then(|| body.to_string().into())
}

fn strip_logprobs(value: &mut Value) -> bool {
    match value {
        Value::Object(members) => {
            let mut found = false;
            for (name, value) in members {
                found |= match (name.as_str(), &*value) {
                    ("logprobs" | "logprobsResult", Value::Array(items)) if !items.is_empty() => {
                        *value = Value::Array(Vec::new());
                        true
                    }
                    ("logprobs" | "logprobsResult", Value::Object(_)) => {
                        *value = Value::Null;
                        true
                    }
                    _ => strip_logprobs(value),
                };
            }
            found
        }
        Value::Array(items) => items.iter_mut().fold(false, |found, item| strip_logprobs(item) | found),
        _ => false,
    }
}

/// What an event holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// Its pieces of text, in order.
    pub deltas: Vec<Delta>,
    closes: SmallVec<[Close; 2]>,
    /// Texts that were complete before and are said again.
    repeats: Vec<Delta>,
}

impl Event {
    /// Whether no text of this channel comes after this event.
    #[must_use]
    pub fn closes(&self, channel: Channel) -> bool {
        self.closes.iter().any(|close| match *close {
            Close::All => true,
            Close::Choice(choice) => choice == channel.choice,
            Close::Block(choice, block) => choice == channel.choice && block == channel.block,
        })
    }

    /// Whether there is nothing in it to look at or to wait for.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.deltas.is_empty() && self.closes.is_empty() && self.repeats.is_empty()
    }
}

/// What the rules of a shape find in an event, before numbers that stand beside texts are known.
#[derive(Default)]
pub(crate) struct Scene {
    deltas: Vec<Delta>,
    repeats: Vec<Delta>,
    closes: SmallVec<[Close; 2]>,
}

impl Scene {
    pub(crate) fn delta(&mut self, json: &[u8], at: Range<usize>, channel: Channel) {
        self.push(json, at, channel, false, false);
    }

    pub(crate) fn whole(&mut self, json: &[u8], at: Range<usize>, channel: Channel) {
        self.push(json, at, channel, true, false);
    }

    pub(crate) fn repeat(&mut self, json: &[u8], at: Range<usize>, channel: Channel) {
        self.push(json, at, channel, true, true);
    }

    fn push(&mut self, json: &[u8], at: Range<usize>, channel: Channel, whole: bool, repeat: bool) {
        let text = unescape(json.get(at.clone()).unwrap_or_default()).into_owned();
        let list = if repeat { &mut self.repeats } else { &mut self.deltas };
        list.push(Delta { channel, text, whole, at });
    }

    pub(crate) fn close(&mut self, close: Close) {
        self.closes.push(close);
    }

    /// Gives every text its number, which may stand behind it in the event.
    pub(crate) fn renumber(&mut self, number: impl Fn(&mut Channel)) {
        self.deltas.iter_mut().chain(&mut self.repeats).for_each(|delta| number(&mut delta.channel));
    }
}

/// The texts of one stream.
#[derive(Debug)]
pub struct Texts {
    shape: Shape,
    /// The last event that carried a piece of each channel.
    like: HashMap<Channel, (Frame, Event)>,
    /// What was sent of each channel, where the shape says texts again.
    sent: HashMap<Channel, String>,
    /// The last event with data.
    last: Option<Frame>,
}

impl Texts {
    /// The texts of a stream of this shape.
    #[must_use]
    pub fn new(shape: Shape) -> Self {
        Self { shape, like: HashMap::new(), sent: HashMap::new(), last: None }
    }

    /// Takes an event apart.
    #[must_use]
    pub fn look(&self, frame: &Frame) -> Event {
        look(self.shape, frame)
    }

    /// The event with other texts: one for each of its deltas, `None` for one that stays. An event in which nothing
    /// changes is sent as it came in.
    pub fn write(&mut self, frame: &Frame, event: &Event, texts: &[Option<String>]) -> Bytes {
        let mut edits: Vec<(Range<usize>, &str)> = Vec::new();
        for (n, delta) in event.deltas.iter().enumerate() {
            let text = texts.get(n).and_then(Option::as_deref);
            if let Some(text) = text.filter(|text| *text != delta.text) {
                edits.push((delta.at.clone(), text));
            }
            if self.shape == Shape::Responses {
                self.sent.entry(delta.channel).or_default().push_str(text.unwrap_or(&delta.text));
            }
        }
        for repeat in &event.repeats {
            if let Some(sent) = self.sent.get(&repeat.channel).filter(|sent| **sent != repeat.text) {
                edits.push((repeat.at.clone(), sent));
            }
        }
        edits.sort_by_key(|(at, _)| at.start);
        let out = match edits.is_empty() {
            true => frame.raw().clone(),
            false => {
                let data = json::splice(frame.data(), edits);
                frame.with_data(&without_logprobs(&data).unwrap_or(data.into()))
            }
        };
        for channel in event.deltas.iter().filter(|delta| !delta.whole).map(|delta| delta.channel) {
            self.like.insert(channel, (frame.clone(), event.clone()));
        }
        if !frame.is_empty() && !frame.is_done() {
            self.last = Some(frame.clone());
        }
        out
    }

    /// An event that carries `text`, like the last one of this channel; `None` where there was none, or nothing to carry.
    pub fn tail(&mut self, channel: Channel, text: &str) -> Option<Bytes> {
        if text.is_empty() {
            return None;
        }
        let (frame, event) = self.like.get(&channel)?;
        let mut carried = false;
        let edits: Vec<_> = event
            .deltas
            .iter()
            .map(|delta| {
                let text = if delta.channel == channel && !carried { text } else { "" };
                carried |= delta.channel == channel;
                (delta.at.clone(), text)
            })
            .collect();
        if self.shape == Shape::Responses {
            self.sent.entry(channel).or_default().push_str(text);
        }
        Some(frame.with_data(&json::splice(frame.data(), edits)))
    }

    /// Ends the stream as this vendor ends one whose content it withholds (`content_filter`, `refusal`, `SAFETY`), with
    /// a text that says why. The official libraries take it as a complete answer with that reason.
    #[must_use]
    pub fn refuse(&self, message: &str) -> Bytes {
        refuse::refuse(self.shape, self.last.as_ref(), &self.open(), message)
    }

    fn open(&self) -> Vec<Channel> {
        let mut open: Vec<Channel> = self.like.keys().copied().collect();
        open.sort_unstable();
        open
    }
}

/// Takes an event apart.
fn look(shape: Shape, frame: &Frame) -> Event {
    let mut scene = Scene::default();
    if frame.is_done() {
        scene.close(Close::All);
    } else if !frame.is_empty() {
        let json = frame.data();
        match shape {
            Shape::Chat | Shape::Completions => openai::text::chat(json, &mut scene),
            Shape::Responses => openai::text::responses(json, &mut scene),
            Shape::Messages | Shape::InvokeMessages => anthropic::text::event(json, &mut scene),
            Shape::Generate => gemini::text::event(json, &mut scene),
            Shape::Converse => bedrock::text::event(frame.name().unwrap_or_default(), json, &mut scene),
            _ => unknown(json, &mut scene),
        }
    }
    let Scene { mut deltas, repeats, closes } = scene;
    deltas.sort_by_key(|delta| delta.at.start);
    Event { deltas, closes, repeats }
}

/// A stream of a shape that nobody knows: strings under the names that texts usually have.
fn unknown(json: &[u8], scene: &mut Scene) {
    let mut blocks = 0;
    json::walk(json, |path, token| {
        let name = path.iter().rev().find_map(|step| match step {
            Step::Key(name) => Some(*name),
            Step::Item(_) => None,
        });
        let named = matches!(
            name,
            Some(
                b"text"
                    | b"content"
                    | b"completion"
                    | b"generation"
                    | b"outputText"
                    | b"response"
                    | b"thinking"
            )
        );
        if let (true, Token::Text(at)) = (named, &token) {
            let channel = Channel { choice: 0, block: blocks, kind: TextKind::Other };
            scene.delta(json, at.clone(), channel);
            blocks += 1;
        }
    });
}
