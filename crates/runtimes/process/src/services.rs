//! What a plugin may ask of its gateway, served at a socket of its own.
//!
//! Who asks is told by the socket, never by what the request says: each plugin has one, in a folder nobody else may
//! enter. What it may ask is what its manifest asks for, and of that what concerns nobody else: its own values, and
//! events. Everything beyond is answered with an error that says so.

mod events;
mod management;

use std::{
    convert::Infallible,
    future::{Ready, ready},
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll},
};

use http::{Request, Response};
use hyper::body::Incoming;
use mortise_plugin_api::{Host, PluginError};
use mortise_proto::tyk::{
    microgateway_management::microgateway_management_service_server::MicrogatewayManagementServiceServer,
    plugin_events::plugin_event_service_server::PluginEventServiceServer,
};
use tonic::{Status, body::Body, server::NamedService};
use tower_service::Service;

use crate::{
    events::Bus,
    kv::Store,
    manifest::{Manifest, same},
};

/// A plugin as its services know it.
pub(crate) struct Asker {
    /// Its name.
    pub(crate) name: Arc<str>,
    /// The number it is known by.
    pub(crate) number: u32,
    pub(crate) host: Arc<dyn Host>,
    /// Where its values are, unless the host keeps them.
    pub(crate) store: Arc<Store>,
    pub(crate) bus: Arc<Bus>,
    /// The services that were approved; `None` where nobody was asked to.
    pub(crate) approved: Option<Vec<String>>,
    /// What its program says of itself; empty until it has been asked, and where it says nothing.
    pub(crate) manifest: OnceLock<Option<Manifest>>,
}

impl Asker {
    /// Whether it may use what `scope` covers: what its manifest asks for, as far as that was approved. A program that says
    /// nothing of itself asks for everything.
    fn may(&self, scope: &str) -> Result<(), Status> {
        let approves = |all: &Vec<String>| all.iter().any(|one| one == "*" || same(one, scope));
        if !self.approved.as_ref().is_none_or(approves) {
            let why = format!("insufficient scope: {scope} (plugin: {}), as it was not approved", self.name);
            return Err(Status::permission_denied(why));
        }
        match self.manifest.get() {
            Some(Some(manifest)) if !manifest.asks_for(scope) => {
                Err(Status::permission_denied(format!("insufficient scope: {scope} (plugin: {})", self.name)))
            }
            _ => Ok(()),
        }
    }
}

/// All services of one plugin.
#[derive(Clone)]
pub(crate) struct Services {
    management: MicrogatewayManagementServiceServer<management::Management>,
    events: PluginEventServiceServer<events::Events>,
}

impl Services {
    pub(crate) fn new(asker: &Arc<Asker>) -> Self {
        Self {
            management: MicrogatewayManagementServiceServer::new(management::Management(asker.clone())),
            events: PluginEventServiceServer::new(events::Events(asker.clone())),
        }
    }
}

type Answer = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

/// Which service a request is for, by its path.
impl Service<Request<Incoming>> for Services {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Answer {
        let service = request.uri().path().split('/').nth(1).unwrap_or_default();
        match service {
            MicrogatewayManagementServiceServer::<management::Management>::NAME => {
                self.management.call(request)
            }
            PluginEventServiceServer::<events::Events>::NAME => self.events.call(request),
            _ => Box::pin(unknown()),
        }
    }
}

fn unknown() -> Ready<Result<Response<Body>, Infallible>> {
    ready(Ok(Status::unimplemented("the gateway has no such service").into_http()))
}

/// What a host service that failed means to the plugin.
fn host_failed(error: &PluginError) -> Status {
    match error {
        PluginError::NoService(_) => Status::unimplemented(error.to_string()),
        PluginError::Unavailable(_) | PluginError::Timeout(_) => Status::unavailable(error.to_string()),
        PluginError::Failed { code, .. } if code == "KV_FULL" => {
            Status::resource_exhausted(error.to_string())
        }
        PluginError::Failed { code, .. } if code == "KV_REFUSED" => {
            Status::invalid_argument(error.to_string())
        }
        _ => Status::internal(error.to_string()),
    }
}
