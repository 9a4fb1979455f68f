//! The line by which a go-plugin process says where it listens, and what it must be told before it says so.
//!
//! `CORE|APP|NETWORK|ADDRESS|PROTOCOL|CERTIFICATE`, on standard output. Lines that are none may come before it: a
//! program that prints a greeting first is no reason to refuse it.

use std::{net::SocketAddr, path::PathBuf};

use base64::Engine as _;

/// What the program must find in its environment to be a plugin at all, and the versions we speak. Ports are only used
/// where there are no Unix sockets; the programs want them all the same.
pub(crate) const ENVIRONMENT: [(&str, &str); 5] = [
    ("AI_STUDIO_PLUGIN", "v1"),
    ("PLUGIN_PROTOCOL_VERSIONS", "1"),
    ("PLUGIN_MIN_PORT", "10000"),
    ("PLUGIN_MAX_PORT", "25000"),
    // Which of its hosts it runs under. Unset, it would take us for the other one.
    ("PLUGIN_RUNTIME", "gateway"),
];

/// Where the program is told to put its sockets.
pub(crate) const SOCKET_DIR: &str = "PLUGIN_UNIX_SOCKET_DIR";

/// Where the program is told our certificate, if it is to speak TLS; it tells its own in its line then.
pub(crate) const CERTIFICATE: &str = "PLUGIN_CLIENT_CERT";

/// Where the program is told to take and make all connections over one; it confirms that in its line then.
pub(crate) const MULTIPLEX: &str = "PLUGIN_MULTIPLEX_GRPC";

/// What is shorter than this is no certificate: programs of an older make write other things in its place.
const SHORTEST_CERTIFICATE: usize = 50;

/// Longest certificate that is read, in base64 digits. They have some hundred.
const LONGEST_CERTIFICATE: usize = 16 * 1024;

/// Version of the go-plugin protocol, and of the plugins' own.
const CORE: &str = "1";
const APP: &str = "1";

/// Where a plugin listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    /// At a Unix socket.
    Unix(PathBuf),
    /// On this machine, by TCP.
    Tcp(SocketAddr),
}

/// What a handshake says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Heard {
    pub(crate) address: Address,
    /// Its certificate in DER, where it speaks TLS.
    pub(crate) certificate: Option<Vec<u8>>,
    /// Whether it takes and makes all connections over one.
    pub(crate) multiplexes: bool,
}

impl Heard {
    /// The same if it is what was asked for.
    pub(crate) fn if_asked(self, encrypt: bool, multiplex: bool) -> Result<Self, HandshakeError> {
        match (encrypt, &self.certificate) {
            (false, Some(_)) => return Err(HandshakeError::Tls),
            (true, None) => return Err(HandshakeError::NoCertificate),
            _ => {}
        }
        if multiplex && !self.multiplexes {
            return Err(HandshakeError::NoMultiplexing);
        }
        Ok(self)
    }
}

/// Why a handshake is none that we can go on from.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HandshakeError {
    #[error("it speaks version {0} of the go-plugin protocol, 1 is spoken here")]
    Core(String),
    #[error("it speaks version {0} of the plugin protocol, 1 is spoken here")]
    App(String),
    #[error("it speaks `{0}`, only `grpc` is spoken here")]
    Protocol(String),
    #[error("it listens at `{0}`, which is no address on this machine")]
    Address(String),
    #[error("it wants TLS, which it was not asked for: `process.encrypt` asks for it")]
    Tls,
    #[error("its certificate cannot be read")]
    Certificate(#[from] base64::DecodeError),
    #[error("its certificate is too long")]
    LongCertificate,
    #[error("it was asked to encrypt (`process.encrypt`) and cannot: it told no certificate")]
    NoCertificate,
    #[error("it was asked to use one connection only (`process.multiplex`) and cannot")]
    NoMultiplexing,
}

/// Reads a line of standard output; `None` where it is no handshake.
pub(crate) fn parse(line: &[u8]) -> Option<Result<Heard, HandshakeError>> {
    let line = std::str::from_utf8(line).ok()?.trim();
    let fields: Vec<&str> = line.split('|').collect();
    let [core, app, network, address, rest @ ..] = fields.as_slice() else { return None };
    let number =
        |field: &str| !field.is_empty() && field.len() < 6 && field.bytes().all(|b| b.is_ascii_digit());
    // A text with bars in it is no handshake, one of another version is.
    (number(core) && number(app)).then(|| read(core, app, network, address, rest))
}

fn read(core: &str, app: &str, network: &str, address: &str, rest: &[&str]) -> Result<Heard, HandshakeError> {
    if core != CORE {
        return Err(HandshakeError::Core(core.to_owned()));
    }
    if app != APP {
        return Err(HandshakeError::App(app.to_owned()));
    }
    // Programs that do not say speak the protocol of before there was a choice.
    let protocol = rest.first().copied().unwrap_or("netrpc");
    if protocol != "grpc" {
        return Err(HandshakeError::Protocol(protocol.chars().take(32).collect()));
    }
    let certificate = rest.get(1).filter(|told| told.len() >= SHORTEST_CERTIFICATE);
    Ok(Heard {
        address: listens_at(network, address)?,
        certificate: certificate.map(|told| der(told)).transpose()?,
        multiplexes: rest.get(2).is_some_and(|told| *told == "true"),
    })
}

fn der(told: &str) -> Result<Vec<u8>, HandshakeError> {
    if told.len() > LONGEST_CERTIFICATE {
        return Err(HandshakeError::LongCertificate);
    }
    Ok(base64::engine::general_purpose::STANDARD_NO_PAD.decode(told.trim_end_matches('='))?)
}

fn listens_at(network: &str, address: &str) -> Result<Address, HandshakeError> {
    let elsewhere = || HandshakeError::Address(format!("{network} {address}").chars().take(200).collect());
    match network {
        "unix" if address.starts_with('/') => Ok(Address::Unix(address.into())),
        "tcp" => {
            let address: SocketAddr = address.parse().map_err(|_| elsewhere())?;
            // Whoever a child process points to must not be reached in its stead.
            if address.ip().is_loopback() { Ok(Address::Tcp(address)) } else { Err(elsewhere()) }
        }
        _ => Err(elsewhere()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plain(address: Address) -> Heard {
        Heard { address, certificate: None, multiplexes: false }
    }

    #[test]
    fn line_of_a_plugin_says_where_it_listens() {
        let unix = |path: &str| Some(Ok(plain(Address::Unix(path.into()))));
        assert_eq!(parse(b"1|1|unix|/tmp/plugin1|grpc|\n"), unix("/tmp/plugin1"));
        assert_eq!(parse(b"1|1|unix|/tmp/plugin1|grpc"), unix("/tmp/plugin1"));
        assert_eq!(parse(b"  1|1|unix|/tmp/plugin1|grpc|||\r\n"), unix("/tmp/plugin1"));
        assert_eq!(parse(b"1|1|unix|/tmp/plugin1|grpc|leftover"), unix("/tmp/plugin1"));
        let tcp = parse(b"1|1|tcp|127.0.0.1:10000|grpc|");
        assert_eq!(tcp, Some(Ok(plain(Address::Tcp("127.0.0.1:10000".parse().unwrap())))));
    }

    #[test]
    fn certificate_and_multiplexing_must_be_told_where_they_are_asked_for_and_nowhere_else() {
        let told = base64::engine::general_purpose::STANDARD_NO_PAD.encode([7; 60]);
        let heard = |line: &str| parse(line.as_bytes()).unwrap().unwrap();
        let both = heard(&format!("1|1|unix|/x|grpc|{told}|true"));
        assert_eq!((both.certificate.as_deref(), both.multiplexes), (Some(&[7; 60][..]), true));
        assert!(both.clone().if_asked(true, true).is_ok());
        assert!(both.clone().if_asked(true, false).is_ok(), "what can do more may");
        assert_eq!(both.if_asked(false, true), Err(HandshakeError::Tls));
        let neither = heard("1|1|unix|/x|grpc|");
        assert_eq!(neither.clone().if_asked(true, false), Err(HandshakeError::NoCertificate));
        assert_eq!(neither.if_asked(false, true), Err(HandshakeError::NoMultiplexing));
        assert!(heard("1|1|unix|/x|grpc||true").if_asked(false, true).is_ok());
    }

    #[test]
    fn what_is_no_handshake_is_passed_over() {
        for line in ["", "starting…", "a|b|c|d|e|f", "1|1", "level|info|msg|x", "123456|1|unix|/x|grpc"] {
            assert_eq!(parse(line.as_bytes()), None, "{line}");
        }
        assert_eq!(parse(b"\xff\xfe"), None);
    }

    #[test]
    fn other_versions_and_protocols_are_named() {
        let error = |line: &str| parse(line.as_bytes()).and_then(Result::err);
        assert_eq!(error("2|1|unix|/x|grpc|"), Some(HandshakeError::Core("2".to_owned())));
        assert_eq!(error("1|3|unix|/x|grpc|"), Some(HandshakeError::App("3".to_owned())));
        assert_eq!(error("1|1|unix|/x"), Some(HandshakeError::Protocol("netrpc".to_owned())));
        let garbled = format!("1|1|unix|/x|grpc|{}", "?".repeat(60));
        assert!(matches!(error(&garbled), Some(HandshakeError::Certificate(_))));
        let long = format!("1|1|unix|/x|grpc|{}", "A".repeat(20_000));
        assert_eq!(error(&long), Some(HandshakeError::LongCertificate));
        for elsewhere in ["1|1|tcp|192.0.2.1:80|grpc|", "1|1|unix|relative|grpc|", "1|1|pipe|/x|grpc|"] {
            assert!(matches!(error(elsewhere), Some(HandshakeError::Address(_))), "{elsewhere}");
        }
    }

    proptest! {
        #[test]
        fn any_line_is_read_without_a_panic(line in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&line);
        }

        #[test]
        fn any_path_comes_back(path in "/[a-zA-Z0-9/._-]{1,80}") {
            let line = format!("1|1|unix|{path}|grpc|");
            prop_assert_eq!(parse(line.as_bytes()), Some(Ok(plain(Address::Unix(path.into())))));
        }
    }
}
