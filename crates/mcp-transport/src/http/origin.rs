//! Where an upstream lives: scheme, host and port of a URL, checked once at configuration time.
//!
//! Path, query and credentials of a URL never enter this type, so its `Display` is safe in logs and errors.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::HeaderValue;
use rustls_pki_types::ServerName;
use thiserror::Error;
use tokio::net::TcpStream;
use url::{Host, Url};

/// Why a URL cannot be an upstream's address. No variant repeats the URL: it may carry secrets.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum OriginError {
    /// The scheme is not one that is spoken here.
    #[error("upstream URL has scheme `{scheme}`, allowed are `http` and `https`")]
    Scheme {
        /// What stood before the colon.
        scheme: String,
    },
    /// The URL has no host.
    #[error("upstream URL has no host")]
    NoHost,
    /// User name or password in the URL; they would end in logs of other programs.
    #[error("upstream URL carries user name or password; put them into a header instead")]
    Credentials,
    /// The host is no valid name for a `Host` header or a certificate.
    #[error("upstream URL has host `{host}`, which is no valid host name")]
    Host {
        /// The host as written.
        host: String,
    },
}

/// Scheme, host and port of an upstream. Cheap to clone: every error carries one.
#[derive(Clone, PartialEq, Eq)]
pub struct Origin(Arc<Parts>);

#[derive(PartialEq, Eq)]
struct Parts {
    host: Peer,
    port: u16,
    secure: bool,
    authority: HeaderValue,
    shown: Box<str>,
}

#[derive(PartialEq, Eq)]
enum Peer {
    Name(String),
    Ip(IpAddr),
}

impl Origin {
    /// Takes the origin out of a URL.
    ///
    /// # Errors
    ///
    /// Schemes other than `http` and `https`, a missing or malformed host, credentials in the URL.
    pub fn of(url: &Url) -> Result<Self, OriginError> {
        let secure = match url.scheme() {
            "http" => false,
            "https" => true,
            other => return Err(OriginError::Scheme { scheme: other.to_owned() }),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(OriginError::Credentials);
        }
        let host = match url.host().ok_or(OriginError::NoHost)? {
            Host::Domain(name) => Peer::Name(name.to_owned()),
            Host::Ipv4(ip) => Peer::Ip(ip.into()),
            Host::Ipv6(ip) => Peer::Ip(ip.into()),
        };
        let shown_host = url.host_str().unwrap_or_default();
        let default_port = if secure { 443 } else { 80 };
        let port = url.port().unwrap_or(default_port);
        let authority =
            if port == default_port { shown_host.to_owned() } else { format!("{shown_host}:{port}") };
        let bad_host = || OriginError::Host { host: shown_host.to_owned() };
        let authority = HeaderValue::try_from(authority).map_err(|_| bad_host())?;
        let shown = format!("{}://{shown_host}:{port}", url.scheme()).into_boxed_str();
        let origin = Self(Arc::new(Parts { host, port, secure, authority, shown }));
        if secure && origin.server_name().is_none() {
            return Err(bad_host());
        }
        Ok(origin)
    }

    /// Whether the connection is encrypted (`https`).
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.0.secure
    }

    /// The value of the `Host` header.
    #[must_use]
    pub fn authority(&self) -> &HeaderValue {
        &self.0.authority
    }

    /// The name the upstream's certificate must be for.
    pub(crate) fn server_name(&self) -> Option<ServerName<'static>> {
        match &self.0.host {
            Peer::Name(name) => ServerName::try_from(name.clone()).ok(),
            Peer::Ip(ip) => Some(ServerName::IpAddress((*ip).into())),
        }
    }

    /// Opens a TCP connection; a name that resolves to several addresses is tried in their order.
    pub(crate) async fn dial(&self) -> std::io::Result<TcpStream> {
        match &self.0.host {
            Peer::Name(name) => TcpStream::connect((name.as_str(), self.0.port)).await,
            Peer::Ip(ip) => TcpStream::connect(SocketAddr::new(*ip, self.0.port)).await,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.shown)
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Origin({})", self.0.shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(text: &str) -> Result<Origin, OriginError> {
        Origin::of(&Url::parse(text).unwrap())
    }

    #[test]
    fn default_port_is_left_out_of_the_host_header_and_shown_in_logs() {
        let o = origin("https://example.com/mcp?token=hidden").unwrap();
        assert_eq!(o.authority(), "example.com");
        assert_eq!(o.to_string(), "https://example.com:443");
        assert!(!format!("{o:?}").contains("hidden"));
    }

    #[test]
    fn ipv6_hosts_keep_their_brackets() {
        let o = origin("http://[::1]:9101/mcp").unwrap();
        assert_eq!(o.authority(), "[::1]:9101");
        assert!(!o.is_secure());
    }

    #[test]
    fn credentials_and_foreign_schemes_are_refused_without_repeating_the_url() {
        assert_eq!(origin("http://user:secret@host/").unwrap_err(), OriginError::Credentials);
        assert_eq!(origin("ftp://host/").unwrap_err(), OriginError::Scheme { scheme: "ftp".into() });
    }
}
