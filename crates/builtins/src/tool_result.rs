//! What a tool's result says of its own success, read without building it.
//!
//! Results are large, and of most of them nobody wants to know more than whether they are an error. So the text is
//! looked at for the word first, and where it has to be read, everything else is skipped.

use memchr::memmem;
use mortise_plugin_api::Json;
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

/// Longest text that is read as an error message in JSON, in bytes.
const MAX_TEXT: usize = 65_536;

#[derive(Deserialize, Default)]
#[serde(default)]
struct Members<'a> {
    #[serde(rename = "isError")]
    is_error: Option<bool>,
    /// As plugins of other languages spell it.
    #[serde(rename = "is_error")]
    snake_error: Option<bool>,
    #[serde(borrow, rename = "structuredContent")]
    structured: Option<&'a RawValue>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Status {
    status_code: u16,
}

#[derive(Deserialize)]
struct Text {
    text: Option<String>,
}

fn members(result: &Json) -> Members<'_> {
    // What is no object, or none that can be read, says nothing of itself. An array would be read by position.
    if !result.text().trim_ascii_start().starts_with(b"{") {
        return Members::default();
    }
    serde_json::from_slice(result.text()).unwrap_or_default()
}

/// Whether the result says that it is an error.
pub(crate) fn is_error(result: &Json) -> bool {
    memmem::find(result.text(), b"rror").is_some() && says_error(&members(result))
}

fn says_error(members: &Members<'_>) -> bool {
    members.is_error.or(members.snake_error).unwrap_or(false)
}

/// How a result stands to a list of HTTP statuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Whether it says that it is an error.
    pub(crate) is_error: bool,
    /// `structuredContent.status_code`, or the same of a text where texts are read.
    pub(crate) status: Option<u16>,
}

/// What the result says of itself; `texts` to look for a status in its texts too.
pub(crate) fn standing(result: &Json, texts: bool) -> Standing {
    let text = result.text();
    if memmem::find(text, b"rror").is_none() && memmem::find(text, b"status_code").is_none() {
        return Standing { is_error: false, status: None };
    }
    let members = members(result);
    let status = members.structured.and_then(|raw| status(raw.get()));
    let status = status.or_else(|| if texts { status_of_texts(members.content?) } else { None });
    Standing { is_error: says_error(&members), status }
}

fn status(json: &str) -> Option<u16> {
    if !json.trim_start().starts_with('{') {
        return None;
    }
    serde_json::from_str::<Status>(json).ok().map(|status| status.status_code)
}

fn status_of_texts(content: &RawValue) -> Option<u16> {
    if content.get().trim_start().starts_with('"') {
        let text: String = serde_json::from_str(content.get()).ok()?;
        return if text.len() <= MAX_TEXT { status(&text) } else { None };
    }
    let items: Vec<Value> = serde_json::from_str(content.get()).ok()?;
    let texts = items.into_iter().filter_map(|item| serde_json::from_value::<Text>(item).ok()?.text);
    texts.filter(|text| text.len() <= MAX_TEXT).find_map(|text| status(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str, texts: bool) -> (bool, Option<u16>) {
        let standing = standing(&Json::assume_valid(text.to_owned()), texts);
        assert_eq!(standing.is_error, is_error(&Json::assume_valid(text.to_owned())));
        (standing.is_error, standing.status)
    }

    #[test]
    fn errors_are_told_in_both_spellings_and_at_the_top_only() {
        assert_eq!(of(r#"{"content":[],"isError":true}"#, false), (true, None));
        assert_eq!(of(r#"{"content":[],"is_error":true}"#, false), (true, None));
        assert_eq!(of(r#"{"isError":false,"content":[{"isError":true}]}"#, false), (false, None));
        assert_eq!(of(r#"{"content":[{"text":"\"isError\": true"}]}"#, false), (false, None));
    }

    #[test]
    fn statuses_are_found_where_they_are_looked_for() {
        let structured = r#"{"structuredContent":{"status_code":503}}"#;
        assert_eq!(of(structured, false), (false, Some(503)));
        let text = r#"{"content":[{"type":"image"},{"type":"text","text":"{\"status_code\": 429}"}]}"#;
        assert_eq!((of(text, false).1, of(text, true).1), (None, Some(429)));
        assert_eq!(of(r#"{"content":"{\"status_code\": 500}"}"#, true).1, Some(500));
    }

    #[test]
    fn hostile_results_say_nothing() {
        for text in
            ["", "null", "[]", "\"isError\"", r#"{"isError":"yes"}"#, r#"{"isError":true,"isError":true}"#]
        {
            assert!(!of(text, true).0, "{text}");
        }
        for status in ["-1", "99999999999", "\"503\"", "[503]", "null", "5.5"] {
            assert_eq!(of(&format!(r#"{{"structuredContent":{{"status_code":{status}}}}}"#), true).1, None);
        }
        for text in [r#"{"structuredContent":[1],"isError":true}"#, r#"{"content":7,"isError":true}"#] {
            assert_eq!(of(text, true), (true, None), "{text}");
        }
        let deep = format!(r#"{{"a":{}1{},"isError":true}}"#, "[".repeat(100_000), "]".repeat(100_000));
        of(&deep, true);
    }
}
