//! Whose hook before an event ran, so that exactly their hook after it does.

/// A set of members, by their place. Small: it moves with the call, and holds the first 64 of a configuration without
/// more memory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ran {
    first: u64,
    more: Vec<u64>,
}

impl Ran {
    /// Adds one.
    #[inline]
    pub(crate) fn add(&mut self, place: u32) {
        match place.checked_sub(u64::BITS) {
            None => self.first |= 1 << place,
            Some(further) => self.add_more(further),
        }
    }

    /// Whether it is in it.
    #[inline]
    pub(crate) fn has(&self, place: u32) -> bool {
        match place.checked_sub(u64::BITS) {
            None => self.first & 1 << place != 0,
            Some(further) => {
                let (word, bit) = spot(further);
                self.more.get(word).is_some_and(|word| word & bit != 0)
            }
        }
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        // A word is added for the bit in it, and none is ever cleared.
        self.first == 0 && self.more.is_empty()
    }

    /// Those in it, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> {
        let words = std::iter::once(self.first).chain(self.more.iter().copied());
        words.zip(0..).flat_map(|(word, at)| {
            (0..u64::BITS).filter(move |bit| word & 1 << bit != 0).map(move |bit| at * u64::BITS + bit)
        })
    }

    #[cold]
    fn add_more(&mut self, further: u32) {
        let (word, bit) = spot(further);
        if self.more.len() <= word {
            self.more.resize(word + 1, 0);
        }
        self.more[word] |= bit;
    }
}

const fn spot(further: u32) -> (usize, u64) {
    ((further / u64::BITS) as usize, 1 << (further % u64::BITS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_added_is_in_it_and_nothing_else() {
        let members = [0, 1, 63, 64, 127, 128, 1000];
        let mut ran = Ran::default();
        assert!(ran.is_empty());
        for ix in members {
            assert!(!ran.has(ix));
            ran.add(ix);
            assert!(!ran.is_empty());
        }
        for ix in 0..1100 {
            assert_eq!(ran.has(ix), members.contains(&ix), "{ix}");
        }
        assert_eq!(ran.iter().collect::<Vec<_>>(), members);
    }
}
