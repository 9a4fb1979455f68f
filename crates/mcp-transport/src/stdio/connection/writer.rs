//! The task that writes messages, one a line.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use mortise_mcp::framing::end_line;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;

use super::{PipeError, Shared};

/// Bytes put together for one write; more small messages go into the next.
const BATCH: usize = 64 * 1024;

/// Makes a line of a message.
pub(super) fn frame(mut message: Vec<u8>) -> Bytes {
    end_line(&mut message);
    message.into()
}

pub(super) async fn run<W>(shared: Arc<Shared>, mut writer: W, mut queue: mpsc::Receiver<Bytes>)
where
    W: AsyncWrite + Unpin,
{
    let result = write_all(&shared, &mut writer, &mut queue).await;
    queue.close();
    if let Err(source) = result {
        shared.end(PipeError::Broken { name: Arc::clone(&shared.name), source: Arc::new(source) });
    }
    let _ = writer.shutdown().await;
}

async fn write_all<W>(
    shared: &Shared,
    writer: &mut W,
    queue: &mut mpsc::Receiver<Bytes>,
) -> std::io::Result<()>
where
    W: AsyncWrite + Unpin,
{
    let mut batch = BytesMut::new();
    loop {
        let first = tokio::select! {
            biased;
            next = queue.recv() => next,
            // What was queued before is found by the branch above.
            () = shared.stop.cancelled() => None,
        };
        let Some(first) = first else { return Ok(()) };
        match queue.try_recv() {
            Err(_) => writer.write_all(&first).await?,
            Ok(second) => {
                batch.clear();
                batch.extend_from_slice(&first);
                batch.extend_from_slice(&second);
                while batch.len() < BATCH
                    && let Ok(next) = queue.try_recv()
                {
                    batch.extend_from_slice(&next);
                }
                writer.write_all(&batch).await?;
                if batch.capacity() > 4 * BATCH {
                    batch = BytesMut::new();
                }
            }
        }
        writer.flush().await?;
    }
}
