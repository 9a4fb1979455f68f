//! Headers as Go programs know them: canonical names, one value each.
//!
//! Plugins look names up in that spelling and would not find those that HTTP/2 and Mortise write in lower case.

use std::collections::HashMap;

use mortise_plugin_api::Headers;

/// `content-type` → `Content-Type`. A name with a character that no header may have stays as it is.
pub(crate) fn canonical(name: &str) -> String {
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if !name.bytes().all(valid) {
        return name.to_owned();
    }
    let mut first = true;
    let letters = name.chars().map(|letter| {
        let written = if first { letter.to_ascii_uppercase() } else { letter.to_ascii_lowercase() };
        first = letter == '-';
        written
    });
    letters.collect()
}

/// Headers on their way to a plugin. `Host` is no header to them.
pub(crate) fn to_plugin(headers: &Headers) -> HashMap<String, String> {
    let shown = headers.iter().filter(|(name, _)| *name != "host");
    shown.map(|(name, value)| (canonical(name), value.to_owned())).collect()
}

/// Headers as a plugin answered them, in an order that does not change from call to call.
pub(crate) fn from_plugin(headers: &HashMap<String, String>) -> Headers {
    let mut sorted: Vec<(&str, &str)> =
        headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    sorted.sort_unstable();
    sorted.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_spelt_as_go_spells_them() {
        for (name, spelt) in [
            ("content-type", "Content-Type"),
            ("X-API-KEY", "X-Api-Key"),
            ("etag", "Etag"),
            ("-x--y-", "-X--Y-"),
            ("with space", "with space"),
            ("größe", "größe"),
            ("", ""),
        ] {
            assert_eq!(canonical(name), spelt);
        }
    }

    #[test]
    fn host_is_not_shown_and_names_come_back_in_lower_case() {
        let headers: Headers = [("host", "a"), ("x-trace", "1")].into_iter().collect();
        let shown = to_plugin(&headers);
        assert_eq!(shown.len(), 1);
        assert_eq!(from_plugin(&shown).get("x-trace"), Some("1"));
    }
}
