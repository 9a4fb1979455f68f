//! Plugins as the tools of an MCP server: what a message is answered with, whatever it came over.
//!
//! Both dialects at once: the one tool `invoke_hook` of today's clients, and one tool for each hook for those of the
//! first generation, in which prompts are named `name`. Requests need no session, so any replica answers any of them,
//! and a restart costs a client nothing; those who ask for one by `initialize` are answered all the same.

pub(crate) mod http;
pub(crate) mod listen;
pub(crate) mod stdio;
mod tools;

use std::sync::Arc;

use mortise_mcp::{
    envelope::{ErrorObject, Request, Response, RpcError, method},
    initialize::{self, ClientHello, implementation},
    params::ToolCall,
    raw::Raw,
    stateless::{self, Stamp},
};
use mortise_plugin_api::{PluginError, Wire, wire::WireContext};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, value::RawValue};

use crate::{
    Decision, Plugins,
    call::{Answered, Asked},
};

use tools::{CONFIG, CONFIGS, INVOKE};

/// What this server says it is.
const NAME: &str = "mortise-plugins";

/// How it says it is to be used.
const INSTRUCTIONS: &str = "Plugins for gateways of the ContextForge family: call invoke_hook.";

/// Answers messages for a set of plugins.
#[derive(Debug)]
pub(crate) struct Service {
    plugins: Arc<Plugins>,
    /// The answer to `tools/list`.
    listed: Raw,
    capabilities: Raw,
    server_info: Raw,
    stamp: Stamp,
}

/// Arguments of `invoke_hook`, and of the tools named like hooks, which have no `hook_type`.
#[derive(Deserialize)]
struct Invoke<'a> {
    hook_type: Option<String>,
    plugin_name: String,
    #[serde(borrow)]
    payload: &'a RawValue,
    context: WireContext,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

/// What the text of an answer holds.
#[derive(Serialize)]
struct Told<'a> {
    plugin_name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'a Decision>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ToldError<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<&'a WireContext>,
}

#[derive(Serialize)]
struct ToldError<'a> {
    message: String,
    plugin_name: &'a str,
    code: &'a str,
    details: Map<String, Value>,
    mcp_error_code: i32,
}

impl Service {
    pub(crate) fn new(plugins: Arc<Plugins>) -> Self {
        let server_info = implementation(NAME, env!("CARGO_PKG_VERSION"));
        Self {
            listed: tools::list(&plugins),
            plugins,
            capabilities: Raw::parse(r#"{"tools":{"listChanged":false}}"#).unwrap_or(Raw::EMPTY_OBJECT),
            stamp: Stamp::new(server_info.clone()),
            server_info,
        }
    }

    /// Answers a request. Dropping the future cancels what it does.
    pub(crate) async fn answer(&self, request: Request) -> Response {
        let outcome = match stateless::request_meta(request.params.as_ref()) {
            Ok(None) => self.by_method(&request.method, request.params.as_ref(), false).await,
            Ok(Some(_)) => self.stateless(&request).await,
            Err(error) => Err(error.to_error().to_rpc_error()),
        };
        Response { id: Some(request.id), outcome }
    }

    /// Answers a request of the revision without sessions.
    async fn stateless(&self, request: &Request) -> Result<Raw, RpcError> {
        if stateless::is_removed(&request.method) {
            return Err(ErrorObject::method_not_found(&request.method).to_rpc_error());
        }
        let params = request.params.as_ref().map(stateless::strip).transpose().map_err(invalid)?;
        let result = self.by_method(&request.method, params.as_ref(), true).await?;
        stateless::complete_result(&request.method, &result, &self.stamp).map_err(invalid)
    }

    async fn by_method(&self, name: &str, params: Option<&Raw>, stateless: bool) -> Result<Raw, RpcError> {
        match name {
            method::INITIALIZE => {
                let hello = ClientHello::parse(params).map_err(invalid)?;
                let (version, info) = (hello.negotiate(), &self.server_info);
                Ok(initialize::result(version, &self.capabilities, info, Some(INSTRUCTIONS)))
            }
            method::SERVER_DISCOVER if stateless => {
                Ok(stateless::discover_result(&self.capabilities, Some(INSTRUCTIONS), &self.stamp))
            }
            method::PING => Ok(Raw::EMPTY_OBJECT),
            method::TOOLS_LIST => Ok(self.listed.clone()),
            method::TOOLS_CALL => self.tool(params).await,
            other => Err(ErrorObject::method_not_found(other).to_rpc_error()),
        }
    }

    async fn tool(&self, params: Option<&Raw>) -> Result<Raw, RpcError> {
        let call = ToolCall::parse(params).map_err(invalid)?;
        let arguments = call.arguments.map_or("{}", |arguments| arguments.get());
        match &*call.name {
            CONFIGS => Ok(self.configs()),
            CONFIG => match serde_json::from_str::<Named>(arguments) {
                Ok(named) => Ok(self.config(&named.name)),
                Err(error) => Ok(wrong_arguments(CONFIG, &error)),
            },
            INVOKE => match serde_json::from_str::<Invoke<'_>>(arguments) {
                Ok(Invoke { hook_type: None, .. }) => Ok(mortise_mcp::errors::tool_error(
                    "the arguments of `invoke_hook` cannot be read: missing field `hook_type`",
                )),
                Ok(invoke) => Ok(self.invoke(None, invoke, Wire::Json).await),
                Err(error) => Ok(wrong_arguments(INVOKE, &error)),
            },
            hook if self.plugins.hooks().contains(&hook) => {
                match serde_json::from_str::<Invoke<'_>>(arguments) {
                    Ok(invoke) => Ok(self.invoke(Some(hook), invoke, Wire::JsonLegacy).await),
                    Err(error) => Ok(wrong_arguments(hook, &error)),
                }
            }
            other => Err(invalid(format!("Unknown tool: {other}"))),
        }
    }

    async fn invoke(&self, hook: Option<&str>, invoke: Invoke<'_>, wire: Wire) -> Raw {
        let hook = hook.map(str::to_owned).or(invoke.hook_type).unwrap_or_default();
        let payload = invoke.payload.get().to_owned().into();
        let asked = Asked { hook, plugin: invoke.plugin_name, payload, wire, context: invoke.context };
        told(&self.plugins.call(asked).await)
    }

    fn config(&self, name: &str) -> Raw {
        let nothing = Map::new();
        texts(&[self.plugins.entry(name).unwrap_or(&nothing)], None)
    }

    fn configs(&self) -> Raw {
        let entries: Vec<_> = self.plugins.entries().collect();
        texts(&entries, Some(&serde_json::json!({ "result": entries })))
    }
}

/// The result of a call as a tool result: one text that is a JSON object.
fn told(answered: &Answered) -> Raw {
    let plugin_name = &*answered.plugin;
    let error = answered.outcome.as_ref().err().map(|error| {
        let (code, details) = match error {
            PluginError::Failed { code, details, .. } => (&**code, details.clone()),
            _ => ("", Map::new()),
        };
        ToldError { message: error.to_string(), plugin_name, code, details, mcp_error_code: -32603 }
    });
    let result = answered.outcome.as_ref().ok();
    texts(&[Told { plugin_name, result, error, context: answered.context.as_ref() }], None)
}

/// A tool result of one text block for each value.
fn texts(values: &[impl Serialize], structured: Option<&Value>) -> Raw {
    let mut blocks = Vec::with_capacity(values.len());
    for value in values {
        match serde_json::to_string(value) {
            Ok(text) => blocks.push(serde_json::json!({ "type": "text", "text": text })),
            Err(error) => return mortise_mcp::errors::tool_error(&format!("the answer is no JSON: {error}")),
        }
    }
    let mut result = Map::new();
    result.insert("content".into(), blocks.into());
    if let Some(structured) = structured {
        result.insert("structuredContent".into(), structured.clone());
    }
    result.insert("isError".into(), false.into());
    Raw::from_serialize(&result).unwrap_or(Raw::EMPTY_OBJECT)
}

fn wrong_arguments(tool: &str, error: &serde_json::Error) -> Raw {
    mortise_mcp::errors::tool_error(&format!("the arguments of `{tool}` cannot be read: {error}"))
}

fn invalid(reason: impl std::fmt::Display) -> RpcError {
    ErrorObject::invalid_params(reason.to_string()).to_rpc_error()
}
