//! The client's address behind reverse proxies.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use ipnet::IpNet;

/// The address of the client: the nearest one that is not a trusted proxy's, going back from the connection through
/// `X-Forwarded-For`. What an untrusted peer writes there is not looked at.
#[must_use]
pub fn client_address(peer: SocketAddr, headers: &HeaderMap, trusted: &[IpNet]) -> SocketAddr {
    let is_trusted = |ip: IpAddr| trusted.iter().any(|network| network.contains(&ip.to_canonical()));
    if trusted.is_empty() || !is_trusted(peer.ip()) {
        return peer;
    }
    let mut client = peer;
    let values: Vec<&str> =
        headers.get_all("x-forwarded-for").iter().filter_map(|v| v.to_str().ok()).collect();
    for hop in values.iter().flat_map(|value| value.split(',')).rev() {
        let Some(address) = parse(hop.trim()) else { break };
        client = address;
        if !is_trusted(address.ip()) {
            break;
        }
    }
    client
}

/// An address with or without port; some proxies write one.
fn parse(hop: &str) -> Option<SocketAddr> {
    let plain = hop.trim_start_matches('[').trim_end_matches(']');
    plain.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 0)).or_else(|_| hop.parse()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, forwarded: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", value.parse().unwrap());
        }
        let trusted = ["10.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()];
        client_address(SocketAddr::new(peer.parse().unwrap(), 1), &headers, &trusted).ip().to_string()
    }

    #[test]
    fn an_untrusted_peer_cannot_choose_its_address() {
        assert_eq!(client("192.0.2.1", &["1.2.3.4"]), "192.0.2.1");
    }

    #[test]
    fn behind_proxies_the_nearest_untrusted_address_counts() {
        assert_eq!(client("10.0.0.1", &["6.6.6.6, 1.2.3.4", "10.9.9.9"]), "1.2.3.4");
        assert_eq!(client("::ffff:10.0.0.1", &["1.2.3.4:999"]), "1.2.3.4");
        assert_eq!(client("::1", &["[2001:db8::1]"]), "2001:db8::1");
    }

    #[test]
    fn nonsense_ends_the_way_back() {
        assert_eq!(client("10.0.0.1", &["1.2.3.4, unknown, 10.0.0.7"]), "10.0.0.7");
        assert_eq!(client("10.0.0.1", &[]), "10.0.0.1");
    }
}
