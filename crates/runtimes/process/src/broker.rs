//! The way back: a plugin dials the gateway's services through the broker that go-plugin has for that.
//!
//! The gateway listens at one socket for as long as the process lives, under one id, and tells the plugin on a stream
//! where that is. The library forgets what it was told after five seconds, and asks nobody for it again, so a plugin
//! that dials later would never come through. It is told again just after it has forgotten, until a connection stands:
//! not sooner, since each telling starts a clock of its own there that throws away whatever stands when it rings.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use futures_util::stream;
use hyper::server::conn::http2;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    service::TowerToHyperService,
};
use mortise_proto::tyk::plugin::{ConnInfo, grpc_broker_client::GrpcBrokerClient};
use tokio::{
    net::{UnixListener, UnixStream},
    sync::mpsc,
    task::JoinSet,
};
use tokio_util::task::AbortOnDropHandle;

use crate::{
    link::{Link, origin},
    services::Services,
};

/// The one id: there is one service, for the life of the process.
pub(crate) const ID: u32 = 1;

/// Just longer than the library remembers where to connect to.
const TELL_AGAIN: Duration = Duration::from_millis(5200);

/// Connections of one plugin at a time. It needs one.
const MAX_CONNECTIONS: usize = 16;

/// Name of the socket in the plugin's folder.
const SOCKET: &str = "gateway";

/// The way back of one process. Dropped, it is closed.
#[derive(Debug)]
pub(crate) struct Broker {
    _tasks: [AbortOnDropHandle<()>; 3],
}

impl Broker {
    /// Listens in `folder`, and tells the plugin behind `link` where.
    pub(crate) fn start(link: &Link, folder: &Path, services: Services) -> io::Result<Self> {
        let path = folder.join(SOCKET);
        let listener = UnixListener::bind(&path)?;
        let connected = Arc::<AtomicUsize>::default();
        let (tell, told) = mpsc::channel(1);
        let tasks = [
            tokio::spawn(serve(listener, services, connected.clone())),
            tokio::spawn(announce(tell, path, connected)),
            tokio::spawn(stream_to(link.clone(), told)),
        ];
        Ok(Self { _tasks: tasks.map(AbortOnDropHandle::new) })
    }
}

/// Accepts connections, and ends them with itself.
async fn serve(listener: UnixListener, services: Services, connected: Arc<AtomicUsize>) {
    let mut connections = JoinSet::new();
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::debug!(%error, "a plugin's connection to the gateway could not be taken");
                // Out of descriptors, most likely: asking again at once would only keep a core busy.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        while connections.try_join_next().is_some() {}
        if connections.len() < MAX_CONNECTIONS {
            connections.spawn(converse(stream, services.clone(), Connected::new(&connected)));
        }
    }
}

async fn converse(stream: UnixStream, services: Services, _connected: Connected) {
    let conversation = http2::Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(services));
    if let Err(error) = conversation.await {
        tracing::debug!(%error, "a plugin's connection to the gateway broke");
    }
}

/// Tells where to connect to, again and again until somebody has.
async fn announce(tell: mpsc::Sender<ConnInfo>, path: PathBuf, connected: Arc<AtomicUsize>) {
    let address = path.to_string_lossy().into_owned();
    loop {
        if connected.load(Relaxed) == 0 {
            let network = "unix".to_owned();
            let info = ConnInfo { service_id: ID, network, address: address.clone(), knock: None };
            if tell.send(info).await.is_err() {
                return;
            }
        }
        tokio::time::sleep(TELL_AGAIN).await;
    }
}

/// The stream to the plugin's broker. It answers nothing that concerns us: plugins serve nothing over it.
async fn stream_to(link: Link, told: mpsc::Receiver<ConnInfo>) {
    let infos = stream::unfold(told, |mut told| async move { Some((told.recv().await?, told)) });
    match GrpcBrokerClient::with_origin(link, origin()).start_stream(infos).await {
        Ok(answers) => {
            let mut answers = answers.into_inner();
            while let Ok(Some(_)) = answers.message().await {}
        }
        Err(status) => tracing::debug!(%status, "the plugin takes no connections back to the gateway"),
    }
}

struct Connected(Arc<AtomicUsize>);

impl Connected {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Relaxed);
        Self(count.clone())
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}
