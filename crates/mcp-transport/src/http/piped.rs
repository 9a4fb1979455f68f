//! What is a pipe in all but name: messages that come and go over something that has no bytes of its own, as a pair of
//! byte streams with a line for each message, so that [`PipeConnection`] does the rest.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, DuplexStream, ReadBuf, ReadHalf, WriteHalf, split};
use tokio_util::task::AbortOnDropHandle;

use crate::stdio::connection::{PipeConfig, PipeConnection};

/// Bytes between the task and the connection.
const BUFFER: usize = 64 * 1024;

/// A connection over what two futures carry: `receive` writes each message that comes as a line, `post` sends each line.
/// The connection owns the task that runs them.
pub(super) fn connection<R, P>(
    name: &str,
    pipe: PipeConfig,
    receive: impl FnOnce(WriteHalf<DuplexStream>) -> R,
    post: impl FnOnce(ReadHalf<DuplexStream>) -> P,
) -> PipeConnection
where
    R: Future<Output = ()> + Send + 'static,
    P: Future<Output = ()> + Send + 'static,
{
    let (ours, theirs) = tokio::io::duplex(BUFFER);
    let (from_client, to_client) = split(theirs);
    let (reader, writer) = split(ours);
    let (receive, post) = (receive(to_client), post(from_client));
    let task = tokio::spawn(async move {
        // Either end is the end of both: half a conversation answers nobody.
        tokio::select! {
            () = receive => {}
            () = post => {}
        }
    });
    let reader = Reader { inner: reader, _task: AbortOnDropHandle::new(task) };
    PipeConnection::new(name, reader, writer, pipe)
}

/// The connection's reading end, which owns the task behind it.
struct Reader {
    inner: ReadHalf<DuplexStream>,
    _task: AbortOnDropHandle<()>,
}

impl AsyncRead for Reader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}
