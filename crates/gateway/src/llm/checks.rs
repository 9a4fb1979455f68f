//! What is looked at before a vendor is asked: the LLM that is named, and the body.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use http_body::Body as HttpBody;
use mortise_llm::{
    family::Family,
    fault::FaultKind,
    request::{Look, RequestError, look},
    shape::Shape,
};
use mortise_mcp_transport::server::{
    answer::{self, AnswerBody},
    request::{Refusal, read_body},
};

use super::{
    BODY_TIMEOUT, Place,
    account::Account,
    call::{Refused, shown},
    listing,
    table::Llm,
};
use crate::snapshot::Snapshot;

/// The LLM that a path names, where the caller may use it.
pub(super) fn named(
    snapshot: &Snapshot,
    place: &Place<'_>,
    account: &mut Account,
    family: Family,
) -> Result<Option<Arc<Llm>>, Refused> {
    let Some(name) = place.llm() else { return Ok(None) };
    let Some(llm) = snapshot.llms.get(name) else {
        let message = format!("there is no LLM `{}`", shown(name));
        return Err(account.refused(family, FaultKind::NotFound, &message));
    };
    if !account.may_use(&llm.name) {
        let message = format!("this app may not use the LLM `{}`", llm.name);
        return Err(account.refused(family, FaultKind::Forbidden, &message));
    }
    Ok(Some(llm.clone()))
}

/// A list of models, where the configuration knows it.
pub(super) fn list(
    snapshot: &Snapshot,
    place: &Place<'_>,
    named: Option<&Llm>,
    account: &Account,
) -> Option<Response<AnswerBody>> {
    let only = match (place, named) {
        (Place::ByModel { rest }, _) if rest.trim_end_matches('/') == "/v1/models" => None,
        (Place::OpenAi { rest, .. }, Some(llm))
            if rest.trim_end_matches('/') == "/models"
                && (listing::is_known(llm) || llm.family() != Family::OpenAi) =>
        {
            Some(llm)
        }
        _ => return None,
    };
    Some(answer::json(listing::models(&snapshot.llms, |llm| account.may_use(llm), only)))
}

/// Reads the body whole.
pub(super) async fn read<B>(
    body: B,
    headers: &HeaderMap,
    account: &mut Account,
    family: Family,
) -> Result<Bytes, Refused>
where
    B: HttpBody<Data = Bytes> + Unpin,
{
    let plain = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"identity");
    if !headers.get(header::CONTENT_ENCODING).is_none_or(plain) {
        let mut response =
            account.refused(family, FaultKind::InvalidRequest, "the content encoding must be `identity`");
        *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return Err(response);
    }
    read_body(body, account.snapshot.llms.max_bytes, BODY_TIMEOUT).await.map_err(|refusal| {
        let kind = if let Refusal::TooLarge { .. } = refusal {
            FaultKind::TooLarge
        } else {
            FaultKind::InvalidRequest
        };
        account.refused(family, kind, &refusal.to_string())
    })
}

/// What the body says of itself, at its outermost level.
pub(super) fn looked<'b>(
    body: &'b [u8],
    headers: &HeaderMap,
    shape: Shape,
    account: &mut Account,
    family: Family,
) -> Result<Look<'b>, Refused> {
    let content_type = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let is_form =
        content_type.starts_with(b"multipart/") || content_type.starts_with(b"application/x-www-form");
    if body.is_empty() || is_form {
        return Ok(Look::default());
    }
    match look(body) {
        Ok(look) => Ok(look),
        // Of what nobody knows the shape of, it need not be an object.
        Err(RequestError::NotAnObject { .. }) if shape == Shape::Other => Ok(Look::default()),
        Err(error) => Err(account.refused(family, FaultKind::InvalidRequest, &error.to_string())),
    }
}
