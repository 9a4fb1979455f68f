//! Refusals in the shape that a client's library expects: its vendor's.

use http::{HeaderName, HeaderValue, Response, StatusCode, header::WWW_AUTHENTICATE};
use mortise_framework::Blocked;
use mortise_llm::{
    family::Family,
    fault::{Fault, FaultKind},
};
use mortise_mcp_transport::server::answer::{self, AnswerBody};
use mortise_plugin_api::Headers;

use crate::{auth::Unauthorized, edge::status_of_violation};

/// A refusal of the gateway's own.
pub(super) fn refuse(family: Family, kind: FaultKind, message: &str) -> Box<Response<AnswerBody>> {
    Box::new(with_status(family, kind, status(kind.status()), message, None))
}

fn with_status(
    family: Family,
    kind: FaultKind,
    status: StatusCode,
    message: &str,
    code: Option<&str>,
) -> Response<AnswerBody> {
    let fault = Fault { kind, message, code };
    let mut response = answer::json_with_status(status, fault.body(family));
    for (name, value) in fault.headers(family) {
        response.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    response
}

fn status(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// The answer to who is not known.
pub(crate) fn unauthorized(family: Family, unauthorized: Unauthorized) -> Box<Response<AnswerBody>> {
    let message = match unauthorized {
        Unauthorized::Missing => {
            "a key is needed: send `Authorization: Bearer KEY`, or the key as your vendor's library does"
                .into()
        }
        other => other.to_string(),
    };
    let mut response = refuse(family, FaultKind::Unauthenticated, &message);
    response.headers_mut().insert(WWW_AUTHENTICATE, unauthorized.challenge());
    response
}

/// A refusal of a plugin at the edge, in this shape. One that has a body of its own keeps it.
pub(crate) fn refused(family: Family, response: Box<Response<AnswerBody>>) -> Box<Response<AnswerBody>> {
    let Some(RefusedBy(by)) = response.extensions().get::<RefusedBy>().cloned() else { return response };
    if by.violation.http_body.is_some() {
        return response;
    }
    let mut shaped = blocked(family, &by, response.status());
    if let Some(challenge) = response.headers().get(WWW_AUTHENTICATE) {
        shaped.headers_mut().insert(WWW_AUTHENTICATE, challenge.clone());
    }
    shaped
}

/// Who refused a request, noted in the answer for whoever shapes it.
#[derive(Clone)]
pub(crate) struct RefusedBy(pub(crate) std::sync::Arc<Blocked>);

/// The answer to what a plugin blocked.
pub(super) fn blocked(family: Family, by: &Blocked, otherwise: StatusCode) -> Box<Response<AnswerBody>> {
    let violation = &by.violation;
    let status = status_of_violation(violation).unwrap_or(otherwise);
    let kind = match status.as_u16() {
        // Of what is wrong with the content every vendor says that it was refused.
        400 | 402 | 405..=412 | 414..=428 => FaultKind::Blocked,
        403 if !matches!(violation.code.as_str(), "" | "FORBIDDEN") => FaultKind::Blocked,
        code => FaultKind::of_status(code),
    };
    let code = (!violation.code.is_empty()).then_some(violation.code.as_str());
    let mut response = with_status(family, kind, status, &message(by), code);
    if let Some(body) = &violation.http_body {
        *response.body_mut() = AnswerBody::Whole(Some(body.clone()));
        response.headers_mut().remove(http::header::CONTENT_TYPE);
    }
    for (name, value) in violation.http_headers.iter().flat_map(Headers::iter) {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    Box::new(response)
}

/// What a client is told of a violation.
pub(super) fn message(by: &Blocked) -> String {
    let violation = &by.violation;
    let told = if violation.description.is_empty() { &violation.reason } else { &violation.description };
    match (told.is_empty(), by.plugin.is_empty()) {
        (true, true) => "the request was blocked".to_owned(),
        (true, false) => format!("blocked by plugin {}", by.plugin),
        (false, true) => told.clone(),
        (false, false) => format!("blocked by plugin {}: {told}", by.plugin),
    }
}
