//! One connection to a plugin server's socket: a frame out, a frame in.

use std::{io, path::Path, time::Duration};

use bytes::{Bytes, BytesMut};
use prost::Message;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
};

/// How long connecting may take: a server that is there takes it at once.
const CONNECT: Duration = Duration::from_secs(5);

/// Bytes of a length.
const PREFIX: usize = 4;

pub(super) struct Connection {
    stream: UnixStream,
    max: usize,
}

impl Connection {
    pub(super) async fn open(path: &Path, max: usize) -> io::Result<Self> {
        let connecting = tokio::time::timeout(CONNECT, UnixStream::connect(path));
        let stream = connecting.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        Ok(Self { stream, max })
    }

    /// Whether there is nothing to read: the state between two calls. Anything else is an end, or an answer to nothing.
    pub(super) fn is_silent(&self) -> bool {
        let mut byte = [0];
        matches!(self.stream.try_read(&mut byte), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Sends a message and reads the frame that answers it. Dropped in between, the connection is good for nothing.
    pub(super) async fn exchange(&mut self, message: &impl Message) -> io::Result<Bytes> {
        let length = message.encoded_len();
        let mut frame = Vec::with_capacity(PREFIX + length);
        frame.extend_from_slice(&u32::try_from(length).map_err(io::Error::other)?.to_be_bytes());
        message.encode_raw(&mut frame);
        self.stream.write_all(&frame).await?;
        let mut answer = BytesMut::with_capacity(4096);
        let mut wanted = None;
        loop {
            if wanted.is_none()
                && let Some(prefix) = answer.first_chunk::<PREFIX>()
            {
                let length = u32::from_be_bytes(*prefix) as usize;
                if length > self.max {
                    let message =
                        format!("the answer of {length} bytes is longer than the {} allowed", self.max);
                    return Err(io::Error::new(io::ErrorKind::InvalidData, message));
                }
                wanted = Some(PREFIX + length);
            }
            match wanted {
                Some(wanted) if answer.len() == wanted => return Ok(answer.split_off(PREFIX).freeze()),
                Some(wanted) if answer.len() > wanted => {
                    let message = "there is more behind the answer than nothing";
                    return Err(io::Error::new(io::ErrorKind::InvalidData, message));
                }
                _ => {}
            }
            // The buffer grows with what comes, so that a length alone costs no memory.
            if self.stream.read_buf(&mut answer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use mortise_proto::contextforge::cpex::GetPluginConfigRequest;

    use super::*;

    async fn answered(bytes: &[u8]) -> io::Result<Bytes> {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut connection = Connection { stream: ours, max: 10 };
        theirs.write_all(bytes).await.unwrap();
        theirs.shutdown().await.unwrap();
        connection.exchange(&GetPluginConfigRequest { name: "x".into() }).await
    }

    #[tokio::test]
    async fn an_answer_is_one_frame_of_bounded_length() {
        assert_eq!(answered(b"\0\0\0\x02ok").await.unwrap(), "ok");
        assert_eq!(answered(b"\0\0\0\0").await.unwrap(), "");
        for (bytes, kind) in [
            (&b"\0\0\0\x0b"[..], io::ErrorKind::InvalidData),
            (b"\0\0\0\x02okmore", io::ErrorKind::InvalidData),
            (b"\0\0\0\x03ok", io::ErrorKind::UnexpectedEof),
            (b"", io::ErrorKind::UnexpectedEof),
        ] {
            assert_eq!(answered(bytes).await.unwrap_err().kind(), kind, "{bytes:?}");
        }
    }

    #[tokio::test]
    async fn a_connection_that_was_closed_or_speaks_unasked_is_not_used_again() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let connection = Connection { stream: ours, max: 10 };
        assert!(connection.is_silent());
        theirs.write_all(b"x").await.unwrap();
        connection.stream.readable().await.unwrap();
        assert!(!connection.is_silent());
        let (ours, theirs) = UnixStream::pair().unwrap();
        let connection = Connection { stream: ours, max: 10 };
        drop(theirs);
        connection.stream.readable().await.unwrap();
        assert!(!connection.is_silent());
    }
}
