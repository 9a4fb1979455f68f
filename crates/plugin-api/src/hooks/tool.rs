//! Tool calls: before a tool is called and after it answered.

use serde::{Deserialize, Serialize};

use super::define::{applied, from_wire, hook, payload, put, refuse};
use crate::content::{
    scan::{Select, Within},
    view::json,
};
use crate::{Headers, Hook, Json};

/// A tool call on its way to the upstream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ToolPreInvokePayload {
    /// The tool, under the name it is exposed by.
    pub name: String,
    /// Its arguments, an object; `null` where the client sent none.
    #[serde(default = "Json::object")]
    pub args: Json,
    /// Headers that go to the upstream beside the configured ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headers: Option<Headers>,
}

payload!(ToolPreInvokePayload, "tool_pre_invoke",
    subject: |p| Some(&p.name),
    size: |p| p.args.size(),
    carriers: |p| [json("args", &p.args, Select::All)],
    replace: |p, edited| { put!(edited, json p.args); });

/// A tool's result on its way to the client.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ToolPostInvokePayload {
    /// The tool, under the name it was called by.
    pub name: String,
    /// The MCP result: `content`, `isError`, `structuredContent`, `_meta`.
    #[serde(default)]
    pub result: Json,
}

payload!(ToolPostInvokePayload, "tool_post_invoke",
    subject: |p| Some(&p.name),
    size: |p| p.result.size(),
    carriers: |p| [json("result", &p.result, Select::TextOr(Within::Result))],
    replace: |p, edited| { put!(edited, json p.result); });

from_wire!(ToolPreInvokePayload, ToolPostInvokePayload);

hook! {
    /// Before a tool is called.
    ToolPreInvoke = 0, "tool_pre_invoke", pre_row {
        aliases: &[], family: Tool, moment: Before, block: true, change: true, rule: Chain, limit: Arguments,
        pair: Some(ToolPostInvoke::ID), writable: &["name", "args", "headers"], serves: true,
        about: "Before a tool is called: look at the arguments, change them, serve the call with a result of your own, or block it.",
        payload: ToolPreInvokePayload, answer: ToolPreInvokePayload,
        apply: |old, mut new| {
            // An answer that leaves the headers out does not mean to remove them.
            if new.headers.is_none() {
                new.headers.clone_from(&old.headers);
            }
            applied(old, new, Vec::new())
        },
        example: r#"{"name": "search", "args": {"query": "mail of ann@example.com"}, "headers": {"x-trace": "7f"}}"#
            => r#"{"name": "search", "args": {"query": "mail of [EMAIL]"}}"#,
            "The address is masked before the tool sees it; the headers stay as they are.",
    }
}

hook! {
    /// After a tool answered.
    ToolPostInvoke = 1, "tool_post_invoke", post_row {
        aliases: &[], family: Tool, moment: After, block: true, change: true, rule: Chain, limit: Arguments,
        pair: Some(ToolPreInvoke::ID), writable: &["result"],
        about: "After a tool answered: look at the result, change it, or withhold it.",
        payload: ToolPostInvokePayload, answer: ToolPostInvokePayload,
        apply: |old, new| {
            let mut refused = Vec::new();
            refuse(&mut refused, "name", &old.name, &new.name);
            applied(old, ToolPostInvokePayload { name: old.name.clone(), result: new.result }, refused)
        },
        example: r#"{"name": "search", "result": {"content": [{"type": "text", "text": "key: sk-123"}], "isError": false}}"#
            => r#"{"name": "search", "result": {"content": [{"type": "text", "text": "key: ***"}], "isError": false}}"#,
            "A key is taken out of the result.",
    }
}
