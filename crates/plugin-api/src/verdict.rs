//! What a plugin answers: pass, block, change, serve; and what it says beside that.

use std::{any::Any, time::Duration};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{Edits, Headers, Json};

/// A refusal: why a call must not go on, for people, for programs and for the wire.
///
/// Who refused is not part of it: the pipeline knows that, and a plugin cannot speak in another's name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Violation {
    /// The reason in a few words.
    #[serde(default)]
    pub reason: String,
    /// The reason in a sentence.
    #[serde(default)]
    pub description: String,
    /// A machine-readable code such as `PII_DETECTED`. `violation_code` is accepted when reading.
    #[serde(default, alias = "violation_code")]
    pub code: String,
    /// Anything else worth telling the caller. Must hold no secret: it is sent to the client.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub details: Map<String, Value>,
    /// JSON-RPC error code to answer with where the surface speaks JSON-RPC; -32602 unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mcp_error_code: Option<i32>,
    /// HTTP status to answer with where the surface speaks plain HTTP; chosen by code unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_status_code: Option<u16>,
    /// HTTP headers to answer with, for example `retry-after`.
    #[serde(default, deserialize_with = "null_is_none", skip_serializing_if = "Option::is_none")]
    pub http_headers: Option<Headers>,
    /// Body to answer with where the surface speaks plain HTTP, instead of one that tells of this violation; its type is
    /// what `http_headers` say. Only plugins that answer HTTP themselves have one, and it is not written as JSON.
    #[serde(skip)]
    #[schemars(skip)]
    pub http_body: Option<Bytes>,
}

fn null_is_empty<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Map<String, Value>, D::Error> {
    Ok(Option::deserialize(d)?.unwrap_or_default())
}

fn null_is_none<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Option<Headers>, D::Error> {
    Option::deserialize(d)
}

impl Violation {
    /// A violation with this code and reason; the description is the reason until set.
    pub fn new(code: impl Into<String>, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self { description: reason.clone(), reason, code: code.into(), ..Self::default() }
    }

    /// Sets the sentence that describes it.
    #[must_use]
    pub fn describe(mut self, description: impl Into<String>) -> Self {
        self.description = description.into();
        self
    }

    /// Adds one detail.
    #[must_use]
    pub fn detail(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.details.insert(key.into(), value.into());
        self
    }

    /// Sets the HTTP status.
    #[must_use]
    pub fn http_status(mut self, status: u16) -> Self {
        self.http_status_code = Some(status);
        self
    }
}

/// What a typed handler decides about a call at a hook whose answer type is `C`.
#[derive(Debug)]
pub enum Verdict<C> {
    /// Nothing to say. At the hooks that look for an answer (who is it, may they) this abstains.
    Pass,
    /// The call must not go on.
    Block(Box<Violation>),
    /// The call goes on changed; at hooks that look for an answer, this is the answer.
    Change(C),
    /// The call goes on with some of its text replaced.
    Edit(Edits),
    /// The call is served with this result, and the upstream is not asked.
    ///
    /// At the hooks before a tool, a prompt or a resource ([`HookSpec::serves`](crate::HookSpec::serves)), an error
    /// elsewhere. The result is what the hook after shows as `result`, of a resource as `content`. Plugins that stand
    /// later at this hook do not run; the hooks after run as on an upstream's answer, and can change or withhold it.
    Serve(Json),
}

impl<C> From<Violation> for Verdict<C> {
    fn from(violation: Violation) -> Self {
        Self::Block(Box::new(violation))
    }
}

/// A change on its way from an erased plugin into the pipeline.
pub enum Change {
    /// The hook's answer type ([`Hook::Change`](crate::Hook::Change)), boxed.
    Answer(Box<dyn Any + Send>),
    /// Replaced text of the content view.
    Text(Edits),
    /// The result that serves the call in the upstream's place; see [`Verdict::Serve`].
    Serve(Box<Json>),
}

impl std::fmt::Debug for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Answer(_) => "Answer(..)",
            Self::Text(_) => "Text(..)",
            Self::Serve(_) => "Serve(..)",
        })
    }
}

/// What a plugin says beside its verdict.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Notes {
    /// Data about this execution; merged into the result, later plugins winning per key.
    pub metadata: Map<String, Value>,
    /// Headers it would like on the answer to the client.
    pub response_headers: Headers,
    /// Asks for the tool to be called again after this long; the longest wish of a chain counts.
    pub retry_after: Duration,
}

/// The erased answer of a plugin: every part is optional, so that a plugin that lets a call pass costs nothing.
///
/// A violation and a change may come together: under modes that do not block, the change still counts.
#[derive(Debug, Default)]
pub struct Reply {
    /// Why the call must not go on.
    pub violation: Option<Box<Violation>>,
    /// What it changes.
    pub change: Option<Change>,
    /// What it says beside that.
    pub notes: Option<Box<Notes>>,
}

impl Reply {
    /// Nothing to say.
    pub const fn pass() -> Self {
        Self { violation: None, change: None, notes: None }
    }

    /// Whether there is nothing said in it.
    #[inline]
    pub const fn is_pass(&self) -> bool {
        self.violation.is_none() && self.change.is_none() && self.notes.is_none()
    }
}

impl<C: Any + Send> From<Verdict<C>> for Reply {
    fn from(verdict: Verdict<C>) -> Self {
        let mut reply = Self::pass();
        match verdict {
            Verdict::Pass => {}
            Verdict::Block(violation) => reply.violation = Some(violation),
            Verdict::Change(change) => reply.change = Some(Change::Answer(Box::new(change))),
            Verdict::Edit(edits) if edits.is_empty() => {}
            Verdict::Edit(edits) => reply.change = Some(Change::Text(edits)),
            Verdict::Serve(result) => reply.change = Some(Change::Serve(Box::new(result))),
        }
        reply
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn violations_of_every_generation_are_read() {
        let old: Violation = serde_json::from_str(
            r#"{"description":"d","violation_code":"X","plugin_name":"me","details":null}"#,
        )
        .unwrap();
        assert_eq!((old.code.as_str(), old.reason.as_str()), ("X", ""));
        let new: Violation = serde_json::from_str(
            r#"{"reason":"r","description":"d","code":"Y","details":{"a":1},"mcp_error_code":null,
                "http_status_code":429,"http_headers":{"Retry-After":"3"}}"#,
        )
        .unwrap();
        assert_eq!(new.http_status_code, Some(429));
        assert_eq!(new.http_headers.unwrap().get("retry-after"), Some("3"));
    }
}
