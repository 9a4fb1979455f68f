//! Who calls a tool or asks a data source, and may they: by the same hooks and tokens as everywhere.

use std::sync::Arc;

use http::{HeaderValue, Response, header::AUTHORIZATION, request::Parts};
use mortise_mcp_transport::server::answer::AnswerBody;
use mortise_plugin_api::Request;
use url::form_urlencoded;

use super::refusal::{unauthorized, unknown};
use crate::{
    auth::{self, Grant, Reach},
    edge::guard::{Guard, Known, Unidentified},
    snapshot::Snapshot,
};

/// Longest token that is looked at, in bytes.
const MAX_TOKEN: usize = 4096;

/// What is asked for.
#[derive(Clone, Copy)]
pub(crate) enum Wanted<'a> {
    /// A tool.
    Tool(&'a str),
    /// A data source.
    Datasource(&'a str),
}

impl Wanted<'_> {
    /// Whether it may be used, and whether everything of its kind may.
    fn within(self, reach: &Reach) -> (bool, bool) {
        match self {
            Self::Tool(slug) => (reach.may_use_tool(slug), reach.has_all_tools()),
            Self::Datasource(slug) => (reach.may_use_datasource(slug), reach.has_all_datasources()),
        }
    }

    fn refused(self, may_use_all: bool) -> Box<Response<AnswerBody>> {
        Box::new(match self {
            Self::Tool(slug) => unknown("tool", slug, may_use_all),
            Self::Datasource(slug) => unknown("data source", slug, may_use_all),
        })
    }
}

/// Lets a request in, or says why not; gives what it was let in by, where that was a token of the gateway's.
pub(crate) async fn admit(
    snapshot: &Snapshot,
    guard: &mut Guard,
    parts: &mut Parts,
    about: &mut Request,
    wanted: Wanted<'_>,
    is_there: bool,
) -> Result<Option<Arc<Grant>>, Box<Response<AnswerBody>>> {
    let authenticator = &snapshot.access.authenticator;
    place_token(parts);
    guard.before(parts, about).await?;
    let (caller, reach, grant) = match guard.identify(authenticator, &parts.headers, about).await {
        Ok(Known::Plugin(caller)) => {
            let reach = authenticator.reach(&caller);
            (caller, reach, None)
        }
        Ok(Known::Grant(grant)) => (grant.caller.clone(), grant.reach.clone(), Some(grant.clone())),
        Err(Unidentified::Refused(response)) => return Err(response),
        Err(Unidentified::Unauthorized(why)) => return Err(Box::new(unauthorized(why))),
    };
    about.caller = caller;
    let (may, may_all) = wanted.within(&reach);
    if !may || !is_there {
        return Err(wanted.refused(may_all));
    }
    about.caller = guard.after(about.caller.clone(), &parts.headers, about).await?;
    Ok(grant)
}

/// Puts a key where everything looks for it: one that stands in `Authorization` without a scheme, and `apiKey` of the
/// query.
fn place_token(parts: &mut Parts) {
    let bare = match parts.headers.get(AUTHORIZATION) {
        Some(value) => {
            let text = value.to_str().ok().map(str::trim);
            text.filter(|text| !text.is_empty() && !text.contains(' ')).map(str::to_owned)
        }
        None if auth::bearer(&parts.headers).is_some() => None,
        None => parts.uri.query().and_then(|query| {
            let mut keys = form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == "apiKey");
            keys.find(|(_, key)| !key.is_empty() && key.len() <= MAX_TOKEN).map(|(_, key)| key.into_owned())
        }),
    };
    let value = bare.and_then(|key| HeaderValue::try_from(format!("Bearer {key}")).ok());
    if let Some(mut value) = value {
        value.set_sensitive(true);
        parts.headers.insert(AUTHORIZATION, value);
    }
}
