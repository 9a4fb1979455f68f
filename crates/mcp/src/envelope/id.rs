//! Request ids: strings and numbers, kept as they were written.

use std::fmt;
use std::hash::{Hash, Hasher};

use smallvec::SmallVec;

use crate::raw::{Raw, RawStr, as_string, write_string};

/// The id of a request.
///
/// Kept as JSON text, so that `1.50` or an integer of 40 digits comes back as it was sent. Ids of up to 40 bytes
/// (a quoted UUID) live inline and never keep the body in memory they were read from.
///
/// Two ids are equal when their text is, with strings compared unescaped: a peer may echo `"é"` as `"\u00e9"`.
/// `1`, `1.0` and `"1"` are three ids; [`RequestId::as_u64`] is for finding one's own back.
#[derive(Clone)]
pub struct RequestId {
    json: SmallVec<[u8; 40]>,
}

impl RequestId {
    /// An id that is an integer.
    #[must_use]
    pub fn number(number: u64) -> Self {
        Self { json: SmallVec::from_slice(number.to_string().as_bytes()) }
    }

    /// An id that is a string.
    #[must_use]
    pub fn string(content: &str) -> Self {
        let mut json = Vec::with_capacity(content.len() + 2);
        write_string(&mut json, content);
        Self { json: SmallVec::from_slice(&json) }
    }

    /// Reads an id; `None` where the value is neither a number nor a string.
    #[must_use]
    pub fn from_json<'a>(value: impl Into<RawStr<'a>>) -> Option<Self> {
        let value = value.into();
        let text = value.get();
        match text.as_bytes().first()? {
            b'-' | b'0'..=b'9' => {}
            // An escape may be half of a surrogate pair: such a string is none, and could not be compared.
            b'"' if !text.contains('\\') => {}
            b'"' => drop(as_string(value)?),
            _ => return None,
        }
        Some(Self { json: SmallVec::from_slice(text.as_bytes()) })
    }

    /// The id as JSON text.
    #[must_use]
    pub fn as_json(&self) -> &[u8] {
        &self.json
    }

    /// The id as a raw JSON value.
    #[must_use]
    pub fn to_raw(&self) -> Raw {
        Raw::trusted(self.json.to_vec())
    }

    /// The id as an integer, for looking up ids the gateway gave out itself: peers may echo `7` as `7.0`, and a
    /// few as `"7"`, which are taken too.
    #[must_use]
    pub fn as_u64(&self) -> Option<u64> {
        let text = std::str::from_utf8(&self.json).ok()?;
        let text = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text);
        if !text.as_bytes().first()?.is_ascii_digit() {
            return None;
        }
        let whole = text.strip_suffix(".0").unwrap_or(text);
        whole.parse().ok()
    }

    /// The content to compare by: quote sign and unescaped text for strings.
    fn key(&self) -> std::borrow::Cow<'_, [u8]> {
        if self.json.contains(&b'\\')
            && let Ok(content) = serde_json::from_slice::<String>(&self.json)
        {
            return [b"\"", content.as_bytes(), b"\""].concat().into();
        }
        (&*self.json).into()
    }
}

impl PartialEq for RequestId {
    fn eq(&self, other: &Self) -> bool {
        self.json == other.json || self.key() == other.key()
    }
}

impl Eq for RequestId {}

impl Hash for RequestId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RequestId({self})")
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.json))
    }
}
