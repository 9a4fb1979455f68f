//! Names of places in a tree: `plugins[2].config."odd key"`.
//!
//! People read and write dotted paths; JSON Schema speaks JSON Pointer. This is the one place that knows both.

/// One step into a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// A key of a map.
    Key(String),
    /// A position in a list.
    Index(usize),
}

/// Appends a key to a dotted path.
pub(super) fn with_key(path: &str, key: &str) -> String {
    let plain =
        !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '/' | '$'));
    let shown = if plain { key.to_owned() } else { format!("{key:?}") };
    if path.is_empty() { shown } else { format!("{path}.{shown}") }
}

/// Appends a list position to a dotted path.
pub(super) fn with_index(path: &str, index: usize) -> String {
    format!("{path}[{index}]")
}

/// Splits a dotted path, where a key may be quoted and a position stands in brackets or between dots.
pub(super) fn parse(path: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        rest = rest.strip_prefix('.').unwrap_or(rest);
        if let Some(after) = rest.strip_prefix('[') {
            let (inner, tail) = after.split_once(']').unwrap_or((after, ""));
            steps.push(inner.parse().map_or_else(|_| Step::Key(unquote(inner)), Step::Index));
            rest = tail;
        } else if rest.starts_with('"') {
            let end = closing_quote(rest);
            steps.push(Step::Key(unquote(&rest[..end])));
            rest = &rest[end..];
        } else {
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            steps.push(Step::Key(rest[..end].to_owned()));
            rest = &rest[end..];
        }
    }
    steps
}

/// Byte length of the quoted text at the start of `text`, quotes included.
fn closing_quote(text: &str) -> usize {
    let mut escaped = false;
    for (index, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return index + 1,
            _ => {}
        }
    }
    text.len()
}

fn unquote(text: &str) -> String {
    serde_json::from_str(text).unwrap_or_else(|_| text.trim_matches('"').to_owned())
}

/// Splits a JSON Pointer into its unescaped segments.
pub(super) fn pointer_segments(pointer: &str) -> impl Iterator<Item = String> + '_ {
    pointer.split('/').skip(1).map(|segment| segment.replace("~1", "/").replace("~0", "~"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_paths_come_back_as_the_steps_they_were_made_of() {
        let path = with_index(&with_key(&with_key("", "plugins"), "odd key.x"), 3);
        assert_eq!(path, "plugins.\"odd key.x\"[3]");
        assert_eq!(
            parse(&path),
            [Step::Key("plugins".into()), Step::Key("odd key.x".into()), Step::Index(3)]
        );
    }
}
