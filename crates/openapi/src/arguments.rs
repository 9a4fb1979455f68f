//! Calls as they come over HTTP, taken for the arguments of the tool: parameters and headers by name, each with one text
//! or several, and the body as `payload`.

use serde_json::{Map, Value};

use crate::{ArgumentError, Operation, Parameter, Place, parameter::text};

/// Headers that a client may send along and that are the gateway's to set.
const OF_NO_MATTER: [&str; 3] = ["accept", "content-type", "user-agent"];

impl Operation {
    /// The arguments that parameters, payload and headers of a call come to.
    ///
    /// # Errors
    /// A parameter or header that the operation does not have.
    pub fn arguments(
        &self,
        parameters: &Map<String, Value>,
        payload: Option<Value>,
        headers: &Map<String, Value>,
    ) -> Result<Map<String, Value>, ArgumentError> {
        let mut arguments = Map::new();
        for (name, value) in parameters {
            let found = self.parameters.iter().find(|parameter| parameter.argument == *name);
            let found = found.or_else(|| self.parameters.iter().find(|parameter| parameter.name == *name));
            let parameter = found.ok_or_else(|| self.unknown("parameter", name, |_| true))?;
            arguments.insert(parameter.argument.clone(), given(parameter, value));
        }
        let is_header = |parameter: &Parameter| parameter.place == Place::Header;
        for (name, value) in headers {
            let mut known = self.parameters.iter().filter(|parameter| is_header(parameter));
            match known.find(|parameter| parameter.name.eq_ignore_ascii_case(name)) {
                Some(parameter) => {
                    arguments.insert(parameter.argument.clone(), given(parameter, value));
                }
                None if OF_NO_MATTER.iter().any(|known| name.eq_ignore_ascii_case(known)) => {}
                None => return Err(self.unknown("header", name, is_header)),
            }
        }
        match (&self.body, payload) {
            (_, None | Some(Value::Null)) => {}
            (Some(body), Some(payload)) => {
                arguments.insert(body.argument.clone(), payload);
            }
            // Some clients send an empty object for nothing.
            (None, Some(Value::Object(fields))) if fields.is_empty() => {}
            (None, Some(_)) => return Err(self.unknown("payload of", &self.id, |_| false)),
        }
        Ok(arguments)
    }

    fn unknown(&self, what: &'static str, name: &str, among: impl Fn(&Parameter) -> bool) -> ArgumentError {
        let known = self.parameters.iter().filter(|parameter| among(parameter));
        ArgumentError::Unknown {
            what,
            name: name.chars().take(100).collect(),
            known: known.map(|parameter| parameter.name.clone()).collect(),
        }
    }
}

/// A value as given: texts are taken for what the parameter's type says, anything else for what it is.
fn given(parameter: &Parameter, value: &Value) -> Value {
    match value {
        Value::Array(items) if items.iter().all(Value::is_string) => {
            let texts: Vec<String> = items.iter().map(text).collect();
            if texts.is_empty() { Value::Null } else { parameter.typed(&texts) }
        }
        Value::String(text) => parameter.typed(std::slice::from_ref(text)),
        other => other.clone(),
    }
}
