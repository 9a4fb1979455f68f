//! The JSON that plugin servers of the ContextForge family speak: contexts on the way out, results on the way in.
//!
//! Shared by every runtime that talks JSON to a foreign plugin; transports are theirs. Field names and shapes are
//! the published ones: `request_id`, `user`, `user_context`, `tenant_id`, `server_id`, `content_type`, `state`,
//! `metadata`; `continue_processing`, `modified_payload`, `violation`, `metadata`, `http_headers`,
//! `retry_delay_ms`.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, value::RawValue};

use crate::{Change, Context, Headers, HookSpec, Notes, PluginError, Reply, Request, Violation, Wire};

/// A plugin's context as it travels.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WireContext {
    /// The plugin's own state.
    #[serde(default)]
    pub state: Map<String, Value>,
    /// What all plugins of the request share.
    #[serde(default)]
    pub global_context: WireGlobal,
    /// The plugin's own metadata.
    #[serde(default)]
    pub metadata: Map<String, Value>,
}

/// What all plugins of a request share, as it travels.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct WireGlobal {
    /// Id of the request.
    pub request_id: String,
    /// The user, a name or an object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<Value>,
    /// More about the user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_context: Option<Value>,
    /// Tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant_id: Option<String>,
    /// Virtual server or upstream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_id: Option<String>,
    /// Content type of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// Shared state.
    pub state: Map<String, Value>,
    /// Shared metadata.
    pub metadata: Map<String, Value>,
}

impl WireContext {
    /// What a foreign plugin is shown of a request and its context.
    pub fn of(request: &Request, context: &Context<'_>) -> Self {
        let caller = &request.caller;
        let text = |value: &Option<std::sync::Arc<str>>| value.as_deref().map(str::to_owned);
        let own = context.own_ref();
        let base = context.shared_base();
        let mut metadata = base.metadata.clone();
        if let Some(upstream) = request.upstream.as_deref() {
            metadata
                .entry("gateway")
                .or_insert_with(|| serde_json::json!({ "id": upstream, "name": upstream }));
        }
        Self {
            state: own.map(|own| own.values.clone()).unwrap_or_default(),
            metadata: own.map(|own| own.metadata.clone()).unwrap_or_default(),
            global_context: WireGlobal {
                request_id: request.id.to_string(),
                user: caller.user.as_deref().map(Value::from),
                user_context: caller.user.as_deref().map(|user| user_context(request, user)),
                tenant_id: text(&caller.tenant),
                server_id: text(&request.server_id),
                content_type: text(&request.content_type),
                state: base.state.clone(),
                metadata,
            },
        }
    }

    /// Writes what came back into the plugin's context: own state and metadata as they are, shared state by key
    /// where it differs. Shared metadata is not taken back, as plugin servers do not return it reliably.
    pub fn merge_into(self, context: &mut Context<'_>) {
        if !self.state.is_empty() || !self.metadata.is_empty() {
            let own = context.own();
            own.values.extend(self.state);
            own.metadata.extend(self.metadata);
        }
        for (key, value) in self.global_context.state {
            if context.shared(&key) != Some(&value) {
                context.set_shared(key, value);
            }
        }
    }
}

fn user_context(request: &Request, user: &str) -> Value {
    let caller = &request.caller;
    serde_json::json!({
        "user_id": user,
        "email": user,
        "full_name": caller.full_name,
        "is_admin": caller.is_admin,
        "teams": caller.teams,
        "team_id": caller.tenant,
        "auth_method": caller.auth_method,
    })
}

/// A plugin's result as it travels. `modified_payload` stays raw until the hook's row reads it.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct WireResult {
    /// Whether the call goes on.
    pub continue_processing: bool,
    /// The changed payload.
    pub modified_payload: Option<Box<RawValue>>,
    /// Why the call must not go on.
    pub violation: Option<Violation>,
    /// Data about the execution.
    pub metadata: Option<Map<String, Value>>,
    /// Headers for the answer to the client.
    pub http_headers: Option<Headers>,
    /// Wish for a retry, in milliseconds.
    pub retry_delay_ms: Option<f64>,
}

impl Default for WireResult {
    fn default() -> Self {
        Self {
            continue_processing: true,
            modified_payload: None,
            violation: None,
            metadata: None,
            http_headers: None,
            retry_delay_ms: None,
        }
    }
}

impl WireResult {
    /// Reads it as the answer at a hook.
    ///
    /// A refusal without a violation becomes an empty violation: it still refuses.
    ///
    /// # Errors
    /// When the changed payload does not fit the hook.
    pub fn into_reply(self, hook: &HookSpec, wire: Wire) -> Result<Reply, PluginError> {
        let violation = (!self.continue_processing).then(|| Box::new(self.violation.unwrap_or_default()));
        let change = match self.modified_payload {
            Some(raw) if raw.get() != "null" => {
                Some(Change::Answer(hook.decode_change(raw.get().as_bytes(), wire)?))
            }
            _ => None,
        };
        let notes = Notes {
            metadata: self.metadata.unwrap_or_default(),
            response_headers: self.http_headers.unwrap_or_default(),
            retry_after: Duration::from_millis(
                self.retry_delay_ms.filter(|ms| *ms >= 1.0).unwrap_or(0.0) as u64
            ),
        };
        let notes = (notes != Notes::default()).then(|| Box::new(notes));
        Ok(Reply { violation, change, notes })
    }
}
