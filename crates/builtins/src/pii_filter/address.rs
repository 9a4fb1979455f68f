//! Electronic addresses: e-mail from its `@` outwards, IPv6 from one of its colons.

use super::numbers::{byte, prev};

/// Longest local part of an e-mail address, in bytes.
const LOCAL_MAX: usize = 64;
/// Longest domain, in bytes.
const DOMAIN_MAX: usize = 255;
/// Longest e-mail address that is found, in bytes.
pub(super) const EMAIL_MAX: usize = LOCAL_MAX + 1 + DOMAIN_MAX;
/// Longest text of an IPv6 address, in bytes.
pub(super) const IPV6_MAX: usize = 45;

/// The address around the `@` at `at`: start and end.
pub(super) fn email(bytes: &[u8], at: usize) -> Option<(usize, usize)> {
    let end = domain(bytes, at + 1)?;
    let start = local(bytes, at)?;
    Some((start, end))
}

fn local(bytes: &[u8], at: usize) -> Option<usize> {
    let floor = at.saturating_sub(LOCAL_MAX);
    let mut start = at;
    while start > floor {
        let b = bytes[start - 1];
        if b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'%' | b'+' | b'-' | b'\'') {
            start -= 1;
        } else if start >= floor + 2 && is_latin(bytes[start - 2], b) {
            start -= 2;
        } else {
            break;
        }
    }
    while start < at && matches!(bytes[start], b'.' | b'\'' | b'-') {
        start += 1;
    }
    // In JSON text the letter after a backslash belongs to the escape, not to the address.
    if start < at
        && start > 0
        && bytes[start - 1] == b'\\'
        && matches!(bytes[start], b'n' | b'r' | b't' | b'b' | b'f')
    {
        start += 1;
    }
    (start < at).then_some(start)
}

/// End of the domain that begins at `from`: labels with points between them, the last one of two letters at least.
fn domain(bytes: &[u8], from: usize) -> Option<usize> {
    let limit = bytes.len().min(from + DOMAIN_MAX);
    let (mut at, mut label, mut labels, mut end) = (from, from, 0, None);
    loop {
        while at < limit {
            if bytes[at].is_ascii_alphanumeric() || bytes[at] == b'-' {
                at += 1;
            } else if at + 1 < limit && is_latin(bytes[at], bytes[at + 1]) {
                at += 2;
            } else {
                break;
            }
        }
        let mut stop = at;
        while stop > label && bytes[stop - 1] == b'-' {
            stop -= 1;
        }
        if stop == label || bytes[label] == b'-' {
            return end;
        }
        labels += 1;
        if labels >= 2 && is_top_level(&bytes[label..stop]) {
            end = Some(stop);
        }
        if stop != at || byte(bytes, at) != b'.' || at >= limit {
            return end;
        }
        at += 1;
        label = at;
    }
}

fn is_top_level(label: &[u8]) -> bool {
    label.len() >= 2
        && (label.iter().all(|b| !b.is_ascii_digit() && *b != b'-') || label.starts_with(b"xn--"))
}

/// Whether two bytes are one letter of Latin-1 or Latin Extended-A in UTF-8, as in `jürgen@müller.example`.
const fn is_latin(first: u8, second: u8) -> bool {
    matches!(first, 0xc3..=0xc5) && matches!(second, 0x80..=0xbf)
}

/// The IPv6 address that the colon at `colon` belongs to: start and end. `until` is where the last look ended.
pub(super) fn ipv6(bytes: &[u8], colon: usize, until: &mut usize) -> Option<(usize, usize)> {
    let inside = |b: u8| b.is_ascii_hexdigit() || b == b':' || b == b'.';
    // Most colons end a key or a word: those are dismissed by their neighbours.
    if colon < *until || !(byte(bytes, colon + 1) == b':' || prev(bytes, colon).is_ascii_hexdigit()) {
        return None;
    }
    let floor = colon.saturating_sub(4);
    let mut start = colon;
    while start > floor && bytes[start - 1].is_ascii_hexdigit() {
        start -= 1;
    }
    let around = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b':' || b == b'.';
    // What the other colons of such a text have before them is no better, so they need not be told of it.
    if around(prev(bytes, start)) {
        return None;
    }
    let mut end = colon;
    while end < bytes.len() && inside(bytes[end]) {
        end += 1;
    }
    *until = end;
    while end > start && (bytes[end - 1] == b'.' || (bytes[end - 1] == b':' && prev(bytes, end - 1) != b':'))
    {
        end -= 1;
    }
    if byte(bytes, end).is_ascii_alphanumeric() || end - start > IPV6_MAX {
        return None;
    }
    // Times of day are the most common text with colons between digits; they have neither `::` nor enough groups.
    let shape = &bytes[start..end];
    if !shape.windows(2).any(|pair| pair == b"::") && shape.iter().filter(|b| **b == b':').count() < 6 {
        return None;
    }
    let text = std::str::from_utf8(shape).ok()?;
    text.parse::<std::net::Ipv6Addr>().ok()?;
    looks_meant(text).then_some((start, end))
}

/// Whether a text that parses as an IPv6 address was meant as one: not a path as in `a::b`, not a slice as in `[::2]`,
/// not an EUI-64 hardware address.
fn looks_meant(text: &str) -> bool {
    let colons = text.bytes().filter(|b| *b == b':').count();
    let hardware = colons == 7 && text.split(':').all(|group| group.len() == 2);
    let slice = text.strip_prefix("::").is_some_and(|rest| rest.len() < 3 && rest != "1");
    let path = colons < 3 && !text.bytes().any(|b| b.is_ascii_digit());
    !hardware && !slice && !path
}
