//! All registered endpoints as an OpenAPI 3.1 document, at `/plugins/openapi.json`.
//!
//! Made for whoever asks, of what the plugins have registered at that moment. It tells what there is behind the gateway,
//! so it is for those who may call it: apps and administrators, and everyone where there are no apps.

use http::{Method, Response, StatusCode, request::Parts};
use mortise_framework::endpoints::Mount;
use mortise_mcp_transport::server::answer::{self, AnswerBody};
use mortise_plugin_api::EndpointRegistration;
use serde_json::{Map, Value, json};

use super::{
    admit::place_token,
    refusal::{no_route, unauthorized},
    target::Target,
};
use crate::{manage::Admins, snapshot::Snapshot};

/// Its name below `/plugins/`.
pub(super) const NAME: &str = "openapi.json";

pub(super) fn serve(
    snapshot: &Snapshot,
    admins: &Admins,
    parts: &mut Parts,
    target: &Target,
) -> Response<AnswerBody> {
    if !matches!(parts.method, Method::GET | Method::HEAD) || target.path != "/plugins/openapi.json" {
        return no_route(parts, target);
    }
    place_token(parts);
    let authenticator = &snapshot.access.authenticator;
    if !admins.may_read(&parts.headers, authenticator)
        && let Err(why) = authenticator.grant(&parts.headers)
    {
        return unauthorized(why);
    }
    answer::json_with_status(StatusCode::OK, document(snapshot).to_string().into())
}

fn document(snapshot: &Snapshot) -> Value {
    let mounts = snapshot.pipelines.mounts();
    let mut paths = Map::new();
    for mount in &mounts {
        for registration in mount.registrations().iter().flat_map(|all| all.iter()) {
            describe(mount, registration, &mut paths);
        }
    }
    let tags: Vec<Value> = mounts
        .iter()
        .map(|mount| json!({ "name": &**mount.slug(), "description": mount.instance().entry.description }))
        .collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Endpoints of plugins",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "What the plugins of this gateway have registered. Bodies are the plugins' own.",
        },
        "servers": [{ "url": "/" }],
        "tags": tags,
        "paths": paths,
        "components": { "securitySchemes": {
            "token": { "type": "http", "scheme": "bearer", "description": "The token of an app" },
            "query": { "type": "apiKey", "in": "query", "name": "token", "description": "The token of an app" },
        } },
    })
}

fn describe(mount: &Mount, registration: &EndpointRegistration, paths: &mut Map<String, Value>) {
    let (path, has_rest) = match registration.path.strip_suffix('*').filter(|before| before.ends_with('/')) {
        Some(before) => (format!("/plugins/{}{before}{{path}}", mount.slug()), true),
        None => (format!("/plugins/{}{}", mount.slug(), registration.path), false),
    };
    if !registration.path.starts_with('/') || registration.path.contains("..") {
        return;
    }
    for method in &registration.methods {
        let mut operation = json!({
            "operationId": format!("{} {path}", method.word()),
            "tags": [&**mount.slug()],
            "summary": registration.description,
            "security": if registration.require_auth { json!([{ "token": [] }, { "query": [] }]) } else { json!([]) },
            "x-mortise-plugin": &*mount.instance().name,
            "x-mortise-stream": registration.stream_response,
            "responses": responses(registration),
        });
        if has_rest {
            operation["parameters"] = json!([{
                "name": "path", "in": "path", "required": true, "schema": { "type": "string" },
                "description": "Anything, slashes too",
            }]);
        }
        if !registration.metadata.is_empty() {
            operation["x-metadata"] = json!(registration.metadata);
        }
        let at = paths.entry(path.clone()).or_insert_with(|| json!({}));
        at[method.word().to_ascii_lowercase()] = operation;
    }
}

fn responses(registration: &EndpointRegistration) -> Value {
    let mut responses = json!({
        "default": { "description": "The plugin's answer" },
        "413": { "description": "The body is too large" },
        "502": { "description": "The plugin failed" },
        "503": { "description": "The plugin is not available" },
        "504": { "description": "The plugin did not answer in time" },
    });
    if registration.require_auth {
        responses["401"] = json!({ "description": "A token is needed, and none that is valid came" });
    }
    responses
}
