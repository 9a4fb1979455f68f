//! The gateway as a whole: what it is started from, and how it ends. What changes while it runs is the matter of
//! [`Reloader`].
//!
//! Order of a start: plugins first, so that no call is ever served unguarded; then the listener; upstreams connect
//! beside it, and `/ready` says when each had its attempt. Order of an end: no new connections, requests under way
//! finish, then streams, sessions, upstreams, background work, plugins.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use mortise_framework::{Framework, config::Errors};
use mortise_mcp_transport::{
    http::client::{Endpoint, EndpointConfig},
    server::listen,
    stdio::{child::ChildConfig, upstream::StdioConfig},
    tls::{ClientTls, LoadedClientTls, LoadedServerTls, ServerTls},
    workers::{PerWorker, Workers},
};
use tokio::{net::TcpListener, runtime::Handle};
use tokio_util::sync::CancellationToken;

use crate::{
    auth::TOOLS,
    config::{self, Secret, Settled},
    edge::Edge,
    history::History,
    host::{AppService, HttpService},
    llm::{LlmError, LlmSurface, Llms},
    manage::Admins,
    mcp::{Surface, SurfaceConfig},
    metrics::GatewayMetrics,
    overrides::{self, OverrideSource},
    reload::{Parts, Reloader},
    snapshot::{Access, Snapshot, Snapshots},
    spans::{Exporter, SpansError},
    state_dir::{self, LocalToken, StateDir, StateDirError, StateLock},
    storage::Storage,
    tools::ToolApi,
    upstreams::{Catalogs, ServerSpec, Transport, UpstreamSpec, Upstreams},
};

/// How long a start waits for a gateway that has the state folder: one that is ending, in an overlapping restart.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);

/// How long streams that are still open may go on once everything else has ended.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Why a gateway did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The plugins of the configuration do not fit.
    #[error("the configuration has errors")]
    Plugins(#[source] Errors),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// The system gives no more threads or descriptors.
    #[error("cannot start the threads that serve connections")]
    Workers(#[source] std::io::Error),
    /// Certificates or keys cannot be used.
    #[error("cannot set up TLS")]
    Tls(#[source] mortise_mcp_transport::tls::TlsError),
    /// An upstream's URL is no address.
    #[error("upstream {name} has a URL that cannot be reached")]
    Upstream {
        /// The upstream.
        name: String,
        /// What is wrong with it.
        #[source]
        source: mortise_mcp_transport::http::origin::OriginError,
    },
    /// An LLM cannot be reached as configured.
    #[error("cannot set up LLMs")]
    Llm(#[from] LlmError),
    /// Spans cannot be sent.
    #[error("cannot send spans")]
    Spans(#[from] SpansError),
    /// The folder for state cannot be used.
    #[error("cannot use the state folder")]
    State(#[from] StateDirError),
}

/// A gateway that listens.
pub struct Gateway {
    edge: Arc<Edge>,
    listener: TcpListener,
    listen: listen::ListenConfig,
    address: SocketAddr,
    url: String,
    framework: Framework,
    upstreams: Arc<Upstreams>,
    surface: Arc<Surface>,
    llm: Arc<LlmSurface>,
    workers: Arc<Workers>,
    snapshots: Arc<Snapshots>,
    reloader: Arc<Reloader>,
    storage: Arc<Storage>,
    admin_token: Option<Secret>,
    exporter: Option<Exporter>,
    /// The credential of the command line; removed when the gateway ends.
    _local: LocalToken,
    /// Keeps other gateways from the state folder. Goes last.
    _lock: StateLock,
}

impl Gateway {
    /// Starts plugins, listens, and begins to connect to upstreams.
    ///
    /// # Errors
    /// When the configuration cannot be put to work; nothing is left running then.
    pub fn start(
        settled: Settled,
        framework: Framework,
    ) -> impl Future<Output = Result<Self, StartError>> + Send {
        // Boxed, as the future of a start holds a configuration more than once.
        Box::pin(Self::begin(settled, framework))
    }

    async fn begin(settled: Settled, framework: Framework) -> Result<Self, StartError> {
        let (state, lock, settled) = own_state(settled, &framework).await?;
        let storage = Storage::new(settled.storage.clone(), Handle::current());
        storage.begin().await;
        let settled = with_kept(settled, &storage, &framework)?;
        let admin = state.admin_token()?;
        let tls = server_tls(&settled.listen)?;
        let exporter = settled.telemetry.as_ref().map(|to| Exporter::start(to, framework.hooks().clone()));
        let exporter = exporter.transpose()?;
        let specs = upstream_specs(&settled)?;
        let http = HttpService::new(settled.egress.clone(), Handle::current());
        http.offer_to(&framework);
        storage.offer_to(&framework);
        let apps = AppService::offer_to(&framework);
        // Its notices were given when the configuration was settled.
        let (pipelines, _) = framework.build(&settled.plan).await.map_err(StartError::Plugins)?;
        framework.swap(pipelines.clone());
        let wanted = settled.listen.address;
        let listening = |source| StartError::Listen { address: wanted, source };
        let listener = TcpListener::bind(wanted).await.map_err(listening)?;
        let address = listener.local_addr().map_err(listening)?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}", reachable(address));
        let local = state.local_token(&url)?;
        let history = Arc::new(History::new(&settled.state_dir));
        let snapshots = Snapshots::new(Snapshot {
            // Numbers go on where an earlier run left off, so that the history names each once.
            number: history.last(1).first().map_or(1, |last| last.snapshot + 1),
            pipelines,
            catalogs: Arc::new(Catalogs::empty()),
            llms: Arc::new(Llms::new(&settled, None)?),
            datasources: settled.datasources.clone().into(),
            access: Arc::new(
                Access::new(&settled, &settled.listen, address.port()).with_stored(storage.roster()),
            ),
        });
        let names = Some(state_dir::names_file(&settled.state_dir));
        let upstreams = Upstreams::start(snapshots.clone(), specs, server_specs(&settled), names);
        let metrics = Arc::new(GatewayMetrics::default());
        let surface = Surface::new(upstreams.clone(), SurfaceConfig::default(), metrics.clone());
        if let Some(exporter) = &exporter {
            surface.calls.trace_with(exporter.spans().clone());
        }
        let llm = LlmSurface::new(storage.clone());
        llm.begin().await;
        let workers = Arc::new(Workers::start(settled.listen.workers).map_err(StartError::Workers)?);
        let listen = listen::ListenConfig {
            tls,
            max_connections: settled.listen.max_connections,
            idle_timeout: settled.listen.idle_timeout,
            drain: settled.listen.drain_timeout,
            workers: Some(workers.clone()),
            ..listen::ListenConfig::default()
        };
        let admins = Admins::named([("admin token", admin.digest), ("command line", local.digest)]);
        let reloader = Reloader::new(
            Parts {
                framework: framework.clone(),
                snapshots: snapshots.clone(),
                upstreams: upstreams.clone(),
                surface: surface.clone(),
                history,
                http,
                storage: storage.clone(),
                port: address.port(),
            },
            settled,
        );
        storage.serve(&snapshots, &reloader);
        apps.serve(snapshots.clone(), llm.clone());
        reloader.started().await;
        let edge = Edge::new(
            framework.clone(),
            snapshots.clone(),
            surface.clone(),
            llm.clone(),
            reloader.clone(),
            admins,
        );
        let edge = Arc::new(edge);
        let admin_token = admin.fresh;
        Ok(Self {
            edge,
            listener,
            listen,
            address,
            url,
            framework,
            upstreams,
            surface,
            llm,
            workers,
            snapshots,
            reloader,
            storage,
            admin_token,
            exporter,
            _local: local,
            _lock: lock,
        })
    }

    /// Where it listens: the port that was bound, also where port 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The base URL it can be called at, also where it listens on all addresses.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The admin token, where this start made it: to be shown once, as only its hash is kept.
    pub fn fresh_admin_token(&self) -> Option<&Secret> {
        self.admin_token.as_ref()
    }

    /// The edge, for what embeds the gateway.
    pub fn edge(&self) -> &Arc<Edge> {
        &self.edge
    }

    /// What changes its configuration while it runs.
    pub fn reloader(&self) -> &Arc<Reloader> {
        &self.reloader
    }

    /// Serves until `shutdown` comes, then ends in order.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let stop = CancellationToken::new();
        let edges = Arc::new(PerWorker::new(|| Arc::new(self.edge.clone())));
        let serving = listen::serve(self.listener, self.listen, stop.clone(), move |request, peer| {
            Edge::serve(edges.own().clone(), request, peer)
        });
        let watching = async {
            let sweeping = self.surface.sweep();
            let readiness = self.edge.watch_readiness();
            let files = self.reloader.watch_files();
            let lists = self.surface.tell_changes(&self.snapshots);
            let health = self.framework.watch_health();
            let storage = self.storage.watch();
            let spending = self.llm.keep();
            tokio::select! {
                () = async { tokio::join!(sweeping, readiness, files, lists, health, storage, spending); } => {}
                () = shutdown => {}
            }
            tracing::info!("shutting down: requests under way are finished");
            stop.cancel();
        };
        tokio::join!(serving, watching);
        self.reloader.stop(LAST_WORDS).await;
        self.surface.stop(LAST_WORDS).await;
        self.llm.stop(LAST_WORDS).await;
        self.upstreams.stop(LAST_WORDS).await;
        self.framework.shutdown(LAST_WORDS).await;
        self.storage.stop(LAST_WORDS).await;
        if let Some(exporter) = self.exporter {
            exporter.stop(LAST_WORDS).await;
        }
        // Last, as what a request began may still be running there.
        if let Ok(workers) = Arc::try_unwrap(self.workers) {
            workers.stop().await;
        }
    }
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gateway").field("address", &self.address).finish_non_exhaustive()
    }
}

/// The state folder for this gateway alone, and the configuration with what is overridden there: what the gateway before
/// it kept until its end counts too.
async fn own_state(
    mut settled: Settled,
    framework: &Framework,
) -> Result<(StateDir, StateLock, Settled), StartError> {
    loop {
        let state = StateDir::open(&settled.state_dir)?;
        let lock = state.lock(LOCK_PATIENCE).await?;
        let is_current = match settled.source.runtime_overrides {
            OverrideSource::StateDir => {
                overrides::read(&settled.state_dir).is_ok_and(|(kept, _)| kept == *settled.overrides)
            }
            _ => true,
        };
        if is_current {
            return Ok((state, lock, settled));
        }
        settled = Settled::load(&settled.source.again(), framework).map_err(StartError::Plugins)?;
    }
}

/// The configuration with the plugins and LLMs that are kept in storage, where there are any.
fn with_kept(settled: Settled, storage: &Storage, framework: &Framework) -> Result<Settled, StartError> {
    let kept = storage.kept_here();
    if kept.plugins.is_empty() && kept.llms.is_empty() {
        return Ok(settled);
    }
    let mut source = settled.source.again();
    source.kept = kept;
    let settled = Settled::load(&source, framework).map_err(StartError::Plugins)?;
    for notice in settled.notices.iter().filter(|notice| notice.path.starts_with(config::STORED)) {
        tracing::warn!("{notice}");
    }
    Ok(settled)
}

/// An address that can be called: the one for "all addresses" cannot.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

fn server_tls(listen: &config::Listen) -> Result<Option<LoadedServerTls>, StartError> {
    let Some(tls) = &listen.tls else { return Ok(None) };
    let files = ServerTls { cert: tls.cert.clone(), key: tls.key.clone(), client_ca: tls.client_ca.clone() };
    files.load().map(Some).map_err(StartError::Tls)
}

pub(crate) fn upstream_specs(settled: &Settled) -> Result<Vec<UpstreamSpec>, StartError> {
    let mut client_tls = None;
    settled.upstreams.iter().map(|upstream| upstream_spec(upstream, &mut client_tls)).collect()
}

/// An upstream as it is connected to. `client_tls` is loaded once and only where somebody needs it: reading the
/// system's roots takes a while.
pub(crate) fn upstream_spec(
    upstream: &config::Upstream,
    client_tls: &mut Option<LoadedClientTls>,
) -> Result<UpstreamSpec, StartError> {
    let transport = match &upstream.transport {
        config::Transport::Http { url, headers } => {
            let mut endpoint = EndpointConfig::new(url.clone());
            endpoint.headers = headers.clone();
            if url.scheme() == "https" {
                if client_tls.is_none() {
                    *client_tls = Some(ClientTls::default().load().map_err(StartError::Tls)?);
                }
                endpoint.tls.clone_from(client_tls);
            }
            let failed = |source| StartError::Upstream { name: upstream.name.clone(), source };
            Transport::Http(Endpoint::new(endpoint).map_err(failed)?)
        }
        config::Transport::OpenApi(tool) => {
            let fetched = matches!(&tool.spec, config::Spec::At(url) if url.scheme() == "https");
            if (fetched || tool.url.scheme() == "https") && client_tls.is_none() {
                *client_tls = Some(ClientTls::default().load().map_err(StartError::Tls)?);
            }
            let failed = |source| StartError::Upstream { name: upstream.name.clone(), source };
            Transport::OpenApi(ToolApi::new(&upstream.name, tool, client_tls.clone()).map_err(failed)?)
        }
        config::Transport::Stdio { program, args, env, cwd } => {
            Transport::Stdio(Box::new(StdioConfig::new(ChildConfig {
                name: upstream.name.clone(),
                program: program.clone(),
                args: args.clone(),
                env: env.clone(),
                cwd: cwd.clone(),
            })))
        }
    };
    Ok(UpstreamSpec { name: upstream.name.clone(), transport, timeout: upstream.timeout })
}

pub(crate) fn server_specs(settled: &Settled) -> Vec<ServerSpec> {
    let servers = settled.config.servers.iter().map(|(id, server)| ServerSpec {
        id: id.clone(),
        upstreams: server.upstreams.clone(),
        tools: server.tools.clone(),
        prompts: server.prompts.clone(),
        resources: server.resources.clone(),
    });
    // Each tool over HTTP has a place of its own, with nothing else there.
    let tools = settled.upstreams.iter().filter(|upstream| is_tool(upstream)).map(|upstream| ServerSpec {
        id: format!("{TOOLS}{}", upstream.name),
        upstreams: Some(vec![upstream.name.clone()]),
        ..ServerSpec::default()
    });
    servers.chain(tools).collect()
}

/// Whether a virtual server, or the place of a tool, is one of a configuration.
pub(crate) fn serves(settled: &Settled, id: &str) -> bool {
    match id.strip_prefix(TOOLS) {
        Some(slug) => settled.upstreams.iter().any(|upstream| upstream.name == slug && is_tool(upstream)),
        None => settled.config.servers.contains_key(id),
    }
}

fn is_tool(upstream: &config::Upstream) -> bool {
    matches!(upstream.transport, config::Transport::OpenApi(_))
}
