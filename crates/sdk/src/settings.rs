//! Where a plugin server listens: the sections of its file and the variables of its environment, by the names that
//! plugin servers of the ContextForge family have.
//!
//! What stands in the file wins over the environment, as it does there.

#[cfg(test)]
mod tests;

use std::path::PathBuf;

use serde::Deserialize;
use serde_json::Value;

/// What is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// MCP over standard input and output.
    Stdio,
    /// MCP over HTTP.
    Http,
    /// gRPC.
    Grpc,
    /// Frames of protobuf over a Unix socket.
    Unix,
}

impl Transport {
    /// The words for them.
    pub const WORDS: [&str; 4] = ["stdio", "http", "grpc", "unix"];

    /// Reads a word in any letter case; `streamablehttp` means HTTP.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        Some(match word.trim().to_ascii_lowercase().as_str() {
            "stdio" => Self::Stdio,
            "http" | "streamablehttp" | "streamable-http" => Self::Http,
            "grpc" => Self::Grpc,
            "unix" | "unix_socket" => Self::Unix,
            _ => return None,
        })
    }
}

/// Why settings cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// A variable holds something else than it may.
    #[error("the variable {name} is `{value}`; allowed: {allowed}")]
    Variable {
        /// The variable.
        name: &'static str,
        /// What it holds.
        value: String,
        /// What it may hold.
        allowed: &'static str,
    },
    /// A section of the file is wrong.
    #[error("`{section}` in the file cannot be read")]
    Section {
        /// The section.
        section: &'static str,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// Two settings exclude each other.
    #[error("{0}")]
    Conflict(&'static str),
}

/// Whether clients must show a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientCertificates {
    /// None is asked for.
    None,
    /// One that is shown must be good.
    Optional,
    /// Every client must show one.
    Required,
}

/// TLS of a server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// PEM file of the certificate chain.
    pub certfile: Option<PathBuf>,
    /// PEM file of the private key.
    pub keyfile: Option<PathBuf>,
    /// PEM file of authorities whose clients are let in.
    pub ca_bundle: Option<PathBuf>,
    /// Whether clients must show a certificate. Unless said: where there is a `ca_bundle`.
    pub clients: Option<ClientCertificates>,
}

impl Tls {
    /// Whether clients must show a certificate.
    #[must_use]
    pub fn clients(&self) -> ClientCertificates {
        let unless_said =
            if self.ca_bundle.is_some() { ClientCertificates::Required } else { ClientCertificates::None };
        self.clients.unwrap_or(unless_said)
    }

    fn check(&self) -> Result<(), SettingsError> {
        if self.certfile.is_none() || self.keyfile.is_none() {
            return Err(SettingsError::Conflict("`tls` needs `certfile` and `keyfile`"));
        }
        if self.clients() != ClientCertificates::None && self.ca_bundle.is_none() {
            return Err(SettingsError::Conflict("asking clients for certificates needs `ca_bundle`"));
        }
        Ok(())
    }
}

/// Where a server listens for one transport.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bind {
    /// Host name or address.
    pub host: String,
    /// Port; 0 takes any free one.
    pub port: u16,
    /// A Unix socket instead of host and port.
    pub uds: Option<PathBuf>,
    /// TLS, where it is on.
    pub tls: Option<Tls>,
}

impl Bind {
    fn new(port: u16) -> Self {
        Self { host: "127.0.0.1".into(), port, uds: None, tls: None }
    }
}

/// Everything that is set of a plugin server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What is spoken; `None` leaves it to the terminal: `stdio` where standard input is none, else HTTP.
    pub transport: Option<Transport>,
    /// HTTP; 127.0.0.1:8000 by default.
    pub http: Bind,
    /// gRPC; 127.0.0.1:50051 by default.
    pub grpc: Bind,
    /// The raw Unix socket; `/tmp/mcpgateway-plugins.sock` by default.
    pub unix_path: PathBuf,
    /// Whether the HTTP server has `/metrics/prometheus`. On by default.
    pub metrics: bool,
    /// The largest message in bytes. 16 MiB by default.
    pub max_message_bytes: usize,
    /// Connections at a time. 1,000 by default.
    pub max_connections: usize,
    /// How long calls under way may go on once the server is to end. 30 s by default.
    pub drain: std::time::Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            transport: None,
            http: Bind::new(8000),
            grpc: Bind::new(50051),
            unix_path: "/tmp/mcpgateway-plugins.sock".into(),
            metrics: true,
            max_message_bytes: 16 << 20,
            max_connections: 1000,
            drain: std::time::Duration::from_secs(30),
        }
    }
}

/// A section for HTTP or gRPC as it may be written.
#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Section {
    host: Option<String>,
    port: Option<u16>,
    uds: Option<PathBuf>,
    tls: Option<TlsSection>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct TlsSection {
    certfile: Option<PathBuf>,
    keyfile: Option<PathBuf>,
    ca_bundle: Option<PathBuf>,
    keyfile_password: Option<String>,
    ssl_cert_reqs: Option<u8>,
    client_auth: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct UnixSection {
    path: Option<PathBuf>,
}

/// The sections of a plugin file that say where its server listens.
#[derive(Clone, Debug, Default)]
pub struct Sections {
    /// `server_settings`.
    pub http: Option<Value>,
    /// `grpc_server_settings`.
    pub grpc: Option<Value>,
    /// `unix_socket_server_settings`.
    pub unix: Option<Value>,
}

impl Settings {
    /// The settings that `variable` and the sections of a file give, the file over the variables.
    ///
    /// # Errors
    /// For the first that cannot be used.
    pub fn read(
        variable: impl Fn(&str) -> Option<String>,
        sections: &Sections,
    ) -> Result<Self, SettingsError> {
        let variables = Variables(&variable);
        let mut settings = Self { transport: variables.transport()?, ..Self::default() };
        variables.bind(&HTTP, &mut settings.http)?;
        variables.bind(&GRPC, &mut settings.grpc)?;
        let socket = variables.get("PLUGINS_UNIX_SOCKET_PATH").or_else(|| variables.get("UNIX_SOCKET_PATH"));
        if let Some(path) = socket {
            settings.unix_path = path.into();
        }
        if let Some(metrics) = variables.flag("ENABLE_METRICS")? {
            settings.metrics = metrics;
        }
        apply(sections.http.as_ref(), "server_settings", &mut settings.http)?;
        apply(sections.grpc.as_ref(), "grpc_server_settings", &mut settings.grpc)?;
        let unix = section::<UnixSection>(sections.unix.as_ref(), "unix_socket_server_settings")?;
        if let Some(path) = unix.path {
            settings.unix_path = path;
        }
        for bind in [&settings.http, &settings.grpc] {
            if bind.uds.is_some() && bind.tls.is_some() {
                return Err(SettingsError::Conflict("a server on a Unix socket (`uds`) cannot have `tls`"));
            }
            bind.tls.as_ref().map_or(Ok(()), Tls::check)?;
        }
        Ok(settings)
    }
}

/// Names of the variables of one transport, after their prefix.
struct Names {
    prefix: &'static str,
    port: &'static str,
    enabled: &'static str,
    clients: &'static str,
}

const HTTP: Names = Names {
    prefix: "PLUGINS_SERVER_",
    port: "PLUGINS_SERVER_PORT",
    enabled: "PLUGINS_SERVER_SSL_ENABLED",
    clients: "SSL_CERT_REQS",
};
const GRPC: Names = Names {
    prefix: "PLUGINS_GRPC_SERVER_",
    port: "PLUGINS_GRPC_SERVER_PORT",
    enabled: "PLUGINS_GRPC_SERVER_SSL_ENABLED",
    clients: "SSL_CLIENT_AUTH",
};

struct Variables<'a>(&'a dyn Fn(&str) -> Option<String>);

impl Variables<'_> {
    /// What a variable holds; an empty one counts as not set.
    fn get(&self, name: &str) -> Option<String> {
        (self.0)(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
    }

    fn flag(&self, name: &'static str) -> Result<Option<bool>, SettingsError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        flag(&value).map(Some).ok_or(SettingsError::Variable { name, value, allowed: FLAGS })
    }

    fn transport(&self) -> Result<Option<Transport>, SettingsError> {
        let name = "PLUGINS_TRANSPORT";
        let Some(value) = self.get(name) else { return Ok(None) };
        let allowed = "stdio, http, grpc, unix";
        Transport::of(&value).map(Some).ok_or(SettingsError::Variable { name, value, allowed })
    }

    fn bind(&self, names: &Names, bind: &mut Bind) -> Result<(), SettingsError> {
        let get = |name: &str| self.get(&format!("{}{name}", names.prefix));
        if let Some(host) = get("HOST") {
            bind.host = host;
        }
        if let Some(value) = get("PORT") {
            let allowed = "0 to 65535";
            let wrong = |_| SettingsError::Variable { name: names.port, value: value.clone(), allowed };
            bind.port = value.parse().map_err(wrong)?;
        }
        bind.uds = get("UDS").map(PathBuf::from);
        if self.flag(names.enabled)?.unwrap_or(false) {
            if get("SSL_KEYFILE_PASSWORD").is_some() {
                return Err(SettingsError::Conflict(ENCRYPTED_KEY));
            }
            bind.tls = Some(Tls {
                certfile: get("SSL_CERTFILE").map(PathBuf::from),
                keyfile: get("SSL_KEYFILE").map(PathBuf::from),
                ca_bundle: get("SSL_CA_CERTS").map(PathBuf::from),
                clients: get(names.clients).map(|word| clients(&word)).transpose()?,
            });
        }
        Ok(())
    }
}

const FLAGS: &str = "true, false, 1, 0, yes, no, on, off";
const ENCRYPTED_KEY: &str =
    "keys with a password cannot be read: decrypt the key, and protect the file instead";

fn flag(word: &str) -> Option<bool> {
    match word.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Some(true),
        "0" | "false" | "no" | "off" => Some(false),
        _ => None,
    }
}

fn clients(word: &str) -> Result<ClientCertificates, SettingsError> {
    Ok(match word.to_ascii_lowercase().as_str() {
        "0" | "none" => ClientCertificates::None,
        "1" | "optional" => ClientCertificates::Optional,
        "2" | "require" | "required" => ClientCertificates::Required,
        _ => {
            return Err(SettingsError::Variable {
                name: "…_SSL_CERT_REQS or …_SSL_CLIENT_AUTH",
                value: word.to_owned(),
                allowed: "0, 1, 2, none, optional, require",
            });
        }
    })
}

fn section<T: Default + serde::de::DeserializeOwned>(
    value: Option<&Value>,
    section: &'static str,
) -> Result<T, SettingsError> {
    match value.filter(|value| !value.is_null()) {
        Some(value) => T::deserialize(value).map_err(|source| SettingsError::Section { section, source }),
        None => Ok(T::default()),
    }
}

/// Lays a section over what the variables say.
fn apply(value: Option<&Value>, name: &'static str, bind: &mut Bind) -> Result<(), SettingsError> {
    let Section { host, port, uds, tls } = section(value, name)?;
    if host.is_some() || port.is_some() {
        // A file that says where means that, and no socket that a variable names.
        bind.uds = None;
    }
    bind.host = host.unwrap_or_else(|| std::mem::take(&mut bind.host));
    bind.port = port.unwrap_or(bind.port);
    bind.uds = uds.or_else(|| bind.uds.take());
    let Some(tls) = tls else { return Ok(()) };
    if tls.keyfile_password.is_some() {
        return Err(SettingsError::Conflict(ENCRYPTED_KEY));
    }
    let asked = tls.ssl_cert_reqs.map(|number| number.to_string()).or(tls.client_auth);
    bind.tls = Some(Tls {
        certfile: tls.certfile,
        keyfile: tls.keyfile,
        ca_bundle: tls.ca_bundle,
        clients: asked.map(|word| clients(&word)).transpose()?,
    });
    Ok(())
}
