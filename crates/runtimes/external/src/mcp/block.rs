//! The `mcp:` block of an entry: where its server is and how it is talked to.
//!
//! Read once, while the configuration is checked, so that a mistake is told before anything runs; files are only
//! named here and looked at when the plugin starts. Keys are those of the documents and, beside them, those of the
//! released format. Credentials stand in headers that are marked as secret and are shown nowhere.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use base64::{Engine, prelude::BASE64_STANDARD};
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use mortise_framework::config::PluginEntry;
use mortise_mcp_transport::http::origin::Origin;
use mortise_plugin_api::BuildError;
use serde_json::{Map, Value};
use url::Url;

use super::{tls::TlsKeys, wire::Dialect};
use crate::settings::Keys;

/// How a server is reached.
pub(super) enum Way {
    /// Streamable HTTP.
    Http(Box<HttpWay>),
    /// The HTTP transport before it: a stream of events, and a path to post to.
    Sse(Box<HttpWay>),
    /// Messages over a WebSocket.
    WebSocket(Box<HttpWay>),
    /// A child process.
    Stdio(StdioWay),
}

/// A server at a URL.
pub(super) struct HttpWay {
    pub(super) url: Url,
    pub(super) socket: Option<PathBuf>,
    pub(super) tls: TlsKeys,
    /// Sent with every request.
    pub(super) headers: HeaderMap,
    /// What is asked whether the server is well, instead of the plugin's session.
    pub(super) health: Option<Uri>,
    /// Statuses that an answer may have.
    pub(super) statuses: Option<Arc<[u16]>>,
}

/// A server that is started.
pub(super) struct StdioWay {
    pub(super) program: PathBuf,
    pub(super) args: Vec<String>,
    pub(super) env: BTreeMap<String, String>,
    pub(super) cwd: Option<PathBuf>,
}

const PROTOCOLS: &str = "`STDIO`, `STREAMABLEHTTP` (or `HTTP`), `SSE` and `WEBSOCKET`, in any letter case";

impl Way {
    pub(super) fn of(entry: &PluginEntry, block: &Map<String, Value>) -> Result<Self, BuildError> {
        let keys = Keys::of(entry);
        match protocol(block)? {
            Protocol::Stdio => Ok(Self::Stdio(StdioWay::of(entry, block)?)),
            Protocol::Http => Ok(Self::Http(Box::new(HttpWay::of(block, &keys)?))),
            Protocol::Sse => Ok(Self::Sse(Box::new(HttpWay::of(block, &keys)?))),
            Protocol::WebSocket => Ok(Self::WebSocket(Box::new(HttpWay::of(block, &keys)?))),
        }
    }

    /// Where it goes, without credentials.
    pub(super) fn target(&self) -> String {
        match self {
            Self::Http(way) | Self::Sse(way) | Self::WebSocket(way) => {
                let path = way.url.path();
                match (&way.socket, Origin::of(&way.url)) {
                    (Some(socket), _) => format!("unix:{}{path}", socket.display()),
                    (None, Ok(origin)) => format!("{origin}{path}"),
                    (None, Err(_)) => path.to_owned(),
                }
            }
            Self::Stdio(way) => way.program.display().to_string(),
        }
    }
}

enum Protocol {
    Stdio,
    Http,
    Sse,
    WebSocket,
}

fn protocol(block: &Map<String, Value>) -> Result<Protocol, BuildError> {
    let wrong = |what: String| BuildError::new("mcp.proto", format!("{what}: allowed are {PROTOCOLS}"));
    let Some(word) = block.get("proto").filter(|value| !value.is_null()) else {
        // What else is there says it.
        let url = block.get("url").and_then(Value::as_str).unwrap_or_default();
        return match () {
            () if url.starts_with("ws://") || url.starts_with("wss://") => Ok(Protocol::WebSocket),
            () if !url.is_empty() => Ok(Protocol::Http),
            () if block.contains_key("cmd") || block.contains_key("script") => Ok(Protocol::Stdio),
            () => Err(wrong("must be given".to_owned())),
        };
    };
    let text = word.as_str().ok_or_else(|| wrong("must be a text".to_owned()))?;
    let plain: String = text.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase();
    match plain.as_str() {
        "stdio" => Ok(Protocol::Stdio),
        "streamablehttp" | "http" | "streamable" => Ok(Protocol::Http),
        "sse" => Ok(Protocol::Sse),
        "websocket" | "ws" => Ok(Protocol::WebSocket),
        _ => Err(wrong(format!("`{}` is no protocol", text.chars().take(40).collect::<String>()))),
    }
}

/// The generation of the contract that is to be spoken, where the entry says.
pub(super) fn dialect(block: &Map<String, Value>) -> Result<Option<Dialect>, BuildError> {
    let Some(word) = block.get("dialect").filter(|value| !value.is_null()) else { return Ok(None) };
    let known = Dialect::ALL.into_iter().find(|dialect| word.as_str() == Some(dialect.word()));
    let wrong = || BuildError::new("mcp.dialect", "must be one of `invoke_hook` and `tool_per_hook`");
    known.map(Some).ok_or_else(wrong)
}

impl HttpWay {
    fn of(block: &Map<String, Value>, keys: &Keys<'_>) -> Result<Self, BuildError> {
        for key in ["script", "cmd", "env", "cwd"] {
            if block.get(key).is_some_and(|value| !value.is_null()) {
                return Err(BuildError::new(format!("mcp.{key}"), "is only for `proto: STDIO`"));
            }
        }
        let url = url(block)?;
        let socket = keys.text("uds")?.map(super::tls::path);
        let tls = TlsKeys::of(block)?;
        if socket.is_some() && url.scheme() == "https" {
            return Err(BuildError::new("mcp.uds", "is for `http` URLs: what passes a socket needs no TLS"));
        }
        let mut headers = headers(block.get("headers"), "mcp.headers")?;
        headers.extend(auth(keys)?);
        let health = match keys.text("health_check_endpoint")? {
            None => None,
            Some(path) => Some(health(path, &url)?),
        };
        Ok(Self { url, socket, tls, headers, health, statuses: statuses(keys)? })
    }
}

fn url(block: &Map<String, Value>) -> Result<Url, BuildError> {
    let wrong = |message: String| BuildError::new("mcp.url", message);
    let text = match block.get("url").filter(|value| !value.is_null()) {
        Some(Value::String(text)) if !text.trim().is_empty() => text.trim(),
        Some(_) => return Err(wrong("must be a URL".to_owned())),
        None => return Err(wrong("must be given for this `proto`".to_owned())),
    };
    let mut url = Url::parse(text).map_err(|error| wrong(format!("is no URL: {error}")))?;
    let same = match url.scheme() {
        "ws" => Some("http"),
        "wss" => Some("https"),
        _ => None,
    };
    // A WebSocket begins as HTTP, and so do its connections here.
    if let Some(scheme) = same {
        let changed = url.set_scheme(scheme);
        debug_assert!(changed.is_ok(), "both are special schemes");
    }
    Origin::of(&url).map_err(|error| wrong(error.to_string()))?;
    Ok(url)
}

fn health(path: &str, url: &Url) -> Result<Uri, BuildError> {
    let wrong = |message: &str| BuildError::new("mcp.health_check_endpoint", message);
    let full = url.join(path).map_err(|_| wrong("must be a path such as `/health`"))?;
    if full.origin() != url.origin() {
        return Err(wrong("must be at the same server as `url`"));
    }
    full[url::Position::BeforePath..url::Position::AfterQuery]
        .parse()
        .map_err(|_| wrong("must be a path such as `/health`"))
}

fn statuses(keys: &Keys<'_>) -> Result<Option<Arc<[u16]>>, BuildError> {
    let Some((value, at)) = keys.find("allowed_response_codes") else { return Ok(None) };
    let wrong = || BuildError::new(at.clone(), "must be a list of statuses from 200 to 299");
    let list = value.as_array().filter(|list| !list.is_empty()).ok_or_else(wrong)?;
    let status = |value: &Value| {
        let number = value.as_u64().or_else(|| value.as_str()?.trim().parse().ok())?;
        u16::try_from(number).ok().filter(|status| (200..300).contains(status))
    };
    let statuses: Option<Vec<u16>> = list.iter().map(status).collect();
    Ok(Some(statuses.ok_or_else(wrong)?.into()))
}

/// Headers by name, all marked as secret.
fn headers(value: Option<&Value>, at: &str) -> Result<HeaderMap, BuildError> {
    let mut headers = HeaderMap::new();
    let map = match value {
        None | Some(Value::Null) => return Ok(headers),
        Some(Value::Object(map)) => map,
        Some(_) => return Err(BuildError::new(at, "must be a map of header names to values")),
    };
    for (name, value) in map {
        let text = value.as_str().ok_or_else(|| BuildError::new(format!("{at}.{name}"), "must be a text"))?;
        header(&mut headers, name, text, at)?;
    }
    Ok(headers)
}

fn header(headers: &mut HeaderMap, name: &str, text: &str, at: &str) -> Result<(), BuildError> {
    // Not repeated: a name may be a secret that went into the wrong place.
    let name: HeaderName =
        name.parse().map_err(|_| BuildError::new(at, "holds a name that is none of a header"))?;
    let mut value = HeaderValue::from_str(text.trim())
        .map_err(|_| BuildError::new(at, "holds a value that cannot be a header's"))?;
    value.set_sensitive(true);
    headers.insert(name, value);
    Ok(())
}

/// The `auth` key: what the server is shown of who calls.
fn auth(keys: &Keys<'_>) -> Result<HeaderMap, BuildError> {
    let mut headers = HeaderMap::new();
    let Some((value, at)) = keys.find("auth") else { return Ok(headers) };
    let Value::Object(auth) = value else {
        return Err(BuildError::new(at, "must be a map with `type`"));
    };
    let text = |names: &[&str]| {
        let found =
            names.iter().find_map(|name| auth.get(*name)?.as_str()).filter(|text| !text.trim().is_empty());
        found.map(str::trim).ok_or_else(|| {
            let named = names.first().copied().unwrap_or_default();
            BuildError::new(format!("{at}.{named}"), "must be given as a text for this `type`")
        })
    };
    let kind: String = auth.get("type").and_then(Value::as_str).unwrap_or_default().to_lowercase();
    match kind.replace(['-', '_', ' '], "").as_str() {
        "bearer" | "token" => {
            header(&mut headers, "authorization", &format!("Bearer {}", text(&["token", "value"])?), &at)?;
        }
        "basic" => {
            let pair = format!("{}:{}", text(&["username", "user"])?, text(&["password"])?);
            let value = format!("Basic {}", BASE64_STANDARD.encode(pair));
            header(&mut headers, "authorization", &value, &at)?;
        }
        "apikey" => {
            let name = auth.get("header").or_else(|| auth.get("header_name")).and_then(Value::as_str);
            let key = text(&["key", "api_key", "token", "value"])?;
            header(&mut headers, name.unwrap_or("x-api-key"), key, &at)?;
        }
        "headers" | "header" | "custom" | "authheaders" => {
            headers = self::headers(auth.get("headers"), &format!("{at}.headers"))?;
            if headers.is_empty() {
                return Err(BuildError::new(format!("{at}.headers"), "must be given for this `type`"));
            }
        }
        "none" => {}
        _ => {
            let message = "must be one of `bearer`, `api_key`, `basic`, `headers` and `none`";
            return Err(BuildError::new(format!("{at}.type"), message));
        }
    }
    Ok(headers)
}

impl StdioWay {
    fn of(entry: &PluginEntry, block: &Map<String, Value>) -> Result<Self, BuildError> {
        for key in ["url", "uds", "tls", "auth", "headers"] {
            if block.get(key).is_some_and(|value| !value.is_null()) {
                return Err(BuildError::new(format!("mcp.{key}"), "is not for `proto: STDIO`"));
            }
        }
        let folder = std::path::Path::new(entry.span.file()).parent().map(PathBuf::from);
        let text = |key: &str| match block.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if !text.trim().is_empty() => Ok(Some(text.as_str())),
            Some(_) => Err(BuildError::new(format!("mcp.{key}"), "must be a text")),
        };
        let cwd = text("cwd")?.map(|cwd| beside(super::tls::path(cwd), folder.as_deref()));
        let args = texts(block, "args")?.unwrap_or_default();
        let (program, mut first) = match (text("script")?, texts(block, "cmd")?) {
            (Some(script), None) => command_of(script, cwd.as_deref(), folder.as_deref()),
            (None, Some(cmd)) => {
                let mut words = cmd.into_iter();
                match words.next() {
                    Some(program) => (PathBuf::from(program), words.collect()),
                    None => return Err(BuildError::new("mcp.cmd", "must name a program")),
                }
            }
            (Some(_), Some(_)) => {
                return Err(BuildError::new("mcp.cmd", "must not be given beside `script`"));
            }
            (None, None) => {
                return Err(BuildError::new("mcp.script", "must be given for `proto: STDIO`, or `cmd`"));
            }
        };
        first.extend(args);
        Ok(Self { program, args: first, env: env(block)?, cwd })
    }
}

/// A script and what runs it, by its ending.
fn command_of(
    script: &str,
    cwd: Option<&std::path::Path>,
    folder: Option<&std::path::Path>,
) -> (PathBuf, Vec<String>) {
    let path = super::tls::path(script);
    // Where a working folder is given, a relative script lies in it; else beside the file, unless it is found from
    // where the gateway was started.
    let path = match cwd {
        Some(cwd) => beside(path, Some(cwd)),
        None if path.is_relative() && path.exists() => std::path::absolute(&path).unwrap_or(path),
        None => beside(path, folder),
    };
    let shown = path.display().to_string();
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("py") => (PathBuf::from("python3"), vec![shown]),
        Some("sh") => (PathBuf::from("sh"), vec![shown]),
        _ => (path, Vec::new()),
    }
}

fn beside(path: PathBuf, folder: Option<&std::path::Path>) -> PathBuf {
    match folder {
        Some(folder) if path.is_relative() => folder.join(path),
        _ => path,
    }
}

fn texts(block: &Map<String, Value>, key: &str) -> Result<Option<Vec<String>>, BuildError> {
    let wrong = || BuildError::new(format!("mcp.{key}"), "must be a list of texts");
    match block.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Array(list)) => {
            let words = list.iter().map(|word| word.as_str().map(str::to_owned));
            words.collect::<Option<Vec<_>>>().map(Some).ok_or_else(wrong)
        }
        Some(Value::String(one)) => Ok(Some(vec![one.clone()])),
        Some(_) => Err(wrong()),
    }
}

fn env(block: &Map<String, Value>) -> Result<BTreeMap<String, String>, BuildError> {
    let map = match block.get("env") {
        None | Some(Value::Null) => return Ok(BTreeMap::new()),
        Some(Value::Object(map)) => map,
        Some(_) => return Err(BuildError::new("mcp.env", "must be a map of names to values")),
    };
    let one = |(name, value): (&String, &Value)| {
        let value = match value {
            Value::String(text) => text.clone(),
            Value::Bool(_) | Value::Number(_) => value.to_string(),
            _ => return Err(BuildError::new(format!("mcp.env.{name}"), "must be a text")),
        };
        Ok((name.clone(), value))
    };
    map.iter().map(one).collect()
}

#[cfg(test)]
mod tests;
