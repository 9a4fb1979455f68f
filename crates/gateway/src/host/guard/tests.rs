//! The table of addresses, and what lists open.

use ipnet::{Ipv4Net, Ipv6Net};
use proptest::prelude::*;

use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn egress(public: bool, allow: &[&str]) -> Egress {
    Egress { public, allow: allow.iter().map(|text| text.parse().unwrap()).collect() }
}

/// Whether rules let a URL through whose host is, or resolved to, this address.
fn passes(egress: &Egress, url: &str, address: &str) -> bool {
    let url = url::Url::parse(url).unwrap();
    let asked = Asked {
        secure: url.scheme() == "https",
        host: url.host().unwrap(),
        port: url.port_or_known_default().unwrap(),
    };
    Guard::new(egress.clone()).check(&asked, ip(address)).is_ok()
}

#[test]
fn every_kind_of_address_is_known_at_its_edges() {
    for (address, class) in [
        ("0.0.0.0", Class::Unspecified),
        ("0.255.255.255", Class::Unspecified),
        ("1.0.0.0", Class::Public),
        ("9.255.255.255", Class::Public),
        ("10.0.0.0", Class::Private),
        ("10.255.255.255", Class::Private),
        ("11.0.0.0", Class::Public),
        ("100.63.255.255", Class::Public),
        ("100.64.0.0", Class::Shared),
        ("100.127.255.255", Class::Shared),
        ("100.128.0.0", Class::Public),
        ("100.100.100.200", Class::Metadata),
        ("127.0.0.1", Class::Loopback),
        ("127.255.255.255", Class::Loopback),
        ("128.0.0.0", Class::Public),
        ("168.63.129.16", Class::Metadata),
        ("169.253.255.255", Class::Public),
        ("169.254.0.0", Class::LinkLocal),
        ("169.254.169.254", Class::LinkLocal),
        ("169.255.0.0", Class::Public),
        ("172.15.255.255", Class::Public),
        ("172.16.0.0", Class::Private),
        ("172.31.255.255", Class::Private),
        ("172.32.0.0", Class::Public),
        ("192.0.0.1", Class::Reserved),
        ("192.0.0.192", Class::Metadata),
        ("192.0.1.0", Class::Public),
        ("192.0.2.1", Class::Reserved),
        ("192.88.99.1", Class::Reserved),
        ("192.167.255.255", Class::Public),
        ("192.168.0.0", Class::Private),
        ("192.169.0.0", Class::Public),
        ("198.18.0.0", Class::Reserved),
        ("198.19.255.255", Class::Reserved),
        ("198.51.100.1", Class::Reserved),
        ("203.0.113.1", Class::Reserved),
        ("223.255.255.255", Class::Public),
        ("224.0.0.1", Class::Multicast),
        ("239.255.255.255", Class::Multicast),
        ("240.0.0.0", Class::Reserved),
        ("255.255.255.255", Class::Multicast),
        ("::", Class::Unspecified),
        ("::1", Class::Loopback),
        ("::7f00:1", Class::Reserved),
        ("::ffff:127.0.0.1", Class::Loopback),
        ("::ffff:169.254.169.254", Class::LinkLocal),
        ("::ffff:8.8.8.8", Class::Public),
        ("::ffff:0:127.0.0.1", Class::Reserved),
        ("64:ff9b::10.0.0.1", Class::Private),
        ("64:ff9b::8.8.8.8", Class::Public),
        ("64:ff9b:1::1", Class::Reserved),
        ("100::1", Class::Reserved),
        ("2001::1", Class::Reserved),
        ("2001:1ff:ffff::", Class::Reserved),
        ("2001:200::", Class::Public),
        ("2001:db8::1", Class::Reserved),
        ("2002:7f00:1::", Class::Reserved),
        ("2606:4700:4700::1111", Class::Public),
        ("3ffe::1", Class::Public),
        ("3fff:fff::", Class::Reserved),
        ("4000::", Class::Reserved),
        ("fc00::", Class::Private),
        ("fd00:ec2::254", Class::Metadata),
        ("fe80::1", Class::LinkLocal),
        ("febf::1", Class::LinkLocal),
        ("fec0::1", Class::Reserved),
        ("ff02::1", Class::Multicast),
    ] {
        assert_eq!(Class::of(ip(address)), class, "{address}");
    }
}

#[test]
fn without_a_list_public_addresses_pass_and_nothing_else() {
    let default = Egress::default();
    assert!(passes(&default, "https://example.com/", "93.184.216.34"));
    for address in
        ["127.0.0.1", "10.1.2.3", "169.254.169.254", "::1", "fd00::1", "::ffff:10.0.0.1", "0.0.0.0"]
    {
        assert!(!passes(&default, "https://example.com/", address), "{address}");
    }
    assert!(!passes(&egress(false, &[]), "https://example.com/", "93.184.216.34"));
    assert!(passes(&egress(false, &["*.com"]), "https://example.com/", "93.184.216.34"));
}

#[test]
fn a_listed_name_opens_private_addresses_and_never_those_that_hold_keys() {
    let rules = egress(true, &["audit.corp"]);
    for address in ["10.0.0.1", "127.0.0.1", "fd00::1", "100.64.0.1", "8.8.8.8"] {
        assert!(passes(&rules, "http://audit.corp/", address), "{address}");
        assert!(passes(&rules, "https://AUDIT.corp.:8443/", address), "{address}");
    }
    for address in ["169.254.169.254", "fe80::1", "fd00:ec2::254", "168.63.129.16", "224.0.0.1", "0.0.0.0"] {
        assert!(!passes(&rules, "http://audit.corp/", address), "{address}");
    }
    for url in
        ["http://xaudit.corp/", "http://a.audit.corp/", "http://audit.corp.evil.example/", "http://10.0.0.1/"]
    {
        assert!(!passes(&rules, url, "10.0.0.1"), "{url}");
    }
}

#[test]
fn a_wildcard_stands_for_names_under_it_and_not_for_itself() {
    let rules = egress(true, &["*.corp"]);
    assert!(passes(&rules, "http://a.corp/", "10.0.0.1"));
    assert!(passes(&rules, "http://a.b.corp/", "10.0.0.1"));
    for url in ["http://corp/", "http://xcorp/", "http://.corp/", "http://a.corp.example/"] {
        assert!(!passes(&rules, url, "10.0.0.1"), "{url}");
    }
}

#[test]
fn a_listed_network_opens_its_addresses_by_any_name_in_any_form() {
    let rules = egress(true, &["10.0.0.0/8", "169.254.169.254", "fd00::/16"]);
    for address in ["10.1.2.3", "::ffff:10.1.2.3", "169.254.169.254", "fd00::5", "fd00:ec2::254"] {
        assert!(passes(&rules, "http://any.example/", address), "{address}");
    }
    assert!(!passes(&rules, "http://any.example/", "192.168.0.1"));
    let everything = egress(true, &["0.0.0.0/0", "::/0"]);
    for never in ["0.0.0.0", "::", "224.0.0.1", "255.255.255.255", "ff02::1"] {
        assert!(!passes(&everything, "http://any.example/", never), "{never}");
    }
}

#[test]
fn scheme_and_port_are_kept_to_where_they_are_listed() {
    let rules = egress(true, &["https://audit.corp:8443", "db.corp:5984", "http://127.0.0.1:9000"]);
    assert!(passes(&rules, "https://audit.corp:8443/x?y", "10.0.0.1"));
    assert!(!passes(&rules, "http://audit.corp:8443/", "10.0.0.1"));
    assert!(!passes(&rules, "https://audit.corp/", "10.0.0.1"));
    assert!(passes(&rules, "http://db.corp:5984/", "10.0.0.1"));
    assert!(!passes(&rules, "http://db.corp/", "10.0.0.1"));
    assert!(passes(&rules, "http://127.0.0.1:9000/", "127.0.0.1"));
    assert!(!passes(&rules, "http://127.0.0.1:9001/", "127.0.0.1"));
    assert!(!passes(&rules, "https://127.0.0.1:9000/", "127.0.0.1"));
}

#[test]
fn rules_to_come_add_to_those_in_force_until_they_take_their_place() {
    let guard = Arc::new(Guard::new(egress(true, &["10.0.0.1"])));
    let asked = Asked { secure: false, host: Host::Domain("x"), port: 80 };
    let open = |address: &str| guard.check(&asked, ip(address)).is_ok();

    let given_up = guard.widen(&egress(true, &["10.0.0.2"]));
    assert!(open("10.0.0.1") && open("10.0.0.2"));
    drop(given_up);
    assert!(open("10.0.0.1") && !open("10.0.0.2"));

    guard.widen(&egress(true, &["10.0.0.2"])).put_in_force();
    assert!(!open("10.0.0.1") && open("10.0.0.2"));
}

/// Written as the registries write it, to be told from the code under test.
const NOT_PUBLIC_V4: [&str; 18] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "168.63.129.16/32",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "255.255.255.255/32",
    "100.100.100.200/32",
];

const NOT_PUBLIC_V6: [&str; 4] = ["2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"];

/// Addresses of all kinds as often as those of none.
fn any_v4() -> impl Strategy<Value = Ipv4Addr> {
    let near = (0..NOT_PUBLIC_V4.len(), any::<u32>()).prop_map(|(at, bits)| {
        let net: Ipv4Net = NOT_PUBLIC_V4[at].parse().unwrap();
        Ipv4Addr::from_bits(net.network().to_bits() | (bits & net.hostmask().to_bits()))
    });
    prop_oneof![any::<u32>().prop_map(Ipv4Addr::from_bits), near]
}

proptest! {
    #[test]
    fn an_ipv4_address_is_public_exactly_where_no_registry_says_otherwise(ip in any_v4()) {
        let listed = NOT_PUBLIC_V4.iter().any(|net| net.parse::<Ipv4Net>().unwrap().contains(&ip));
        prop_assert_eq!(Class::of(ip.into()) == Class::Public, !listed);
        let special = ip.is_private() || ip.is_loopback() || ip.is_link_local() || ip.is_multicast()
            || ip.is_unspecified() || ip.is_broadcast() || ip.is_documentation();
        prop_assert!(!special || listed);
    }

    #[test]
    fn ipv6_forms_of_an_ipv4_address_are_judged_as_it_is(v4 in any_v4(), public in any::<bool>()) {
        let mapped = IpAddr::from(v4.to_ipv6_mapped());
        let [a, b, c, d] = v4.octets().map(u16::from);
        let translated: IpAddr = Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, a << 8 | b, c << 8 | d).into();
        prop_assert_eq!(Class::of(mapped), Class::of(v4.into()));
        prop_assert_eq!(Class::of(translated), Class::of(v4.into()));
        let rules = egress(public, &["10.0.0.0/8", "https://127.0.0.1:1"]);
        let asked = Asked { secure: false, host: Host::Domain("x.example"), port: 80 };
        let guard = Guard::new(rules);
        prop_assert_eq!(guard.check(&asked, mapped), guard.check(&asked, v4.into()));
    }

    #[test]
    fn an_ipv6_address_is_public_only_where_addresses_are_given_out(bits in any::<u128>(), inside in any::<bool>()) {
        let ip = Ipv6Addr::from_bits(if inside { bits & (u128::MAX >> 3) | 1 << 125 } else { bits });
        let listed = NOT_PUBLIC_V6.iter().any(|net| net.parse::<Ipv6Net>().unwrap().contains(&ip));
        let global = "2000::/3".parse::<Ipv6Net>().unwrap().contains(&ip) && !listed;
        prop_assert_eq!(Class::of(ip.into()) == Class::Public, global);
    }

    #[test]
    fn nothing_that_is_not_public_passes_without_being_listed(ip in any_v4(), port in 1_u16.., secure in any::<bool>()) {
        let asked = Asked { secure, host: Host::Domain("x.example"), port };
        let passes = Guard::new(Egress::default()).check(&asked, ip.into()).is_ok();
        prop_assert_eq!(passes, Class::of(ip.into()) == Class::Public);
    }
}
