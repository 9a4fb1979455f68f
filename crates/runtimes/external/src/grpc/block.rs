//! The `grpc:` block of an entry: where its server is, and how the connection is secured.

use std::path::PathBuf;

use mortise_mcp_transport::tls::{ClientTls, Verify};
use mortise_plugin_api::BuildError;
use serde_json::{Map, Value};

use crate::settings::{switch, word};

/// The family of variables that hold defaults for entries without `tls`.
const FAMILY: &str = "PLUGINS_GRPC_CLIENT_MTLS_";

/// How a server is reached.
#[derive(Debug, PartialEq)]
pub(super) enum Way {
    /// Host and port.
    Tcp {
        host: String,
        port: u16,
        /// `None` where the entry says nothing: the environment may.
        tls: Option<TlsKeys>,
    },
    /// A Unix socket.
    Unix(PathBuf),
}

/// What an entry or the environment says of TLS.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct TlsKeys {
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
    ca: Option<PathBuf>,
    verify: Option<bool>,
}

impl Way {
    pub(super) fn of(block: &Map<String, Value>) -> Result<Self, BuildError> {
        let wrong = |key: &str, message: &str| BuildError::new(format!("grpc.{key}"), message);
        let tls = match block.get("tls") {
            None | Some(Value::Null) => None,
            Some(Value::Object(tls)) => Some(TlsKeys::of(tls)?),
            Some(_) => return Err(wrong("tls", "must be a map")),
        };
        match (text(block, "grpc", "target")?, text(block, "grpc", "uds")?) {
            (Some(target), None) => {
                let (host, port) = address(target).ok_or_else(|| {
                    wrong("target", "must be `host:port`, for example `plugins.example.com:50051`")
                })?;
                Ok(Self::Tcp { host, port, tls })
            }
            (None, Some(_)) if tls.is_some() => {
                Err(wrong("tls", "is for `target`: what passes a socket needs no TLS"))
            }
            (None, Some(socket)) => Ok(Self::Unix(path(socket.strip_prefix("unix://").unwrap_or(socket)))),
            (Some(_), Some(_)) => Err(wrong("uds", "must not be given beside `target`")),
            (None, None) => Err(wrong("target", "must be given, or `uds`")),
        }
    }

    /// Where it goes.
    pub(super) fn target(&self) -> String {
        match self {
            Self::Tcp { host, port, .. } => format!("grpc://{host}:{port}"),
            Self::Unix(path) => format!("grpc+unix:{}", path.display()),
        }
    }
}

impl TlsKeys {
    fn of(tls: &Map<String, Value>) -> Result<Self, BuildError> {
        let file = |names: [&str; 2]| {
            let found =
                names.iter().map(|name| text(tls, "grpc.tls", name)).collect::<Result<Vec<_>, _>>()?;
            Ok::<_, BuildError>(found.into_iter().flatten().next().map(path))
        };
        if text(tls, "grpc.tls", "keyfile_password")?.is_some() {
            let message =
                "is not supported: give the key without a password, in a file only the gateway can read";
            return Err(BuildError::new("grpc.tls.keyfile_password", message));
        }
        let verify = match tls.get("verify") {
            None | Some(Value::Null) => None,
            Some(value) => Some(
                switch(value).ok_or_else(|| BuildError::new("grpc.tls.verify", "must be true or false"))?,
            ),
        };
        let keys = Self {
            cert: file(["certfile", "client_cert"])?,
            key: file(["keyfile", "client_key"])?,
            ca: file(["ca_bundle", "ca_cert"])?,
            verify,
        };
        if keys.key.is_some() && keys.cert.is_none() {
            return Err(BuildError::new("grpc.tls.certfile", "must be given beside the key"));
        }
        Ok(keys)
    }

    /// What the environment says for entries that say nothing; `None` where it says nothing either.
    pub(super) fn of_environment(variable: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let filled = |name: &str| variable(&format!("{FAMILY}{name}")).filter(|text| !text.trim().is_empty());
        let file = |name: &str| filled(name).map(|text| path(&text));
        let keys = Self {
            cert: file("CERTFILE"),
            key: file("KEYFILE"),
            ca: file("CA_BUNDLE"),
            verify: filled("VERIFY").and_then(|text| word(&text)),
        };
        (keys.cert.is_some() || keys.ca.is_some()).then_some(keys)
    }

    pub(super) fn settings(self) -> ClientTls {
        let verify = if self.verify.unwrap_or(true) { Verify::Full } else { Verify::Nothing };
        // A file may hold both.
        let identity = self.cert.map(|cert| (cert.clone(), self.key.unwrap_or(cert)));
        ClientTls { extra_ca: self.ca, identity, verify }
    }
}

/// A text that is there and not empty.
pub(crate) fn text<'b>(
    block: &'b Map<String, Value>,
    at: &str,
    key: &str,
) -> Result<Option<&'b str>, BuildError> {
    match block.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if !text.trim().is_empty() => Ok(Some(text.trim())),
        Some(_) => Err(BuildError::new(format!("{at}.{key}"), "must be a text")),
    }
}

/// A path, `~` at its start being the home folder.
pub(crate) fn path(text: &str) -> PathBuf {
    match (text.strip_prefix("~/"), std::env::var_os("HOME")) {
        (Some(rest), Some(home)) => PathBuf::from(home).join(rest),
        _ => PathBuf::from(text),
    }
}

fn address(target: &str) -> Option<(String, u16)> {
    let bare =
        ["grpc://", "dns:///", "http://", "https://"].iter().find_map(|scheme| target.strip_prefix(scheme));
    let (host, port) = bare.unwrap_or(target).rsplit_once(':')?;
    let whole = !host.is_empty() && (host.starts_with('[') == host.contains(':'));
    let plain = host.chars().all(|c| c.is_ascii_alphanumeric() || "-._[]:".contains(c));
    (whole && plain).then_some(())?;
    Some((host.to_owned(), port.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[expect(clippy::needless_pass_by_value, reason = "values are written where they are given")]
    fn way(block: Value) -> Result<Way, BuildError> {
        Way::of(block.as_object().unwrap())
    }

    #[test]
    fn a_target_or_a_socket_and_not_both() {
        assert_eq!(
            way(json!({ "target": "plugins:50051" })).unwrap(),
            Way::Tcp { host: "plugins".into(), port: 50051, tls: None }
        );
        assert_eq!(way(json!({ "uds": "/run/p.sock" })).unwrap(), Way::Unix("/run/p.sock".into()));
        assert_eq!(way(json!({ "target": "[::1]:1" })).unwrap().target(), "grpc://[::1]:1");
        for (block, field) in [
            (json!({}), "grpc.target"),
            (json!({ "target": "plugins" }), "grpc.target"),
            (json!({ "target": "a b:1" }), "grpc.target"),
            (json!({ "target": "a:1", "uds": "/x" }), "grpc.uds"),
            (json!({ "uds": "/x", "tls": {} }), "grpc.tls"),
            (json!({ "target": "a:1", "tls": { "keyfile": "k" } }), "grpc.tls.certfile"),
            (json!({ "target": "a:1", "tls": { "keyfile_password": "p" } }), "grpc.tls.keyfile_password"),
        ] {
            assert_eq!(way(block.clone()).unwrap_err().field, field, "{block}");
        }
    }

    #[test]
    fn the_environment_brings_tls_only_where_it_says_so() {
        assert_eq!(TlsKeys::of_environment(|_| None), None);
        let variable = |name: &str| (name == "PLUGINS_GRPC_CLIENT_MTLS_CA_BUNDLE").then(|| "ca".to_owned());
        assert_eq!(TlsKeys::of_environment(variable).unwrap().settings().extra_ca, Some("ca".into()));
    }
}
