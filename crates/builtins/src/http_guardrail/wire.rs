//! The contract, as it is written and read.

use std::{
    ops::{ControlFlow, Range},
    sync::OnceLock,
};

use bytes::Bytes;
use mortise_plugin_api::{Call, Json, Payload, PluginError, TextId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::config::Config;
use crate::service::facts::{self, CallerFacts, RequestFacts};

/// Version of the contract.
const VERSION: u32 = 1;

/// The texts that are shown, by id.
pub(super) struct Shown(Vec<Text>);

#[derive(Serialize)]
struct Text {
    id: u32,
    key: String,
    text: String,
    /// Where its characters begin, once somebody asks: an answer may hold many positions.
    #[serde(skip)]
    starts: OnceLock<Vec<usize>>,
}

impl Text {
    /// The byte at which this character begins; the text's length behind its last.
    fn byte_of(&self, character: usize) -> Option<usize> {
        let starts = self.starts.get_or_init(|| {
            let ends = std::iter::once(self.text.len());
            self.text.char_indices().map(|(at, _)| at).chain(ends).collect()
        });
        starts.get(character).copied()
    }
}

impl Shown {
    /// All texts of a payload.
    ///
    /// # Errors
    /// More than `most` bytes of text.
    pub(super) fn of(payload: &dyn Payload, most: usize) -> Result<Self, PluginError> {
        let (mut texts, mut bytes) = (Vec::new(), 0_usize);
        payload.texts(&mut |part| {
            bytes = bytes.saturating_add(part.text.len());
            if bytes > most {
                return ControlFlow::Break(());
            }
            if !part.text.is_empty() {
                let (key, text) = (part.key.into_owned(), part.text.into_owned());
                texts.push(Text { id: part.id.0, key, text, starts: OnceLock::new() });
            }
            ControlFlow::Continue(())
        });
        if bytes > most {
            let message = format!("there are more than {most} bytes of text, which is more than is judged");
            return Err(PluginError::failed(message));
        }
        Ok(Self(texts))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Where a replacement goes; `None` where nothing stands there.
    pub(super) fn place(&self, replacement: &Replacement) -> Option<(TextId, Range<usize>)> {
        // They are shown in the order of their ids.
        let at = self.0.binary_search_by_key(&replacement.id, |text| text.id).ok()?;
        let text = self.0.get(at)?;
        let start = text.byte_of(replacement.start.unwrap_or(0))?;
        let end = match replacement.end {
            Some(end) => text.byte_of(end)?,
            None => text.text.len(),
        };
        (start <= end).then_some((TextId(replacement.id), start..end))
    }
}

/// What is asked.
#[derive(Serialize)]
pub(super) struct Asked<'a> {
    version: u32,
    hook: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
    subject: &'a str,
    request: RequestFacts<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    caller: Option<CallerFacts<'a>>,
    texts: &'a [Text],
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<Json>,
}

/// A question, written.
pub(super) struct Written {
    pub(super) body: Bytes,
    /// What a verdict on it is kept by: all but the request's id.
    pub(super) kept_by: Vec<u8>,
}

impl<'a> Asked<'a> {
    pub(super) fn new(
        hook: &'a str,
        call: &Call<'a>,
        shown: &'a Shown,
        config: &Config,
    ) -> Result<Self, PluginError> {
        let payload = call.payload.payload();
        Ok(Self {
            version: VERSION,
            hook,
            request_id: None,
            subject: super::subject(payload),
            request: RequestFacts::of(call.request),
            caller: config.include_caller.then(|| CallerFacts::of(call.request)),
            texts: &shown.0,
            payload: if config.include_payload { Some(facts::payload(call)?) } else { None },
        }
        .at(call))
    }

    fn at(mut self, call: &Call<'a>) -> Self {
        self.request_id = Some(&call.request.id);
        self
    }

    /// Writes it.
    ///
    /// # Errors
    /// A payload that is no JSON.
    pub(super) fn encode(mut self) -> Result<Written, PluginError> {
        let failed = |_| PluginError::failed("the payload cannot be written as JSON");
        let body = serde_json::to_vec(&self).map_err(failed)?;
        self.request_id = None;
        let kept_by = serde_json::to_vec(&self).map_err(failed)?;
        Ok(Written { body: body.into(), kept_by })
    }
}

/// What is answered. Members that are not known are of a later version, and left alone.
#[derive(Deserialize)]
pub(super) struct Judged {
    pub(super) verdict: Word,
    #[serde(default)]
    pub(super) violation: Option<Refusal>,
    #[serde(default)]
    pub(super) replacements: Vec<Replacement>,
    #[serde(default)]
    pub(super) metadata: Option<Map<String, Value>>,
    #[serde(default)]
    pub(super) cache_seconds: Option<u64>,
}

/// What becomes of the call.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Word {
    Pass,
    Block,
    Change,
}

/// Why it is blocked.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Refusal {
    pub(super) code: String,
    pub(super) reason: String,
    pub(super) description: String,
    pub(super) details: Option<Map<String, Value>>,
}

/// What is replaced by what.
#[derive(Deserialize)]
pub(super) struct Replacement {
    pub(super) id: u32,
    /// First character; the text's first where left out.
    #[serde(default)]
    pub(super) start: Option<usize>,
    /// Character behind the last; the text's end where left out.
    #[serde(default)]
    pub(super) end: Option<usize>,
    pub(super) text: String,
}
