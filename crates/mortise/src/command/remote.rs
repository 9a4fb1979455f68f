//! Asking a running gateway.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, anyhow, bail};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use mortise_gateway::{
    config::{DEFAULT_STATE_DIR, Secret},
    state_dir::LocalGateway,
};
use mortise_mcp_transport::{
    chain::Chain,
    http::{
        origin::Origin,
        pool::{Pool, PoolConfig},
    },
    tls::ClientTls,
};
use serde_json::Value;
use url::Url;

use super::{NotSettled, block_on, settle};
use crate::{
    Assembly,
    cli::{ConfigArgs, RemoteArgs},
};

/// Largest answer that is read.
const MAX_ANSWER: usize = 64 << 20;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a change may take: plugins are started for it.
const PATIENCE_FOR_CHANGES: Duration = Duration::from_secs(180);

/// A gateway that runs somewhere.
pub(super) struct Remote {
    url: String,
    token: Option<Secret>,
}

impl Remote {
    /// The gateway that the flags mean. A token that was not given is looked for where the gateway of the same
    /// configuration leaves one.
    pub(super) fn find(
        args: &RemoteArgs,
        config: &ConfigArgs,
        assembly: &Assembly,
    ) -> Result<Self, NotSettled> {
        let given = args.url.clone().unwrap_or_default();
        let token = args.token.clone().map(Secret::new);
        if given != "local" && token.is_some() {
            return Ok(Self { url: given, token });
        }
        let (local, folder) = match state_dir(config, assembly) {
            Ok(folder) => (LocalGateway::find(&folder), folder),
            // A configuration is not needed to ask a gateway at a URL.
            Err(_) if given != "local" => (None, PathBuf::new()),
            Err(problem) => return Err(problem),
        };
        if given != "local" {
            // The credential is for one gateway, and is not shown to another.
            let token = local.filter(|local| same(&local.url, &given)).map(|local| local.token);
            return Ok(Self { url: given, token });
        }
        let local = local.ok_or_else(|| {
            let folder = folder.display();
            NotSettled::Other(anyhow!(
                "no gateway runs with the state folder {folder}: start one here (`mortise serve`), or say which by --url"
            ))
        })?;
        Ok(Self { url: local.url, token: token.or(Some(local.token)) })
    }

    /// The same, where no gateway is named: the one that runs with the configuration's state_dir.
    pub(super) fn running(
        args: &RemoteArgs,
        config: &ConfigArgs,
        assembly: &Assembly,
    ) -> Result<Self, NotSettled> {
        let mut which = args.clone();
        which.url.get_or_insert_with(|| "local".to_owned());
        Self::find(&which, config, assembly)
    }

    /// The gateway at a URL.
    pub(super) fn at(url: String, token: Option<Secret>) -> Self {
        Self { url, token }
    }

    /// Where it is.
    pub(super) fn url(&self) -> &str {
        &self.url
    }
}

/// Where the gateway of a configuration keeps its state. A configuration with errors does not keep one from the
/// gateway that runs with an earlier form of it, where that uses the usual folder.
pub(super) fn state_dir(config: &ConfigArgs, assembly: &Assembly) -> Result<PathBuf, NotSettled> {
    match settle(config, assembly) {
        Ok(settled) => Ok(settled.state_dir),
        Err(problem) => {
            let usual = PathBuf::from(DEFAULT_STATE_DIR);
            if usual.is_dir() { Ok(usual) } else { Err(problem) }
        }
    }
}

/// Whether two URLs mean the same address.
fn same(a: &str, b: &str) -> bool {
    let origin = |text: &str| {
        let url = Url::parse(text).ok()?;
        let host = url.host_str()?.replace("localhost", "127.0.0.1");
        Some((url.scheme().to_owned(), host, url.port_or_known_default()))
    };
    origin(a).is_some_and(|a| origin(b) == Some(a))
}

/// Asks for a page of the management surface.
pub(super) fn ask(remote: &Remote, path: &str) -> anyhow::Result<Value> {
    let (status, value) = within(PATIENCE, remote, Method::GET, path, None)?;
    if !status.is_success() {
        bail!("{} answered {status}: {}", remote.url, value["detail"].as_str().unwrap_or("no reason given"));
    }
    Ok(value)
}

/// Has the management surface do something; its answer also where it did not.
pub(super) fn tell(
    remote: &Remote,
    method: Method,
    path: &str,
    body: Option<&Value>,
) -> anyhow::Result<(StatusCode, Value)> {
    within(PATIENCE_FOR_CHANGES, remote, method, path, body)
}

fn within(
    patience: Duration,
    remote: &Remote,
    method: Method,
    path: &str,
    body: Option<&Value>,
) -> anyhow::Result<(StatusCode, Value)> {
    block_on(async { tokio::time::timeout(patience, send(remote, method, path, body)).await })?
        .map_err(|_| anyhow!("{} did not answer within {} s", remote.url, patience.as_secs()))?
}

/// A page of the management surface as it came, for what is no JSON.
pub(super) fn fetch(remote: &Remote, path: &str) -> anyhow::Result<Response<Bytes>> {
    let answer =
        block_on(async { tokio::time::timeout(PATIENCE, raw(remote, Method::GET, path, None)).await })?;
    let answer =
        answer.map_err(|_| anyhow!("{} did not answer within {} s", remote.url, PATIENCE.as_secs()))??;
    if !answer.status().is_success() {
        let problem: Value = serde_json::from_slice(answer.body()).unwrap_or_default();
        let reason = problem["detail"].as_str().unwrap_or("no reason given");
        bail!("{} answered {}: {reason}", remote.url, answer.status());
    }
    Ok(answer)
}

/// The same within a runtime, and without an end to the wait.
pub(super) async fn send(
    remote: &Remote,
    method: Method,
    path: &str,
    body: Option<&Value>,
) -> anyhow::Result<(StatusCode, Value)> {
    let answer = raw(remote, method, path, body).await?;
    Ok((answer.status(), serde_json::from_slice(answer.body()).unwrap_or_default()))
}

/// The answer as it came.
pub(super) async fn raw(
    remote: &Remote,
    method: Method,
    path: &str,
    body: Option<&Value>,
) -> anyhow::Result<Response<Bytes>> {
    let url = Url::parse(&remote.url).with_context(|| format!("`{}` is not a URL", remote.url))?;
    let origin = Origin::of(&url)?;
    let tls = match origin.is_secure() {
        true => Some(ClientTls::default().load()?),
        false => None,
    };
    let pool = Pool::new(origin.clone(), tls, PoolConfig::default());
    let full_path = format!("{}{path}", url.path().trim_end_matches('/'));
    let text: Bytes = body.map(Value::to_string).unwrap_or_default().into();
    let mut request = Request::builder().method(method).uri(&full_path).body(Full::new(text))?;
    if body.is_some() {
        request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    request.headers_mut().insert(header::HOST, origin.authority().clone());
    if let Some(token) = &remote.token {
        let value = HeaderValue::try_from(format!("Bearer {}", token.expose()));
        request
            .headers_mut()
            .insert(header::AUTHORIZATION, value.context("the token holds strange characters")?);
    }
    let answer = pool.send(|| request.clone()).await.map_err(|error| anyhow!("{}", Chain(&error)))?;
    let (head, body) = answer.into_parts();
    let body = Limited::new(body, MAX_ANSWER).collect().await;
    let body = body.map_err(|error| anyhow!("reading the answer of {}: {error}", remote.url))?.to_bytes();
    if head.status == StatusCode::UNAUTHORIZED {
        bail!("{} wants the admin token: give it by --token or MORTISE_TOKEN", remote.url);
    }
    Ok(Response::from_parts(head, body))
}
