//! A frame: its length in four bytes, big end first, then as many bytes.

use std::io;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt};

/// Bytes of a length.
const PREFIX: usize = 4;

/// Reads one frame of at most `max` bytes; `None` where the other side closed between frames.
pub(super) async fn read(input: &mut (impl AsyncRead + Unpin), max: usize) -> io::Result<Option<Bytes>> {
    let mut prefix = [0; PREFIX];
    if input.read(&mut prefix[..1]).await? == 0 {
        return Ok(None);
    }
    input.read_exact(&mut prefix[1..]).await?;
    let length = u32::from_be_bytes(prefix) as usize;
    if length > max {
        let message = format!("a frame of {length} bytes is longer than the {max} allowed");
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    let mut body = Vec::new();
    // Grows with what comes, so that a length alone costs no memory.
    if input.take(length as u64).read_to_end(&mut body).await? < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Some(body.into()))
}

/// Begins a frame; its body is appended to what this returns.
pub(super) fn begin(capacity: usize) -> Vec<u8> {
    let mut frame = Vec::with_capacity(PREFIX + capacity);
    frame.extend_from_slice(&[0; PREFIX]);
    frame
}

/// Ends a frame begun by [`begin`]; `None` where its body is longer than `max` bytes.
pub(super) fn end(mut frame: Vec<u8>, max: usize) -> Option<Bytes> {
    let length = frame.len() - PREFIX;
    let prefix = u32::try_from(length).ok().filter(|_| length <= max)?.to_be_bytes();
    frame[..PREFIX].copy_from_slice(&prefix);
    Some(frame.into())
}

/// A whole frame around `body`.
pub(super) fn whole(body: &[u8], max: usize) -> Option<Bytes> {
    let mut frame = begin(body.len());
    frame.extend_from_slice(body);
    end(frame, max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn frames_are_read_as_written_and_bad_ones_refused() {
        let mut input = [whole(b"one", 10).unwrap(), whole(b"", 10).unwrap()].concat();
        input.extend_from_slice(&[0, 0, 0, 9, b'x']);
        let mut input = &input[..];
        assert_eq!(read(&mut input, 10).await.unwrap().unwrap(), "one");
        assert_eq!(read(&mut input, 10).await.unwrap().unwrap(), "");
        assert_eq!(read(&mut input, 10).await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert!(read(&mut &b""[..], 10).await.unwrap().is_none());
        assert_eq!(read(&mut &[255; 8][..], 10).await.unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert!(whole(b"eleven bytes", 11).is_none());
    }
}
