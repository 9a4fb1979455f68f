//! Plugin servers over a raw Unix socket: the `unix_socket:` block of an entry.
//!
//! Frames of protobuf, each behind its length in four bytes, big end first. A connection carries one call at a time, so
//! there are several, kept for the next call; a call that is dropped closes its own, which is how the server learns of
//! it and why a late answer can reach nobody. Between calls a connection is silent: one that has something to read has
//! ended, and another takes its place before anything is sent.

mod connection;

use std::{
    path::PathBuf,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use mortise_framework::config::PluginEntry;
use mortise_plugin_api::{BuildError, Fut, PluginError};
use mortise_proto::contextforge::cpex::{
    GetPluginConfigRequest, GetPluginConfigResponse, InvokeHookResponse,
};
use prost::Message;
use serde_json::{Map, Value};
use tokio::sync::Semaphore;

use crate::{
    grpc::block::{path, text},
    link::{Ask, Fault, Link, Remote, Told},
    message,
    settings::Settings,
};
use connection::Connection;

/// Longest frame there is.
const FRAME: usize = 16 << 20;

/// Connections at once; further calls wait for one.
const CONNECTIONS: usize = 32;

/// Longest wait for an answer to what is asked of a server itself.
const ASKING: Duration = Duration::from_secs(10);

/// Longest wait for an answer unless `timeout` says otherwise.
const ANSWER: Duration = Duration::from_secs(30);

/// Makes the link that the block of an entry describes. Pure: connects nothing.
pub(crate) fn link(entry: &PluginEntry, block: &Map<String, Value>) -> Result<Box<dyn Link>, BuildError> {
    let Some(socket) = text(block, "unix_socket", "path")? else {
        return Err(BuildError::new("unix_socket.path", "must be given"));
    };
    let timeout = match block.get("timeout").filter(|value| !value.is_null()) {
        None => ANSWER,
        Some(value) => {
            let seconds = value.as_f64().or_else(|| value.as_str()?.trim().parse().ok());
            let seconds = seconds.filter(|seconds| (0.001..=3600.0).contains(seconds));
            let wrong = || BuildError::new("unix_socket.timeout", "must be seconds from 0.001 to 3600");
            Duration::from_secs_f64(seconds.ok_or_else(wrong)?)
        }
    };
    Ok(Box::new(UnixLink {
        path: path(socket.strip_prefix("unix://").unwrap_or(socket)),
        timeout,
        max_bytes: Settings::of(entry)?.max_answer_bytes.min(FRAME),
        idle: Mutex::default(),
        room: Semaphore::new(CONNECTIONS),
    }))
}

struct UnixLink {
    path: PathBuf,
    timeout: Duration,
    max_bytes: usize,
    /// Connections that wait for a call.
    idle: Mutex<Vec<Connection>>,
    room: Semaphore,
}

impl UnixLink {
    /// A connection that nobody uses, and that was alive a moment ago.
    async fn connection(&self) -> Result<Connection, Fault> {
        loop {
            let kept = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            match kept {
                Some(connection) if connection.is_silent() => return Ok(connection),
                // Its server has closed it.
                Some(_) => {}
                None => break,
            }
        }
        let connected = Connection::open(&self.path, self.max_bytes).await;
        connected.map_err(|error| Fault::Unreached(format!("it cannot be connected to: {error}")))
    }

    /// Sends a frame and waits for the one that answers it.
    async fn exchange(&self, frame: &impl Message, patience: Duration) -> Result<bytes::Bytes, Fault> {
        if frame.encoded_len() > FRAME {
            let why = format!("the call is longer than the {FRAME} bytes that fit a frame");
            return Err(PluginError::failed(why).into());
        }
        let closed = |_| Fault::Unreached("it has been closed".to_owned());
        let _permit = self.room.acquire().await.map_err(closed)?;
        let mut connection = self.connection().await?;
        let exchanged = tokio::time::timeout(patience, connection.exchange(frame)).await;
        let answer =
            exchanged.map_err(|_| PluginError::Timeout(patience))?.map_err(|error| match error.kind() {
                std::io::ErrorKind::InvalidData => {
                    Fault::Refused(PluginError::InvalidAnswer(error.to_string()))
                }
                _ => Fault::Lost(format!("its connection ended: {error}")),
            })?;
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        Ok(answer)
    }

    async fn config(&self, plugin: &str) -> Result<GetPluginConfigResponse, Fault> {
        let asked = GetPluginConfigRequest { name: plugin.to_owned() };
        let answer = self.exchange(&asked, ASKING).await.map_err(|fault| match fault {
            // Asking has no effect, so nothing is lost but the connection.
            Fault::Lost(why) => Fault::Unreached(why),
            other => other,
        })?;
        let unreadable = |error| PluginError::InvalidAnswer(format!("its entry: {error}"));
        Ok(GetPluginConfigResponse::decode(answer).map_err(unreadable)?)
    }

    async fn connect(&self, plugin: &str) -> Result<Remote, Fault> {
        self.close_idle();
        let answer = self.config(plugin).await?;
        message::remote(plugin, answer)
    }

    async fn ask(&self, ask: Ask<'_>) -> Result<Told, Fault> {
        let message = message::asked(&ask)?;
        let answer = self.exchange(&message, self.timeout).await?;
        let answer = InvokeHookResponse::decode(answer)
            .map_err(|error| PluginError::InvalidAnswer(format!("its answer: {error}")))?;
        Ok(message::told(&ask, answer))
    }

    fn close_idle(&self) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl Link for UnixLink {
    fn target(&self) -> String {
        format!("unix:{}", self.path.display())
    }

    fn open<'a>(&'a self, plugin: &'a str) -> Fut<'a, Result<Remote, Fault>> {
        Box::pin(self.connect(plugin))
    }

    fn invoke<'a>(&'a self, ask: Ask<'a>) -> Fut<'a, Result<Told, Fault>> {
        Box::pin(self.ask(ask))
    }

    fn health(&self) -> Fut<'_, Result<(), Fault>> {
        // Whatever it answers: that it does is what counts.
        Box::pin(async move { self.config("health").await.map(|_| ()) })
    }

    fn close(&self) -> Fut<'_, ()> {
        self.close_idle();
        Box::pin(std::future::ready(()))
    }
}
