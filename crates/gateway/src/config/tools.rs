//! `tools`: HTTP APIs with an OpenAPI document, whose operations are called as tools.

use std::{fmt, path::Path, sync::Arc, time::Duration};

use http::HeaderMap;
use indexmap::IndexMap;
use mortise_framework::{
    config::{Node, looked_at},
    pipeline::scope::Scope,
};
use mortise_openapi::{Credential, Document};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::{
    Secret, TokenDigest, Transport, Upstream,
    headers::headers,
    place::{self, Findings},
};

/// Largest document, in bytes.
pub(crate) const MOST_DOCUMENT_BYTES: usize = 16 << 20;

/// An HTTP API whose operations are tools: called at `/tools/{slug}` by their ids, at `/tools/{slug}/mcp`, and in the
/// lists of `/mcp` like the tools of every upstream. The key of the entry is the slug.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ToolConfig {
    /// Its name for people. Default: the title of the document.
    pub name: Option<String>,
    /// What it is for. Default: the description in the document.
    pub description: Option<String>,
    /// The OpenAPI document, 3.0 or 3.1, as JSON or YAML: the name of a file, relative to the one it is written in; an
    /// `http` or `https` URL that it is fetched from when the tool starts; or the document itself.
    pub spec: Option<Value>,
    /// Where the API is: its base URL, to which the paths of the document are added. The `servers` of the document are
    /// not used. Required.
    pub url: Option<Secret>,
    /// The key that requests are sent with, by a security scheme of the document.
    pub auth: Option<ToolAuthConfig>,
    /// Headers sent with every request, by name. Values are never shown.
    pub headers: IndexMap<String, Secret>,
    /// Operations that may be called, by `operationId`; `*` in one stands for anything. Default none.
    pub operations: Vec<String>,
    /// Seconds without an answer after which a call is given up. Default 60.
    #[schemars(range(min = 0.001, max = 86400.0))]
    pub timeout: f64,
    /// Largest answer of the API, in bytes; a larger one is an error. Default 1048576.
    #[schemars(range(min = 1))]
    pub max_response_bytes: usize,
    /// Whether it is used at all. Default true.
    pub enabled: bool,
}

impl Default for ToolConfig {
    fn default() -> Self {
        Self {
            name: None,
            description: None,
            spec: None,
            url: None,
            auth: None,
            headers: IndexMap::new(),
            operations: Vec::new(),
            timeout: 60.0,
            max_response_bytes: 1 << 20,
            enabled: true,
        }
    }
}

/// A key, and how the document says that it is sent.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ToolAuthConfig {
    /// The security scheme: a name below `components.securitySchemes`.
    pub scheme: String,
    /// The key; `user:password` where the scheme is `basic`. Never shown.
    pub key: Secret,
}

/// Validated [`ToolConfig`]. `Debug` shows no secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct Tool {
    /// Its name for people.
    pub title: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// Its document.
    pub spec: Spec,
    /// Base URL of the API.
    pub url: Url,
    /// Scheme and key that requests are authenticated with.
    pub auth: Option<(String, Secret)>,
    /// Sent with every request; all marked as sensitive.
    pub headers: HeaderMap,
    /// Ids of operations that may be called, or patterns of them.
    pub operations: Vec<String>,
    /// Largest answer, in bytes.
    pub max_response_bytes: usize,
}

/// A document, or where it is.
#[derive(Clone)]
pub enum Spec {
    /// Read already; what it holds, and the digest of all that was written.
    Read(Arc<Document>, TokenDigest),
    /// Fetched when the tool starts.
    At(Url),
}

impl PartialEq for Spec {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Read(_, one), Self::Read(_, other)) => one == other,
            (Self::At(one), Self::At(other)) => one == other,
            _ => false,
        }
    }
}

impl Eq for Spec {}

impl fmt::Debug for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(document, _) => f.debug_tuple("Read").field(&document.title).finish(),
            Self::At(url) => {
                f.debug_tuple("At").field(&mortise_telemetry::redact::url(url.as_str())).finish()
            }
        }
    }
}

impl fmt::Debug for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tool")
            .field("spec", &self.spec)
            .field("url", &mortise_telemetry::redact::url(self.url.as_str()))
            .field("headers", &self.headers.keys().collect::<Vec<_>>())
            .field("operations", &self.operations)
            .finish_non_exhaustive()
    }
}

impl Tool {
    /// Reads a document for this tool: of its operations those that may be called.
    ///
    /// # Errors
    /// A sentence for people: what is wrong with it.
    pub fn read(&self, document: &Value) -> Result<Document, String> {
        read(document, &self.operations).map_err(|error| error.to_string())
    }

    /// What is added to every request by a document's security scheme, where a key is given.
    ///
    /// # Errors
    /// A sentence for people: why the document does not allow it.
    pub fn credential(&self, document: &Document) -> Result<Option<Credential>, String> {
        let Some((scheme, key)) = &self.auth else { return Ok(None) };
        document.credential(scheme, key.expose()).map(Some).map_err(|error| error.to_string())
    }
}

fn read(document: &Value, operations: &[String]) -> Result<Document, mortise_openapi::DocumentError> {
    Document::read(document, &|id| operations.iter().any(|word| Scope::fits(word, id)))
}

/// The text of a document, JSON or YAML, as a value.
///
/// # Errors
/// A sentence for people: where it is neither.
pub(crate) fn parse(name: &str, text: &str) -> Result<Value, String> {
    if text.trim_start().starts_with('{')
        && let Ok(value) = serde_json::from_str(text)
    {
        return Ok(value);
    }
    Node::parse(name, text).map(|node| node.to_json()).map_err(|error| error.message)
}

/// Headers that the gateway sets itself for requests to an API.
const OWN_HEADERS: [&str; 9] = [
    "connection",
    "content-length",
    "content-type",
    "host",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Checks one tool; `None` where it is wrong or not enabled. What it becomes is one more upstream.
pub(super) fn settle(slug: &str, raw: &ToolConfig, found: &mut Findings<'_>) -> Option<Upstream> {
    let path = place::key("tools", slug);
    let before = found.errors.len();
    let url = base_url(slug, &path, raw, found);
    let headers = headers(&place::key(&path, "headers"), &raw.headers, &OWN_HEADERS, found);
    if raw.operations.is_empty() {
        let message =
            format!("no operation of the tool `{slug}` may be called: list them, or write `*` for all");
        found.notice(&place::key(&path, "operations"), message);
    }
    let spec = spec(slug, &path, raw, found);
    let auth = raw.auth.as_ref().map(|auth| (auth.scheme.clone(), auth.key.clone()));
    let tool = Tool {
        title: raw.name.clone(),
        description: raw.description.clone(),
        spec: spec?,
        url: url?,
        auth,
        headers,
        operations: raw.operations.clone(),
        max_response_bytes: raw.max_response_bytes,
    };
    if let Spec::Read(document, _) = &tool.spec {
        look_over(&path, &tool, document, found);
    }
    let timeout = Duration::try_from_secs_f64(raw.timeout).unwrap_or(Duration::from_secs(60));
    let upstream = Upstream { name: slug.to_owned(), transport: Transport::OpenApi(Arc::new(tool)), timeout };
    (raw.enabled && found.errors.len() == before).then_some(upstream)
}

fn base_url(slug: &str, path: &str, raw: &ToolConfig, found: &mut Findings<'_>) -> Option<Url> {
    let at = place::key(path, "url");
    let Some(written) = &raw.url else {
        let message = format!("the tool `{slug}` does not say where its API is");
        found.key_error("tools", slug, message).help =
            Some("give its base URL as `url`; the `servers` of the document are not used".into());
        return None;
    };
    let url = http_url(written.expose(), &at, found)?;
    if url.fragment().is_some() || url.query().is_some() {
        found.secret_error(&at, "a base URL has neither query nor fragment").help =
            Some("send a key by `auth`, or as one of `headers`".into());
    }
    Some(url)
}

fn http_url(written: &str, at: &str, found: &mut Findings<'_>) -> Option<Url> {
    // The text is not repeated: it may hold a token.
    let url = match Url::parse(written) {
        Ok(url) => url,
        Err(error) => {
            found.secret_error(at, format!("this is not a URL: {error}"));
            return None;
        }
    };
    if !matches!(url.scheme(), "http" | "https") {
        found.secret_error(at, format!("an API is reached over `http` or `https`, not `{}`", url.scheme()));
        return None;
    }
    if !url.username().is_empty() || url.password().is_some() {
        found.secret_error(at, "a user name or password in a URL would end in logs");
        return None;
    }
    Some(url)
}

/// The document, read where it is in reach.
fn spec(slug: &str, path: &str, raw: &ToolConfig, found: &mut Findings<'_>) -> Option<Spec> {
    let at = place::key(path, "spec");
    let document = match &raw.spec {
        None => {
            found.key_error("tools", slug, format!("the tool `{slug}` has no OpenAPI document")).help =
                Some("give a file, a URL or the document itself as `spec`".into());
            return None;
        }
        Some(Value::String(url)) if url.starts_with("http://") || url.starts_with("https://") => {
            return http_url(url, &at, found).map(Spec::At);
        }
        Some(Value::String(file)) => {
            let file = found.path(&at, file);
            match from_file(&file) {
                Ok(document) => document,
                Err(reason) => {
                    found.error(&at, format!("the OpenAPI document {} {reason}", file.display()));
                    return None;
                }
            }
        }
        Some(document) => document.clone(),
    };
    let digest = TokenDigest::of(document.to_string().as_bytes());
    match read(&document, &raw.operations) {
        Ok(document) => Some(Spec::Read(Arc::new(document), digest)),
        Err(error) => {
            found.error(&at, error.to_string());
            None
        }
    }
}

fn from_file(file: &Path) -> Result<Value, String> {
    use std::io::Read as _;
    looked_at::note(file);
    let unread = |error: std::io::Error| format!("cannot be read: {error}");
    let opened = std::fs::File::open(file).map_err(unread)?;
    let mut text = String::new();
    opened.take(MOST_DOCUMENT_BYTES as u64 + 1).read_to_string(&mut text).map_err(unread)?;
    if text.len() > MOST_DOCUMENT_BYTES {
        return Err(format!("is larger than {MOST_DOCUMENT_BYTES} bytes"));
    }
    parse(&file.display().to_string(), &text).map_err(|error| format!("cannot be read: {error}"))
}

/// What a document that was read does not have, and what of it cannot be called.
fn look_over(path: &str, tool: &Tool, document: &Document, found: &mut Findings<'_>) {
    if let Err(reason) = tool.credential(document) {
        found.error(&place::key(&place::key(path, "auth"), "scheme"), reason);
    }
    let at = place::key(path, "operations");
    for left in &document.left_out {
        found.notice(&at, format!("the operation `{}` is left out: {}", left.id, left.reason));
    }
    let is_there = |word: &str| {
        document.operations.iter().any(|operation| Scope::fits(word, &operation.id))
            || document.left_out.iter().any(|left| Scope::fits(word, &left.id))
    };
    for (index, word) in tool.operations.iter().enumerate().filter(|(_, word)| !is_there(word)) {
        found.error(&format!("{at}[{index}]"), format!("the document has no operation `{word}`"));
    }
}
