//! One connection: writes a request, reads an answer with a length or in chunks.

use std::io;

use memchr::memmem;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Largest answer that is read, in bytes.
const MAX_ANSWER: usize = 256 << 20;

/// A connection that is kept alive.
pub(super) struct Connection {
    stream: TcpStream,
    /// What was read; an answer starts at 0.
    read: Vec<u8>,
    body: Vec<u8>,
}

/// An answer as far as it matters.
pub(super) struct Answer<'a> {
    pub(super) status: u16,
    pub(super) body: &'a [u8],
    /// Whether the connection can take another request.
    pub(super) keep: bool,
}

impl Connection {
    pub(super) async fn open(address: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, read: Vec::with_capacity(8192), body: Vec::new() })
    }

    pub(super) async fn exchange(&mut self, request: &[u8]) -> io::Result<Answer<'_>> {
        self.stream.write_all(request).await?;
        self.read.clear();
        let (head, end) = loop {
            if let Some(end) = memmem::find(&self.read, b"\r\n\r\n") {
                break (Head::parse(&self.read[..end])?, end + 4);
            }
            self.more().await?;
        };
        let body = match head.body {
            Body::Length(length) if length > MAX_ANSWER => return Err(invalid("the answer is too long")),
            Body::Length(length) => {
                while self.read.len() < end + length {
                    self.more().await?;
                }
                &self.read[end..end + length]
            }
            Body::Chunked => {
                self.chunks(end).await?;
                &self.body[..]
            }
            Body::ToEnd => {
                while self.stream.read_buf(&mut self.read).await? > 0 {}
                &self.read[end..]
            }
        };
        Ok(Answer { status: head.status, body, keep: head.keep })
    }

    async fn more(&mut self) -> io::Result<()> {
        if self.stream.read_buf(&mut self.read).await? == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the connection was closed in an answer",
            ));
        }
        if self.read.len() > MAX_ANSWER { Err(invalid("the answer is too long")) } else { Ok(()) }
    }

    /// Puts the chunks that start at `at` together.
    async fn chunks(&mut self, mut at: usize) -> io::Result<()> {
        self.body.clear();
        loop {
            let line_end = loop {
                match memmem::find(&self.read[at..], b"\r\n") {
                    Some(end) => break at + end,
                    None => self.more().await?,
                }
            };
            let size = chunk_size(&self.read[at..line_end])?;
            at = line_end + 2;
            while self.read.len() < at + size + 2 {
                self.more().await?;
            }
            if size == 0 {
                return Ok(());
            }
            self.body.extend_from_slice(&self.read[at..at + size]);
            at += size + 2;
        }
    }
}

enum Body {
    Length(usize),
    Chunked,
    ToEnd,
}

struct Head {
    status: u16,
    body: Body,
    keep: bool,
}

impl Head {
    fn parse(head: &[u8]) -> io::Result<Self> {
        let mut lines = head.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
        let status = lines.next().and_then(|line| line.strip_prefix(b"HTTP/1.1 ")?.get(..3));
        let status = status.and_then(number).ok_or_else(|| invalid("no status line of HTTP/1.1"))?;
        let mut found = Self { status: status as u16, body: Body::ToEnd, keep: true };
        if matches!(status, 204 | 304) {
            found.body = Body::Length(0);
        }
        for line in lines {
            let Some(colon) = memchr::memchr(b':', line) else { continue };
            let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
            if name.eq_ignore_ascii_case(b"content-length") {
                found.body = Body::Length(number(value).ok_or_else(|| invalid("an unreadable length"))?);
            } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
                found.body = Body::Chunked;
            } else if name.eq_ignore_ascii_case(b"connection") {
                found.keep &= !value.eq_ignore_ascii_case(b"close");
            }
        }
        found.keep &= !matches!(found.body, Body::ToEnd);
        Ok(found)
    }
}

fn number(digits: &[u8]) -> Option<usize> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn chunk_size(line: &[u8]) -> io::Result<usize> {
    let digits = line.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    let size = std::str::from_utf8(digits).ok().and_then(|digits| usize::from_str_radix(digits, 16).ok());
    size.filter(|size| *size <= MAX_ANSWER).ok_or_else(|| invalid("an unreadable size of a chunk"))
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
