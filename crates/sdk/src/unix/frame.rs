//! Frames off a socket, of bounded length.

use std::io;

use bytes::{Buf, Bytes, BytesMut};
use tokio::{io::AsyncReadExt, net::unix::OwnedReadHalf};

/// Bytes of a length.
const PREFIX: usize = 4;

/// What may be read ahead while a call is under way.
const AHEAD: usize = 64 * 1024;

pub(super) struct Frames {
    reading: OwnedReadHalf,
    buffer: BytesMut,
    max: usize,
}

impl Frames {
    pub(super) fn new(reading: OwnedReadHalf, max: usize) -> Self {
        Self { reading, buffer: BytesMut::new(), max }
    }

    /// The next frame; `None` where the client closed between frames.
    pub(super) async fn next(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            if let Some(frame) = self.cut()? {
                return Ok(Some(frame));
            }
            // The buffer grows with what comes, so that a length alone costs no memory.
            if self.reading.read_buf(&mut self.buffer).await? == 0 {
                return if self.buffer.is_empty() {
                    Ok(None)
                } else {
                    Err(io::ErrorKind::UnexpectedEof.into())
                };
            }
        }
    }

    fn cut(&mut self) -> io::Result<Option<Bytes>> {
        let Some(prefix) = self.buffer.first_chunk::<PREFIX>() else { return Ok(None) };
        let length = u32::from_be_bytes(*prefix) as usize;
        if length > self.max {
            let message = format!("a frame of {length} bytes is longer than the {} allowed", self.max);
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        if self.buffer.len() < PREFIX + length {
            return Ok(None);
        }
        self.buffer.advance(PREFIX);
        Ok(Some(self.buffer.split_to(length).freeze()))
    }

    /// Resolves when the client has closed. Reads ahead a little, so that the next frame is no end.
    pub(super) async fn closed(&mut self) {
        while self.buffer.len() < AHEAD {
            if !matches!(self.reading.read_buf(&mut self.buffer).await, Ok(1..)) {
                return;
            }
        }
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::{io::AsyncWriteExt, net::UnixStream};

    use super::*;

    #[tokio::test]
    async fn frames_are_cut_wherever_the_socket_cuts_them() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut frames = Frames::new(ours.into_split().0, 10);
        for byte in [0, 0, 0, 3, b'o', b'n', b'e', 0, 0, 0, 0] {
            theirs.write_all(&[byte]).await.unwrap();
        }
        assert_eq!(frames.next().await.unwrap().unwrap(), "one");
        assert_eq!(frames.next().await.unwrap().unwrap(), "");
        theirs.write_all(&[0, 0, 0, 11]).await.unwrap();
        assert_eq!(frames.next().await.unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[tokio::test]
    async fn a_client_that_closes_is_noticed_while_its_call_is_under_way() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut frames = Frames::new(ours.into_split().0, 10);
        drop(theirs);
        frames.closed().await;
        assert!(frames.next().await.unwrap().is_none());
    }
}
