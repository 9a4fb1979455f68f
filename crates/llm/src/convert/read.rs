//! Taking members out of JSON objects, with errors that say where.

use serde_json::{Map, Value};

use super::ConvertError;
use crate::meter::{Meter, Usage};
use crate::shape::Shape;

/// A fault at a place.
pub(crate) fn wrong(place: impl Into<String>, expected: &'static str) -> ConvertError {
    ConvertError::WrongShape { place: place.into(), expected }
}

/// Takes a member; `null` counts as none.
pub(crate) fn take(from: &mut Map<String, Value>, name: &str) -> Option<Value> {
    from.shift_remove(name).filter(|value| !value.is_null())
}

/// Takes a string.
pub(crate) fn text(from: &mut Map<String, Value>, name: &str) -> Result<Option<String>, ConvertError> {
    match take(from, name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(wrong(name, "a string")),
    }
}

/// Takes a string that must be there.
pub(crate) fn need(from: &mut Map<String, Value>, name: &str) -> Result<String, ConvertError> {
    text(from, name)?.ok_or_else(|| wrong(name, "a string"))
}

/// Takes a list; none is an empty one.
pub(crate) fn list(from: &mut Map<String, Value>, name: &str) -> Result<Vec<Value>, ConvertError> {
    match take(from, name) {
        None => Ok(Vec::new()),
        Some(Value::Array(items)) => Ok(items),
        Some(_) => Err(wrong(name, "a list")),
    }
}

/// Takes a list of objects.
pub(crate) fn objects(
    from: &mut Map<String, Value>,
    name: &str,
) -> Result<Vec<Map<String, Value>>, ConvertError> {
    list(from, name)?.into_iter().map(|item| object(item, name)).collect()
}

/// Takes an object.
pub(crate) fn map(
    from: &mut Map<String, Value>,
    name: &str,
) -> Result<Option<Map<String, Value>>, ConvertError> {
    take(from, name).map(|value| object(value, name)).transpose()
}

/// A value that must be an object.
pub(crate) fn object(value: Value, place: &str) -> Result<Map<String, Value>, ConvertError> {
    match value {
        Value::Object(map) => Ok(map),
        _ => Err(wrong(place, "an object")),
    }
}

/// Takes a whole number.
pub(crate) fn whole(from: &mut Map<String, Value>, name: &str) -> Result<Option<u64>, ConvertError> {
    take(from, name).map(|value| value.as_u64().ok_or_else(|| wrong(name, "a whole number"))).transpose()
}

/// Takes a number.
pub(crate) fn float(from: &mut Map<String, Value>, name: &str) -> Result<Option<f64>, ConvertError> {
    take(from, name).map(|value| value.as_f64().ok_or_else(|| wrong(name, "a number"))).transpose()
}

/// Takes a truth value.
pub(crate) fn flag(from: &mut Map<String, Value>, name: &str) -> Result<Option<bool>, ConvertError> {
    take(from, name).map(|value| value.as_bool().ok_or_else(|| wrong(name, "true or false"))).transpose()
}

/// Takes strings: one, or a list.
pub(crate) fn words(from: &mut Map<String, Value>, name: &str) -> Result<Vec<String>, ConvertError> {
    let items = match take(from, name) {
        None => return Ok(Vec::new()),
        Some(Value::Array(items)) => items,
        Some(one) => vec![one],
    };
    items
        .into_iter()
        .map(|item| match item {
            Value::String(text) => Ok(text),
            _ => Err(wrong(name, "strings")),
        })
        .collect()
}

/// Reads the usage that stands in an answer or an event.
pub(crate) fn usage(value: &Value) -> Option<Usage> {
    let mut meter = Meter::new(Shape::Other);
    meter.body(value.to_string().as_bytes());
    meter.usage()
}

/// Reads tool arguments that are JSON text; no text is no arguments.
pub(crate) fn arguments(text: &str, place: &str) -> Result<Value, ConvertError> {
    if text.trim().is_empty() {
        return Ok(Value::Object(Map::new()));
    }
    serde_json::from_str(text).map_err(|_| wrong(place, "JSON text"))
}

/// Sets a member where there is something.
pub(crate) fn set(into: &mut Map<String, Value>, name: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        into.insert(name.to_owned(), value.into());
    }
}
