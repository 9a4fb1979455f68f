//! What stands between a gateway and a server that is in order, and makes it look as if it were not.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, UnixListener, UnixStream},
    runtime::Handle,
    sync::{oneshot, watch},
};

/// A runtime on a thread of its own, for what is no part of the gateway: its tasks are not counted there.
pub(super) struct Beside {
    pub(super) runtime: Handle,
    _until: oneshot::Sender<()>,
}

impl Beside {
    pub(super) fn new() -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let handle = runtime.handle().clone();
        let (until, ended) = oneshot::channel::<()>();
        thread::spawn(move || {
            let _ = runtime.block_on(ended);
        });
        Self { runtime: handle, _until: until }
    }
}

/// What becomes of what the server says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// It passes.
    Pass,
    /// It is kept until it may pass.
    Hold,
    /// These bytes come instead.
    Instead(Vec<u8>),
    /// Half of it passes, and the connection is closed.
    Cut,
}

/// Where a gateway connects to, and what is done there.
pub(super) struct Proxy {
    /// A path, or host and port.
    pub(super) address: String,
    mode: watch::Sender<Mode>,
    open: Arc<AtomicUsize>,
}

impl Proxy {
    /// Listens at a Unix socket in `folder`, or else at a free port, for a server at the socket `server`.
    pub(super) async fn start(beside: &Beside, unix: bool, folder: &Path, server: PathBuf) -> Self {
        let (mode, open) = (watch::Sender::new(Mode::Pass), Arc::new(AtomicUsize::new(0)));
        let way = Way { server, mode: mode.clone(), open: open.clone() };
        let socket = folder.join("front.sock");
        let listening = beside.runtime.spawn(async move {
            if unix {
                let listener = UnixListener::bind(&socket).unwrap();
                tokio::spawn(async move {
                    while let Ok((client, _)) = listener.accept().await {
                        tokio::spawn(way.clone().relay(client));
                    }
                });
                socket.display().to_string()
            } else {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                let address = listener.local_addr().unwrap().to_string();
                tokio::spawn(async move {
                    while let Ok((client, _)) = listener.accept().await {
                        tokio::spawn(way.clone().relay(client));
                    }
                });
                address
            }
        });
        Self { address: listening.await.unwrap(), mode, open }
    }

    pub(super) fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    /// Connections that the gateway has not closed, nor the server.
    pub(super) fn open(&self) -> usize {
        self.open.load(SeqCst)
    }
}

#[derive(Clone)]
struct Way {
    server: PathBuf,
    mode: watch::Sender<Mode>,
    open: Arc<AtomicUsize>,
}

impl Way {
    async fn relay(self, client: impl AsyncRead + AsyncWrite) {
        self.open.fetch_add(1, SeqCst);
        if let Ok(server) = UnixStream::connect(&self.server).await {
            let (from_client, to_client) = tokio::io::split(client);
            let (from_server, to_server) = server.into_split();
            // Either side's end is the end of both.
            tokio::select! {
                () = asked(from_client, to_server) => {}
                () = self.answered(from_server, to_client) => {}
            }
        }
        self.open.fetch_sub(1, SeqCst);
    }

    async fn answered(&self, mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) {
        let (mut mode, mut chunk) = (self.mode.subscribe(), vec![0; 64 << 10]);
        loop {
            let Ok(count @ 1..) = from.read(&mut chunk).await else { return };
            let held = mode.wait_for(|mode| *mode != Mode::Hold).await;
            let Ok(now) = held.map(|mode| mode.clone()) else { return };
            let sent = match now {
                Mode::Instead(bytes) => to.write_all(&bytes).await,
                Mode::Cut => {
                    let _ = to.write_all(&chunk[..count / 2]).await;
                    return;
                }
                Mode::Pass | Mode::Hold => to.write_all(&chunk[..count]).await,
            };
            if sent.is_err() {
                return;
            }
        }
    }
}

async fn asked(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) {
    let mut chunk = vec![0; 64 << 10];
    while let Ok(count @ 1..) = from.read(&mut chunk).await {
        if to.write_all(&chunk[..count]).await.is_err() {
            return;
        }
    }
}
