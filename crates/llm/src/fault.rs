//! Errors in the vendors' own shapes: written for clients whose library expects one vendor's, and read from vendors.
//!
//! In a stream that has begun an error is an event. The official libraries take it as they take an error answer:
//! OpenAI's raise on a chunk with `error`, Anthropic's on an event of that name, Google's on a chunk with `error`,
//! Amazon's on an exception frame.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::{
    family::Family,
    shape::Shape,
    stream::{Frame, Framing},
};

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FaultKind {
    /// The request is wrong.
    InvalidRequest,
    /// There is no valid key.
    Unauthenticated,
    /// The key may not do that.
    Forbidden,
    /// There is no such model or operation.
    NotFound,
    /// The body is too large.
    TooLarge,
    /// Too many requests or tokens.
    RateLimited,
    /// The budget is used up.
    QuotaExceeded,
    /// A policy refused the content.
    Blocked,
    /// The vendor answered with nonsense, or not at all.
    Upstream,
    /// The vendor or what guards it is not available.
    Unavailable,
    /// The vendor took too long.
    Timeout,
    /// A fault of the gateway.
    Internal,
}

impl FaultKind {
    /// The HTTP status of an answer that says so.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::InvalidRequest | Self::Blocked => 400,
            Self::Unauthenticated => 401,
            Self::Forbidden | Self::QuotaExceeded => 403,
            Self::NotFound => 404,
            Self::TooLarge => 413,
            Self::RateLimited => 429,
            Self::Internal => 500,
            Self::Upstream => 502,
            Self::Unavailable => 503,
            Self::Timeout => 504,
        }
    }

    /// What a status of a vendor says.
    #[must_use]
    pub const fn of_status(status: u16) -> Self {
        match status {
            401 => Self::Unauthenticated,
            402 => Self::QuotaExceeded,
            403 => Self::Forbidden,
            404 => Self::NotFound,
            408 | 504 => Self::Timeout,
            413 => Self::TooLarge,
            429 => Self::RateLimited,
            503 | 529 => Self::Unavailable,
            500..=599 => Self::Upstream,
            _ => Self::InvalidRequest,
        }
    }

    const fn openai(self) -> (&'static str, &'static str) {
        match self {
            Self::InvalidRequest => ("invalid_request_error", "invalid_request"),
            Self::Blocked => ("invalid_request_error", "content_filter"),
            Self::Unauthenticated => ("invalid_request_error", "invalid_api_key"),
            Self::Forbidden => ("invalid_request_error", "permission_denied"),
            Self::NotFound => ("invalid_request_error", "model_not_found"),
            Self::TooLarge => ("invalid_request_error", "request_too_large"),
            Self::RateLimited => ("rate_limit_error", "rate_limit_exceeded"),
            Self::QuotaExceeded => ("insufficient_quota", "insufficient_quota"),
            Self::Upstream => ("server_error", "upstream_error"),
            Self::Unavailable => ("server_error", "unavailable"),
            Self::Timeout => ("server_error", "timeout"),
            Self::Internal => ("server_error", "internal_error"),
        }
    }

    const fn anthropic(self) -> &'static str {
        match self {
            Self::InvalidRequest | Self::Blocked => "invalid_request_error",
            Self::Unauthenticated => "authentication_error",
            Self::Forbidden => "permission_error",
            Self::NotFound => "not_found_error",
            Self::TooLarge => "request_too_large",
            Self::RateLimited => "rate_limit_error",
            Self::QuotaExceeded => "billing_error",
            Self::Unavailable => "overloaded_error",
            Self::Timeout => "timeout_error",
            Self::Upstream | Self::Internal => "api_error",
        }
    }

    const fn google(self) -> &'static str {
        match self {
            Self::InvalidRequest | Self::TooLarge => "INVALID_ARGUMENT",
            Self::Blocked => "FAILED_PRECONDITION",
            Self::Unauthenticated => "UNAUTHENTICATED",
            Self::Forbidden | Self::QuotaExceeded => "PERMISSION_DENIED",
            Self::NotFound => "NOT_FOUND",
            Self::RateLimited => "RESOURCE_EXHAUSTED",
            Self::Unavailable | Self::Upstream => "UNAVAILABLE",
            Self::Timeout => "DEADLINE_EXCEEDED",
            Self::Internal => "INTERNAL",
        }
    }

    const fn amazon(self) -> &'static str {
        match self {
            Self::InvalidRequest | Self::Blocked | Self::TooLarge => "ValidationException",
            Self::Unauthenticated => "UnrecognizedClientException",
            Self::Forbidden => "AccessDeniedException",
            Self::NotFound => "ResourceNotFoundException",
            Self::RateLimited => "ThrottlingException",
            Self::QuotaExceeded => "ServiceQuotaExceededException",
            Self::Unavailable => "ServiceUnavailableException",
            Self::Timeout => "ModelTimeoutException",
            Self::Upstream => "ModelErrorException",
            Self::Internal => "InternalServerException",
        }
    }
}

/// An error for a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault<'a> {
    /// What went wrong.
    pub kind: FaultKind,
    /// For people.
    pub message: &'a str,
    /// For programs, where the vendor's shape has a place for it (OpenAI's `code`); else what the kind says.
    pub code: Option<&'a str>,
}

impl<'a> Fault<'a> {
    /// An error of this kind.
    #[must_use]
    pub const fn new(kind: FaultKind, message: &'a str) -> Self {
        Self { kind, message, code: None }
    }

    /// The body of an answer with status `self.kind.status()`.
    #[must_use]
    pub fn body(&self, family: Family) -> Bytes {
        self.value(family).to_string().into()
    }

    /// Headers of that answer, lower case, beside its length.
    #[must_use]
    pub fn headers(&self, family: Family) -> Vec<(&'static str, &'static str)> {
        let mut headers = vec![("content-type", "application/json")];
        if family == Family::Bedrock {
            headers.push(("x-amzn-errortype", self.kind.amazon()));
        }
        headers
    }

    /// The bytes that end a stream which has begun, as an error.
    #[must_use]
    pub fn event(&self, shape: Shape, framing: Framing) -> Bytes {
        match framing {
            Framing::EventStream => {
                let name = self.kind.amazon();
                let name = format!("{}{}", name[..1].to_ascii_lowercase(), &name[1..]);
                Frame::exception(&name, self.value(Family::Bedrock).to_string().as_bytes())
            }
            Framing::JsonArray => format!(",\n{}]", self.value(Family::Gemini)).into(),
            Framing::Sse if shape == Shape::Responses => {
                let (_, code) = self.kind.openai();
                let data = json!({
                    "type": "error", "code": self.code.unwrap_or(code), "message": self.message,
                    "param": null, "sequence_number": 0
                });
                Frame::sse(Some("error"), data.to_string().as_bytes())
            }
            Framing::Sse => {
                let name = (shape == Shape::Messages).then_some("error");
                Frame::sse(name, self.value(shape.family()).to_string().as_bytes())
            }
        }
    }

    fn value(&self, family: Family) -> Value {
        let message = self.message;
        match family {
            Family::OpenAi => {
                let (kind, code) = self.kind.openai();
                let code = self.code.unwrap_or(code);
                json!({ "error": { "message": message, "type": kind, "param": null, "code": code } })
            }
            Family::Anthropic => {
                json!({ "type": "error", "error": { "type": self.kind.anthropic(), "message": message } })
            }
            Family::Gemini => {
                let (code, status) = (self.kind.status(), self.kind.google());
                json!({ "error": { "code": code, "message": message, "status": status } })
            }
            Family::Bedrock => json!({ "message": message }),
        }
    }
}

/// An error that a vendor told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// What went wrong, by the status and by what the body says.
    pub kind: FaultKind,
    /// What the vendor says of it; by the status alone where it says nothing.
    pub message: String,
    /// The vendor's own word for it, if any.
    pub code: Option<String>,
}

impl Told {
    /// The same for a client of another family.
    #[must_use]
    pub fn fault(&self) -> Fault<'_> {
        Fault { kind: self.kind, message: &self.message, code: self.code.as_deref() }
    }
}

/// Reads an error answer, or the error of a stream. Takes every family's shape, and what proxies before them write.
#[must_use]
pub fn parse(status: u16, body: &[u8]) -> Told {
    let value: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    // Gemini wraps the error of a stream into a list.
    let value = value.get(0).unwrap_or(&value);
    let error = value.get("error").filter(|error| !error.is_null()).unwrap_or(value);
    let text = |name: &str| error.get(name).and_then(Value::as_str).map(str::to_owned);
    let message = text("message")
        .or_else(|| text("Message"))
        .or_else(|| text("detail"))
        .or_else(|| error.as_str().map(str::to_owned))
        .unwrap_or_else(|| format!("the vendor answered with status {status}"));
    let code = text("code").or_else(|| text("status")).or_else(|| text("type"));
    Told { kind: kind_of(status, code.as_deref()), message, code }
}

fn kind_of(status: u16, code: Option<&str>) -> FaultKind {
    match code {
        Some("insufficient_quota" | "billing_error") => FaultKind::QuotaExceeded,
        Some("content_filter" | "content_policy_violation") => FaultKind::Blocked,
        Some("overloaded_error") => FaultKind::Unavailable,
        Some("rate_limit_error" | "rate_limit_exceeded") => FaultKind::RateLimited,
        _ => FaultKind::of_status(status),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [FaultKind; 12] = [
        FaultKind::InvalidRequest,
        FaultKind::Unauthenticated,
        FaultKind::Forbidden,
        FaultKind::NotFound,
        FaultKind::TooLarge,
        FaultKind::RateLimited,
        FaultKind::QuotaExceeded,
        FaultKind::Blocked,
        FaultKind::Upstream,
        FaultKind::Unavailable,
        FaultKind::Timeout,
        FaultKind::Internal,
    ];

    #[test]
    fn what_is_written_for_a_client_is_read_back_with_its_message() {
        for kind in KINDS {
            for family in [Family::OpenAi, Family::Anthropic, Family::Gemini, Family::Bedrock] {
                let told = parse(kind.status(), &Fault::new(kind, "no \"more\"").body(family));
                assert_eq!(told.message, "no \"more\"", "{family:?} {kind:?}");
            }
        }
    }

    #[test]
    fn errors_have_the_vendors_shapes() {
        let fault = Fault::new(FaultKind::RateLimited, "slow down");
        let text = |family| String::from_utf8(fault.body(family).to_vec()).unwrap();
        assert_eq!(
            text(Family::OpenAi),
            r#"{"error":{"message":"slow down","type":"rate_limit_error","param":null,"code":"rate_limit_exceeded"}}"#
        );
        assert_eq!(
            text(Family::Anthropic),
            r#"{"type":"error","error":{"type":"rate_limit_error","message":"slow down"}}"#
        );
        assert_eq!(
            text(Family::Gemini),
            r#"{"error":{"code":429,"message":"slow down","status":"RESOURCE_EXHAUSTED"}}"#
        );
        assert_eq!(text(Family::Bedrock), r#"{"message":"slow down"}"#);
        assert!(fault.headers(Family::Bedrock).contains(&("x-amzn-errortype", "ThrottlingException")));
    }

    #[test]
    fn errors_of_others_are_read_for_what_they_say() {
        assert_eq!(parse(503, b"<html>").message, "the vendor answered with status 503");
        assert_eq!(parse(422, br#"{"detail":"no such field"}"#).message, "no such field");
        assert_eq!(parse(404, br#"{"error":"model not found"}"#).message, "model not found");
        let overloaded = parse(529, br#"{"type":"error","error":{"type":"overloaded_error","message":"m"}}"#);
        assert_eq!(
            (overloaded.kind, overloaded.code.as_deref()),
            (FaultKind::Unavailable, Some("overloaded_error"))
        );
        let listed = parse(429, br#"[{"error":{"code":429,"message":"m","status":"RESOURCE_EXHAUSTED"}}]"#);
        assert_eq!((listed.kind, listed.message.as_str()), (FaultKind::RateLimited, "m"));
    }
}
