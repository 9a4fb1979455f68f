//! Over standard input and output: one client, many calls at once.
//!
//! Standard output belongs to the protocol; whoever logs does so to standard error. The input may end before the output
//! does, as it does where a file is piped in: what was asked by then is answered, and that is the server's end.

use std::{collections::HashMap, io, sync::Arc, time::Duration};

use bytes::Bytes;
use mortise_mcp::{
    envelope::{Body, Limits, Message, Notification, Request, RequestId, method},
    framing::{LineDecoder, LineError, to_line},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    sync::{Semaphore, mpsc},
    task::{AbortHandle, JoinSet},
};
use tokio_util::sync::CancellationToken;

use super::Service;

/// What is read at once.
const PIECE: usize = 64 * 1024;

/// Answers that wait to be written; calls wait with theirs then.
const ANSWERS: usize = 64;

/// Serves a client until its input ends or `stop` is set; then calls under way have `drain` to end.
pub(crate) async fn serve(
    service: Arc<Service>,
    (mut input, output): (impl AsyncRead + Unpin, impl AsyncWrite + Unpin),
    (max_bytes, calls): (usize, usize),
    drain: Duration,
    stop: CancellationToken,
) {
    let (answers, queue) = mpsc::channel(ANSWERS);
    let mut client = Client {
        service,
        answers,
        room: Arc::new(Semaphore::new(calls)),
        under_way: JoinSet::new(),
        by_id: HashMap::new(),
        limits: Limits { max_bytes, ..Limits::default() },
    };
    let reading = async {
        if let Some(Err(error)) = stop.run_until_cancelled(client.read(&mut input)).await {
            tracing::warn!(%error, "reading from the client");
        }
        let ended = async { while client.under_way.join_next().await.is_some() {} };
        if tokio::time::timeout(drain, ended).await.is_err() {
            tracing::warn!("calls were still under way at the end of the drain");
        }
        // With it goes the last sender of answers, which ends the writing.
        drop(client);
    };
    let ((), written) = tokio::join!(reading, write(output, queue));
    if let Err(error) = written {
        tracing::warn!(%error, "writing to the client");
    }
}

async fn write(mut output: impl AsyncWrite + Unpin, mut queue: mpsc::Receiver<Bytes>) -> io::Result<()> {
    while let Some(line) = queue.recv().await {
        output.write_all(&line).await?;
        output.flush().await?;
    }
    Ok(())
}

struct Client {
    service: Arc<Service>,
    answers: mpsc::Sender<Bytes>,
    room: Arc<Semaphore>,
    under_way: JoinSet<RequestId>,
    by_id: HashMap<RequestId, AbortHandle>,
    limits: Limits,
}

impl Client {
    /// Takes messages until there are none, or nobody reads answers.
    async fn read(&mut self, input: &mut (impl AsyncRead + Unpin)) -> io::Result<()> {
        let mut lines = LineDecoder::new(self.limits.max_bytes);
        let mut piece = vec![0; PIECE];
        while !self.answers.is_closed() {
            let length = input.read(&mut piece).await?;
            if length == 0 {
                let last = lines.finish().map(|line| {
                    line.and_then(|line| Body::parse(&line, &self.limits).map_err(LineError::Envelope))
                });
                if let Some(body) = last {
                    self.take(body).await;
                }
                return Ok(());
            }
            lines.feed(&piece[..length]);
            while let Some(body) = lines.next_body(&self.limits) {
                self.take(body).await;
            }
            self.tidy();
        }
        Ok(())
    }

    async fn take(&mut self, body: Result<Body, LineError>) {
        match body {
            Ok(Body::Single(message)) => self.message(message).await,
            Ok(Body::Batch(messages)) => {
                for message in messages {
                    match message {
                        Ok(message) => self.message(message).await,
                        Err(error) => self.answer(&error.to_response().into()).await,
                    }
                }
            }
            Err(LineError::Envelope(error)) => self.answer(&error.to_response().into()).await,
            Err(error) => tracing::warn!(%error, "a line of the client's is no message"),
        }
    }

    async fn message(&mut self, message: Message) {
        match message {
            Message::Request(request) => self.begin(request).await,
            Message::Notification(notification) => self.cancel(&notification),
            Message::Response(_) => {}
        }
    }

    async fn begin(&mut self, request: Request) {
        // Whoever asks more than can be under way waits here, and with it what it asks next.
        let Ok(permit) = self.room.clone().acquire_owned().await else { return };
        let (id, service, answers) = (request.id.clone(), self.service.clone(), self.answers.clone());
        let task = self.under_way.spawn(async move {
            let id = request.id.clone();
            let answer = service.answer(request).await;
            // A client that has gone needs no answer.
            let _gone = answers.send(to_line(&answer.into())).await;
            drop(permit);
            id
        });
        self.by_id.insert(id, task);
    }

    async fn answer(&self, message: &Message) {
        let _gone = self.answers.send(to_line(message)).await;
    }

    /// Forgets calls that have ended.
    fn tidy(&mut self) {
        while let Some(ended) = self.under_way.try_join_next() {
            if let Ok(id) = ended
                && self.by_id.get(&id).is_some_and(AbortHandle::is_finished)
            {
                self.by_id.remove(&id);
            }
        }
    }

    /// Cancels the call that a notification names.
    fn cancel(&mut self, notification: &Notification) {
        if notification.method != method::CANCELLED {
            return;
        }
        let Some(params) = &notification.params else { return };
        let id = params.object().ok().and_then(|object| object.get("requestId").ok().flatten());
        if let Some(task) = id.and_then(RequestId::from_json).and_then(|id| self.by_id.remove(&id)) {
            task.abort();
        }
    }
}
