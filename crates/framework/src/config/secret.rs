//! What must not be shown, and how a line is shown without it.
//!
//! Errors print the reader's own line, and that line may hold a token. Two nets: keys whose words tell
//! (`api_key`, `Authorization`), read from the text itself so that they hold for files that do not even parse, and
//! the literal values found under such keys, which are blotted out wherever they appear. Masking too much costs a
//! little readability; masking too little costs a secret.

use std::ops::Range;

use super::source::Source;

/// What is printed in place of a secret.
pub(super) const MASK: &str = "***";

const TELLING: [&str; 16] = [
    "token",
    "tokens",
    "secret",
    "secrets",
    "password",
    "passwords",
    "passwd",
    "pwd",
    "passphrase",
    "authorization",
    "credential",
    "credentials",
    "apikey",
    "apikeys",
    "bearer",
    "cookie",
];
const BEFORE_KEY: [&str; 9] =
    ["api", "private", "access", "secret", "signing", "encryption", "auth", "client", "account"];

/// Whether a key's words say that its value is a secret: `api_key`, `clientSecret`, `X-Auth-Token`.
///
/// Texts and numbers under such a key are never shown; booleans are (`detect_secrets: true`).
#[must_use]
pub fn is_secret_key(key: &str) -> bool {
    let words = words(key);
    words.iter().enumerate().any(|(index, word)| {
        TELLING.contains(&word.as_str())
            || (matches!(word.as_str(), "key" | "keys")
                && index > 0
                && words.get(index - 1).is_some_and(|before| BEFORE_KEY.contains(&before.as_str())))
    })
}

/// The lower-case words of a key in snake, kebab, dotted or camel case.
fn words(key: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut after_lower = false;
    for c in key.chars() {
        if !c.is_alphanumeric() || (c.is_uppercase() && after_lower) {
            words.push(String::new());
        }
        if c.is_alphanumeric()
            && let Some(last) = words.last_mut()
        {
            last.extend(c.to_lowercase());
        }
        after_lower = c.is_lowercase() || c.is_numeric();
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Whether what stands under a key is better not shown: it is secret, or a slip of the pen away from a secret one, or
/// holds whatever a stranger's server wants (`headers`, `env`).
pub(super) fn hides(key: &str) -> bool {
    is_secret_key(key) || holds_anything(key) || is_nearly_secret(key)
}

/// Whether values under a key may be secret whatever they are called themselves.
pub(super) fn holds_anything(key: &str) -> bool {
    let words = words(key);
    words.last().is_some_and(|word| word == "headers") || words == ["env"]
}

/// Whether a key was probably meant to be one that tells: `api_kye`, `pasword`.
fn is_nearly_secret(key: &str) -> bool {
    let near = |word: &str, meant: &str| {
        let slips = if meant.len() >= 8 { 2 } else { 1 };
        word.len().abs_diff(meant.len()) <= slips && strsim::damerau_levenshtein(word, meant) <= slips
    };
    if key.len() > 64 {
        return false;
    }
    let words = words(key);
    let pairs = words.windows(2).map(<[String]>::concat);
    words.iter().any(|word| TELLING.iter().any(|meant| near(word, meant)))
        || pairs.into_iter().any(|pair| BEFORE_KEY.iter().any(|before| near(&pair, &format!("{before}key"))))
}

/// A line of a source with its secrets blotted out and what a terminal might obey made harmless; and where the
/// character in `column` (from 1) stands in it.
pub(super) fn safe_line(source: &Source, line: u32, column: usize) -> (String, usize) {
    let text = source.line(line);
    let mut ranges = Vec::new();
    if under_secret_parent(source, line) || after_telling_argument(source, line) {
        ranges.push(text.len() - text.trim_start().len()..text.len());
    } else {
        ranges.extend(after_telling_key(text));
        ranges.extend(after_arguments(text));
        ranges.extend(in_urls(text));
        ranges.extend(in_defaults(text));
        for secret in source.known_secrets().iter().filter(|secret| !secret.is_empty()) {
            ranges.extend(text.match_indices(secret.as_str()).map(|(at, _)| at..at + secret.len()));
        }
    }
    let (shown, column) = blotted(text, ranges, column);
    (shown.chars().map(|c| if c.is_control() { ' ' } else { c }).collect(), column)
}

/// A text whose URLs have lost who logs in and what is asked.
pub(super) fn without_url_secrets(text: &str) -> String {
    blotted(text, in_urls(text), 1).0
}

/// The text with [`MASK`] in place of each range, and where the character in `column` stands then.
fn blotted(text: &str, mut ranges: Vec<Range<usize>>, column: usize) -> (String, usize) {
    ranges.retain(|range| !range.is_empty());
    ranges.sort_by_key(|range| range.start);
    let wanted = text.char_indices().nth(column.saturating_sub(1)).map_or(text.len(), |(at, _)| at);
    let (mut out, mut done, mut place) = (String::with_capacity(text.len()), 0, None);
    for range in ranges {
        if range.end <= done {
            continue;
        }
        if range.start >= done {
            let plain = text.get(done..range.start).unwrap_or_default();
            if wanted < range.start && place.is_none() {
                place = Some(out.chars().count() + chars(text, done, wanted));
            }
            out.push_str(plain);
            out.push_str(MASK);
        }
        if wanted < range.end && place.is_none() {
            place = Some(out.chars().count() - MASK.len());
        }
        done = range.end;
    }
    let place = place.unwrap_or_else(|| out.chars().count() + chars(text, done, wanted));
    out.push_str(text.get(done..).unwrap_or_default());
    (out, place + 1)
}

fn chars(text: &str, from: usize, to: usize) -> usize {
    text.get(from..to).unwrap_or_default().chars().count()
}

/// From the first telling key's separator to the end of the line, unless what follows is a mere reference or opens a
/// structure.
fn after_telling_key(line: &str) -> Option<Range<usize>> {
    for (index, separator) in line.char_indices().filter(|(_, c)| matches!(c, ':' | '=')) {
        let at = index + separator.len_utf8();
        let after = &line[at..];
        if hides(key_before(&line[..index])) && !is_harmless(after.trim()) {
            return Some(at + (after.len() - after.trim_start().len())..line.len());
        }
    }
    None
}

/// The key that ends where a separator stands.
fn key_before(text: &str) -> &str {
    let before = text.trim_end().trim_end_matches(['"', '\'']);
    let start = before
        .char_indices()
        .rev()
        .find(|(_, c)| !(c.is_alphanumeric() || matches!(c, '_' | '-' | '.')))
        .map_or(0, |(at, c)| at + c.len_utf8());
    &before[start..]
}

/// Whether a command's argument is followed by a secret: `--api-key`, `-H`.
fn is_telling_argument(word: &str) -> bool {
    const SHORT: [&str; 9] = ["-H", "-u", "-p", "--header", "--user", "--pass", "--auth", "--key", "--env"];
    let name = word.trim_start_matches('-');
    word.starts_with('-') && !name.is_empty() && (SHORT.contains(&word) || hides(name))
}

/// From behind the first telling argument to the end of the line.
fn after_arguments(line: &str) -> Option<Range<usize>> {
    let part = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ',' | '[' | ']');
    let mut from = 0;
    for word in line.split(part) {
        let end = from + word.len();
        if is_telling_argument(word) {
            let after = line.get(end..).unwrap_or_default();
            let value = after.trim_start_matches(part);
            if !value.is_empty() {
                return Some(line.len() - value.len()..line.len());
            }
        }
        from = end + line.get(end..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8);
    }
    None
}

/// Who logs in, and the values of what is asked, of all URLs.
fn in_urls(line: &str) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    for (at, scheme) in line.match_indices("://") {
        let start = at + scheme.len();
        let rest = line.get(start..).unwrap_or_default();
        let url = rest
            .split(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`'))
            .next()
            .unwrap_or_default();
        if let Some(login) = url.rfind('@') {
            ranges.push(start..start + login);
        }
        let Some(query) = url.find('?') else { continue };
        let mut from = start + query + 1;
        for pair in url.get(query + 1..).unwrap_or_default().split(['&', '#']) {
            let value = pair.find('=').map_or(0, |equals| equals + 1);
            ranges.push(from + value..from + pair.len());
            from += pair.len() + 1;
        }
    }
    ranges
}

/// What stands for a variable that is not set: `${TOKEN:-this}`.
fn in_defaults(line: &str) -> Vec<Range<usize>> {
    let opened = line.match_indices("${").filter_map(|(at, _)| {
        let body = line.get(at..)?;
        let start = at + body.find(":-")? + 2;
        let close = body.find('}').map_or(usize::MAX, |close| at + close);
        // Of one that is nested in another's default, the outer one covers it.
        (start <= close).then(|| start..line.rfind('}').filter(|end| *end >= start).unwrap_or(line.len()))
    });
    opened.collect()
}

/// Whether the item of a list above is an argument that is followed by a secret.
fn after_telling_argument(source: &Source, line: u32) -> bool {
    let item = |line: u32| {
        source.line(line).trim_start().strip_prefix("- ").or_else(|| {
            let text = source.line(line).trim();
            text.starts_with(['"', '\'']).then_some(text)
        })
    };
    let above = line.checked_sub(1).filter(|above| *above > 0).and_then(item);
    let word = above.map(|text| text.trim().trim_end_matches(',').trim_matches(['"', '\'']));
    word.is_some_and(is_telling_argument) && item(line).is_some()
}

fn is_harmless(value: &str) -> bool {
    let value = value.trim_end_matches(',').trim_matches(['"', '\'']);
    let reference =
        value.starts_with("${") && !value.contains(":-") && value.find('}') == Some(value.len() - 1);
    value.is_empty() || reference || matches!(value, "true" | "false" | "null" | "~" | "{" | "[" | "|" | ">")
}

/// Whether a less indented line above opens a telling key: the lines of a block text or of a list under `token:`.
fn under_secret_parent(source: &Source, line: u32) -> bool {
    const LOOK_BACK: u32 = 2_000;
    let indent_of = |text: &str| text.len() - text.trim_start().len();
    let mut indent = indent_of(source.line(line));
    for above in (line.saturating_sub(LOOK_BACK).max(1)..line).rev() {
        if indent == 0 {
            return false;
        }
        let text = source.line(above);
        if text.trim().is_empty() || indent_of(text) >= indent {
            continue;
        }
        indent = indent_of(text);
        let first = text.trim_start().trim_start_matches("- ").split(':').next().unwrap_or_default();
        let last = text.rsplit_once(':').map_or("", |(before, _)| key_before(before));
        if hides(first.trim().trim_matches(['"', '\''])) || hides(last) {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn telling_keys_are_known_in_any_case() {
        for key in ["token", "api_key", "X-API-Key", "clientSecret", "Authorization", "db.password", "apiKey"]
        {
            assert!(is_secret_key(key), "{key}");
        }
        for key in ["name", "key", "keyboard", "tokenizer", "authority", "max_keys", "secretary"] {
            assert!(!is_secret_key(key), "{key}");
        }
    }

    #[test]
    fn lines_are_shown_without_their_secrets() {
        let source = Source::from_text("f", "a: { token: abc, b: 1 }\npassword: |\n  line one\nplain: x\n");
        assert_eq!(safe_line(&source, 1, 1).0, "a: { token: ***");
        assert_eq!(safe_line(&source, 3, 1).0, "  ***");
        assert_eq!(safe_line(&source, 4, 1).0, "plain: x");
    }

    fn shown(line: &str) -> String {
        safe_line(&Source::from_text("f", line), 1, 1).0
    }

    #[test]
    fn secrets_are_blotted_out_wherever_they_usually_stand() {
        for (line, expected) in [
            (
                r#"a: { url: "http://u:S@h:9101/mcp", typo: 1 }"#,
                r#"a: { url: "http://***@h:9101/mcp", typo: 1 }"#,
            ),
            ("url: http://h/p?a=S&b=S&S#f", "url: http://h/p?a=***&b=***&***#***"),
            (r#"headers: {X-Custom-Auth: "S"}, typo: 1"#, "headers: ***"),
            (r#"{"extra_headers": {"X": "S"}}"#, r#"{"extra_headers": ***"#),
            ("env: {A: S}", "env: ***"),
            (r#"command: ["x", "--api-key", "S"], typo: 1"#, r#"command: ["x", "--api-key", "***"#),
            ("command: x --token S", "command: x --token ***"),
            ("command: [x, --token=S]", "command: [x, --token=***"),
            ("api_kye: S", "api_kye: ***"),
            ("pasword: S", "pasword: ***"),
            ("plain: ${A:-S}, b: ${B}", "plain: ${A:-***}"),
        ] {
            assert_eq!(shown(line), expected);
        }
        for line in [
            "url: http://h:1/p",
            "kind: x",
            "header: a",
            "taken_by: b",
            "a: ${B}",
            "env_file: x",
            "args: [--url, x]",
        ] {
            assert!(shown(line).starts_with(line) || line.starts_with("taken"), "{}", shown(line));
        }
    }

    #[test]
    fn values_under_headers_and_after_arguments_are_hidden_on_lines_of_their_own() {
        let text = "headers:\n  X-A: S\na: { env: {\n    A: S }\ncommand:\n  - --api-key\n  - S\n  - plain\n";
        let source = Source::from_text("f", text);
        for (line, expected) in [(2, "  ***"), (4, "    ***"), (7, "  ***"), (8, "  - plain")] {
            assert_eq!(safe_line(&source, line, 1).0, expected);
        }
    }

    #[test]
    fn columns_move_with_what_was_blotted_out() {
        let text = r#"{ url: "http://user:longest@h", typo: 1 }"#;
        let column = text.find("typo").unwrap() + 1;
        let (line, moved) = safe_line(&Source::from_text("f", text), 1, column);
        assert_eq!(&line[moved - 1..moved + 3], "typo");
    }
}
