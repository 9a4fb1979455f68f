//! `resources/read`: routed by URI, guarded by the hooks before and after a resource is read.
//!
//! Plugins see a resource's content as ContextForge shows it: `{type: "resource", uri, mime_type, text, blob}`, a list
//! of them where the upstream answered several. Members Mortise does not know stay.

use mortise_framework::{Outcome as Ran, Pair};
use mortise_mcp::{envelope::method, errors::resource_not_found, params::ResourceRead, raw::Raw};
use mortise_plugin_api::{
    End, Hook, Json, Payload, Revision,
    hooks::{
        ResourcePostFetch, ResourcePreFetch,
        resource::{ResourcePostFetchPayload, ResourcePreFetchPayload},
    },
};
use serde_json::{Map, Value};

use super::{
    dispatch::Answer, exchange::Inbound, forwarding, invalid_params, prompts::blocked, rpc, server_error,
};
use crate::snapshot::Plugins;

/// Answers `resources/read`.
pub(crate) async fn read(inbound: &mut Inbound) -> Answer {
    let params = inbound.params.clone();
    let call = match ResourceRead::parse(params.as_ref()) {
        Ok(call) => call,
        Err(error) => return invalid_params(error).into(),
    };
    if let Some(followed) = &mut inbound.followed {
        followed.about(&call.uri);
    }
    let mut place = inbound.views().find_resource(&call.uri);
    let request = match place {
        Some(at) => inbound.about(at, &call.uri, &call.uri),
        None => inbound.request.clone(),
    };
    let mut pair = Pair::new(
        Plugins(inbound.snapshot.clone()),
        ResourcePreFetch::ID,
        request,
        std::mem::take(&mut inbound.contexts),
        substitute,
    );
    let mut uri = call.uri.to_string();
    let mut before = Ran::default();
    if pair.has_before() {
        let asked = ResourcePreFetchPayload { uri: uri.clone(), metadata: Json::object() };
        before = pair.before(Revision::new(Box::new(asked))).await;
        if let Some(blocked_by) = &before.blocked {
            return Answer::blocked(Err(blocked(ResourcePreFetch::NAME, blocked_by))).wishing(&before);
        }
        let changed = before.changed.as_ref().and_then(|revision| revision.get::<ResourcePreFetchPayload>());
        if let Some(changed) = changed.filter(|changed| changed.uri != uri) {
            // A URI that a plugin changed is looked up like any other: within what this caller may see.
            uri.clone_from(&changed.uri);
            place = inbound.views().find_resource(&uri);
        }
    }
    let Some(at) = place else {
        pair.failed(End::UpstreamFailed).await;
        return rpc(&resource_not_found(&uri, inbound.stateless.is_some())).into();
    };
    if let Some(content) = before.take_served() {
        let answer = match content.value().ok().and_then(|content| with_content(&Raw::EMPTY_OBJECT, content))
        {
            Some(result) => after(&mut pair, &call.uri, result).await,
            None => {
                pair.failed(End::UpstreamFailed).await;
                server_error("a plugin served the resource with something that is no resource").into()
            }
        };
        return answer.wishing(&before);
    }
    let params = match call.rewrite(&uri) {
        Ok(params) => params,
        Err(error) => {
            pair.failed(End::UpstreamFailed).await;
            return invalid_params(error).into();
        }
    };
    forwarding::lend(inbound, &mut pair);
    match inbound.forward(at, method::RESOURCES_READ, Some(&params), None).await {
        Ok(Ok(result)) => after(&mut pair, &call.uri, result).await,
        Ok(Err(error)) => {
            pair.failed(End::UpstreamFailed).await;
            error.into()
        }
        Err(error) => {
            pair.failed(error.end).await;
            error.answer("resource")
        }
    }
}

async fn after(pair: &mut Pair<Plugins>, uri: &str, result: Raw) -> Answer {
    let shown = pair.has_after().then(|| to_content(&result)).flatten();
    let Some(content) = shown else {
        // Nobody looks, or there is nothing that plugins know how to look at.
        pair.failed(End::Ok).await;
        return Ok(result).into();
    };
    let shown = ResourcePostFetchPayload { uri: uri.to_owned(), content: Json::from(content) };
    let after = pair.after(Revision::new(Box::new(shown))).await;
    if let Some(blocked_by) = &after.blocked {
        return Answer::blocked(Err(blocked(ResourcePostFetch::NAME, blocked_by))).wishing(&after);
    }
    let changed = after.changed.as_ref().and_then(|revision| revision.get::<ResourcePostFetchPayload>());
    match changed {
        None => Ok(result).into(),
        Some(changed) => {
            match changed.content.value().ok().and_then(|content| with_content(&result, content)) {
                Some(result) => Ok(result).into(),
                None => server_error("a plugin changed the resource to something that is no resource").into(),
            }
        }
    }
}

/// An MCP result's contents as plugins see them: one object, or a list.
fn to_content(result: &Raw) -> Option<Value> {
    let mut result: Map<String, Value> = result.decode().ok()?;
    let Value::Array(items) = result.remove("contents")? else { return None };
    let mut shown: Vec<Value> = items.into_iter().map(item_to_content).collect();
    Some(if shown.len() == 1 { shown.remove(0) } else { Value::Array(shown) })
}

fn item_to_content(item: Value) -> Value {
    let Value::Object(item) = item else { return item };
    let mut shown = Map::new();
    shown.insert("type".to_owned(), "resource".into());
    for (name, value) in item {
        let name = if name == "mimeType" { "mime_type".to_owned() } else { name };
        shown.insert(name, value);
    }
    Value::Object(shown)
}

/// The MCP result with contents as plugins left them.
fn with_content(result: &Raw, content: &Value) -> Option<Raw> {
    let items: Vec<Value> = match content {
        Value::Array(items) => items.iter().map(content_to_item).collect::<Option<_>>()?,
        one => vec![content_to_item(one)?],
    };
    let contents = Raw::from_serialize(&items).ok()?;
    let object = result.object().ok()?;
    Some(object.splice().set("contents", &contents).ok()?.finish())
}

fn content_to_item(content: &Value) -> Option<Value> {
    let mut item = Map::new();
    for (name, value) in content.as_object()? {
        match name.as_str() {
            "type" | "id" => {}
            // What a plugin writes for "there is none".
            _ if value.is_null() => {}
            "mime_type" => {
                item.insert("mimeType".to_owned(), value.clone());
            }
            _ => {
                item.insert(name.clone(), value.clone());
            }
        }
    }
    item.contains_key("uri").then_some(Value::Object(item))
}

/// What hooks after a resource are shown when there is none.
fn substitute(asked: &dyn Payload, _: End) -> Box<dyn Payload> {
    Box::new(ResourcePostFetchPayload {
        uri: asked.subject().unwrap_or_default().to_owned(),
        content: Json::null(),
    })
}
