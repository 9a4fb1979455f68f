//! A server of POST requests over HTTP/1.1, as little of one as the gateway's client needs.
//!
//! For what the bench itself must serve: an upstream with a long list of tools, and a place where spans go. It trusts
//! whoever connects and knows no transfer encoding; the upstream that throughput is measured with is the test kit's.

use std::io;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// Room for a request before it has to grow, in bytes.
const ROOM: usize = 64 << 10;

/// Answers every POST with what `answer` makes of its body: JSON, or nothing (202). Other methods are refused (405).
/// Serves until the future is dropped.
///
/// # Errors
/// When a connection cannot be accepted.
pub(crate) async fn serve<A>(listener: TcpListener, answer: A) -> io::Result<()>
where
    A: Fn(&[u8]) -> Option<Vec<u8>> + Clone + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await?;
        // Those that are over are taken out, so that the set does not grow.
        while connections.try_join_next().is_some() {}
        stream.set_nodelay(true)?;
        // A connection that breaks is the client's affair.
        connections.spawn(connection(stream, answer.clone()));
    }
}

async fn connection(mut stream: TcpStream, answer: impl Fn(&[u8]) -> Option<Vec<u8>>) -> io::Result<()> {
    let mut read = Vec::with_capacity(ROOM);
    loop {
        let head = loop {
            if let Some(head) = Head::find(&read) {
                break head;
            }
            if stream.read_buf(&mut read).await? == 0 {
                return Ok(());
            }
        };
        let end = head.end + head.length;
        while read.len() < end {
            if stream.read_buf(&mut read).await? == 0 {
                return Ok(());
            }
        }
        let (status, body) = match head.is_post.then(|| answer(&read[head.end..end])) {
            Some(Some(body)) => ("200 OK", body),
            Some(None) => ("202 Accepted", Vec::new()),
            None => ("405 Method Not Allowed", Vec::new()),
        };
        let mut out = format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        out.extend_from_slice(&body);
        stream.write_all(&out).await?;
        read.drain(..end);
    }
}

/// What of a request's head counts.
#[derive(Debug, PartialEq)]
struct Head {
    is_post: bool,
    /// Where the body begins.
    end: usize,
    /// Length of the body.
    length: usize,
}

impl Head {
    /// The head that `read` begins with, once all of it is there.
    fn find(read: &[u8]) -> Option<Self> {
        const END: &[u8] = b"\r\n\r\n";
        let end = read.windows(END.len()).position(|window| window == END)? + END.len();
        let head = String::from_utf8_lossy(&read[..end]);
        let length = head.lines().filter_map(|line| line.split_once(':')).find_map(|(name, value)| {
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
        });
        Some(Self { is_post: head.starts_with("POST "), end, length: length.unwrap_or(0) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn head_is_found_once_it_is_whole() {
        let whole = b"POST /mcp HTTP/1.1\r\nhost: a\r\nContent-Length: 12\r\n\r\n{";
        assert_eq!(Head::find(whole), Some(Head { is_post: true, end: whole.len() - 1, length: 12 }));
        assert_eq!(Head::find(&whole[..40]), None);
        let get = Head::find(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        assert_eq!((get.is_post, get.length), (false, 0));
    }
}
