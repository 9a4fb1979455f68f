//! The one pass over a text.
//!
//! Blocks of 64 bytes become masks ([`super::blocks`]); only at a digit run, an `@`, a colon or a long token does the
//! sweep look closer, with matchers written by hand that read a bounded number of bytes around the place. So the time is
//! linear in the text whatever is in it, and a text without such places costs next to nothing.

use super::{
    address,
    blocks::{self, BLOCK, LongRuns, Masks},
    category::{Categories, Category},
    dismiss::surely_nothing,
    labelled,
    labels::{self, Source, is_month},
    numbers::{self, byte, prev, run_end, starts_clean},
    scanner::Finding,
    tokens,
};

/// One pass over one text.
pub(super) struct Sweep<'a> {
    pub(super) source: Source<'a>,
    pub(super) bytes: &'a [u8],
    /// Matches begin here or later.
    pub(super) from: usize,
    pub(super) on: Categories,
    /// Numbers before this place are part of a match already.
    pub(super) covered: usize,
    /// Colons before this place were looked at.
    pub(super) colons: usize,
    pub(super) found: &'a mut Vec<Finding>,
}

/// Categories whose values are known by shape or label and begin with, or shortly before, a digit.
const NUMERIC: Categories = Categories::of(&[
    Category::Ssn,
    Category::Bsn,
    Category::CreditCard,
    Category::Phone,
    Category::IpAddress,
    Category::DateOfBirth,
    Category::Passport,
    Category::DriverLicense,
    Category::BankAccount,
    Category::MedicalRecord,
]);
const KEYS: Categories = Categories::of(&[Category::AwsKey, Category::ApiKey]);
/// Those that are looked for by their label.
const LABELLED: [Category; 8] = [
    Category::Ssn,
    Category::Bsn,
    Category::Phone,
    Category::DateOfBirth,
    Category::Passport,
    Category::DriverLicense,
    Category::BankAccount,
    Category::MedicalRecord,
];

impl Sweep<'_> {
    /// Notes every match, in no particular order and with overlaps.
    pub(super) fn run(&mut self) {
        let bytes = self.bytes;
        let (blocks, rest) = bytes.as_chunks::<BLOCK>();
        let mut borders = Borders::default();
        for (n, block) in blocks.iter().enumerate() {
            self.block(block, n * BLOCK, &mut borders);
        }
        let base = blocks.len() * BLOCK;
        // Short texts are many: they are not made longer than they need.
        match rest.len() {
            0 => {}
            1..=16 => self.block(&blocks::padded::<16>(rest), base, &mut borders),
            17..=32 => self.block(&blocks::padded::<32>(rest), base, &mut borders),
            _ => self.block(&blocks::padded::<BLOCK>(rest), base, &mut borders),
        }
    }

    #[inline]
    fn block<const N: usize>(&mut self, block: &[u8; N], base: usize, borders: &mut Borders) {
        let keys = self.on.intersects(KEYS);
        let masks = blocks::classify(block, self.on.has(Category::IpAddress), keys);
        let (first, last) = (base == 0, base + BLOCK >= self.bytes.len());
        let runs = if self.on.intersects(NUMERIC) { borders.run_starts(masks.digit) } else { 0 };
        let long = if keys { borders.tokens.next(masks.token) } else { 0 };
        let at = if self.on.has(Category::Email) { masks.at } else { 0 };
        if runs | long | at | masks.colon == 0 {
            return;
        }
        let mut places = Places { runs, long, at, colons: masks.colon };
        if !self.source.plain {
            // One run alone is looked at closely as fast; in the few bytes of a short text, two are.
            let few = if N < BLOCK { 2 } else { 1 };
            if runs.count_ones() > few {
                places.runs &= !surely_nothing(block, masks.digit, runs, first, last);
            }
            places.colons = likely_colons(&masks, keys, first, last);
        }
        self.places(&places, masks.digit, base);
    }

    /// Looks closer at the places of a block.
    fn places(&mut self, places: &Places, digit: u64, base: usize) {
        let Places { runs, long, at, colons } = *places;
        let mut anchors = runs | long | at | colons;
        while anchors != 0 {
            let bit = anchors & anchors.wrapping_neg();
            let i = base + bit.trailing_zeros() as usize;
            anchors ^= bit;
            if at & bit != 0 {
                self.at_sign(i);
            } else if colons & bit != 0 {
                self.colon(i);
            } else {
                if runs & bit != 0 && i >= self.covered {
                    let end = run_in_block(digit, bit.trailing_zeros());
                    // A run that reaches the border of the block goes on in the next.
                    let end = if end == BLOCK { run_end(self.bytes, base + end) } else { base + end };
                    self.digits(i, end);
                }
                if long & bit != 0 {
                    let (source, on) = (self.source, self.on);
                    tokens::keys(source, i, on, |(category, anchor, start, end)| {
                        self.push(Finding { anchor, start, end, category, custom: None });
                    });
                }
            }
        }
    }

    fn at_sign(&mut self, i: usize) {
        if let Some((start, end)) = address::email(self.bytes, i) {
            self.try_push(Category::Email, start, Some(end));
        }
    }

    fn colon(&mut self, i: usize) {
        if let Some((start, end)) = address::ipv6(self.bytes, i, &mut self.colons) {
            self.try_push(Category::IpAddress, start, Some(end));
        }
    }

    fn push(&mut self, finding: Finding) -> bool {
        let counts = finding.start >= self.from;
        if counts {
            self.found.push(finding);
        }
        counts
    }

    /// Notes a match of `category` if it is one, and says whether it was.
    fn try_push(&mut self, category: Category, start: usize, end: Option<usize>) -> bool {
        self.try_push_labelled(category, start.saturating_sub(2), start, end)
    }

    /// The same for a match that depends on the label at `anchor`.
    fn try_push_labelled(
        &mut self,
        category: Category,
        anchor: usize,
        start: usize,
        end: Option<usize>,
    ) -> bool {
        let Some(end) = end else { return false };
        let counts = self.push(Finding { anchor, start, end, category, custom: None });
        // Addresses are found from their middle: they must not hide the numbers they begin with.
        if counts && category != Category::Email {
            self.covered = self.covered.max(end);
        }
        counts
    }

    /// Looks at the run of digits that begins at `i`.
    fn digits(&mut self, i: usize, end: usize) {
        let bytes = self.bytes;
        if !self.source.plain && is_mere_number(bytes, i, end) {
            return;
        }
        if prev(bytes, i).is_ascii_alphabetic() && !numbers::after_escape(bytes, i) {
            return self.after_letters(i, end);
        }
        let len = end - i;
        let next = byte(bytes, end);
        if len <= 3 && next == b'.' && self.on.has(Category::IpAddress) {
            let address = numbers::ipv4(bytes, i);
            if self.try_push(Category::IpAddress, i, address) {
                return;
            }
        }
        if self.phone(i, len) || !starts_clean(bytes, i) {
            return;
        }
        self.shapes(i, end);
        if prev(bytes, i) == b'-' && len >= 3 {
            self.after_letters_and_dash(i);
        }
        if len >= 5 || self.goes_on(end) {
            self.labelled(i);
        }
    }

    /// Whether a short number that ends at `end` goes on as a labelled value or a date does. Decimal fractions and items
    /// of lists do not, and those are what machines write most.
    fn goes_on(&self, end: usize) -> bool {
        match byte(self.bytes, end) {
            b'-' | b'/' | b' ' | b's' | b'n' | b'r' | b't' | b'A'..=b'Z' => true,
            b',' => byte(self.bytes, end + 1) == b' ',
            b'.' => {
                let rest = &self.bytes[end + 1..];
                let digits = rest.iter().take(5).take_while(|b| b.is_ascii_digit()).count();
                digits > 0 && matches!(rest.get(digits), Some(b'.' | b'-' | b' '))
            }
            _ => false,
        }
    }

    fn shapes(&mut self, i: usize, end: usize) {
        let bytes = self.bytes;
        match end - i {
            3 if self.on.has(Category::Ssn) => {
                self.try_push(Category::Ssn, i, numbers::ssn(bytes, i));
            }
            4 if self.on.has(Category::CreditCard) => {
                self.try_push(Category::CreditCard, i, numbers::grouped_card(bytes, i));
            }
            13..=19 if self.on.has(Category::CreditCard) => {
                self.try_push(Category::CreditCard, i, numbers::plain_card(bytes, i, end));
            }
            _ => {}
        }
    }

    fn phone(&mut self, i: usize, len: usize) -> bool {
        if !self.on.has(Category::Phone) {
            return false;
        }
        let bytes = self.bytes;
        match (prev(bytes, i), len) {
            (b'+', _) => self.try_push(Category::Phone, i - 1, numbers::international_phone(bytes, i)),
            (b'(', 3) => self.try_push(Category::Phone, i - 1, numbers::us_phone(bytes, i, true)),
            (_, 3) if starts_clean(bytes, i) => {
                self.try_push(Category::Phone, i, numbers::us_phone(bytes, i, false))
            }
            (_, 1) if bytes[i] == b'1' && starts_clean(bytes, i) => {
                self.try_push(Category::Phone, i, numbers::us_phone_with_one(bytes, i))
            }
            _ => false,
        }
    }

    /// Looks for the label of a value that begins at `start`.
    fn labelled(&mut self, start: usize) {
        let bytes = self.bytes;
        if self.on.has(Category::DateOfBirth) && self.month_before(start) {
            return;
        }
        let label = labels::before(self.source, start);
        let wanted = label.categories.and(self.on);
        if wanted.is_empty() {
            return;
        }
        for category in LABELLED.into_iter().filter(|c| wanted.has(*c)) {
            self.try_push_labelled(category, label.start, start, labelled::value(category, bytes, start));
        }
    }

    /// `March 12, 1980`, where the day stands at `i`.
    fn month_before(&mut self, i: usize) -> bool {
        let bytes = self.bytes;
        let mut end = i;
        while end > 0 && i - end < 2 && matches!(bytes[end - 1], b' ' | b'.') {
            end -= 1;
        }
        if end == i {
            return false;
        }
        let letters = bytes[..end].iter().rev().take(10).take_while(|b| b.is_ascii_alphabetic()).count();
        let start = end - letters;
        if !is_month(&bytes[start..end]) {
            return false;
        }
        let label = labels::before(self.source, start);
        let end =
            label.categories.has(Category::DateOfBirth).then(|| labelled::day_then_year(bytes, i)).flatten();
        self.try_push_labelled(Category::DateOfBirth, label.start, start, end)
    }

    /// Digits after letters and a dash: a number with a letter prefix.
    fn after_letters_and_dash(&mut self, i: usize) {
        let letters =
            self.bytes[..i - 1].iter().rev().take(4).take_while(|b| b.is_ascii_alphabetic()).count();
        let start = i - 1 - letters;
        if (1..=3).contains(&letters) && starts_clean(self.bytes, start) {
            self.labelled(start);
        }
    }

    /// Digits right after letters: an IBAN, a number with a letter prefix, or a label without a space.
    fn after_letters(&mut self, i: usize, end: usize) {
        let bytes = self.bytes;
        let letters = bytes[..i].iter().rev().take(4).take_while(|b| b.is_ascii_alphabetic()).count();
        let mut start = i - letters;
        if numbers::after_escape(bytes, start + 1) {
            start += 1;
        }
        let clean = starts_clean(bytes, start) && start < i;
        if clean && i - start == 2 && end - i >= 2 && self.on.has(Category::BankAccount) {
            let iban = numbers::iban(bytes, start);
            if self.try_push(Category::BankAccount, start, iban) {
                return;
            }
        }
        if clean && i - start <= 3 {
            self.labelled(start);
        }
        if letters >= 2 && end - i >= 5 && i >= self.covered {
            self.labelled(i);
        }
    }
}

/// The colons of a block that can belong to an address: those with a colon behind or a digit, perhaps hexadecimal, before
/// them; in a text that is all in one block only where it has two side by side, or six.
#[inline]
const fn likely_colons(masks: &Masks, tokens: bool, first: bool, last: bool) -> u64 {
    let colon = masks.colon;
    if colon == 0 {
        return 0;
    }
    if first && last && colon & colon >> 1 == 0 && colon.count_ones() < 6 {
        return 0;
    }
    let before = if tokens { masks.token << 1 | 1 } else { u64::MAX };
    colon & (before | colon >> 1 | 1 << 63)
}

/// Where the run of digits that begins at bit `start` ends, at the end of the block at the latest.
#[inline]
const fn run_in_block(digit: u64, start: u32) -> usize {
    (start + (!(digit >> start)).trailing_zeros()) as usize
}

/// Whether the few digits from `i` to `end` are surely nothing by what stands around them: parts of times, items of
/// lists, values in JSON, the end of a text. Only dismisses what [`Sweep::digits`] would find nothing in, but at once.
#[inline]
fn is_mere_number(bytes: &[u8], i: usize, end: usize) -> bool {
    let before = prev(bytes, i);
    let len = end - i;
    let opens = before.is_ascii_alphabetic() || matches!(before, b'+' | b'(') || (before == b'-' && len >= 3);
    if len > 4 || opens {
        return false;
    }
    match bytes.get(end) {
        None | Some(b':' | b'"' | b']' | b'}') => true,
        Some(b',') => byte(bytes, end + 1) != b' ',
        _ => false,
    }
}

/// Places of a block that are worth a closer look.
struct Places {
    /// Where runs of digits begin.
    runs: u64,
    /// The sixteenth bytes of long tokens.
    long: u64,
    at: u64,
    colons: u64,
}

/// What a block must know of the one before it.
#[derive(Default)]
struct Borders {
    digit: u64,
    tokens: LongRuns,
}

impl Borders {
    /// Marks the digits that have no digit before them.
    fn run_starts(&mut self, digit: u64) -> u64 {
        let starts = digit & !(digit << 1 | self.digit);
        self.digit = digit >> 63;
        starts
    }
}
