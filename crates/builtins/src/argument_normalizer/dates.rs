//! Dates in figures, written the ISO way.
//!
//! Taken for dates: `3/4/2026`, `3-4-2026`, `2026/3/4`, `3/4/26`, and with points, where the day always stands first,
//! `4.3.2026`. Not taken: figures with points or dashes and a two-digit year, which are versions and part numbers.

/// The text with its dates as `YYYY-MM-DD`; `None` where nothing changes.
pub(super) fn to_iso(text: &str, day_first: bool, year_first: bool) -> Option<String> {
    let bytes = text.as_bytes();
    let mut out = String::new();
    let (mut done, mut at) = (0, 0);
    while let Some(start) = bytes[at..].iter().position(u8::is_ascii_digit).map(|n| at + n) {
        let run = digits(bytes, start);
        at = run;
        if let Some((date, end)) = date(bytes, start, day_first, year_first) {
            if date != text[start..end] {
                out.push_str(&text[done..start]);
                out.push_str(&date);
                done = end;
            }
            at = end;
        } else {
            // The parts of something longer are no dates of their own.
            while at < bytes.len() && (bytes[at].is_ascii_alphanumeric() || is_separator(bytes[at])) {
                at += 1;
            }
        }
    }
    (done > 0).then(|| {
        out.push_str(&text[done..]);
        out
    })
}

const fn is_separator(b: u8) -> bool {
    matches!(b, b'/' | b'-' | b'.')
}

fn digits(bytes: &[u8], from: usize) -> usize {
    bytes[from..].iter().position(|b| !b.is_ascii_digit()).map_or(bytes.len(), |n| from + n)
}

fn date(bytes: &[u8], start: usize, day_first: bool, year_first: bool) -> Option<(String, usize)> {
    let before = start.checked_sub(1).map(|i| bytes[i]);
    if before.is_some_and(|b| b.is_ascii_alphanumeric() || is_separator(b) || matches!(b, b'_' | b',')) {
        return None;
    }
    let (a, a_end) = number(bytes, start)?;
    let separator = *bytes.get(a_end).filter(|b| is_separator(**b))?;
    let (b, b_end) = number(bytes, a_end + 1)?;
    if bytes.get(b_end) != Some(&separator) || b_end - a_end > 3 {
        return None;
    }
    let (c, end) = number(bytes, b_end + 1)?;
    if !ends(bytes, end) {
        return None;
    }
    let (first, last) = (a_end - start, end - b_end - 1);
    let (year, month, day) = match (first, last, separator) {
        (4, 1 | 2, _) => (a, b, c),
        (1 | 2, 4, b'.') => in_order(c, a, b, true),
        (1 | 2, 4, _) => in_order(c, a, b, day_first),
        (2, 1 | 2, b'/') if year_first => (century(a), b, c),
        (1 | 2, 2, b'/') => in_order(century(c), a, b, day_first),
        _ => return None,
    };
    is_day(year, month, day).then(|| (format!("{year:04}-{month:02}-{day:02}"), end))
}

/// What may follow a date: no further part, but the end of a sentence or a time.
fn ends(bytes: &[u8], end: usize) -> bool {
    let next = |i: usize| bytes.get(end + i).copied().unwrap_or(b' ');
    match next(0) {
        b'T' => next(1).is_ascii_digit(),
        b'.' | b'-' | b'/' => !next(1).is_ascii_alphanumeric() && !is_separator(next(1)),
        b => !b.is_ascii_alphanumeric() && b != b'_',
    }
}

fn number(bytes: &[u8], from: usize) -> Option<(u32, usize)> {
    let end = from + bytes.get(from..)?.iter().take(5).take_while(|b| b.is_ascii_digit()).count();
    let value = bytes[from..end].iter().fold(0, |acc, d| acc * 10 + u32::from(d - b'0'));
    (end > from && end - from <= 4).then_some((value, end))
}

/// Month and day in the wanted order, or in the other where only that is possible.
const fn in_order(year: u32, a: u32, b: u32, day_first: bool) -> (u32, u32, u32) {
    let (day, month) = if day_first { (a, b) } else { (b, a) };
    if month > 12 && day <= 12 { (year, day, month) } else { (year, month, day) }
}

/// The year a two-digit year means: the one nearest to our time.
const fn century(year: u32) -> u32 {
    if year < 70 { 2000 + year } else { 1900 + year }
}

const fn is_day(year: u32, month: u32, day: u32) -> bool {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => return false,
    };
    year >= 1000 && day >= 1 && day <= days
}
