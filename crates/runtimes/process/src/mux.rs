//! One connection that carries several, as go-plugin's broker can have it: yamux over the plugin's socket.
//!
//! The gateway opens one stream in it, for its calls; the plugin opens those by which it calls the gateway. A stream that
//! nobody waits for any more is let go. When the connection ends, so do all its streams, and who reads them sees that.

use std::{future::poll_fn, io, path::Path};

use tokio::{net::UnixStream, sync::mpsc};
use tokio_util::{
    compat::{Compat, FuturesAsyncReadCompatExt, TokioAsyncReadCompatExt},
    task::AbortOnDropHandle,
};
use yamux::{Config, Connection, ConnectionError, Mode};

/// One of the connections that are carried.
pub(crate) type Carried = Compat<yamux::Stream>;

/// Connections in one, each way, at a time. A plugin needs two.
const MAX_STREAMS: usize = 64;

/// How much may wait here for who reads it, of all connections together, in bytes.
const MAX_WAITING: usize = 64 << 20;

/// The connection. Dropped, it ends with all it carries.
#[derive(Debug)]
pub(crate) struct Mux {
    _task: AbortOnDropHandle<()>,
}

impl Mux {
    /// Connects, and opens the connection for calls in it. The second comes from the plugin.
    pub(crate) async fn open(path: &Path) -> io::Result<(Self, Carried, mpsc::Receiver<Carried>)> {
        let stream = UnixStream::connect(path).await?;
        let mut config = Config::default();
        config.set_max_num_streams(MAX_STREAMS).set_max_connection_receive_window(Some(MAX_WAITING));
        let mut connection = Connection::new(stream.compat(), config, Mode::Client);
        let ours = poll_fn(|cx| connection.poll_new_outbound(cx)).await.map_err(broken)?;
        let (arrive, arrivals) = mpsc::channel(MAX_STREAMS);
        let task = tokio::spawn(carry(connection, arrive));
        Ok((Self { _task: AbortOnDropHandle::new(task) }, ours.compat(), arrivals))
    }
}

fn broken(error: ConnectionError) -> io::Error {
    match error {
        ConnectionError::Io(error) => error,
        error => io::Error::other(error),
    }
}

/// Moves everything, until the connection ends.
async fn carry(mut connection: Connection<Compat<UnixStream>>, arrive: mpsc::Sender<Carried>) {
    loop {
        match poll_fn(|cx| connection.poll_next_inbound(cx)).await {
            // Where there are too many, or nobody takes them, it is dropped and thereby refused.
            Some(Ok(stream)) => drop(arrive.try_send(stream.compat())),
            Some(Err(error)) => {
                tracing::debug!(%error, "a plugin's connection that carries others broke");
                return;
            }
            None => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::UnixListener,
    };

    use super::*;

    #[tokio::test]
    async fn connections_of_both_sides_pass_over_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let plugin = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let mut connection = Connection::new(stream.compat(), Config::default(), Mode::Server);
            let mut asked = poll_fn(|cx| connection.poll_next_inbound(cx)).await.unwrap().unwrap().compat();
            let back = poll_fn(|cx| connection.poll_new_outbound(cx)).await.unwrap();
            let (arrive, _arrivals) = mpsc::channel(1);
            let _carrying = AbortOnDropHandle::new(tokio::spawn(carry(connection, arrive)));
            let mut word = [0; 4];
            asked.read_exact(&mut word).await.unwrap();
            let mut back = back.compat();
            back.write_all(&word).await.unwrap();
            back.flush().await.unwrap();
            // Until the other side has seen it.
            let _ = asked.read_exact(&mut word).await;
        });
        let (_mux, mut ours, mut arrivals) = Mux::open(&path).await.unwrap();
        ours.write_all(b"word").await.unwrap();
        ours.flush().await.unwrap();
        let mut word = [0; 4];
        arrivals.recv().await.unwrap().read_exact(&mut word).await.unwrap();
        assert_eq!(&word, b"word");
        drop((ours, _mux));
        plugin.await.unwrap();
    }
}
