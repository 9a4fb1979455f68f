//! An MCP server inside a test: does what the test says, and remembers what reached it lately.
//!
//! Streamable HTTP on a port of its own. What it does to a call is a [`Behaviour`], set per tool or per method;
//! unset, it answers as a good server would. Waiting is by [`Gate`], never by sleeping: the test sees that a call has
//! arrived, does what it wants, and lets it go on.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use http::HeaderMap;
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
    task::JoinHandle,
};

mod answer;
mod gate;
mod serve;

pub use gate::Gate;

/// How long the waits of this module wait before they give up.
const PATIENCE: Duration = Duration::from_secs(20);
/// Messages that are remembered whole; of earlier ones only how many of each method there were. A test that makes
/// thousands of calls would measure its own server's memory otherwise.
const REMEMBERED: usize = 1_000;
/// Notifications a client may leave unread on its stream before it is dropped.
const STREAM_BACKLOG: usize = 64;

/// What the server does to a call.
#[derive(Clone, Debug, Default)]
pub enum Behaviour {
    /// Answers as a good server: `tools/call` with its argument `text`.
    #[default]
    Good,
    /// Answers with this result.
    Answer(Value),
    /// Answers with a JSON-RPC error.
    RpcError(i64, String),
    /// Answers with a tool result whose `isError` is true.
    ToolError(String),
    /// Answers with this HTTP status and no body.
    Status(u16),
    /// Never answers.
    Hang,
    /// Answers well once the gate is open.
    Wait(Gate),
    /// Closes the connection in the middle of an answer.
    CloseMidAnswer,
    /// Answers with these bytes as `application/json`.
    Garbage(Bytes),
    /// Answers well but with a text of this many bytes.
    Oversized(usize),
    /// Answers with an event stream: this many progress notifications, then the result.
    Progress(u32),
    /// The same, but between progress and result waits for the gate.
    ProgressThenWait(u32, Gate),
    /// Answers with an event stream that ends without a result.
    StreamWithoutResult,
}

/// A message that reached the server.
#[derive(Clone, Debug)]
pub struct Received {
    /// HTTP method.
    pub http_method: http::Method,
    /// Headers.
    pub headers: HeaderMap,
    /// JSON-RPC method; empty where the message has none or is none.
    pub method: String,
    /// The whole message; `null` where the body was no JSON.
    pub message: Value,
}

impl Received {
    /// The parameters.
    pub fn params(&self) -> &Value {
        &self.message["params"]
    }

    /// A header as text, if it is there.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

#[derive(Default)]
struct State {
    by_tool: HashMap<String, Behaviour>,
    by_method: HashMap<String, Behaviour>,
    lists: HashMap<&'static str, Vec<Value>>,
    require_session: bool,
    sessions: HashSet<String>,
    received: VecDeque<Received>,
    /// How many came, by method.
    counts: HashMap<String, usize>,
    streams: Vec<mpsc::Sender<Bytes>>,
    abandoned: usize,
}

impl State {
    fn receive(&mut self, received: Received) {
        match self.counts.get_mut(&received.method) {
            Some(count) => *count += 1,
            None => {
                self.counts.insert(received.method.clone(), 1);
            }
        }
        if self.received.len() == REMEMBERED {
            self.received.pop_front();
        }
        self.received.push_back(received);
    }

    fn count(&self, method: &str) -> usize {
        self.counts.get(method).copied().unwrap_or(0)
    }
}

struct Shared {
    state: Mutex<State>,
    /// Counts changes of `state` that somebody may wait for.
    news: watch::Sender<u64>,
    next_session: AtomicU64,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.state());
        self.news.send_modify(|count| *count += 1);
        result
    }
}

/// A running server. Dropping it ends it.
pub struct Scripted {
    shared: Arc<Shared>,
    address: SocketAddr,
    server: Mutex<Option<JoinHandle<()>>>,
}

impl Scripted {
    /// Starts a server with one tool, `echo`, on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let state = State { lists: HashMap::from([("tools", vec![tool("echo")])]), ..State::default() };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            news: watch::Sender::new(0),
            next_session: AtomicU64::new(1),
        });
        let server = Mutex::new(Some(tokio::spawn(serve::connections(listener, shared.clone()))));
        Ok(Self { shared, address, server })
    }

    /// URL of its MCP endpoint.
    pub fn url(&self) -> String {
        format!("http://{}/mcp", self.address)
    }

    /// Sets what it does to `tools/call` of the tool `name`, which need not be in its list.
    pub fn on_tool(&self, name: impl Into<String>, behaviour: Behaviour) {
        self.shared.change(|state| state.by_tool.insert(name.into(), behaviour));
    }

    /// Sets what it does to requests of `method`, `initialize` included.
    pub fn on_method(&self, method: impl Into<String>, behaviour: Behaviour) {
        self.shared.change(|state| state.by_method.insert(method.into(), behaviour));
    }

    /// Sets the tools it lists, by name, and tells every open stream that they changed.
    pub fn set_tools(&self, names: &[&str]) {
        self.set_list("tools", names.iter().map(|name| tool(name)).collect());
    }

    /// Sets a list (`tools`, `prompts`, `resources`, `resourceTemplates`) and tells every open stream.
    pub fn set_list(&self, list: &'static str, entries: Vec<Value>) {
        self.shared.change(|state| state.lists.insert(list, entries));
        let changed = if list == "resourceTemplates" { "resources" } else { list };
        self.notify(&format!("notifications/{changed}/list_changed"), None);
    }

    /// Sends a notification on every open stream.
    pub fn notify(&self, method: &str, params: Option<&Value>) {
        let mut message = json!({"jsonrpc": "2.0", "method": method});
        if let Some(params) = params {
            message["params"] = params.clone();
        }
        let event = answer::event(&message);
        // A client that does not read is dropped, as a good server would.
        self.shared.change(|state| state.streams.retain(|stream| stream.try_send(event.clone()).is_ok()));
    }

    /// Sets whether requests other than `initialize` need a session: 400 without one, 404 with an unknown one.
    pub fn require_session(&self, required: bool) {
        self.shared.change(|state| state.require_session = required);
    }

    /// Forgets all sessions, as a server that was restarted.
    pub fn forget_sessions(&self) {
        self.shared.change(|state| state.sessions.clear());
    }

    /// The messages that reached it, in order; of more than a thousand the last ones.
    pub fn received(&self) -> Vec<Received> {
        self.shared.state().received.iter().cloned().collect()
    }

    /// How many messages of one JSON-RPC method reached it, also of those that are not remembered any more.
    pub fn count_of(&self, method: &str) -> usize {
        self.shared.state().count(method)
    }

    /// The messages of one JSON-RPC method among [`Scripted::received`], in order.
    pub fn received_of(&self, method: &str) -> Vec<Received> {
        self.shared.state().received.iter().filter(|one| one.method == method).cloned().collect()
    }

    /// How many calls their clients left before they were answered.
    pub fn abandoned(&self) -> usize {
        self.shared.state().abandoned
    }

    /// Waits until `count` messages of `method` have come, and returns them.
    ///
    /// # Errors
    /// After 20 seconds, with what came instead.
    pub async fn wait_for(&self, method: &str, count: usize) -> io::Result<Vec<Received>> {
        let waited = format!("{count} messages of {method}");
        self.wait_until(&waited, |state| state.count(method) >= count).await?;
        Ok(self.received_of(method))
    }

    /// Waits until `count` calls were left by their clients.
    ///
    /// # Errors
    /// After 20 seconds.
    pub async fn wait_for_abandoned(&self, count: usize) -> io::Result<()> {
        self.wait_until(&format!("{count} abandoned calls"), |state| state.abandoned >= count).await
    }

    /// Waits until `count` streams for notifications are open.
    ///
    /// # Errors
    /// After 20 seconds.
    pub async fn wait_for_streams(&self, count: usize) -> io::Result<()> {
        let open = |state: &State| state.streams.iter().filter(|stream| !stream.is_closed()).count();
        self.wait_until(&format!("{count} open streams"), |state| open(state) >= count).await
    }

    async fn wait_until(&self, what: &str, condition: impl Fn(&State) -> bool) -> io::Result<()> {
        let mut news = self.shared.news.subscribe();
        let waited = tokio::time::timeout(PATIENCE, news.wait_for(|_| condition(&self.shared.state()))).await;
        waited.map(drop).map_err(|_| {
            let state = self.shared.state();
            let came: Vec<&str> = state.received.iter().map(|one| one.method.as_str()).collect();
            let message = format!("waited for {what} in vain; came: {came:?}");
            io::Error::new(io::ErrorKind::TimedOut, message)
        })
    }

    /// Goes down: closes all connections and takes no new ones. Sessions are forgotten.
    pub async fn down(&self) {
        let server = self.server.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        if let Some(server) = server {
            server.abort();
            // It ends by being aborted; there is nothing else it could say.
            let _ = server.await;
        }
        self.shared.change(|state| {
            state.sessions.clear();
            state.streams.clear();
        });
    }

    /// Comes back on the same port.
    ///
    /// # Errors
    /// When another program took the port meanwhile.
    pub async fn up(&self) -> io::Result<()> {
        let listener = TcpListener::bind(self.address).await?;
        let server = tokio::spawn(serve::connections(listener, self.shared.clone()));
        let old = self.server.lock().unwrap_or_else(std::sync::PoisonError::into_inner).replace(server);
        if let Some(old) = old {
            old.abort();
        }
        Ok(())
    }

    fn new_session(shared: &Shared) -> String {
        let id = format!("session-{}", shared.next_session.fetch_add(1, Relaxed));
        shared.change(|state| state.sessions.insert(id.clone()));
        id
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        if let Some(server) = self.server.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take() {
            server.abort();
        }
    }
}

/// A tool for a list: one argument, `text`.
pub fn tool(name: &str) -> Value {
    json!({
        "name": name,
        "description": format!("The tool {name}."),
        "inputSchema": {"type": "object", "properties": {"text": {"type": "string"}}},
    })
}

#[cfg(test)]
mod tests;
