//! Plugin servers over gRPC: the `grpc:` block of an entry.
//!
//! One connection carries all calls, each a stream of its own: a call that is dropped resets its stream, and the server
//! learns of it. Which release a server is of is told by which name it knows its service by; the messages are the same.
//! No pings are sent: servers of other languages take them for an attack.

pub(crate) mod block;
mod dial;

use std::{
    error::Error as StdError,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use mortise_framework::config::PluginEntry;
use mortise_plugin_api::{BuildError, Fut, PluginError};
use mortise_proto::contextforge::{
    cpex,
    cpex::{GetPluginConfigRequest, HealthCheckRequest, health_check_response::ServingStatus},
    mcpgateway::plugins as first,
};
use serde_json::{Map, Value};
use tokio::sync::watch;
use tonic::{Code, Status, transport::Channel};

use crate::{
    link::{Ask, Fault, Link, Remote, Told},
    message,
    settings::Settings,
};
use block::Way;

/// Longest wait for an answer to what is asked of a server itself.
const ASKING: Duration = Duration::from_secs(10);

/// Makes the link that the block of an entry describes. Pure: connects nothing.
pub(crate) fn link(entry: &PluginEntry, block: &Map<String, Value>) -> Result<Box<dyn Link>, BuildError> {
    let way = Way::of(block)?;
    let max_bytes = Settings::of(entry)?.max_answer_bytes;
    Ok(Box::new(GrpcLink { way: Arc::new(way), max_bytes, session: Mutex::new(None) }))
}

struct GrpcLink {
    way: Arc<Way>,
    max_bytes: usize,
    session: Mutex<Option<Session>>,
}

/// A connection, and by which name its server knows its service.
#[derive(Clone)]
struct Session {
    client: Client,
    channel: Channel,
    /// Set once the connection has ended.
    gone: watch::Receiver<bool>,
}

/// The same service under its two names.
#[derive(Clone)]
enum Client {
    Today(cpex::plugin_service_client::PluginServiceClient<Channel>),
    First(first::plugin_service_client::PluginServiceClient<Channel>),
}

impl GrpcLink {
    fn current(&self) -> Result<Session, Fault> {
        let session = self.session.lock().unwrap_or_else(PoisonError::into_inner).clone();
        session.ok_or_else(|| Fault::Unreached("its server is not connected".to_owned()))
    }

    fn replace(&self, session: Option<Session>) {
        *self.session.lock().unwrap_or_else(PoisonError::into_inner) = session;
    }

    async fn connect(&self, plugin: &str) -> Result<Remote, Fault> {
        let (channel, gone) = dial::connect(self.way.clone()).await.map_err(Fault::Unreached)?;
        let today = cpex::plugin_service_client::PluginServiceClient::new(channel.clone())
            .max_decoding_message_size(self.max_bytes)
            .max_encoding_message_size(usize::MAX);
        let asked = GetPluginConfigRequest { name: plugin.to_owned() };
        let (client, answer) = match within(today.clone().get_plugin_config(asked.clone())).await {
            Err(status) if status.code() == Code::Unimplemented => {
                let first = first::plugin_service_client::PluginServiceClient::new(channel.clone())
                    .max_decoding_message_size(self.max_bytes)
                    .max_encoding_message_size(usize::MAX);
                let answer = within(first.clone().get_plugin_config(asked)).await;
                (Client::First(first), answer)
            }
            answer => (Client::Today(today), answer),
        };
        let answer = answer.map_err(|status| opening(&status))?.into_inner();
        let remote = message::remote(plugin, answer)?;
        self.replace(Some(Session { client, channel, gone }));
        Ok(remote)
    }

    async fn ask(&self, ask: Ask<'_>) -> Result<Told, Fault> {
        let session = self.current()?;
        let message = message::asked(&ask)?;
        let answer = match session.client {
            Client::Today(mut client) => client.invoke_hook(message).await,
            Client::First(mut client) => client.invoke_hook(message).await,
        };
        let answer = answer.map_err(|status| calling(&status))?.into_inner();
        Ok(message::told(&ask, answer))
    }

    async fn look(&self) -> Result<(), Fault> {
        let Session { client, channel, .. } = self.current()?;
        let asked = HealthCheckRequest::default();
        let answer = match client {
            Client::Today(_) => within(cpex::health_client::HealthClient::new(channel).check(asked)).await,
            Client::First(_) => within(first::health_client::HealthClient::new(channel).check(asked)).await,
        };
        match answer.map(|answer| answer.into_inner().status()) {
            Ok(ServingStatus::Serving | ServingStatus::Unknown) => Ok(()),
            Ok(_) => {
                Err(PluginError::Unavailable("its server says that it does not serve".to_owned()).into())
            }
            // Not every server has that service; that it answers is what counts.
            Err(status) if status.code() == Code::Unimplemented => Ok(()),
            Err(status) => Err(calling(&status)),
        }
    }
}

impl Link for GrpcLink {
    fn target(&self) -> String {
        self.way.target()
    }

    fn open<'a>(&'a self, plugin: &'a str) -> Fut<'a, Result<Remote, Fault>> {
        Box::pin(self.connect(plugin))
    }

    fn invoke<'a>(&'a self, ask: Ask<'a>) -> Fut<'a, Result<Told, Fault>> {
        Box::pin(self.ask(ask))
    }

    fn health(&self) -> Fut<'_, Result<(), Fault>> {
        Box::pin(self.look())
    }

    fn lost(&self) -> Fut<'_, String> {
        Box::pin(async move {
            let Ok(mut session) = self.current() else { return "it is not connected".to_owned() };
            // Whoever could still say so has gone as well: the connection is no more.
            let _ = session.gone.wait_for(|gone| *gone).await;
            "its server closed the connection".to_owned()
        })
    }

    fn close(&self) -> Fut<'_, ()> {
        self.replace(None);
        Box::pin(std::future::ready(()))
    }
}

async fn within<T>(asking: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
    let late = |_| Status::deadline_exceeded(format!("no answer within {} s", ASKING.as_secs()));
    tokio::time::timeout(ASKING, asking).await.map_err(late)?
}

/// What a failure means before anything was asked of a plugin: nothing can have happened.
fn opening(status: &Status) -> Fault {
    match status.code() {
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled => Fault::Unreached(said(status)),
        Code::Unknown | Code::Internal if status.source().is_some() => Fault::Unreached(said(status)),
        Code::Unimplemented => {
            let why = "its server has no plugin service, of today or of the first release".to_owned();
            PluginError::InvalidAnswer(why).into()
        }
        _ => calling(status),
    }
}

/// What a failure of a call means.
fn calling(status: &Status) -> Fault {
    match status.code() {
        Code::Unavailable if never_connected(status) => Fault::Unreached(said(status)),
        // Of a call that broke off nobody knows whether the plugin has seen it.
        Code::Unavailable => Fault::Lost(said(status)),
        Code::Unknown | Code::Internal | Code::Cancelled if status.source().is_some() => {
            Fault::Lost(said(status))
        }
        Code::OutOfRange | Code::ResourceExhausted | Code::DataLoss => {
            PluginError::InvalidAnswer(said(status)).into()
        }
        _ => PluginError::failed(said(status)).into(),
    }
}

/// Whether there was no connection that the call could have gone out on.
fn never_connected(status: &Status) -> bool {
    let mut next: Option<&(dyn StdError + 'static)> = status.source();
    while let Some(error) = next {
        let kind = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
        if matches!(kind, Some(std::io::ErrorKind::ConnectionRefused | std::io::ErrorKind::NotFound)) {
            return true;
        }
        next = error.source();
    }
    false
}

/// What a status says and what is behind it, at a length that fits a log line.
fn said(status: &Status) -> String {
    let mut text = format!("gRPC status {:?}: {}", status.code(), status.message());
    let mut next: Option<&(dyn StdError + 'static)> = status.source();
    while let Some(error) = next {
        let cause = error.to_string();
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
        next = error.source();
    }
    text.chars().take(400).collect()
}
