//! Payloads: what a hook is about, immutable, with a revision for each change.

use std::{
    any::Any,
    fmt,
    ops::ControlFlow,
    sync::{Arc, OnceLock},
};

use bytes::Bytes;

use crate::{EditError, Edits, PluginError, content::view::TextPart};

/// What a hook is about: a tool call, a prompt, a request.
///
/// Implemented by the typed payloads of [`hooks`](crate::hooks) and by [`Open`](crate::hooks::open::Open) for
/// hooks registered at start. Payloads are never changed in place.
pub trait Payload: Any + Send + Sync + fmt::Debug {
    /// Writes the payload as JSON in one of the JSON wire forms.
    ///
    /// # Errors
    /// When `wire` is no JSON form or the payload holds text that is no JSON.
    fn encode(&self, wire: Wire) -> Result<Bytes, PluginError>;

    /// Content view: shows every piece of human-readable text until `visit` breaks.
    ///
    /// Ids are stable for one revision. Keys, binary data and URIs are never shown.
    fn texts(&self, visit: &mut dyn FnMut(TextPart<'_>) -> ControlFlow<()>);

    /// Content view: the same payload with some of its text replaced.
    ///
    /// # Errors
    /// When an edit names text that is not there.
    fn edited(&self, edits: &Edits) -> Result<Box<dyn Payload>, EditError>;

    /// Where the text `id` stands, for people: `args.user.name`, `content[0].text`.
    fn text_path(&self, id: crate::TextId) -> String;

    /// What the call is about: name of the tool, prompt or agent, or URI of the resource. Conditions look at it.
    fn subject(&self) -> Option<&str> {
        None
    }

    /// `content_type` of what the payload carries, where it says so.
    fn content_type(&self) -> Option<String> {
        None
    }

    /// Size in bytes of the raw JSON that limits are compared with.
    fn size(&self) -> usize;

    /// For downcasting.
    fn as_any(&self) -> &dyn Any;
}

/// A form in which payloads travel to foreign runtimes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Wire {
    /// JSON as documented today (`prompt_id`).
    Json,
    /// JSON as plugin servers of the first generation know it (`name` for prompts).
    JsonLegacy,
    /// Protobuf of the plugin server framework.
    PluginProto,
    /// Protobuf of go-plugin process plugins.
    ProcessProto,
    /// WebAssembly component interface.
    Wit,
}

impl Wire {
    const COUNT: usize = 5;
}

/// One state of a payload: the value and, per wire form, its encoding, made at most once.
///
/// A change makes a new revision; whoever still holds the old one (a background task, a retry) is not disturbed.
pub struct Revision {
    value: Box<dyn Payload>,
    /// Made when a foreign runtime first asks; where all plugins are native, nobody does.
    wires: OnceLock<Box<Wires>>,
}

type Wires = [OnceLock<Result<Bytes, PluginError>>; Wire::COUNT];

impl Revision {
    /// A revision of `value` without encodings.
    pub fn new(value: Box<dyn Payload>) -> Arc<Self> {
        Arc::new(Self { value, wires: OnceLock::new() })
    }

    /// The payload.
    pub fn payload(&self) -> &dyn Payload {
        &*self.value
    }

    /// The payload as a type, if it is of that type.
    pub fn get<P: Payload>(&self) -> Option<&P> {
        self.value.as_any().downcast_ref()
    }

    /// The payload's JSON in a JSON wire form, encoded at most once however many plugins ask.
    ///
    /// # Errors
    /// As [`Payload::encode`].
    pub fn json(&self, wire: Wire) -> Result<&Bytes, PluginError> {
        self.wire(wire, |payload| payload.encode(wire))
    }

    /// The payload in any wire form, encoded at most once by the first asker's `encode`.
    ///
    /// A runtime brings the encoder of its own form, so this crate need not know protobuf.
    ///
    /// # Errors
    /// What `encode` answered, to this and every later asker.
    pub fn wire(
        &self,
        wire: Wire,
        encode: impl FnOnce(&dyn Payload) -> Result<Bytes, PluginError>,
    ) -> Result<&Bytes, PluginError> {
        self.wires.get_or_init(Box::default)[wire as usize]
            .get_or_init(|| encode(&*self.value))
            .as_ref()
            .map_err(Clone::clone)
    }

    /// How many wire forms have been encoded so far; for tests and metrics.
    pub fn encodings(&self) -> usize {
        self.wires.get().map_or(0, |wires| wires.iter().filter(|slot| slot.get().is_some()).count())
    }
}

impl fmt::Debug for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Revision").field("value", &self.value).finish_non_exhaustive()
    }
}
