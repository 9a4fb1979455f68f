//! Calls as the messages of gRPC and the Unix socket, to and from what plugins are shown.

use mortise_plugin_api::{PluginError, Wire};
use mortise_proto::{
    contextforge::{context_of, context_to, cpex, error_to},
    json::Struct,
};

use crate::{
    Decision, Plugins,
    call::{Answered, Asked},
};

/// Has a plugin look at a call.
pub(crate) async fn invoke(plugins: &Plugins, message: cpex::InvokeHookRequest) -> cpex::InvokeHookResponse {
    let name = message.plugin_name.clone();
    told(match asked(message) {
        Ok(asked) => plugins.call(asked).await,
        Err(error) => Answered::failed(name, error),
    })
}

fn asked(message: cpex::InvokeHookRequest) -> Result<Asked, PluginError> {
    let failed =
        |error: &dyn std::fmt::Display| PluginError::failed(format!("the payload cannot be read: {error}"));
    let payload = message.payload.unwrap_or_default().into_map().map_err(|error| failed(&error))?;
    Ok(Asked {
        hook: message.hook_type,
        plugin: message.plugin_name,
        payload: serde_json::to_vec(&payload).map_err(|error| failed(&error))?.into(),
        wire: Wire::Json,
        context: context_of(message.context.unwrap_or_default())?,
    })
}

fn told(answered: Answered) -> cpex::InvokeHookResponse {
    let Answered { plugin, context, outcome } = answered;
    let context = context.as_ref().map(context_to);
    let (result, error) = match outcome.and_then(|decision| object(&decision)) {
        Ok(result) => (Some(result), None),
        Err(error) => (None, Some(error_to(&plugin, &error))),
    };
    cpex::InvokeHookResponse { plugin_name: plugin, result, context, error, result_base: None }
}

fn object(decision: &Decision) -> Result<Struct, PluginError> {
    match serde_json::to_vec(decision).and_then(|json| serde_json::from_slice(&json)) {
        Ok(map) => Ok(Struct::Map(map)),
        Err(error) => Err(PluginError::failed(format!("the answer is no JSON object: {error}"))),
    }
}

/// What a gateway is told of a plugin.
pub(crate) fn config(plugins: &Plugins, name: &str) -> cpex::GetPluginConfigResponse {
    let config = plugins.entry(name).map(|entry| Struct::Map(entry.clone()));
    cpex::GetPluginConfigResponse { found: config.is_some(), config }
}

/// What a gateway is told of all plugins.
pub(crate) fn configs(plugins: &Plugins) -> cpex::GetPluginConfigsResponse {
    cpex::GetPluginConfigsResponse {
        configs: plugins.entries().map(|entry| Struct::Map(entry.clone())).collect(),
    }
}
