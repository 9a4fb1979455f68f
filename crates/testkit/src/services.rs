//! Services that plugins ask, as far as their published contracts say, with faults on demand.
//!
//! For tests where the real service cannot be had: a moderation endpoint of OpenAI's shape, a Llama Guard behind
//! chat completions, an Open Policy Agent, and a guardrail by Mortise's own contract. Each decides by words in what it is
//! shown, so a test says with its text what is to come of it. They do not judge, and pass no test of the real ones.

mod contracts;
mod serve;

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use serde_json::Value;
use tokio::{net::TcpListener, sync::watch, task::AbortHandle};

/// What goes wrong with requests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// Answers with this status and no body.
    Status(u16),
    /// Takes requests and never answers.
    Hang,
    /// Answers with these bytes.
    Garbage(Bytes),
    /// Answers with this many bytes.
    Huge(usize),
    /// Answers half, and closes the connection.
    CloseMidAnswer,
    /// Sends to another address.
    Redirect(String),
}

/// A request that a service was sent.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Method.
    pub method: http::Method,
    /// Path, with query.
    pub path: String,
    /// Headers.
    pub headers: http::HeaderMap,
    /// Body as JSON; null where it is none.
    pub body: Value,
}

/// Answers a request: status and JSON.
pub type Respond = dyn Fn(&Asked) -> (u16, Value) + Send + Sync;

/// A service at a free port of this machine. Dropping it ends it.
#[derive(Debug)]
pub struct Service {
    address: SocketAddr,
    shared: Arc<Shared>,
    running: AbortHandle,
}

pub(crate) struct Shared {
    respond: Box<Respond>,
    state: Mutex<State>,
    changed: watch::Sender<usize>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

#[derive(Default)]
struct State {
    fault: Fault,
    /// Faults of single requests, which come first.
    next: VecDeque<Fault>,
    asked: Vec<Asked>,
    gone: usize,
}

impl Service {
    /// A service of one's own.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(
        respond: impl Fn(&Asked) -> (u16, Value) + Send + Sync + 'static,
    ) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            respond: Box::new(respond),
            state: Mutex::default(),
            changed: watch::Sender::new(0),
        });
        let running = tokio::spawn(serve::connections(listener, shared.clone())).abort_handle();
        Ok(Self { address, shared, running })
    }

    /// `POST /v1/moderations` as OpenAI has published it. A text is of each category (`hate`, `violence`, `self-harm`,
    /// `sexual`, `harassment`) whose name it contains, with score 0.9, or 0.4 where `slightly` stands in it too.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn moderation() -> std::io::Result<Self> {
        Self::start(contracts::moderation).await
    }

    /// `POST /v1/chat/completions` of a Llama Guard: `unsafe` with code `Sn` where the last turn contains `hazard n`.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn llama_guard() -> std::io::Result<Self> {
        Self::start(contracts::llama_guard).await
    }

    /// `POST /v1/data/{path}` of an Open Policy Agent. Under `test/allow` a boolean, under `test/decision` an object with
    /// a reason: false where the call's subject starts with `delete`, unless the caller is in the team `platform`. No
    /// other rule is defined.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn opa() -> std::io::Result<Self> {
        Self::start(contracts::opa).await
    }

    /// A guardrail by Mortise's contract: blocks texts that contain `forbidden`, replaces `secret` by `******`.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn guardrail() -> std::io::Result<Self> {
        Self::start(contracts::guardrail).await
    }

    /// `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// All requests go wrong so from now on.
    pub fn fault(&self, fault: Fault) {
        self.shared.state().fault = fault;
    }

    /// The next request goes wrong so; of several, each in turn.
    pub fn fault_once(&self, fault: Fault) {
        self.shared.state().next.push_back(fault);
    }

    /// The requests so far.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        self.shared.state().asked.clone()
    }

    /// Waits until there were this many requests.
    pub async fn until_asked(&self, count: usize) {
        let mut changed = self.shared.changed.subscribe();
        while self.shared.state().asked.len() < count {
            if changed.changed().await.is_err() {
                return;
            }
        }
    }

    /// Waits until this many requests were given up by who sent them, before they were answered.
    pub async fn until_gone(&self, count: usize) {
        let mut changed = self.shared.changed.subscribe();
        while self.shared.state().gone < count {
            if changed.changed().await.is_err() {
                return;
            }
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.running.abort();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a request and says what goes wrong with it.
    fn take(&self, asked: Asked) -> Fault {
        let mut state = self.state();
        state.asked.push(asked);
        let fault = state.next.pop_front().unwrap_or_else(|| state.fault.clone());
        drop(state);
        self.changed.send_modify(|changes| *changes += 1);
        fault
    }

    /// Notes that a request was given up.
    fn left(&self) {
        self.state().gone += 1;
        self.changed.send_modify(|changes| *changes += 1);
    }
}
