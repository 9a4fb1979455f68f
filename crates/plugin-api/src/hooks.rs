//! The standard hooks, one file per family, and the rows of the table.
//!
//! A hook is three things here: a payload struct, a marker type that implements [`Hook`], and a row
//! in `rows`. To add one, add these three; everything else (schemas, reference pages, metric labels, wire
//! conversions) derives from the row.

pub mod agent;
pub mod federation;
pub mod http;
pub mod llm;
pub mod object;
pub mod open;
pub mod prompt;
pub mod record;
pub mod registration;
pub mod resource;
pub mod tool;
pub mod words;

mod define;

pub use agent::{AgentPostInvoke, AgentPreInvoke};
pub use federation::{FederationPostSync, FederationPreSync};
pub use http::{
    AuthPostCheck, HttpAuthCheckPermission, HttpAuthResolveUser, HttpPostForwardingCall, HttpPostRequest,
    HttpPreForwardingCall, HttpPreRequest,
};
pub use llm::{LlmInput, LlmOutput};
pub use object::{
    ObjectAfterCreate, ObjectAfterDelete, ObjectAfterUpdate, ObjectBeforeCreate, ObjectBeforeDelete,
    ObjectBeforeUpdate,
};
pub use prompt::{PromptPostFetch, PromptPreFetch};
pub use record::{RecordAnalytics, RecordBudgetUsage, RecordProxyLog};
pub use registration::{ServerPostRegister, ServerPreRegister};
pub use resource::{ResourcePostFetch, ResourcePreFetch};
pub use tool::{ToolPostInvoke, ToolPreInvoke};

use crate::{Hook, HookId, HookSpec};

/// The hooks of MCP traffic that carry text for people, before and after: what a content guardrail is bound to.
pub const MCP_HOOKS: &[HookId] = &[
    ToolPreInvoke::ID,
    ToolPostInvoke::ID,
    PromptPreFetch::ID,
    PromptPostFetch::ID,
    ResourcePreFetch::ID,
    ResourcePostFetch::ID,
];

/// Every hook whose payload can carry text for people.
pub const TEXT_HOOKS: &[HookId] = &[
    ToolPreInvoke::ID,
    ToolPostInvoke::ID,
    PromptPreFetch::ID,
    PromptPostFetch::ID,
    ResourcePostFetch::ID,
    AgentPreInvoke::ID,
    AgentPostInvoke::ID,
    LlmInput::ID,
    LlmOutput::ID,
];

/// All standard rows, in order of their ids.
pub(crate) fn rows() -> Vec<HookSpec> {
    let mut rows = vec![
        tool::pre_row(),
        tool::post_row(),
        prompt::pre_row(),
        prompt::post_row(),
        resource::pre_row(),
        resource::post_row(),
        agent::pre_row(),
        agent::post_row(),
        http::pre_request_row(),
        http::resolve_user_row(),
        http::post_check_row(),
        http::check_permission_row(),
        llm::input_row(),
        http::pre_forwarding_row(),
        http::post_forwarding_row(),
        llm::output_row(),
        http::post_request_row(),
        registration::pre_row(),
        registration::post_row(),
        federation::pre_row(),
        federation::post_row(),
        object::before_create_row(),
        object::after_create_row(),
        object::before_update_row(),
        object::after_update_row(),
        object::before_delete_row(),
        object::after_delete_row(),
        record::proxy_log_row(),
        record::analytics_row(),
        record::budget_usage_row(),
    ];
    open::add_rows(&mut rows);
    rows
}

#[cfg(test)]
mod tests;
