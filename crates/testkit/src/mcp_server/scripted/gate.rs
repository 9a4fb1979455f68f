//! A barrier between a test and the calls of a scripted server.

use std::sync::Arc;

use tokio::sync::watch;

/// Holds calls until the test opens it. Clones are the same gate.
#[derive(Clone, Debug)]
pub struct Gate(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    arrived: watch::Sender<usize>,
    open: watch::Sender<bool>,
}

impl Default for Gate {
    fn default() -> Self {
        Self(Arc::new(Inner { arrived: watch::Sender::new(0), open: watch::Sender::new(false) }))
    }
}

impl Gate {
    /// A closed gate.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets those that wait, and all that come later, pass.
    pub fn open(&self) {
        self.0.open.send_replace(true);
    }

    /// Waits until `count` calls have come to it, whether or not they still wait.
    pub async fn arrived(&self, count: usize) {
        // The sender lives as long as this gate, so the wait cannot fail.
        let _ = self.0.arrived.subscribe().wait_for(|arrived| *arrived >= count).await;
    }

    /// Waits until it is open.
    pub async fn pass(&self) {
        self.0.arrived.send_modify(|count| *count += 1);
        let _ = self.0.open.subscribe().wait_for(|open| *open).await;
    }
}
