//! Counters that threads do not fight over.
//!
//! A counter that every core adds to travels between their caches with each addition, which costs more than all the
//! rest of counting. These are kept several times, each thread adds to one copy, and whoever reads adds the copies up.

use std::{
    cell::Cell,
    sync::{
        LazyLock,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    thread,
};

/// Most copies of a counter; more threads than that share.
const MOST: usize = 16;

/// How many copies there are: a power of two.
static COPIES: LazyLock<usize> = LazyLock::new(|| {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    cores.next_power_of_two().min(MOST)
});

thread_local! {
    /// Which copy this thread adds to, under the mask of a counter's copies.
    static OWN: Cell<usize> = Cell::new(next());
}

fn next() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    NEXT.fetch_add(1, Relaxed)
}

/// A thread, as counters know it. Asked for once, it serves for all that is counted in one go.
#[derive(Clone, Copy, Debug)]
pub struct Adder(usize);

impl Adder {
    /// The thread that asks.
    pub fn this_thread() -> Self {
        // A thread that is ending has no number any more.
        Self(OWN.try_with(Cell::get).unwrap_or(0))
    }
}

/// `N` counters that are added to together.
pub struct Counts<const N: usize> {
    copies: Box<[Copied<N>]>,
}

/// On cache lines of its own.
#[repr(align(64))]
struct Copied<const N: usize>([AtomicU64; N]);

impl<const N: usize> Counts<N> {
    /// Adds `by` to the counter `at`, which is below `N`.
    pub fn add(&self, at: usize, by: u64) {
        self.add_as(Adder::this_thread(), at, by);
    }

    /// The same where this thread has been asked for already.
    pub fn add_as(&self, adder: Adder, at: usize, by: u64) {
        self.copies[adder.0 & (self.copies.len() - 1)].0[at].fetch_add(by, Relaxed);
    }

    /// What the counter `at` has come to.
    pub fn total(&self, at: usize) -> u64 {
        self.copies.iter().fold(0, |sum, copy| sum.wrapping_add(copy.0[at].load(Relaxed)))
    }

    /// What all have come to. Readers may see one of two counters that belong together a moment before the other.
    pub fn totals(&self) -> [u64; N] {
        std::array::from_fn(|at| self.total(at))
    }

    /// Raises the counter `at` to `to` where it is lower. A counter that is raised is not added to.
    pub fn raise_as(&self, adder: Adder, at: usize, to: u64) {
        let counter = &self.copies[adder.0 & (self.copies.len() - 1)].0[at];
        // Looked at first, since it is rarely lower and a look costs nothing.
        if counter.load(Relaxed) < to {
            counter.fetch_max(to, Relaxed);
        }
    }

    /// The highest that the counter `at` was raised to.
    pub fn highest(&self, at: usize) -> u64 {
        self.copies.iter().map(|copy| copy.0[at].load(Relaxed)).max().unwrap_or(0)
    }

    /// Has the counter `at` begin at zero again. What comes meanwhile is counted or lost.
    pub fn clear(&self, at: usize) {
        for copy in &*self.copies {
            copy.0[at].store(0, Relaxed);
        }
    }
}

impl<const N: usize> Default for Counts<N> {
    fn default() -> Self {
        let copy = |_| Copied(std::array::from_fn(|_| AtomicU64::new(0)));
        Self { copies: (0..*COPIES).map(copy).collect() }
    }
}

impl<const N: usize> std::fmt::Debug for Counts<N> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.totals()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn additions_of_all_threads_are_counted() {
        let counts = Counts::<2>::default();
        thread::scope(|scope| {
            for _ in 0..2 * MOST {
                scope.spawn(|| {
                    for _ in 0..100 {
                        counts.add(0, 1);
                        counts.add(1, 3);
                    }
                });
            }
        });
        assert_eq!(counts.totals(), [3200, 9600]);
        counts.clear(0);
        assert_eq!(counts.totals(), [0, 9600]);
    }
}
