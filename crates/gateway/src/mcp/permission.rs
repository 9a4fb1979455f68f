//! May they? The hook that plugins answer before a method is served, where one stands there.

use mortise_framework::Contexts;
use mortise_mcp::envelope::{ErrorObject, RpcError, code, method};
use mortise_plugin_api::{
    Hook, Revision,
    hooks::{
        HttpAuthCheckPermission,
        http::{CheckPermissionPayload, Permission},
    },
};

use super::{exchange::Inbound, prompts::blocked, rpc};

/// What a method needs the permission for, as the documents name it; `None` for methods open to all.
fn permission(name: &str) -> Option<(&'static str, &'static str)> {
    Some(match name {
        method::TOOLS_CALL => ("tools.execute", "tool"),
        method::TOOLS_LIST => ("tools.read", "tool"),
        method::PROMPTS_GET | method::PROMPTS_LIST => ("prompts.read", "prompt"),
        method::RESOURCES_READ
        | method::RESOURCES_LIST
        | method::RESOURCES_TEMPLATES_LIST
        | method::RESOURCES_SUBSCRIBE => ("resources.read", "resource"),
        _ => return None,
    })
}

/// Whether a plugin stands there.
pub(super) fn is_asked(inbound: &Inbound) -> bool {
    inbound.snapshot.pipelines.chain(HttpAuthCheckPermission::ID).is_some()
}

/// Asks plugins whether the caller may use a method. Where all abstain, they may: apps and servers have decided.
pub(super) async fn check(inbound: &Inbound, name: &str) -> Result<(), RpcError> {
    let Some(chain) = inbound.snapshot.pipelines.chain(HttpAuthCheckPermission::ID) else { return Ok(()) };
    let Some((permission, resource_type)) = permission(name) else { return Ok(()) };
    let caller = &inbound.request.caller;
    let question = CheckPermissionPayload {
        user_email: caller.user.as_deref().unwrap_or_default().to_owned(),
        permission: permission.to_owned(),
        resource_type: Some(resource_type.to_owned()),
        team_id: caller.tenant.as_deref().map(str::to_owned),
        is_admin: caller.is_admin,
        auth_method: caller.auth_method.as_deref().map(str::to_owned),
        client_host: inbound.request.client.map(|client| client.ip().to_string()),
        user_agent: None,
    };
    let mut contexts: Contexts = inbound.contexts.companion();
    let question = Revision::new(Box::new(question));
    let mut outcome =
        chain.run(&inbound.snapshot.pipelines, &inbound.request, &mut contexts, &question).await;
    if let Some(by) = &outcome.blocked {
        return Err(blocked(HttpAuthCheckPermission::NAME, by));
    }
    match outcome.take_answer::<Permission>() {
        Some(Permission { granted: false, reason }) => {
            let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
            Err(rpc(&ErrorObject::new(
                code::INVALID_REQUEST,
                format!("Permission denied: {permission}{reason}"),
            )))
        }
        _ => Ok(()),
    }
}
