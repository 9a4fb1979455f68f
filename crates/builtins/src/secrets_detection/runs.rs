//! Long runs of characters that only machines write: the broad detectors, off by default.

/// Fewest digits of a hexadecimal secret.
const HEX_MIN: usize = 32;
/// Fewest characters of a secret in base64.
const BASE64_MIN: usize = 24;

/// Words of hexadecimal digits.
pub(super) fn hex(bytes: &[u8], mut found: impl FnMut(usize, usize)) {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    each(bytes, word, |start, end| {
        if end - start >= HEX_MIN && bytes[start..end].iter().all(u8::is_ascii_hexdigit) {
            found(start, end);
        }
    });
}

/// Runs of base64, with the `=` that fill them up.
pub(super) fn base64(bytes: &[u8], mut found: impl FnMut(usize, usize)) {
    let class = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    each(bytes, class, |start, end| {
        if end - start >= BASE64_MIN {
            let filled = bytes[end..].iter().take(2).take_while(|byte| **byte == b'=').count();
            found(start, end + filled);
        }
    });
}

fn each(bytes: &[u8], has: impl Fn(u8) -> bool, mut found: impl FnMut(usize, usize)) {
    let mut at = 0;
    while at < bytes.len() {
        if has(bytes[at]) {
            let start = at;
            while at < bytes.len() && has(bytes[at]) {
                at += 1;
            }
            found(start, at);
        } else {
            at += 1;
        }
    }
}
