//! The management surface as an OpenAPI 3.1 document, made of the route table and the types of its answers.

use std::sync::OnceLock;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode};
use schemars::{SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use super::{
    answers::response,
    asked::Asked,
    route::{Access, Content, Route, Tag, one},
    routes,
    shapes::Problem,
};

/// Where the schemas of types stand.
const SCHEMAS: &str = "/components/schemas";

/// The OpenAPI document of the management surface.
#[must_use]
pub fn document() -> Value {
    let (mut given, mut taken) = (generator(true), generator(false));
    // Named first, so that refusals can refer to it.
    given.subschema_for::<Problem>();
    let mut paths = Map::new();
    for route in routes::all() {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.verb.word()] = operation(route, &mut given, &mut taken);
    }
    let mut schemas = taken.take_definitions(true);
    schemas.extend(given.take_definitions(true));
    schemas.sort_keys();
    let tags: Vec<Value> =
        Tag::ALL.iter().map(|tag| json!({ "name": tag.word(), "description": tag.about() })).collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Mortise management API",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "What a running gateway shows of itself, and what of it can be changed while it runs.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "tags": tags,
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": { "token": {
                "type": "http",
                "scheme": "bearer",
                "description": "The admin token, or the token of an app with `is_admin`. On loopback without apps, \
                    readings need none.",
            } },
        },
    })
}

/// The same as it is served.
pub(super) fn serve(_: &Asked<'_>) -> Response<Bytes> {
    static TEXT: OnceLock<Bytes> = OnceLock::new();
    let text = TEXT.get_or_init(|| document().to_string().into()).clone();
    response(StatusCode::OK, HeaderValue::from_static("application/json"), text)
}

fn generator(for_answers: bool) -> SchemaGenerator {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = SCHEMAS.into();
        settings.meta_schema = None;
    });
    let settings = if for_answers { settings.for_serialize() } else { settings.for_deserialize() };
    settings.into_generator()
}

fn operation(route: &Route, given: &mut SchemaGenerator, taken: &mut SchemaGenerator) -> Value {
    let mut operation = json!({
        "operationId": route.id,
        "summary": route.about,
        "tags": [route.tag.word()],
        "security": match route.access {
            Access::Open => json!([]),
            Access::Read => json!([{}, { "token": [] }]),
            Access::Change => json!([{ "token": [] }]),
        },
        "responses": responses(route, given),
    });
    let parameters = parameters(route, taken);
    if !parameters.is_empty() {
        operation["parameters"] = parameters.into();
    }
    if let Some(body) = route.body {
        operation["requestBody"] =
            json!({ "required": true, "content": { "application/json": { "schema": body(taken) } } });
    }
    operation
}

fn parameters(route: &Route, taken: &mut SchemaGenerator) -> Vec<Value> {
    let segments = route.path.split('/');
    let name = segments.filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}')).next();
    let name = name.map(|name| {
        let about = match name {
            "request_id" => "Its id, as in the answer's header `x-request-id`",
            "recording" | "id" => "Its number",
            _ => "Its name in the configuration",
        };
        json!({
            "name": name, "in": "path", "required": true, "schema": one::<String>(taken), "description": about,
        })
    });
    let query = route.query.iter().map(|parameter| {
        let schema = (parameter.schema)(taken);
        json!({ "name": parameter.name, "in": "query", "description": parameter.about, "schema": schema })
    });
    name.into_iter().chain(query).collect()
}

fn responses(route: &Route, given: &mut SchemaGenerator) -> Map<String, Value> {
    let content = match route.content {
        Content::Json(schema) | Content::Made(schema) => {
            json!({ "application/json": { "schema": schema(given) } })
        }
        Content::Nothing => Value::Null,
        Content::Text(kind) => {
            let kind = kind.split(';').next().unwrap_or(kind);
            json!({ kind: { "schema": { "type": "string" } } })
        }
    };
    let mut responses = Map::new();
    let (status, done) = match route.content {
        Content::Made(_) => ("201", json!({ "description": "Made", "content": content })),
        Content::Nothing => ("204", json!({ "description": "Done" })),
        _ => ("200", json!({ "description": "Done", "content": content })),
    };
    responses.insert(status.to_owned(), done);
    let mut refuse = |status: u16, when: &str| {
        let schema = json!({ "$ref": format!("#{SCHEMAS}/Problem") });
        let content = json!({ "application/json": { "schema": schema } });
        // Where there are two reasons for a status, the first is the row's own.
        responses
            .entry(status.to_string())
            .or_insert_with(|| json!({ "description": when, "content": content }));
    };
    for (status, when) in route.refusals {
        refuse(*status, when);
    }
    if route.access != Access::Open {
        refuse(401, "It is not known who asks");
        refuse(403, "An app asks that is no administrator");
    }
    if route.parameter().is_some() {
        refuse(404, "There is nothing of this name");
    } else if route.tag == Tag::Plugins {
        refuse(404, "Switched off by `enable_plugin_api: false`");
    }
    if route.body.is_some() {
        refuse(400, "The body is no JSON");
        refuse(413, "The body is too large");
        refuse(415, "The body is not sent as JSON");
        refuse(422, "The body does not fit");
    }
    responses
}
