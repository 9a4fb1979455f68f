//! Agents: before an agent is invoked and after it answered.

use serde::{Deserialize, Serialize};

use super::define::{applied, from_wire, hook, payload, put, refuse};
use crate::content::{
    scan::Select,
    view::{json, text},
};
use crate::{Headers, Hook, Json};

/// An agent about to be invoked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AgentPreInvokePayload {
    /// The agent.
    pub agent_id: String,
    /// The conversation: a list of `{role, content}`.
    #[serde(default)]
    pub messages: Json,
    /// Tools the agent may use.
    #[serde(default)]
    pub tools: Option<Vec<String>>,
    /// Headers that go to the agent.
    #[serde(default)]
    pub headers: Option<Headers>,
    /// Model to use.
    #[serde(default)]
    pub model: Option<String>,
    /// System prompt.
    #[serde(default)]
    pub system_prompt: Option<String>,
    /// Anything else, an object.
    #[serde(default = "Json::object")]
    pub parameters: Json,
}

payload!(AgentPreInvokePayload, "agent_pre_invoke",
subject: |p| Some(&p.agent_id),
size: |p| p.messages.size() + p.parameters.size() + p.system_prompt.as_ref().map_or(0, String::len),
carriers: |p| [
    text("system_prompt", p.system_prompt.as_deref().unwrap_or_default()),
    json("messages", &p.messages, Select::Llm),
    json("parameters", &p.parameters, Select::All),
],
replace: |p, edited| {
    if let Some(crate::content::view::Edited::Text(text)) = edited.next() {
        p.system_prompt = Some(text);
    }
    put!(edited, json p.messages);
    put!(edited, json p.parameters);
});

/// An agent's answer on its way to the caller.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AgentPostInvokePayload {
    /// The agent.
    pub agent_id: String,
    /// What it answered: a list of `{role, content}`.
    #[serde(default)]
    pub messages: Json,
    /// Tool calls it made.
    #[serde(default)]
    pub tool_calls: Json,
}

payload!(AgentPostInvokePayload, "agent_post_invoke",
subject: |p| Some(&p.agent_id),
size: |p| p.messages.size() + p.tool_calls.size(),
carriers: |p| [json("messages", &p.messages, Select::Llm), json("tool_calls", &p.tool_calls, Select::Llm)],
replace: |p, edited| {
    put!(edited, json p.messages);
    put!(edited, json p.tool_calls);
});

from_wire!(AgentPreInvokePayload, AgentPostInvokePayload);

hook! {
    /// Before an agent is invoked.
    AgentPreInvoke = 6, "agent_pre_invoke", pre_row {
        aliases: &[], family: Agent, moment: Before, block: true, change: true, rule: Chain, limit: Arguments,
        pair: Some(AgentPostInvoke::ID),
        writable: &["agent_id", "messages", "tools", "model", "system_prompt", "parameters", "headers"],
        about: "Before an agent is invoked: look at the conversation, change it, or block it.",
        payload: AgentPreInvokePayload, answer: AgentPreInvokePayload,
        apply: |old, new| applied(old, new, Vec::new()),
        example: r#"{"agent_id": "helper", "messages": [{"role": "user", "content": "Plan a trip"}], "tools": ["search"], "model": "large", "system_prompt": "Be brief", "parameters": {"temperature": 0.2}}"#
            => r#"{"agent_id": "helper", "messages": [{"role": "user", "content": "Plan a trip"}], "tools": [], "model": "small", "system_prompt": "Be brief", "parameters": {}}"#,
            "A cheaper model without tools is used.",
    }
}

hook! {
    /// After an agent answered.
    AgentPostInvoke = 7, "agent_post_invoke", post_row {
        aliases: &[], family: Agent, moment: After, block: true, change: true, rule: Chain, limit: Arguments,
        pair: Some(AgentPreInvoke::ID), writable: &["messages", "tool_calls"],
        about: "After an agent answered: look at the answer, change it, or withhold it.",
        payload: AgentPostInvokePayload, answer: AgentPostInvokePayload,
        apply: |old, new| {
            let mut refused = Vec::new();
            refuse(&mut refused, "agent_id", &old.agent_id, &new.agent_id);
            applied(old, AgentPostInvokePayload { agent_id: old.agent_id.clone(), ..new }, refused)
        },
        example: r#"{"agent_id": "helper", "messages": [{"role": "assistant", "content": "Here is the plan"}], "tool_calls": [{"name": "search", "arguments": {"q": "trains"}}]}"#
            => r#"{"agent_id": "helper", "messages": [{"role": "assistant", "content": "Here is the plan"}], "tool_calls": []}"#,
            "A tool call is withheld.",
    }
}
