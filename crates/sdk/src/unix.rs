//! Over a raw Unix socket: frames of protobuf, each behind its length in four bytes, big end first.
//!
//! A connection carries one call at a time, and nothing in a frame says what it holds; so it is guessed as other servers
//! of this kind do: by which fields are there. A client that closes its connection cancels its call.

mod frame;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use mortise_plugin_api::PluginError;
use mortise_proto::contextforge::cpex;
use prost::Message;
use tokio::{
    io::AsyncWriteExt,
    net::{UnixStream, unix::OwnedWriteHalf},
    sync::Semaphore,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{Plugins, protobuf, socket::Socket};
use frame::Frames;

/// How long a connection may say nothing before it is closed.
const IDLE: Duration = Duration::from_secs(300);

/// How long a client may take to read an answer.
const WRITE: Duration = Duration::from_secs(30);

/// What an answer says to a frame that holds no question.
const UNKNOWN: &str = "UNKNOWN_MESSAGE";

/// Serves connections until `stop` is set; then calls under way have `drain` to end.
pub(crate) async fn serve(
    plugins: Arc<Plugins>,
    socket: Socket,
    max_bytes: usize,
    max_connections: usize,
    drain: Duration,
    stop: CancellationToken,
) {
    let room = Arc::new(Semaphore::new(max_connections.clamp(1, Semaphore::MAX_PERMITS)));
    let (tasks, kill) = (TaskTracker::new(), CancellationToken::new());
    let accepting = async {
        loop {
            let Ok(permit) = room.clone().acquire_owned().await else { return };
            let stream = match socket.listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of files or memory: trying again at once would only burn the processor.
                    tracing::error!(%error, "accepting a connection");
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    continue;
                }
            };
            let (plugins, stop, kill) = (plugins.clone(), stop.clone(), kill.clone());
            tasks.spawn(async move {
                let _permit = permit;
                let connection = connection(&plugins, stream, max_bytes, &stop);
                if let Some(Err(error)) = kill.run_until_cancelled(connection).await {
                    tracing::debug!(%error, "a client's connection ended");
                }
            });
        }
    };
    stop.run_until_cancelled(accepting).await;
    drop(socket);
    tasks.close();
    if tokio::time::timeout(drain, tasks.wait()).await.is_err() {
        tracing::warn!("calls were still under way at the end of the drain");
        kill.cancel();
        tasks.wait().await;
    }
}

async fn connection(
    plugins: &Plugins,
    stream: UnixStream,
    max_bytes: usize,
    stop: &CancellationToken,
) -> std::io::Result<()> {
    let (reading, mut writing) = stream.into_split();
    let mut frames = Frames::new(reading, max_bytes);
    loop {
        let next = tokio::select! {
            biased;
            next = tokio::time::timeout(IDLE, frames.next()) => next,
            () = stop.cancelled() => return Ok(()),
        };
        let Ok(frame) = next else { return Ok(()) };
        let Some(frame) = frame? else { return Ok(()) };
        let answer = tokio::select! {
            biased;
            answer = answer(plugins, frame) => answer,
            // Nobody waits any more: what was begun is dropped.
            () = frames.closed() => return Ok(()),
        };
        write(&mut writing, &answer, max_bytes).await?;
    }
}

async fn write(writing: &mut OwnedWriteHalf, answer: &[u8], max_bytes: usize) -> std::io::Result<()> {
    let too_long;
    let answer = if answer.len() > max_bytes {
        let error = format!("the answer of {} bytes is longer than the {max_bytes} allowed", answer.len());
        too_long = failure(String::new(), &PluginError::failed(error));
        &too_long[..]
    } else {
        answer
    };
    let length = u32::try_from(answer.len()).unwrap_or(u32::MAX).to_be_bytes();
    let writing = async {
        let mut frame = Vec::with_capacity(4 + answer.len());
        frame.extend_from_slice(&length);
        frame.extend_from_slice(answer);
        writing.write_all(&frame).await
    };
    tokio::time::timeout(WRITE, writing).await.map_err(|_| std::io::ErrorKind::TimedOut)?
}

/// Answers a frame, as what it can be read as.
async fn answer(plugins: &Plugins, frame: Bytes) -> Vec<u8> {
    if let Ok(asked) = cpex::InvokeHookRequest::decode(frame.clone())
        && !asked.hook_type.is_empty()
        && !asked.plugin_name.is_empty()
    {
        return protobuf::invoke(plugins, asked).await.encode_to_vec();
    }
    if let Ok(asked) = cpex::GetPluginConfigRequest::decode(frame.clone())
        && !asked.name.is_empty()
    {
        return protobuf::config(plugins, &asked.name).encode_to_vec();
    }
    if frame.len() <= 2 {
        return protobuf::configs(plugins).encode_to_vec();
    }
    let error = PluginError::Failed {
        message: "the message is none that this server knows".to_owned(),
        code: UNKNOWN.to_owned(),
        details: serde_json::Map::new(),
    };
    failure(String::new(), &error)
}

fn failure(plugin_name: String, error: &PluginError) -> Vec<u8> {
    let error = Some(mortise_proto::contextforge::error_to(&plugin_name, error));
    cpex::InvokeHookResponse { plugin_name, error, ..cpex::InvokeHookResponse::default() }.encode_to_vec()
}
