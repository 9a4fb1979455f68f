//! Requests of plugins, sent.
//!
//! An exchange runs on the runtime the gateway was started in, whoever waits for it: plugins may wait on threads of
//! their own, where there is none. It ends with the future it was asked for by. No redirect is followed: a plugin that
//! wants to follow one asks again, and is judged again. Proxies of the environment are not used, since a proxy would
//! resolve names behind the guard's back.

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Response};
use http_body::Body;
use http_body_util::BodyExt;
use mortise_framework::Framework;
use mortise_mcp_transport::{
    chain::Chain,
    http::{
        origin::Origin,
        pool::{PoolError, PooledBody},
    },
    tls::{ClientTls, LoadedClientTls, TlsError},
};
use mortise_plugin_api::{
    Fut, Headers, PluginError,
    host::{Http, HttpRequest, HttpResponse},
};
use prometheus_client::encoding::DescriptorEncoder;
use tokio::{runtime::Handle, sync::OnceCell};
use tokio_util::task::AbortOnDropHandle;
use url::Host;

use super::{
    account::{self, ADMITTED, Account, Ended},
    guard::{Coming, Guard},
    request::{Outgoing, Refusal},
};
use crate::config::Egress;

/// Longest exchange, whatever a plugin asks for.
const LONGEST: Duration = Duration::from_secs(600);
/// Largest answer, whatever a plugin asks for, in bytes.
const LARGEST: usize = 64 << 20;
/// Addresses of a name that are tried, one after another.
const MOST_ADDRESSES: usize = 4;

/// Finds the addresses of a name.
pub(super) trait Resolve: Send + Sync {
    fn resolve<'a>(&'a self, name: &'a str, port: u16) -> Fut<'a, io::Result<Vec<SocketAddr>>>;
}

/// As the system does.
struct System;

impl Resolve for System {
    fn resolve<'a>(&'a self, name: &'a str, port: u16) -> Fut<'a, io::Result<Vec<SocketAddr>>> {
        Box::pin(async move { Ok(tokio::net::lookup_host((name, port)).await?.collect()) })
    }
}

/// Why a plugin gets no answer.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("{ADMITTED} requests of this plugin are under way or wait already")]
    Busy,
    #[error("no answer within {} ms", .0.as_millis())]
    TimedOut(Duration),
    #[error("finding the address of {origin}")]
    Resolve { origin: Origin, source: io::Error },
    #[error("{0} has no address")]
    NoAddress(Origin),
    #[error("setting up TLS")]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Exchange(#[from] PoolError),
    #[error("reading the answer of {origin}")]
    Interrupted { origin: Origin, source: hyper::Error },
    #[error("the answer of {origin} is larger than {limit} bytes")]
    TooLarge { origin: Origin, limit: usize },
    #[error("what sends the requests has ended")]
    Ending,
}

impl Failure {
    const fn ended(&self) -> Ended {
        match self {
            Self::Refused(_) | Self::Busy => Ended::Refused,
            Self::TimedOut(_) => Ended::Timeout,
            _ => Ended::Error,
        }
    }
}

impl From<Failure> for PluginError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::TimedOut(after) => Self::Timeout(after),
            Failure::Ending => Self::Unavailable(failure.to_string()),
            Failure::Refused(_) => {
                let (message, code) = (Chain(&failure).to_string(), "EGRESS_REFUSED".to_owned());
                Self::Failed { message, code, details: serde_json::Map::new() }
            }
            _ => Self::failed(Chain(&failure).to_string()),
        }
    }
}

/// Sends requests for plugins.
pub struct HttpService {
    guard: Arc<Guard>,
    runtime: Handle,
    resolver: Box<dyn Resolve>,
    /// Loaded by the first request that needs it: reading the system's roots takes a while.
    tls: OnceCell<LoadedClientTls>,
    accounts: Mutex<BTreeMap<Arc<str>, Arc<Account>>>,
}

impl HttpService {
    /// Sends on this runtime, which needs I/O and time, to where `egress` allows.
    #[must_use]
    pub fn new(egress: Egress, runtime: Handle) -> Arc<Self> {
        Self::with(egress, runtime, Box::new(System), OnceCell::new())
    }

    pub(super) fn with(
        egress: Egress,
        runtime: Handle,
        resolver: Box<dyn Resolve>,
        tls: OnceCell<LoadedClientTls>,
    ) -> Arc<Self> {
        let guard = Arc::new(Guard::new(egress));
        Arc::new(Self { guard, runtime, resolver, tls, accounts: Mutex::default() })
    }

    /// Gives it to the plugins of a framework that are made from now on.
    pub fn offer_to(self: &Arc<Self>, framework: &Framework) {
        let this = self.clone();
        framework.offer_http(move |plugin| this.of(plugin));
    }

    /// The service as one plugin has it.
    pub fn of(self: &Arc<Self>, plugin: &Arc<str>) -> Arc<dyn Http> {
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        let account = accounts.entry(plugin.clone());
        let account = account.or_insert_with(|| Arc::new(Account::new(plugin.clone()))).clone();
        Arc::new(PluginHttp { service: self.clone(), account })
    }

    /// Lets requests through that another configuration allows, too, until that is in force or given up.
    pub(crate) fn widen(&self, egress: &Egress) -> Coming {
        self.guard.widen(egress)
    }

    /// Shows what was counted to a metrics registry.
    pub(crate) fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> std::fmt::Result {
        let accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        let accounts: Vec<_> = accounts.values().cloned().collect();
        account::encode(&accounts, encoder)
    }

    /// One request from its check to the end of its answer, counted and told.
    async fn exchange(&self, account: &Account, request: HttpRequest) -> Result<HttpResponse, Failure> {
        let tally = account.begin();
        let limit = request.timeout.min(LONGEST);
        let most = request.max_response_bytes.min(LARGEST);
        let plugin = &*account.plugin;
        let outgoing = match Outgoing::new(request) {
            Ok(outgoing) => outgoing,
            Err(refusal) => {
                tally.end(Ended::Refused);
                tell_refused(account, &refusal);
                return Err(refusal.into());
            }
        };
        let attempt = tokio::time::timeout(limit, self.attempt(account, &outgoing, most));
        let result = attempt.await.unwrap_or(Err(Failure::TimedOut(limit)));
        let took = tally.end(result.as_ref().map_or_else(Failure::ended, |_| Ended::Ok));
        let (method, origin, took_ms) = (outgoing.method(), &outgoing.origin, took.as_millis());
        match &result {
            Ok(answer) => {
                let status = answer.status;
                tracing::debug!(plugin, %method, %origin, status, took_ms, "request of a plugin");
            }
            Err(Failure::Refused(refusal)) => tell_refused(account, refusal),
            Err(failure) => {
                let error = Chain(failure);
                tracing::debug!(plugin, %method, %origin, %error, took_ms, "request of a plugin failed");
            }
        }
        result
    }

    async fn attempt(
        &self,
        account: &Account,
        outgoing: &Outgoing,
        most: usize,
    ) -> Result<HttpResponse, Failure> {
        let _turn = account.turn().await.ok_or(Failure::Busy)?;
        let addresses = self.addresses(outgoing).await?;
        let origin = &outgoing.origin;
        let tls = if origin.is_secure() { Some(self.tls().await?) } else { None };
        let mut failed = None;
        for address in addresses.into_iter().take(MOST_ADDRESSES) {
            let pool = account.pool(origin, address, tls.clone());
            match pool.send(|| outgoing.message()).await {
                Ok(answer) => return read(answer, origin, most).await,
                Err(error) if error.nothing_sent() => failed = Some(error),
                Err(error) => return Err(error.into()),
            }
        }
        Err(failed.map_or_else(|| Failure::NoAddress(origin.clone()), Failure::Exchange))
    }

    /// The addresses of a request's host that may be connected to; what is connected to is one of these.
    async fn addresses(&self, outgoing: &Outgoing) -> Result<Vec<SocketAddr>, Failure> {
        let (asked, origin) = (outgoing.asked(), &outgoing.origin);
        let found = match asked.host {
            Host::Ipv4(ip) => vec![SocketAddr::new(ip.into(), asked.port)],
            Host::Ipv6(ip) => vec![SocketAddr::new(ip.into(), asked.port)],
            Host::Domain(name) => {
                let failed = |source| Failure::Resolve { origin: origin.clone(), source };
                self.resolver.resolve(name, asked.port).await.map_err(failed)?
            }
        };
        let (mut allowed, mut refused) = (Vec::new(), None);
        for address in found {
            match self.guard.check(&asked, address.ip()) {
                Ok(()) if address.is_ipv4() || address.ip().to_canonical().is_ipv6() => allowed.push(address),
                Ok(()) => allowed.push(SocketAddr::new(address.ip().to_canonical(), address.port())),
                Err(why) => refused = refused.or(Some(outgoing.forbidden(address.ip(), why))),
            }
        }
        match refused {
            Some(refusal) if allowed.is_empty() => Err(refusal.into()),
            None if allowed.is_empty() => Err(Failure::NoAddress(origin.clone())),
            _ => Ok(allowed),
        }
    }

    async fn tls(&self) -> Result<LoadedClientTls, Failure> {
        let load = async || {
            let loaded = tokio::task::spawn_blocking(|| ClientTls::default().load()).await;
            loaded.map_err(|_| Failure::Ending)?.map_err(Failure::Tls)
        };
        self.tls.get_or_try_init(load).await.cloned()
    }
}

impl std::fmt::Debug for HttpService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpService").field("guard", &self.guard).finish_non_exhaustive()
    }
}

/// Tells the operator, now and then: a plugin may ask for the same again and again.
fn tell_refused(account: &Account, refusal: &Refusal) {
    let (plugin, reason) = (&*account.plugin, Chain(refusal));
    let address = match refusal {
        Refusal::Address { address, .. } => Some(address),
        _ => None,
    };
    if account.complains() {
        tracing::warn!(plugin, %reason, address = address.map(tracing::field::display), "request of a plugin refused");
    } else {
        tracing::debug!(plugin, %reason, address = address.map(tracing::field::display), "request of a plugin refused");
    }
}

/// Reads an answer, and no more of it than is wanted.
async fn read(answer: Response<PooledBody>, origin: &Origin, limit: usize) -> Result<HttpResponse, Failure> {
    let (head, mut incoming) = answer.into_parts();
    let too_large = || Failure::TooLarge { origin: origin.clone(), limit };
    // A length that was announced is not read first to be found too large.
    if incoming.size_hint().lower() > limit as u64 {
        return Err(too_large());
    }
    let mut body = BytesMut::new();
    while let Some(frame) = incoming.frame().await {
        let frame = frame.map_err(|source| Failure::Interrupted { origin: origin.clone(), source })?;
        let Ok(data) = frame.into_data() else { continue };
        if data.len() > limit - body.len() {
            return Err(too_large());
        }
        body.extend_from_slice(&data);
    }
    Ok(HttpResponse { status: head.status.as_u16(), headers: shown(&head.headers), body: Bytes::from(body) })
}

/// Headers as plugins see them.
fn shown(headers: &HeaderMap) -> Headers {
    let mut shown = Headers::new();
    for name in headers.keys() {
        let values: Vec<_> =
            headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
        shown.set(name.as_str(), values.join(", "));
    }
    shown
}

/// The service as one plugin has it.
struct PluginHttp {
    service: Arc<HttpService>,
    account: Arc<Account>,
}

impl Http for PluginHttp {
    fn send(&self, request: HttpRequest) -> Fut<'_, Result<HttpResponse, PluginError>> {
        Box::pin(async move {
            let (service, account) = (self.service.clone(), self.account.clone());
            let exchange =
                self.service.runtime.spawn(async move { service.exchange(&account, request).await });
            let ended = AbortOnDropHandle::new(exchange).await;
            Ok(ended.unwrap_or(Err(Failure::Ending))?)
        })
    }
}
