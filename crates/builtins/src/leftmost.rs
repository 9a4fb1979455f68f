//! Which of several overlapping matches count.

use std::{cmp::Reverse, ops::Range};

/// Keeps the leftmost matches, of two with the same start the longer, of two with the same place the one of lower
/// `rank`; others that overlap are dropped. Leaves them in order. It depends on nothing but the text around a match,
/// which is what lets a text be looked at in windows.
pub(crate) fn resolve<M, R: Ord>(
    found: &mut Vec<M>,
    place: impl Fn(&M) -> Range<usize>,
    rank: impl Fn(&M) -> R,
) {
    found.sort_unstable_by_key(|one| {
        let place = place(one);
        (place.start, Reverse(place.end), rank(one))
    });
    let mut end = 0;
    found.retain(|one| {
        let place = place(one);
        let keep = place.start >= end;
        if keep {
            end = place.end;
        }
        keep
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leftmost_then_longest_then_lowest_rank_wins() {
        let mut found = vec![(4..6, 0), (0..3, 1), (0..5, 2), (0..5, 1), (2..9, 0), (5..6, 3)];
        resolve(&mut found, |one| one.0.clone(), |one| one.1);
        assert_eq!(found, [(0..5, 1), (5..6, 3)]);
    }
}
