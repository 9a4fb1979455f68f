//! Vendors of language models, as far as their published wire says, with faults on demand.
//!
//! One server speaks them all and tells them by path: OpenAI (chat completions, completions, responses, embeddings,
//! models), Anthropic (messages, counting), Gemini (`generateContent` and its stream in both framings, embeddings,
//! models) and Bedrock (Converse and InvokeModel, with their event streams). It thinks nothing: it says again what the
//! user said last, calls the first tool where that contains `call`, and tells what a tool answered. So a test knows what
//! must come back.
//!
//! What goes wrong is set from Rust ([`FakeVendor::fault`]), or by the model's name (`fault-429`, `fault-hang`,
//! `fault-reset`, `fault-garbage`, `fault-slow`, `fault-500`, `fault-error`), which another process can do as well.

mod anthropic;
mod bedrock;
mod errors;
mod gemini;
mod openai;
mod said;
mod serve;
#[cfg(test)]
mod tests;

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::watch, task::AbortHandle};

/// What goes wrong with a call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// An error of this status in the vendor's shape; with `Retry-After` in seconds where there is one.
    Status(u16, Option<u32>),
    /// Takes the request and never answers.
    Hang,
    /// Sends this many events, or half of the answer, and then nothing more.
    Stall(usize),
    /// Sends this many events, or half of the answer, and resets the connection.
    Reset(usize),
    /// Sends this many events and then bytes that are no event.
    Garbage(usize),
    /// Waits so long before each event.
    Slow(Duration),
    /// Sends this many events and then an error as this vendor sends one within a stream.
    Error(usize),
}

/// What to say instead of what the user said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Script {
    /// The pieces of the text, one for each event of a stream.
    pub pieces: Vec<String>,
    /// The name of the tool to call, and the pieces of its arguments' JSON.
    pub call: Option<(String, Vec<String>)>,
    /// Thoughts before the text.
    pub thoughts: Option<String>,
    /// Leaves out how many tokens it took.
    pub without_usage: bool,
}

impl Script {
    /// Says these pieces.
    #[must_use]
    pub fn saying<S: Into<String>>(pieces: impl IntoIterator<Item = S>) -> Self {
        Self { pieces: pieces.into_iter().map(Into::into).collect(), ..Self::default() }
    }
}

/// A request as it came in.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Method.
    pub method: http::Method,
    /// Path, with query.
    pub path: String,
    /// Headers.
    pub headers: http::HeaderMap,
    /// Body.
    pub raw: bytes::Bytes,
    /// Body as JSON; null where it is none.
    pub body: Value,
}

impl Asked {
    /// A header's value; empty where there is none.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    fn json(&self) -> Value {
        let headers: serde_json::Map<String, Value> = self
            .headers
            .iter()
            .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into()))
            .collect();
        json!({ "method": self.method.as_str(), "path": self.path, "headers": headers, "body": self.body })
    }
}

/// All vendors at one port of this machine. Dropping it ends it.
#[derive(Debug)]
pub struct FakeVendor {
    address: SocketAddr,
    shared: Arc<Shared>,
    running: AbortHandle,
}

pub(crate) struct Shared {
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
    script: Option<Script>,
    asked: Vec<Asked>,
    gone: usize,
}

impl FakeVendor {
    /// Starts at a free port of this machine.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start() -> std::io::Result<Self> {
        Self::serve(TcpListener::bind("127.0.0.1:0").await?)
    }

    /// Starts at a port that listens already.
    ///
    /// # Errors
    /// When its address cannot be had.
    pub fn serve(listener: TcpListener) -> std::io::Result<Self> {
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared { state: Mutex::default(), changed: watch::Sender::new(0) });
        let running = tokio::spawn(serve::connections(listener, shared.clone())).abort_handle();
        Ok(Self { address, shared, running })
    }

    /// `http://127.0.0.1:PORT`, below which every vendor's paths stand with or without their version.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// All calls go wrong so from now on.
    pub fn fault(&self, fault: Fault) {
        self.shared.state().fault = fault;
    }

    /// The next call goes wrong so; of several, each in turn.
    pub fn fault_once(&self, fault: Fault) {
        self.shared.state().next.push_back(fault);
    }

    /// What to say from now on; `None`: what the user says.
    pub fn answer_with(&self, script: impl Into<Option<Script>>) {
        self.shared.state().script = script.into();
    }

    /// The requests so far.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        self.shared.state().asked.clone()
    }

    /// The last request.
    #[must_use]
    pub fn last(&self) -> Option<Asked> {
        self.shared.state().asked.last().cloned()
    }

    /// How many requests were given up by who sent them, before they were answered to the end.
    #[must_use]
    pub fn gone(&self) -> usize {
        self.shared.state().gone
    }

    /// Waits until there were this many requests.
    pub async fn until_asked(&self, count: usize) {
        self.until(|state| state.asked.len() >= count).await;
    }

    /// Waits until this many requests were given up.
    pub async fn until_gone(&self, count: usize) {
        self.until(|state| state.gone >= count).await;
    }

    async fn until(&self, holds: impl Fn(&State) -> bool) {
        let mut changed = self.shared.changed.subscribe();
        while !holds(&self.shared.state()) {
            if changed.changed().await.is_err() {
                return;
            }
        }
    }
}

impl Drop for FakeVendor {
    fn drop(&mut self) {
        self.running.abort();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a request; says what goes wrong with it and what to say.
    fn take(&self, asked: Asked, model: &str) -> (Fault, Option<Script>) {
        let mut state = self.state();
        state.asked.push(asked);
        let set = state.next.pop_front().unwrap_or_else(|| state.fault.clone());
        let fault = if set == Fault::None { by_name(model) } else { set };
        let script = state.script.clone();
        drop(state);
        self.changed.send_modify(|n| *n += 1);
        (fault, script)
    }

    fn left(&self) {
        self.state().gone += 1;
        self.changed.send_modify(|n| *n += 1);
    }
}

fn by_name(model: &str) -> Fault {
    match model.strip_prefix("fault-") {
        Some("hang") => Fault::Hang,
        Some("stall") => Fault::Stall(2),
        Some("reset") => Fault::Reset(2),
        Some("garbage") => Fault::Garbage(2),
        Some("slow") => Fault::Slow(Duration::from_millis(50)),
        Some("error") => Fault::Error(2),
        Some("429") => Fault::Status(429, Some(1)),
        Some(status) => status.parse().map_or(Fault::None, |status| Fault::Status(status, None)),
        None => Fault::None,
    }
}
