//! Tells of the runs of digits in a block which are surely nothing, all at once.
//!
//! In what machines write, nearly every number is a part of a time, a fraction, a version or an item of a list. Looking
//! at each closely costs a branch or ten; here one bit stands for each run, and what stands around the runs decides with
//! a few operations for all. It only leaves out what [`Sweep`](super::sweep::Sweep) would find nothing in: whatever is
//! not certain, at the borders of the block for instance, stays.

use super::blocks::{equal, letters, mask, within};

/// What stands in a block: bit n is byte n. Some sets hold a little more than what they are for, where that keeps them
/// few and dismisses nothing that should stay.
struct Bytes {
    digit: u64,
    alpha: u64,
    dot: u64,
    dash: u64,
    comma: u64,
    /// A space or a closing bracket.
    space: u64,
    /// What a number behind it depends on: `+`, an opening bracket, a backslash.
    opens: u64,
    /// What a date or a labelled value goes on with behind a number.
    goes_on: u64,
}

impl Bytes {
    #[inline(always)]
    fn of<const N: usize>(block: &[u8; N], digit: u64) -> Self {
        Self {
            digit,
            alpha: mask(block, letters),
            dot: mask(block, |b| equal(b, b'.')),
            dash: mask(block, |b| equal(b, b'-')),
            comma: mask(block, |b| equal(b, b',')),
            space: mask(block, |b| equal(b, b' ') | equal(b, b')')),
            opens: mask(block, |b| equal(b, b'+') | equal(b, b'(') | equal(b, b'\\')),
            goes_on: mask(block, |b| {
                within(b, b'A', 26)
                    | equal(b, b'/')
                    | equal(b, b's')
                    | equal(b, b'n')
                    | equal(b, b'r')
                    | equal(b, b't')
            }),
        }
    }

    /// What may stand between a label and its value, and more.
    const fn gap(&self) -> u64 {
        !(self.digit | self.alpha)
    }
}

/// Runs by their length: bit n is set where one begins at byte n.
struct Runs {
    starts: u64,
    /// Runs of one, two, three and four digits.
    of: [u64; 4],
    five: u64,
    /// Runs of five digits and more.
    long: u64,
}

impl Runs {
    #[inline(always)]
    fn new(digit: u64, starts: u64) -> Self {
        let mut rest = starts;
        let mut of = [0; 4];
        for (n, ending) in of.iter_mut().enumerate() {
            *ending = rest & !(digit >> (n + 1));
            rest &= digit >> (n + 1);
        }
        Self { starts, of, five: rest & !(digit >> 5), long: rest }
    }

    /// Those of up to four digits.
    const fn short(&self) -> u64 {
        self.starts & !self.long
    }

    /// Those of up to four digits with a byte of `set` behind them.
    const fn before(&self, set: u64) -> u64 {
        let [one, two, three, four] = self.of;
        one & set >> 1 | two & set >> 2 | three & set >> 3 | four & set >> 4
    }

    /// Those with a byte of `set` before them.
    const fn after(&self, set: u64) -> u64 {
        self.starts & set << 1
    }
}

/// Those of the `starts` of runs of `digit`s in a block that are no match and no part of one. `first` and `last` say
/// that the text begins and ends with the block.
#[inline(always)]
pub(super) fn surely_nothing<const N: usize>(
    block: &[u8; N],
    digit: u64,
    starts: u64,
    first: bool,
    last: bool,
) -> u64 {
    let bytes = Bytes::of(block, digit);
    let runs = Runs::new(digit, starts);
    // All ones where bytes stand behind the block that are not seen. What begins near its end may reach them.
    let unseen = if last { 0 } else { u64::MAX };
    let nothing = inside_others(&bytes, &runs)
        | behind_letters(&bytes, &runs)
        | by_themselves(&bytes, &runs, labels(&bytes, &runs, first), unseen);
    let before = if first { 0 } else { 0b11 };
    nothing & !(unseen << 60 | before)
}

/// Behind the point or dash of a longer number. Only an address may still begin behind a dash.
#[inline(always)]
fn inside_others(bytes: &Bytes, runs: &Runs) -> u64 {
    let further = runs.after(bytes.dot | bytes.dash) & bytes.digit << 2;
    let address = runs.after(bytes.dash) & runs.before(bytes.dot);
    further & !address
}

/// Behind letters: up to three digits with nothing behind them that an IBAN or a licence goes on with, and up to four
/// where other digits stand before the letters, as in a hexadecimal number. The letter of an escape is none.
#[inline(always)]
fn behind_letters(bytes: &Bytes, runs: &Runs) -> u64 {
    let short = runs.short() & runs.after(bytes.alpha);
    let few = short & !runs.of[3] & !(bytes.opens << 2);
    let few = few & !runs.before(bytes.alpha | bytes.dash | bytes.space);
    let (two, three) = (bytes.alpha << 2, bytes.alpha << 2 & bytes.alpha << 3);
    few | short & (bytes.digit << 2 | two & bytes.digit << 3 | three & bytes.digit << 4)
}

/// Runs whose label, if they have one, stands directly before them: everything else has none.
#[inline(always)]
const fn labels(bytes: &Bytes, runs: &Runs, first: bool) -> u64 {
    // What begins the text may have the name of its member for a label.
    let (begin, one_in) = if first { (1, 0b10) } else { (0, 0) };
    runs.starts & begin | runs.after(bytes.gap()) & ((bytes.gap() | bytes.alpha) << 2 | one_in)
}

/// Numbers with nothing before them that they go on from: what stands behind them says what they can be.
#[inline(always)]
fn by_themselves(bytes: &Bytes, runs: &Runs, labels: u64, unseen: u64) -> u64 {
    let Bytes { dash, space, .. } = *bytes;
    let alone = !runs.after(bytes.alpha | bytes.opens);
    let prefixed = runs.after(dash);
    let listed = bytes.comma & (space >> 1 | unseen << 63);
    let shaped = runs.before(dash | space | points(bytes, runs) | bytes.dot & unseen << 58);
    let labelled = runs.before(bytes.goes_on | listed) & labels;
    let short = runs.short() & !(prefixed & (runs.of[2] | runs.of[3]));
    let short = short & !shaped & !labelled;
    // A long one is a card by itself, and anything else by a label only.
    let card = {
        let two = bytes.digit & bytes.digit >> 1;
        let four = two & two >> 2;
        let eight = four & four >> 4;
        eight & four >> 8 & bytes.digit >> 12
    };
    let long = runs.long & !prefixed & !labels & !card & !(unseen << 52);
    alone & (short | long)
}

/// Points behind which a number goes on that is no fraction: a few digits and then a separator, or a bracket.
#[inline(always)]
fn points(bytes: &Bytes, runs: &Runs) -> u64 {
    let separator = bytes.dot | bytes.dash | bytes.space;
    let on = (runs.before(separator) | runs.five & separator >> 5) & bytes.dot << 1;
    on >> 1 | bytes.dot & bytes.opens >> 1
}
