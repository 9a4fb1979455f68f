//! A child process that speaks MCP, kept running: started, introduced, watched, started again.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::child::{ChildConfig, ChildProcess, SpawnError};
use super::connection::{PipeConfig, PipeConnection};
use crate::backoff::{Backoff, BackoffConfig};
use crate::chain::Chain;
use crate::upstream::{Hello, InitializeError, Initialized, initialize_pipe};

/// How a child is kept running.
#[derive(Debug, Clone)]
pub struct StdioConfig {
    /// The program.
    pub child: ChildConfig,
    /// Queues and message bounds.
    pub pipe: PipeConfig,
    /// Pauses between starts.
    pub backoff: BackoffConfig,
    /// A child that was ready for this long starts the pauses anew when it ends. Default 30 s.
    pub stable_after: Duration,
    /// How long a child is given to end by itself, and again after it was asked to terminate. Default 2 s.
    pub stop_grace: Duration,
}

impl StdioConfig {
    /// The defaults for a program.
    #[must_use]
    pub fn new(child: ChildConfig) -> Self {
        Self {
            child,
            pipe: PipeConfig::default(),
            backoff: BackoffConfig::default(),
            stable_after: Duration::from_secs(30),
            stop_grace: Duration::from_secs(2),
        }
    }
}

/// Why a child is not ready.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ChildFault {
    /// It could not be started.
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    /// It opened no session.
    #[error(transparent)]
    Initialize(#[from] InitializeError),
    /// It ended, or closed its pipes.
    #[error("`{name}` ended ({status})")]
    Ended {
        /// The upstream.
        name: String,
        /// Exit status or signal, as the system words it.
        status: String,
    },
}

/// What a child is doing.
#[derive(Debug, Clone)]
pub enum ChildState {
    /// It is being started and introduced.
    Starting,
    /// It can be used.
    Ready {
        /// The conversation.
        connection: PipeConnection,
        /// What it said of itself.
        initialized: Arc<Initialized>,
    },
    /// It ended or did not start, and will be started again.
    Failing {
        /// Why.
        fault: Arc<ChildFault>,
        /// When it is started again, from when this was published.
        retry_in: Duration,
    },
    /// It was stopped and stays so.
    Stopped,
}

/// A supervised child. Dropped, the child is killed.
#[derive(Debug)]
pub struct StdioUpstream {
    state: watch::Receiver<ChildState>,
    stop: CancellationToken,
    task: AbortOnDropHandle<()>,
}

impl StdioUpstream {
    /// Starts the child and returns at once; follow [`StdioUpstream::state`]. Must be called within a tokio
    /// runtime.
    #[must_use]
    pub fn start(config: StdioConfig, hello: Hello) -> Self {
        let (publish, state) = watch::channel(ChildState::Starting);
        let stop = CancellationToken::new();
        let supervisor = Supervisor { config, hello, publish, stop: stop.clone() };
        Self { state, stop, task: AbortOnDropHandle::new(tokio::spawn(supervisor.run())) }
    }

    /// What the child is doing, now and from now on.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<ChildState> {
        self.state.clone()
    }

    /// The connection, if the child is ready.
    #[must_use]
    pub fn connection(&self) -> Option<PipeConnection> {
        match &*self.state.borrow() {
            ChildState::Ready { connection, .. } => Some(connection.clone()),
            _ => None,
        }
    }

    /// Stops the child: its input is closed, then it is asked to terminate, then killed.
    pub async fn stop(self) {
        self.stop.cancel();
        let _ = self.task.await;
    }
}

struct Supervisor {
    config: StdioConfig,
    hello: Hello,
    publish: watch::Sender<ChildState>,
    stop: CancellationToken,
}

impl Supervisor {
    async fn run(self) {
        let mut backoff = Backoff::new(self.config.backoff);
        while !self.stop.is_cancelled() {
            self.publish.send_replace(ChildState::Starting);
            let (fault, ready_since) = match self.live().await {
                Ok(()) => break,
                // Whoever stops a child may see it fail first.
                Err(_) if self.stop.is_cancelled() => break,
                Err(fault) => fault,
            };
            if ready_since.is_some_and(|since| since.elapsed() >= self.config.stable_after) {
                backoff.reset();
            }
            let retry_in = backoff.next_pause();
            tracing::warn!(upstream = %self.config.child.name, fault = %Chain(&fault), retry_in_ms = retry_in.as_millis(),
                "the child is not ready; it will be started again");
            self.publish.send_replace(ChildState::Failing { fault: Arc::new(fault), retry_in });
            let _ = tokio::time::timeout(retry_in, self.stop.cancelled()).await;
        }
        self.publish.send_replace(ChildState::Stopped);
    }

    /// One life of the child. `Ok` if it was ended on purpose, by stopping it or by closing its connection on this
    /// side, else why it ended and since when it had been ready.
    async fn live(&self) -> Result<(), (ChildFault, Option<Instant>)> {
        let (mut child, pipes) =
            ChildProcess::spawn(&self.config.child).map_err(|error| (error.into(), None))?;
        let name = &self.config.child.name;
        let connection = PipeConnection::new(name, pipes.stdout, pipes.stdin, self.config.pipe.clone());
        let opened = tokio::select! {
            opened = initialize_pipe(&connection, &self.hello) => opened,
            () = self.stop.cancelled() => {
                self.end(child, &connection).await;
                return Ok(());
            }
        };
        let initialized = match opened {
            Ok(initialized) => Arc::new(initialized),
            Err(error) => return Err((error.into(), None)),
        };
        let since = Instant::now();
        self.publish.send_replace(ChildState::Ready { connection: connection.clone(), initialized });
        let status = tokio::select! {
            status = child.wait() => status.map_or_else(|error| error.to_string(), |status| status.to_string()),
            reason = connection.ended() => reason.to_string(),
            () = self.stop.cancelled() => {
                self.end(child, &connection).await;
                return Ok(());
            }
        };
        if connection.is_closed() {
            self.end(child, &connection).await;
            return Ok(());
        }
        connection.close();
        Err((ChildFault::Ended { name: name.clone(), status }, Some(since)))
    }

    async fn end(&self, child: ChildProcess, connection: &PipeConnection) {
        connection.close();
        child.stop(self.config.stop_grace).await;
    }
}
