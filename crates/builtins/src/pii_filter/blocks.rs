//! The first look at a text: 64 bytes at a time become bit masks of the few bytes a match can hang on.
//!
//! Nearly all of a text is of no interest, so the scanner must not look at it byte by byte: comparisons are made for
//! sixteen bytes at once, on processors that can. Left to itself the compiler widens such loops to words of four bytes,
//! which costs more than it saves.

use wide::u8x16;

/// Bytes in a block; one bit each in a mask.
pub(super) const BLOCK: usize = 64;

/// Where the bytes of interest stand in a block: bit n is byte n.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Masks {
    /// ASCII digits.
    pub(super) digit: u64,
    /// `@`.
    pub(super) at: u64,
    /// `:`.
    pub(super) colon: u64,
    /// Bytes that keys and tokens are made of: letters, digits, `-`, `_`, `/`, `+`.
    pub(super) token: u64,
}

/// Classifies a block, or the smaller one that ends a text. Masks that are not wanted stay zero.
#[inline(always)]
pub(super) fn classify<const N: usize>(block: &[u8; N], colons: bool, tokens: bool) -> Masks {
    Masks {
        digit: mask(block, |b| within(b, b'0', 10)),
        at: mask(block, |b| equal(b, b'@')),
        colon: if colons { mask(block, |b| equal(b, b':')) } else { 0 },
        token: if tokens { mask(block, tokens_of) } else { 0 },
    }
}

/// Bytes that can be part of a key or token.
#[inline(always)]
fn tokens_of(bytes: u8x16) -> u8x16 {
    // '-', '/', '0'..='9' lie in one run with '.', which is then taken out: fewer comparisons.
    letters(bytes) | (within(bytes, b'-', 13) & !equal(bytes, b'.')) | equal(bytes, b'_') | equal(bytes, b'+')
}

/// The same for one byte.
pub(super) const fn is_token(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'-' | b'/' | b'_' | b'+')
}

/// Letters of ASCII.
#[inline(always)]
pub(super) fn letters(bytes: u8x16) -> u8x16 {
    within(bytes | u8x16::splat(0x20), b'a', 26)
}

/// Bytes that are `byte`.
#[inline(always)]
pub(super) fn equal(bytes: u8x16, byte: u8) -> u8x16 {
    bytes.simd_eq(u8x16::splat(byte))
}

/// Bytes among the `count` from `first` on.
#[inline(always)]
pub(super) fn within(bytes: u8x16, first: u8, count: u8) -> u8x16 {
    let from_first = bytes - u8x16::splat(first);
    from_first.min(u8x16::splat(count - 1)).simd_eq(from_first)
}

/// Marks the bytes of a block that are `wanted`, which has all bits set where one is.
#[inline(always)]
pub(super) fn mask<const N: usize>(block: &[u8; N], wanted: impl Fn(u8x16) -> u8x16) -> u64 {
    let mut out = 0;
    for (i, lane) in block.as_chunks::<16>().0.iter().enumerate() {
        out |= u64::from(wanted(u8x16::new(*lane)).to_bitmask()) << (16 * i);
    }
    out
}

/// The end of a text with zeros behind it.
#[inline(always)]
pub(super) fn padded<const N: usize>(rest: &[u8]) -> [u8; N] {
    let mut out = [0; N];
    let (lanes, _) = out.as_chunks_mut::<16>();
    for (lane, bytes) in lanes.iter_mut().zip(rest.chunks(16)) {
        *lane = bytes.try_into().unwrap_or_else(|_| short(bytes));
    }
    out
}

/// Fewer than sixteen bytes. Read as words that overlap: cheaper than a copy of a length that is not known before.
#[inline(always)]
fn short(bytes: &[u8]) -> [u8; 16] {
    let both = |first: u64, last: u64, size: usize| {
        u128::from(first) | u128::from(last) << (8 * (bytes.len() - size))
    };
    let out = if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        both(u64::from_le_bytes(*first), u64::from_le_bytes(*last), 8)
    } else if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        both(u32::from_le_bytes(*first).into(), u32::from_le_bytes(*last).into(), 4)
    } else {
        bytes.iter().rev().fold(0, |word, b| word << 8 | u128::from(*b))
    };
    out.to_le_bytes()
}

/// Finds where runs of token bytes reach [`LONG_RUN`] bytes, over block borders too.
#[derive(Debug, Default)]
pub(super) struct LongRuns {
    before: u64,
}

/// Length from which a run of token bytes is looked at.
pub(super) const LONG_RUN: usize = 16;

impl LongRuns {
    /// Bit n is set where byte n is the sixteenth of its run.
    pub(super) fn next(&mut self, token: u64) -> u64 {
        let mut runs = (u128::from(token) << 64) | u128::from(self.before);
        self.before = token;
        for shift in [1, 2, 4, 8] {
            runs &= runs << shift;
        }
        ((runs & !(runs << 1)) >> 64) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_mark_exactly_the_wanted_bytes() {
        for start in (0..=255u8).step_by(64) {
            let block: [u8; BLOCK] = std::array::from_fn(|i| start + i as u8);
            let masks = classify(&block, true, true);
            for (i, b) in block.iter().enumerate() {
                let bit = |mask: u64| mask >> i & 1 == 1;
                assert_eq!(bit(masks.digit), b.is_ascii_digit(), "{b}");
                assert_eq!(bit(masks.at), *b == b'@', "{b}");
                assert_eq!(bit(masks.colon), *b == b':', "{b}");
                assert_eq!(bit(masks.token), b.is_ascii_alphanumeric() || b"-_/+".contains(b), "{b}");
            }
        }
    }

    #[test]
    fn ends_of_texts_are_padded_with_zeros() {
        let text: Vec<u8> = (1..=64).collect();
        for length in 0..=64 {
            let mut expected = [0; 64];
            expected[..length].copy_from_slice(&text[..length]);
            assert_eq!(padded::<64>(&text[..length]), expected);
        }
        assert_eq!(padded::<16>(b"abc")[..4], *b"abc\0");
    }

    #[test]
    fn long_runs_are_seen_once_and_across_blocks() {
        let mut runs = LongRuns::default();
        assert_eq!(runs.next(0xffff << 3), 1 << 18);
        assert_eq!(runs.next(0xff << 56), 0);
        assert_eq!(runs.next(0xffff), 1 << 7);
        assert_eq!(runs.next(0), 0);
        assert_eq!(runs.next(u64::MAX), 1 << 15);
        assert_eq!(runs.next(u64::MAX), 0);
    }
}
