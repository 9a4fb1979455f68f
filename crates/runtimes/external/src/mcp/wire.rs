//! What goes over MCP: arguments of a call and what its result says, in both generations of the contract.
//!
//! The newer one has a single tool, `invoke_hook`; the older one a tool for each hook, and prompts by `name`. Results
//! are alike: a text that is a JSON object with `result`, `context` or `error`. Taken as well is a result that stands
//! there without the envelope, as some servers write it. Whether a server marks its answer as an error is not looked
//! at where the answer can be read: some mark their own error objects, some do not.

use std::borrow::Cow;

use mortise_mcp::raw::Raw;
use mortise_plugin_api::{
    HookTable, PluginError, Wire,
    wire::{WireContext, WireResult},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, value::RawValue};

use crate::link::{Ask, Told};

/// The tool of the newer generation.
pub(super) const INVOKE_HOOK: &str = "invoke_hook";

/// The tool that tells a plugin's entry.
pub(super) const GET_PLUGIN_CONFIG: &str = "get_plugin_config";

/// The tool that tells the entries of all plugins.
pub(super) const GET_PLUGIN_CONFIGS: &str = "get_plugin_configs";

/// Most characters of a server's own words that go into an error.
const MOST_QUOTED: usize = 500;

/// A generation of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// One tool for each hook.
    ToolPerHook,
    /// One tool for all hooks.
    InvokeHook,
}

/// What a server's list of tools says of it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Offer {
    pub(super) dialect: Dialect,
    /// The hooks there are tools for; `None` where one tool serves all.
    pub(super) hooks: Option<Vec<String>>,
    /// Whether it can be asked for a plugin's entry.
    pub(super) tells_config: bool,
}

impl Offer {
    /// Of these names. A server that lists nothing is taken for one of the newer generation.
    ///
    /// # Errors
    /// When there are tools and none of them serves a hook: it is a server of something else.
    pub(super) fn of(names: &[String], table: &HookTable) -> Result<Self, PluginError> {
        let tells_config = names.is_empty() || names.iter().any(|name| name == GET_PLUGIN_CONFIG);
        if names.is_empty() || names.iter().any(|name| name == INVOKE_HOOK) {
            return Ok(Self { dialect: Dialect::InvokeHook, hooks: None, tells_config });
        }
        let hooks: Vec<String> = names.iter().filter(|name| table.id(name).is_some()).cloned().collect();
        if hooks.is_empty() {
            return Err(PluginError::InvalidAnswer(format!(
                "its server is none for plugins: among its {} tools are neither `{INVOKE_HOOK}` nor one named \
                 as a hook",
                names.len()
            )));
        }
        Ok(Self { dialect: Dialect::ToolPerHook, hooks: Some(hooks), tells_config })
    }
}

impl Dialect {
    pub(super) const ALL: [Self; 2] = [Self::InvokeHook, Self::ToolPerHook];

    /// The word for it in the key `dialect`.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::ToolPerHook => "tool_per_hook",
            Self::InvokeHook => "invoke_hook",
        }
    }

    /// Whether a tool of this name belongs to it, and to no other.
    pub(super) fn has(self, tool: &str, table: &HookTable) -> bool {
        match self {
            Self::ToolPerHook => table.id(tool).is_some(),
            Self::InvokeHook => tool == INVOKE_HOOK,
        }
    }

    /// The form payloads have.
    pub(super) fn wire(self) -> Wire {
        match self {
            Self::ToolPerHook => Wire::JsonLegacy,
            Self::InvokeHook => Wire::Json,
        }
    }

    /// The parameters of the `tools/call` that a question is.
    pub(super) fn params(self, ask: Ask<'_>) -> Result<Raw, PluginError> {
        let payload = ask.payload.json(self.wire())?;
        let payload: &RawValue = serde_json::from_slice(payload)
            .map_err(|error| PluginError::failed(format!("its payload is no JSON: {error}")))?;
        let params = Params {
            name: match self {
                Self::ToolPerHook => &ask.hook.name,
                Self::InvokeHook => INVOKE_HOOK,
            },
            arguments: Arguments {
                hook_type: (self == Self::InvokeHook).then_some(&*ask.hook.name),
                plugin_name: ask.plugin,
                payload,
                context: ask.context,
            },
        };
        Raw::from_serialize(&params).map_err(|error| PluginError::failed(error.to_string()))
    }
}

#[derive(Serialize)]
struct Params<'a> {
    name: &'a str,
    arguments: Arguments<'a>,
}

#[derive(Serialize)]
struct Arguments<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    hook_type: Option<&'a str>,
    plugin_name: &'a str,
    payload: &'a RawValue,
    context: &'a WireContext,
}

/// The parameters of the `tools/call` that asks for a plugin's entry.
pub(super) fn config_params(plugin: &str) -> Raw {
    let params = serde_json::json!({ "name": GET_PLUGIN_CONFIG, "arguments": { "name": plugin } });
    Raw::from_serialize(&params).unwrap_or(Raw::EMPTY_OBJECT)
}

/// The parameters of the `tools/call` that asks for the entries of all plugins.
pub(super) fn configs_params() -> Raw {
    let params = serde_json::json!({ "name": GET_PLUGIN_CONFIGS, "arguments": {} });
    Raw::from_serialize(&params).unwrap_or(Raw::EMPTY_OBJECT)
}

/// Names in the entries of all plugins: one text for each, or one for all.
pub(super) fn names(result: &Raw) -> Vec<String> {
    let Ok(result) = serde_json::from_slice::<ToolResult<'_>>(result.as_bytes()) else { return Vec::new() };
    let told = result.content.iter().filter_map(|block| serde_json::from_str(block.text.as_deref()?).ok());
    let mut names = Vec::new();
    for value in told {
        let list = match value {
            Value::Array(list) => list,
            Value::Object(mut map) => match map.remove("result") {
                Some(Value::Array(list)) => list,
                _ => vec![Value::Object(map)],
            },
            _ => Vec::new(),
        };
        names.extend(list.iter().filter_map(|entry| Some(entry.get("name")?.as_str()?.to_owned())));
    }
    names
}

/// The result of `tools/call`, as far as it is looked at.
#[derive(Deserialize)]
struct ToolResult<'a> {
    #[serde(borrow, default)]
    content: Vec<Block<'a>>,
}

#[derive(Deserialize)]
struct Block<'a> {
    #[serde(borrow, default)]
    text: Option<Cow<'a, str>>,
}

/// The names of tools, and where the list goes on.
#[derive(Deserialize)]
pub(super) struct ToolPage {
    #[serde(default)]
    pub(super) tools: Vec<NamedTool>,
    #[serde(default, rename = "nextCursor")]
    pub(super) next: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct NamedTool {
    pub(super) name: String,
}

#[derive(Deserialize)]
struct Envelope {
    #[serde(default)]
    context: Option<WireContext>,
    #[serde(default)]
    result: Option<Box<RawValue>>,
    #[serde(default)]
    error: Option<Value>,
    #[serde(default)]
    continue_processing: Option<Value>,
}

/// Texts of a result that look like JSON objects, the first of all texts where none does.
fn texts<'a>(result: &'a ToolResult<'_>) -> (Vec<&'a str>, &'a str) {
    let all = || result.content.iter().filter_map(|block| block.text.as_deref());
    let objects = all().filter(|text| text.trim_start().starts_with('{')).collect();
    (objects, all().next().unwrap_or_default())
}

/// Reads the result of a call.
///
/// # Errors
/// When it is none.
pub(super) fn told(result: &Raw, wire: Wire) -> Result<Told, PluginError> {
    let unreadable =
        |error: serde_json::Error| PluginError::InvalidAnswer(format!("no tool result: {error}"));
    let result: ToolResult<'_> = serde_json::from_slice(result.as_bytes()).map_err(unreadable)?;
    let (objects, first) = texts(&result);
    let mut last = None;
    for text in objects {
        match serde_json::from_str::<Envelope>(text) {
            Ok(envelope) => return envelope.open(text, wire),
            Err(error) => last = Some(error),
        }
    }
    Err(match last {
        Some(error) => PluginError::InvalidAnswer(format!("its text is no answer to a hook: {error}")),
        None if first.is_empty() => PluginError::InvalidAnswer("it holds no text".to_owned()),
        None => PluginError::Failed {
            message: quoted(first),
            code: "JSON_DECODE_ERROR".to_owned(),
            details: Map::new(),
        },
    })
}

impl Envelope {
    fn open(self, text: &str, wire: Wire) -> Result<Told, PluginError> {
        let read = |json: &str| {
            serde_json::from_str::<WireResult>(json)
                .map_err(|error| PluginError::InvalidAnswer(format!("its result: {error}")))
        };
        let outcome = match (self.result, self.error) {
            (Some(result), _) if result.get() != "null" => Ok(read(result.get())?),
            (_, Some(error)) if !error.is_null() => Err(failure(&error)),
            // Without the envelope.
            _ if self.continue_processing.is_some() => Ok(read(text)?),
            _ => {
                let message = "it has neither `result`, `context` nor `error`".to_owned();
                return match self.context {
                    // The failure is told after the context, which counts all the same.
                    Some(context) => Ok(Told {
                        context: Some(context),
                        outcome: Err(PluginError::InvalidAnswer("it has no `result`".to_owned())),
                        wire,
                    }),
                    None => Err(PluginError::InvalidAnswer(message)),
                };
            }
        };
        Ok(Told { context: self.context, outcome, wire })
    }
}

fn failure(error: &Value) -> PluginError {
    let text = |key: &str| error.get(key).and_then(Value::as_str).unwrap_or_default();
    let message = error.as_str().unwrap_or(text("message"));
    PluginError::Failed {
        message: if message.is_empty() {
            "its server told of an error without words".to_owned()
        } else {
            quoted(message)
        },
        code: text("code").to_owned(),
        details: error.get("details").and_then(Value::as_object).cloned().unwrap_or_default(),
    }
}

/// Reads a plugin's entry; `None` where the server does not know the plugin.
///
/// # Errors
/// When the answer is no entry.
pub(super) fn config(result: &Raw) -> Result<Option<Map<String, Value>>, PluginError> {
    let invalid =
        |what: &str| PluginError::InvalidAnswer(format!("its server's `{GET_PLUGIN_CONFIG}`: {what}"));
    let result: ToolResult<'_> =
        serde_json::from_slice(result.as_bytes()).map_err(|error| invalid(&error.to_string()))?;
    let (objects, first) = texts(&result);
    let Some(text) = objects.first() else {
        // Nothing, or `null`, in the oldest servers.
        return if matches!(first.trim(), "" | "null") { Ok(None) } else { Err(invalid(&quoted(first))) };
    };
    let entry: Map<String, Value> =
        serde_json::from_str(text).map_err(|error| invalid(&error.to_string()))?;
    Ok((!entry.is_empty()).then_some(entry))
}

/// A server's own words, cut.
pub(super) fn quoted(text: &str) -> String {
    text.chars().take(MOST_QUOTED).collect()
}

#[cfg(test)]
mod tests;
