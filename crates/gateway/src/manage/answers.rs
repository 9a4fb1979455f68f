//! Answers of the management surface: JSON that nobody keeps, and refusals with a `detail`.

use bytes::Bytes;
use http::{
    HeaderValue, Response, StatusCode,
    header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE},
};
use serde::Serialize;
use serde_json::json;

/// 200 with this as JSON.
pub(super) fn ok(value: &impl Serialize) -> Response<Bytes> {
    json_response(StatusCode::OK, value)
}

/// 201 with what was made.
pub(super) fn made(value: &impl Serialize) -> Response<Bytes> {
    json_response(StatusCode::CREATED, value)
}

/// 204.
pub(super) fn nothing() -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

/// A refusal on its way to be the answer; boxed, as answers are large.
pub(super) type Refused = Box<Response<Bytes>>;

/// The same as [`detail`], to be handed up.
pub(super) fn refused(status: StatusCode, text: &str) -> Refused {
    Box::new(detail(status, text))
}

/// A refusal in the API's shape.
pub(super) fn detail(status: StatusCode, text: &str) -> Response<Bytes> {
    json_response(status, &json!({ "detail": text }))
}

/// 404 for a plugin that is not configured.
pub(super) fn no_such_plugin(name: &str) -> Response<Bytes> {
    detail(StatusCode::NOT_FOUND, &format!("Plugin '{name}' not found"))
}

/// 405 with what is served.
pub(super) fn wrong_method(allowed: &str) -> Response<Bytes> {
    let mut response = detail(StatusCode::METHOD_NOT_ALLOWED, &format!("only {allowed} is served here"));
    if let Ok(allowed) = HeaderValue::from_str(allowed) {
        response.headers_mut().insert(ALLOW, allowed);
    }
    response
}

/// JSON with a status.
pub(super) fn json_response(status: StatusCode, value: &impl Serialize) -> Response<Bytes> {
    match serde_json::to_vec(value) {
        Ok(body) => response(status, HeaderValue::from_static("application/json"), body.into()),
        Err(error) => {
            detail(StatusCode::INTERNAL_SERVER_ERROR, &format!("the answer could not be written: {error}"))
        }
    }
}

/// Any answer.
pub(super) fn response(status: StatusCode, kind: HeaderValue, body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
