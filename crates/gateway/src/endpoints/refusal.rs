//! Answers that the gateway gives instead of a plugin: status and one sentence.

use bytes::Bytes;
use http::{
    HeaderValue, Response, StatusCode,
    header::{ALLOW, WWW_AUTHENTICATE},
    request::Parts,
};
use mortise_framework::endpoints::Mount;
use mortise_mcp_transport::server::{
    answer::{self, AnswerBody},
    request::Refusal,
};
use mortise_plugin_api::{EndpointMethod, PluginError};

use super::target::Target;
use crate::auth::Unauthorized;

/// A refusal.
pub(super) fn refused(status: StatusCode, why: &str) -> Response<AnswerBody> {
    let body = serde_json::json!({ "error": why }).to_string();
    answer::json_with_status(status, Bytes::from(body))
}

/// Nothing is registered for a method and path.
pub(super) fn no_route(parts: &Parts, target: &Target) -> Response<AnswerBody> {
    let path = format!("/plugins/{}{}", target.slug, target.relative);
    refused(StatusCode::NOT_FOUND, &format!("no endpoint registered for {} {path}", parts.method))
}

/// Something is registered for a path, with other methods.
pub(super) fn wrong_method(served: &[EndpointMethod]) -> Response<AnswerBody> {
    let words = served.iter().map(|method| method.word()).collect::<Vec<_>>().join(", ");
    let mut response =
        refused(StatusCode::METHOD_NOT_ALLOWED, &format!("this endpoint is registered for {words}"));
    if let Ok(value) = HeaderValue::from_str(&words) {
        response.headers_mut().insert(ALLOW, value);
    }
    response
}

/// The caller is not known.
pub(super) fn unauthorized(why: Unauthorized) -> Response<AnswerBody> {
    let mut response = match why {
        Unauthorized::Missing => refused(StatusCode::UNAUTHORIZED, "authentication required"),
        known => refused(StatusCode::UNAUTHORIZED, &known.to_string()),
    };
    response.headers_mut().insert(WWW_AUTHENTICATE, why.challenge());
    response
}

/// The body was not read.
pub(super) fn unread(why: &Refusal, limit: usize) -> Response<AnswerBody> {
    match why {
        Refusal::TooLarge { .. } => {
            let most = if limit.is_multiple_of(1 << 20) {
                format!("{}MB", limit >> 20)
            } else {
                format!("{limit} bytes")
            };
            refused(StatusCode::PAYLOAD_TOO_LARGE, &format!("request body too large (max {most})"))
        }
        Refusal::TooSlow { .. } => refused(StatusCode::REQUEST_TIMEOUT, &why.to_string()),
        _ => refused(StatusCode::BAD_REQUEST, &why.to_string()),
    }
}

/// The plugin cannot be asked now. Why, is for the log: it may tell of the machine.
pub(super) fn unavailable(mount: &Mount, why: Option<&PluginError>) -> Response<AnswerBody> {
    let plugin = &*mount.instance().name;
    match why {
        Some(error) => tracing::warn!(plugin, %error, "endpoint cannot be served"),
        None => {
            tracing::warn!(plugin, error = %mount.instance().why_unavailable(), "endpoint cannot be served");
        }
    }
    refused(StatusCode::SERVICE_UNAVAILABLE, "the plugin of this endpoint is not available")
}

/// The plugin gave no answer.
pub(super) fn failed(mount: &Mount, error: &PluginError) -> Response<AnswerBody> {
    let plugin = &*mount.instance().name;
    match error {
        PluginError::Unavailable(_) => unavailable(mount, Some(error)),
        PluginError::Timeout(_) => {
            tracing::warn!(plugin, %error, "endpoint was not answered in time");
            refused(StatusCode::GATEWAY_TIMEOUT, "the plugin of this endpoint did not answer in time")
        }
        PluginError::Panicked(_) => {
            tracing::error!(plugin, %error, "endpoint failed");
            refused(StatusCode::BAD_GATEWAY, "plugin endpoint error: it panicked")
        }
        _ => {
            tracing::warn!(plugin, %error, "endpoint failed");
            refused(StatusCode::BAD_GATEWAY, &format!("plugin endpoint error: {error}"))
        }
    }
}
