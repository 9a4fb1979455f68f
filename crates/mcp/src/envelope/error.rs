//! Error objects: raw ones that are passed on, and own ones that are made.

use std::borrow::Cow;

use crate::raw::{Raw, RawError, write_string};

/// Codes of JSON-RPC and MCP errors.
pub mod code {
    /// The body is not JSON.
    pub const PARSE_ERROR: i64 = -32700;
    /// The JSON is not a message.
    pub const INVALID_REQUEST: i64 = -32600;
    /// Nobody here knows the method.
    pub const METHOD_NOT_FOUND: i64 = -32601;
    /// The parameters do not fit the method, an unknown tool or prompt included.
    pub const INVALID_PARAMS: i64 = -32602;
    /// The receiver failed.
    pub const INTERNAL_ERROR: i64 = -32603;
    /// No such resource, up to 2025-11-25.
    pub const RESOURCE_NOT_FOUND: i64 = -32002;
    /// The user must visit a URL first, 2025-11-25.
    pub const URL_ELICITATION_REQUIRED: i64 = -32042;
    /// HTTP headers and body disagree, from 2026-07-28.
    pub const HEADER_MISMATCH: i64 = -32020;
    /// The client lacks what the request needs, from 2026-07-28.
    pub const MISSING_CLIENT_CAPABILITY: i64 = -32021;
    /// The revision of the request is not spoken here, from 2026-07-28.
    pub const UNSUPPORTED_PROTOCOL_VERSION: i64 = -32022;
    /// First of the range free for implementations; used here for an upstream that cannot be reached.
    pub const SERVER_ERROR: i64 = -32000;
}

/// An error object as a peer sent it. Guaranteed to be a JSON object, nothing more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RpcError(Raw);

impl RpcError {
    /// Takes an error object.
    ///
    /// # Errors
    /// [`RawError::WrongType`] where the value is no object.
    pub fn new(raw: Raw) -> Result<Self, RawError> {
        if raw.is_object() { Ok(Self(raw)) } else { Err(RawError::wrong_type("error", "an object")) }
    }

    /// The error object as text.
    #[must_use]
    pub fn raw(&self) -> &Raw {
        &self.0
    }

    /// The code; `None` where it is missing or no integer.
    #[must_use]
    pub fn code(&self) -> Option<i64> {
        self.0.object().ok()?.get("code").ok()??.get().parse().ok()
    }

    /// The message; `None` where it is missing or no string.
    #[must_use]
    pub fn message(&self) -> Option<String> {
        self.0.object().ok()?.get_str("message").ok()?.map(Cow::into_owned)
    }

    /// The data; `None` where there is none.
    #[must_use]
    pub fn data(&self) -> Option<Raw> {
        let object = self.0.object().ok()?;
        let data = object.get("data").ok()??;
        Raw::parse(data.get().to_owned()).ok()
    }
}

/// An error the gateway makes itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorObject {
    /// One of [`code`], or another integer.
    pub code: i64,
    /// For humans; never a secret.
    pub message: String,
    /// More, for programs.
    pub data: Option<Raw>,
}

impl ErrorObject {
    /// An error without data.
    #[must_use]
    pub fn new(code: i64, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), data: None }
    }

    /// Adds data.
    #[must_use]
    pub fn with_data(mut self, data: Raw) -> Self {
        self.data = Some(data);
        self
    }

    /// [`code::METHOD_NOT_FOUND`] for a method.
    #[must_use]
    pub fn method_not_found(method: &str) -> Self {
        Self::new(code::METHOD_NOT_FOUND, format!("method not found: {method}"))
    }

    /// [`code::INVALID_PARAMS`] with a reason.
    #[must_use]
    pub fn invalid_params(reason: impl Into<String>) -> Self {
        Self::new(code::INVALID_PARAMS, reason)
    }

    /// The error as text.
    #[must_use]
    pub fn to_rpc_error(&self) -> RpcError {
        let data = self.data.as_ref().map_or(&b""[..], Raw::as_bytes);
        let mut out = Vec::with_capacity(48 + self.message.len() + data.len());
        out.extend_from_slice(b"{\"code\":");
        out.extend_from_slice(self.code.to_string().as_bytes());
        out.extend_from_slice(b",\"message\":");
        write_string(&mut out, &self.message);
        if self.data.is_some() {
            out.extend_from_slice(b",\"data\":");
            out.extend_from_slice(data);
        }
        out.push(b'}');
        RpcError(Raw::trusted(out))
    }
}
