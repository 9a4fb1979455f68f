//! Keeping a plugin alive: when a life ends, another begins, after a pause that grows while lives are short.

use std::{
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::Duration,
};

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::{
    plugin::Life,
    running::{Patience, Running, Setup},
    status::chain,
};

/// How long a start may take when nobody waits for it.
const PATIENCE: Patience =
    Patience { handshake: Duration::from_secs(60), initialize: Duration::from_secs(60) };

/// First and longest pause before a start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    pub(crate) first: Duration,
    pub(crate) longest: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { first: Duration::from_millis(250), longest: Duration::from_secs(30) }
    }
}

/// A life this long was none that failed at once.
const LONG_LIFE: Duration = Duration::from_secs(60);

/// Keeps `running` and its successors until told to stop; then ends what runs.
pub(crate) async fn keep(
    setup: Setup,
    mut running: Running,
    life: Arc<Life>,
    pace: Pace,
    stop: CancellationToken,
) {
    let mut short_lives = 0;
    loop {
        let began = Instant::now();
        let why = tokio::select! {
            () = stop.cancelled() => {
                life.end("it has been stopped");
                return running.stop().await;
            }
            why = running.ended() => why,
        };
        life.end(&format!("{why}; it is being started again"));
        let said = running.last_words();
        tracing::error!(plugin = &*setup.name, %why, said, "process plugin ended; it is started again");
        drop(running);
        short_lives = if began.elapsed() >= LONG_LIFE { 0 } else { short_lives + 1 };
        running = tokio::select! {
            () = stop.cancelled() => return life.end("it has been stopped"),
            next = revive(&setup, &life, pace, &mut short_lives) => next,
        };
        tracing::info!(plugin = &*setup.name, pid = running.pid(), "process plugin runs again");
        life.begin(&running);
    }
}

/// Starts it until that works.
async fn revive(setup: &Setup, life: &Life, pace: Pace, failures: &mut u32) -> Running {
    loop {
        sleep(pause(pace, *failures)).await;
        match Running::start(setup, PATIENCE).await {
            Ok(running) => return running,
            Err(error) => {
                *failures = failures.saturating_add(1);
                let why = chain(&error);
                tracing::error!(plugin = &*setup.name, %why, "process plugin did not start again");
                life.end(&format!("it could not be started again: {why}"));
            }
        }
    }
}

/// The pause before the next start, with jitter above half of it.
fn pause(pace: Pace, failures: u32) -> Duration {
    let doubled = pace.first.saturating_mul(1 << failures.saturating_sub(1).min(16));
    let pause = doubled.min(pace.longest);
    // A fresh `RandomState` is seeded by the system: randomness enough for jitter.
    let share = RandomState::new().hash_one(failures) % 1024;
    pause / 2 + (pause / 2 / 1024) * u32::try_from(share).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound() {
        for (failures, longest) in [(0, 250), (1, 250), (2, 500), (4, 2000), (20, 30_000), (u32::MAX, 30_000)]
        {
            let pause = pause(Pace::default(), failures).as_millis();
            assert!(pause <= longest && pause >= longest / 2, "{failures}: {pause}");
        }
    }
}
