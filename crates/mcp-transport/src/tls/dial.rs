//! TLS over a connection that is there, for who speaks HTTP/2 by other means than this crate's.

use std::io;
use std::sync::Arc;

use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::LoadedClientTls;

/// Encrypts a connection to `host` and agrees on HTTP/2.
///
/// # Errors
///
/// A name that no certificate can be for, a handshake that failed, a server that does not speak HTTP/2.
pub async fn connect_h2(
    tls: &LoadedClientTls,
    host: &str,
    stream: TcpStream,
) -> io::Result<impl AsyncRead + AsyncWrite + Send + Unpin + 'static> {
    let mut config = rustls::ClientConfig::clone(tls);
    config.alpn_protocols = vec![b"h2".to_vec()];
    let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned());
    let name = name.map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
    match stream.get_ref().1.alpn_protocol() {
        Some(b"h2") => Ok(stream),
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, "the server does not speak HTTP/2 over TLS")),
    }
}
