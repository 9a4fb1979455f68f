//! Finding where the members of an object end, checking on the way that they are JSON.
//!
//! Every message is looked at here at least twice on its way through a gateway, so this is the one place where JSON is
//! read by hand: one pass, nothing built, nothing allocated. serde_json stands behind it: it names the place of a
//! fault, it reads names that are escaped, and a property test holds both to the same verdicts.

use std::borrow::Cow;

use memchr::memchr2;
use serde_json::value::RawValue;
use smallvec::SmallVec;

/// One JSON value as text within a larger one, without surrounding whitespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawStr<'a>(&'a str);

impl<'a> RawStr<'a> {
    /// The text.
    #[must_use]
    pub fn get(self) -> &'a str {
        self.0
    }
}

impl<'a> From<&'a RawValue> for RawStr<'a> {
    fn from(value: &'a RawValue) -> Self {
        Self(value.get())
    }
}

/// The text is no JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotJson;

/// Shows the members of the object that `text` is, in order, as long as `visit` says so. All of the text is checked
/// also where it does not.
///
/// # Errors
/// [`NotJson`] where the text is not one object.
pub(crate) fn members<'a>(
    text: &'a str,
    mut visit: impl FnMut(Cow<'a, str>, RawStr<'a>) -> bool,
) -> Result<(), NotJson> {
    let mut scan = Scan { text, at: 0 };
    let mut wanted = true;
    scan.white();
    scan.expect(b'{')?;
    scan.white();
    if scan.peek() == Some(b'}') {
        scan.at += 1;
    } else {
        loop {
            scan.white();
            let name = scan.name()?;
            scan.white();
            let start = scan.at;
            scan.value()?;
            let value = RawStr(&text[start..scan.at]);
            wanted = wanted && visit(name, value);
            scan.white();
            match scan.next()? {
                b',' => {}
                b'}' => break,
                _ => return Err(NotJson),
            }
        }
    }
    scan.white();
    if scan.at == text.len() { Ok(()) } else { Err(NotJson) }
}

/// Whether a text without white space around it is one value.
pub(crate) fn is_value(text: &[u8]) -> bool {
    let Ok(text) = simdutf8::basic::from_utf8(text) else { return false };
    let mut scan = Scan { text, at: 0 };
    scan.value().is_ok() && scan.at == text.len()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Within {
    Object,
    Array,
}

struct Scan<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scan<'a> {
    fn bytes(&self) -> &'a [u8] {
        self.text.as_bytes()
    }

    fn peek(&self) -> Option<u8> {
        self.bytes().get(self.at).copied()
    }

    fn next(&mut self) -> Result<u8, NotJson> {
        let byte = self.peek().ok_or(NotJson)?;
        self.at += 1;
        Ok(byte)
    }

    fn expect(&mut self, wanted: u8) -> Result<(), NotJson> {
        if self.next()? == wanted { Ok(()) } else { Err(NotJson) }
    }

    fn white(&mut self) {
        while let Some(b' ' | b'\n' | b'\t' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    /// A member's name and the colon behind it.
    fn name(&mut self) -> Result<Cow<'a, str>, NotJson> {
        let start = self.at;
        self.expect(b'"')?;
        let escaped = self.string()?;
        let quoted = &self.text[start..self.at];
        let name = if escaped {
            Cow::Owned(serde_json::from_str(quoted).map_err(|_| NotJson)?)
        } else {
            Cow::Borrowed(&quoted[1..quoted.len() - 1])
        };
        self.white();
        self.expect(b':')?;
        Ok(name)
    }

    /// One value, whatever it holds.
    fn value(&mut self) -> Result<(), NotJson> {
        let mut open: SmallVec<[Within; 64]> = SmallVec::new();
        loop {
            self.white();
            let opened = self.begin()?;
            open.extend(opened);
            if opened.is_some() {
                continue;
            }
            // A value has ended, and with it perhaps what it was the last of.
            loop {
                let Some(within) = open.last() else { return Ok(()) };
                self.white();
                match (self.next()?, within) {
                    (b',', Within::Object) => {
                        self.white();
                        self.skip_name()?;
                        break;
                    }
                    (b',', Within::Array) => break,
                    (b'}', Within::Object) | (b']', Within::Array) => drop(open.pop()),
                    _ => return Err(NotJson),
                }
            }
        }
    }

    /// A scalar or an empty container to its end, or the beginning of a container up to its first value.
    fn begin(&mut self) -> Result<Option<Within>, NotJson> {
        match self.next()? {
            b'"' => drop(self.string()?),
            b'{' => {
                self.white();
                if self.peek() != Some(b'}') {
                    self.skip_name()?;
                    return Ok(Some(Within::Object));
                }
                self.at += 1;
            }
            b'[' => {
                self.white();
                if self.peek() != Some(b']') {
                    return Ok(Some(Within::Array));
                }
                self.at += 1;
            }
            first @ (b'-' | b'0'..=b'9') => self.number(first)?,
            b't' => self.word(b"rue")?,
            b'f' => self.word(b"alse")?,
            b'n' => self.word(b"ull")?,
            _ => return Err(NotJson),
        }
        Ok(None)
    }

    fn skip_name(&mut self) -> Result<(), NotJson> {
        self.expect(b'"')?;
        self.string()?;
        self.white();
        self.expect(b':')
    }

    fn word(&mut self, rest: &[u8]) -> Result<(), NotJson> {
        let end = self.at + rest.len();
        if self.bytes().get(self.at..end) != Some(rest) {
            return Err(NotJson);
        }
        self.at = end;
        Ok(())
    }

    fn number(&mut self, first: u8) -> Result<(), NotJson> {
        let first = if first == b'-' { self.next()? } else { first };
        match first {
            b'0' => {}
            b'1'..=b'9' => self.digits(),
            _ => return Err(NotJson),
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.some_digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.some_digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) {
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
    }

    fn some_digits(&mut self) -> Result<(), NotJson> {
        let start = self.at;
        self.digits();
        if self.at > start { Ok(()) } else { Err(NotJson) }
    }

    /// The rest of a string and its closing quote; says whether it holds escapes.
    fn string(&mut self) -> Result<bool, NotJson> {
        let mut escaped = false;
        loop {
            self.plain();
            match self.next()? {
                b'"' => return Ok(escaped),
                b'\\' => {
                    escaped = true;
                    self.escape()?;
                }
                // A control character.
                _ => return Err(NotJson),
            }
        }
    }

    /// Goes to the next quote, backslash or control character: names and many values are short, so eight bytes at a
    /// time at first.
    fn plain(&mut self) {
        const NEAR: usize = 4;
        const ONES: u64 = u64::MAX / 255;
        const HIGH: u64 = ONES << 7;
        let bytes = self.bytes();
        for _ in 0..NEAR {
            let Some(chunk) = bytes.get(self.at..).and_then(<[u8]>::first_chunk::<8>) else { break };
            let chunk = u64::from_le_bytes(*chunk);
            // The lowest marked byte is a true one; a borrow can mark others only above it.
            let zero = |bytes: u64| bytes.wrapping_sub(ONES) & !bytes;
            let control = chunk.wrapping_sub(ONES * 0x20) & !chunk;
            let quote = zero(chunk ^ (ONES * u64::from(b'"')));
            let backslash = zero(chunk ^ (ONES * u64::from(b'\\')));
            let marked = (control | quote | backslash) & HIGH;
            if marked != 0 {
                self.at += marked.trailing_zeros() as usize / 8;
                return;
            }
            self.at += 8;
        }
        let rest = &bytes[self.at..];
        let end = memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
        let is_control = |byte: &u8| *byte < 0x20;
        // Asked of all bytes at once; where one is, is looked for only where there is one.
        let any = rest[..end].iter().fold(false, |any, byte| any | is_control(byte));
        self.at += if any { rest.iter().position(is_control).unwrap_or(end) } else { end };
    }

    fn escape(&mut self) -> Result<(), NotJson> {
        match self.next()? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Ok(()),
            b'u' => {
                let digits = self.bytes().get(self.at..self.at + 4).ok_or(NotJson)?;
                self.at += 4;
                if digits.iter().all(u8::is_ascii_hexdigit) { Ok(()) } else { Err(NotJson) }
            }
            _ => Err(NotJson),
        }
    }
}
