//! Which addresses a plugin's request may go to.
//!
//! A plugin may be led to send a request where someone outside wants it: an address in a document, a redirect, a name
//! whose owner lets it point into the house. So it is the address that is judged and not the name, after resolution,
//! and the connection is made to what was judged and to nothing else. What is public may be reached; all else is
//! refused unless the operator lists it under `egress.allow`. Forms in which IPv6 writes an IPv4 address count as that
//! address.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use arc_swap::ArcSwap;
use url::Host;

use crate::config::{Destination, Egress, Target};

#[cfg(test)]
mod tests;

/// What kind of address an address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Anybody's, on the public internet.
    Public,
    /// This machine.
    Loopback,
    /// A private network: 10/8, 172.16/12, 192.168/16, fc00::/7.
    Private,
    /// Shared between a provider's customers: 100.64/10.
    Shared,
    /// The same wire, and there the metadata services of clouds: 169.254/16, fe80::/10.
    LinkLocal,
    /// Metadata services of clouds that are not link-local.
    Metadata,
    /// A group of machines, or all on a wire.
    Multicast,
    /// No machine in particular: 0/8, `::`. Systems take it for themselves.
    Unspecified,
    /// Set aside for documents, tests, tunnels or later.
    Reserved,
}

impl Class {
    /// The class of an address.
    #[must_use]
    pub fn of(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(ip) => v4(ip),
            IpAddr::V6(ip) => v6(ip),
        }
    }

    /// Whether a listed name opens it. Whoever answers for a name must not thereby reach the keys of the house.
    const fn opens_by_name(self) -> bool {
        matches!(self, Self::Public | Self::Loopback | Self::Private | Self::Shared)
    }

    /// Whether a listed network opens it.
    const fn opens_by_network(self) -> bool {
        !matches!(self, Self::Multicast | Self::Unspecified)
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Public => "a public address",
            Self::Loopback => "a loopback address",
            Self::Private => "a private address",
            Self::Shared => "an address of a provider's shared network",
            Self::LinkLocal => "a link-local address",
            Self::Metadata => "the address of a cloud's metadata service",
            Self::Multicast => "a multicast address",
            Self::Unspecified => "an unspecified address",
            Self::Reserved => "a reserved address",
        })
    }
}

/// Alibaba, Oracle, Azure.
const METADATA_V4: [Ipv4Addr; 3] =
    [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(192, 0, 0, 192), Ipv4Addr::new(168, 63, 129, 16)];

/// Amazon.
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

fn v4(ip: Ipv4Addr) -> Class {
    if METADATA_V4.contains(&ip) {
        return Class::Metadata;
    }
    match ip.octets() {
        [0, ..] => Class::Unspecified,
        [127, ..] => Class::Loopback,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => Class::Private,
        [100, 64..=127, ..] => Class::Shared,
        [169, 254, ..] => Class::LinkLocal,
        [224..=239, ..] | [255, 255, 255, 255] => Class::Multicast,
        // Protocols, documents, relays of tunnels, tests, later.
        [192, 0, 0 | 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => Class::Reserved,
        [192, 88, 99, _] | [198, 18 | 19, ..] | [240..=255, ..] => Class::Reserved,
        _ => Class::Public,
    }
}

fn v6(ip: Ipv6Addr) -> Class {
    if ip == METADATA_V6 {
        return Class::Metadata;
    }
    match ip.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => Class::Unspecified,
        [0, 0, 0, 0, 0, 0, 0, 1] => Class::Loopback,
        // Translated to IPv4 on the way.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
            v4(Ipv4Addr::new(a, b, c, d))
        }
        [0xfc00..=0xfdff, ..] => Class::Private,
        [0xfe80..=0xfebf, ..] => Class::LinkLocal,
        [0xff00..=0xffff, ..] => Class::Multicast,
        // Protocols and Teredo, documents, 6to4.
        [0x2001, 0..=0x1ff | 0xdb8, ..] | [0x2002, ..] | [0x3fff, 0..=0xfff, ..] => Class::Reserved,
        [0x2000..=0x3fff, ..] => Class::Public,
        _ => Class::Reserved,
    }
}

/// Where a request wants to go.
#[derive(Clone, Debug)]
pub(crate) struct Asked<'u> {
    pub(crate) secure: bool,
    pub(crate) host: Host<&'u str>,
    pub(crate) port: u16,
}

/// Why an address is not connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Forbidden {
    /// It is no public one.
    Class(Class),
    /// Public ones have to be listed too.
    NotListed,
}

/// What may be reached, as configured at the moment.
#[derive(Debug)]
pub(crate) struct Guard(ArcSwap<Rules>);

#[derive(Debug)]
struct Rules {
    in_force: Arc<Egress>,
    /// Those of a configuration that is being put in force. What plugins need at their start is in there already, and
    /// what those need that it takes away is in the other.
    coming: Option<Arc<Egress>>,
}

impl Guard {
    pub(crate) fn new(egress: Egress) -> Self {
        Self(ArcSwap::from_pointee(Rules { in_force: Arc::new(egress), coming: None }))
    }

    /// Judges an address that the host of a request is or has resolved to.
    pub(crate) fn check(&self, asked: &Asked<'_>, ip: IpAddr) -> Result<(), Forbidden> {
        let rules = self.0.load();
        let judged = judge(&rules.in_force, asked, ip);
        match &rules.coming {
            Some(coming) => judged.or_else(|_| judge(coming, asked, ip)),
            None => judged,
        }
    }

    /// Lets through what other rules do, too, until they are in force or [`Coming`] is dropped. One at a time.
    pub(crate) fn widen(self: &Arc<Self>, egress: &Egress) -> Coming {
        let rules = Arc::new(egress.clone());
        let in_force = self.0.load().in_force.clone();
        self.0.store(Arc::new(Rules { in_force, coming: Some(rules.clone()) }));
        Coming { guard: self.clone(), rules }
    }
}

/// Rules that are to come in force.
#[derive(Debug)]
pub(crate) struct Coming {
    guard: Arc<Guard>,
    rules: Arc<Egress>,
}

impl Coming {
    /// Puts them in force, in the place of those before.
    pub(crate) fn put_in_force(self) {
        let rules = Rules { in_force: self.rules.clone(), coming: None };
        self.guard.0.store(Arc::new(rules));
    }
}

impl Drop for Coming {
    fn drop(&mut self) {
        let in_force = self.guard.0.load().in_force.clone();
        self.guard.0.store(Arc::new(Rules { in_force, coming: None }));
    }
}

fn judge(egress: &Egress, asked: &Asked<'_>, ip: IpAddr) -> Result<(), Forbidden> {
    let class = Class::of(ip);
    if class == Class::Public && egress.public {
        return Ok(());
    }
    if egress.allow.iter().any(|listed| covers(listed, asked, ip, class)) {
        return Ok(());
    }
    Err(if class == Class::Public { Forbidden::NotListed } else { Forbidden::Class(class) })
}

fn covers(listed: &Destination, asked: &Asked<'_>, ip: IpAddr, class: Class) -> bool {
    if listed.secure.is_some_and(|secure| secure != asked.secure)
        || listed.port.is_some_and(|port| port != asked.port)
    {
        return false;
    }
    let name = match &asked.host {
        Host::Domain(name) => Some(name.strip_suffix('.').unwrap_or(name)),
        Host::Ipv4(_) | Host::Ipv6(_) => None,
    };
    match &listed.target {
        Target::Network(network) => {
            class.opens_by_network() && (network.contains(&ip.to_canonical()) || network.contains(&ip))
        }
        Target::Name(listed) => class.opens_by_name() && name == Some(listed),
        Target::Under(listed) => {
            let label = name.and_then(|name| name.strip_suffix(listed.as_str())?.strip_suffix('.'));
            class.opens_by_name() && label.is_some_and(|label| !label.is_empty())
        }
    }
}
