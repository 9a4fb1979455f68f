//! The keys about TLS: of the block, of its older flat form, and the defaults that the environment holds for all
//! plugins.

use std::{path::PathBuf, sync::Arc};

use mortise_mcp_transport::tls::{ClientTls, LoadedClientTls, TlsError, Verify};
use mortise_plugin_api::BuildError;
use serde_json::{Map, Value};

use crate::settings::{switch, word};

/// What an entry says of TLS. Keys that are left out are looked for in the environment when the plugin starts.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct TlsKeys {
    given: bool,
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
    ca: Option<PathBuf>,
    verify: Option<bool>,
    check_hostname: Option<bool>,
}

/// Where each setting stands in a `tls:` map, the released name first.
const CERT: [&str; 2] = ["certfile", "client_cert"];
const KEY: [&str; 2] = ["keyfile", "client_key"];
const CA: [&str; 1] = ["ca_bundle"];

/// The families of variables that hold defaults for all plugins, and their words for certificate and key.
const FAMILIES: [(&str, &str, &str); 2] =
    [("PLUGINS_CLIENT_MTLS_", "CERTFILE", "KEYFILE"), ("PLUGINS_MTLS_", "CLIENT_CERT", "CLIENT_KEY")];

impl TlsKeys {
    pub(super) fn of(block: &Map<String, Value>) -> Result<Self, BuildError> {
        let empty = Map::new();
        let tls = match block.get("tls") {
            None | Some(Value::Null) => &empty,
            Some(Value::Object(tls)) => tls,
            Some(_) => return Err(BuildError::new("mcp.tls", "must be a map")),
        };
        if tls.get("keyfile_password").is_some_and(|value| !value.is_null()) {
            let message =
                "is not supported: give the key without a password, in a file only the gateway can read";
            return Err(BuildError::new("mcp.tls.keyfile_password", message));
        }
        let file = |names: &[&str], flat: &str| {
            let nested = names.iter().find_map(|name| Some((tls.get(*name)?, format!("mcp.tls.{name}"))));
            let found = nested.or_else(|| Some((block.get(flat)?, format!("mcp.{flat}"))));
            match found {
                None | Some((Value::Null, _)) => Ok(None),
                Some((Value::String(text), _)) if !text.trim().is_empty() => Ok(Some(path(text))),
                Some((_, at)) => Err(BuildError::new(at, "must name a file")),
            }
        };
        let yes = |name: &str, flat: &str| {
            let nested = tls.get(name).map(|value| (value, format!("mcp.tls.{name}")));
            match nested.or_else(|| Some((block.get(flat)?, format!("mcp.{flat}")))) {
                None | Some((Value::Null, _)) => Ok(None),
                Some((value, at)) => {
                    switch(value).map(Some).ok_or_else(|| BuildError::new(at, "must be true or false"))
                }
            }
        };
        let keys = Self {
            given: false,
            cert: file(&CERT, "tls_client_cert")?,
            key: file(&KEY, "tls_client_key")?,
            ca: file(&CA, "tls_ca_bundle")?,
            verify: yes("verify", "tls_verify")?,
            check_hostname: yes("check_hostname", "tls_check_hostname")?,
        };
        if keys.key.is_some() && keys.cert.is_none() {
            return Err(BuildError::new("mcp.tls.certfile", "must be given beside the key"));
        }
        Ok(Self { given: keys != Self::default(), ..keys })
    }

    /// The settings with the defaults of the environment, which count for an entry that says nothing of TLS.
    fn with_defaults(&self, variable: impl Fn(&str) -> Option<String>) -> ClientTls {
        let mut keys = self.clone();
        let filled = |name: String| variable(&name).filter(|value| !value.trim().is_empty());
        for (family, cert, key) in FAMILIES.iter().filter(|_| !self.given) {
            let file = |name: &str| filled(format!("{family}{name}")).map(|text| path(&text));
            let yes = |name: &str| filled(format!("{family}{name}")).and_then(|text| word(&text));
            keys.cert = keys.cert.or_else(|| file(cert));
            keys.key = keys.key.or_else(|| file(key));
            keys.ca = keys.ca.or_else(|| file("CA_BUNDLE"));
            keys.verify = keys.verify.or_else(|| yes("VERIFY"));
            keys.check_hostname = keys.check_hostname.or_else(|| yes("CHECK_HOSTNAME"));
        }
        let skip = filled("PLUGINS_SKIP_SSL_VERIFY".to_owned()).and_then(|text| word(&text)).unwrap_or(false);
        let verify = match (keys.verify.unwrap_or(!skip), keys.check_hostname.unwrap_or(true)) {
            (false, _) => Verify::Nothing,
            (true, false) => Verify::AnyName,
            (true, true) => Verify::Full,
        };
        // A file may hold both.
        let identity = keys.cert.map(|cert| (cert.clone(), keys.key.unwrap_or(cert)));
        ClientTls { extra_ca: keys.ca, identity, verify }
    }

    /// Reads the files. Blocks on the disk.
    pub(super) fn load(&self) -> Result<LoadedClientTls, TlsError> {
        let tls = self.with_defaults(|name| std::env::var(name).ok());
        tls.load()
    }
}

/// A path, `~` at its start being the home folder.
pub(super) fn path(text: &str) -> PathBuf {
    let text = text.trim();
    match (text.strip_prefix("~/"), std::env::var_os("HOME")) {
        (Some(rest), Some(home)) => PathBuf::from(home).join(rest),
        _ => PathBuf::from(text),
    }
}

/// TLS settings that were read, and shared by the sessions of a plugin.
pub(super) type Loaded = Arc<tokio::sync::OnceCell<LoadedClientTls>>;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[expect(clippy::needless_pass_by_value, reason = "tests write their JSON in place")]
    fn keys(block: Value) -> Result<TlsKeys, BuildError> {
        TlsKeys::of(block.as_object().unwrap())
    }

    #[test]
    fn the_block_and_its_flat_form_say_the_same() {
        let nested =
            keys(json!({ "tls": { "client_cert": "a", "client_key": "b", "verify": false } })).unwrap();
        let released =
            keys(json!({ "tls": { "certfile": "a", "keyfile": "b", "verify": "false" } })).unwrap();
        let flat =
            keys(json!({ "tls_client_cert": "a", "tls_client_key": "b", "tls_verify": false })).unwrap();
        assert_eq!(nested, released);
        assert_eq!(nested, flat);
        let tls = nested.with_defaults(|_| None);
        assert_eq!((tls.verify, tls.identity), (Verify::Nothing, Some(("a".into(), "b".into()))));
    }

    #[test]
    fn defaults_of_the_environment_count_where_the_entry_says_nothing() {
        let variable = |name: &str| match name {
            "PLUGINS_MTLS_CA_BUNDLE" => Some("ca".to_owned()),
            "PLUGINS_CLIENT_MTLS_CERTFILE" => Some("cert".to_owned()),
            "PLUGINS_CLIENT_MTLS_CHECK_HOSTNAME" => Some("False".to_owned()),
            _ => None,
        };
        let tls = keys(json!({})).unwrap().with_defaults(variable);
        assert_eq!(tls.extra_ca, Some("ca".into()));
        assert_eq!(tls.identity, Some(("cert".into(), "cert".into())));
        assert_eq!(tls.verify, Verify::AnyName);
        let own = keys(json!({ "tls": { "verify": true } })).unwrap().with_defaults(variable);
        assert_eq!((own.extra_ca, own.identity, own.verify), (None, None, Verify::Full));
    }

    #[test]
    fn a_key_needs_its_certificate_and_passwords_are_refused() {
        assert_eq!(keys(json!({ "tls": { "keyfile": "k" } })).unwrap_err().field, "mcp.tls.certfile");
        assert!(keys(json!({ "tls": { "keyfile_password": "p" } })).is_err());
    }
}
