//! `/tools/{slug}`: what a tool can do, and its operations called by their ids.
//!
//! A call is `{"operation_id", "parameters", "payload", "headers"}`: parameters and headers by name, each with one text
//! or several. It is put into the form of a tool's call and goes on as one.

use std::{sync::Arc, time::Duration};

use http::{Method, Request, Response, StatusCode, request::Parts};
use hyper::body::Incoming;
use mortise_framework::Contexts;
use mortise_mcp::{envelope::method, raw::Raw};
use mortise_mcp_transport::server::{
    answer::{self, AnswerBody},
    listen::Peer,
    request::read_body,
};
use mortise_openapi::Document;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    ToolApi,
    admit::{self, Wanted},
    listed::listed,
    outcome,
    refusal::{refused, refused_because, wrong_method},
};
use crate::{
    auth::TOOLS,
    edge::{
        about,
        guard::{Guard, Leaving},
    },
    mcp::{Audience, Post, Surface},
    snapshot::Snapshot,
    spans::TraceContext,
};

/// How long a client may take to send a body.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);

/// A call.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Asked {
    operation_id: String,
    parameters: Option<Map<String, Value>>,
    payload: Option<Value>,
    headers: Option<Map<String, Value>>,
}

/// A tool of a snapshot.
struct Place {
    at: usize,
    api: Arc<ToolApi>,
}

impl Place {
    fn of(snapshot: &Snapshot, slug: &str) -> Option<Self> {
        let mut upstreams = snapshot.catalogs.fleet.upstreams().iter().enumerate();
        let (at, upstream) = upstreams.find(|(_, upstream)| *upstream.name == *slug)?;
        Some(Self { at, api: upstream.tool()?.clone() })
    }

    /// The name an operation is listed under.
    fn exposed(&self, snapshot: &Snapshot, server: &str, operation: &str) -> Option<Arc<str>> {
        let views = snapshot.catalogs.views(Some(server))?;
        let mut entries = views.tools.entries();
        let entry = entries.find(|entry| entry.upstream == self.at && *entry.original == *operation)?;
        Some(entry.exposed.clone())
    }
}

/// Answers a request to the place of a tool.
pub(crate) async fn serve(
    surface: &Arc<Surface>,
    snapshot: Arc<Snapshot>,
    request: Request<Incoming>,
    peer: &Peer,
    id: &Arc<str>,
    slug: &str,
) -> Response<AnswerBody> {
    let (mut parts, body) = request.into_parts();
    let server: Arc<str> = format!("{TOOLS}{slug}").into();
    let mut about = about(&snapshot, &parts.headers, peer, id);
    about.server_id = Some(server.clone());
    // Without what follows the question mark, which may hold a key.
    about.path = Some(parts.uri.path().into());
    let context = TraceContext::begin(&parts.headers, surface.calls.spans());
    about.traceparent = context.as_ref().map(|context| context.shown());
    let mut contexts = Contexts::of(&snapshot.pipelines);
    let call = surface.calls.follow(&snapshot, &mut contexts, context.as_ref());
    let mut guard = Guard::new(snapshot.clone(), contexts);
    let place = Place::of(&snapshot, slug);
    let wanted = Wanted::Tool(slug);
    let admitted = admit::admit(&snapshot, &mut guard, &mut parts, &mut about, wanted, place.is_some()).await;
    let place = match (admitted, place) {
        (Ok(_), Some(place)) => place,
        (Ok(_), None) => return answer::empty(StatusCode::NOT_FOUND),
        (Err(refused), _) => {
            if let Some(call) = call {
                call.refused(about, refused.status());
            }
            return *refused;
        }
    };
    let leaving = Leaving::of(&guard, &parts, &about);
    let post = Post {
        audience: Audience { server: Some(server.clone()), request: about },
        headers: http::HeaderMap::new(),
        contexts: guard.into_contexts(),
        snapshot,
        call,
        context,
    };
    let mut response = answered(surface, &place, &server, slug, &parts, body, Box::new(post)).await;
    if let Some(leaving) = leaving {
        leaving.run(&mut response).await;
    }
    response
}

async fn answered(
    surface: &Arc<Surface>,
    place: &Place,
    server: &str,
    slug: &str,
    parts: &Parts,
    body: Incoming,
    post: Box<Post>,
) -> Response<AnswerBody> {
    // Right after the start, what there is to offer is known in a moment.
    surface.upstreams.attempted(surface.config.connect_patience).await;
    let Some(document) = place.api.document() else {
        let message = format!("the tool `{slug}` is not there yet");
        return refused(StatusCode::SERVICE_UNAVAILABLE, &message);
    };
    if parts.method == Method::GET {
        let answered = surface.ask(post, method::TOOLS_LIST, None).await;
        return match &answered.outcome {
            Ok(_) => answer::json(listed(slug, place.api.tool(), &document).to_string().into()),
            Err(_) => outcome::answer(answered.verdict, &answered.outcome),
        };
    }
    if !matches!(parts.method, Method::POST | Method::PUT | Method::DELETE) {
        return wrong_method("GET, POST, PUT, DELETE");
    }
    let body = match read_body(body, post.snapshot.access.max_body_bytes(), BODY_TIMEOUT).await {
        Ok(body) => body,
        Err(why) => return refused(why.status(), &why.to_string()),
    };
    let params = match params(&body, &document, |operation| {
        // What was listed after the request came is not in what it is served by.
        let snapshot = &post.snapshot;
        place.exposed(snapshot, server, operation)
    }) {
        Ok(params) => params,
        Err(refused) => return *refused,
    };
    let answered = surface.ask(post, method::TOOLS_CALL, Some(params)).await;
    let mut response = outcome::answer(answered.verdict, &answered.outcome);
    response.headers_mut().extend(answered.headers);
    response
}

/// A call as that of a tool.
fn params(
    body: &[u8],
    document: &Document,
    exposed: impl Fn(&str) -> Option<Arc<str>>,
) -> Result<Raw, Box<Response<AnswerBody>>> {
    let bad =
        |message: &str, cause: String| Box::new(refused_because(StatusCode::BAD_REQUEST, message, &cause));
    let asked: Asked = serde_json::from_slice(body)
        .map_err(|error| bad("the body is no call of an operation", error.to_string()))?;
    if asked.operation_id.is_empty() {
        return Err(Box::new(refused(StatusCode::BAD_REQUEST, "operation_id is required")));
    }
    let id = &asked.operation_id;
    let Some(operation) = document.operation(id) else {
        let id: String = id.chars().take(100).collect();
        let message = format!("the operation `{id}` is not one that may be called");
        return Err(Box::new(refused(StatusCode::FORBIDDEN, &message)));
    };
    let (parameters, headers) = (asked.parameters.unwrap_or_default(), asked.headers.unwrap_or_default());
    let arguments = operation.arguments(&parameters, asked.payload, &headers);
    let arguments = arguments.map_err(|error| bad("the call does not fit", error.to_string()))?;
    let Some(name) = exposed(id) else {
        let message = format!("the operation `{id}` is not listed yet");
        return Err(Box::new(refused(StatusCode::SERVICE_UNAVAILABLE, &message)));
    };
    let params = Raw::from_serialize(&json!({ "name": &*name, "arguments": arguments }));
    params.map_err(|error| bad("the call does not fit", error.to_string()))
}
