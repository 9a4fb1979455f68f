//! Whether a URI may stem from a URI template (RFC 6570), which is what routing needs to know.
//!
//! Not an expander, and no more exact than routing asks: of an expression only its operator counts, which tells
//! whether what it stands for may hold a slash.

use memchr::memchr;

/// Whether a template can give this URI; if so, how many bytes of it the template spells out.
#[must_use]
pub fn template_matches(template: &str, uri: &str) -> Option<usize> {
    // The positions in the URI that the template so far can have come to.
    let mut reached = vec![false; uri.len() + 1];
    reached[0] = true;
    let mut literal_bytes = 0;
    let mut rest = template;
    while !rest.is_empty() {
        if let Some((expression, after)) = rest.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
            let slashes = expression.starts_with(['+', '#', '/', '?', '&', ';', '.']);
            spread(&mut reached, uri.as_bytes(), slashes);
            rest = after;
        } else {
            let end = memchr(b'{', &rest.as_bytes()[1..]).map_or(rest.len(), |at| at + 1);
            let (literal, after) = rest.split_at(end);
            reached = advance(&reached, uri.as_bytes(), literal.as_bytes());
            literal_bytes += literal.len();
            rest = after;
        }
    }
    reached[uri.len()].then_some(literal_bytes)
}

/// From every position reached, on over as many bytes as an expression may stand for.
fn spread(reached: &mut [bool], uri: &[u8], slashes: bool) {
    for at in 0..uri.len() {
        if reached[at] && (slashes || uri[at] != b'/') {
            reached[at + 1] = true;
        }
    }
}

/// From every position reached, on over the literal where it stands there.
fn advance(reached: &[bool], uri: &[u8], literal: &[u8]) -> Vec<bool> {
    let mut next = vec![false; reached.len()];
    for (at, _) in reached.iter().enumerate().filter(|(_, reached)| **reached) {
        if uri[at..].starts_with(literal) {
            next[at + literal.len()] = true;
        }
    }
    next
}
