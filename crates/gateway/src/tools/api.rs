//! One API as an upstream: what it lists, and the HTTP request that a call becomes.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use bytes::{Bytes, BytesMut};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response,
    header::{ACCEPT, CONTENT_TYPE, COOKIE, HOST, USER_AGENT},
};
use http_body::Body as _;
use http_body_util::{BodyExt as _, Full};
use mortise_mcp::{
    envelope::{ErrorObject, method},
    params::ToolCall,
    raw::Raw,
    version::Version,
};
use mortise_mcp_transport::{
    http::{
        origin::{Origin, OriginError},
        pool::{Pool, PoolConfig, PoolError, PooledBody},
    },
    tls::LoadedClientTls,
    upstream::{Answering, Answers, Call, Connection, Initialized, Outcome, OwnConnection, UpstreamError},
};
use mortise_openapi::{Credential, Document, Operation, Request as Made};
use serde_json::{Map, Value, json};

use super::{fetch, outcome};
use crate::config::{Spec, Tool};

/// Why an API gave no answer that can be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum ApiError {
    #[error("its OpenAPI document has not been read")]
    NotRead,
    #[error(transparent)]
    Exchange(#[from] PoolError),
    #[error("reading the answer of {origin}")]
    Interrupted { origin: Origin, source: hyper::Error },
    #[error("the answer of {origin} is larger than {limit} bytes")]
    TooLarge { origin: Origin, limit: usize },
}

impl From<ApiError> for UpstreamError {
    fn from(error: ApiError) -> Self {
        Self::Own(Box::new(error))
    }
}

/// An API.
pub struct ToolApi {
    slug: Box<str>,
    tool: Arc<Tool>,
    pool: Pool,
    tls: Option<LoadedClientTls>,
    /// Path of its address, without a slash at its end.
    base: Box<str>,
    /// Sent with every request: the host, configured headers.
    headers: HeaderMap,
    known: ArcSwapOption<Known>,
}

/// What is known of it once its document was read.
struct Known {
    document: Arc<Document>,
    credential: Option<Credential>,
    list: Raw,
    initialized: Arc<Initialized>,
}

impl ToolApi {
    /// An API as configured; nothing is sent yet. `tls` is needed where it, or its document, is reached by `https`.
    ///
    /// # Errors
    /// When its address is none.
    pub fn new(slug: &str, tool: &Arc<Tool>, tls: Option<LoadedClientTls>) -> Result<Arc<Self>, OriginError> {
        let origin = Origin::of(&tool.url)?;
        let mut headers = HeaderMap::with_capacity(tool.headers.len() + 1);
        headers.extend(tool.headers.clone());
        headers.insert(HOST, origin.authority().clone());
        let secured = tls.clone().filter(|_| origin.is_secure());
        Ok(Arc::new(Self {
            slug: slug.into(),
            pool: Pool::new(origin, secured, PoolConfig::default()),
            base: tool.url.path().trim_end_matches('/').into(),
            tool: tool.clone(),
            tls,
            headers,
            known: ArcSwapOption::empty(),
        }))
    }

    /// Path of its address.
    pub fn base(&self) -> &str {
        if self.base.is_empty() { "/" } else { &self.base }
    }

    /// How it is configured.
    pub(super) fn tool(&self) -> &Tool {
        &self.tool
    }

    /// Its document; `None` while it was not read.
    pub fn document(&self) -> Option<Arc<Document>> {
        self.known.load().as_ref().map(|known| known.document.clone())
    }

    /// Method and path of the request that a call becomes, the path as the document has it.
    pub fn leads_to(&self, params: Option<&Raw>) -> Option<(&'static str, String)> {
        let document = self.document()?;
        let call = ToolCall::parse(params).ok()?;
        let operation = document.operation(&call.name)?;
        Some((operation.method, format!("{}{}", self.base, operation.path)))
    }

    /// A connection to it. Its document is read by the first.
    ///
    /// # Errors
    /// A sentence for people: why the document cannot be used.
    pub async fn open(self: &Arc<Self>) -> Result<(Connection, Arc<Initialized>), String> {
        let initialized = match self.known.load_full() {
            Some(known) => known.initialized.clone(),
            None => self.learn().await?,
        };
        Ok((Connection::Own(OwnConnection::new(self.clone())), initialized))
    }

    async fn learn(&self) -> Result<Arc<Initialized>, String> {
        let document = match &self.tool.spec {
            Spec::Read(document, _) => document.clone(),
            Spec::At(url) => Arc::new(fetch::document(url, self.tls.clone(), &self.tool).await?),
        };
        let credential = self.tool.credential(&document)?;
        for left in &document.left_out {
            tracing::info!(
                tool = &*self.slug,
                operation = left.id,
                reason = left.reason,
                "operation left out"
            );
        }
        let tools: Vec<Value> = document.operations.iter().map(Operation::tool).collect();
        let list = Raw::from_serialize(&json!({ "tools": tools })).map_err(|error| error.to_string())?;
        let initialized = Arc::new(self.introduced(&document)?);
        let known = Known { document, credential, list, initialized: initialized.clone() };
        self.known.store(Some(Arc::new(known)));
        Ok(initialized)
    }

    /// What a server would say of itself.
    fn introduced(&self, document: &Document) -> Result<Initialized, String> {
        let version = Version::LATEST_WITH_INITIALIZE;
        let title = self.tool.title.as_ref().or(document.title.as_ref());
        let info = json!({ "name": &*self.slug, "title": title, "version": env!("CARGO_PKG_VERSION") });
        let capabilities = json!({ "tools": {} });
        let result =
            json!({ "protocolVersion": version.as_str(), "capabilities": capabilities, "serverInfo": info });
        let raw = |value: &Value| Raw::from_serialize(value).map_err(|error| error.to_string());
        Ok(Initialized {
            version,
            capabilities: raw(&capabilities)?,
            server_info: Some(raw(&info)?),
            instructions: None,
            result: raw(&result)?,
        })
    }

    async fn outcome(&self, call: Call<'_>) -> Result<Outcome, UpstreamError> {
        let Some(known) = self.known.load_full() else { return Err(ApiError::NotRead.into()) };
        match call.method {
            method::TOOLS_LIST => Ok(Ok(known.list.clone())),
            method::PING => Ok(Ok(Raw::EMPTY_OBJECT)),
            method::TOOLS_CALL => match made(&known.document, call.params) {
                Ok(made) => self.exchange(&known, made, call).await,
                Err(outcome) => Ok(*outcome),
            },
            other => Ok(Err(ErrorObject::method_not_found(other).to_rpc_error())),
        }
    }

    async fn exchange(&self, known: &Known, made: Made, call: Call<'_>) -> Result<Outcome, UpstreamError> {
        let headers = self.headers(known, &made, call.headers);
        let target = self.target(known, &made);
        // Ids and paths of documents are checked; should one be no URI all the same, it is the caller's answer.
        let (Ok(method), Ok(target)) = (made.method.parse::<Method>(), target.parse::<http::Uri>()) else {
            return Ok(Ok(outcome::refused("the arguments come to no URL")));
        };
        let body = Bytes::from(made.body.map(|(_, body)| body).unwrap_or_default());
        let make = || {
            let mut request = Request::new(Full::new(body.clone()));
            *request.method_mut() = method.clone();
            *request.uri_mut() = target.clone();
            *request.headers_mut() = headers.clone();
            request
        };
        let response = self.pool.send(make).await.map_err(ApiError::from)?;
        if let Some(head) = call.head {
            head.note(response.status(), response.headers());
        }
        let (status, content_type) = (response.status(), response.headers().get(CONTENT_TYPE).cloned());
        let body = read(response, self.pool.origin(), self.tool.max_response_bytes).await?;
        let content_type = content_type.as_ref().and_then(|value| value.to_str().ok());
        Ok(Ok(outcome::result(status, content_type, &body)))
    }

    fn target(&self, known: &Known, made: &Made) -> String {
        let mut target = format!("{}{}", self.base, made.path);
        let own = match &known.credential {
            Some(Credential::Query(name, value)) => Some((name, value)),
            _ => None,
        };
        // What the caller gives does not stand beside the key.
        let given = made.query.iter().filter(|(name, _)| own.is_none_or(|(own, _)| own != name));
        let pairs = given.map(|(name, value)| (name, value)).chain(own);
        for (at, (name, value)) in pairs.enumerate() {
            target.push(if at == 0 { '?' } else { '&' });
            target.push_str(name);
            target.push('=');
            target.push_str(value);
        }
        target
    }

    /// Those of the call first: what is configured counts, and what plugins say more than that.
    fn headers(&self, known: &Known, made: &Made, told: Option<&HeaderMap>) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(self.headers.len() + made.headers.len() + 6);
        headers.insert(ACCEPT, HeaderValue::from_static("application/json, */*;q=0.5"));
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("mortise/", env!("CARGO_PKG_VERSION"))));
        for (name, value) in &made.headers {
            put(&mut headers, name, value, false);
        }
        if let Some((content_type, _)) = &made.body {
            put(&mut headers, CONTENT_TYPE.as_str(), content_type, false);
        }
        let own = match &known.credential {
            Some(Credential::Cookie(name, value)) => Some((name, value)),
            _ => None,
        };
        let given = made.cookies.iter().filter(|(name, _)| own.is_none_or(|(own, _)| own != name));
        let cookies: Vec<String> = given
            .map(|(name, value)| (name, value))
            .chain(own)
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        if !cookies.is_empty() {
            put(&mut headers, COOKIE.as_str(), &cookies.join("; "), true);
        }
        for (name, value) in &self.headers {
            headers.insert(name.clone(), value.clone());
        }
        if let Some(Credential::Header(name, value)) = &known.credential {
            put(&mut headers, name, value, true);
        }
        for (name, value) in told.into_iter().flatten() {
            headers.insert(name.clone(), value.clone());
        }
        headers
    }
}

impl Answers for ToolApi {
    fn answer<'a>(&'a self, call: Call<'a>) -> Answering<'a> {
        Box::pin(self.outcome(call))
    }
}

impl std::fmt::Debug for ToolApi {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ToolApi").field("slug", &self.slug).field("tool", &self.tool).finish_non_exhaustive()
    }
}

/// The request of a call, or its answer where none can be made.
fn made(document: &Document, params: Option<&Raw>) -> Result<Made, Box<Outcome>> {
    let invalid = |reason: String| Box::new(Err(ErrorObject::invalid_params(reason).to_rpc_error()));
    let call = ToolCall::parse(params).map_err(|error| invalid(error.to_string()))?;
    let Some(operation) = document.operation(&call.name) else {
        return Err(invalid(format!("Unknown tool: {}", call.name)));
    };
    let arguments = call.arguments.map(|raw| serde_json::from_str::<Map<String, Value>>(raw.get()));
    let arguments = arguments.transpose().map_err(|error| invalid(error.to_string()))?.unwrap_or_default();
    // What a model gets wrong, it is told as a result, so that it can try again.
    operation.request(&arguments).map_err(|error| Box::new(Ok(outcome::refused(&error.to_string()))))
}

/// Sets a header, if it is one.
fn put(headers: &mut HeaderMap, name: &str, value: &str, secret: bool) {
    if let (Ok(name), Ok(mut value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
        value.set_sensitive(secret);
        headers.insert(name, value);
    }
}

/// Reads an answer, and no more of it than is allowed.
pub(super) async fn read(
    answer: Response<PooledBody>,
    origin: &Origin,
    limit: usize,
) -> Result<Bytes, ApiError> {
    let mut incoming = answer.into_body();
    let too_large = || ApiError::TooLarge { origin: origin.clone(), limit };
    // A length that was announced is not read first to be found too large.
    if incoming.size_hint().lower() > limit as u64 {
        return Err(too_large());
    }
    let mut body = BytesMut::new();
    while let Some(frame) = incoming.frame().await {
        let frame = frame.map_err(|source| ApiError::Interrupted { origin: origin.clone(), source })?;
        let Ok(data) = frame.into_data() else { continue };
        if data.len() > limit - body.len() {
            return Err(too_large());
        }
        body.extend_from_slice(&data);
    }
    Ok(body.freeze())
}
