//! The way back: a plugin dials the gateway's services through the broker that go-plugin has for that.
//!
//! The gateway listens at one socket for as long as the process lives, under one id, and tells the plugin on a stream
//! where that is. The library forgets what it was told after five seconds, and asks nobody for it again, so a plugin
//! that dials later would never come through. It is told again just after it has forgotten, until a connection stands:
//! not sooner, since each telling starts a clock of its own there that throws away whatever stands when it rings.
//!
//! Where one connection carries all, there is nothing to listen at: the plugin knocks on the stream, is let in, and comes
//! over the connection that is there, at any time.

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
use mortise_mcp_transport::tls::Pair;
use mortise_proto::tyk::plugin::{ConnInfo, conn_info::Knock, grpc_broker_client::GrpcBrokerClient};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::UnixListener,
    sync::mpsc,
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::task::AbortOnDropHandle;

use crate::{link::Link, mux::Carried, services::Services};

/// The one id: there is one service, for the life of the process.
pub(crate) const ID: u32 = 1;

/// Just longer than the library remembers where to connect to.
const TELL_AGAIN: Duration = Duration::from_millis(5200);

/// Connections of one plugin at a time. It needs one.
const MAX_CONNECTIONS: usize = 16;

/// How long a connection may take to be encrypted.
const ENCRYPTING: Duration = Duration::from_secs(10);

/// Name of the socket in the plugin's folder.
const SOCKET: &str = "gateway";

/// How plugins come.
#[derive(Debug, Default)]
pub(crate) struct Way {
    /// Both sides' certificates, where connections are encrypted.
    pub(crate) pair: Option<Pair>,
    /// Connections that come over the one there is, where one carries all.
    pub(crate) carried: Option<mpsc::Receiver<Carried>>,
}

/// The way back of one process. Dropped, it is closed.
#[derive(Debug)]
pub(crate) struct Broker {
    _tasks: Vec<AbortOnDropHandle<()>>,
}

impl Broker {
    /// Serves whom `way` brings, or else who comes to a socket in `folder`, of which the plugin behind `link` is told.
    pub(crate) fn start(link: &Link, folder: &Path, services: Services, way: Way) -> io::Result<Self> {
        let (tell, told) = mpsc::channel(1);
        let mut host =
            Host { services, pair: way.pair, connections: JoinSet::new(), connected: Arc::default() };
        let tasks = match way.carried {
            Some(mut carried) => vec![
                tokio::spawn(async move {
                    while let Some(stream) = carried.recv().await {
                        host.take(stream);
                    }
                }),
                tokio::spawn(stream_to(link.clone(), told, Some(tell))),
            ],
            None => {
                let path = folder.join(SOCKET);
                let listener = UnixListener::bind(&path)?;
                vec![
                    tokio::spawn(announce(tell, path, host.connected.clone())),
                    tokio::spawn(serve(listener, host)),
                    tokio::spawn(stream_to(link.clone(), told, None)),
                ]
            }
        };
        Ok(Self { _tasks: tasks.into_iter().map(AbortOnDropHandle::new).collect() })
    }
}

/// Serves connections, and ends them with itself.
struct Host {
    services: Services,
    pair: Option<Pair>,
    connections: JoinSet<()>,
    connected: Arc<AtomicUsize>,
}

impl Host {
    fn take<S>(&mut self, stream: S)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        while self.connections.try_join_next().is_some() {}
        if self.connections.len() >= MAX_CONNECTIONS {
            return;
        }
        let (services, connected) = (self.services.clone(), Connected::new(&self.connected));
        match self.pair.clone() {
            None => self.connections.spawn(converse(stream, services, connected)),
            Some(pair) => self.connections.spawn(async move {
                match timeout(ENCRYPTING, pair.accept(stream)).await {
                    Ok(Ok(stream)) => converse(stream, services, connected).await,
                    Ok(Err(error)) => {
                        tracing::warn!(%error, "somebody who is not the plugin came to its way back");
                    }
                    Err(_) => tracing::debug!("a plugin's connection was not encrypted in time"),
                }
            }),
        };
    }
}

/// Accepts connections.
async fn serve(listener: UnixListener, mut host: Host) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => host.take(stream),
            Err(error) => {
                tracing::debug!(%error, "a plugin's connection to the gateway could not be taken");
                // Out of descriptors, most likely: asking again at once would only keep a core busy.
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn converse<S>(stream: S, services: Services, _connected: Connected)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
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
        sleep(TELL_AGAIN).await;
    }
}

/// The stream to the plugin's broker. What comes by it concerns us only where plugins knock: they serve nothing over it.
async fn stream_to(link: Link, told: mpsc::Receiver<ConnInfo>, let_in: Option<mpsc::Sender<ConnInfo>>) {
    let infos = stream::unfold(told, |mut told| async move { Some((told.recv().await?, told)) });
    let origin = link.origin();
    match GrpcBrokerClient::with_origin(link, origin).start_stream(infos).await {
        Ok(answers) => {
            let mut answers = answers.into_inner();
            while let Ok(Some(info)) = answers.message().await {
                if let (Some(let_in), Some(answer)) = (&let_in, answered(&info)) {
                    // The stream is what makes room, so it is gone where there is none for long.
                    if let_in.send(answer).await.is_err() {
                        return;
                    }
                }
            }
        }
        Err(status) => tracing::debug!(%status, "the plugin takes no connections back to the gateway"),
    }
}

/// What is answered to a knock; nothing to what is none.
fn answered(info: &ConnInfo) -> Option<ConnInfo> {
    let knock = info.knock.as_ref().filter(|knock| knock.knock && !knock.ack)?;
    let error = if info.service_id == ID { String::new() } else { "nobody is there".to_owned() };
    let knock = Knock { knock: knock.knock, ack: true, error };
    Some(ConnInfo { service_id: info.service_id, knock: Some(knock), ..ConnInfo::default() })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knock_is_answered_and_nothing_else_is() {
        let knock = |service_id, knock, ack| ConnInfo {
            service_id,
            knock: Some(Knock { knock, ack, error: String::new() }),
            ..ConnInfo::default()
        };
        let in_we_let = answered(&knock(ID, true, false)).unwrap().knock.unwrap();
        assert!(in_we_let.ack && in_we_let.error.is_empty());
        assert!(!answered(&knock(9, true, false)).unwrap().knock.unwrap().error.is_empty());
        assert_eq!(answered(&knock(ID, true, true)), None);
        assert_eq!(answered(&ConnInfo { service_id: ID, ..ConnInfo::default() }), None);
    }
}
