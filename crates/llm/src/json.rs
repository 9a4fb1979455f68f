//! JSON read by hand, where a tree would cost too much or forget where things stand.
//!
//! Two readers, because they answer to two kinds of input. [`walk`] shows the strings and scalars of an event with
//! where they stand; it never fails, since a guard must see what can be seen of a stream that goes wrong. [`top`]
//! reads the outermost members of a request, and is strict: what a policy judged must be what the vendor reads.

use std::{borrow::Cow, fmt, ops::Range};

use memchr::memchr2;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use smallvec::SmallVec;

/// How deep [`walk`] looks.
const MAX_DEPTH: usize = 128;

/// One step on the way to a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step<'a> {
    /// Into the member of this name, as it is written.
    Key(&'a [u8]),
    /// Into the item at this position.
    Item(u32),
}

/// A value that is no object or array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    /// A string: the bytes between its quotation marks.
    Text(Range<usize>),
    /// A number, `true`, `false` or `null`.
    Scalar(Range<usize>),
}

impl Token {
    pub(crate) fn range(&self) -> Range<usize> {
        match self {
            Self::Text(range) | Self::Scalar(range) => range.clone(),
        }
    }
}

/// Shows every string and scalar with the steps that lead to it, in order. What is no JSON shows what can be found.
pub(crate) fn walk<'a>(json: &'a [u8], mut visit: impl FnMut(&[Step<'a>], Token)) {
    let mut path: SmallVec<[Step<'a>; 12]> = SmallVec::new();
    let mut at = 0;
    let mut names = false;
    while let Some(&byte) = json.get(at) {
        match byte {
            b'"' => {
                let end = string_end(json, at + 1);
                let inner = at + 1..end;
                at = end;
                if names {
                    names = false;
                    if let Some(last) = path.last_mut() {
                        *last = Step::Key(&json[inner]);
                    }
                } else {
                    visit(&path, Token::Text(inner));
                }
            }
            b'{' | b'[' => {
                if path.len() == MAX_DEPTH {
                    return;
                }
                names = byte == b'{';
                path.push(if names { Step::Key(b"") } else { Step::Item(0) });
            }
            b'}' | b']' => {
                path.pop();
                names = false;
            }
            b',' => match path.last_mut() {
                Some(Step::Item(n)) => *n = n.saturating_add(1),
                Some(Step::Key(_)) => names = true,
                None => {}
            },
            b':' | b' ' | b'\n' | b'\r' | b'\t' => {}
            _ => {
                let end = json[at..]
                    .iter()
                    .position(|b| matches!(b, b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t' | b'"'))
                    .map_or(json.len(), |len| at + len);
                let end = end.max(at + 1);
                visit(&path, Token::Scalar(at..end));
                at = end;
                continue;
            }
        }
        at += 1;
    }
}

/// The position of the quotation mark that ends a string begun before `at`, or the end of the input.
fn string_end(json: &[u8], mut at: usize) -> usize {
    while let Some(step) = json.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
        at += step;
        if json[at] == b'"' {
            return at;
        }
        at += 2;
    }
    json.len()
}

/// The value of a string by the bytes between its quotation marks. Escapes that are none, and halves of surrogate
/// pairs, become U+FFFD.
pub(crate) fn unescape(inner: &[u8]) -> Cow<'_, str> {
    if memchr::memchr(b'\\', inner).is_none() {
        return String::from_utf8_lossy(inner);
    }
    let mut quoted = Vec::with_capacity(inner.len() + 2);
    quoted.push(b'"');
    quoted.extend_from_slice(inner);
    quoted.push(b'"');
    match serde_json::from_slice::<String>(&quoted) {
        Ok(text) => Cow::Owned(text),
        Err(_) => Cow::Owned(unescape_loosely(inner)),
    }
}

fn unescape_loosely(inner: &[u8]) -> String {
    let mut out = String::with_capacity(inner.len());
    let mut rest = inner;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        out.push_str(&String::from_utf8_lossy(&rest[..at]));
        let used = match rest.get(at + 1) {
            Some(b'u') => 6,
            Some(_) => 2,
            None => 1,
        };
        let escape = &rest[at..(at + used).min(rest.len())];
        let quoted = [b"\"", escape, b"\""].concat();
        out.push_str(serde_json::from_slice::<String>(&quoted).as_deref().unwrap_or("\u{fffd}"));
        rest = &rest[at + escape.len()..];
    }
    out.push_str(&String::from_utf8_lossy(rest));
    out
}

/// Appends `text` as it stands between the quotation marks of a JSON string.
pub(crate) fn write_inner(out: &mut Vec<u8>, text: &str) {
    for ch in text.chars() {
        match ch {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\n' => out.extend_from_slice(b"\\n"),
            '\r' => out.extend_from_slice(b"\\r"),
            '\t' => out.extend_from_slice(b"\\t"),
            c if (c as u32) < 0x20 => out.extend_from_slice(format!("\\u{:04x}", c as u32).as_bytes()),
            c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

/// Puts texts in the place of the strings at these ranges, which are in order and do not overlap.
pub(crate) fn splice<'a>(json: &[u8], edits: impl IntoIterator<Item = (Range<usize>, &'a str)>) -> Vec<u8> {
    let mut out = Vec::with_capacity(json.len() + 32);
    let mut done = 0;
    for (range, text) in edits {
        out.extend_from_slice(json.get(done..range.start).unwrap_or_default());
        write_inner(&mut out, text);
        done = range.end;
    }
    out.extend_from_slice(json.get(done..).unwrap_or_default());
    out
}

/// A number at this place, if it is one that counts things.
pub(crate) fn number(json: &[u8], token: &Token) -> Option<u64> {
    let Token::Scalar(range) = token else { return None };
    let text = std::str::from_utf8(json.get(range.clone())?).ok()?;
    text.parse().ok().or_else(|| text.parse::<f64>().ok().filter(|n| *n >= 0.0).map(|n| n as u64))
}

/// Members of an object that were asked for by name, as raw values.
#[derive(Debug)]
pub(crate) struct Top<'a, const N: usize> {
    pub(crate) values: [Option<&'a RawValue>; N],
    /// The first name that occurs twice, or in another letter case.
    pub(crate) ambiguous: Option<&'static str>,
}

/// Reads the members of these names from an object; the whole text is checked to be JSON.
///
/// # Errors
/// serde_json's, where the text is not one object.
pub(crate) fn top<'a, const N: usize>(
    json: &'a [u8],
    names: [&'static str; N],
) -> Result<Top<'a, N>, serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_slice(json);
    let top = (&mut reader).deserialize_map(Members(names))?;
    reader.end()?;
    Ok(top)
}

struct Members<const N: usize>([&'static str; N]);

impl<'de, const N: usize> Visitor<'de> for Members<N> {
    type Value = Top<'de, N>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut top = Top { values: [None; N], ambiguous: None };
        while let Some(key) = map.next_key::<Key<'de>>()? {
            let value = map.next_value::<&'de RawValue>()?;
            let Some(n) = self.0.iter().position(|name| name.eq_ignore_ascii_case(&key.0)) else { continue };
            if top.values[n].is_some() || self.0[n] != key.0 {
                top.ambiguous = top.ambiguous.or(Some(self.0[n]));
            }
            top.values[n] = Some(value);
        }
        Ok(top)
    }
}

/// A member's name, borrowed where nothing in it is escaped.
struct Key<'a>(Cow<'a, str>);

impl<'de> serde::Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Key<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Key(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Key(Cow::Owned(text.to_owned())))
            }
        }
        from.deserialize_str(Text)
    }
}

/// Where a raw value stands in the text that it was borrowed from.
pub(crate) fn place(json: &[u8], value: &RawValue) -> Range<usize> {
    let start = (value.get().as_ptr() as usize).saturating_sub(json.as_ptr() as usize);
    start..start + value.get().len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn values_are_shown_with_their_steps() {
        let json = br#"{"a":[1,{"b":"x\"y"}],"c":null}"#;
        let mut seen = Vec::new();
        walk(json, |path, token| {
            seen.push((
                format!("{}", path.len()),
                String::from_utf8_lossy(&json[token.range()]).into_owned(),
            ));
        });
        let seen: Vec<_> = seen.iter().map(|(n, t)| (n.as_str(), t.as_str())).collect();
        assert_eq!(seen, [("2", "1"), ("3", "x\\\"y"), ("1", "null")]);
    }

    #[test]
    fn names_that_two_readers_may_take_differently_are_told() {
        let ambiguous = |json: &str| top(json.as_bytes(), ["model"]).unwrap().ambiguous;
        assert_eq!(ambiguous(r#"{"model":"a","x":{"model":"b"}}"#), None);
        assert_eq!(ambiguous(r#"{"model":"a","model":"b"}"#), Some("model"));
        assert_eq!(ambiguous(r#"{"model":"a","Model":"b"}"#), Some("model"));
        assert_eq!(ambiguous(r#"{"model":"a","mod\u0065l":"b"}"#), Some("model"));
        assert!(top(b"[1]", ["model"]).is_err());
        assert!(top(br#"{"model":"a"} x"#, ["model"]).is_err());
    }

    proptest! {
        #[test]
        fn walking_never_fails(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            walk(&bytes, |_, token| { let _ = bytes[token.range()].len(); });
        }

        #[test]
        fn text_survives_being_written_and_read(text in any::<String>()) {
            let mut out = Vec::new();
            write_inner(&mut out, &text);
            prop_assert_eq!(unescape(&out), text);
        }
    }
}
