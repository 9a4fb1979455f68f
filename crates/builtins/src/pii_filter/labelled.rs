//! Values that mean something only after their label: `passport`, `DL`, `MRN`, `account`, `date of birth` and so on.
//!
//! Each function gets the place where the value begins and returns where it ends. The match is the value; the label
//! stays readable.

use super::{
    category::Category,
    checks,
    labels::is_month,
    numbers::{Grouped, byte, ends_clean, run_end},
};

/// The value of `category` that begins at `i`.
pub(super) fn value(category: Category, bytes: &[u8], i: usize) -> Option<usize> {
    match category {
        Category::Ssn => ssn(bytes, i),
        Category::Bsn => bsn(bytes, i),
        Category::Phone => phone(bytes, i),
        Category::DateOfBirth => date(bytes, i),
        Category::Passport => letters_and_digits(bytes, i, 2, 6..=9),
        Category::DriverLicense => driver_license(bytes, i),
        Category::BankAccount => bank_account(bytes, i),
        Category::MedicalRecord => letters_and_digits(bytes, i, 3, 5..=12),
        _ => None,
    }
}

fn ssn(bytes: &[u8], i: usize) -> Option<usize> {
    let number = Grouped::<9>::read(bytes, i, b" -")?;
    (checks::ssn(number.digits()) && ends_clean(bytes, number.end)).then_some(number.end)
}

fn bsn(bytes: &[u8], i: usize) -> Option<usize> {
    let number = Grouped::<9>::read(bytes, i, b" .")?;
    (checks::bsn(number.digits()) && ends_clean(bytes, number.end)).then_some(number.end)
}

fn phone(bytes: &[u8], i: usize) -> Option<usize> {
    let number = Grouped::<13>::read(bytes, i, b" -.")?;
    let digits = number.digits().len();
    let enough = if number.gaps == 0 { 10..=11 } else { 9..=13 };
    (enough.contains(&digits) && ends_clean(bytes, number.end)).then_some(number.end)
}

fn bank_account(bytes: &[u8], i: usize) -> Option<usize> {
    let run = run_end(bytes, i);
    if (8..=17).contains(&(run - i)) {
        return ends_clean(bytes, run).then_some(run);
    }
    let number = Grouped::<17>::read(bytes, i, b" -")?;
    (number.digits().len() >= 8 && ends_clean(bytes, number.end)).then_some(number.end)
}

fn letters_and_digits(
    bytes: &[u8],
    i: usize,
    letters: usize,
    digits: std::ops::RangeInclusive<usize>,
) -> Option<usize> {
    let first = bytes[i..].iter().take(letters).take_while(|b| b.is_ascii_alphabetic()).count();
    let from = i + first + usize::from(first > 0 && byte(bytes, i + first) == b'-');
    let end = run_end(bytes, from);
    (digits.contains(&(end - from)) && ends_clean(bytes, end)).then_some(end)
}

fn driver_license(bytes: &[u8], i: usize) -> Option<usize> {
    const LENGTH: std::ops::RangeInclusive<usize> = 5..=20;
    let inside = |b: &&u8| b.is_ascii_alphanumeric() || **b == b'-';
    let mut end = i + bytes[i..].iter().take(LENGTH.end() + 1).take_while(inside).count();
    while end > i && bytes[end - 1] == b'-' {
        end -= 1;
    }
    let digits = bytes[i..end].iter().filter(|b| b.is_ascii_digit()).count();
    (LENGTH.contains(&(end - i)) && digits >= 4 && byte(bytes, end) != b'_').then_some(end)
}

/// A date in figures (`3/12/1980`, `1980-03-12`, `12.03.80`, `19800312`) or with the name of its month.
fn date(bytes: &[u8], i: usize) -> Option<usize> {
    figures(bytes, i).or_else(|| day_then_month(bytes, i))
}

fn number(bytes: &[u8], i: usize) -> Option<(u32, usize)> {
    let end = i + bytes[i.min(bytes.len())..].iter().take(9).take_while(|b| b.is_ascii_digit()).count();
    let value = bytes[i.min(end)..end].iter().fold(0, |acc, d| acc * 10 + u32::from(d - b'0'));
    (end > i && end - i < 9).then_some((value, end))
}

const fn is_year(value: u32, digits: usize) -> bool {
    (digits == 4 && value >= 1850 && value < 2100) || digits == 2
}

fn figures(bytes: &[u8], i: usize) -> Option<usize> {
    let (a, at) = number(bytes, i)?;
    if at - i == 8 {
        let plausible = is_year(a / 10_000, 4) && day_and_month(a % 100, a / 100 % 100);
        return (plausible && ends_clean(bytes, at)).then_some(at);
    }
    let separator = byte(bytes, at);
    if !matches!(separator, b'/' | b'-' | b'.') {
        return None;
    }
    let (b, b_end) = number(bytes, at + 1)?;
    if byte(bytes, b_end) != separator {
        return None;
    }
    let (c, end) = number(bytes, b_end + 1)?;
    let plausible = if at - i == 4 {
        is_year(a, 4) && day_and_month(b, c)
    } else {
        is_year(c, end - b_end - 1) && at - i <= 2 && day_and_month(a, b)
    };
    // A time may follow an ISO date at once.
    (plausible && (ends_clean(bytes, end) || byte(bytes, end) == b'T')).then_some(end)
}

const fn day_and_month(a: u32, b: u32) -> bool {
    a >= 1 && b >= 1 && a <= 31 && b <= 31 && (a <= 12 || b <= 12)
}

/// `12 March 1980`, `12th of March, 1980`.
fn day_then_month(bytes: &[u8], i: usize) -> Option<usize> {
    let (day, at) = number(bytes, i)?;
    if !(1..=31).contains(&day) {
        return None;
    }
    let mut at = spaces(bytes, ordinal(bytes, at));
    if bytes[at..].starts_with(b"of ") {
        at += 3;
    }
    let month = word(bytes, at);
    if !is_month(&bytes[at..month]) {
        return None;
    }
    year_after(bytes, month)
}

/// The rest of a date whose month name stands before the day at `i`: `12, 1980`, `12th 1980`.
pub(super) fn day_then_year(bytes: &[u8], i: usize) -> Option<usize> {
    let (day, at) = number(bytes, i)?;
    if !(1..=31).contains(&day) {
        return None;
    }
    year_after(bytes, ordinal(bytes, at))
}

fn year_after(bytes: &[u8], at: usize) -> Option<usize> {
    let at = spaces(bytes, at + usize::from(matches!(byte(bytes, at), b',' | b'.')));
    let (year, end) = number(bytes, at)?;
    (is_year(year, end - at) && end - at == 4 && ends_clean(bytes, end)).then_some(end)
}

fn ordinal(bytes: &[u8], at: usize) -> usize {
    let suffix = [b"st", b"nd", b"rd", b"th"].iter().any(|s| bytes[at..].starts_with(*s));
    at + if suffix { 2 } else { 0 }
}

fn spaces(bytes: &[u8], at: usize) -> usize {
    at + bytes[at.min(bytes.len())..].iter().take(2).take_while(|b| matches!(b, b' ' | b'-')).count()
}

fn word(bytes: &[u8], at: usize) -> usize {
    at + bytes[at..].iter().take(10).take_while(|b| b.is_ascii_alphabetic()).count()
}
