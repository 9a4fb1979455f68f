//! The connection to a worker: many requests at once, each answered, cancelled or failed, never mixed.
//!
//! A request holds a permit until the worker has answered it, a cancelled one too: so what is queued is bounded, a worker
//! that hangs on to what was cancelled takes no more than its share, and cancelling needs no waiting and works in `drop`.
//! What tells a stuck worker from a slow one is [`Link::stuck`], asked by whoever watches.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use mortise_plugin_api::PluginError;
use serde::Deserialize;
use tokio::{
    io::AsyncWriteExt,
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use crate::frame;

/// Requests under way at once; further ones wait within their deadline.
const MOST_IN_FLIGHT: usize = 256;

/// A line that a plugin printed or logged: its number, where it is known, level and text.
pub(crate) type Said = (Option<u64>, String, String);

/// Takes what plugins say.
pub(crate) type Listener = Arc<dyn Fn(Said) + Send + Sync>;

/// An open connection. Dropping it ends its tasks and fails its requests.
pub(crate) struct Link {
    outgoing: mpsc::Sender<Vec<u8>>,
    permits: Arc<Semaphore>,
    shared: Arc<Shared>,
    next_id: AtomicU64,
    _tasks: JoinSet<()>,
}

struct Shared {
    table: Mutex<Table>,
    /// Told when a first request comes.
    busy: Notify,
    began: Instant,
    /// When the worker last said anything, in milliseconds after `began`.
    heard: AtomicU64,
    /// Set once no request can be taken any more.
    closed: CancellationToken,
}

#[derive(Default)]
struct Table {
    waiting: HashMap<u64, Waiting>,
    /// Why no request can be taken any more.
    closed: Option<Arc<str>>,
}

struct Waiting {
    /// `None` once nobody waits any more.
    to: Option<oneshot::Sender<Result<Bytes, PluginError>>>,
    given_up: Option<Instant>,
    _permit: OwnedSemaphorePermit,
}

/// A frame from the worker, as far as it must be known whose it is.
#[derive(Deserialize)]
struct Head {
    id: Option<u64>,
    log: Option<Said>,
}

impl Shared {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn add(&self, id: u64, waiting: Waiting) -> Result<(), PluginError> {
        let first = {
            let mut table = self.table();
            if let Some(why) = &table.closed {
                return Err(PluginError::Unavailable(why.to_string()));
            }
            table.waiting.insert(id, waiting);
            table.waiting.len() == 1
        };
        if first {
            // What it said long ago is no sign of life now.
            self.heard.store(self.now(), Relaxed);
            self.busy.notify_one();
        }
        Ok(())
    }

    fn answer(&self, id: u64, answer: Bytes) {
        let waiting = self.table().waiting.remove(&id);
        if let Some(to) = waiting.and_then(|waiting| waiting.to) {
            // Whoever gave up meanwhile needs no answer.
            let _ = to.send(Ok(answer));
        }
    }

    /// Fails everything under way and all that comes. Only the first reason counts.
    fn close(&self, why: &str) {
        let mut table = self.table();
        let why = table.closed.get_or_insert_with(|| why.into()).to_string();
        // Before anybody is told: whose call failed here must not find this link open with the next one.
        self.closed.cancel();
        for to in table.waiting.drain().filter_map(|(_, waiting)| waiting.to) {
            let _ = to.send(Err(PluginError::Unavailable(why.clone())));
        }
    }
}

impl Link {
    /// Talks over `stream`.
    pub(crate) fn open(stream: UnixStream, listener: Listener) -> Self {
        let (reading, writing) = stream.into_split();
        let shared = Arc::new(Shared {
            table: Mutex::default(),
            busy: Notify::new(),
            began: Instant::now(),
            heard: AtomicU64::new(0),
            closed: CancellationToken::new(),
        });
        // A request and its cancellation for each permit, and a ping.
        let (outgoing, queue) = mpsc::channel(2 * MOST_IN_FLIGHT + 1);
        let mut tasks = JoinSet::new();
        tasks.spawn(read(reading, shared.clone(), listener));
        tasks.spawn(write(writing, queue, shared.clone()));
        let permits = Arc::new(Semaphore::new(MOST_IN_FLIGHT));
        Self { outgoing, permits, shared, next_id: AtomicU64::new(1), _tasks: tasks }
    }

    /// Sends a request and waits for its answer. `parts` are its members after `id`, as JSON. Dropping the future cancels
    /// the request at the other side.
    pub(crate) async fn request(&self, parts: &[&[u8]]) -> Result<Bytes, PluginError> {
        let closed = || PluginError::Unavailable("its worker is gone".to_owned());
        let permit = self.permits.clone().acquire_owned().await.map_err(|_| closed())?;
        let id = self.next_id.fetch_add(1, Relaxed);
        let frame = encode(id, parts)?;
        let (to, answer) = oneshot::channel();
        self.shared.add(id, Waiting { to: Some(to), given_up: None, _permit: permit })?;
        let mut under_way = UnderWay { link: self, id, over: false };
        let outcome = match self.outgoing.try_send(frame) {
            Ok(()) => answer.await.unwrap_or_else(|_| Err(closed())),
            Err(_) => Err(closed()),
        };
        under_way.over = true;
        outcome
    }

    /// Waits until no request can be taken any more, and says why.
    pub(crate) async fn closed(&self) -> String {
        self.shared.closed.cancelled().await;
        self.shared.table().closed.as_deref().unwrap_or("its worker is gone").to_owned()
    }

    /// Whether no request can be taken any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.shared.closed.is_cancelled()
    }

    /// Fails everything under way and all that comes.
    pub(crate) fn close(&self, why: &str) {
        self.shared.close(why);
    }

    /// Waits until the worker has given no sign of life for `patience` while somebody waited for it, or has not let go of
    /// what was cancelled that long ago; says what it is.
    pub(crate) async fn stuck(&self, patience: Duration) -> String {
        let pause = (patience / 4).clamp(Duration::from_millis(20), Duration::from_secs(5));
        loop {
            while self.shared.table().waiting.is_empty() {
                self.shared.busy.notified().await;
            }
            tokio::time::sleep(pause).await;
            let held = {
                let table = self.shared.table();
                let given_up = table.waiting.values().filter_map(|waiting| waiting.given_up);
                let held = given_up.filter(|since| since.elapsed() > patience).count();
                (!table.waiting.is_empty()).then_some((held, table.waiting.len()))
            };
            let Some((held, waiting)) = held else { continue };
            let silent = self.shared.now().saturating_sub(self.shared.heard.load(Relaxed));
            if u128::from(silent) > patience.as_millis() {
                return format!("it gave no sign of life for {silent} ms while {waiting} calls waited");
            }
            if held > 0 {
                return format!("{held} cancelled calls did not end within {} ms", patience.as_millis());
            }
            // Its answer is a sign of life; id 0 is nobody's.
            let _ = self.outgoing.try_send(frame::whole(br#"{"id":0,"do":"ping"}"#));
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.shared.close("its worker was stopped");
    }
}

fn encode(id: u64, parts: &[&[u8]]) -> Result<Vec<u8>, PluginError> {
    let mut frame = frame::begin(parts.iter().map(|part| part.len()).sum::<usize>() + 32);
    frame.extend_from_slice(format!(r#"{{"id":{id},"#).as_bytes());
    parts.iter().for_each(|part| frame.extend_from_slice(part));
    frame.push(b'}');
    let too_long = || PluginError::failed(format!("the call is longer than {} bytes", frame::LONGEST));
    frame::end(frame).ok_or_else(too_long)
}

/// Cancels the request unless it was answered.
struct UnderWay<'a> {
    link: &'a Link,
    id: u64,
    over: bool,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        let known = match self.link.shared.table().waiting.get_mut(&self.id) {
            Some(waiting) => {
                waiting.to = None;
                waiting.given_up = Some(Instant::now());
                true
            }
            None => false,
        };
        if known {
            // Fails only where the connection is gone, and with it the request.
            let cancel = format!(r#"{{"cancel":{}}}"#, self.id);
            let _ = self.link.outgoing.try_send(frame::whole(cancel.as_bytes()));
        }
    }
}

async fn read(mut stream: OwnedReadHalf, shared: Arc<Shared>, listener: Listener) {
    loop {
        match frame::read(&mut stream).await {
            Ok(Some(frame)) => match serde_json::from_slice::<Head>(&frame) {
                Ok(Head { log: Some(said), .. }) => listener(said),
                Ok(Head { id: Some(id), .. }) => {
                    shared.heard.store(shared.now(), Relaxed);
                    shared.answer(id, frame);
                }
                // Whose answer this was cannot be told, so nobody's can be trusted.
                Ok(_) | Err(_) => return shared.close("its worker sent what is no answer"),
            },
            Ok(None) => return shared.close("its worker ended"),
            Err(error) => return shared.close(&format!("the connection to its worker broke: {error}")),
        }
    }
}

async fn write(mut stream: OwnedWriteHalf, mut queue: mpsc::Receiver<Vec<u8>>, shared: Arc<Shared>) {
    while let Some(frame) = queue.recv().await {
        if let Err(error) = stream.write_all(&frame).await {
            return shared.close(&format!("the connection to its worker broke: {error}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pair() -> (Link, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        (Link::open(ours, Arc::new(|_| ())), theirs)
    }

    async fn received(stream: &mut UnixStream) -> Value {
        serde_json::from_slice(&frame::read(stream).await.unwrap().unwrap()).unwrap()
    }

    async fn send(stream: &mut UnixStream, message: Value) {
        stream.write_all(&frame::whole(message.to_string().as_bytes())).await.unwrap();
    }

    #[tokio::test]
    async fn answers_find_their_requests_in_any_order() {
        let (link, mut worker) = pair();
        let ask = async |name: &str| {
            let answer = link.request(&[format!(r#""do":"{name}""#).as_bytes()]).await.unwrap();
            serde_json::from_slice::<Value>(&answer).unwrap()["says"].clone()
        };
        let serve = async {
            let (first, second) = (received(&mut worker).await, received(&mut worker).await);
            for asked in [second, first] {
                send(&mut worker, json!({ "id": asked["id"], "says": asked["do"] })).await;
            }
        };
        let (one, two, ()) = tokio::join!(ask("one"), ask("two"), serve);
        assert_eq!((one, two), (json!("one"), json!("two")));
    }

    #[tokio::test]
    async fn dropped_request_is_cancelled_and_keeps_its_place_until_the_worker_lets_go() {
        let (link, mut worker) = pair();
        {
            let mut asked = Box::pin(link.request(&[br#""do":"call""#]));
            tokio::select! { biased; _ = &mut asked => unreachable!(), () = tokio::task::yield_now() => {} }
        }
        let id = received(&mut worker).await["id"].clone();
        assert_eq!(received(&mut worker).await, json!({ "cancel": id }));
        assert_eq!(link.permits.available_permits(), MOST_IN_FLIGHT - 1);
        send(&mut worker, json!({ "id": id, "cancelled": true })).await;
        while link.permits.available_permits() < MOST_IN_FLIGHT {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn end_of_the_worker_fails_what_is_under_way_and_what_comes() {
        let (link, mut worker) = pair();
        let ends = async {
            received(&mut worker).await;
            drop(worker);
        };
        let (failed, ()) = tokio::join!(link.request(&[br#""do":"call""#]), ends);
        assert!(matches!(failed, Err(PluginError::Unavailable(why)) if why == "its worker ended"));
        assert_eq!(link.closed().await, "its worker ended");
        assert!(link.request(&[br#""do":"call""#]).await.is_err());
    }

    #[tokio::test]
    async fn what_is_no_frame_of_ours_closes_the_link() {
        let (link, mut worker) = pair();
        worker.write_all(&frame::whole(b"garbage")).await.unwrap();
        assert_eq!(link.closed().await, "its worker sent what is no answer");
    }

    #[tokio::test]
    async fn silence_is_stuck_and_an_answered_ping_is_not() {
        let (link, mut worker) = pair();
        let patience = Duration::from_millis(100);
        let call = link.request(&[br#""do":"call""#]);
        let slow = async {
            let id = received(&mut worker).await["id"].clone();
            for _ in 0..8 {
                assert_eq!(received(&mut worker).await["do"], "ping");
                send(&mut worker, json!({ "id": 0 })).await;
            }
            send(&mut worker, json!({ "id": id })).await;
        };
        tokio::select! {
            why = link.stuck(patience) => unreachable!("{why}"),
            _ = async { tokio::join!(call, slow) } => {}
        }
        let silent = link.request(&[br#""do":"call""#]);
        let why = tokio::select! { why = link.stuck(patience) => why, _ = silent => unreachable!() };
        assert!(why.contains("no sign of life") && why.contains("1 calls"), "{why}");
    }
}
