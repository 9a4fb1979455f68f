//! Counting the calls of one name, in each of the three ways.
//!
//! All arithmetic is in whole nanoseconds and calls, so that nothing is gained or lost by rounding. Times may come a
//! little out of order, since they are read before the lock is taken: a counter never goes back behind the latest it
//! has seen. A sliding window remembers single calls only where the limit is small; else calls that came close together
//! are kept as one, at the time of the last of them, which forgets them late and never early.

use std::collections::VecDeque;

use super::{config::Algorithm, rate::Rate};

/// Groups of calls that a sliding window keeps apart.
const GROUPS: u32 = 64;

/// Calls that came close together.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Group {
    /// When the first came.
    since: u64,
    /// When the last came.
    at: u64,
    count: u32,
}

/// What a counter says. Times are nanoseconds since 1970.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Level {
    /// Calls that may pass now.
    pub(crate) remaining: u32,
    /// When the next call may pass; now where one may.
    pub(crate) free_at: u64,
    /// When the window ends, its oldest call leaves it, or the bucket is full.
    pub(crate) reset_at: u64,
}

/// Calls of one name.
#[derive(Debug, Clone)]
pub(crate) enum Counter {
    Fixed {
        /// Start of the window.
        start: u64,
        count: u32,
    },
    Sliding(VecDeque<Group>),
    Bucket {
        /// What is missing in the bucket, in calls times the window's length.
        used: u128,
        /// The time for which that holds.
        at: u64,
    },
}

impl Counter {
    pub(crate) fn new(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::FixedWindow => Self::Fixed { start: 0, count: 0 },
            Algorithm::SlidingWindow => Self::Sliding(VecDeque::new()),
            Algorithm::TokenBucket => Self::Bucket { used: 0, at: 0 },
        }
    }

    /// Forgets what is over and says how it stands.
    pub(crate) fn level(&mut self, rate: Rate, now: u64) -> Level {
        let Rate { limit, window } = rate;
        match self {
            Self::Fixed { start, count } => {
                let begun = now - now % window;
                if begun > *start {
                    (*start, *count) = (begun, 0);
                }
                let reset_at = start.saturating_add(window);
                let remaining = limit.saturating_sub(*count);
                Level { remaining, free_at: if remaining > 0 { now } else { reset_at }, reset_at }
            }
            Self::Sliding(groups) => sliding(groups, rate, now),
            Self::Bucket { used, at } => {
                let now = drain(used, at, rate, now);
                let (window, whole) = (u128::from(window), u128::from(limit) * u128::from(window));
                let over = (*used + window).saturating_sub(whole);
                let remaining = whole.saturating_sub(*used) / window;
                Level {
                    remaining: u32::try_from(remaining).unwrap_or(limit),
                    free_at: now.saturating_add(time_for(over, limit)),
                    reset_at: now.saturating_add(time_for(*used, limit)),
                }
            }
        }
    }

    /// Counts calls that have passed.
    pub(crate) fn take(&mut self, rate: Rate, now: u64, calls: u32) {
        match self {
            Self::Fixed { count, .. } => *count = count.saturating_add(calls),
            Self::Sliding(groups) => match groups.back_mut() {
                Some(last)
                    if rate.limit > GROUPS
                        && now.saturating_sub(last.since) < rate.window / u64::from(GROUPS) =>
                {
                    last.at = last.at.max(now);
                    last.count = last.count.saturating_add(calls);
                }
                last => {
                    let now = last.map_or(now, |last| now.max(last.at));
                    groups.push_back(Group { since: now, at: now, count: calls });
                }
            },
            Self::Bucket { used, .. } => *used += u128::from(calls) * u128::from(rate.window),
        }
    }

    /// From when on it is as good as a new one.
    pub(crate) fn idle_at(&self, rate: Rate) -> u64 {
        match self {
            Self::Fixed { start, .. } => start.saturating_add(rate.window),
            Self::Sliding(groups) => groups.back().map_or(0, |last| last.at.saturating_add(rate.window)),
            Self::Bucket { used, at } => at.saturating_add(time_for(*used, rate.limit)),
        }
    }

    /// Times and numbers of the calls it still counts, for a successor that may count in another way.
    pub(crate) fn calls(&self, rate: Rate) -> Vec<(u64, u32)> {
        match self {
            Self::Fixed { start, count } => vec![(*start, *count)],
            Self::Sliding(groups) => groups.iter().map(|group| (group.at, group.count)).collect(),
            Self::Bucket { used, at } => {
                let calls = used.div_ceil(u128::from(rate.window));
                vec![(*at, u32::try_from(calls).unwrap_or(u32::MAX))]
            }
        }
    }

    /// A counter that has seen these calls.
    pub(crate) fn restored(algorithm: Algorithm, rate: Rate, calls: &[(u64, u32)], now: u64) -> Self {
        let mut counter = Self::new(algorithm);
        let mut calls: Vec<(u64, u32)> = calls.iter().map(|(at, count)| ((*at).min(now), *count)).collect();
        calls.sort_unstable();
        for (at, count) in calls {
            counter.level(rate, at);
            counter.take(rate, at, count);
        }
        counter.level(rate, now);
        counter
    }
}

fn sliding(groups: &mut VecDeque<Group>, rate: Rate, now: u64) -> Level {
    let now = groups.back().map_or(now, |last| now.max(last.at));
    while groups.front().is_some_and(|oldest| oldest.at.saturating_add(rate.window) <= now) {
        groups.pop_front();
    }
    let total: u64 = groups.iter().map(|group| u64::from(group.count)).sum();
    let limit = u64::from(rate.limit);
    let reset_at = groups.front().map_or(now, |oldest| oldest.at.saturating_add(rate.window));
    if total < limit {
        let remaining = u32::try_from(limit - total).unwrap_or(rate.limit);
        return Level { remaining, free_at: now, reset_at };
    }
    // Usually the oldest; more have to leave where the limit was lowered.
    let mut left = total;
    let frees = groups.iter().find(|group| {
        left -= u64::from(group.count);
        left < limit
    });
    let free_at = frees.map_or(now, |group| group.at.saturating_add(rate.window));
    Level { remaining: 0, free_at, reset_at }
}

/// Lets a bucket fill up to `now`, or to the time it has reached already; says which.
fn drain(used: &mut u128, at: &mut u64, rate: Rate, now: u64) -> u64 {
    let now = now.max(*at);
    *used = used.saturating_sub(u128::from(now - *at) * u128::from(rate.limit));
    *at = now;
    now
}

/// Nanoseconds until that much has flowed in.
fn time_for(missing: u128, limit: u32) -> u64 {
    u64::try_from(missing.div_ceil(u128::from(limit))).unwrap_or(u64::MAX)
}
