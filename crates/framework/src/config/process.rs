//! `process` of a plugin entry: what its process is started with, and what it may use.
//!
//! Only the words; who starts processes reads them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::python::names_only;

/// How the process of a plugin is started and bounded. Every key is optional.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ProcessKeys {
    /// Variables of its environment, beside the short list that every program needs.
    #[serde(serialize_with = "names_only")]
    pub env: BTreeMap<String, String>,
    /// Its working directory, relative to the file that the entry stands in. Not given, the gateway's.
    pub cwd: Option<String>,
    /// What the SHA-256 of its program must be, in hexadecimal digits. Looked at before each start.
    #[schemars(regex(pattern = "^[0-9a-fA-F]{64}$"))]
    pub sha256: Option<String>,
    /// Memory it may have, in MiB; 0 for no limit. Not given, what its manifest says that it requires.
    pub memory_mb: Option<u64>,
    /// Cores it may keep busy, such as 0.5; 0 for no limit. Not given, what its manifest says that it requires. Held by a
    /// control group, where the gateway may make one.
    #[schemars(range(min = 0))]
    pub cpu_cores: Option<f64>,
    /// Processes and threads it may have at once; 0 for no limit. Where no control group can be made, all those of the
    /// gateway's user count.
    pub processes: u64,
    /// Services of the gateway that it may use, of those its manifest asks for: `kv.readwrite`, `apps.read`, …; `*`
    /// stands for all. Not given, all that it asks for.
    pub services: Option<Vec<String>>,
    /// Files it may have open.
    #[schemars(range(min = 16))]
    pub open_files: u64,
    /// What it may reach beside that, on Linux. Not given, what its manifest asks for, as far as that is no more than the
    /// profile `compat`.
    pub sandbox: Option<SandboxKeys>,
    /// Whether what passes between it and the gateway is encrypted, both showing certificates that are made for each
    /// start (go-plugin's AutoMTLS). A program that cannot is not started then.
    pub encrypt: bool,
    /// Whether it calls the gateway over the connection by which it is called, and not over one of its own (go-plugin's
    /// broker multiplexing). A program that cannot is not started then.
    pub multiplex: bool,
    /// How the connection to a server of plugins elsewhere, `grpc://HOST:PORT`, is encrypted. Not given, it is not; an
    /// empty map trusts the authorities of the system.
    pub tls: Option<ProcessTls>,
}

/// TLS towards a server of plugins. Files are relative to the one that the entry stands in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ProcessTls {
    /// File of authorities that are trusted beside the system's, in PEM.
    pub ca: Option<String>,
    /// File of the certificate that the gateway shows, and of its chain, in PEM.
    pub cert: Option<String>,
    /// File of the private key that belongs to it, in PEM. Not given, it stands in `cert`.
    pub key: Option<String>,
    /// The name that the server's certificate must be for. Not given, the host of the command.
    pub server_name: Option<String>,
}

/// What the process of a plugin may reach of its machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SandboxKeys {
    /// Which rules hold.
    pub profile: SandboxProfile,
    /// Files and folders it may read beside those that every program needs, under `strict`; relative to the file that the
    /// entry stands in.
    pub read: Vec<String>,
    /// Files and folders it may change beside its own; relative to the file that the entry stands in.
    pub write: Vec<String>,
    /// Whether it may use the network, under `strict`.
    pub network: bool,
}

/// Rules for the process of a plugin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SandboxProfile {
    /// For programs that know of no rules: they may read what the gateway may and use the network, but change files only
    /// in their working directory, in the temporary folder and where `write` says, gain no privileges, and neither signal
    /// nor look into processes that are not theirs. Where the kernel cannot hold them to it, they run all the same.
    #[default]
    Compat,
    /// Nothing but what the entry says: no network, no files but the system's programs and libraries, its own folder, and
    /// what `read` and `write` say. Where the kernel cannot hold it to that, it is not started.
    Strict,
    /// No rules.
    None,
}

impl SandboxProfile {
    /// The word of a configuration.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Compat => "compat",
            Self::Strict => "strict",
            Self::None => "none",
        }
    }
}

impl Default for ProcessKeys {
    fn default() -> Self {
        Self {
            env: BTreeMap::new(),
            cwd: None,
            sha256: None,
            memory_mb: None,
            cpu_cores: None,
            processes: 0,
            services: None,
            open_files: 4096,
            sandbox: None,
            encrypt: false,
            multiplex: false,
            tls: None,
        }
    }
}

/// Never shows values of variables.
impl std::fmt::Debug for ProcessKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProcessKeys")
            .field("env", &self.env.keys())
            .field("cwd", &self.cwd)
            .field("sha256", &self.sha256)
            .field("memory_mb", &self.memory_mb)
            .field("cpu_cores", &self.cpu_cores)
            .field("processes", &self.processes)
            .field("services", &self.services)
            .field("open_files", &self.open_files)
            .field("sandbox", &self.sandbox)
            .field("encrypt", &self.encrypt)
            .field("multiplex", &self.multiplex)
            .field("tls", &self.tls)
            .finish()
    }
}
