//! The HTTP request that a call becomes.

use serde_json::{Map, Value};

use crate::{
    Body, Media, Operation, Parameter, Place,
    encode::{encode, encode_path},
    parameter,
};

/// A request, without the address it goes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// The method.
    pub method: &'static str,
    /// The path below that of the address, encoded; begins with a slash.
    pub path: String,
    /// Parameters of the query, encoded.
    pub query: Vec<(String, String)>,
    /// Headers.
    pub headers: Vec<(String, String)>,
    /// Cookies, encoded.
    pub cookies: Vec<(String, String)>,
    /// The body, with its content type.
    pub body: Option<(String, Vec<u8>)>,
}

/// Why no request can be made of a call's arguments.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ArgumentError {
    /// One that has to be given is not.
    #[error("the argument `{argument}` is missing")]
    Missing {
        /// The argument.
        argument: String,
    },
    /// One that there is not.
    #[error("there is no {what} `{name}`; there are: {}", told(known))]
    Unknown {
        /// What it was given as.
        what: &'static str,
        /// Its name.
        name: String,
        /// Those there are.
        known: Vec<String>,
    },
    /// One that cannot stand in a path.
    #[error("the argument `{argument}` cannot stand in the path: it {reason}")]
    Path {
        /// The argument.
        argument: String,
        /// Why not.
        reason: &'static str,
    },
    /// One that cannot be the value of a header.
    #[error(
        "the argument `{argument}` cannot be a header: it holds other characters than visible ones of ASCII"
    )]
    Header {
        /// The argument.
        argument: String,
    },
    /// A body that cannot be written as its type wants it.
    #[error("the argument `{argument}` has to be {expected}")]
    Body {
        /// The argument.
        argument: String,
        /// What it has to be.
        expected: &'static str,
    },
}

pub(crate) fn told(known: &[String]) -> String {
    if known.is_empty() { "none".to_owned() } else { known.join(", ") }
}

impl Operation {
    /// The request of a call with these arguments. One that is null counts as not given.
    ///
    /// # Errors
    /// See [`ArgumentError`].
    pub fn request(&self, arguments: &Map<String, Value>) -> Result<Request, ArgumentError> {
        self.check_names(arguments)?;
        let given = |argument: &str| arguments.get(argument).filter(|value| !value.is_null());
        let missing = |argument: &str| ArgumentError::Missing { argument: argument.to_owned() };
        let mut request = Request { method: self.method, ..Request::default() };
        let mut in_path: Vec<(&str, String)> = Vec::new();
        for parameter in &self.parameters {
            let Some(value) = given(&parameter.argument) else {
                if parameter.required {
                    return Err(missing(&parameter.argument));
                }
                continue;
            };
            match parameter.place {
                Place::Path => in_path.push((&parameter.name, parameter.in_path(value)?)),
                Place::Query => parameter.in_query(value, &mut request.query),
                Place::Cookie => parameter.in_query(value, &mut request.cookies),
                Place::Header => {
                    request.headers.push((parameter.name.clone(), parameter.in_header(value)?));
                }
            }
        }
        request.path = self.filled(&in_path)?;
        if let Some(body) = &self.body {
            match given(&body.argument) {
                Some(value) => request.body = Some((body.content_type.clone(), body.written(value)?)),
                None if body.required => return Err(missing(&body.argument)),
                None => {}
            }
        }
        Ok(request)
    }

    fn check_names(&self, arguments: &Map<String, Value>) -> Result<(), ArgumentError> {
        let parameters = self.parameters.iter().map(|parameter| &parameter.argument);
        let known = || parameters.clone().chain(self.body.iter().map(|body| &body.argument));
        match arguments.keys().find(|name| !known().any(|known| known == *name)) {
            Some(name) => Err(ArgumentError::Unknown {
                what: "argument",
                name: name.chars().take(100).collect(),
                known: known().cloned().collect(),
            }),
            None => Ok(()),
        }
    }

    /// The path with the values in their places.
    fn filled(&self, values: &[(&str, String)]) -> Result<String, ArgumentError> {
        let mut path = String::with_capacity(self.path.len() + 32);
        let mut rest = self.path.as_str();
        while let Some((before, inside)) = rest.split_once('{') {
            path.push_str(&encode_path(before));
            let (name, after) = inside.split_once('}').unwrap_or((inside, ""));
            if let Some((_, value)) = values.iter().find(|(known, _)| *known == name) {
                path.push_str(value);
            }
            rest = after;
        }
        path.push_str(&encode_path(rest));
        // Two values side by side may come to what neither is.
        if path.split('/').any(|piece| matches!(piece, "." | "..")) {
            let argument = self.parameters.iter().find(|parameter| parameter.place == Place::Path);
            let argument =
                argument.map(|parameter: &Parameter| parameter.argument.clone()).unwrap_or_default();
            return Err(ArgumentError::Path { argument, reason: "leads to another path" });
        }
        Ok(path)
    }
}

impl Body {
    fn written(&self, value: &Value) -> Result<Vec<u8>, ArgumentError> {
        let expected = |expected| ArgumentError::Body { argument: self.argument.clone(), expected };
        match (self.media, value) {
            (Media::Json, value) => Ok(value.to_string().into_bytes()),
            (Media::Text, Value::String(text)) => Ok(text.clone().into_bytes()),
            (Media::Text, _) => Err(expected("a text")),
            (Media::Form, Value::Object(fields)) => Ok(form(fields).into_bytes()),
            (Media::Form, _) => Err(expected("an object")),
        }
    }
}

/// Fields as a form; of a list, each item is a field.
fn form(fields: &Map<String, Value>) -> String {
    let mut pairs = Vec::new();
    for (name, value) in fields.iter().filter(|(_, value)| !value.is_null()) {
        let items = match value {
            Value::Array(items) => items.as_slice(),
            one => std::slice::from_ref(one),
        };
        pairs.extend(items.iter().map(|item| format!("{}={}", encode(name), encode(&parameter::text(item)))));
    }
    pairs.join("&")
}
