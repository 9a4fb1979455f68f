//! The first steps of a life: a process or a server, the connection to it, and what it says of itself.
//!
//! What a program says of itself can narrow what it may use and reach, and rules hold from a process's first instruction
//! only. So a program that asks for other rules than it was started under is started once more, under those, before
//! anything of its configuration was told it; its next lives begin under them at once.

use std::{path::Path, time::Duration};

use mortise_framework::config::ProcessTls;
use mortise_mcp_transport::tls::{ClientTls, Identity, Verify};
use mortise_proto::tyk::{
    config_provider::{
        ConfigSchemaRequest, GetManifestRequest as AskManifest,
        config_provider_service_client::ConfigProviderServiceClient,
    },
    grpc::health::v1::{
        HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
    },
};
use serde_json::Value;
use tokio::time::{sleep, timeout};

use super::{ASKING, Setup, StartError, call_failed};
use crate::{
    broker::Way,
    child::{Process, ProcessError, Start},
    command::Place,
    folder::Folder,
    handshake::{Address, Heard},
    link::{Link, LinkError, Secured, Target},
    manifest::Manifest,
    mux::Mux,
    status,
    terms::Terms,
};

/// Attempts to reach a server that runs elsewhere, and the pause between them.
const ATTEMPTS: usize = 3;
const BETWEEN_ATTEMPTS: Duration = Duration::from_secs(2);

/// What answers and has not been initialised.
pub(super) struct Begun {
    pub(super) terms: Terms,
    pub(super) manifest: Option<Manifest>,
    pub(super) way: Way,
    pub(super) link: Link,
    pub(super) mux: Option<Mux>,
    /// None for a server that somebody else runs.
    pub(super) process: Option<Process>,
    pub(super) folder: Folder,
}

/// Begins a life under the rules that hold for it.
pub(super) async fn begin(setup: &Setup, patience: Duration) -> Result<Begun, StartError> {
    if let Some(learnt) = setup.learnt.get() {
        return Box::pin(begin_under(setup, learnt.clone(), patience)).await;
    }
    let begun = Box::pin(begin_under(setup, setup.given.terms(None), patience)).await?;
    let wanted = setup.given.terms(begun.manifest.as_ref());
    let _ = setup.learnt.set(wanted.clone());
    match begun.process {
        Some(process) if wanted != begun.terms => {
            tracing::info!(
                plugin = &*setup.name,
                ?wanted,
                "the plugin's manifest asks for other rules: started anew"
            );
            process.kill().await;
            Box::pin(begin_under(setup, wanted, patience)).await
        }
        process => Ok(Begun { process, ..begun }),
    }
}

/// Asks a program for the schema of its configuration, and ends it; `None` where it has none.
pub(crate) async fn described(setup: &Setup, patience: Duration) -> Result<Option<Value>, StartError> {
    let begun = begin(setup, patience).await?;
    let mut client = ConfigProviderServiceClient::with_origin(begun.link.clone(), begun.link.origin());
    let asked = timeout(ASKING, client.get_config_schema(ConfigSchemaRequest {})).await;
    if let Some(process) = begun.process {
        process.kill().await;
    }
    let told = asked.ok().and_then(Result::ok).map(|answer| answer.into_inner().schema_json);
    let schema = told.and_then(|told| serde_json::from_str::<Value>(&told).ok());
    // An empty one is what programs say that have none.
    Ok(schema.filter(|schema| schema.as_object().is_some_and(|keys| !keys.is_empty())))
}

async fn begin_under(setup: &Setup, terms: Terms, patience: Duration) -> Result<Begun, StartError> {
    let folder = Folder::new().map_err(StartError::Folder)?;
    let Connected { process, link, way, mux } = connect(setup, &terms, &folder, patience).await?;
    let said = || process.as_ref().map(Process::last_words).unwrap_or_default();
    serves(&link, &said).await?;
    let manifest = early_manifest(&link).await;
    Ok(Begun { terms, manifest, way, link, mux, process, folder })
}

struct Connected {
    process: Option<Process>,
    link: Link,
    way: Way,
    mux: Option<Mux>,
}

async fn connect(
    setup: &Setup,
    terms: &Terms,
    folder: &Folder,
    patience: Duration,
) -> Result<Connected, StartError> {
    let given = &setup.given;
    match &setup.place {
        Place::File { path, args } => {
            let identity = given.keys.encrypt.then(Identity::new).transpose()?;
            let start = Start {
                program: path,
                args,
                keys: &given.keys,
                terms,
                identity: identity.as_ref(),
                cwd: given.cwd.as_deref(),
                folder: &given.folder,
                sockets: folder.path(),
                patience,
            };
            let (process, heard) = Process::start(&setup.starter, &start, &setup.host).await?;
            to_process(process, heard, identity.as_ref(), given.keys.multiplex).await
        }
        Place::Artifact(from) => Err(ProcessError::NoProgram(from.clone()).into()),
        Place::Remote(authority) => {
            let secured = match &given.keys.tls {
                Some(keys) => Some(secured(keys, authority, &given.folder).await?),
                None => None,
            };
            let link = to_server(authority, secured.as_ref()).await?;
            Ok(Connected { process: None, link, way: Way::default(), mux: None })
        }
    }
}

async fn to_process(
    process: Process,
    heard: Heard,
    identity: Option<&Identity>,
    multiplex: bool,
) -> Result<Connected, StartError> {
    let pair = match (identity, &heard.certificate) {
        (Some(ours), Some(theirs)) => Some(ours.with(theirs)?),
        _ => None,
    };
    let target = match heard.address {
        Address::Unix(path) => Target::Unix(path),
        Address::Tcp(address) => Target::Tcp(address.to_string()),
    };
    let (link, mux, carried) = match &target {
        Target::Unix(path) if multiplex => {
            let name = target.to_string();
            let silent = |_| LinkError::Silent(name.clone(), ASKING.as_secs());
            let opened = timeout(ASKING, Mux::open(path)).await.map_err(silent)?;
            let (mux, ours, carried) = opened.map_err(|error| LinkError::Connect(name.clone(), error))?;
            (Link::through(ours, pair.as_ref(), &name).await?, Some(mux), Some(carried))
        }
        Target::Tcp(_) if multiplex => return Err(StartError::NoSocket),
        _ => (Link::open(&target, pair.as_ref()).await?, None, None),
    };
    Ok(Connected { process: Some(process), link, way: Way { pair, carried }, mux })
}

async fn to_server(authority: &str, secured: Option<&Secured>) -> Result<Link, LinkError> {
    for _ in 1..ATTEMPTS {
        if let Ok(link) = Link::to_server(authority, secured).await {
            return Ok(link);
        }
        sleep(BETWEEN_ATTEMPTS).await;
    }
    Link::to_server(authority, secured).await
}

/// TLS towards a server, with files as they are now.
async fn secured(keys: &ProcessTls, authority: &str, folder: &Path) -> Result<Secured, StartError> {
    let file = |path: &String| folder.join(path);
    // One file may hold both.
    let key = keys.key.as_ref().or(keys.cert.as_ref());
    let settings = ClientTls {
        extra_ca: keys.ca.as_ref().map(file),
        identity: keys.cert.as_ref().map(file).zip(key.map(file)),
        verify: Verify::Full,
    };
    let loading = tokio::task::spawn_blocking(move || settings.load());
    let tls = loading.await.map_err(|_| StartError::BrokenOff)??;
    let host = || authority.rsplit_once(':').map_or(authority, |(host, _)| host).to_owned();
    Ok(Secured { tls, name: keys.server_name.clone().unwrap_or_else(host) })
}

/// Asks go-plugin's health service. A server without one may serve all the same.
async fn serves(link: &Link, said: &impl Fn() -> String) -> Result<(), StartError> {
    let mut health = HealthClient::with_origin(link.clone(), link.origin());
    let asked = health.check(HealthCheckRequest { service: "plugin".to_owned() });
    match timeout(ASKING, asked).await {
        Ok(Ok(answer)) if answer.get_ref().status() == ServingStatus::Serving => Ok(()),
        Ok(Ok(_)) => Err(StartError::NotServing),
        Ok(Err(status)) if status::is_unknown_method(&status) => Ok(()),
        Ok(Err(status)) => Err(call_failed("Check", &status, said)),
        Err(_) => Err(StartError::Silent { method: "Check", seconds: ASKING.as_secs(), said: said() }),
    }
}

/// What it says of itself before it is initialised. Programs of an older make say nothing.
async fn early_manifest(link: &Link) -> Option<Manifest> {
    let mut client = ConfigProviderServiceClient::with_origin(link.clone(), link.origin());
    let answer = timeout(ASKING, client.get_manifest(AskManifest {})).await.ok()?.ok()?.into_inner();
    Manifest::read(&answer.manifest_json).filter(|_| answer.success)
}
