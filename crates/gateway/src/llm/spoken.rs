//! What a held stream said, text by text, and what plugins made of it.
//!
//! Plugins are shown the answer put together, in the vendor's own shape; what goes out are the events that came, with other
//! texts in them. The two are brought together by the texts themselves.

use std::{collections::HashMap, ops::ControlFlow};

use mortise_llm::text::{Channel, Event, TextKind};
use mortise_plugin_api::{Payload, hooks::llm::LlmOutputPayload};

/// What a stream said, channel by channel.
pub(super) struct Spoken(Vec<(Channel, String)>);

/// Texts that take the place of what was said.
pub(super) struct Instead(Vec<(Channel, Option<String>)>);

impl Spoken {
    pub(super) fn of(events: &[Event]) -> Self {
        let mut spoken: Vec<(Channel, String)> = Vec::new();
        for delta in events.iter().flat_map(|event| &event.deltas) {
            match spoken.iter_mut().find(|(channel, _)| *channel == delta.channel && !delta.whole) {
                Some((_, text)) => text.push_str(&delta.text),
                None => spoken.push((delta.channel, delta.text.clone())),
            }
        }
        Self(spoken)
    }

    /// What it has become: texts of the answer put together are found again by what they were. Where a plugin wrote
    /// another answer altogether, its texts take the place of the first one that was said.
    pub(super) fn become_of(self, before: &LlmOutputPayload, after: &LlmOutputPayload) -> Instead {
        let (before, after) = (texts_of(before), texts_of(after));
        if before.len() == after.len() {
            let changed: HashMap<&str, &str> = before
                .iter()
                .zip(&after)
                .filter(|(before, after)| before != after)
                .map(|(before, after)| (before.as_str(), after.as_str()))
                .collect();
            let texts = self.0.into_iter().map(|(channel, text)| {
                let new = changed.get(text.as_str()).map(|new| (*new).to_owned());
                (channel, Some(new.unwrap_or(text)))
            });
            return Instead(texts.collect());
        }
        let mut whole = Some(after.join("\n"));
        let texts = self.0.into_iter().map(|(channel, _)| {
            let is_text = channel.kind == TextKind::Text;
            (channel, Some(if is_text { whole.take().unwrap_or_default() } else { String::new() }))
        });
        Instead(texts.collect())
    }
}

fn texts_of(answer: &LlmOutputPayload) -> Vec<String> {
    let mut texts = Vec::new();
    answer.texts(&mut |part| {
        texts.push(part.text.into_owned());
        ControlFlow::Continue(())
    });
    texts
}

impl Instead {
    /// The text for the next piece of a channel: all of it for the first one.
    pub(super) fn take(&mut self, channel: Channel, whole: bool) -> Option<String> {
        let known = self.0.iter_mut().find(|(known, text)| *known == channel && (!whole || text.is_some()));
        Some(known.and_then(|(_, text)| text.take()).unwrap_or_default())
    }
}
