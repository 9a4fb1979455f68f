//! Check digits and number ranges: what separates a number of the right shape from a real one.

/// Luhn's check over ASCII digits, as on payment cards.
pub(super) fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(i, d)| {
            let d = u32::from(d - b'0');
            match (i % 2, d * 2) {
                (0, _) => d,
                (_, doubled) if doubled > 9 => doubled - 9,
                (_, doubled) => doubled,
            }
        })
        .sum();
    sum.is_multiple_of(10)
}

/// Whether a number of this length begins as an issuer of payment cards begins its numbers. One random number in ten
/// passes Luhn's check, so without this, timestamps and row ids would be cards.
pub(super) fn card_issuer(digits: &[u8]) -> bool {
    let lead = |n: usize| digits[..n].iter().fold(0u32, |acc, d| acc * 10 + u32::from(d - b'0'));
    let (two, three, four) = (lead(2), lead(3), lead(4));
    match digits.len() {
        13 => digits[0] == b'4',
        14 => matches!(two, 36 | 38 | 39) || (300..=305).contains(&three) || three == 309,
        15 => matches!(two, 34 | 37) || matches!(four, 1800 | 2131),
        16 => {
            digits[0] == b'4'
                || matches!(two, 35 | 50..=69 | 81 | 82)
                || (2200..=2204).contains(&four)
                || (2221..=2720).contains(&four)
                || four == 9792
        }
        17 | 18 => matches!(two, 50 | 56..=69),
        19 => digits[0] == b'4' || matches!(two, 50 | 56..=69),
        _ => false,
    }
}

/// Whether nine ASCII digits can be a US social security number: no area 000, 666 or 9xx, no group 00, no serial 0000.
pub(super) fn ssn(digits: &[u8]) -> bool {
    digits.len() == 9
        && !matches!(&digits[..3], b"000" | b"666" | [b'9', ..])
        && &digits[3..5] != b"00"
        && &digits[5..] != b"0000"
}

/// The 11-test of Dutch citizen service numbers, over eight or nine ASCII digits.
pub(super) fn bsn(digits: &[u8]) -> bool {
    if !matches!(digits.len(), 8 | 9) || digits.iter().all(|d| *d == b'0') {
        return false;
    }
    let top = digits.len();
    let sum: i32 = digits
        .iter()
        .enumerate()
        .map(|(i, d)| {
            let weight = (top - i) as i32;
            i32::from(d - b'0') * if weight == 1 { -1 } else { weight }
        })
        .sum();
    sum % 11 == 0
}

/// ISO 7064 mod 97 over an IBAN without separators.
pub(super) fn iban(text: &[u8]) -> bool {
    let mut rest = 0u32;
    for b in text[4..].iter().chain(&text[..4]) {
        rest = match b {
            b'0'..=b'9' => rest * 10 + u32::from(b - b'0'),
            b'a'..=b'z' => rest * 100 + u32::from(b - b'a') + 10,
            b'A'..=b'Z' => rest * 100 + u32::from(b - b'A') + 10,
            _ => return false,
        } % 97;
    }
    rest == 1
}

/// Length of the IBANs of a country, given its code in capitals.
pub(super) fn iban_length(country: [u8; 2]) -> Option<usize> {
    let at = IBAN_LENGTHS.binary_search_by(|(code, _)| (**code).cmp(&country)).ok()?;
    Some(usize::from(IBAN_LENGTHS[at].1))
}

/// Longest IBAN of any country.
pub(super) const IBAN_MAX: usize = 34;

static IBAN_LENGTHS: &[(&[u8; 2], u8)] = &[
    (b"AD", 24),
    (b"AE", 23),
    (b"AL", 28),
    (b"AT", 20),
    (b"AZ", 28),
    (b"BA", 20),
    (b"BE", 16),
    (b"BG", 22),
    (b"BH", 22),
    (b"BI", 27),
    (b"BR", 29),
    (b"BY", 28),
    (b"CH", 21),
    (b"CR", 22),
    (b"CY", 28),
    (b"CZ", 24),
    (b"DE", 22),
    (b"DJ", 27),
    (b"DK", 18),
    (b"DO", 28),
    (b"EE", 20),
    (b"EG", 29),
    (b"ES", 24),
    (b"FI", 18),
    (b"FK", 18),
    (b"FO", 18),
    (b"FR", 27),
    (b"GB", 22),
    (b"GE", 22),
    (b"GI", 23),
    (b"GL", 18),
    (b"GR", 27),
    (b"GT", 28),
    (b"HR", 21),
    (b"HU", 28),
    (b"IE", 22),
    (b"IL", 23),
    (b"IQ", 23),
    (b"IS", 26),
    (b"IT", 27),
    (b"JO", 30),
    (b"KW", 30),
    (b"KZ", 20),
    (b"LB", 28),
    (b"LC", 32),
    (b"LI", 21),
    (b"LT", 20),
    (b"LU", 20),
    (b"LV", 21),
    (b"LY", 25),
    (b"MC", 27),
    (b"MD", 24),
    (b"ME", 22),
    (b"MK", 19),
    (b"MN", 20),
    (b"MR", 27),
    (b"MT", 31),
    (b"MU", 30),
    (b"NI", 28),
    (b"NL", 18),
    (b"NO", 15),
    (b"OM", 23),
    (b"PK", 24),
    (b"PL", 28),
    (b"PS", 29),
    (b"PT", 25),
    (b"QA", 29),
    (b"RO", 24),
    (b"RS", 22),
    (b"RU", 33),
    (b"SA", 24),
    (b"SC", 31),
    (b"SD", 18),
    (b"SE", 24),
    (b"SI", 19),
    (b"SK", 24),
    (b"SM", 27),
    (b"SO", 23),
    (b"ST", 25),
    (b"SV", 28),
    (b"TL", 23),
    (b"TN", 24),
    (b"TR", 26),
    (b"UA", 29),
    (b"VA", 22),
    (b"VG", 24),
    (b"XK", 20),
    (b"YE", 30),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_test_numbers_pass_and_their_neighbours_fail() {
        assert!(luhn(b"4111111111111111") && !luhn(b"4111111111111112"));
        assert!(bsn(b"111222333") && !bsn(b"111222334"));
        assert!(iban(b"GB82WEST12345698765432") && !iban(b"GB82WEST12345698765433"));
        assert!(iban(b"nl91abna0417164300"));
    }

    #[test]
    fn impossible_social_security_numbers_are_refused() {
        assert!(ssn(b"123456789"));
        for bad in [b"000456789", b"666456789", b"900456789", b"123006789", b"123450000"] {
            assert!(!ssn(bad));
        }
    }

    #[test]
    fn the_table_of_countries_is_sorted() {
        assert!(IBAN_LENGTHS.windows(2).all(|w| w[0].0 < w[1].0));
        assert_eq!(iban_length(*b"NO"), Some(15));
        assert_eq!(iban_length(*b"US"), None);
    }
}
