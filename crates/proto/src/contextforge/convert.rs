//! From and to the JSON shapes: contexts, results, errors, payloads.
//!
//! Where a message has no null it has an empty text: ids that are empty are absent. User contexts and content types do
//! not travel in these messages.

use bytes::Bytes;
use mortise_plugin_api::{
    Payload, PluginError, Wire,
    wire::{WireContext, WireGlobal, WireResult},
};
use serde_json::{Map, Value};

use super::cpex::{
    DenialMetadata, GlobalContext, InvokeHookResponse, PluginContext, PluginError as ErrorMessage,
    PluginResultBase, PluginViolation, denial_metric, global_context::UserValue,
};
use crate::json::{Struct, restore_numbers};

/// JSON-RPC's internal error: what an error means that says nothing else.
const INTERNAL_ERROR: i32 = -32603;

/// A payload, encoded once for all plugins that are shown it: for [`mortise_plugin_api::Revision::wire`].
///
/// # Errors
/// When the payload is no JSON object.
pub fn payload_of(payload: &dyn Payload) -> Result<Bytes, PluginError> {
    let json = payload.encode(Wire::Json)?;
    let map: Map<String, Value> = serde_json::from_slice(&json)
        .map_err(|error| PluginError::failed(format!("the payload is no JSON object: {error}")))?;
    Ok(Struct::encode_map(&map))
}

fn present(map: Map<String, Value>) -> Option<Struct> {
    (!map.is_empty()).then(|| map.into())
}

fn map_of(message: Option<Struct>) -> Result<Map<String, Value>, PluginError> {
    message
        .map(Struct::into_map)
        .transpose()
        .map(Option::unwrap_or_default)
        .map_err(|error| unreadable(&error))
}

fn unreadable(error: &prost::DecodeError) -> PluginError {
    PluginError::InvalidAnswer(error.to_string())
}

/// A context as a message.
#[must_use]
pub fn context_to(context: &WireContext) -> PluginContext {
    let global = &context.global_context;
    let user_value = match &global.user {
        Some(Value::String(name)) => Some(UserValue::UserString(name.clone())),
        Some(Value::Object(fields)) => Some(UserValue::UserStruct(fields.clone().into())),
        _ => None,
    };
    PluginContext {
        global_context: Some(GlobalContext {
            request_id: global.request_id.clone(),
            server_id: global.server_id.clone().unwrap_or_default(),
            tenant_id: global.tenant_id.clone().unwrap_or_default(),
            metadata: present(global.metadata.clone()),
            state: present(global.state.clone()),
            user_value,
        }),
        state: present(context.state.clone()),
        metadata: present(context.metadata.clone()),
    }
}

/// A context of its message.
///
/// # Errors
/// When a part of it is no JSON.
pub fn context_of(message: PluginContext) -> Result<WireContext, PluginError> {
    let global = message.global_context.unwrap_or_default();
    let user = match global.user_value {
        Some(UserValue::UserString(name)) if name.is_empty() => None,
        Some(UserValue::UserString(name)) => Some(Value::String(name)),
        Some(UserValue::UserStruct(fields)) => {
            Some(Value::Object(fields.into_map().map_err(|error| unreadable(&error))?))
        }
        None => None,
    };
    let id = |text: String| (!text.is_empty()).then_some(text);
    Ok(WireContext {
        state: map_of(message.state)?,
        metadata: map_of(message.metadata)?,
        global_context: WireGlobal {
            request_id: global.request_id,
            user,
            user_context: None,
            tenant_id: id(global.tenant_id),
            server_id: id(global.server_id),
            content_type: None,
            state: map_of(global.state)?,
            metadata: map_of(global.metadata)?,
        },
    })
}

/// An error as a message, in the name of `plugin`.
#[must_use]
pub fn error_to(plugin: &str, error: &PluginError) -> ErrorMessage {
    let (code, details) = match error {
        PluginError::Failed { code, details, .. } => (code.clone(), present(details.clone())),
        _ => (String::new(), None),
    };
    ErrorMessage {
        message: error.to_string(),
        plugin_name: plugin.to_owned(),
        code,
        details,
        mcp_error_code: INTERNAL_ERROR,
    }
}

/// An error of its message.
///
/// # Errors
/// When its details are no JSON.
pub fn error_of(message: ErrorMessage) -> Result<PluginError, PluginError> {
    let details = map_of(message.details)?;
    Ok(PluginError::Failed { message: message.message, code: message.code, details })
}

/// What an answer says: the context that came back, and what the plugin decided or how it failed. `payload` is what the
/// call was about, in the JSON form, asked for only where the answer changes it: numbers that were not changed come back
/// as they went.
pub fn outcome_of(
    response: InvokeHookResponse,
    payload: impl FnOnce() -> Option<Value>,
) -> (Option<WireContext>, Result<WireResult, PluginError>) {
    let context = match response.context.map(context_of).transpose() {
        Ok(context) => context,
        Err(error) => return (None, Err(error)),
    };
    let outcome = match (response.error, response.result, response.result_base) {
        (Some(error), _, _) if !error.message.is_empty() => {
            Err(error_of(error).unwrap_or_else(|other| other))
        }
        (_, Some(result), _) => result_of(result, payload),
        (_, None, Some(base)) => base_of(base),
        (_, None, None) => Err(PluginError::InvalidAnswer("neither result nor error".to_owned())),
    };
    (context, outcome)
}

fn result_of(message: Struct, payload: impl FnOnce() -> Option<Value>) -> Result<WireResult, PluginError> {
    let mut result = message.into_map().map_err(|error| unreadable(&error))?;
    if let Some(modified) = result.get_mut("modified_payload").filter(|value| !value.is_null())
        && let Some(went) = payload()
    {
        restore_numbers(modified, &went);
    }
    serde_json::from_value(Value::Object(result))
        .map_err(|error| PluginError::InvalidAnswer(format!("its result: {error}")))
}

fn base_of(base: PluginResultBase) -> Result<WireResult, PluginError> {
    let mut metadata = map_of(base.metadata)?;
    if let Some(denial) = base.denial_metadata {
        metadata.entry("denial_metadata").or_insert_with(|| denial_of(denial));
    }
    Ok(WireResult {
        continue_processing: base.continue_processing,
        violation: base.violation.map(violation_of).transpose()?,
        metadata: (!metadata.is_empty()).then_some(metadata),
        ..WireResult::default()
    })
}

fn violation_of(message: PluginViolation) -> Result<mortise_plugin_api::Violation, PluginError> {
    Ok(mortise_plugin_api::Violation {
        reason: message.reason,
        description: message.description,
        code: message.code,
        details: map_of(message.details)?,
        mcp_error_code: (message.mcp_error_code != 0).then_some(message.mcp_error_code),
        ..mortise_plugin_api::Violation::default()
    })
}

fn denial_of(message: DenialMetadata) -> Value {
    let fields = message.fields.into_iter().map(|(name, metric)| {
        let value = match metric.value {
            Some(denial_metric::Value::Boolean(yes)) => yes.into(),
            Some(denial_metric::Value::Integer(number)) => number.into(),
            Some(denial_metric::Value::Floating(number)) => number.into(),
            None => Value::Null,
        };
        (name, value)
    });
    Value::Object(fields.collect())
}
