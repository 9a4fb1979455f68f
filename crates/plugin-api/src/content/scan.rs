//! Finding the text values of JSON without parsing it into a tree.
//!
//! A hand-written scanner walks the bytes once, keeps a small stack of where it is, and shows the string values
//! that a [`Select`] rule picks. It never recurses and never fails: text that is not JSON shows what can be
//! found, since a guard must not be blinded by a malformed body.

use std::{borrow::Cow, ops::ControlFlow};

use bytes::Bytes;
use memchr::memchr2;
use smallvec::SmallVec;

use super::edits::{EditError, Edits, TextId, apply};

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
                "content" | "text" | "input" | "prompt" | "system" | "instructions" | "output"
                | "output_text" | "refusal" | "reasoning" | "reasoning_content" | "thinking" | "alt" => {
                    Self::TextOr(Within::Llm)
                }
                "messages" | "choices" | "message" | "delta" | "parts" | "contents" | "candidates"
                | "system_instruction" | "systemInstruction" | "tool_calls" | "function" | "functionCall"
                | "functionResponse" | "function_call" | "summary" => Self::Llm,
                "response" => Self::All,
                _ => Self::Nothing,
            },
        }
    }

    /// The rule for the items of an array that stands here. Items inherit, so `["a", "b"]` where text could stand
    /// is text.
    const fn item(self) -> Self {
        self
    }

    const fn shows(self) -> bool {
        matches!(self, Self::All | Self::TextOr(_))
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
    /// Name of the nearest enclosing member, raw; empty at the root.
    pub key: &'a [u8],
}

struct Frame<'a> {
    object: bool,
    select: Select,
    key: &'a [u8],
    /// Position in an array; counts members of an object.
    index: usize,
}

/// Where a value stands: the frames from the root down, for making a path.
struct Walk<'a> {
    json: &'a [u8],
    at: usize,
    stack: SmallVec<[Frame<'a>; 16]>,
    shown: u32,
}

/// Shows every text value of `json` that `root` picks, until `visit` breaks.
pub fn strings<'a>(json: &'a [u8], root: Select, visit: &mut dyn FnMut(Found<'a>) -> ControlFlow<()>) {
    if root != Select::Nothing {
        walk(json, root, &mut |found, _| visit(found));
    }
}

fn walk<'a>(json: &'a [u8], root: Select, visit: &mut dyn FnMut(Found<'a>, &[Frame<'a>]) -> ControlFlow<()>) {
    let mut walk = Walk { json, at: 0, stack: SmallVec::new(), shown: 0 };
    let mut select = root;
    let mut key: &[u8] = b"";
    // Whether the next string in an object is a member's name.
    let mut expect_key = false;
    while let Some(&byte) = walk.json.get(walk.at) {
        match byte {
            b'"' => {
                let start = walk.at;
                let (end, escaped) = string_end(walk.json, start + 1);
                let inner = &walk.json[start + 1..end];
                walk.at = end + 1;
                if expect_key {
                    expect_key = false;
                    key = inner;
                    let parent = walk.stack.last().map_or(root, |frame| frame.select);
                    select = if escaped {
                        parent.member(&unescape(inner))
                    } else {
                        parent.member(std::str::from_utf8(inner).unwrap_or_default())
                    };
                    if let Some(frame) = walk.stack.last_mut() {
                        frame.key = key;
                    }
                } else if select.shows() {
                    let text = if escaped {
                        unescape(inner)
                    } else {
                        // Valid text, the usual case, is checked faster than it is searched for what is not.
                        std::str::from_utf8(inner)
                            .map_or_else(|_| String::from_utf8_lossy(inner), Cow::Borrowed)
                    };
                    let end = walk.at.min(walk.json.len());
                    let found = Found { number: walk.shown, start, end, text, key };
                    walk.shown += 1;
                    if visit(found, &walk.stack).is_break() {
                        return;
                    }
                }
                continue;
            }
            b'{' | b'[' => {
                let object = byte == b'{';
                walk.stack.push(Frame { object, select, key: if object { b"" } else { key }, index: 0 });
                expect_key = object;
                if !object {
                    select = select.item();
                }
            }
            b'}' | b']' => {
                walk.stack.pop();
                expect_key = false;
                key = walk.stack.last().map_or(b"", |frame| frame.key);
            }
            b',' => {
                if let Some(frame) = walk.stack.last_mut() {
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
        walk.at += 1;
    }
}

/// The index of the quotation mark that ends a string begun before `from`, or the end of the input, and whether
/// the string holds an escape.
fn string_end(json: &[u8], from: usize) -> (usize, bool) {
    let mut at = from;
    let mut escaped = false;
    while let Some(step) = memchr2(b'"', b'\\', &json[at..]) {
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
    strings(json, root, &mut |_| {
        count += 1;
        ControlFlow::Continue(())
    });
    count
}

/// Where text `number` stands: `user.name`, `content[0].text`. Empty when there is no such text.
pub fn path(json: &[u8], root: Select, number: u32) -> String {
    let mut path = String::new();
    walk(json, root, &mut |found, stack| {
        if found.number < number {
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
            path.push_str(&unescape(frame.key));
        }
        ControlFlow::Break(())
    });
    path
}

/// The same JSON with some text values replaced and every other byte kept.
///
/// # Errors
/// When an edit names text that is not there.
pub fn splice(json: &[u8], root: Select, edits: &Edits) -> Result<Bytes, EditError> {
    let mut out = Vec::with_capacity(json.len() + 16);
    let mut done = 0;
    let mut failed = None;
    let mut shown = 0;
    strings(json, root, &mut |found| {
        shown = found.number + 1;
        let edits = edits.of(TextId(found.number));
        if edits.is_empty() {
            return ControlFlow::Continue(());
        }
        match apply(&found.text, edits) {
            Ok(text) => {
                out.extend_from_slice(&json[done..found.start]);
                write_string(&text, &mut out);
                done = found.end;
                ControlFlow::Continue(())
            }
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        }
    });
    if let Some(error) = failed {
        return Err(error);
    }
    if let Some(last) = edits.last_text()
        && last.0 >= shown
    {
        return Err(EditError::NoSuchText(last.0));
    }
    out.extend_from_slice(&json[done..]);
    Ok(out.into())
}

fn write_string(text: &str, out: &mut Vec<u8>) {
    // Writing a string to memory cannot fail.
    let _ = serde_json::to_writer(out, text);
}

#[cfg(test)]
mod tests;
