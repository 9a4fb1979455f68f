//! Who calls an endpoint, and may they: by the same hooks and tokens as everywhere.
//!
//! An endpoint that everyone may call passes only the hook before authentication: who it is for is the plugin's to find
//! out, by a signature for example, and a token that came along is none of its business.

use std::sync::Arc;

use http::{HeaderValue, Response, StatusCode, Uri, header::AUTHORIZATION, request::Parts};
use mortise_framework::Contexts;
use mortise_mcp_transport::server::answer::AnswerBody;
use mortise_plugin_api::{
    EndpointApp, Hook, Request, Revision,
    hooks::{
        HttpAuthCheckPermission,
        http::{CheckPermissionPayload, Permission},
    },
};
use url::form_urlencoded;

use super::{
    apps,
    refusal::{refused, unauthorized},
};
use crate::{
    auth::{self, Unauthorized},
    edge::guard::{Guard, Known, Unidentified, refusal},
    snapshot::Snapshot,
};

/// What a caller needs for endpoints that are not for everyone, as plugins are asked.
const PERMISSION: &str = "endpoints.call";

/// Longest token that is looked at, in bytes.
const MAX_TOKEN: usize = 4096;

/// Who calls, as endpoints are told.
#[derive(Debug, Default)]
pub(super) struct Identity {
    pub(super) authenticated: bool,
    pub(super) app: Option<Arc<EndpointApp>>,
    pub(super) scopes: Vec<Arc<str>>,
}

/// Lets a request in, or says why not. Headers that plugins change are changed in `parts`.
pub(super) async fn admit(
    snapshot: &Snapshot,
    guard: &mut Guard,
    parts: &mut Parts,
    about: &mut Request,
    require_auth: bool,
) -> Result<Identity, Box<Response<AnswerBody>>> {
    if !require_auth {
        guard.before(parts, about).await?;
        return Ok(Identity::default());
    }
    let placed = place_token(parts);
    let admitted = known(snapshot, guard, parts, about).await;
    if let Some(before) = placed {
        // The plugin is shown what the client sent.
        match before {
            Some(value) => drop(parts.headers.insert(AUTHORIZATION, value)),
            None => drop(parts.headers.remove(AUTHORIZATION)),
        }
    }
    admitted
}

async fn known(
    snapshot: &Snapshot,
    guard: &mut Guard,
    parts: &mut Parts,
    about: &mut Request,
) -> Result<Identity, Box<Response<AnswerBody>>> {
    let authenticator = &snapshot.access.authenticator;
    guard.before(parts, about).await?;
    // What plugins add to the caller afterwards is not the app's.
    let (caller, app) = match guard.identify(authenticator, &parts.headers, about).await {
        Ok(Known::Plugin(caller)) => {
            let app = snapshot.access.apps.of(&caller, authenticator);
            (caller, app)
        }
        // Without apps everyone is let in elsewhere; here the plugin is promised one.
        Ok(Known::Grant(_)) if authenticator.is_open() => {
            return Err(Box::new(unauthorized(Unauthorized::Missing)));
        }
        Ok(Known::Grant(grant)) => (grant.caller.clone(), apps::granted(grant)),
        Err(Unidentified::Refused(response)) => return Err(response),
        Err(Unidentified::Unauthorized(why)) => return Err(Box::new(unauthorized(why))),
    };
    about.caller = caller;
    if app.as_ref().is_some_and(|app| !app.is_active) {
        return Err(Box::new(unauthorized(Unauthorized::Unknown)));
    }
    about.caller = guard.after(about.caller.clone(), &parts.headers, about).await?;
    may(snapshot, guard.notes(), about).await?;
    Ok(Identity { authenticated: true, app, scopes: about.caller.scopes.clone() })
}

/// Asks plugins whether the caller may; where all abstain, they may.
async fn may(
    snapshot: &Snapshot,
    mut contexts: Contexts,
    about: &Request,
) -> Result<(), Box<Response<AnswerBody>>> {
    let Some(chain) = snapshot.pipelines.chain(HttpAuthCheckPermission::ID) else { return Ok(()) };
    let caller = &about.caller;
    let question = CheckPermissionPayload {
        user_email: caller.user.as_deref().unwrap_or_default().to_owned(),
        permission: PERMISSION.to_owned(),
        resource_type: Some("endpoint".to_owned()),
        team_id: caller.tenant.as_deref().map(str::to_owned),
        is_admin: caller.is_admin,
        auth_method: caller.auth_method.as_deref().map(str::to_owned),
        client_host: about.client.map(|client| client.ip().to_string()),
        user_agent: None,
    };
    let question = Revision::new(Box::new(question));
    let mut outcome = chain.run(&snapshot.pipelines, about, &mut contexts, &question).await;
    if let Some(by) = &outcome.blocked {
        return Err(Box::new(refusal(by, HttpAuthCheckPermission::NAME, StatusCode::FORBIDDEN)));
    }
    match outcome.take_answer::<Permission>() {
        Some(Permission { granted: false, reason }) => {
            let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
            Err(Box::new(refused(StatusCode::FORBIDDEN, &format!("Permission denied: {PERMISSION}{reason}"))))
        }
        _ => Ok(()),
    }
}

/// Puts a token where everything looks for it: one of the query, and one that stands in `Authorization` without a scheme,
/// as the documents allow both. Gives back what stood there before, where anything was changed.
pub(super) fn place_token(parts: &mut Parts) -> Option<Option<HeaderValue>> {
    let before = parts.headers.get(AUTHORIZATION).cloned();
    let token = match &before {
        Some(value) => {
            let bare = value.to_str().ok()?.trim();
            if bare.is_empty() || bare.contains(' ') {
                return None;
            }
            bare.to_owned()
        }
        None if auth::bearer(&parts.headers).is_some() => return None,
        None => query_token(&parts.uri)?,
    };
    let mut value = HeaderValue::try_from(format!("Bearer {token}")).ok()?;
    value.set_sensitive(true);
    parts.headers.insert(AUTHORIZATION, value);
    Some(before)
}

fn query_token(uri: &Uri) -> Option<String> {
    let pairs = form_urlencoded::parse(uri.query()?.as_bytes());
    let mut tokens = pairs.filter(|(key, _)| key == "token").map(|(_, value)| value);
    tokens.find(|token| !token.is_empty() && token.len() <= MAX_TOKEN).map(std::borrow::Cow::into_owned)
}
