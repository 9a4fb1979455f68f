//! What a plugin decided, in the shape it travels in.

use std::{any::Any, sync::Arc};

use bytes::Bytes;
use mortise_plugin_api::{
    Change, Headers, HookSpec, PluginError, Reply, Revision, Violation, Wire,
    hooks::http::{Permission, UserRecord},
};
use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::{Map, Value, value::RawValue};

use crate::Policy;

/// A plugin's decision about one call.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// Whether the call goes on.
    pub continue_processing: bool,
    /// The changed payload, or the answer where the hook asks for one, as JSON.
    pub modified_payload: Option<Bytes>,
    /// Why the call must not go on.
    pub violation: Option<Violation>,
    /// Data about the execution.
    pub metadata: Map<String, Value>,
    /// Headers the plugin would like on the answer to the client.
    pub http_headers: Headers,
    /// After how many milliseconds the plugin would like the tool to be called again; 0 for not at all.
    pub retry_delay_ms: u64,
}

impl Decision {
    /// The call goes on, and nothing is said.
    #[must_use]
    pub fn pass() -> Self {
        Self {
            continue_processing: true,
            modified_payload: None,
            violation: None,
            metadata: Map::new(),
            http_headers: Headers::new(),
            retry_delay_ms: 0,
        }
    }

    /// Reads a plugin's reply at `hook` about `payload`, as its policy lets it be told.
    ///
    /// # Errors
    /// When the reply does not fit the hook.
    pub(crate) fn of(
        reply: Reply,
        hook: &HookSpec,
        payload: &Arc<Revision>,
        wire: Wire,
        policy: Policy,
    ) -> Result<Self, PluginError> {
        let mut decision = Self::pass();
        if let Some(notes) = reply.notes {
            decision.metadata = notes.metadata;
            decision.http_headers = notes.response_headers;
            decision.retry_delay_ms = u64::try_from(notes.retry_after.as_millis()).unwrap_or(u64::MAX);
        }
        if policy.blocks {
            decision.violation = reply.violation.map(|violation| *violation);
            decision.continue_processing = decision.violation.is_none();
        }
        if let Some(change) = reply.change.filter(|_| policy.changes) {
            decision.modified_payload = modified(change, hook, payload, wire)?;
        }
        Ok(decision)
    }
}

/// What `modified_payload` says: the whole payload as changed, except at the hooks whose answers are of a type of their
/// own.
fn modified(
    change: Change,
    hook: &HookSpec,
    payload: &Arc<Revision>,
    wire: Wire,
) -> Result<Option<Bytes>, PluginError> {
    let invalid = |error: &dyn std::fmt::Display| PluginError::InvalidAnswer(error.to_string());
    let changed = match change {
        Change::Text(edits) => Some(payload.payload().edited(&edits).map_err(|error| invalid(&error))?),
        Change::Answer(answer) => match bare(&*answer) {
            Some(json) => return json.map(Some).map_err(|error| invalid(&error)),
            None => hook.apply(payload.payload(), answer)?.payload,
        },
        // The contract has no place for the result of a call: it goes to the upstream as if nothing had been said.
        Change::Serve(_) => None,
    };
    changed.map(|payload| payload.encode(wire)).transpose()
}

fn bare(answer: &(dyn Any + Send)) -> Option<serde_json::Result<Bytes>> {
    fn write<T: Serialize + 'static>(answer: &(dyn Any + Send)) -> Option<serde_json::Result<Bytes>> {
        Some(serde_json::to_vec(answer.downcast_ref::<T>()?).map(Bytes::from))
    }
    write::<Headers>(answer).or_else(|| write::<UserRecord>(answer)).or_else(|| write::<Permission>(answer))
}

/// Every key is written, absent values as null, as clients of all generations expect it.
impl Serialize for Decision {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let payload = self.modified_payload.as_deref().map(serde_json::from_slice::<&RawValue>);
        let payload = payload.transpose().map_err(serde::ser::Error::custom)?;
        let headers = (!self.http_headers.is_empty()).then_some(&self.http_headers);
        let mut map = serializer.serialize_map(Some(6))?;
        map.serialize_entry("continue_processing", &self.continue_processing)?;
        map.serialize_entry("modified_payload", &payload)?;
        map.serialize_entry("violation", &self.violation)?;
        map.serialize_entry("metadata", &self.metadata)?;
        map.serialize_entry("http_headers", &headers)?;
        map.serialize_entry("retry_delay_ms", &self.retry_delay_ms)?;
        map.end()
    }
}
