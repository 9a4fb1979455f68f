//! What the two protobuf transports say alike: the messages of a call, and what comes back. How these travel is theirs.

use mortise_plugin_api::{PluginError, Wire};
use mortise_proto::{
    contextforge::{
        context_to,
        cpex::{GetPluginConfigResponse, InvokeHookRequest, InvokeHookResponse},
        outcome_of, payload_of,
    },
    json::Struct,
};

use crate::link::{Ask, Fault, Remote, Told};

/// The message of a call.
pub(crate) fn asked(ask: &Ask<'_>) -> Result<InvokeHookRequest, PluginError> {
    let payload = ask.payload.wire(Wire::PluginProto, payload_of)?.clone();
    Ok(InvokeHookRequest {
        hook_type: ask.hook.name.to_string(),
        plugin_name: ask.plugin.to_owned(),
        payload: Some(Struct::Encoded(payload)),
        context: Some(context_to(ask.context)),
    })
}

/// What a server's answer to a call says.
pub(crate) fn told(ask: &Ask<'_>, answer: InvokeHookResponse) -> Told {
    let went = || serde_json::from_slice(ask.payload.json(Wire::Json).ok()?).ok();
    let (context, outcome) = outcome_of(answer, went);
    Told { context, outcome, wire: Wire::Json }
}

/// What a server says of `plugin`.
pub(crate) fn remote(plugin: &str, answer: GetPluginConfigResponse) -> Result<Remote, Fault> {
    if !answer.found {
        let unknown = format!("its server knows no plugin `{plugin}`");
        return Err(PluginError::InvalidAnswer(unknown).into());
    }
    let entry = answer.config.unwrap_or_default().into_map();
    let entry = entry.map_err(|error| PluginError::InvalidAnswer(format!("its entry: {error}")))?;
    Ok(Remote { entry: Some(entry), hooks: None })
}
