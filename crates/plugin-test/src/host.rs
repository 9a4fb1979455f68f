//! A host whose clock stands still and whose log can be read.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use mortise_plugin_api::{Host, host::LogLevel};

/// When the clock of every test begins: 2027-01-15 08:00:00 UTC, in seconds since 1970.
const BEGIN: Duration = Duration::from_secs(1_800_000_000);

/// A host without services.
#[derive(Debug)]
pub struct TestHost {
    begun: Instant,
    passed: Mutex<Duration>,
    log: Mutex<Vec<String>>,
}

impl Default for TestHost {
    fn default() -> Self {
        Self { begun: Instant::now(), passed: Mutex::default(), log: Mutex::default() }
    }
}

impl TestHost {
    /// Lets time pass.
    pub fn advance(&self, by: Duration) {
        *held(&self.passed) += by;
    }

    /// The lines so far: message, then `name=value` for each field.
    #[must_use]
    pub fn log(&self) -> Vec<String> {
        held(&self.log).clone()
    }
}

impl Host for TestHost {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + BEGIN + *held(&self.passed)
    }

    fn instant(&self) -> Instant {
        self.begun + *held(&self.passed)
    }

    fn log(&self, _: LogLevel, message: &str, fields: &[(&str, &str)]) {
        let fields = fields.iter().map(|(name, value)| format!(" {name}={value}"));
        held(&self.log).push(std::iter::once(message.to_owned()).chain(fields).collect());
    }
}

/// A plugin that panics elsewhere leaves whole values behind.
fn held<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}
