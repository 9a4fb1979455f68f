//! JSON that is parsed when somebody looks, and written when somebody sends it.
//!
//! A call's arguments arrive as bytes and mostly leave as the same bytes. [`Json`] therefore keeps the text and
//! makes the tree on first use, or keeps the tree and makes the text on first use; each at most once. What nobody
//! looks at is neither parsed nor written anew, and big numbers, key order and spelling survive untouched.

use std::{
    borrow::Cow,
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value, value::RawValue};

use crate::content::scan::Places;

/// Why a text is no JSON Mortise can hold as a tree: its syntax, or nesting beyond 128 levels.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not usable as JSON: {0}")]
pub struct JsonError(Arc<str>);

/// A JSON value as text, as tree, or both.
#[derive(Clone)]
pub struct Json {
    text: OnceLock<Bytes>,
    tree: OnceLock<Result<Arc<Value>, JsonError>>,
    places: OnceLock<Places>,
}

impl Json {
    /// Takes JSON text after checking its syntax.
    ///
    /// # Errors
    /// When `text` is not one JSON value.
    pub fn parse(text: impl Into<Bytes>) -> Result<Self, JsonError> {
        let text = text.into();
        serde_json::from_slice::<&RawValue>(&text).map_err(|e| JsonError(e.to_string().into()))?;
        Ok(Self::assume_valid(text))
    }

    /// Takes text that a parser has already accepted as JSON, without looking at it again.
    ///
    /// Text that is not JSON after all is no danger: [`Json::value`] reports it, the content view shows what it can.
    pub fn assume_valid(text: impl Into<Bytes>) -> Self {
        Self { text: OnceLock::from(text.into()), tree: OnceLock::new(), places: OnceLock::new() }
    }

    /// JSON `null`.
    pub fn null() -> Self {
        Self::assume_valid(Bytes::from_static(b"null"))
    }

    /// An empty object.
    pub fn object() -> Self {
        Self::assume_valid(Bytes::from_static(b"{}"))
    }

    /// The value as text.
    pub fn text(&self) -> &Bytes {
        self.text.get_or_init(|| match self.tree.get() {
            // A tree of strings, numbers and maps with string keys always serialises.
            Some(Ok(tree)) => serde_json::to_vec(&**tree).map(Bytes::from).unwrap_or_default(),
            _ => Bytes::from_static(b"null"),
        })
    }

    /// The value as tree, parsed on first use.
    ///
    /// # Errors
    /// When the text is no JSON, or nested deeper than 128 levels.
    pub fn value(&self) -> Result<&Value, JsonError> {
        let parsed = self.tree.get_or_init(|| {
            serde_json::from_slice(self.text()).map(Arc::new).map_err(|e| JsonError(e.to_string().into()))
        });
        parsed.as_deref().map_err(Clone::clone)
    }

    /// Whether this is `null`, without parsing.
    pub fn is_null(&self) -> bool {
        match self.text.get() {
            Some(text) => text.trim_ascii() == b"null",
            None => matches!(self.tree.get(), Some(Ok(tree)) if tree.is_null()),
        }
    }

    /// Where the values stand that are text for people; kept by the first plugin that looked at all of them.
    pub(crate) fn places(&self) -> &OnceLock<Places> {
        &self.places
    }

    /// Length of the text in bytes.
    pub fn size(&self) -> usize {
        self.text().len()
    }

    /// The text as `str`, lossily where it is no UTF-8.
    pub fn as_str(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(self.text())
    }
}

impl Default for Json {
    fn default() -> Self {
        Self::null()
    }
}

impl From<Value> for Json {
    fn from(value: Value) -> Self {
        Self { text: OnceLock::new(), tree: OnceLock::from(Ok(Arc::new(value))), places: OnceLock::new() }
    }
}

impl std::fmt::Debug for Json {
    /// Shows only the size: payloads carry what must not reach logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Json({} bytes)", self.size())
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text() || matches!((self.value(), other.value()), (Ok(a), Ok(b)) if a == b)
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match serde_json::from_slice::<&RawValue>(self.text()) {
            Ok(raw) => raw.serialize(serializer),
            Err(error) => Err(serde::ser::Error::custom(error)),
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        let text: Box<str> = raw.into();
        Ok(Self::assume_valid(text.into_boxed_bytes().into_vec()))
    }
}

impl schemars::JsonSchema for Json {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Json".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        true.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn text_survives_byte_for_byte() {
        let text = r#"{ "n": 123456789012345678901234567890, "f": 1.0, "s": "é" }"#;
        let held = Json::parse(text).unwrap();
        assert_eq!(held.value().unwrap()["s"], "é");
        assert_eq!(held.text(), text.as_bytes());
        assert_eq!(serde_json::to_string(&held).unwrap(), text);
    }

    #[test]
    fn tree_and_text_of_equal_values_are_equal() {
        assert_eq!(Json::from(json!({"a": [1, null]})), Json::parse(r#"{ "a" : [1,null] }"#).unwrap());
        assert_ne!(Json::from(json!(1)), Json::from(json!(2)));
    }

    #[test]
    fn hostile_text_is_an_error_not_a_panic() {
        assert!(Json::parse(&b"{\"a\":"[..]).is_err());
        assert!(Json::parse(&b"\xff\xfe"[..]).is_err());
        let deep = Json::assume_valid("[".repeat(10_000));
        assert!(deep.value().is_err());
        assert!(serde_json::to_string(&deep).is_err());
    }

    #[test]
    fn debug_output_never_shows_the_content() {
        assert_eq!(format!("{:?}", Json::from(json!("secret"))), "Json(8 bytes)");
    }
}
