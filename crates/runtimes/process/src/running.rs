//! One life of a plugin: from its start until its process ends, its connection closes, or it stops answering.
//!
//! A start is a handshake, a connection, a way back, and then its own initialisation; only when all that is done is
//! there something to call. Everything a life has is owned here, so dropping it at any point leaves nothing behind.

mod session;
mod start;

use std::{
    collections::HashMap,
    io,
    sync::{Arc, OnceLock},
    time::Duration,
};

use mortise_mcp_transport::tls::TlsError;
use mortise_plugin_api::{Confinement, EndpointRegistration, Host, PluginError};
use mortise_proto::tyk::plugin::{
    CloseSessionRequest, Empty, GetConfigSchemaRequest, GetManifestRequest, InitRequest, PingRequest,
    ShutdownRequest, StdioData, grpc_controller_client::GrpcControllerClient,
    grpc_stdio_client::GrpcStdioClient, plugin_service_client::PluginServiceClient, stdio_data::Channel,
};
use tokio::time::{sleep, timeout};
use tokio_util::task::AbortOnDropHandle;
use tonic::Status;

use crate::{
    broker::{self, Broker},
    child::{Process, ProcessError, Starter},
    command::Place,
    endpoints,
    events::Bus,
    folder::Folder,
    kv::Store,
    lines::{LineBuffer, log},
    link::{Link, LinkError},
    manifest::Manifest,
    mux::Mux,
    services::{Asker, Services},
    status,
    terms::{Given, Terms},
};
use start::Begun;
pub(crate) use start::described;

/// Calls of the plugin's own service.
pub(crate) type Client = PluginServiceClient<Link>;

/// Largest message a plugin may answer with, in bytes.
const MAX_ANSWER: usize = 64 << 20;

/// How often it is asked whether it is there, how long it may take to answer, and after how many misses in a row it is
/// not there any more.
const PING_EVERY: Duration = Duration::from_secs(30);
const PING_PATIENCE: Duration = Duration::from_secs(5);
const MISSES: usize = 2;

/// How long questions at the start may take.
const ASKING: Duration = Duration::from_secs(10);

/// How long the steps of an end may take.
const CLOSE_SESSION: Duration = Duration::from_secs(5);
const SHUTDOWN: Duration = Duration::from_secs(10);
const SHUTDOWN_SECONDS: i64 = 5;
const EXIT: Duration = Duration::from_secs(2);

/// What every life of a plugin is started from.
pub(crate) struct Setup {
    pub(crate) place: Place,
    /// What it is started with and under.
    pub(crate) given: Given,
    /// What it is started under since its program has said what it wants.
    pub(crate) learnt: OnceLock<Terms>,
    pub(crate) name: Arc<str>,
    /// The number the plugin is known by.
    pub(crate) number: u32,
    /// Its configuration, as it is initialised with.
    pub(crate) config: HashMap<String, String>,
    pub(crate) host: Arc<dyn Host>,
    pub(crate) starter: Arc<Starter>,
    pub(crate) store: Arc<Store>,
    pub(crate) bus: Arc<Bus>,
}

/// How long a start may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// To say where it listens.
    pub(crate) handshake: Duration,
    /// To initialise itself.
    pub(crate) initialize: Duration,
}

/// Why a plugin did not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    #[error("making a folder for its sockets")]
    Folder(#[source] io::Error),
    #[error("listening for its calls")]
    Listen(#[source] io::Error),
    #[error(transparent)]
    Process(#[from] ProcessError),
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error("preparing to encrypt its connection")]
    Tls(#[from] TlsError),
    #[error("reading the TLS files was broken off")]
    BrokenOff,
    #[error("it listens at no Unix socket, which `process.multiplex` is for")]
    NoSocket,
    #[error("it says that it does not serve")]
    NotServing,
    #[error("{method}: {message}{said}")]
    Call { method: &'static str, message: String, said: String },
    #[error("{method}: no answer within {seconds} s{said}")]
    Silent { method: &'static str, seconds: u64, said: String },
    #[error("plugin initialization failed: {0}")]
    Refused(String),
}

/// A plugin that runs. Dropped, its process is killed.
#[derive(Debug)]
pub(crate) struct Running {
    client: Client,
    manifest: Option<Manifest>,
    confinement: Option<Confinement>,
    registrations: Arc<[EndpointRegistration]>,
    session: Option<AbortOnDropHandle<()>>,
    _stdio: AbortOnDropHandle<()>,
    _broker: Broker,
    link: Link,
    _mux: Option<Mux>,
    /// None for a server that somebody else runs.
    process: Option<Process>,
    _folder: Folder,
}

impl Running {
    /// Starts it.
    pub(crate) async fn start(setup: &Setup, patience: Patience) -> Result<Self, StartError> {
        let Begun { terms, mut manifest, way, link, mux, process, folder } =
            start::begin(setup, patience.handshake).await?;
        let said = || process.as_ref().map(Process::last_words).unwrap_or_default();
        let stdio = AbortOnDropHandle::new(tokio::spawn(stdio(link.clone(), setup.host.clone())));
        let asker = Arc::new(asker(setup));
        let broker =
            Broker::start(&link, folder.path(), Services::new(&asker), way).map_err(StartError::Listen)?;
        let mut client =
            Client::with_origin(link.clone(), link.origin()).max_decoding_message_size(MAX_ANSWER);
        if manifest.is_some() {
            let _ = asker.manifest.set(manifest.clone());
        }
        initialize(setup, &mut client, patience.initialize, &said).await?;
        if manifest.is_none() {
            manifest = late_manifest(&mut client).await;
            let _ = asker.manifest.set(manifest.clone());
        }
        let registrations = endpoints::registrations(client.clone(), &setup.name).await;
        let session = tokio::spawn(session::keep(client.clone(), setup.number));
        Ok(Self {
            client,
            manifest,
            confinement: process.as_ref().map(|process| terms.shown(process.held_by())),
            registrations,
            session: Some(AbortOnDropHandle::new(session)),
            _stdio: stdio,
            _broker: broker,
            link,
            _mux: mux,
            process,
            _folder: folder,
        })
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) fn manifest(&self) -> Option<&Manifest> {
        self.manifest.as_ref()
    }

    /// What holds its process, where there is one of ours.
    pub(crate) fn confinement(&self) -> Option<&Confinement> {
        self.confinement.as_ref()
    }

    /// The endpoints it has.
    pub(crate) fn registrations(&self) -> &Arc<[EndpointRegistration]> {
        &self.registrations
    }

    /// What its process wrote last: for the log, as it may be anything.
    pub(crate) fn last_words(&self) -> String {
        self.process.as_ref().map(Process::last_words).unwrap_or_default()
    }

    /// Process id, where there is a process of ours.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.process.as_ref()?.id()
    }

    /// Waits until it is not there any more, and says why. Cancel safe.
    pub(crate) async fn ended(&mut self) -> String {
        let (closed, client) = (self.link.closed(), self.client.clone());
        tokio::select! {
            reason = process_ended(&mut self.process) => reason,
            () = closed.cancelled() => "its connection is closed".to_owned(),
            reason = stops_answering(client) => reason,
        }
    }

    /// Ends it in the order it expects: its session, itself, its process.
    pub(crate) async fn stop(mut self) {
        let reason = CloseSessionRequest { reason: "unload".to_owned() };
        let _ = timeout(CLOSE_SESSION, self.client.close_session(reason)).await;
        drop(self.session.take());
        let request = ShutdownRequest { timeout_seconds: SHUTDOWN_SECONDS };
        if let Ok(Err(status)) = timeout(SHUTDOWN, self.client.shutdown(request)).await {
            tracing::debug!(%status, "a plugin did not take its shutdown well");
        }
        if let Some(process) = self.process {
            let mut controller = GrpcControllerClient::with_origin(self.link.clone(), self.link.origin());
            // The server ends while it answers.
            let _ = timeout(EXIT, controller.shutdown(Empty {})).await;
            process.end(EXIT).await;
        }
    }
}

async fn process_ended(process: &mut Option<Process>) -> String {
    match process {
        Some(process) => process.ended().await,
        None => std::future::pending().await,
    }
}

async fn stops_answering(client: Client) -> String {
    let mut missed = 0;
    loop {
        sleep(PING_EVERY).await;
        match ping(client.clone()).await {
            Ok(()) => missed = 0,
            Err(error) => {
                missed += 1;
                if missed == MISSES {
                    return format!("it does not answer any more: {error}");
                }
            }
        }
    }
}

/// Asks it whether it is well.
pub(crate) async fn ping(mut client: Client) -> Result<(), PluginError> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let timestamp = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    let asked = timeout(PING_PATIENCE, client.ping(PingRequest { timestamp })).await;
    let answer = asked.map_err(|_| PluginError::Timeout(PING_PATIENCE))?;
    let answer = answer.map_err(|status| status::error("Ping", &status, PING_PATIENCE))?.into_inner();
    if answer.healthy { Ok(()) } else { Err(PluginError::failed("it says that it is not healthy")) }
}

/// Asks it for the schema of its configuration; one that has none, or cannot be asked, tells none.
pub(crate) async fn schema(mut client: Client) -> Option<serde_json::Value> {
    let asked = timeout(PING_PATIENCE, client.get_config_schema(GetConfigSchemaRequest {})).await;
    let answer = asked.ok()?.ok()?.into_inner();
    let schema: serde_json::Value = serde_json::from_str(&answer.schema_json).ok()?;
    schema.is_object().then_some(schema)
}

fn asker(setup: &Setup) -> Asker {
    Asker {
        name: setup.name.clone(),
        number: setup.number,
        host: setup.host.clone(),
        store: setup.store.clone(),
        bus: setup.bus.clone(),
        approved: setup.given.keys.services.clone(),
        manifest: std::sync::OnceLock::new(),
    }
}

fn call_failed(method: &'static str, status: &Status, said: &impl Fn() -> String) -> StartError {
    StartError::Call { method, message: format!("{:?}: {}", status.code(), status.message()), said: said() }
}

async fn initialize(
    setup: &Setup,
    client: &mut Client,
    patience: Duration,
    said: &impl Fn() -> String,
) -> Result<(), StartError> {
    let mut config = setup.config.clone();
    config.insert("_plugin_id".to_owned(), setup.number.to_string());
    config.insert("_service_broker_id".to_owned(), broker::ID.to_string());
    match timeout(patience, client.initialize(InitRequest { config })).await {
        Ok(Ok(answer)) => match answer.into_inner() {
            answer if answer.success => Ok(()),
            answer => Err(StartError::Refused(answer.error_message)),
        },
        Ok(Err(status)) => Err(call_failed("Initialize", &status, said)),
        Err(_) => Err(StartError::Silent { method: "Initialize", seconds: patience.as_secs(), said: said() }),
    }
}

async fn late_manifest(client: &mut Client) -> Option<Manifest> {
    let answer = timeout(ASKING, client.get_manifest(GetManifestRequest {})).await.ok()?.ok()?.into_inner();
    Manifest::read(&answer.manifest_json).filter(|_| answer.success)
}

/// Takes what it prints from the moment on that the library has put its own pipes in place of the real ones.
async fn stdio(link: Link, host: Arc<dyn Host>) {
    let origin = link.origin();
    let Ok(streamed) = GrpcStdioClient::with_origin(link, origin).stream_stdio(()).await else { return };
    let mut streamed = streamed.into_inner();
    let (mut out, mut err) = (LineBuffer::default(), LineBuffer::default());
    while let Ok(Some(StdioData { channel, data })) = streamed.message().await {
        match Channel::try_from(channel) {
            Ok(Channel::Stdout) => out.push(&data, |line| log(&*host, "stdout", line)),
            _ => err.push(&data, |line| log(&*host, "stderr", line)),
        }
    }
    out.finish(|line| log(&*host, "stdout", line));
    err.finish(|line| log(&*host, "stderr", line));
}
