//! Plugins' own HTTP endpoints, at `/plugins/{slug}/{path...}`.
//!
//! Which plugin stands where is part of the snapshot (`mortise_framework::endpoints`); here is what HTTP needs: the path
//! taken apart, callers authenticated by what authenticates them everywhere, bodies bounded before they are kept, an
//! answer handed on whole or piece by piece. A streamed answer is pulled from the plugin as fast as the client takes it,
//! without a task and without a queue; a client that leaves drops it, and with it the plugin's call. The request's snapshot
//! is kept to the end of its answer, so a plugin that is replaced ends after its last stream.
//!
//! Beside the slugs stand `stats` and `reload`, which are the management's, and `openapi.json`.

mod admit;
mod apps;
mod ask;
mod body;
mod kept;
pub(crate) mod metrics;
mod openapi;
mod refusal;
mod target;

#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Instant};

use http::{Request, Response, StatusCode, request::Parts};
use hyper::body::Incoming;
use mortise_framework::{Contexts, endpoints::Mount};
use mortise_mcp_transport::server::{answer::AnswerBody, listen::Peer};
use mortise_plugin_api::EndpointMethod;

use crate::{
    edge::{
        about,
        guard::{Guard, Leaving},
    },
    manage::Admins,
    snapshot::Snapshot,
    spans::TraceContext,
    trace::{Calls, Followed},
};
use kept::Kept;
use metrics::EndpointMetrics;
use refusal::refused;
use target::Target;

pub use apps::Apps;

/// What such a request is called where calls are listed.
pub(crate) const METHOD: &str = "endpoints/call";

/// What all requests share.
pub(crate) struct Shared<'a> {
    pub(crate) calls: &'a Arc<Calls>,
    pub(crate) metrics: &'a EndpointMetrics,
    pub(crate) admins: &'a Admins,
}

/// Answers a request to a path below `/plugins/`.
pub(crate) async fn serve(
    shared: Shared<'_>,
    snapshot: Arc<Snapshot>,
    request: Request<Incoming>,
    peer: &Peer,
    id: &Arc<str>,
) -> Response<AnswerBody> {
    let (mut parts, body) = request.into_parts();
    let target = match Target::of(parts.uri.path()) {
        Ok(target) => target,
        Err(why) => return refused(why.status(), &why.to_string()),
    };
    if target.slug == openapi::NAME {
        return openapi::serve(&snapshot, shared.admins, &mut parts, &target);
    }
    let Some(mount) = snapshot.pipelines.mount(&target.slug) else {
        return refusal::no_route(&parts, &target);
    };
    let counted = shared.metrics.of(&mount.instance().name);
    let began = Instant::now();
    let (method, found) = match find(&snapshot, mount, &parts, &target) {
        Ok(found) => found,
        Err(refused) => {
            counted.ended(Some(refused.status()), began);
            return *refused;
        }
    };
    let Some((route, registration)) = found.registration() else { return refusal::no_route(&parts, &target) };
    let mut about = about(&snapshot, &parts.headers, peer, id);
    // Without what follows the question mark, which may hold a token.
    about.path = Some(parts.uri.path().into());
    let context = TraceContext::begin(&parts.headers, shared.calls.spans());
    about.traceparent = context.as_ref().map(|context| context.shown());
    let mut contexts = Contexts::of(&snapshot.pipelines);
    let following = shared.calls.follow(&snapshot, &mut contexts, context.as_ref());
    let mut guard = Guard::new(snapshot.clone(), contexts);
    let admitted =
        admit::admit(&snapshot, &mut guard, &mut parts, &mut about, registration.require_auth).await;
    let identity = match admitted {
        Ok(identity) => identity,
        Err(refused) => {
            counted.ended(Some(refused.status()), began);
            if let Some(following) = following {
                following.refused(about, refused.status());
            }
            return *refused;
        }
    };
    let followed = following.map(|following| {
        let mut followed = Followed::new(following, METHOD);
        followed.about(&format!("{method} {}", target.path));
        followed
    });
    let leaving = Leaving::of(&guard, &parts, &about);
    drop(guard);
    let kept = Kept::new(snapshot.clone(), followed, about, counted, began);
    let asking = ask::Asking { mount, registration, route, method, target, identity, parts, kept };
    let mut response = asking.answer(body).await;
    if let Some(leaving) = leaving {
        leaving.run(&mut response).await;
    }
    response
}

type Fits = (EndpointMethod, mortise_framework::endpoints::Found);

/// The registration that a request fits.
fn find(
    snapshot: &Snapshot,
    mount: &Mount,
    parts: &Parts,
    target: &Target,
) -> Result<Fits, Box<Response<AnswerBody>>> {
    // Methods are words in upper case; anything else is another method.
    let method = EndpointMethod::ALL.into_iter().find(|method| method.word() == parts.method.as_str());
    // Whether there is anything at all is not known of a plugin that has not started.
    let Some(found) = mount.find(method.unwrap_or(EndpointMethod::Get), &target.relative) else {
        return Err(Box::new(refusal::unavailable(mount, None)));
    };
    match method {
        Some(method) if found.registration().is_some() => Ok((method, found)),
        _ => {
            let served = mount.methods(&target.relative);
            if snapshot.access.endpoints.method_not_allowed && !served.is_empty() {
                return Err(Box::new(refusal::wrong_method(&served)));
            }
            Err(Box::new(refusal::no_route(parts, target)))
        }
    }
}

/// Whether an answer of this status is one that went wrong.
fn is_failure(status: StatusCode) -> bool {
    status.is_server_error()
}
