//! `upstreams`: the MCP servers behind the gateway.

use std::{collections::BTreeMap, fmt, path::PathBuf, sync::Arc, time::Duration};

use http::HeaderMap;
use indexmap::IndexMap;
use mortise_framework::config::OneOrMany;
use schemars::JsonSchema;
use serde::Deserialize;
use url::Url;

use super::{
    Secret, Tool,
    headers::headers,
    place::{self, Findings, hide},
};

/// An MCP server behind the gateway: reached at a URL, or started as a child process and spoken to over its standard
/// input and output. Exactly one of `url` and `command` is given.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct UpstreamConfig {
    /// What it is for.
    pub description: Option<String>,
    /// Its endpoint for streamable HTTP, `http` or `https`.
    pub url: Option<Secret>,
    /// Headers sent with every request, by name. Values are never shown. Only with `url`.
    pub headers: IndexMap<String, Secret>,
    /// The program to start, alone or with its arguments. Looked up in `PATH` unless it holds a slash.
    pub command: Option<OneOrMany<String>>,
    /// Further arguments. Only with `command`.
    pub args: Vec<String>,
    /// Variables of its environment, beside a short list that every program needs. Values are never shown. Only with
    /// `command`.
    pub env: IndexMap<String, Secret>,
    /// Its working folder, relative to the file it is written in. Default: the gateway's. Only with `command`.
    pub cwd: Option<String>,
    /// Seconds without answer or progress after which a request is given up. Default 60.
    #[schemars(range(min = 0.001, max = 86400.0))]
    pub timeout: f64,
    /// Whether it is used at all. Default true.
    pub enabled: bool,
}

impl Default for UpstreamConfig {
    fn default() -> Self {
        Self {
            description: None,
            url: None,
            headers: IndexMap::new(),
            command: None,
            args: Vec::new(),
            env: IndexMap::new(),
            cwd: None,
            timeout: 60.0,
            enabled: true,
        }
    }
}

/// Validated [`UpstreamConfig`] of an upstream that is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// Its name.
    pub name: String,
    /// How it is reached.
    pub transport: Transport,
    /// Longest silence before an answer.
    pub timeout: Duration,
}

/// How an upstream is reached. `Debug` shows no secrets.
#[derive(Clone, PartialEq, Eq)]
pub enum Transport {
    /// Streamable HTTP.
    Http {
        /// The endpoint; may hold secrets in its query.
        url: Url,
        /// Sent with every request; all marked as sensitive.
        headers: HeaderMap,
    },
    /// A child process.
    Stdio {
        /// The program.
        program: PathBuf,
        /// Its arguments.
        args: Vec<String>,
        /// Variables beside the inherited ones.
        env: BTreeMap<String, String>,
        /// Its working folder.
        cwd: Option<PathBuf>,
    },
    /// An HTTP API with an OpenAPI document.
    OpenApi(Arc<Tool>),
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http { url, headers } => f
                .debug_struct("Http")
                .field("url", &mortise_telemetry::redact::url(url.as_str()))
                .field("headers", &headers.keys().collect::<Vec<_>>())
                .finish(),
            Self::Stdio { program, args, env, cwd } => f
                .debug_struct("Stdio")
                .field("program", program)
                .field("args", &args.len())
                .field("env", &env.keys().collect::<Vec<_>>())
                .field("cwd", cwd)
                .finish(),
            Self::OpenApi(tool) => f.debug_tuple("OpenApi").field(tool).finish(),
        }
    }
}

/// Headers that belong to the connection or to the protocol.
const NOT_CONFIGURABLE: [&str; 11] = [
    "accept",
    "connection",
    "content-length",
    "content-type",
    "host",
    "mcp-protocol-version",
    "mcp-session-id",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Checks one upstream; `None` where it is wrong or not enabled.
pub(super) fn settle(name: &str, raw: &UpstreamConfig, found: &mut Findings<'_>) -> Option<Upstream> {
    let path = place::key("upstreams", name);
    let before = found.errors.len();
    let transport = match (&raw.url, &raw.command) {
        (Some(url), None) => http(&path, raw, url, found),
        (None, Some(command)) => stdio(&path, raw, command.clone().into_vec(), found),
        (Some(_), Some(_)) => {
            found.key_error(&path, "command", "an upstream has either `url` or `command`, not both");
            None
        }
        (None, None) => {
            found
                .key_error(
                    "upstreams",
                    name,
                    format!("the upstream `{name}` has neither `url` nor `command`"),
                )
                .help = Some("give the `url` of a server that runs, or the `command` that starts one".into());
            None
        }
    };
    let timeout = Duration::try_from_secs_f64(raw.timeout).unwrap_or(Duration::from_secs(60));
    let upstream = Upstream { name: name.to_owned(), transport: transport?, timeout };
    (raw.enabled && found.errors.len() == before).then_some(upstream)
}

fn http(path: &str, raw: &UpstreamConfig, url: &Secret, found: &mut Findings<'_>) -> Option<Transport> {
    for (given, name) in
        [(!raw.args.is_empty(), "args"), (!raw.env.is_empty(), "env"), (raw.cwd.is_some(), "cwd")]
    {
        if given {
            found.key_error(
                path,
                name,
                format!("`{name}` belongs to an upstream with `command`, not to one with `url`"),
            );
        }
    }
    let at = place::key(path, "url");
    // The text is not repeated: it may hold a token.
    let url = match Url::parse(url.expose()) {
        Ok(url) => url,
        Err(error) => {
            found.secret_error(&at, format!("this is not a URL: {error}")).help =
                Some("write it in full, for example http://127.0.0.1:9101/mcp".into());
            return None;
        }
    };
    if !matches!(url.scheme(), "http" | "https") {
        let message = format!("an upstream is reached over `http` or `https`, not `{}`", url.scheme());
        found.secret_error(&at, message);
    } else if !url.username().is_empty() || url.password().is_some() {
        found.secret_error(&at, "a user name or password in a URL would end in logs").help =
            Some("send it as `headers: { Authorization: \"Basic …\" }`".into());
    }
    let headers = headers(&place::key(path, "headers"), &raw.headers, &NOT_CONFIGURABLE, found);
    Some(Transport::Http { url, headers })
}

fn stdio(
    path: &str,
    raw: &UpstreamConfig,
    command: Vec<String>,
    found: &mut Findings<'_>,
) -> Option<Transport> {
    if !raw.headers.is_empty() {
        found.key_error(
            path,
            "headers",
            "`headers` belongs to an upstream with `url`, not to one with `command`",
        );
    }
    let mut words = command.into_iter();
    let program = words.next().filter(|program| !program.is_empty());
    let Some(program) = program else {
        found.error(&place::key(path, "command"), "the command is empty").help =
            Some("write the program and its arguments: [npx, -y, some-server]".into());
        return None;
    };
    let env_path = place::key(path, "env");
    for (name, value) in &raw.env {
        if name.is_empty() || name.contains(['=', '\0']) || value.expose().contains('\0') {
            hide(found.key_error(&env_path, name, "this is not a variable that a program can be given"));
        }
    }
    let cwd = raw.cwd.as_ref().map(|cwd| found.path(&place::key(path, "cwd"), cwd));
    Some(Transport::Stdio {
        program: program.into(),
        args: words.chain(raw.args.iter().cloned()).collect(),
        env: raw.env.iter().map(|(name, value)| (name.clone(), value.expose().to_owned())).collect(),
        cwd,
    })
}
