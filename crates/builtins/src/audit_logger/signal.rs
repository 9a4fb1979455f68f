//! Between threads and futures, without an async runtime.

use std::{
    future::Future,
    pin::{Pin, pin},
    sync::{Arc, Condvar, Mutex, PoisonError},
    task::{Context, Poll, Wake, Waker},
    thread::Thread,
    time::{Duration, Instant},
};

/// A value that one thread sets and one future or other threads wait for.
pub(super) struct Signal<T> {
    state: Mutex<(Option<T>, Option<Waker>)>,
    set: Condvar,
}

impl<T> Default for Signal<T> {
    fn default() -> Self {
        Self { state: Mutex::new((None, None)), set: Condvar::new() }
    }
}

impl<T: Clone> Signal<T> {
    /// Sets the value; the first one stays.
    pub(super) fn set(&self, value: T) {
        let waker = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.0.get_or_insert(value);
            state.1.take()
        };
        self.set.notify_all();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Blocks until the value is there; `None` where it is not by the deadline.
    pub(super) fn wait_until(&self, deadline: Instant) -> Option<T> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(value) = &state.0 {
                return Some(value.clone());
            }
            let left = deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())?;
            state = self.set.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits for the value. One future at a time.
    pub(super) const fn wait(&self) -> Waiting<'_, T> {
        Waiting(self)
    }
}

/// The future of a [`Signal`].
pub(super) struct Waiting<'s, T>(&'s Signal<T>);

impl<T: Clone> Future for Waiting<'_, T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        match &state.0 {
            Some(value) => Poll::Ready(value.clone()),
            None => {
                state.1 = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

/// How often a deadline that can come nearer is looked at.
const TICK: Duration = Duration::from_millis(200);

/// Runs a future on this thread; `None` where it has not ended by the deadline, and then it is dropped. The deadline
/// is asked again now and then.
pub(super) fn block_on<T>(future: impl Future<Output = T>, deadline: impl Fn() -> Instant) -> Option<T> {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return Some(value);
        }
        let left = deadline().checked_duration_since(Instant::now()).filter(|left| !left.is_zero())?;
        std::thread::park_timeout(left.min(TICK));
    }
}
