//! What must not be shown, and how a line is shown without it.
//!
//! Errors print the reader's own line, and that line may hold a token. Two nets: keys whose words tell
//! (`api_key`, `Authorization`), read from the text itself so that they hold for files that do not even parse, and
//! the literal values found under such keys, which are blotted out wherever they appear. Masking too much costs a
//! little readability; masking too little costs a secret.

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

/// A line of a source with its secrets blotted out and what a terminal might obey made harmless.
pub(super) fn safe_line(source: &Source, line: u32) -> String {
    let mut shown = source.line(line).to_owned();
    if under_secret_parent(source, line) {
        let indent = shown.len() - shown.trim_start().len();
        shown.truncate(indent);
        shown.push_str(MASK);
    } else {
        shown = mask_after_telling_key(&shown);
        for secret in source.known_secrets() {
            if shown.contains(secret.as_str()) {
                shown = shown.replace(secret.as_str(), MASK);
            }
        }
    }
    shown.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Masks from the first telling key's separator to the end of the line, unless what follows is a mere reference
/// or opens a structure.
fn mask_after_telling_key(line: &str) -> String {
    for (index, separator) in line.char_indices().filter(|(_, c)| matches!(c, ':' | '=')) {
        let before = line[..index].trim_end().trim_end_matches(['"', '\'']);
        let start = before
            .char_indices()
            .rev()
            .find(|(_, c)| !(c.is_alphanumeric() || matches!(c, '_' | '-' | '.')))
            .map_or(0, |(at, c)| at + c.len_utf8());
        let after = line[index + separator.len_utf8()..].trim();
        if is_secret_key(&before[start..]) && !is_harmless(after) {
            return format!("{}{} {MASK}", &line[..index], separator);
        }
    }
    line.to_owned()
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
        let key = text.trim_start().trim_start_matches("- ").split(':').next().unwrap_or_default();
        if is_secret_key(key.trim().trim_matches(['"', '\''])) {
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
        assert_eq!(safe_line(&source, 1), "a: { token: ***");
        assert_eq!(safe_line(&source, 3), "  ***");
        assert_eq!(safe_line(&source, 4), "plain: x");
    }
}
