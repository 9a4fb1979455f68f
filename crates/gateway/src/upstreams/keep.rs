//! Keeping an upstream connected: opening the shared connection, following what it says, opening the next.
//!
//! A server over HTTP is opened anew by this. A child has a supervisor that starts it again when it ends; what is left to
//! do here is to end one that runs and is of no use.

use std::{
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use mortise_mcp::{
    catalog::Kind,
    envelope::{ErrorObject, Message, Response, method},
};
use mortise_mcp_transport::{
    backoff::{Backoff, BackoffConfig},
    chain::Chain,
    stdio::upstream::{ChildState, StdioConfig, StdioUpstream},
    upstream::{Call, Connection, Hello, Initialized, UpstreamError},
};
use tokio::sync::mpsc;

use super::{
    link::Link,
    lists::{self, KINDS},
    upstream::{Live, State, Transport, Upstream},
};

/// How often a server that has no event stream is asked whether it is still there.
const HEARTBEAT: Duration = Duration::from_secs(30);

/// Shortest pause between attempts to connect, however many calls wait for one.
const SHORTEST_PAUSE: Duration = Duration::from_millis(250);

impl Upstream {
    /// Keeps the shared connection open and the lists current, for ever. `publish` is called after each change.
    pub async fn keep_connected(&self, publish: impl Fn()) {
        match &self.transport {
            Transport::Http(_) | Transport::OpenApi(_) => self.keep_http(&publish).await,
            Transport::Stdio(config) => self.keep_child(StdioConfig::clone(config), &publish).await,
        }
    }

    async fn keep_http(&self, publish: &impl Fn()) {
        let mut backoff = Backoff::new(BackoffConfig::default());
        loop {
            match Link::open(&self.transport, hello()).await {
                Ok(link) => {
                    backoff.reset();
                    let reason = self.serve(link.connection, link.initialized, publish).await;
                    self.fail(reason, publish);
                }
                Err(reason) => self.fail(reason, publish),
            }
            let asked_for = async {
                tokio::time::sleep(SHORTEST_PAUSE).await;
                self.wanted.notified().await;
            };
            tokio::select! {
                () = tokio::time::sleep(backoff.next_pause()) => {}
                () = asked_for => {}
            }
        }
    }

    async fn keep_child(&self, config: StdioConfig, publish: &impl Fn()) {
        let mut backoff = Backoff::new(config.backoff);
        loop {
            let child = StdioUpstream::start(config.clone(), hello());
            let Some(served) = self.serve_child(&child, publish).await else { return };
            child.stop().await;
            if served >= config.stable_after {
                backoff.reset();
            }
            tokio::time::sleep(backoff.next_pause()).await;
        }
    }

    /// Follows a child, which its supervisor starts again when it ends. Returns where it runs and is of no use, with how
    /// long it was: nobody but us knows that, so it has to be ended and another started. `None` once it was stopped.
    async fn serve_child(&self, child: &StdioUpstream, publish: &impl Fn()) -> Option<Duration> {
        let mut state = child.state();
        loop {
            let now = state.borrow_and_update().clone();
            match now {
                ChildState::Ready { connection, initialized } => {
                    let since = Instant::now();
                    let pipe = connection.clone();
                    let serving = self.serve(Connection::Pipe(connection), initialized, publish);
                    tokio::select! {
                        reason = serving => {
                            self.fail(reason, publish);
                            if !pipe.has_ended() {
                                return Some(since.elapsed());
                            }
                        }
                        _ = state.changed() => {
                            self.set_live(None);
                            continue;
                        }
                    }
                }
                ChildState::Failing { fault, .. } => self.fail(Chain(&*fault).to_string(), publish),
                ChildState::Starting => {}
                ChildState::Stopped => return None,
            }
            if state.changed().await.is_err() {
                return None;
            }
        }
    }

    /// Uses one connection until it breaks; returns why it did.
    async fn serve(
        &self,
        connection: Connection,
        initialized: Arc<Initialized>,
        publish: &impl Fn(),
    ) -> String {
        // Listening begins before the first look, so that no change falls between the two.
        let mut incoming = connection.incoming();
        for kind in KINDS {
            if let Err(error) = self.refresh(&connection, &initialized, kind).await {
                return Chain(&error).to_string();
            }
        }
        let live =
            Live { connection: connection.clone(), initialized: initialized.clone(), lost: Arc::default() };
        self.set_live(Some(&live));
        publish();
        if self.state.send_replace(State::Ready) != State::Ready {
            tracing::info!(upstream = &*self.name, version = %initialized.version, "upstream connected");
        }
        loop {
            let message = tokio::select! {
                message = next(&mut incoming) => message,
                () = live.lost.notified() => return "the session was lost".to_owned(),
                () = tokio::time::sleep(HEARTBEAT) => {
                    match self.ping(&connection).await {
                        Ok(()) => continue,
                        Err(error) => return Chain(&error).to_string(),
                    }
                }
            };
            match message {
                Message::Notification(notification) => {
                    let changed = KINDS.iter().filter(|kind| kind.changed_method() == notification.method);
                    for kind in changed {
                        match self.refresh(&connection, &initialized, *kind).await {
                            Ok(()) => publish(),
                            Err(error) => return Chain(&error).to_string(),
                        }
                    }
                }
                // Nobody stands behind the shared connection who could be asked.
                Message::Request(request) => {
                    let error = ErrorObject::method_not_found(&request.method);
                    let _ = connection.respond(Response::err(Some(request.id), &error)).await;
                }
                Message::Response(_) => {}
            }
        }
    }

    async fn refresh(
        &self,
        connection: &Connection,
        initialized: &Initialized,
        kind: Kind,
    ) -> Result<(), UpstreamError> {
        let items = lists::fetch(connection, initialized, kind, self.timeout).await?;
        let mut offered = self.offered.lock().unwrap_or_else(PoisonError::into_inner);
        *Arc::make_mut(&mut offered).of_mut(kind) = items;
        Ok(())
    }

    async fn ping(&self, connection: &Connection) -> Result<(), UpstreamError> {
        let call = Call { timeout: Duration::from_secs(10), ..Call::new(method::PING, None) };
        // An error answer is an answer.
        connection.request(call).await?.outcome().await.map(drop)
    }

    fn fail(&self, reason: String, publish: &impl Fn()) {
        self.set_live(None);
        let news = !matches!(*self.state.borrow(), State::Failing(_));
        if news {
            tracing::warn!(upstream = &*self.name, reason, "upstream is not connected");
        }
        self.state.send_replace(State::Failing(reason));
        if news {
            publish();
        }
    }
}

/// The next message; never, once there is no stream of them.
async fn next(incoming: &mut Option<mpsc::Receiver<Message>>) -> Message {
    if let Some(queue) = incoming {
        if let Some(message) = queue.recv().await {
            return message;
        }
        *incoming = None;
    }
    std::future::pending().await
}

/// How the gateway introduces itself where it acts for nobody in particular.
fn hello() -> Hello {
    Hello::new("mortise", env!("CARGO_PKG_VERSION"))
}
