//! Deadlines that cost nothing where the answer is there at once, and little where it is not.
//!
//! `tokio::time::timeout` reads the clock before it looks, enters a timer when it has to wait, and takes it out again:
//! two locks of the runtime's timer wheel a call. What is awaited again and again under the same kind of deadline
//! keeps its timers instead ([`Timers`]): one that is entered already only moves its deadline ahead, which is one
//! atomic write.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use crate::workers::PerWorker;

/// Timers that wait for their next use, for each worker; more are dropped.
const KEPT: usize = 256;

/// The deadline passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Elapsed;

/// Waits for `future` at most `limit` long. One that is ready at once costs no timer and no look at the clock.
pub(crate) async fn within<F: Future>(limit: Duration, future: F) -> Result<F::Output, Elapsed> {
    let mut future = pin!(future);
    if let Some(output) = at_once(&mut future).await {
        return Ok(output);
    }
    tokio::time::timeout(limit, future).await.map_err(|_| Elapsed)
}

/// Timers in stock for waits that come often; by worker, as a timer belongs to the runtime it was made in.
#[derive(Default)]
pub(crate) struct Timers(PerWorker<Mutex<Vec<Pin<Box<Sleep>>>>>);

impl Timers {
    /// Waits for `future` at most `limit` long.
    pub(crate) async fn within<F: Future>(&self, limit: Duration, future: F) -> Result<F::Output, Elapsed> {
        let mut future = pin!(future);
        if let Some(output) = at_once(&mut future).await {
            return Ok(output);
        }
        let mut timer = self.timer(Instant::now() + limit);
        let outcome = poll_fn(|cx| match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Ok(output)),
            Poll::Pending => timer.as_mut().poll(cx).map(|()| Err(Elapsed)),
        })
        .await;
        let mut stock = self.stock();
        if stock.len() < KEPT {
            stock.push(timer);
        }
        outcome
    }

    fn timer(&self, deadline: Instant) -> Pin<Box<Sleep>> {
        let kept = self.stock().pop();
        match kept {
            Some(mut timer) => {
                timer.as_mut().reset(deadline);
                timer
            }
            None => Box::pin(sleep_until(deadline)),
        }
    }

    fn stock(&self) -> MutexGuard<'_, Vec<Pin<Box<Sleep>>>> {
        // Each critical section is one push or pop: a panic leaves no half-made state.
        self.0.own().lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn at_once<F: Future>(future: &mut Pin<&mut F>) -> Option<F::Output> {
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_late_is_given_up_and_what_is_in_time_is_not() {
        let limit = Duration::from_secs(1);
        let timers = Timers::default();
        for _ in 0..3 {
            assert_eq!(within(limit, pending::<()>()).await, Err(Elapsed));
            assert_eq!(timers.within(limit, pending::<()>()).await, Err(Elapsed));
            let slow = tokio::time::sleep(Duration::from_millis(900));
            assert_eq!(timers.within(limit, slow).await, Ok(()));
            assert_eq!(timers.within(limit, async { 7 }).await, Ok(7));
        }
        assert_eq!(timers.stock().len(), 1, "the same timer served every wait");
    }

    #[tokio::test(start_paused = true)]
    async fn a_kept_timer_keeps_no_old_deadline() {
        let timers = Timers::default();
        let began = Instant::now();
        assert_eq!(timers.within(Duration::from_secs(10), tokio::task::yield_now()).await, Ok(()));
        assert_eq!(timers.within(Duration::from_secs(1), pending::<()>()).await, Err(Elapsed));
        assert_eq!(began.elapsed().as_secs(), 1);
    }
}
