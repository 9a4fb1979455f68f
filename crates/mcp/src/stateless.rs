//! The revision without sessions (2026-07-28), and its translation from and to the revisions with them.
//!
//! Every request carries in `params._meta` what `initialize` would have said once: revision, capabilities and
//! name of the client. Every result says of what kind it is (`resultType`), lists and reads for how long and by
//! whom they may be cached, and who answered. `server/discover` tells what a server is.
//!
//! A gateway takes such requests for upstreams of older revisions: it reads the keys, strips them, and completes
//! the result. What cannot be translated is a server that asks the client back, which in this revision is a
//! result the client answers by calling again (`input_required`), and in the older ones a request of its own:
//! that is refused with an error that says so.

use std::borrow::Cow;
use std::sync::LazyLock;

use memchr::memmem;

use crate::envelope::{ErrorObject, code, method};
use crate::raw::{Object, Raw, RawError, holds_unicode_escape, write_string};
use crate::version::Version;

mod headers;
mod results;
#[cfg(test)]
mod tests;

pub use headers::{RoutingHeaders, check_headers, decode_header_value, encode_header_value, routed_name};
pub use results::{CacheScope, Stamp, complete_result, discover_result, legacy_result, result_type};

/// Keys of `_meta` that this revision gave a meaning to.
pub mod key {
    /// In requests, required: the revision.
    pub const PROTOCOL_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
    /// In requests, required: the client's capabilities.
    pub const CLIENT_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
    /// In requests: who the client says it is.
    pub const CLIENT_INFO: &str = "io.modelcontextprotocol/clientInfo";
    /// In requests: log lines from this level on are wanted; without it, none are.
    pub const LOG_LEVEL: &str = "io.modelcontextprotocol/logLevel";
    /// In results: who answered.
    pub const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";
    /// In notifications of a subscription: the id of the request that opened it.
    pub const SUBSCRIPTION_ID: &str = "io.modelcontextprotocol/subscriptionId";
}

/// What every key of [`key`] begins with.
const PREFIX: &[u8] = b"io.modelcontextprotocol";

/// Finds [`PREFIX`], as most requests do not hold it.
static KEYS: LazyLock<memmem::Finder<'static>> = LazyLock::new(|| memmem::Finder::new(PREFIX));

/// What a request says of its sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestMeta {
    /// The revision it is made in.
    pub version: Version,
    /// The client's capabilities for this request, an object.
    pub client_capabilities: Raw,
    /// Who the client says it is, an object.
    pub client_info: Option<Raw>,
    /// The level from which on log lines are wanted.
    pub log_level: Option<String>,
}

/// Why a request without a session cannot be served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StatelessError {
    /// The keys in `_meta` are incomplete or of the wrong type.
    #[error("could not read `params._meta`: {0}")]
    Meta(Cow<'static, str>),
    /// The revision is not known here, or needs a session.
    #[error("could not serve a request of this protocol version")]
    Version {
        /// The revision asked for.
        requested: String,
    },
    /// HTTP headers and body disagree.
    #[error("could not accept the request: header {header} {problem}")]
    Header {
        /// The header.
        header: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
}

impl StatelessError {
    /// The JSON-RPC error to answer with.
    #[must_use]
    pub fn to_error(&self) -> ErrorObject {
        match self {
            Self::Meta(_) => ErrorObject::invalid_params(self.to_string()),
            Self::Version { requested } => unsupported_version(requested),
            Self::Header { .. } => ErrorObject::new(code::HEADER_MISMATCH, self.to_string()),
        }
    }
}

impl From<RawError> for StatelessError {
    fn from(error: RawError) -> Self {
        Self::Meta(error.to_string().into())
    }
}

/// The error for a revision that is not spoken here; names those that are.
#[must_use]
pub fn unsupported_version(requested: &str) -> ErrorObject {
    let mut data = b"{\"requested\":".to_vec();
    write_string(&mut data, requested);
    data.extend_from_slice(b",\"supported\":");
    write_versions(&mut data);
    data.push(b'}');
    ErrorObject::new(code::UNSUPPORTED_PROTOCOL_VERSION, "Unsupported protocol version")
        .with_data(Raw::trusted(data))
}

fn write_versions(out: &mut Vec<u8>) {
    for (at, version) in Version::ALL.iter().enumerate() {
        out.push(if at == 0 { b'[' } else { b',' });
        write_string(out, version.as_str());
    }
    out.push(b']');
}

/// The HTTP status that goes with an error code where the request had no session. Requests with one get 200.
#[must_use]
pub fn http_status(error_code: i64) -> u16 {
    match error_code {
        code::PARSE_ERROR
        | code::INVALID_REQUEST
        | code::INVALID_PARAMS
        | code::HEADER_MISMATCH
        | code::MISSING_CLIENT_CAPABILITY
        | code::UNSUPPORTED_PROTOCOL_VERSION => 400,
        code::METHOD_NOT_FOUND => 404,
        _ => 200,
    }
}

/// Whether this revision has no such method any more; the answer is "method not found".
#[must_use]
pub fn is_removed(name: &str) -> bool {
    matches!(
        name,
        method::INITIALIZE
            | method::INITIALIZED
            | method::PING
            | method::LOGGING_SET_LEVEL
            | method::RESOURCES_SUBSCRIBE
            | method::RESOURCES_UNSUBSCRIBE
            | method::ROOTS_LIST_CHANGED
    )
}

/// Reads what a request says of its sender. `Ok(None)` where it does not name a revision in `_meta`: it belongs
/// to a session then, or is wrong, which the version header tells.
///
/// # Errors
/// [`StatelessError::Meta`] where required keys are missing or of the wrong type, [`StatelessError::Version`]
/// where the revision is unknown or one with sessions.
pub fn request_meta(params: Option<&Raw>) -> Result<Option<RequestMeta>, StatelessError> {
    let Some(params) = params.filter(|params| may_hold_keys(params)) else {
        return Ok(None);
    };
    let object = params.object()?;
    let Some(meta) = meta_of(&object)? else { return Ok(None) };
    let Some(version) = meta.get(key::PROTOCOL_VERSION)? else {
        return Ok(None);
    };
    let requested = crate::raw::as_string(version)
        .ok_or(StatelessError::Meta("the protocol version must be a string".into()))?;
    let version = match requested.parse::<Version>() {
        Ok(version) if !version.has_initialize() => version,
        _ => {
            return Err(StatelessError::Version { requested: requested.into_owned() });
        }
    };
    let client_capabilities = object_at(&meta, key::CLIENT_CAPABILITIES)?
        .ok_or(StatelessError::Meta("io.modelcontextprotocol/clientCapabilities is required".into()))?;
    let log_level = meta.get(key::LOG_LEVEL)?.and_then(crate::raw::as_string).map(Cow::into_owned);
    Ok(Some(RequestMeta {
        version,
        client_capabilities,
        client_info: object_at(&meta, key::CLIENT_INFO)?,
        log_level,
    }))
}

/// The parameters without the keys of this revision, for an upstream of an older one. Other members of `_meta`
/// stay as they are; an empty `_meta` goes.
///
/// # Errors
/// [`RawError`] where `_meta` is ambiguous or no object.
pub fn strip(params: &Raw) -> Result<Raw, RawError> {
    if !may_hold_keys(params) {
        return Ok(params.clone());
    }
    let object = params.object()?;
    let Some(meta) = meta_of(&object)? else {
        return Ok(params.clone());
    };
    let keys = [key::PROTOCOL_VERSION, key::CLIENT_CAPABILITIES, key::CLIENT_INFO, key::LOG_LEVEL];
    let kept = meta.members().iter().filter(|member| !keys.contains(&&*member.name)).count();
    if kept == meta.members().len() {
        return Ok(params.clone());
    }
    if kept == 0 {
        return Ok(object.splice().remove("_meta").finish());
    }
    let meta = keys.iter().fold(meta.splice(), |splice, key| splice.remove(key)).finish();
    Ok(object.splice().set("_meta", &meta)?.finish())
}

/// The parameters with what this revision requires in `_meta`, for an upstream that speaks it. Keys that are
/// there already are replaced: the gateway speaks for itself.
///
/// # Errors
/// [`RawError`] where the parameters or `_meta` are no objects or ambiguous.
pub fn with_request_meta(params: Option<&Raw>, meta: &RequestMeta) -> Result<Raw, RawError> {
    let nothing = Raw::EMPTY_OBJECT;
    let object = params.unwrap_or(&nothing).object()?;
    let version = Raw::string(meta.version.as_str());
    let log_level = meta.log_level.as_deref().map(Raw::string);
    let empty = nothing.object()?;
    let old = meta_of(&object)?;
    let new = old
        .as_ref()
        .unwrap_or(&empty)
        .splice()
        .set(key::PROTOCOL_VERSION, &version)?
        .set(key::CLIENT_CAPABILITIES, &meta.client_capabilities)?
        .set_if(key::CLIENT_INFO, meta.client_info.as_ref())?
        .set_if(key::LOG_LEVEL, log_level.as_ref())?
        .finish();
    Ok(object.splice().set("_meta", &new)?.finish())
}

/// The answer to an upstream with sessions that asks something (`sampling/createMessage`, for example) of a
/// client without one: nobody there can be asked.
#[must_use]
pub fn cannot_ask_client(method: &str) -> ErrorObject {
    ErrorObject::new(
        code::METHOD_NOT_FOUND,
        format!(
            "{method} cannot reach the client: it uses protocol version 2026-07-28, which has no such requests"
        ),
    )
}

/// Whether the text may hold a key of [`key`]; `\u` may spell any.
fn may_hold_keys(params: &Raw) -> bool {
    let text = params.as_bytes();
    params.is_object() && (KEYS.find(text).is_some() || holds_unicode_escape(text))
}

fn meta_of<'a>(params: &Object<'a>) -> Result<Option<Object<'a>>, RawError> {
    match params.get("_meta")? {
        Some(meta) if meta.get() != "null" => params.get_object("_meta"),
        _ => Ok(None),
    }
}

fn object_at(meta: &Object<'_>, name: &'static str) -> Result<Option<Raw>, RawError> {
    match meta.get(name)? {
        Some(value) if value.get().starts_with('{') => Ok(Some(Raw::parse(value.get().to_owned())?)),
        Some(value) if value.get() != "null" => Err(RawError::wrong_type(name, "an object")),
        _ => Ok(None),
    }
}
