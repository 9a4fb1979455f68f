//! The connection to a foreign plugin: many calls at once, each answered, cancelled or failed, never mixed.
//!
//! A call holds a permit until it is answered, or until its cancellation has been written. So at most two frames per
//! permit are ever queued, and the queue to the writer, made for that many, cannot be full: cancelling needs no
//! waiting and works in `drop`.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use bytes::Bytes;
use mortise_plugin_api::{PluginError, wire::WireContext};
use serde::Deserialize;
use tokio::{
    io::AsyncWriteExt,
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    task::JoinHandle,
};

use super::{Limits, frame};

/// An open connection. Dropping it ends its tasks and fails its calls.
pub(super) struct Link {
    outgoing: mpsc::Sender<Outgoing>,
    permits: Arc<Semaphore>,
    calls: Arc<Calls>,
    next_id: AtomicU64,
    max_frame: usize,
    tasks: [JoinHandle<()>; 2],
}

enum Outgoing {
    Call(Bytes),
    /// Keeps the permit of the call until it is written.
    Cancel(u64, OwnedSemaphorePermit),
    End,
}

type Waiting = oneshot::Sender<Result<Bytes, PluginError>>;

/// Calls that wait for an answer.
#[derive(Default)]
struct Calls {
    table: Mutex<Table>,
    late: AtomicU64,
}

#[derive(Default)]
struct Table {
    waiting: HashMap<u64, Waiting>,
    /// Why no call can be taken any more.
    closed: Option<PluginError>,
}

#[derive(Deserialize)]
struct Head {
    id: u64,
}

impl Calls {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, id: u64, waiting: Waiting) -> Result<(), PluginError> {
        let mut table = self.table();
        if let Some(why) = &table.closed {
            return Err(why.clone());
        }
        table.waiting.insert(id, waiting);
        Ok(())
    }

    fn remove(&self, id: u64) {
        self.table().waiting.remove(&id);
    }

    fn answer(&self, id: u64, answer: Bytes) {
        let waiting = self.table().waiting.remove(&id);
        let delivered = waiting.is_some_and(|waiting| waiting.send(Ok(answer)).is_ok());
        if !delivered {
            self.late.fetch_add(1, Relaxed);
        }
    }

    /// Fails all calls with `now` and all later ones with `after`. Only the first reason counts.
    fn close(&self, now: &PluginError, after: PluginError) {
        let mut table = self.table();
        table.closed.get_or_insert(after);
        for (_, waiting) in table.waiting.drain() {
            // Whoever gave up meanwhile needs no error.
            let _ = waiting.send(Err(now.clone()));
        }
    }

    fn close_unavailable(&self, why: &str) {
        let error = PluginError::Unavailable(why.to_owned());
        self.close(&error, error.clone());
    }
}

impl Link {
    pub(super) fn open(stream: UnixStream, limits: Limits) -> Self {
        let (reading, writing) = stream.into_split();
        let calls = Arc::new(Calls::default());
        let (outgoing, queue) = mpsc::channel(2 * limits.max_in_flight + 1);
        let tasks = [
            tokio::spawn(read(reading, calls.clone(), limits.max_frame)),
            tokio::spawn(write(writing, queue, calls.clone())),
        ];
        Self {
            outgoing,
            permits: Arc::new(Semaphore::new(limits.max_in_flight)),
            calls,
            next_id: AtomicU64::new(1),
            max_frame: limits.max_frame,
            tasks,
        }
    }

    /// Sends a call and waits for the frame that answers it. Dropping the future cancels the call at the other side.
    pub(super) async fn call(
        &self,
        hook: &str,
        end: &str,
        payload: &Bytes,
        context: &WireContext,
    ) -> Result<Bytes, PluginError> {
        let closed = || PluginError::Unavailable("its connection is closed".to_owned());
        let permit = self.permits.clone().acquire_owned().await.map_err(|_| closed())?;
        let id = self.next_id.fetch_add(1, Relaxed);
        let frame = self.encode(id, hook, end, payload, context)?;
        let (waiting, answer) = oneshot::channel();
        self.calls.add(id, waiting)?;
        let mut under_way = UnderWay { link: self, id, permit: Some(permit) };
        let outcome = match self.outgoing.try_send(Outgoing::Call(frame)) {
            Ok(()) => answer.await.unwrap_or_else(|_| Err(closed())),
            Err(_) => Err(closed()),
        };
        under_way.permit = None;
        outcome
    }

    /// The payload is put in as the bytes it already has.
    fn encode(
        &self,
        id: u64,
        hook: &str,
        end: &str,
        payload: &Bytes,
        context: &WireContext,
    ) -> Result<Bytes, PluginError> {
        let failed =
            |reason: String| PluginError::failed(format!("a call of {hook} could not be encoded: {reason}"));
        let context = serde_json::to_vec(context).map_err(|error| failed(error.to_string()))?;
        let hook = serde_json::to_string(hook).map_err(|error| failed(error.to_string()))?;
        let mut frame = frame::begin(payload.len() + context.len() + 100);
        frame.extend_from_slice(format!(r#"{{"id":{id},"hook":{hook},"end":"{end}","payload":"#).as_bytes());
        frame.extend_from_slice(payload);
        frame.extend_from_slice(br#","context":"#);
        frame.extend_from_slice(&context);
        frame.push(b'}');
        frame::end(frame, self.max_frame)
            .ok_or_else(|| failed(format!("longer than {} bytes", self.max_frame)))
    }

    pub(super) fn late_answers(&self) -> u64 {
        self.calls.late.load(Relaxed)
    }

    pub(super) fn health(&self) -> Result<(), PluginError> {
        self.calls.table().closed.clone().map_or(Ok(()), Err)
    }

    /// Takes no more calls and tells the other side, after what is queued, that nothing follows.
    pub(super) fn end(&self) {
        self.calls.close_unavailable("it has been stopped");
        // Where the writer is gone there is nobody left to tell.
        let _ = self.outgoing.try_send(Outgoing::End);
    }

    /// Ends the connection now.
    pub(super) fn abort(&self) {
        for task in &self.tasks {
            task.abort();
        }
        self.calls.close_unavailable("its connection is closed");
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.abort();
    }
}

/// Cancels the call unless it was answered.
struct UnderWay<'a> {
    link: &'a Link,
    id: u64,
    /// Taken when the call is over.
    permit: Option<OwnedSemaphorePermit>,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.link.calls.remove(self.id);
        if let Some(permit) = self.permit.take() {
            // Fails only where the connection is gone, and with it the call.
            let _ = self.link.outgoing.try_send(Outgoing::Cancel(self.id, permit));
        }
    }
}

async fn read(mut stream: OwnedReadHalf, calls: Arc<Calls>, max_frame: usize) {
    loop {
        match frame::read(&mut stream, max_frame).await {
            Ok(Some(frame)) => match serde_json::from_slice::<Head>(&frame) {
                Ok(head) => calls.answer(head.id, frame),
                Err(error) => {
                    // Whose answer this was cannot be told, so nobody's can be trusted.
                    let now = PluginError::InvalidAnswer(format!("a frame that answers no call: {error}"));
                    let after = "it spoke garbage and was given up".to_owned();
                    return calls.close(&now, PluginError::Unavailable(after));
                }
            },
            Ok(None) => return calls.close_unavailable("its process closed the connection"),
            Err(error) => return calls.close_unavailable(&format!("its connection broke: {error}")),
        }
    }
}

async fn write(mut stream: OwnedWriteHalf, mut queue: mpsc::Receiver<Outgoing>, calls: Arc<Calls>) {
    while let Some(next) = queue.recv().await {
        let written = match next {
            Outgoing::Call(frame) => stream.write_all(&frame).await,
            Outgoing::Cancel(id, permit) => {
                let body = format!(r#"{{"cancel":{id}}}"#);
                let written = match frame::whole(body.as_bytes(), usize::MAX) {
                    Some(frame) => stream.write_all(&frame).await,
                    None => Ok(()),
                };
                drop(permit);
                written
            }
            Outgoing::End => stream.shutdown().await,
        };
        if let Err(error) = written {
            return calls.close_unavailable(&format!("its connection broke: {error}"));
        }
    }
}
