//! The way back to the gateway's services: where they are, and one connection there, made when it is first needed.

use std::{
    collections::HashMap,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::{Stream, stream};
use http::{Request as HttpRequest, Response as HttpResponse, Uri};
use hyper::{body::Incoming, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use mortise_plugin_api::PluginError;
use mortise_proto::tyk::plugin::{
    ConnInfo, StdioData, grpc_broker_server::GrpcBroker, grpc_stdio_server::GrpcStdio,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    sync::{Mutex, watch},
};
use tokio_util::task::AbortOnDropHandle;
use tonic::{Request, Response, Status, Streaming, body::Body};

/// How long the gateway may take to say where its services are.
const PATIENCE: Duration = Duration::from_secs(30);

/// What calls are addressed to; the name means nothing.
pub(super) fn origin() -> Uri {
    Uri::from_static("http://localhost")
}

/// Where a service is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Unix(String),
    Tcp(String),
}

/// The way back.
pub(super) struct WayBack {
    /// Which service is the gateway's; 0 until it says so.
    service: watch::Sender<u32>,
    places: watch::Sender<HashMap<u32, Place>>,
    link: Mutex<Option<Link>>,
}

impl Default for WayBack {
    fn default() -> Self {
        Self { service: watch::Sender::new(0), places: watch::Sender::default(), link: Mutex::default() }
    }
}

impl WayBack {
    /// Takes the number of the gateway's service; 0 is nothing said.
    pub(super) fn know(&self, service: u32) {
        if service != 0 {
            self.service.send_replace(service);
        }
    }

    /// Whether the gateway offers services at all.
    pub(super) fn is_offered(&self) -> bool {
        *self.service.borrow() != 0
    }

    /// The connection; a new one where the last is gone.
    pub(super) async fn link(&self) -> Result<Link, PluginError> {
        let mut kept = self.link.lock().await;
        if let Some(link) = kept.as_ref().filter(|link| !link.sender.is_closed()) {
            return Ok(link.clone());
        }
        let number = *self.service.borrow();
        if number == 0 {
            return Err(PluginError::NoService("gateway"));
        }
        let told = tokio::time::timeout(PATIENCE, self.place(number)).await.ok().flatten();
        let place = told.ok_or(PluginError::Timeout(PATIENCE))?;
        let link = Link::open(&place).await.map_err(|error| {
            PluginError::Unavailable(format!("connecting to the gateway's services: {error}"))
        })?;
        *kept = Some(link.clone());
        Ok(link)
    }

    /// Where a service is, once the gateway has said so.
    async fn place(&self, number: u32) -> Option<Place> {
        let mut places = self.places.subscribe();
        let told = places.wait_for(|places| places.contains_key(&number)).await.ok()?;
        told.get(&number).cloned()
    }

    fn tell(&self, info: ConnInfo) {
        let place = match info.network.as_str() {
            "unix" => Place::Unix(info.address),
            "tcp" => Place::Tcp(info.address),
            _ => return,
        };
        // Never forgotten: a plugin may first ask after hours.
        self.places.send_if_modified(|places| places.insert(info.service_id, place.clone()) != Some(place));
    }
}

/// A connection to the gateway's services.
#[derive(Clone)]
pub(super) struct Link {
    sender: http2::SendRequest<Body>,
    _driver: Arc<AbortOnDropHandle<()>>,
}

impl Link {
    pub(super) async fn open(place: &Place) -> io::Result<Self> {
        match place {
            Place::Unix(path) => Self::over(UnixStream::connect(path).await?).await,
            Place::Tcp(address) => Self::over(TcpStream::connect(address.as_str()).await?).await,
        }
    }

    async fn over(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> io::Result<Self> {
        let opened = http2::Builder::new(TokioExecutor::new()).handshake(TokioIo::new(stream)).await;
        let (sender, connection) = opened.map_err(io::Error::other)?;
        let driver = tokio::spawn(async move {
            // Why it ended, the calls on it are told.
            let _ = connection.await;
        });
        Ok(Self { sender, _driver: Arc::new(AbortOnDropHandle::new(driver)) })
    }
}

impl tower_service::Service<HttpRequest<Body>> for Link {
    type Response = HttpResponse<Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = hyper::Result<HttpResponse<Incoming>>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<hyper::Result<()>> {
        self.sender.poll_ready(cx)
    }

    fn call(&mut self, request: HttpRequest<Body>) -> Self::Future {
        Box::pin(self.sender.send_request(request))
    }
}

/// Takes what the gateway says of where its services are.
pub(super) struct Broker(pub(super) Arc<WayBack>);

type Infos = Pin<Box<dyn Stream<Item = Result<ConnInfo, Status>> + Send>>;

#[tonic::async_trait]
impl GrpcBroker for Broker {
    type StartStreamStream = Infos;

    /// The plugin serves nothing over it, so it says nothing: the answer only reads, for as long as it is read.
    async fn start_stream(&self, request: Request<Streaming<ConnInfo>>) -> Result<Response<Infos>, Status> {
        let state = (request.into_inner(), self.0.clone());
        let answers = stream::unfold(state, |(mut told, way)| async move {
            while let Ok(Some(info)) = told.message().await {
                way.tell(info);
            }
            None
        });
        Ok(Response::new(Box::pin(answers)))
    }
}

/// Output stays where the process writes it, so there is none to stream; the stream is there, as hosts ask for it.
pub(super) struct Stdio;

#[tonic::async_trait]
impl GrpcStdio for Stdio {
    type StreamStdioStream = Pin<Box<dyn Stream<Item = Result<StdioData, Status>> + Send>>;

    async fn stream_stdio(&self, _: Request<()>) -> Result<Response<Self::StreamStdioStream>, Status> {
        Ok(Response::new(Box::pin(stream::pending())))
    }
}
