//! Answers that say why there is none, in the shape that tools and data sources share.

use http::{HeaderValue, Response, StatusCode, header::WWW_AUTHENTICATE};
use mortise_mcp_transport::server::answer::{self, AnswerBody};
use serde_json::json;

use crate::auth::Unauthorized;

/// A refusal, with its reason.
pub(crate) fn refused(status: StatusCode, message: &str) -> Response<AnswerBody> {
    let body = json!({ "status": status.as_u16(), "message": message });
    answer::json_with_status(status, body.to_string().into())
}

/// The same with what caused it.
pub(crate) fn refused_because(status: StatusCode, message: &str, cause: &str) -> Response<AnswerBody> {
    let body = json!({ "status": status.as_u16(), "message": message, "error": cause });
    answer::json_with_status(status, body.to_string().into())
}

/// It is not known who calls.
pub(crate) fn unauthorized(why: Unauthorized) -> Response<AnswerBody> {
    let mut response = refused(StatusCode::UNAUTHORIZED, &why.to_string());
    response.headers_mut().insert(WWW_AUTHENTICATE, why.challenge());
    response
}

/// Something there is not, or not for this caller. One who may not use everything is not told which, so that nobody
/// finds out what there is by asking.
pub(crate) fn unknown(what: &str, slug: &str, may_use_all: bool) -> Response<AnswerBody> {
    let slug: String = slug.chars().take(100).collect();
    if may_use_all {
        return refused(StatusCode::NOT_FOUND, &format!("there is no {what} `{slug}`"));
    }
    let message = format!("{what} `{slug}` not found or not supported by your access rights");
    refused(StatusCode::FORBIDDEN, &message)
}

/// A method that is not served.
pub(crate) fn wrong_method(allowed: &'static str) -> Response<AnswerBody> {
    let mut response = refused(StatusCode::METHOD_NOT_ALLOWED, &format!("this is called by {allowed}"));
    response.headers_mut().insert(http::header::ALLOW, HeaderValue::from_static(allowed));
    response
}
