//! Errors as each vendor publishes them.

use serde_json::{Value, json};

/// Whose wire it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wire {
    OpenAi,
    Anthropic,
    Gemini,
    Bedrock,
}

/// The body of an error answer, and Amazon's header for it.
pub(super) fn body(wire: Wire, status: u16, message: &str) -> (Value, Option<&'static str>) {
    match wire {
        Wire::OpenAi => {
            let (kind, code) = match status {
                401 => ("invalid_request_error", "invalid_api_key"),
                404 => ("invalid_request_error", "model_not_found"),
                429 => ("requests", "rate_limit_exceeded"),
                500.. => ("server_error", "server_error"),
                _ => ("invalid_request_error", "invalid_value"),
            };
            (json!({ "error": { "message": message, "type": kind, "param": null, "code": code } }), None)
        }
        Wire::Anthropic => {
            let kind = match status {
                401 => "authentication_error",
                403 => "permission_error",
                404 => "not_found_error",
                429 => "rate_limit_error",
                529 => "overloaded_error",
                500.. => "api_error",
                _ => "invalid_request_error",
            };
            let error = json!({ "type": kind, "message": message });
            (json!({ "type": "error", "error": error, "request_id": "req_fake" }), None)
        }
        Wire::Gemini => {
            let kind = match status {
                401 => "UNAUTHENTICATED",
                403 => "PERMISSION_DENIED",
                404 => "NOT_FOUND",
                429 => "RESOURCE_EXHAUSTED",
                503 => "UNAVAILABLE",
                500.. => "INTERNAL",
                _ => "INVALID_ARGUMENT",
            };
            (json!({ "error": { "code": status, "message": message, "status": kind } }), None)
        }
        Wire::Bedrock => {
            let kind = match status {
                403 => "AccessDeniedException",
                404 => "ResourceNotFoundException",
                429 => "ThrottlingException",
                503 => "ServiceUnavailableException",
                500.. => "InternalServerException",
                _ => "ValidationException",
            };
            (json!({ "message": message }), Some(kind))
        }
    }
}
