//! Fetching a document from where the configuration says it is.

use std::time::Duration;

use bytes::Bytes;
use http::{
    HeaderValue, Request, StatusCode,
    header::{ACCEPT, HOST},
};
use http_body_util::Full;
use mortise_mcp_transport::{
    chain::Chain,
    http::{
        origin::Origin,
        pool::{Pool, PoolConfig},
    },
    tls::LoadedClientTls,
};
use mortise_openapi::Document;
use url::{Position, Url};

use super::api::read;
use crate::config::{
    Tool,
    tools::{MOST_DOCUMENT_BYTES, parse},
};

/// Longest time that fetching may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// The document, of its operations those that may be called.
///
/// # Errors
/// A sentence for people: why it cannot be had, or used.
pub(super) async fn document(
    url: &Url,
    tls: Option<LoadedClientTls>,
    tool: &Tool,
) -> Result<Document, String> {
    let text = tokio::time::timeout(PATIENCE, text(url, tls)).await;
    let text = text.unwrap_or_else(|_| Err(format!("no answer within {} s", PATIENCE.as_secs())));
    let text = text.map_err(|reason| format!("its OpenAPI document could not be fetched: {reason}"))?;
    let (tool, name) = (tool.clone(), mortise_telemetry::redact::url(url.as_str()));
    // A large one takes a while.
    let read = tokio::task::spawn_blocking(move || tool.read(&parse(&name, &text)?)).await;
    read.unwrap_or_else(|error| Err(error.to_string()))
        .map_err(|reason| format!("its OpenAPI document cannot be used: {reason}"))
}

async fn text(url: &Url, tls: Option<LoadedClientTls>) -> Result<String, String> {
    let origin = Origin::of(url).map_err(|error| error.to_string())?;
    let target: http::Uri =
        url[Position::BeforePath..Position::AfterQuery].parse().map_err(|_| "it is no address".to_owned())?;
    let pool = Pool::new(origin.clone(), tls.filter(|_| origin.is_secure()), PoolConfig::default());
    let make = || {
        let mut request = Request::new(Full::new(Bytes::new()));
        *request.uri_mut() = target.clone();
        request.headers_mut().insert(HOST, origin.authority().clone());
        request
            .headers_mut()
            .insert(ACCEPT, HeaderValue::from_static("application/json, application/yaml, */*"));
        request
    };
    let response = pool.send(make).await.map_err(|error| Chain(&error).to_string())?;
    if response.status() != StatusCode::OK {
        return Err(format!("{origin} answered with status {}", response.status().as_u16()));
    }
    let body = read(response, &origin, MOST_DOCUMENT_BYTES).await;
    let body = body.map_err(|error| Chain(&error).to_string())?;
    String::from_utf8(body.to_vec()).map_err(|_| "it is no UTF-8".to_owned())
}
