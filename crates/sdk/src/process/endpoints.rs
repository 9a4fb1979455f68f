//! Endpoints of the plugin, asked by the gateway that routes to them.

use std::{collections::HashMap, future::poll_fn, pin::Pin, sync::Arc, time::Instant};

use futures_util::{Stream, stream};
use mortise_plugin_api::{
    EndpointAnswer, EndpointApp, EndpointCall, EndpointChunk, EndpointMethod, EndpointRegistration,
    EndpointRequest, EndpointStream, Host, Plugin, PluginError,
};
use mortise_proto::tyk::plugin::{
    App, EndpointRegistration as Registered, EndpointRequest as Wanted, EndpointResponse as Answered,
    EndpointResponseChunk, endpoint_response_chunk::ChunkType,
};
use serde_json::Value;
use tonic::Status;

use super::{
    answers::{canonical, failed, lower},
    calls::Asked,
};

/// A streamed answer on its way to the gateway.
pub(super) type Chunks = Pin<Box<dyn Stream<Item = Result<EndpointResponseChunk, Status>> + Send>>;

/// What the plugin serves, as the gateway is told.
pub(super) fn registered(plugin: &Arc<dyn Plugin>) -> Vec<Registered> {
    let Some(endpoints) = plugin.clone().endpoints() else { return Vec::new() };
    let told = |one: &EndpointRegistration| Registered {
        path: one.path.clone(),
        methods: one.methods.iter().map(|method| method.word().to_owned()).collect(),
        description: one.description.clone(),
        require_auth: one.require_auth,
        stream_response: one.stream_response,
        metadata: one.metadata.clone().into_iter().collect(),
    };
    endpoints.registrations().iter().map(told).collect()
}

/// Asks the plugin for an answer.
pub(super) async fn ask(
    plugin: &Arc<dyn Plugin>,
    host: &Arc<dyn Host>,
    wanted: Wanted,
    asked: Asked,
    stream: bool,
) -> Result<EndpointAnswer, Status> {
    let none = || Status::unimplemented("the plugin has no such endpoint");
    let method = EndpointMethod::of_word(&wanted.method).ok_or_else(none)?;
    let endpoints = plugin.clone().endpoints().ok_or_else(none)?;
    let route = route(&endpoints.registrations(), method, &wanted.relative_path).ok_or_else(none)?;
    let app = wanted.app.map(app);
    let asked = asked.by("", app.as_ref().map_or("", |app| app.name.as_str()));
    let request = EndpointRequest {
        method,
        path: wanted.path,
        relative_path: wanted.relative_path,
        path_segments: wanted.path_segments,
        headers: lower(&wanted.headers),
        body: wanted.body,
        query_string: wanted.query_string,
        remote_addr: wanted.remote_addr,
        host: wanted.host,
        protocol: "http",
        authenticated: wanted.authenticated,
        app: app.map(Arc::new),
        scopes: wanted.scopes.iter().map(|scope| Arc::from(scope.as_str())).collect(),
    };
    let deadline = Instant::now() + asked.patience;
    let call = EndpointCall { request, about: asked.request, route, stream, deadline, host: host.clone() };
    let answer = crate::call::timed(asked.patience, endpoints.handle(call)).await;
    answer.map_err(failed)
}

/// Which registration a request is for: its path, then the longest wildcard it is under.
fn route(registrations: &[EndpointRegistration], method: EndpointMethod, path: &str) -> Option<usize> {
    let fits = |one: &EndpointRegistration| {
        if !one.methods.contains(&method) {
            return None;
        }
        match one.path.strip_suffix('*') {
            Some(above) => path.starts_with(above).then_some(above.len()),
            None => (one.path == path).then_some(usize::MAX),
        }
    };
    let fitting = registrations.iter().enumerate().filter_map(|(at, one)| Some((fits(one)?, at)));
    fitting.max_by_key(|(length, at)| (*length, std::cmp::Reverse(*at))).map(|(_, at)| at)
}

/// An app. Its data travel as texts; what was JSON is that again.
fn app(app: App) -> EndpointApp {
    EndpointApp {
        id: app.id,
        name: app.name,
        description: app.description,
        owner_email: app.owner_email,
        is_active: app.is_active,
        monthly_budget: app.monthly_budget,
        rate_limit: u32::try_from(app.rate_limit).unwrap_or(0),
        metadata: app.metadata.into_iter().map(|(key, text)| (key, Value::String(text))).collect(),
    }
}

/// An answer that is whole. One that is not was asked for as one.
pub(super) fn whole(answer: EndpointAnswer) -> Result<Answered, Status> {
    match answer {
        EndpointAnswer::Whole(answer) => Ok(Answered {
            status_code: i32::from(answer.status),
            headers: canonical(&answer.headers),
            body: answer.body,
            error_message: String::new(),
        }),
        EndpointAnswer::Stream(_) => Err(Status::internal("the endpoint answers piece by piece")),
    }
}

/// An answer as pieces, which one that is whole is too.
pub(super) fn pieces(answer: EndpointAnswer) -> Chunks {
    match answer {
        EndpointAnswer::Whole(answer) => {
            let head = chunk_of(Ok(EndpointChunk::Head { status: answer.status, headers: answer.headers }));
            let body = chunk_of(Ok(EndpointChunk::Body(answer.body)));
            Box::pin(stream::iter([head, body, Ok(done())]))
        }
        EndpointAnswer::Stream(chunks) => Box::pin(stream::unfold(Some(chunks), next)),
    }
}

type Left = Option<Box<dyn EndpointStream>>;

async fn next(left: Left) -> Option<(Result<EndpointResponseChunk, Status>, Left)> {
    let mut chunks = left?;
    match poll_fn(|cx| chunks.poll_chunk(cx)).await {
        None => Some((Ok(done()), None)),
        Some(chunk) => {
            let last = !matches!(chunk, Ok(EndpointChunk::Head { .. } | EndpointChunk::Body(_)));
            Some((chunk_of(chunk), (!last).then_some(chunks)))
        }
    }
}

fn done() -> EndpointResponseChunk {
    EndpointResponseChunk { r#type: ChunkType::Done.into(), ..EndpointResponseChunk::default() }
}

/// A piece as it travels. What the plugin fails with is its word, as long as it is there to say so.
fn chunk_of(chunk: Result<EndpointChunk, PluginError>) -> Result<EndpointResponseChunk, Status> {
    let (kind, status, headers, data, error_message) = match chunk {
        Ok(EndpointChunk::Head { status, headers }) => {
            (ChunkType::Headers, status, canonical(&headers), bytes::Bytes::new(), String::new())
        }
        Ok(EndpointChunk::Body(data)) => (ChunkType::Body, 0, HashMap::new(), data, String::new()),
        Ok(EndpointChunk::Failed(why)) => (ChunkType::Error, 0, HashMap::new(), bytes::Bytes::new(), why),
        Err(error) => (ChunkType::Error, 0, HashMap::new(), bytes::Bytes::new(), error.to_string()),
    };
    let status_code = i32::from(status);
    Ok(EndpointResponseChunk { r#type: kind.into(), status_code, headers, data, error_message })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_path_goes_before_wildcards_and_a_longer_one_before_a_shorter() {
        let get = [EndpointMethod::Get];
        let paths = ["/*", "/users/*", "/users/me", "/users/me"];
        let registered: Vec<_> = paths.iter().map(|path| EndpointRegistration::new(*path, get)).collect();
        let found = |path: &str| route(&registered, EndpointMethod::Get, path);
        assert_eq!(found("/users/me"), Some(2));
        assert_eq!(found("/users/you"), Some(1));
        assert_eq!(found("/users"), Some(0));
        assert_eq!(found("/"), Some(0));
        assert_eq!(route(&registered, EndpointMethod::Post, "/users/me"), None);
    }
}
