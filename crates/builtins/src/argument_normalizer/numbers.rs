//! Numbers without group separators and with a decimal point.
//!
//! Only what stands by itself is a number: between spaces, brackets, quotation marks, currency signs. What does not
//! follow the rules of grouping stays as it is: lists (`1,2,3`), versions, addresses.

use super::config::DecimalDetection;

/// The text with its numbers written plainly; `None` where nothing changes.
pub(super) fn plain(text: &str, detection: DecimalDetection) -> Option<String> {
    if !text.contains([',', '.']) {
        return None;
    }
    let mut out = String::new();
    let (mut done, mut at) = (0, 0);
    let bytes = text.as_bytes();
    while let Some(start) = bytes[at..].iter().position(u8::is_ascii_digit).map(|n| at + n) {
        let mut end = bytes[start..].iter().position(|b| !is_part(*b)).map_or(bytes.len(), |n| start + n);
        at = end;
        while matches!(bytes[end - 1], b',' | b'.') {
            end -= 1;
        }
        if !(stands_alone(&text[..start], &text[end..], end < at)) {
            continue;
        }
        if let Some(number) = rewrite(&text[start..end], detection) {
            out.push_str(&text[done..start]);
            out.push_str(&number);
            done = end;
        }
    }
    (done > 0).then(|| {
        out.push_str(&text[done..]);
        out
    })
}

const fn is_part(b: u8) -> bool {
    b.is_ascii_digit() || matches!(b, b',' | b'.')
}

fn stands_alone(before: &str, after: &str, punctuated: bool) -> bool {
    // A sign counts only where nothing but the number follows it.
    let before = before.strip_suffix(['-', '+']).unwrap_or(before);
    let opens = |c: char| {
        c.is_whitespace() || matches!(c, '(' | '[' | '{' | '"' | '\'' | '=' | ':' | '$' | '€' | '£' | '¥')
    };
    let closes = |c: char| {
        c.is_whitespace()
            || matches!(c, ')' | ']' | '}' | '"' | '\'' | '%' | ';' | ':' | '!' | '?' | '$' | '€' | '£' | '¥')
    };
    let follows = if punctuated { after.trim_start_matches([',', '.']) } else { after };
    before.chars().next_back().is_none_or(opens) && follows.chars().next().is_none_or(closes)
}

fn rewrite(number: &str, detection: DecimalDetection) -> Option<String> {
    let commas = number.matches(',').count();
    let points = number.matches('.').count();
    let (group, decimal) = match detection {
        DecimalDetection::Comma => ('.', ','),
        DecimalDetection::Dot => (',', '.'),
        DecimalDetection::Auto => match (commas, points) {
            // Points alone are decimal already, or part of a version or an address.
            (0, _) => return None,
            (1, 0) if !one_group(number) => ('.', ','),
            (_, 0) => (',', '.'),
            _ if number.rfind(',') > number.rfind('.') => ('.', ','),
            _ => (',', '.'),
        },
    };
    let (whole, fraction) = match number.split_once(decimal) {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (number, None),
    };
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    if !grouped(whole, group) || !fraction.is_none_or(digits) {
        return None;
    }
    let whole = whole.replace(group, "");
    let plain = fraction.map_or_else(|| whole.clone(), |fraction| format!("{whole}.{fraction}"));
    (plain != number).then_some(plain)
}

/// Whether the single comma stands where a group begins: `1,234`, but not `1,5`, `1234,567` or `0,125`.
fn one_group(number: &str) -> bool {
    number
        .split_once(',')
        .is_some_and(|(whole, rest)| rest.len() == 3 && whole.len() <= 3 && !whole.starts_with('0'))
}

/// Whether digits stand in groups of three behind a first group of one to three, or in no groups at all.
fn grouped(whole: &str, separator: char) -> bool {
    let mut groups = whole.split(separator);
    let first = groups.next().unwrap_or_default();
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    let several = whole.contains(separator);
    !first.is_empty()
        && digits(first)
        && (!several || first.len() <= 3)
        && groups.all(|g| g.len() == 3 && digits(g))
}
