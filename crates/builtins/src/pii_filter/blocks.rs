//! The first look at a text: 64 bytes at a time become bit masks of the few bytes a match can hang on.
//!
//! Nearly all of a text is of no interest, so the scanner must not look at it byte by byte. The loops here are written
//! so that the compiler turns them into vector instructions; one multiplication then gathers eight flags into a byte.

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

/// Classifies a block. Masks that are not wanted stay zero.
pub(super) fn classify(block: &[u8; BLOCK], colons: bool, tokens: bool) -> Masks {
    Masks {
        digit: mask(block, |b| b.wrapping_sub(b'0') < 10),
        at: mask(block, |b| b == b'@'),
        colon: if colons { mask(block, |b| b == b':') } else { 0 },
        token: if tokens { mask(block, is_token) } else { 0 },
    }
}

/// Whether a byte can be part of a key or token.
pub(super) const fn is_token(b: u8) -> bool {
    // '-', '/', '0'..='9' lie in one run with '.', which is then taken out: fewer comparisons in the vector loop.
    ((b | 0x20).wrapping_sub(b'a') < 26)
        | ((b.wrapping_sub(b'-') < 13) & (b != b'.'))
        | (b == b'_')
        | (b == b'+')
}

#[inline(always)]
fn mask(block: &[u8; BLOCK], wanted: impl Fn(u8) -> bool) -> u64 {
    /// Gathers the lowest bit of each byte of a word into its highest byte.
    const GATHER: u64 = 0x0102_0408_1020_4080;
    let mut flags = [0u8; BLOCK];
    for (flag, b) in flags.iter_mut().zip(block) {
        *flag = u8::from(wanted(*b));
    }
    let mut out = 0;
    for (i, word) in flags.as_chunks::<8>().0.iter().enumerate() {
        out |= (u64::from_le_bytes(*word).wrapping_mul(GATHER) >> 56) << (8 * i);
    }
    out
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
