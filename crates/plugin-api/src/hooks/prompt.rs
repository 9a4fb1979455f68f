//! Prompts: before a prompt is fetched and after it was rendered.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::define::{applied, from_wire, hook, payload, put, refuse};
use crate::content::{scan::Select, view::json};
use crate::{Hook, Json, PluginError, Wire, hook::encode_json};

/// A prompt about to be fetched.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PromptPreFetchPayload {
    /// The prompt's name. Plugin servers of the first generation call the field `name`.
    #[serde(alias = "name")]
    pub prompt_id: String,
    /// Its arguments: an object of strings.
    #[serde(default = "Json::object")]
    pub args: Json,
}

payload!(PromptPreFetchPayload, "prompt_pre_fetch",
    subject: |p| Some(&p.prompt_id),
    size: |p| p.args.size(),
    content_type: |_p| None,
    encode: |p, wire| encode_prompt("prompt_pre_fetch", wire, &p.prompt_id, "args", &p.args),
    carriers: |p| [json("args", &p.args, Select::All)],
    replace: |p, edited| { put!(edited, json p.args); });

/// A rendered prompt on its way to the client.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PromptPostFetchPayload {
    /// The prompt's name. Plugin servers of the first generation call the field `name`.
    #[serde(alias = "name")]
    pub prompt_id: String,
    /// The MCP result: `messages` and `description`.
    #[serde(default)]
    pub result: Json,
}

payload!(PromptPostFetchPayload, "prompt_post_fetch",
    subject: |p| Some(&p.prompt_id),
    size: |p| p.result.size(),
    content_type: |_p| None,
    encode: |p, wire| encode_prompt("prompt_post_fetch", wire, &p.prompt_id, "result", &p.result),
    carriers: |p| [json("result", &p.result, Select::Result)],
    replace: |p, edited| { put!(edited, json p.result); });

from_wire!(PromptPreFetchPayload, PromptPostFetchPayload);

/// The one difference between the JSON forms: what the prompt's name is called.
fn encode_prompt(
    hook: &'static str,
    wire: Wire,
    name: &str,
    field: &str,
    json: &Json,
) -> Result<Bytes, PluginError> {
    let name_field = if wire == Wire::JsonLegacy { "name" } else { "prompt_id" };
    struct Two<'a>(&'a str, &'a str, &'a str, &'a Json);
    impl Serialize for Two<'_> {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let mut map = serializer.serialize_map(Some(2))?;
            serde::ser::SerializeMap::serialize_entry(&mut map, self.0, self.1)?;
            serde::ser::SerializeMap::serialize_entry(&mut map, self.2, self.3)?;
            serde::ser::SerializeMap::end(map)
        }
    }
    encode_json(hook, &Two(name_field, name, field, json))
}

hook! {
    /// Before a prompt is fetched.
    PromptPreFetch = 2, "prompt_pre_fetch", pre_row {
        aliases: &[], family: Prompt, moment: Before, block: true, change: true, rule: Chain, limit: Arguments,
        pair: Some(PromptPostFetch::ID), writable: &["args"], serves: true,
        about: "Before a prompt is fetched: look at its arguments, change them, serve it with messages of your own, or block it.",
        payload: PromptPreFetchPayload, answer: PromptPreFetchPayload,
        apply: |old, new| {
            let mut refused = Vec::new();
            refuse(&mut refused, "prompt_id", &old.prompt_id, &new.prompt_id);
            applied(old, PromptPreFetchPayload { prompt_id: old.prompt_id.clone(), args: new.args }, refused)
        },
        example: r#"{"prompt_id": "greet", "args": {"name": "  Ann "}}"#
            => r#"{"prompt_id": "greet", "args": {"name": "Ann"}}"#,
            "An argument is trimmed.",
    }
}

hook! {
    /// After a prompt was rendered.
    PromptPostFetch = 3, "prompt_post_fetch", post_row {
        aliases: &[], family: Prompt, moment: After, block: true, change: true, rule: Chain, limit: Arguments,
        pair: Some(PromptPreFetch::ID), writable: &["result"],
        about: "After a prompt was rendered: look at its messages, change them, or withhold them.",
        payload: PromptPostFetchPayload, answer: PromptPostFetchPayload,
        apply: |old, new| {
            let mut refused = Vec::new();
            refuse(&mut refused, "prompt_id", &old.prompt_id, &new.prompt_id);
            applied(old, PromptPostFetchPayload { prompt_id: old.prompt_id.clone(), result: new.result }, refused)
        },
        example: r#"{"prompt_id": "greet", "result": {"description": "A greeting", "messages": [{"role": "user", "content": {"type": "text", "text": "Greet Ann"}}]}}"#
            => r#"{"prompt_id": "greet", "result": {"messages": [{"role": "user", "content": {"type": "text", "text": "Greet Ann kindly"}}]}}"#,
            "A message is changed and the description taken away.",
    }
}
