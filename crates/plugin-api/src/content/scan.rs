//! Finding the text values of JSON without parsing it into a tree.
//!
//! A hand-written scanner walks the bytes once, keeps a small stack of where it is, and shows the string values
//! that a [`Select`] rule picks. It never recurses and never fails: text that is not JSON shows what can be
//! found, since a guard must not be blinded by a malformed body.

use std::{borrow::Cow, ops::ControlFlow};

use memchr::memchr2;
use smallvec::SmallVec;

mod places;
mod splice;

pub(crate) use places::{Places, strings_of};
pub use splice::splice;

/// Which strings of a JSON document are text for people.
///
/// A small state machine over the member names on the way down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Select {
    /// Nothing below here.
    Nothing,
    /// Every string value below here: arguments, structured content.
    All,
    /// An MCP tool result, prompt result or content block: `content`, `messages`, `text`, `resource`,
    /// `structuredContent`, `description`.
    Result,
    /// A resource's content: `text` only.
    Resource,
    /// The body of an LLM request or answer.
    Llm,
    /// What stands under `input` in such a body: a text, a list of messages, or the arguments of a tool.
    LlmInput,
    /// What stands under `source` in such a body: where a document is. Its `data` is text where it says so, else binary.
    Source,
    /// The same where it says that it is text.
    TextSource,
    /// A string standing here is text; objects and arrays are looked into by the rule within.
    TextOr(Within),
}

/// What rule holds inside an object or array that stands where text could.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Within {
    /// [`Select::Result`].
    Result,
    /// [`Select::Llm`].
    Llm,
}

impl Select {
    /// The rule for the value of member `key`.
    fn member(self, key: &str) -> Self {
        match self {
            Self::Nothing | Self::All => self,
            Self::LlmInput => Self::All,
            Self::Source | Self::TextSource => match key {
                "text" | "content" => Self::TextOr(Within::Llm),
                "data" if self == Self::TextSource => Self::TextOr(Within::Llm),
                _ => Self::Nothing,
            },
            Self::Result | Self::TextOr(Within::Result) => match key {
                "text" | "description" | "title" => Self::TextOr(Within::Result),
                "content" | "contents" | "messages" | "result" => Self::TextOr(Within::Result),
                "resource" => Self::Resource,
                "structuredContent" | "arguments" => Self::All,
                _ => Self::Nothing,
            },
            Self::Resource => match key {
                "text" => Self::TextOr(Within::Result),
                "contents" | "content" => Self::Resource,
                _ => Self::Nothing,
            },
            Self::Llm | Self::TextOr(Within::Llm) => match key {
                "arguments" | "args" | "input_text" => Self::All,
                "input" => Self::LlmInput,
                "source" => Self::Source,
                "content" | "text" | "prompt" | "system" | "instructions" | "output" | "output_text"
                | "refusal" | "reasoning" | "reasoning_content" | "summary" | "thinking" | "alt" | "code"
                | "inputText" | "partial_json" | "transcript" | "title" | "context" => {
                    Self::TextOr(Within::Llm)
                }
                "messages"
                | "choices"
                | "message"
                | "delta"
                | "parts"
                | "contents"
                | "candidates"
                | "system_instruction"
                | "systemInstruction"
                | "tool_calls"
                | "function"
                | "functionCall"
                | "functionResponse"
                | "function_call"
                | "toolUse"
                | "toolResult"
                | "reasoningContent"
                | "reasoningText"
                | "reasoning_details"
                | "requests"
                | "document"
                | "executableCode"
                | "codeExecutionResult" => Self::Llm,
                "response" | "json" => Self::All,
                _ => Self::Nothing,
            },
        }
    }

    /// The same for a name as it is written.
    fn named(self, key: &[u8], escaped: bool) -> Self {
        if matches!(self, Self::Nothing | Self::All) {
            self
        } else if escaped {
            self.member(&unescape(key))
        } else {
            self.member(std::str::from_utf8(key).unwrap_or_default())
        }
    }

    /// The rule for the items of an array that stands here. Items inherit, so `["a", "b"]` where text could stand
    /// is text.
    const fn item(self) -> Self {
        match self {
            Self::LlmInput => Self::TextOr(Within::Llm),
            other => other,
        }
    }

    const fn shows(self) -> bool {
        matches!(self, Self::All | Self::LlmInput | Self::TextOr(_))
    }
}

/// A string value found in JSON text.
#[derive(Debug)]
pub struct Found<'a> {
    /// Its number among the values shown, from 0.
    pub number: u32,
    /// First byte of it in the JSON text, the quotation mark.
    pub start: usize,
    /// Byte after its closing quotation mark.
    pub end: usize,
    /// The value, unescaped. Borrowed where nothing was escaped.
    pub text: Cow<'a, str>,
    /// Name of the nearest enclosing member, as it is written; empty at the root.
    pub key: Cow<'a, str>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Span {
    start: usize,
    end: usize,
}

impl Span {
    /// Bytes as they are written.
    fn of(self, json: &[u8]) -> Cow<'_, str> {
        let bytes = &json[self.start..self.end];
        simdutf8::basic::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed)
    }
}

/// Where a string value stands.
#[derive(Clone, Copy, Debug)]
struct Spot {
    number: u32,
    /// Between its quotation marks.
    inner: Span,
    escaped: bool,
    key: Span,
}

impl Spot {
    const fn start(&self) -> usize {
        self.inner.start - 1
    }

    /// What stands there.
    fn found<'a>(&self, json: &'a [u8]) -> Found<'a> {
        let text = if self.escaped {
            unescape(&json[self.inner.start..self.inner.end])
        } else {
            self.inner.of(json)
        };
        Found { number: self.number, start: self.start(), end: self.end(json), text, key: self.key.of(json) }
    }

    /// Byte after its closing quotation mark, which may be missing at the end of the text.
    fn end(&self, json: &[u8]) -> usize {
        (self.inner.end + 1).min(json.len())
    }
}

struct Frame {
    object: bool,
    select: Select,
    key: Span,
    /// Position in an array; counts members of an object.
    index: usize,
}

/// Shows every text value of `json` that `root` picks, until `visit` breaks.
pub fn strings<'a>(json: &'a [u8], root: Select, mut visit: impl FnMut(Found<'a>) -> ControlFlow<()>) {
    if root != Select::Nothing {
        walk(json, root, |spot, _| visit(spot.found(json)));
    }
}

/// Walks over the whole text and shows where its values stand, with the frames from the root down.
fn walk(json: &[u8], root: Select, mut visit: impl FnMut(&Spot, &[Frame]) -> ControlFlow<()>) {
    let mut stack: SmallVec<[Frame; 16]> = SmallVec::new();
    let mut select = root;
    let mut key = Span::default();
    // Whether the next string in an object is a member's name.
    let mut expect_key = false;
    let (mut at, mut number) = (0, 0);
    while let Some(&byte) = json.get(at) {
        match byte {
            b'"' => {
                let (end, escaped) = string_end(json, at + 1);
                let inner = Span { start: at + 1, end };
                at = end;
                if expect_key {
                    expect_key = false;
                    key = inner;
                    let parent = stack.last().map_or(root, |frame| frame.select);
                    select = parent.named(&json[inner.start..inner.end], escaped);
                    if let Some(frame) = stack.last_mut() {
                        frame.key = key;
                    }
                } else if select.shows() {
                    if visit(&Spot { number, inner, escaped, key }, &stack).is_break() {
                        return;
                    }
                    number += 1;
                }
            }
            b'{' | b'[' => {
                let object = byte == b'{';
                if object && select == Select::Source && (stack.len() >= DEEP || says_text(json, at)) {
                    select = Select::TextSource;
                }
                let key = if object { Span::default() } else { key };
                stack.push(Frame { object, select, key, index: 0 });
                expect_key = object;
                if !object {
                    select = select.item();
                }
            }
            b'}' | b']' => {
                stack.pop();
                expect_key = false;
                key = stack.last().map_or(Span::default(), |frame| frame.key);
            }
            b',' => {
                if let Some(frame) = stack.last_mut() {
                    frame.index += 1;
                    expect_key = frame.object;
                    select = frame.select;
                    if !frame.object {
                        select = select.item();
                        key = frame.key;
                    }
                }
            }
            _ => {}
        }
        at += 1;
    }
}

/// From so many levels on a document counts as text without looking: looking ahead again and again at what is nested
/// without end would take its time, and a guard rather sees too much.
const DEEP: usize = 32;

/// Whether one of the members of the object that begins at `open` is `"type": "text"`.
fn says_text(json: &[u8], open: usize) -> bool {
    let is = |inner: Span, escaped: bool, word: &str| {
        let raw = &json[inner.start..inner.end];
        if escaped { unescape(raw) == word } else { raw == word.as_bytes() }
    };
    let (mut at, mut depth, mut in_type) = (open + 1, 1_usize, false);
    while let Some(&byte) = json.get(at) {
        match byte {
            b'"' => {
                let (end, escaped) = string_end(json, at + 1);
                let inner = Span { start: at + 1, end };
                at = end;
                if depth == 1 {
                    let after = json.get(end + 1..).unwrap_or_default().trim_ascii_start();
                    if after.first() == Some(&b':') {
                        in_type = is(inner, escaped, "type");
                    } else if in_type && is(inner, escaped, "text") {
                        return true;
                    }
                }
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return false;
                }
            }
            _ => {}
        }
        at += 1;
    }
    false
}

/// The index of the quotation mark that ends a string begun before `from`, or the end of the input, and whether
/// the string holds an escape.
fn string_end(json: &[u8], from: usize) -> (usize, bool) {
    let mut at = from;
    let mut escaped = false;
    while let Some(step) = quote_or_escape(&json[at..]) {
        at += step;
        if json[at] == b'"' {
            return (at, escaped);
        }
        escaped = true;
        at += 2;
        if at >= json.len() {
            break;
        }
    }
    (json.len(), escaped)
}

/// The first quotation mark or backslash. Names and many values are short: the first bytes are searched in place.
#[inline]
fn quote_or_escape(bytes: &[u8]) -> Option<usize> {
    const NEAR: usize = 2;
    const ONES: u64 = u64::MAX / 0xff;
    // The lowest byte marked is a zero byte; above it some may be marked wrongly.
    let zero = |word: u64| word.wrapping_sub(ONES) & !word & (ONES << 7);
    let (words, _) = bytes.as_chunks::<8>();
    for (n, word) in words.iter().take(NEAR).enumerate() {
        let word = u64::from_le_bytes(*word);
        let marked = zero(word ^ (ONES * b'"' as u64)) | zero(word ^ (ONES * b'\\' as u64));
        if marked != 0 {
            return Some(n * 8 + marked.trailing_zeros() as usize / 8);
        }
    }
    let far = words.len().min(NEAR) * 8;
    memchr2(b'"', b'\\', &bytes[far..]).map(|step| far + step)
}

/// Undoes JSON escapes. What is no valid escape, and lone surrogates, become U+FFFD: a guard must see the rest.
fn unescape(raw: &[u8]) -> Cow<'_, str> {
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        out.push_str(&String::from_utf8_lossy(&rest[..at]));
        let (shown, used) = match rest.get(at + 1) {
            Some(b'n') => ('\n', 2),
            Some(b't') => ('\t', 2),
            Some(b'r') => ('\r', 2),
            Some(b'b') => ('\u{8}', 2),
            Some(b'f') => ('\u{c}', 2),
            Some(&c @ (b'"' | b'\\' | b'/')) => (c as char, 2),
            Some(b'u') => unicode_escape(&rest[at..]),
            Some(_) => (char::REPLACEMENT_CHARACTER, 2),
            None => (char::REPLACEMENT_CHARACTER, 1),
        };
        out.push(shown);
        rest = rest.get(at + used..).unwrap_or_default();
    }
    out.push_str(&String::from_utf8_lossy(rest));
    Cow::Owned(out)
}

/// Reads `\uXXXX`, with its low surrogate where it is a high one. `raw` starts at the backslash.
fn unicode_escape(raw: &[u8]) -> (char, usize) {
    let unit = |from: usize| -> Option<u32> {
        let digits = std::str::from_utf8(raw.get(from..from + 4)?).ok()?;
        digits.bytes().all(|b| b.is_ascii_hexdigit()).then(|| u32::from_str_radix(digits, 16).ok())?
    };
    let Some(first) = unit(2) else { return (char::REPLACEMENT_CHARACTER, 2) };
    if (0xD800..0xDC00).contains(&first)
        && raw.get(6..8) == Some(b"\\u")
        && let Some(second) = unit(8)
        && (0xDC00..0xE000).contains(&second)
    {
        let code = 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
        return (char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), 12);
    }
    (char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER), 6)
}

/// How many text values `root` picks.
pub fn count(json: &[u8], root: Select) -> u32 {
    let mut count = 0;
    walk(json, root, |_, _| {
        count += 1;
        ControlFlow::Continue(())
    });
    count
}

/// Where text `number` stands: `user.name`, `content[0].text`. Empty when there is no such text.
pub fn path(json: &[u8], root: Select, number: u32) -> String {
    let mut path = String::new();
    walk(json, root, |spot, stack| {
        if spot.number < number {
            return ControlFlow::Continue(());
        }
        for frame in stack {
            if !frame.object {
                path.push_str(&format!("[{}]", frame.index));
                continue;
            }
            if !path.is_empty() {
                path.push('.');
            }
            path.push_str(&unescape(&json[frame.key.start..frame.key.end]));
        }
        ControlFlow::Break(())
    });
    path
}

#[cfg(test)]
mod tests;
