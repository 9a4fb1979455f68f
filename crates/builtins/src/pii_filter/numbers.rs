//! Numbers that are known by their shape alone: dashed social security numbers, cards, telephone numbers, IPv4
//! addresses, IBANs.
//!
//! Each function is given the place where a run of digits begins, looks at a bounded number of bytes after it and
//! returns where the match ends. What a number touches matters as much as its digits: `1.2.3.4.5` is a version, and the
//! digits after a decimal point are no card.

use super::checks;

/// The byte at `i`, or 0 outside the text.
#[inline]
pub(super) fn byte(bytes: &[u8], i: usize) -> u8 {
    bytes.get(i).copied().unwrap_or(0)
}

/// The byte before `i`, or 0 at the start.
#[inline]
pub(super) fn prev(bytes: &[u8], i: usize) -> u8 {
    if i == 0 { 0 } else { byte(bytes, i - 1) }
}

/// End of the run of digits that begins at `i`.
#[inline]
pub(super) fn run_end(bytes: &[u8], i: usize) -> usize {
    bytes[i..].iter().position(|b| !b.is_ascii_digit()).map_or(bytes.len(), |n| i + n)
}

/// Whether the letter before `i` is the end of an escape such as `\n` in JSON text, and no letter of a word.
#[inline]
pub(super) fn after_escape(bytes: &[u8], i: usize) -> bool {
    i >= 2 && bytes[i - 2] == b'\\' && matches!(bytes[i - 1], b'n' | b'r' | b't')
}

const fn is_word(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'_'
}

/// Whether a number may begin at `i`: not inside a word, nor after the point or dash of a longer number.
#[inline]
pub(super) fn starts_clean(bytes: &[u8], i: usize) -> bool {
    let b = prev(bytes, i);
    if is_word(b) {
        return after_escape(bytes, i);
    }
    !(matches!(b, b'.' | b'-') && i >= 2 && bytes[i - 2].is_ascii_digit())
}

/// Whether a number may end at `end`.
#[inline]
pub(super) fn ends_clean(bytes: &[u8], end: usize) -> bool {
    let b = byte(bytes, end);
    let goes_on = matches!(b, b'.' | b'-') && byte(bytes, end + 1).is_ascii_digit();
    !is_word(b) && !goes_on
}

/// Whether exactly `n` digits stand at `i`.
fn exactly(bytes: &[u8], i: usize, n: usize) -> bool {
    bytes.get(i..i + n).is_some_and(|d| d.iter().all(u8::is_ascii_digit))
        && !byte(bytes, i + n).is_ascii_digit()
}

/// Digits with single separators between their groups.
#[derive(Debug)]
pub(super) struct Grouped<const N: usize> {
    digits: [u8; N],
    len: usize,
    /// Where the last digit ends.
    pub(super) end: usize,
    /// Number of separators.
    pub(super) gaps: usize,
}

impl<const N: usize> Grouped<N> {
    /// Reads digits from `i` with single bytes of `separators` between them; `None` if there are more than `N`.
    pub(super) fn read(bytes: &[u8], i: usize, separators: &[u8]) -> Option<Self> {
        let mut out = Self { digits: [0; N], len: 0, end: i, gaps: 0 };
        let mut at = i;
        loop {
            let b = byte(bytes, at);
            if b.is_ascii_digit() {
                *out.digits.get_mut(out.len)? = b;
                out.len += 1;
                at += 1;
                out.end = at;
            } else if at == out.end && separators.contains(&b) && byte(bytes, at + 1).is_ascii_digit() {
                out.gaps += 1;
                at += 1;
            } else {
                return Some(out);
            }
        }
    }

    /// The digits without their separators.
    pub(super) fn digits(&self) -> &[u8] {
        &self.digits[..self.len]
    }
}

/// `ddd-dd-dddd`.
pub(super) fn ssn(bytes: &[u8], i: usize) -> Option<usize> {
    let shape = byte(bytes, i + 3) == b'-' && byte(bytes, i + 6) == b'-' && exactly(bytes, i + 4, 2);
    if !shape || !exactly(bytes, i + 7, 4) || !ends_clean(bytes, i + 11) {
        return None;
    }
    let digits = Grouped::<9>::read(bytes, i, b"-")?;
    checks::ssn(digits.digits()).then_some(i + 11)
}

/// A card number without separators; the run of digits ends at `end`.
pub(super) fn plain_card(bytes: &[u8], i: usize, end: usize) -> Option<usize> {
    let digits = &bytes[i..end];
    let real = checks::card_issuer(digits) && checks::luhn(digits);
    (real && ends_clean(bytes, end)).then_some(end)
}

/// A card number in its printed groups, with one kind of separator.
pub(super) fn grouped_card(bytes: &[u8], i: usize) -> Option<usize> {
    const SHAPES: [&[usize]; 4] = [&[4, 4, 4, 4, 3], &[4, 4, 4, 4], &[4, 6, 5], &[4, 6, 4]];
    let separator = byte(bytes, i + 4);
    // The second separator, after a group of four or of six.
    let second = byte(bytes, i + 9) == separator || byte(bytes, i + 11) == separator;
    if !matches!(separator, b' ' | b'-') || !second {
        return None;
    }
    SHAPES.iter().find_map(|shape| {
        let mut digits = [0u8; 19];
        let (mut at, mut len) = (i, 0);
        for (n, group) in shape.iter().enumerate() {
            if n > 0 {
                if byte(bytes, at) != separator {
                    return None;
                }
                at += 1;
            }
            if !exactly(bytes, at, *group) {
                return None;
            }
            digits[len..len + group].copy_from_slice(&bytes[at..at + group]);
            at += group;
            len += group;
        }
        let digits = &digits[..len];
        (checks::card_issuer(digits) && checks::luhn(digits) && ends_clean(bytes, at)).then_some(at)
    })
}

/// `ddd-ddd-dddd` with dashes, points or spaces, from its first group; `closed` where a bracket closes after it.
pub(super) fn us_phone(bytes: &[u8], i: usize, closed: bool) -> Option<usize> {
    if !exactly(bytes, i, 3) {
        return None;
    }
    let mut at = i + 3;
    let first = if closed {
        at += usize::from(byte(bytes, at) == b')');
        if prev(bytes, at) != b')' {
            return None;
        }
        if matches!(byte(bytes, at), b' ' | b'-' | b'.') {
            at += 1;
        }
        b')'
    } else {
        at += 1;
        byte(bytes, at - 1)
    };
    if !exactly(bytes, at, 3) || !exactly(bytes, at + 4, 4) || !ends_clean(bytes, at + 8) {
        return None;
    }
    let second = byte(bytes, at + 3);
    let fits = match (first, second) {
        (b')', b'-' | b'.' | b' ') | (b'-', b'-') | (b'.', b'.') => true,
        // Columns of numbers look like this too: here the rules of the numbering plan must hold.
        (b' ', b'-' | b' ') => byte(bytes, i) >= b'2' && byte(bytes, at) >= b'2',
        _ => false,
    };
    fits.then_some(at + 8)
}

/// A US number from the `1` in front of it, which stands at `i`.
pub(super) fn us_phone_with_one(bytes: &[u8], i: usize) -> Option<usize> {
    if !matches!(byte(bytes, i + 1), b' ' | b'-' | b'.') {
        return None;
    }
    match byte(bytes, i + 2) {
        b'(' => us_phone(bytes, i + 3, true),
        _ => us_phone(bytes, i + 2, false),
    }
}

/// A number with a leading `+`, from its first digit at `i`: 7 to 15 digits, 9 at least where they stand in groups.
pub(super) fn international_phone(bytes: &[u8], i: usize) -> Option<usize> {
    let before = if i >= 2 { bytes[i - 2] } else { 0 };
    if is_word(before) || before == b')' || byte(bytes, i) == b'0' {
        return None;
    }
    let (mut at, mut end, mut digits, mut gaps) = (i, i, 0usize, 0usize);
    while at < end + 3 {
        let b = byte(bytes, at);
        at += 1;
        match b {
            b'0'..=b'9' => {
                gaps += usize::from(at - 1 > end);
                digits += 1;
                end = at;
                // North American numbers have a fixed length: what follows is another number.
                if digits == 11 && bytes[i] == b'1' && !byte(bytes, at).is_ascii_digit() {
                    break;
                }
            }
            b' ' | b'-' | b'.' | b'(' | b')' => {}
            _ => break,
        }
    }
    let enough = if gaps == 0 { 7..=15 } else { 9..=15 };
    (enough.contains(&digits) && ends_clean(bytes, end)).then_some(end)
}

/// Four octets, not part of a longer dotted number.
pub(super) fn ipv4(bytes: &[u8], i: usize) -> Option<usize> {
    if is_word(prev(bytes, i)) && !after_escape(bytes, i) || prev(bytes, i) == b'.' {
        return None;
    }
    let mut at = i;
    for octet in 0..4 {
        if octet > 0 {
            if byte(bytes, at) != b'.' {
                return None;
            }
            at += 1;
        }
        let (mut value, start) = (0u16, at);
        while at < start + 3 && byte(bytes, at).is_ascii_digit() {
            value = value * 10 + u16::from(bytes[at] - b'0');
            at += 1;
        }
        if at == start || value > 255 {
            return None;
        }
    }
    let dotted_on = byte(bytes, at) == b'.' && byte(bytes, at + 1).is_ascii_digit();
    (!is_word(byte(bytes, at)) && !dotted_on).then_some(at)
}

/// An IBAN from its country code at `i`, with single spaces or dashes anywhere.
pub(super) fn iban(bytes: &[u8], i: usize) -> Option<usize> {
    let country = [byte(bytes, i).to_ascii_uppercase(), byte(bytes, i + 1).to_ascii_uppercase()];
    let wanted = checks::iban_length(country)?;
    let mut text = [0u8; checks::IBAN_MAX];
    let (mut at, mut len) = (i, 0);
    while len < wanted {
        let b = byte(bytes, at);
        if b.is_ascii_alphanumeric() {
            text[len] = b;
            len += 1;
        } else if !(matches!(b, b' ' | b'-') && prev(bytes, at).is_ascii_alphanumeric()) {
            return None;
        }
        at += 1;
    }
    (!is_word(byte(bytes, at)) && checks::iban(&text[..len])).then_some(at)
}
