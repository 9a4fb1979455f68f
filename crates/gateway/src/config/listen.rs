//! `listen`: where and how the gateway listens.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::place::Findings;
use mortise_mcp_transport::workers;

/// Where the gateway listens when nobody says otherwise.
pub const DEFAULT_ADDRESS: &str = "127.0.0.1:8081";

/// Where and how the gateway listens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ListenConfig {
    /// IP address (or `localhost`) and port. Port 0 takes any free one. Default `127.0.0.1:8081`. Without `apps` only
    /// loopback addresses are accepted.
    pub address: String,
    /// Certificates; without them the gateway speaks plain HTTP.
    pub tls: Option<TlsConfig>,
    /// Networks of reverse proxies (`10.0.0.0/8`, or one address) whose `X-Forwarded-For` is believed. Default none.
    pub trusted_proxies: Vec<String>,
    /// Origins beside the gateway's own whose pages may call it (`https://app.example.com`); `*` means any. Requests
    /// that browsers send for other pages are refused. Default none.
    pub allowed_origins: Vec<String>,
    /// Host names beside loopback ones that requests may be addressed to while the gateway listens on loopback, for
    /// example the public name that a reverse proxy passes on; `*` means any. On other addresses every name is
    /// accepted. Default none.
    pub allowed_hosts: Vec<String>,
    /// Largest request body in bytes, looked at before anything is buffered. Default 33,554,432 (32 MiB).
    #[schemars(range(min = 1))]
    pub max_body_bytes: usize,
    /// Connections at once; further ones wait in the system's queue. Default 10,000.
    #[schemars(range(min = 1))]
    pub max_connections: usize,
    /// Seconds after which a connection without a request in progress is closed. Default 75.
    #[schemars(range(min = 1))]
    pub idle_timeout: u64,
    /// Seconds that requests in progress may go on after the gateway was told to stop. Default 30.
    pub drain_timeout: u64,
    /// Threads that connections are spread over, each serving its own. Default 0: one for each core.
    #[schemars(range(max = 256))]
    pub workers: usize,
}

impl Default for ListenConfig {
    fn default() -> Self {
        Self {
            address: DEFAULT_ADDRESS.to_owned(),
            tls: None,
            trusted_proxies: Vec::new(),
            allowed_origins: Vec::new(),
            allowed_hosts: Vec::new(),
            max_body_bytes: 32 << 20,
            max_connections: 10_000,
            idle_timeout: 75,
            drain_timeout: 30,
            workers: 0,
        }
    }
}

/// Files with certificates and key in PEM form, relative to the file they are named in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    /// The certificate chain, the gateway's own first.
    pub cert: String,
    /// Its private key.
    pub key: String,
    /// Authorities of client certificates. Given, clients must show a certificate that one of them signed.
    #[serde(default)]
    pub client_ca: Option<String>,
}

/// Validated [`ListenConfig`].
#[derive(Clone, Debug)]
pub struct Listen {
    /// The address.
    pub address: SocketAddr,
    /// Certificate files.
    pub tls: Option<Tls>,
    /// Networks of believed reverse proxies.
    pub trusted_proxies: Vec<IpNet>,
    /// Listed origins, in lower case without a final slash; `*` means any.
    pub allowed_origins: Vec<String>,
    /// Listed host names, in lower case without port; `*` means any.
    pub allowed_hosts: Vec<String>,
    /// Largest request body in bytes.
    pub max_body_bytes: usize,
    /// Connections at once.
    pub max_connections: usize,
    /// How long a connection may be idle.
    pub idle_timeout: Duration,
    /// How long requests may go on after shutdown began.
    pub drain_timeout: Duration,
    /// Threads that connections are spread over, at least one.
    pub workers: usize,
}

/// Validated [`TlsConfig`]: paths that do not depend on the working folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// The certificate chain.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// Authorities of client certificates.
    pub client_ca: Option<PathBuf>,
}

/// Checks the section; `host` and `port` are flags that lie over the address. The address is a loopback one or
/// `guarded` is set.
pub(super) fn settle(
    raw: &ListenConfig,
    flags: (Option<&str>, Option<u16>),
    guarded: bool,
    found: &mut Findings<'_>,
) -> Listen {
    let address = address(&raw.address, flags, found).unwrap_or((Ipv4Addr::LOCALHOST, 0).into());
    if !guarded && !is_loopback(address.ip()) {
        let message = format!("listening on {address} without `apps` would serve anyone who can reach it");
        let help = "add `apps` with tokens, or listen on a loopback address such as 127.0.0.1";
        let error = if flags.0.is_some() {
            found.errors.push(super::check::flag_error("--host", message));
            found.errors.last_mut()
        } else {
            Some(found.error("listen.address", message))
        };
        if let Some(error) = error {
            error.help = Some(help.into());
        }
    }
    let tls = raw.tls.as_ref().map(|tls| Tls {
        cert: found.path("listen.tls.cert", &tls.cert),
        key: found.path("listen.tls.key", &tls.key),
        client_ca: tls.client_ca.as_ref().map(|ca| found.path("listen.tls.client_ca", ca)),
    });
    Listen {
        address,
        tls,
        trusted_proxies: networks(&raw.trusted_proxies, found),
        allowed_origins: origins(&raw.allowed_origins, found),
        allowed_hosts: hosts(&raw.allowed_hosts, found),
        max_body_bytes: raw.max_body_bytes,
        max_connections: raw.max_connections,
        idle_timeout: Duration::from_secs(raw.idle_timeout),
        drain_timeout: Duration::from_secs(raw.drain_timeout),
        workers: if raw.workers == 0 { workers::suitable() } else { raw.workers },
    }
}

/// Whether only this machine can reach an address; an IPv4 address in IPv6 form counts as what it is.
pub(crate) fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

fn address(
    written: &str,
    (host, port): (Option<&str>, Option<u16>),
    found: &mut Findings<'_>,
) -> Option<SocketAddr> {
    const SHAPE: &str =
        "write an IP address or `localhost` and a port, for example 127.0.0.1:8081 or [::1]:8081";
    let mut address = parse_address(written);
    if address.is_none() {
        let message = format!("`{}` is not an address to listen on", shown(written));
        found.error("listen.address", message).help = Some(SHAPE.into());
    }
    if let Some(host) = host {
        match parse_host(host) {
            Some(ip) => {
                let port = address.map_or(8081, |address| address.port());
                address = Some((ip, port).into());
            }
            None => {
                let message = format!("`{}` is neither an IP address nor `localhost`", shown(host));
                found.errors.push(super::check::flag_error("--host", message));
            }
        }
    }
    if let (Some(address), Some(port)) = (&mut address, port) {
        address.set_port(port);
    }
    address
}

fn parse_address(written: &str) -> Option<SocketAddr> {
    if let Ok(address) = written.parse() {
        return Some(address);
    }
    let (host, port) = written.rsplit_once(':')?;
    Some((parse_host(host)?, port.parse::<u16>().ok()?).into())
}

fn parse_host(host: &str) -> Option<IpAddr> {
    if host.eq_ignore_ascii_case("localhost") {
        return Some(Ipv4Addr::LOCALHOST.into());
    }
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

fn networks(written: &[String], found: &mut Findings<'_>) -> Vec<IpNet> {
    let mut networks = Vec::new();
    for (index, text) in written.iter().enumerate() {
        match text
            .parse::<IpNet>()
            .or_else(|error| text.parse::<IpAddr>().map(IpNet::from).map_err(|_| error))
        {
            Ok(network) => networks.push(network),
            Err(_) => {
                let message = format!("`{}` is not a network", shown(text));
                found.error(&format!("listen.trusted_proxies[{index}]"), message).help =
                    Some("write it as address/bits, for example 10.0.0.0/8, or as one address".into());
            }
        }
    }
    networks
}

fn origins(written: &[String], found: &mut Findings<'_>) -> Vec<String> {
    let mut origins = Vec::new();
    for (index, text) in written.iter().enumerate() {
        match crate::auth::normal_origin(text) {
            Some(origin) => origins.push(origin),
            None => {
                let message = format!("`{}` is not an origin", shown(text));
                found.error(&format!("listen.allowed_origins[{index}]"), message).help =
                    Some("write scheme, host and, where it is not the usual one, port: https://app.example.com; or `*`".into());
            }
        }
    }
    origins
}

fn hosts(written: &[String], found: &mut Findings<'_>) -> Vec<String> {
    let mut hosts = Vec::new();
    for (index, text) in written.iter().enumerate() {
        let plain = !text.is_empty() && !text.contains(['/', ' ', '@', '?', '#']);
        if plain && (text.parse::<IpAddr>().is_ok() || !text.contains(':')) {
            hosts.push(text.to_ascii_lowercase());
        } else {
            let message = format!("`{}` is not a host name", shown(text));
            found.error(&format!("listen.allowed_hosts[{index}]"), message).help =
                Some("write the name alone, without scheme and port: gateway.example.com; or `*`".into());
        }
    }
    hosts
}

/// What was written, shortened and without what a terminal might obey.
pub(super) fn shown(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(80).collect()
}
