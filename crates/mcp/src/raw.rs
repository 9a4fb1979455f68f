//! JSON that is carried as text: one validated value ([`Raw`]), a shallow look at an object ([`Object`]) and
//! edits of single members ([`Splice`]).
//!
//! A gateway that decodes a message into types and encodes it again loses what it does not know: fields of
//! newer protocol revisions, integers beyond 2^53, the sender's number format. So values stay the bytes they
//! came in as, an object is looked at one level deep, and a change replaces the bytes of the member it concerns
//! and no others.
//!
//! Looked-at names are compared after unescaping (`"na\u006de"` is `name`), a looked-at name that occurs twice
//! is an error, and so is one that differs only in case: peers disagree about which one counts, and what a
//! policy judged must be what the other side reads.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use serde::de::{DeserializeOwned, Deserializer};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

mod depth;
mod object;
mod scan;
mod splice;
#[cfg(test)]
mod tests;

pub use depth::{DEFAULT_MAX_DEPTH, check_depth};
pub use object::{MAX_MEMBERS, Member, Object};
pub use scan::RawStr;
pub(crate) use scan::{NotJson, is_value, members};
pub use splice::Splice;

/// Why a piece of JSON text could not be taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RawError {
    /// The text is not one JSON value in UTF-8.
    #[error("could not read the text as JSON (line {line}, column {column})")]
    Syntax {
        /// Line of the fault, from 1.
        line: usize,
        /// Column of the fault, from 1; 0 where it is at the start of the line.
        column: usize,
    },
    /// Arrays and objects are nested deeper than allowed.
    #[error("could not take JSON nested deeper than {max} levels")]
    TooDeep {
        /// The limit.
        max: usize,
    },
    /// The text is JSON, but of another type than was asked for.
    #[error("could not read `{what}`: expected {expected}")]
    WrongType {
        /// Name of the value that was looked at.
        what: Cow<'static, str>,
        /// What it should have been.
        expected: &'static str,
    },
    /// An object has more members than are looked through.
    #[error("could not look into an object of more than {max} members")]
    TooManyMembers {
        /// The limit.
        max: usize,
    },
    /// A looked-at member occurs more than once, or in spellings that differ only in case.
    #[error(
        "could not tell which member `{name}` is meant: it occurs more than once, or in another letter case"
    )]
    Ambiguous {
        /// The name that was looked for.
        name: String,
    },
    /// A member that must be there is not.
    #[error("could not find the required member `{name}`")]
    Missing {
        /// The name that was looked for.
        name: &'static str,
    },
}

impl RawError {
    pub(crate) fn syntax(error: &serde_json::Error) -> Self {
        Self::Syntax { line: error.line(), column: error.column() }
    }

    pub(crate) fn wrong_type(what: impl Into<Cow<'static, str>>, expected: &'static str) -> Self {
        Self::WrongType { what: what.into(), expected }
    }
}

/// One JSON value as the UTF-8 text it was written in, without surrounding whitespace.
///
/// A value of this type always is valid JSON. Cloning is cheap: the bytes are shared. A `Raw` cut from a larger
/// body keeps that body in memory; use [`Raw::detached`] for what is kept for long. `Debug` shows the length
/// only, since the text may hold secrets. Equality compares the text.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Raw(Bytes);

impl Raw {
    /// The empty object, `{}`.
    pub const EMPTY_OBJECT: Self = Self(Bytes::from_static(b"{}"));
    /// The literal `null`.
    pub const NULL: Self = Self(Bytes::from_static(b"null"));

    /// Takes a text that must be one JSON value nested at most [`DEFAULT_MAX_DEPTH`] deep.
    ///
    /// # Errors
    /// [`RawError::Syntax`] or [`RawError::TooDeep`].
    pub fn parse(text: impl Into<Bytes>) -> Result<Self, RawError> {
        let text = text.into();
        check_depth(&text, DEFAULT_MAX_DEPTH)?;
        let value = trim(&text);
        if !is_value(value) {
            // Names the place of the fault; should the two ever disagree, serde_json holds.
            borrow(&text)?;
        }
        Ok(Self(text.slice_ref(value)))
    }

    /// Shares the part of `body` that `value` was borrowed from; copies where it was borrowed from elsewhere.
    #[must_use]
    pub fn within<'a>(body: &Bytes, value: impl Into<RawStr<'a>>) -> Self {
        let part = value.into().get().as_bytes();
        if contains(body, part) { Self(body.slice_ref(part)) } else { Self(Bytes::copy_from_slice(part)) }
    }

    /// Writes any serialisable value as JSON.
    ///
    /// # Errors
    /// [`RawError::WrongType`] where the value has no JSON form (a map with keys that are no strings).
    pub fn from_serialize<T: Serialize + ?Sized>(value: &T) -> Result<Self, RawError> {
        serde_json::to_vec(value)
            .map(|text| Self(text.into()))
            .map_err(|_| RawError::wrong_type("value", "something JSON can express"))
    }

    /// A JSON string with this content.
    #[must_use]
    pub fn string(content: &str) -> Self {
        let mut out = Vec::with_capacity(content.len() + 2);
        write_string(&mut out, content);
        Self(out.into())
    }

    /// A JSON number.
    #[must_use]
    pub fn integer(number: i64) -> Self {
        Self(number.to_string().into())
    }

    /// For text made by this crate, which is JSON by construction.
    pub(crate) fn trusted(text: Vec<u8>) -> Self {
        debug_assert!(
            serde_json::from_slice::<serde::de::IgnoredAny>(&text).is_ok(),
            "text made by this crate must be JSON"
        );
        Self(text.into())
    }

    /// The text.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The text as a string. Checks UTF-8 again, so prefer [`Raw::as_bytes`] where bytes do.
    #[must_use]
    #[expect(clippy::expect_used, reason = "every constructor checked that the text is UTF-8")]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("the text of a raw JSON value is UTF-8")
    }

    /// The text as shared bytes.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.0
    }

    /// A copy of the text that does not keep the body in memory that it came from.
    #[must_use]
    pub fn detached(&self) -> Self {
        Self(Bytes::copy_from_slice(&self.0))
    }

    /// Whether the value is an object.
    #[must_use]
    pub fn is_object(&self) -> bool {
        self.0.first() == Some(&b'{')
    }

    /// Looks at the value as an object, one level deep.
    ///
    /// # Errors
    /// [`RawError::WrongType`] where it is none.
    pub fn object(&self) -> Result<Object<'_>, RawError> {
        Object::parse(&self.0)
    }

    /// Decodes the value into an owned type.
    ///
    /// # Errors
    /// What serde_json says; its text may quote parts of the value.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(&self.0)
    }
}

impl fmt::Debug for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Raw({} bytes)", self.0.len())
    }
}

impl Serialize for Raw {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let value: &RawValue = serde_json::from_slice(&self.0).map_err(serde::ser::Error::custom)?;
        value.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Box::<RawValue>::deserialize(deserializer)?;
        Ok(Self(Bytes::copy_from_slice(value.get().as_bytes())))
    }
}

/// Whether a letter may stand in the text as its number (`\u0061`), so that a name in it need not be spelled out.
pub(crate) fn holds_unicode_escape(text: &[u8]) -> bool {
    memchr::memchr_iter(b'\\', text).any(|at| text.get(at + 1) == Some(&b'u'))
}

/// The content of a raw JSON string; `None` where the value is no string or not valid Unicode.
#[must_use]
pub fn as_string<'a>(value: impl Into<RawStr<'a>>) -> Option<Cow<'a, str>> {
    let text = value.into().get();
    let content = text.strip_prefix('"')?.strip_suffix('"')?;
    if content.contains('\\') {
        return serde_json::from_str(text).ok().map(Cow::Owned);
    }
    Some(Cow::Borrowed(content))
}

/// Appends a JSON string.
pub fn write_string(out: &mut impl bytes::BufMut, content: &str) {
    out.put_u8(b'"');
    let plain = content.bytes().all(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\');
    if plain {
        out.put_slice(content.as_bytes());
    } else {
        write_escaped(out, content);
    }
    out.put_u8(b'"');
}

fn write_escaped(out: &mut impl bytes::BufMut, content: &str) {
    let mut rest = content.as_bytes();
    while let Some(at) = rest.iter().position(|&byte| byte < 0x20 || byte == b'"' || byte == b'\\') {
        out.put_slice(&rest[..at]);
        match rest[at] {
            b'"' => out.put_slice(b"\\\""),
            b'\\' => out.put_slice(b"\\\\"),
            b'\n' => out.put_slice(b"\\n"),
            b'\r' => out.put_slice(b"\\r"),
            b'\t' => out.put_slice(b"\\t"),
            control => out.put_slice(format!("\\u{control:04x}").as_bytes()),
        }
        rest = &rest[at + 1..];
    }
    out.put_slice(rest);
}

/// Reads one JSON value without copying it.
pub(crate) fn borrow(text: &[u8]) -> Result<&RawValue, RawError> {
    serde_json::from_slice(text).map_err(|error| RawError::syntax(&error))
}

/// Removes the whitespace JSON allows around a value.
pub(crate) fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t' | b'\n' | b'\r', rest @ ..] | [rest @ .., b' ' | b'\t' | b'\n' | b'\r'] = text {
        text = rest;
    }
    text
}

/// Whether `part` lies within the memory of `whole`.
fn contains(whole: &[u8], part: &[u8]) -> bool {
    let whole = whole.as_ptr_range();
    let part = part.as_ptr_range();
    whole.start <= part.start && part.end <= whole.end
}
