//! Requests as bytes: what a gateway must know of one, and the few changes it makes.
//!
//! The body is read once, at its outermost level, and checked to be JSON on the way. A change replaces the bytes of
//! one member; the rest goes on as the client wrote it.

use std::borrow::Cow;

use bytes::Bytes;
use serde_json::value::RawValue;

use crate::json::{place, top};

/// What a gateway must know of a request's body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Look<'a> {
    /// The model asked for, where the body names it.
    pub model: Option<Cow<'a, str>>,
    /// Whether the answer shall stream.
    pub stream: bool,
    /// The most tokens that the answer may have, by any of the names that the vendors give it at the outermost level.
    pub max_tokens: Option<u64>,
    /// Whether the usage of a stream is asked for (OpenAI's `stream_options.include_usage`).
    pub stream_usage: bool,
}

/// Why a body cannot be looked at.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// It is no JSON object.
    #[error("could not read the request as a JSON object (line {line}, column {column})")]
    NotAnObject {
        /// Line of the fault, from 1.
        line: usize,
        /// Column of the fault, from 1.
        column: usize,
    },
    /// A member that decides something occurs twice, or in another letter case.
    #[error("could not tell which `{name}` is meant: it occurs more than once, or in another letter case")]
    Ambiguous {
        /// Its name.
        name: &'static str,
    },
    /// A member that decides something is of another type.
    #[error("could not read `{name}`: expected {expected}")]
    WrongType {
        /// Its name.
        name: &'static str,
        /// What it should have been.
        expected: &'static str,
    },
}

impl RequestError {
    fn syntax(error: &serde_json::Error) -> Self {
        Self::NotAnObject { line: error.line(), column: error.column() }
    }
}

/// Looks at a body.
///
/// # Errors
/// [`RequestError`]. `null` counts as left out, as it does at the vendors.
pub fn look(body: &[u8]) -> Result<Look<'_>, RequestError> {
    const NAMES: [&str; 6] =
        ["model", "stream", "max_tokens", "max_completion_tokens", "max_output_tokens", "stream_options"];
    let top = top(body, NAMES).map_err(|error| RequestError::syntax(&error))?;
    if let Some(name) = top.ambiguous {
        return Err(RequestError::Ambiguous { name });
    }
    let [model, stream, tokens, completion_tokens, output_tokens, options] = top.values;
    let options: StreamOptions = read(options, "stream_options", "an object")?.unwrap_or_default();
    let most = |value, name| read::<u64>(value, name, "a number of tokens");
    Ok(Look {
        model: read::<Text<'_>>(model, "model", "a string")?.map(|text| text.0),
        stream: read(stream, "stream", "true or false")?.unwrap_or(false),
        max_tokens: most(completion_tokens, "max_completion_tokens")?
            .or(most(output_tokens, "max_output_tokens")?)
            .or(most(tokens, "max_tokens")?),
        stream_usage: options.include_usage.unwrap_or(false),
    })
}

/// The body with another model; with one where it named none.
///
/// # Errors
/// [`RequestError::NotAnObject`], [`RequestError::Ambiguous`].
pub fn with_model(body: &Bytes, model: &str) -> Result<Bytes, RequestError> {
    with_member(body, "model", &serde_json::Value::from(model).to_string())
}

/// The body of a streaming OpenAI request, asking for the usage of the stream, which vendors of that family leave out
/// unless they are asked. Other stream options are kept.
///
/// # Errors
/// [`RequestError`].
pub fn with_stream_usage(body: &Bytes) -> Result<Bytes, RequestError> {
    let top = top(body, ["stream_options"]).map_err(|error| RequestError::syntax(&error))?;
    let mut options: serde_json::Map<String, serde_json::Value> =
        read(top.values[0], "stream_options", "an object")?.unwrap_or_default();
    options.insert("include_usage".to_owned(), true.into());
    with_member(body, "stream_options", &serde_json::Value::from(options).to_string())
}

/// The body with this member, which replaces one of its name, and stands first where there was none.
fn with_member(body: &Bytes, name: &'static str, value: &str) -> Result<Bytes, RequestError> {
    let top = top(body, [name]).map_err(|error| RequestError::syntax(&error))?;
    if top.ambiguous.is_some() {
        return Err(RequestError::Ambiguous { name });
    }
    let mut out = Vec::with_capacity(body.len() + value.len() + name.len() + 4);
    match top.values[0] {
        Some(old) => {
            let at = place(body, old);
            out.extend_from_slice(&body[..at.start]);
            out.extend_from_slice(value.as_bytes());
            out.extend_from_slice(&body[at.end..]);
        }
        None => {
            let open = body.iter().position(|byte| *byte == b'{').map_or(0, |at| at + 1);
            let rest = &body[open..];
            let empty = rest.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'}');
            out.extend_from_slice(&body[..open]);
            out.extend_from_slice(format!("\"{name}\":{value}{}", if empty { "" } else { "," }).as_bytes());
            out.extend_from_slice(rest);
        }
    }
    Ok(out.into())
}

#[derive(Default, serde::Deserialize)]
struct StreamOptions {
    include_usage: Option<bool>,
}

/// A string, borrowed where nothing in it is escaped.
#[derive(serde::Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

fn read<'a, T: serde::Deserialize<'a>>(
    value: Option<&'a RawValue>,
    name: &'static str,
    expected: &'static str,
) -> Result<Option<T>, RequestError> {
    let Some(value) = value else { return Ok(None) };
    serde_json::from_str::<Option<T>>(value.get()).map_err(|_| RequestError::WrongType { name, expected })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn body_is_looked_at_whatever_order_it_has() {
        let body = br#"{"messages":[{"model":"inner"}],"stream":true,"model":"a","max_tokens":5,
            "stream_options":{"include_usage":true,"x":1}}"#;
        let look = look(body).unwrap();
        let expected =
            Look { model: Some("a".into()), stream: true, max_tokens: Some(5), stream_usage: true };
        assert_eq!(look, expected);
        assert_eq!(super::look(br#"{"model":null,"stream":null}"#).unwrap(), Look::default());
    }

    #[test]
    fn body_that_could_be_read_in_two_ways_is_refused() {
        assert_eq!(look(br#"{"model":"a","MODEL":"b"}"#), Err(RequestError::Ambiguous { name: "model" }));
        let wrong = RequestError::WrongType { name: "stream", expected: "true or false" };
        assert_eq!(look(br#"{"stream":"yes"}"#), Err(wrong));
        assert!(matches!(look(b"{\"model\":"), Err(RequestError::NotAnObject { line: 1, .. })));
    }

    #[test]
    fn another_model_changes_no_other_byte() {
        let with = |body: &str| {
            let body = with_model(&Bytes::copy_from_slice(body.as_bytes()), "b\"c").unwrap();
            String::from_utf8(body.to_vec()).unwrap()
        };
        assert_eq!(
            with(r#"{ "x": 1.0, "model" : "a" , "n":12345678901234567890}"#),
            r#"{ "x": 1.0, "model" : "b\"c" , "n":12345678901234567890}"#
        );
        assert_eq!(with(r#" {"x":1}"#), r#" {"model":"b\"c","x":1}"#);
        assert_eq!(with("{ }"), r#"{"model":"b\"c" }"#);
    }

    #[test]
    fn usage_of_a_stream_is_asked_for_beside_other_options() {
        let body =
            with_stream_usage(&Bytes::from_static(br#"{"stream_options":{"o":1},"model":"a"}"#)).unwrap();
        assert_eq!(body, r#"{"stream_options":{"o":1,"include_usage":true},"model":"a"}"#);
        assert!(look(&with_stream_usage(&Bytes::from_static(b"{}")).unwrap()).unwrap().stream_usage);
    }
}
