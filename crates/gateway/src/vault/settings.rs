//! Where Vault is and who asks: keys of the configuration, and behind them the variables of Vault's own programs.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    time::Duration,
};

use http::HeaderValue;
use mortise_framework::config::{Environment, looked_at};
use mortise_mcp_transport::tls::{ClientTls, Verify};
use sha2::{Digest, Sha256};
use url::{Host, Url};

use crate::config::{Secret, VaultConfig};

/// Time for one secret where nobody says otherwise.
const USUAL: Duration = Duration::from_secs(10);
/// The longest there is.
const LONGEST: Duration = Duration::from_secs(600);
/// Most bytes of a file with a token.
const MOST_TOKEN_BYTES: u64 = 64 << 10;

/// Validated settings.
pub(crate) struct Settings {
    /// Its address, whose path (empty at most addresses) everything is below.
    pub(super) address: Url,
    pub(super) namespace: Option<HeaderValue>,
    pub(super) way_in: WayIn,
    pub(super) kv_version: Option<u8>,
    pub(super) timeout: Duration,
    pub(super) tls: ClientTls,
}

/// How one is let in.
pub(super) enum WayIn {
    Token(HeaderValue),
    /// Read when it is needed.
    TokenFile(PathBuf),
    AppRole {
        mount: String,
        role_id: Secret,
        secret_id: Option<Secret>,
    },
}

/// Why there are no settings.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// A key of the configuration is wrong.
    Key {
        /// The key.
        key: &'static str,
        /// What is wrong with it.
        message: String,
    },
    /// Something is missing, or a variable is wrong.
    Other(String),
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key { key, message } => write!(f, "`secrets.vault.{key}` {message}"),
            Self::Other(message) => f.write_str(message),
        }
    }
}

impl Settings {
    /// Of the keys, and of the variables where there is no key. `path` makes a path of what is written at a key.
    ///
    /// # Errors
    /// The first thing that is wrong or missing. Nothing secret is repeated.
    pub(crate) fn of(
        raw: &VaultConfig,
        environment: &Environment,
        path: impl Fn(&str, &str) -> PathBuf,
    ) -> Result<Self, Unfit> {
        let address = match (&raw.address, environment.non_empty("VAULT_ADDR")) {
            (Some(written), _) => address(written).map_err(|why| key("address", why))?,
            (None, Some(written)) => address(written).map_err(|why| variable("VAULT_ADDR", &why))?,
            (None, None) => {
                let why =
                    "where Vault is, is not said: set VAULT_ADDR, or `secrets.vault.address` in mortise.yaml";
                return Err(Unfit::Other(why.to_owned()));
            }
        };
        let namespace = match (&raw.namespace, environment.non_empty("VAULT_NAMESPACE")) {
            (Some(name), _) => Some(header(name).map_err(|why| key("namespace", why))?),
            (None, Some(name)) => Some(header(name).map_err(|why| variable("VAULT_NAMESPACE", &why))?),
            (None, None) => None,
        };
        let file = |at: &'static str, written: &Option<String>, name: &str| {
            let written = written.as_deref().map(|written| path(at, written));
            written.or_else(|| environment.non_empty(name).map(PathBuf::from))
        };
        let cert = file("client_cert", &raw.client_cert, "VAULT_CLIENT_CERT");
        let identity = match (cert, file("client_key", &raw.client_key, "VAULT_CLIENT_KEY")) {
            (Some(cert), Some(key)) => Some((cert, key)),
            (None, None) => None,
            (Some(_), None) => return Err(key("client_cert", "needs `client_key` beside it")),
            (None, Some(_)) => return Err(key("client_key", "needs `client_cert` beside it")),
        };
        let lenient = raw.skip_verify.or_else(|| environment.non_empty("VAULT_SKIP_VERIFY").map(is_true));
        Ok(Self {
            address,
            namespace,
            way_in: way_in(raw, environment, &path)?,
            kv_version: raw.kv_version,
            timeout: patience(raw, environment)?,
            tls: ClientTls {
                extra_ca: file("ca_cert", &raw.ca_cert, "VAULT_CACERT"),
                identity,
                verify: if lenient == Some(true) { Verify::Nothing } else { Verify::Full },
            },
        })
    }

    /// Its address for messages.
    pub(super) fn shown(&self) -> String {
        self.address.origin().ascii_serialization()
    }

    /// Whether what is said passes a network in the clear.
    pub(crate) fn is_open_to_listeners(&self) -> bool {
        let here = match self.address.host() {
            Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
            Some(Host::Ipv4(ip)) => ip.is_loopback(),
            Some(Host::Ipv6(ip)) => ip.is_loopback(),
            None => true,
        };
        self.address.scheme() == "http" && !here
    }

    /// A digest of who logs in where.
    pub(super) fn digest(&self, mount: &str, role_id: &Secret, secret_id: Option<&Secret>) -> [u8; 32] {
        let mut hasher = Sha256::new();
        let namespace = self.namespace.as_ref().map_or(&b""[..], HeaderValue::as_bytes);
        let secret = secret_id.map_or("", Secret::expose);
        for part in
            [self.address.as_str().as_bytes(), namespace, mount.as_bytes(), role_id.expose().as_bytes()]
        {
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
        hasher.update(secret.as_bytes());
        hasher.finalize().into()
    }
}

fn key(key: &'static str, message: impl Into<String>) -> Unfit {
    Unfit::Key { key, message: message.into() }
}

fn variable(name: &str, why: &str) -> Unfit {
    Unfit::Other(format!("the variable {name} {why}"))
}

fn way_in(
    raw: &VaultConfig,
    environment: &Environment,
    path: &impl Fn(&str, &str) -> PathBuf,
) -> Result<WayIn, Unfit> {
    let given = [
        ("token", raw.token.is_some()),
        ("token_file", raw.token_file.is_some()),
        ("role_id", raw.role_id.is_some()),
    ];
    let mut given = given.iter().filter(|(_, given)| *given).map(|(key, _)| *key);
    if let (Some(first), Some(second)) = (given.next(), given.next()) {
        return Err(key(second, format!("must not be given beside `{first}`: there is one way in")));
    }
    if let Some(token) = &raw.token {
        return Ok(WayIn::Token(header(token.expose()).map_err(|why| key("token", why))?));
    }
    if let Some(written) = &raw.token_file {
        return Ok(WayIn::TokenFile(path("token_file", written)));
    }
    let mount = raw.approle_mount.as_deref().unwrap_or("approle").trim_matches('/').to_owned();
    let role = |role_id: Secret| {
        let secret_id = raw.secret_id.clone();
        let secret_id = secret_id.or_else(|| environment.non_empty("VAULT_SECRET_ID").map(Secret::new));
        WayIn::AppRole { mount: mount.clone(), role_id, secret_id }
    };
    if let Some(role_id) = &raw.role_id {
        return Ok(role(role_id.clone()));
    }
    if let Some(token) = environment.non_empty("VAULT_TOKEN") {
        return Ok(WayIn::Token(header(token).map_err(|why| variable("VAULT_TOKEN", &why))?));
    }
    if let Some(role_id) = environment.non_empty("VAULT_ROLE_ID") {
        return Ok(role(Secret::new(role_id)));
    }
    let left = environment.non_empty("HOME").map(|home| Path::new(home).join(".vault-token"));
    match left.filter(|file| file.is_file()) {
        Some(file) => Ok(WayIn::TokenFile(file)),
        None => Err(Unfit::Other(
            "there is no way into Vault: set VAULT_TOKEN, or VAULT_ROLE_ID and VAULT_SECRET_ID, or a key of \
             `secrets.vault` in mortise.yaml"
                .to_owned(),
        )),
    }
}

/// The token in a file.
///
/// # Errors
/// When it cannot be read or holds none.
pub(super) fn token_in(file: &Path) -> Result<HeaderValue, String> {
    looked_at::note(file);
    let shown = file.display();
    let about = fs::metadata(file).map_err(|error| format!("reading the token in {shown}: {error}"))?;
    if !about.is_file() || about.len() > MOST_TOKEN_BYTES {
        return Err(format!("{shown} is no file with a token"));
    }
    let text = fs::read_to_string(file).map_err(|error| format!("reading the token in {shown}: {error}"))?;
    header(&text).map_err(|why| format!("the token in {shown} {why}"))
}

fn address(written: &str) -> Result<Url, String> {
    let wrong = "must be an `http` or `https` URL, such as `https://vault.example.com:8200`";
    let mut url = Url::parse(written.trim()).map_err(|_| wrong.to_owned())?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(wrong.to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must hold no user name or password".to_owned());
    }
    url.set_query(None);
    url.set_fragment(None);
    Ok(url)
}

/// A value for a header, which is not shown.
fn header(text: &str) -> Result<HeaderValue, String> {
    let text = text.trim();
    if text.is_empty() {
        return Err("is empty".to_owned());
    }
    let mut value =
        HeaderValue::from_str(text).map_err(|_| "holds characters that cannot be sent".to_owned())?;
    value.set_sensitive(true);
    Ok(value)
}

fn patience(raw: &VaultConfig, environment: &Environment) -> Result<Duration, Unfit> {
    if let Some(seconds) = raw.timeout {
        let time =
            Duration::try_from_secs_f64(seconds).ok().filter(|time| !time.is_zero() && *time <= LONGEST);
        return time.ok_or_else(|| key("timeout", "must be seconds above 0, 600 at most"));
    }
    let Some(written) = environment.non_empty("VAULT_CLIENT_TIMEOUT") else { return Ok(USUAL) };
    let time = duration(written.trim()).filter(|time| !time.is_zero());
    let wrong = || variable("VAULT_CLIENT_TIMEOUT", "must be seconds, or a time such as `30s` or `1m30s`");
    Ok(time.ok_or_else(wrong)?.min(LONGEST))
}

/// A time as Vault's programs write it: seconds, or numbers with units.
fn duration(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.parse::<u32>() {
        return Some(Duration::from_secs(seconds.into()));
    }
    let (mut rest, mut sum) = (text, 0.0);
    while !rest.is_empty() {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (digits, tail) = rest.split_at(number);
        let (unit, seconds) = [("ms", 0.001), ("h", 3600.0), ("m", 60.0), ("s", 1.0)]
            .into_iter()
            .find(|(unit, _)| tail.starts_with(unit))?;
        sum += digits.parse::<f64>().ok()? * seconds;
        rest = tail.get(unit.len()..)?;
    }
    Duration::try_from_secs_f64(sum).ok()
}

fn is_true(word: &str) -> bool {
    matches!(word.trim().to_ascii_lowercase().as_str(), "1" | "t" | "true" | "yes" | "on")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(raw: &VaultConfig, variables: &[(&str, &str)]) -> Result<Settings, Unfit> {
        Settings::of(raw, &Environment::new(variables.iter().copied()), |_, written| PathBuf::from(written))
    }

    fn way(settings: &Settings) -> &'static str {
        match &settings.way_in {
            WayIn::Token(_) => "token",
            WayIn::TokenFile(_) => "file",
            WayIn::AppRole { .. } => "role",
        }
    }

    const ADDR: (&str, &str) = ("VAULT_ADDR", "http://127.0.0.1:8200");

    #[test]
    fn keys_count_before_variables() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(".vault-token"), "left\n").unwrap();
        let home = ("HOME", folder.path().to_str().unwrap());
        for (variables, expected) in [
            (vec![ADDR, home], "file"),
            (vec![ADDR, home, ("VAULT_ROLE_ID", "r")], "role"),
            (vec![ADDR, home, ("VAULT_ROLE_ID", "r"), ("VAULT_TOKEN", "t")], "token"),
        ] {
            assert_eq!(way(&read(&VaultConfig::default(), &variables).unwrap()), expected, "{variables:?}");
        }
        let raw = VaultConfig {
            address: Some("https://vault.example.com/behind/".to_owned()),
            role_id: Some(Secret::new("r")),
            timeout: Some(2.5),
            ..VaultConfig::default()
        };
        let settings = read(&raw, &[ADDR, ("VAULT_TOKEN", "t"), ("VAULT_CLIENT_TIMEOUT", "7")]).unwrap();
        assert_eq!((way(&settings), settings.timeout), ("role", Duration::from_millis(2500)));
        assert_eq!(settings.shown(), "https://vault.example.com");
        assert!(!settings.is_open_to_listeners());
    }

    #[test]
    fn what_is_missing_or_wrong_is_named_and_never_repeated() {
        let error =
            |raw: &VaultConfig, variables: &[(&str, &str)]| read(raw, variables).err().unwrap().to_string();
        let none = VaultConfig::default();
        assert!(error(&none, &[]).contains("set VAULT_ADDR"));
        assert!(error(&none, &[ADDR]).contains("set VAULT_TOKEN"));
        assert!(error(&none, &[("VAULT_ADDR", "vault:8200/x")]).contains("VAULT_ADDR must be an `http`"));
        let shown = error(&none, &[("VAULT_ADDR", "http://me:hush@vault:8200"), ("VAULT_TOKEN", "t")]);
        assert!(shown.contains("no user name") && !shown.contains("hush"), "{shown}");
        let shown = error(&none, &[ADDR, ("VAULT_TOKEN", "hush\nhush")]);
        assert!(shown.contains("cannot be sent") && !shown.contains("hush"), "{shown}");
        let both = VaultConfig {
            token: Some(Secret::new("t")),
            role_id: Some(Secret::new("r")),
            ..VaultConfig::default()
        };
        assert!(error(&both, &[ADDR]).contains("`secrets.vault.role_id` must not be given beside `token`"));
    }

    #[test]
    fn times_are_read_as_vaults_programs_write_them() {
        for (text, millis) in
            [("30", 30_000), ("30s", 30_000), ("1m30s", 90_000), ("1.5s", 1500), ("250ms", 250)]
        {
            assert_eq!(duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in ["soon", "5 s", "s", "1d"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }
}
