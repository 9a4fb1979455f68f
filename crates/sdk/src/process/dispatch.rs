//! Which service a request is for, by its path.

use std::{
    convert::Infallible,
    future::{Future, ready},
    pin::Pin,
    task::{Context, Poll},
};

use http::{Request, Response};
use mortise_proto::tyk::{
    config_provider::config_provider_service_server::ConfigProviderServiceServer,
    grpc::health::v1::health_server::HealthServer,
    plugin::{
        grpc_broker_server::GrpcBrokerServer, grpc_controller_server::GrpcControllerServer,
        grpc_stdio_server::GrpcStdioServer, plugin_service_server::PluginServiceServer,
    },
};
use tonic::{Status, body::Body, server::NamedService};
use tower_service::Service;

use super::{Alive, Controller, manifest::Describer, service, way_back};

/// All that the process serves.
#[derive(Clone)]
pub(super) struct Dispatch {
    pub(super) health: HealthServer<Alive>,
    pub(super) broker: GrpcBrokerServer<way_back::Broker>,
    pub(super) controller: GrpcControllerServer<Controller>,
    pub(super) stdio: GrpcStdioServer<way_back::Stdio>,
    pub(super) describer: ConfigProviderServiceServer<Describer>,
    pub(super) plugin: PluginServiceServer<service::Service>,
}

type Answer = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

impl Service<Request<Body>> for Dispatch {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Answer {
        match request.uri().path().split('/').nth(1).unwrap_or_default() {
            PluginServiceServer::<service::Service>::NAME => self.plugin.call(request),
            HealthServer::<Alive>::NAME => self.health.call(request),
            GrpcBrokerServer::<way_back::Broker>::NAME => self.broker.call(request),
            GrpcControllerServer::<Controller>::NAME => self.controller.call(request),
            GrpcStdioServer::<way_back::Stdio>::NAME => self.stdio.call(request),
            ConfigProviderServiceServer::<Describer>::NAME => self.describer.call(request),
            _ => Box::pin(ready(Ok(Status::unimplemented("there is no such service").into_http()))),
        }
    }
}
