//! Over standard input and output: one client, many calls at once.
//!
//! Standard output belongs to the protocol; whoever logs does so to standard error. The server ends when its input does,
//! once the calls under way are answered.

use std::{collections::HashMap, sync::Arc, time::Duration};

use mortise_mcp::envelope::{Limits, Message, Notification, RequestId, method};
use mortise_mcp_transport::stdio::connection::{PipeConfig, PipeConnection};
use tokio::{
    sync::{Semaphore, mpsc},
    task::{AbortHandle, JoinSet},
};
use tokio_util::sync::CancellationToken;

use super::Service;

/// Serves the client at the other end of `connection` until it closes or `stop` is set; then calls under way have
/// `drain` to end.
pub(crate) async fn serve(
    service: Arc<Service>,
    connection: PipeConnection,
    calls: usize,
    drain: Duration,
    stop: CancellationToken,
) {
    let Some(mut incoming) = connection.incoming() else { return };
    let mut client = Client {
        service,
        connection,
        room: Arc::new(Semaphore::new(calls)),
        under_way: JoinSet::new(),
        by_id: HashMap::new(),
    };
    stop.run_until_cancelled(client.run(&mut incoming)).await;
    let ended = async { while client.under_way.join_next().await.is_some() {} };
    if tokio::time::timeout(drain, ended).await.is_err() {
        tracing::warn!("calls were still under way at the end of the drain");
    }
    client.connection.close();
}

/// What a pipe to a client allows.
pub(crate) fn config(max_bytes: usize) -> PipeConfig {
    PipeConfig { limits: Limits { max_bytes, ..Limits::default() }, ..PipeConfig::default() }
}

struct Client {
    service: Arc<Service>,
    connection: PipeConnection,
    room: Arc<Semaphore>,
    under_way: JoinSet<RequestId>,
    by_id: HashMap<RequestId, AbortHandle>,
}

impl Client {
    async fn run(&mut self, incoming: &mut mpsc::Receiver<Message>) {
        loop {
            tokio::select! {
                message = incoming.recv() => match message {
                    Some(Message::Request(request)) => {
                        // Whoever sends more than can be under way waits here, and with it what it sends next.
                        let Ok(permit) = self.room.clone().acquire_owned().await else { return };
                        let (id, service) = (request.id.clone(), self.service.clone());
                        let connection = self.connection.clone();
                        let task = self.under_way.spawn(async move {
                            let id = request.id.clone();
                            let answer = service.answer(request).await;
                            // A client that has gone needs no answer.
                            let _gone = connection.send(&answer.into()).await;
                            drop(permit);
                            id
                        });
                        self.by_id.insert(id, task);
                    }
                    Some(Message::Notification(notification)) => self.cancel(&notification),
                    Some(Message::Response(_)) => {}
                    None => return,
                },
                Some(ended) = self.under_way.join_next() => {
                    if let Ok(id) = ended {
                        self.by_id.remove(&id);
                    }
                }
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
