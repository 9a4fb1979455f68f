//! Credentials in what is recorded: found by the names they stand under and by the forms they are written in.
//!
//! A [`Mask`] knows what secrets look like; many look like nothing. So what stands under a secret's name is hidden
//! whatever it is: as a member of a tree, as `name: value` or `name=value` within a text, as a header or in a query. Of URLs
//! user information and every value of the query go, since signatures and codes have names of any kind. Too much is hidden
//! rather than too little: a recording is a file that is handed around.

use mortise_telemetry::redact::{HIDDEN, is_secret_name};
use serde_json::Value;

use super::Mask;

/// What may stand between a name, its sign and its value: JSON, also within a text of JSON.
const BETWEEN: [char; 6] = ['"', '\'', '\\', ' ', '\t', '>'];

/// Shortest text after `Bearer` or `Basic` that is taken for a credential, in bytes.
const SHORTEST: usize = 8;

/// Masks every text of a tree, names of members too.
pub(super) fn tree(key: &str, value: &mut Value, mask: &Mask) {
    walk(key, value, mask, true);
}

/// `documents`: whether texts may be JSON themselves.
fn walk(key: &str, value: &mut Value, mask: &Mask, documents: bool) {
    match value {
        Value::String(inner) if is_secret_name(key) => *inner = secret(key, inner, mask),
        Value::String(inner) => {
            let document = documents.then(|| document(inner, mask)).flatten();
            *inner = document.unwrap_or_else(|| text(key, inner, mask));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| walk(key, item, mask, documents)),
        Value::Object(members) => {
            for (name, mut value) in std::mem::take(members) {
                // Below a secret's name everything is one.
                let under = if is_secret_name(key) { key } else { &name };
                walk(under, &mut value, mask, documents);
                let name = text("", &name, mask);
                // Two that are masked alike are two nevertheless.
                let mut numbered = name.clone();
                let mut number = 1;
                while members.contains_key(&numbered) {
                    number += 1;
                    numbered = format!("{name} {number}");
                }
                members.insert(numbered, value);
            }
        }
        // `max_tokens` counts.
        Value::Number(_) if is_secret_name(key) && !key.to_ascii_lowercase().ends_with("tokens") => {
            *value = 0.into();
        }
        Value::Number(number) => {
            // A card number is one without quotes, too.
            if let Some(hidden) = mask(key, &number.to_string()) {
                *value = hidden.parse::<u64>().map_or(Value::String(hidden), Value::from);
            }
        }
        Value::Null | Value::Bool(_) => {}
    }
}

/// A text that is JSON, masked as that; `None` where it is none, or nothing is to be masked by its names.
fn document(inner: &str, mask: &Mask) -> Option<String> {
    if !inner.trim_start().starts_with(['{', '[']) {
        return None;
    }
    let before: Value = serde_json::from_str(inner).ok()?;
    let mut after = before.clone();
    walk("", &mut after, mask, false);
    (before != after).then(|| after.to_string())
}

/// A text without credentials, and masked.
pub(super) fn text(key: &str, text: &str, mask: &Mask) -> String {
    let text = urls(text);
    let text = labelled(&text, mask);
    let text = schemes(&text, mask);
    mask(key, &text).unwrap_or(text)
}

/// What stands for a secret: a made-up one where the mask knows its kind, so that plugins still find it.
fn secret(name: &str, value: &str, mask: &Mask) -> String {
    if value.is_empty() {
        return String::new();
    }
    mask(name, value).filter(|made_up| !made_up.contains(value)).unwrap_or_else(|| HIDDEN.to_owned())
}

/// Hides user information and queries of the URLs in a text.
fn urls(text: &str) -> String {
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        let end = after.find(|c: char| c.is_whitespace() || "\"'<>`\\".contains(c)).unwrap_or(after.len());
        out.push_str(before);
        out.push_str(&url(&after[..end]));
        rest = &after[end..];
    }
    out.push_str(rest);
    out
}

/// A URL from its authority on.
fn url(url: &str) -> String {
    let authority = url.find(['/', '?', '#']).map_or(url, |end| &url[..end]);
    // A password may hold what should have been escaped; then what follows the colon is no port.
    let no_port = |(_, port): (&str, &str)| !port.bytes().all(|byte| byte.is_ascii_digit());
    let user = authority
        .rfind('@')
        .or_else(|| url.rfind('@').filter(|_| authority.rsplit_once(':').is_some_and(no_port)));
    let (mut out, rest) = match user {
        Some(at) => (HIDDEN.to_owned(), &url[at..]),
        None => (String::new(), url),
    };
    let mut in_query = false;
    for part in rest.split_inclusive(['?', '#', '&', ';']) {
        let (part, sign) = match part.strip_suffix(['?', '#', '&', ';']) {
            Some(inner) => (inner, &part[inner.len()..]),
            None => (part, ""),
        };
        match part.split_once('=') {
            Some((name, value)) if in_query && !value.is_empty() => {
                out.push_str(name);
                out.push('=');
                out.push_str(HIDDEN);
            }
            None if in_query && part.len() >= SHORTEST => out.push_str(HIDDEN),
            _ => out.push_str(part),
        }
        out.push_str(sign);
        in_query |= matches!(sign, "?" | "#");
    }
    out
}

/// Hides what a text says under secrets' names: `password=x`, `"api_key": "x"`, `Cookie: a=b; c=d`.
fn labelled(text: &str, mask: &Mask) -> String {
    let (mut out, mut done, mut from) = (String::with_capacity(text.len()), 0, 0);
    while let Some(at) = text[from..].find([':', '=']).map(|at| from + at) {
        from = at + 1;
        let head = text[done..at].trim_end_matches(BETWEEN);
        let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        let name = &head[head.trim_end_matches(is_of_name).len()..];
        if !is_secret_name(name) {
            continue;
        }
        let value = text[from..].trim_start_matches(BETWEEN);
        let start = text.len() - value.len();
        let value = &value[..length(name, &text[from..start], value)];
        if value.is_empty() || value == HIDDEN || value.starts_with(['{', '[']) {
            continue;
        }
        out.push_str(&text[done..start]);
        out.push_str(&secret(name, value, mask));
        done = start + value.len();
        from = done;
    }
    out.push_str(&text[done..]);
    out
}

/// How far the value of a label goes, in bytes.
fn length(name: &str, between: &str, value: &str) -> usize {
    let quote = between.chars().next_back().filter(|c| matches!(c, '"' | '\''));
    let escaped = between.len() > 1 && between[..between.len() - 1].ends_with('\\');
    let name = name.to_ascii_lowercase();
    let end = match quote {
        // Within a text of JSON.
        Some(_) if escaped => value.find('\\'),
        Some(quote) => {
            let mut before = ' ';
            value.find(|c: char| {
                let ends = c == quote && before != '\\';
                before = if before == '\\' { ' ' } else { c };
                ends
            })
        }
        // Headers go to the end of their line.
        None if name.contains("cookie") || name.contains("authorization") => {
            value.find(['\n', '\r', '"', '\'', '\\'])
        }
        None => value.find(|c: char| c.is_whitespace() || ",;&\"'<>)}]\\".contains(c)),
    };
    end.unwrap_or(value.len())
}

/// Hides what follows `Bearer` and `Basic`.
fn schemes(text: &str, mask: &Mask) -> String {
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(at) = rest.find(' ') {
        let (word, after) = (&rest[..at], &rest[at + 1..]);
        let end =
            after.find(|c: char| !c.is_ascii_alphanumeric() && !"-._~+/=".contains(c)).unwrap_or(after.len());
        let scheme = |name: &str| {
            let start = word.len().checked_sub(name.len());
            start.and_then(|start| word.get(start..)).is_some_and(|end| end.eq_ignore_ascii_case(name))
        };
        let token = &after[..end];
        // After `basic` come words, too; those are small letters.
        let coded = || token.bytes().skip(1).any(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
        let hides = token.len() >= SHORTEST && (scheme("bearer") || (scheme("basic") && coded()));
        out.push_str(word);
        out.push(' ');
        rest = after;
        if hides {
            out.push_str(&secret("authorization", token, mask));
            rest = &after[end..];
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// Knows one secret by its looks.
    fn mask() -> Mask {
        Arc::new(|_, text| {
            text.contains("ann@x.org").then(|| text.replace("ann@x.org", "person@example.com"))
        })
    }

    fn masked(mut value: Value) -> Value {
        tree("", &mut value, &mask());
        value
    }

    #[test]
    fn what_stands_under_a_secrets_name_is_hidden_whatever_it_is() {
        let value = json!({
            "password": "hunter2", "api_key": ["k1", "k2"], "credentials": { "user": "u", "pin": 1234, "on": true },
            "max_tokens": 100, "note": "hunter2 is a film", "cookie": "",
        });
        let expected = json!({
            "password": "***", "api_key": ["***", "***"], "credentials": { "user": "***", "pin": 0, "on": true },
            "max_tokens": 100, "note": "hunter2 is a film", "cookie": "",
        });
        assert_eq!(masked(value), expected);
    }

    #[test]
    fn texts_lose_urls_users_and_queries_labels_and_schemes() {
        for (text, expected) in [
            ("see https://user:pw@host/x?token=T&q=1#f ok", "see https://***@host/x?token=***&q=***#f ok"),
            ("postgres://u:p/w#1@db:5432/x", "postgres://***@db:5432/x"),
            ("http://host:80/a@b", "http://host:80/a@b"),
            ("Authorization: Bearer abc.def\nnext", "Authorization: ***\nnext"),
            ("send bearer abcdefgh12 now", "send bearer *** now"),
            ("Basic dXNlcjpwYXNz", "Basic ***"),
            ("a basic understanding of it", "a basic understanding of it"),
            ("curl -H 'X-Api-Key: k9' x", "curl -H 'X-Api-Key: ***' x"),
            ("Cookie: a=b; c=d", "Cookie: ***"),
            ("host=h password=hunter2 user=u", "host=h password=*** user=u"),
            (r#"cut {"passwd": "a \" b", "n": "#, r#"cut {"passwd": "***", "n": "#),
            (r#"cut {\"client_secret\": \"x y\", "#, r#"cut {\"client_secret\": \"***\", "#),
            (r#"{"a": [{"token": "x"}], "b": 1}"#, r#"{"a":[{"token":"***"}],"b":1}"#),
            (r#"{ "a": 1 }"#, r#"{ "a": 1 }"#),
            ("how tall is it: 3 m?", "how tall is it: 3 m?"),
        ] {
            assert_eq!(masked(json!(text)), json!(expected), "{text}");
        }
    }

    #[test]
    fn members_whose_names_are_masked_alike_stay_two() {
        let value = json!({ "ann@x.org": 1, "person@example.com": 2 });
        assert_eq!(masked(value), json!({ "person@example.com": 1, "person@example.com 2": 2 }));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[a:=/?#@&\"'\\\\ é]{0,12}(token|://|Bearer |password)[a:=/?#@&\"'\\\\ é]{0,24}") {
            masked(json!(text));
        }
    }
}
