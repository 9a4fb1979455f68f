//! What is told of a call: who makes it, of what, and where it goes.
//!
//! One shape for everything that decides by policy, whether it runs elsewhere or here, so that a policy is written once.

use mortise_plugin_api::{
    Call, Hook, HookId, HookTable, Json, Payload, PluginError, Request, Wire,
    hooks::{
        AgentPostInvoke, AgentPreInvoke, LlmInput, LlmOutput, PromptPostFetch, PromptPreFetch,
        ResourcePostFetch, ResourcePreFetch, ToolPostInvoke, ToolPreInvoke,
    },
};
use serde::Serialize;
use serde_json::{Map, Value};

/// Names of the standard hooks, by id.
pub(crate) struct HookNames(Vec<std::sync::Arc<str>>);

impl HookNames {
    pub(crate) fn new() -> Self {
        Self(HookTable::standard().rows().iter().map(|row| row.name.clone()).collect())
    }

    /// The hook a call is at.
    pub(crate) fn of(&self, call: &Call<'_>) -> &str {
        self.0.get(call.hook.index()).map_or("", |name| name)
    }
}

/// Who a call acts for. What is not known is `null` or empty.
#[derive(Serialize)]
pub(crate) struct CallerFacts<'r> {
    app: Option<&'r str>,
    user: Option<&'r str>,
    tenant: Option<&'r str>,
    teams: Vec<&'r str>,
    scopes: Vec<&'r str>,
    is_admin: bool,
    auth_method: Option<&'r str>,
    metadata: &'r Map<String, Value>,
}

impl<'r> CallerFacts<'r> {
    pub(crate) fn of(request: &'r Request) -> Self {
        let caller = &*request.caller;
        Self {
            app: caller.app.as_deref(),
            user: caller.user.as_deref(),
            tenant: caller.tenant.as_deref(),
            teams: caller.teams.iter().map(|team| &**team).collect(),
            scopes: caller.scopes.iter().map(|scope| &**scope).collect(),
            is_admin: caller.is_admin,
            auth_method: caller.auth_method.as_deref(),
            metadata: &caller.metadata,
        }
    }
}

/// Where a call comes from and goes to.
#[derive(Serialize)]
pub(crate) struct RequestFacts<'r> {
    server_id: Option<&'r str>,
    upstream: Option<&'r str>,
    original_name: Option<&'r str>,
    content_type: Option<&'r str>,
    client: Option<String>,
}

impl<'r> RequestFacts<'r> {
    pub(crate) fn of(request: &'r Request) -> Self {
        Self {
            server_id: request.server_id.as_deref(),
            upstream: request.upstream.as_deref(),
            original_name: request.original_name.as_deref(),
            content_type: request.content_type.as_deref(),
            client: request.client.map(|client| client.ip().to_string()),
        }
    }
}

/// The payload as JSON.
///
/// # Errors
/// What cannot be written as JSON.
pub(crate) fn payload(call: &Call<'_>) -> Result<Json, PluginError> {
    Ok(Json::assume_valid(call.payload.json(Wire::Json)?.clone()))
}

/// What a call is about: the name of a tool or prompt, the URI of a resource.
pub(crate) fn subject(payload: &dyn Payload) -> &str {
    payload.subject().unwrap_or_default()
}

/// The hooks at which a policy can decide: where something passes that has a name and that it can stop.
pub(crate) const JUDGED: &[HookId] = &[
    ToolPreInvoke::ID,
    ToolPostInvoke::ID,
    PromptPreFetch::ID,
    PromptPostFetch::ID,
    ResourcePreFetch::ID,
    ResourcePostFetch::ID,
    AgentPreInvoke::ID,
    AgentPostInvoke::ID,
    LlmInput::ID,
    LlmOutput::ID,
];
