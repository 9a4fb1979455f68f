//! White space and control characters.

use super::config::Config;

/// The text without control characters other than line breaks and tabs; `None` where there are none.
pub(super) fn without_controls(text: &str) -> Option<String> {
    let dropped = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
    text.contains(dropped).then(|| text.chars().filter(|c| !dropped(*c)).collect())
}

/// The text with its white space tidied; `None` where it is tidy.
pub(super) fn tidy(text: &str, config: &Config) -> Option<String> {
    let trimmed = if config.trim { text.trim() } else { text };
    let breaks = config.normalize_newlines && trimmed.contains('\r');
    let runs = config.collapse_internal && has_runs(trimmed);
    let blank = config.collapse_blank_lines && has_blank_lines(trimmed);
    if !breaks && !runs && !blank {
        return (trimmed.len() != text.len()).then(|| trimmed.to_owned());
    }
    let mut out = String::with_capacity(trimmed.len());
    let mut chars = trimmed.chars().peekable();
    let mut lines = 0;
    while let Some(c) = chars.next() {
        let c = if c == '\r' && config.normalize_newlines {
            chars.next_if_eq(&'\n');
            '\n'
        } else {
            c
        };
        if c == '\n' && config.collapse_blank_lines {
            // Spaces that end the line before are part of the empty line they would make.
            if lines > 0 {
                out.truncate(out.trim_end_matches(is_blank).len());
            }
            lines += 1;
            if lines <= 2 {
                out.push('\n');
            }
            continue;
        }
        if is_blank(c) && config.collapse_internal {
            while chars.next_if(|c| is_blank(*c)).is_some() {}
            out.push(' ');
        } else {
            out.push(c);
        }
        if !is_blank(c) {
            lines = 0;
        }
    }
    (out != text).then_some(out)
}

fn is_blank(c: char) -> bool {
    c.is_whitespace() && !matches!(c, '\n' | '\r')
}

/// Whether two blanks stand side by side, or one that is no plain space.
fn has_runs(text: &str) -> bool {
    let mut before = false;
    text.chars().any(|c| {
        let blank = is_blank(c);
        let run = blank && (before || c != ' ');
        before = blank;
        run
    })
}

/// Whether more than one empty line follows another.
fn has_blank_lines(text: &str) -> bool {
    let mut lines = 0;
    text.chars().any(|c| {
        match c {
            '\n' | '\r' => lines += 1,
            c if is_blank(c) => {}
            _ => lines = 0,
        }
        lines > 2
    })
}
