//! The way of a request to a model: who asks is settled as for any other surface, with keys where the vendors' client
//! libraries put them, and errors as these expect them.

use std::sync::Arc;

use http::{HeaderValue, Request, Response};
use hyper::body::Incoming;
use mortise_framework::Contexts;
use mortise_llm::{client::credential, family::Family};
use mortise_mcp_transport::server::{answer::AnswerBody, listen::Peer};
use mortise_plugin_api::{Hook, Request as PluginRequest, hooks::LlmInput};

use super::{
    Edge, about,
    guard::{Guard, Known, Leaving, Unidentified},
};
use crate::{
    auth::Grant,
    llm::{self, Ask, Place},
    snapshot::Snapshot,
    spans::TraceContext,
};

impl Edge {
    pub(super) async fn llm(
        self: &Arc<Self>,
        snapshot: Arc<Snapshot>,
        request: Request<Incoming>,
        peer: &Peer,
        id: &Arc<str>,
    ) -> Response<AnswerBody> {
        let mut about = about(&snapshot, request.headers(), peer, id);
        let context = TraceContext::begin(request.headers(), self.surface.calls.spans());
        about.traceparent = context.as_ref().map(|context| context.shown());
        let (mut parts, body) = request.into_parts();
        take_key(&mut parts);
        let place = Place::of(parts.uri.path());
        let family = place.as_ref().map_or(Family::OpenAi, |place| llm::family_at(&snapshot.llms, place));
        let named = place.as_ref().and_then(Place::llm).and_then(|name| snapshot.llms.get(name));
        about.upstream = named.map(|llm| llm.name().clone());
        about.server_id.clone_from(&about.upstream);
        about.llm.clone_from(&about.upstream);
        let mut contexts = Contexts::of(&snapshot.pipelines);
        let call = self.surface.calls.follow(&snapshot, &mut contexts, context.as_ref());
        let mut guard = Guard::new(snapshot.clone(), contexts);
        let shown = guard.stands() || snapshot.pipelines.chain(LlmInput::ID).is_some();
        if shown || snapshot.pipelines.ask_for_paths() || self.surface.calls.recordings().any() {
            about.path = Some(parts.uri.path().into());
        }
        let admitted = if guard.stands() {
            // Boxed, so that the future of a request without such plugins stays small.
            Box::pin(admit(&snapshot, &mut guard, &mut parts, &mut about, family)).await
        } else {
            by_key(&snapshot, &parts, &mut about, family)
        };
        let grant = match admitted {
            Ok(grant) => grant,
            Err(refused) => {
                if let Some(call) = call {
                    call.refused(about, refused.status());
                }
                return *refused;
            }
        };
        let leaving = Leaving::of(&guard, &parts, &about);
        // Boxed, as it is handed on through several futures, each of which would hold a copy.
        let ask = Box::new(Ask {
            parts,
            request: about,
            grant,
            contexts: guard.into_contexts(),
            snapshot,
            call,
            context,
        });
        let mut response = self.llm.serve(ask, body).await;
        if let Some(leaving) = leaving {
            Box::pin(leaving.run(&mut response)).await;
        }
        response
    }
}

/// Puts a key that came where only one vendor's library puts it where plugins and the gateway look for one.
fn take_key(parts: &mut http::request::Parts) {
    let headers = &parts.headers;
    if crate::auth::bearer(headers).is_some() {
        return;
    }
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let key = credential(header, parts.uri.query()).and_then(|key| HeaderValue::from_str(&key).ok());
    if let Some(mut key) = key {
        key.set_sensitive(true);
        parts.headers.insert("x-api-key", key);
    }
}

type Refused = Box<Response<AnswerBody>>;

/// Settles who asks, where plugins have a say. Gives what they were let in by, where that was a key of the gateway's.
async fn admit(
    snapshot: &Snapshot,
    guard: &mut Guard,
    parts: &mut http::request::Parts,
    about: &mut PluginRequest,
    family: Family,
) -> Result<Option<Arc<Grant>>, Refused> {
    let shaped = |response| llm::refused(family, response);
    guard.before(parts, about).await.map_err(shaped)?;
    let (caller, grant) = match guard.identify(&snapshot.access.authenticator, &parts.headers, about).await {
        Ok(Known::Plugin(caller)) => (caller, None),
        Ok(Known::Grant(grant)) => (grant.caller.clone(), Some(grant.clone())),
        Err(Unidentified::Refused(response)) => return Err(shaped(response)),
        Err(Unidentified::Unauthorized(why)) => return Err(llm::unauthorized(family, why)),
    };
    about.caller = caller.clone();
    about.caller = guard.after(caller, &parts.headers, about).await.map_err(shaped)?;
    Ok(grant)
}

/// The same by the gateway's own keys.
fn by_key(
    snapshot: &Snapshot,
    parts: &http::request::Parts,
    about: &mut PluginRequest,
    family: Family,
) -> Result<Option<Arc<Grant>>, Refused> {
    let grant = snapshot.access.authenticator.grant(&parts.headers);
    let grant = grant.map_err(|unauthorized| llm::unauthorized(family, unauthorized))?;
    about.caller = grant.caller.clone();
    Ok(Some(grant.clone()))
}
