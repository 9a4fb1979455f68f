//! What expressions can refer to.

use std::{collections::HashMap, sync::Arc};

use ::cel::{
    Context, Program, Value,
    objects::{Key, Map},
};
use mortise_plugin_api::{Cx, PluginError};
use serde::Serialize;

use crate::service::facts::{self as shared, CallerFacts, RequestFacts};

/// Which variables are referred to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Variables {
    /// The payload, or what stands in it under a name of its own.
    pub(super) payload: bool,
    caller: bool,
    request: bool,
    state: bool,
}

impl Variables {
    /// All there are.
    pub(super) const NAMES: [&str; 8] =
        ["args", "caller", "hook", "payload", "request", "result", "state", "subject"];

    /// Those of an expression.
    ///
    /// # Errors
    /// The name of one that there is not. What a macro introduces (`xs.exists(x, …)`) counts as being there.
    pub(super) fn of(program: &Program, source: &str) -> Result<Self, String> {
        let references = program.references();
        // Names of types may stand where a value can.
        let types =
            ["bool", "bytes", "double", "dyn", "int", "list", "map", "null_type", "string", "type", "uint"];
        let stranger = references.variables().into_iter().find(|name| {
            !Self::NAMES.contains(name) && !types.contains(name) && !is_introduced(source, name)
        });
        if let Some(stranger) = stranger {
            return Err(stranger.to_owned());
        }
        let has = |name: &str| references.has_variable(name);
        Ok(Self {
            payload: has("payload") || has("args") || has("result"),
            caller: has("caller"),
            request: has("request"),
            state: has("state"),
        })
    }

    pub(super) const fn and(self, other: Self) -> Self {
        Self {
            payload: self.payload || other.payload,
            caller: self.caller || other.caller,
            request: self.request || other.request,
            state: self.state || other.state,
        }
    }
}

/// Whether a name stands first in some brackets, as the variable of a macro does.
fn is_introduced(source: &str, name: &str) -> bool {
    source.match_indices('(').any(|(at, open)| {
        let inside = source.get(at + open.len()..).unwrap_or_default().trim_start();
        inside.strip_prefix(name).is_some_and(|rest| rest.trim_start().starts_with(','))
    })
}

/// Puts what is referred to into a context.
///
/// # Errors
/// A payload that cannot be read.
pub(super) fn fill(
    context: &mut Context<'_, '_>,
    uses: Variables,
    hook: &str,
    cx: &Cx<'_>,
) -> Result<(), PluginError> {
    context.add_variable_from_value("hook", hook);
    context.add_variable_from_value("subject", shared::subject(cx.call.payload.payload()));
    if uses.caller {
        context.add_variable_from_value("caller", facts(&CallerFacts::of(cx.request()))?);
    }
    if uses.request {
        context.add_variable_from_value("request", facts(&RequestFacts::of(cx.request()))?);
    }
    if uses.state {
        context.add_variable_from_value("state", facts(&cx.context.shared_base().state)?);
    }
    if uses.payload {
        let payload = shared::payload(&cx.call)?;
        let read = payload.value().map_err(|error| PluginError::failed(error.to_string()))?;
        let member = |name: &str| read.get(name).map_or(Value::Null, value);
        context.add_variable_from_value("args", member("args"));
        context.add_variable_from_value("result", member("result"));
        context.add_variable_from_value("payload", value(read));
    }
    Ok(())
}

fn facts(facts: &impl Serialize) -> Result<Value, PluginError> {
    let read = serde_json::to_value(facts);
    read.map(|read| value(&read)).map_err(|_| PluginError::failed("the call cannot be shown to the rules"))
}

/// JSON as a value of the language. Whole numbers are `int` where they fit, so that literals compare with them.
fn value(json: &serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(word) => Value::Bool(*word),
        serde_json::Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => Value::Int(number),
            (None, Some(number)) => Value::UInt(number),
            (None, None) => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        serde_json::Value::String(text) => Value::String(Arc::new(text.clone())),
        serde_json::Value::Array(items) => Value::List(Arc::new(items.iter().map(value).collect())),
        serde_json::Value::Object(members) => {
            let members = members.iter().map(|(name, member)| (Key::from(name.as_str()), value(member)));
            Value::Map(Map { map: Arc::new(members.collect::<HashMap<_, _>>()) })
        }
    }
}
