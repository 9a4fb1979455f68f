//! A frame: its length in four bytes, big end first, then as many bytes.

use std::io;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt};

/// Bytes of a length.
const PREFIX: usize = 4;

/// Longest frame, either way, in bytes.
pub(crate) const LONGEST: usize = 64 << 20;

/// Reads one frame; `None` where the other side closed between frames.
pub(crate) async fn read(input: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Bytes>> {
    let mut prefix = [0; PREFIX];
    if input.read(&mut prefix[..1]).await? == 0 {
        return Ok(None);
    }
    input.read_exact(&mut prefix[1..]).await?;
    let length = u32::from_be_bytes(prefix) as usize;
    if length > LONGEST {
        let message = format!("a frame of {length} bytes is longer than the {LONGEST} allowed");
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    // Grows with what comes where it is long, so that a length alone costs no memory.
    let mut body = Vec::with_capacity(length.min(64 << 10));
    if input.take(length as u64).read_to_end(&mut body).await? < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Some(body.into()))
}

/// Begins a frame; its body is appended to what this returns.
pub(crate) fn begin(capacity: usize) -> Vec<u8> {
    let mut frame = Vec::with_capacity(PREFIX + capacity);
    frame.extend_from_slice(&[0; PREFIX]);
    frame
}

/// Ends a frame begun by [`begin`]; `None` where its body is longer than [`LONGEST`].
pub(crate) fn end(mut frame: Vec<u8>) -> Option<Vec<u8>> {
    let length = frame.len() - PREFIX;
    let prefix = u32::try_from(length).ok().filter(|_| length <= LONGEST)?.to_be_bytes();
    frame[..PREFIX].copy_from_slice(&prefix);
    Some(frame)
}

/// A frame around a short `body`.
pub(crate) fn whole(body: &[u8]) -> Vec<u8> {
    let mut frame = begin(body.len());
    frame.extend_from_slice(body);
    end(frame).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn frames_are_read_as_written_and_bad_ones_refused() {
        let mut input = [whole(b"one"), whole(b"")].concat();
        input.extend_from_slice(&[0, 0, 0, 9, b'x']);
        let mut input = &input[..];
        assert_eq!(read(&mut input).await.unwrap().unwrap(), "one");
        assert_eq!(read(&mut input).await.unwrap().unwrap(), "");
        assert_eq!(read(&mut input).await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert!(read(&mut &b""[..]).await.unwrap().is_none());
        assert_eq!(read(&mut &[255; 8][..]).await.unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
