//! Reading lines of bounded length.
//!
//! A line over the limit is skipped, not an end of the conversation: one oversized answer must not cost
//! the calls beside it. Its start is kept, so that the call it answers can be told.

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

/// Bytes kept of a line that is over the limit.
const KEPT: usize = 512;

/// Free room ensured before each read.
const CHUNK: usize = 8 * 1024;

/// One line, without its end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// A line within the limit.
    Whole(Bytes),
    /// The start of one that was over it.
    TooLong(Bytes),
}

/// Splits a byte stream into lines. Cancel safe.
#[derive(Debug)]
pub(crate) struct LineReader<R> {
    io: R,
    buffer: BytesMut,
    /// Bytes of `buffer` known to hold no line end.
    scanned: usize,
    limit: usize,
    /// The kept start of a line that is being skipped.
    skipping: Option<Bytes>,
    ended: bool,
}

impl<R: AsyncRead + Unpin> LineReader<R> {
    pub(crate) fn new(io: R, limit: usize) -> Self {
        Self { io, buffer: BytesMut::new(), scanned: 0, limit, skipping: None, ended: false }
    }

    /// The next line that is not empty; `None` at the end. A last line without its end counts.
    pub(crate) async fn next(&mut self) -> std::io::Result<Option<Line>> {
        loop {
            if let Some(line) = self.take_line() {
                return Ok(Some(line));
            }
            if self.ended {
                return Ok(self.take_rest());
            }
            self.buffer.reserve(CHUNK);
            if self.io.read_buf(&mut self.buffer).await? == 0 {
                self.ended = true;
            }
        }
    }

    fn take_line(&mut self) -> Option<Line> {
        loop {
            let Some(at) = memchr::memchr(b'\n', &self.buffer[self.scanned..]) else {
                self.scanned = self.buffer.len();
                self.skip_if_too_long();
                return None;
            };
            let mut line = self.buffer.split_to(self.scanned + at + 1);
            self.scanned = 0;
            line.truncate(line.len() - 1);
            if line.last() == Some(&b'\r') {
                line.truncate(line.len() - 1);
            }
            if let Some(line) = self.finish(line.freeze()) {
                return Some(line);
            }
        }
    }

    fn take_rest(&mut self) -> Option<Line> {
        self.scanned = 0;
        let rest = self.buffer.split().freeze();
        self.finish(rest)
    }

    fn finish(&mut self, line: Bytes) -> Option<Line> {
        if let Some(start) = self.skipping.take() {
            return Some(Line::TooLong(start));
        }
        if line.len() > self.limit {
            return Some(Line::TooLong(Bytes::copy_from_slice(&line[..KEPT.min(line.len())])));
        }
        (!line.trim_ascii().is_empty()).then_some(Line::Whole(line))
    }

    fn skip_if_too_long(&mut self) {
        if self.skipping.is_none() {
            if self.buffer.len() <= self.limit {
                return;
            }
            self.skipping = Some(Bytes::copy_from_slice(&self.buffer[..KEPT.min(self.buffer.len())]));
        }
        self.buffer.clear();
        self.scanned = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn lines(chunks: &[&[u8]], limit: usize) -> Vec<Line> {
        let mut mock = chunked(chunks);
        let mut reader = LineReader::new(&mut mock, limit);
        let mut found = Vec::new();
        while let Some(line) = reader.next().await.unwrap() {
            found.push(line);
        }
        found
    }

    /// A reader that yields one chunk a read.
    fn chunked(chunks: &[&[u8]]) -> Chunks {
        let chunks: std::collections::VecDeque<Vec<u8>> = chunks.iter().map(|chunk| chunk.to_vec()).collect();
        Chunks(chunks)
    }

    struct Chunks(std::collections::VecDeque<Vec<u8>>);

    impl AsyncRead for Chunks {
        fn poll_read(
            mut self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
            buf: &mut tokio::io::ReadBuf<'_>,
        ) -> std::task::Poll<std::io::Result<()>> {
            if let Some(chunk) = self.0.pop_front() {
                buf.put_slice(&chunk);
            }
            std::task::Poll::Ready(Ok(()))
        }
    }

    fn whole(text: &'static str) -> Line {
        Line::Whole(Bytes::from_static(text.as_bytes()))
    }

    #[tokio::test]
    async fn lines_are_found_however_the_bytes_are_split() {
        let text = b"one\r\n\n  \ntwo\nthree";
        for cut in 0..text.len() {
            let (left, right) = text.split_at(cut);
            let chunks: Vec<&[u8]> = [left, right].into_iter().filter(|chunk| !chunk.is_empty()).collect();
            assert_eq!(
                lines(&chunks, 100).await,
                [whole("one"), whole("two"), whole("three")],
                "cut at {cut}"
            );
        }
    }

    #[tokio::test]
    async fn an_overlong_line_is_skipped_in_bounded_memory_and_the_next_one_is_read() {
        let long = [b'x'; 4000];
        let found = lines(&[&long, &long, b"xx\nnext\n"], 1000).await;
        assert_eq!(found[0], Line::TooLong(Bytes::copy_from_slice(&long[..KEPT])));
        assert_eq!(found[1], whole("next"));
        let mut source = chunked(&[&long, &long, &long]);
        let mut reader = LineReader::new(&mut source, 1000);
        reader.next().await.unwrap();
        assert!(reader.buffer.capacity() < 64 * 1024);
    }
}
