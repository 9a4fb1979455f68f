//! `egress`: where plugins may send requests of their own.
//!
//! Only what may be written is here; what addresses mean, and when they are looked at, is the matter of
//! `crate::host::guard`.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};
use schemars::JsonSchema;
use serde::Deserialize;
use url::{Host, Url};

use super::{listen::shown, place::Findings};

/// Where plugins may send HTTP requests of their own. Upstreams are not meant: their URLs are the operator's. Not
/// given, plugins reach public addresses and nothing else.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EgressConfig {
    /// What plugins may reach although it is not public (private networks, this machine), or at all where `public` is
    /// false: host names (`audit.internal.corp`, `*.internal.corp` for all under it), with or without a port; URLs
    /// without path (`https://audit.internal.corp:8443`) for that scheme and port alone; networks (`10.0.0.0/8`, or
    /// one address). A name opens private and loopback addresses it resolves to; link-local ones, where clouds keep
    /// their credentials, only a network opens. Default none.
    pub allow: Vec<String>,
    /// Whether public addresses may be reached without being listed. Default true.
    pub public: bool,
}

impl Default for EgressConfig {
    fn default() -> Self {
        Self { allow: Vec::new(), public: true }
    }
}

/// Validated [`EgressConfig`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Egress {
    /// Whether public addresses may be reached without being listed.
    pub public: bool,
    /// What may be reached besides.
    pub allow: Vec<Destination>,
}

impl Default for Egress {
    fn default() -> Self {
        Self { public: true, allow: Vec::new() }
    }
}

/// Something that plugins may reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// The host or hosts.
    pub target: Target,
    /// Only with (`true`) or without TLS.
    pub secure: Option<bool>,
    /// Only this port.
    pub port: Option<u16>,
}

/// The hosts of a [`Destination`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// One name, in lower case, without a dot at its end.
    Name(String),
    /// All names that end in a dot and this.
    Under(String),
    /// Addresses, whatever name led to them. Never in the IPv6 form of an IPv4 network.
    Network(IpNet),
}

/// Checks the section.
pub(super) fn settle(raw: &EgressConfig, found: &mut Findings<'_>) -> Egress {
    let mut allow = Vec::new();
    for (index, text) in raw.allow.iter().enumerate() {
        match text.parse() {
            Ok(destination) => allow.push(destination),
            Err(NotADestination(why)) => {
                let path = format!("egress.allow[{index}]");
                // What stands before an `@` may be a password.
                let error = if text.contains('@') {
                    found.secret_error(&path, format!("this cannot be listed: {why}"))
                } else {
                    found.error(&path, format!("`{}` cannot be listed: {why}", shown(text)))
                };
                error.help = Some(
                    "write a host (audit.internal.corp, *.internal.corp, with or without :port), a URL without path \
                     (https://audit.internal.corp:8443) or a network (10.0.0.0/8)"
                        .into(),
                );
            }
        }
    }
    Egress { public: raw.public, allow }
}

/// Why a text is no [`Destination`]. Does not repeat the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotADestination(&'static str);

impl std::str::FromStr for Destination {
    type Err = NotADestination;

    fn from_str(text: &str) -> Result<Self, NotADestination> {
        if text.contains("://") {
            return origin(text);
        }
        if let Some(network) = network(text) {
            return Ok(Self { target: Target::Network(network), secure: None, port: None });
        }
        if text.contains(['/', '?', '#', '@', '\\']) || text.chars().any(char::is_whitespace) {
            return Err(NotADestination("it is neither a host nor a network"));
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (text, None),
        };
        let port = match port.map(str::parse) {
            None => None,
            Some(Ok(port @ 1_u16..)) => Some(port),
            Some(_) => return Err(NotADestination("what follows the colon is not a port")),
        };
        // Read as browsers and clients read it, so that 127.1 and the like are the addresses they mean.
        let url = Url::parse(&format!("http://{host}/")).map_err(|_| NotADestination("it is not a host"))?;
        Ok(Self { target: target(&url)?, secure: None, port })
    }
}

fn origin(text: &str) -> Result<Destination, NotADestination> {
    let url = Url::parse(text).map_err(|_| NotADestination("it is not a URL"))?;
    let secure = match url.scheme() {
        "https" => true,
        "http" => false,
        _ => return Err(NotADestination("plugins speak `http` and `https` alone")),
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err(NotADestination("it carries a user name or password"));
    }
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return Err(NotADestination("hosts are listed, not paths"));
    }
    Ok(Destination { target: target(&url)?, secure: Some(secure), port: url.port_or_known_default() })
}

fn target(url: &Url) -> Result<Target, NotADestination> {
    let name = match url.host() {
        Some(Host::Ipv4(ip)) => return Ok(Target::Network(IpAddr::from(ip).into())),
        Some(Host::Ipv6(ip)) => return Ok(Target::Network(IpAddr::from(ip).to_canonical().into())),
        Some(Host::Domain(name)) => name.strip_suffix('.').unwrap_or(name),
        None => return Err(NotADestination("it is not a host")),
    };
    let (name, under) = name.strip_prefix("*.").map_or((name, false), |name| (name, true));
    if name.is_empty() || name.contains('*') {
        return Err(NotADestination("`*` stands alone for the first label: *.internal.corp"));
    }
    Ok(if under { Target::Under(name.to_owned()) } else { Target::Name(name.to_owned()) })
}

/// A network, or one address.
fn network(text: &str) -> Option<IpNet> {
    let network = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from)).ok()?;
    let mapped = network.addr().to_canonical();
    match (network, mapped, network.prefix_len().checked_sub(96)) {
        (IpNet::V6(_), IpAddr::V4(ip), Some(bits)) => Ipv4Net::new(ip, bits).ok().map(IpNet::V4),
        _ => Some(network),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Destination, NotADestination> {
        text.parse()
    }

    #[test]
    fn hosts_urls_and_networks_are_told_apart() {
        let name = |name: &str| Target::Name(name.to_owned());
        let net = |net: &str| Target::Network(net.parse().unwrap());
        for (text, target, secure, port) in [
            ("Audit.Internal.corp", name("audit.internal.corp"), None, None),
            ("audit.internal.", name("audit.internal"), None, None),
            ("audit:80", name("audit"), None, Some(80)),
            ("*.internal.corp", Target::Under("internal.corp".into()), None, None),
            ("https://audit:8443", name("audit"), Some(true), Some(8443)),
            ("http://audit/", name("audit"), Some(false), Some(80)),
            ("10.0.0.0/8", net("10.0.0.0/8"), None, None),
            ("127.0.0.1", net("127.0.0.1/32"), None, None),
            ("127.0.0.1:9000", net("127.0.0.1/32"), None, Some(9000)),
            ("127.1", net("127.0.0.1/32"), None, None),
            ("::1", net("::1/128"), None, None),
            ("[::1]:80", net("::1/128"), None, Some(80)),
            ("http://[::ffff:10.0.0.1]:1", net("10.0.0.1/32"), Some(false), Some(1)),
            ("::ffff:10.0.0.0/104", net("10.0.0.0/8"), None, None),
            ("fd00::/8", net("fd00::/8"), None, None),
        ] {
            assert_eq!(read(text), Ok(Destination { target, secure, port }), "{text}");
        }
    }

    #[test]
    fn what_would_mean_something_else_than_it_seems_is_refused() {
        for text in [
            "",
            "*",
            "*.*.corp",
            "a*.corp",
            "audit/path",
            "https://audit/path",
            "https://audit?x",
            "ftp://audit",
            "https://user:pw@audit",
            "user@audit",
            "audit:",
            "audit:0",
            "audit:99999",
            "10.0.0.0/99",
            "two words",
        ] {
            assert!(read(text).is_err(), "{text:?} {:?}", read(text));
        }
    }
}
