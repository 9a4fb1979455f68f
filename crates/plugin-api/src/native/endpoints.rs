//! Endpoints of native plugins: a registration and a function for each.

use std::sync::Arc;

use super::Native;
use crate::{
    Fut, PluginError,
    endpoint::{
        EndpointAnswer, EndpointCall, EndpointRegistration, EndpointResponse, EndpointSink, Endpoints,
        Written,
    },
};

type WholeFn<P> =
    Box<dyn for<'a> Fn(&'a P, EndpointCall) -> Fut<'a, Result<EndpointResponse, PluginError>> + Send + Sync>;
type StreamFn<P> =
    Box<dyn for<'a> Fn(&'a P, EndpointCall, EndpointSink) -> Fut<'a, Result<(), PluginError>> + Send + Sync>;

enum Handler<P> {
    Whole(WholeFn<P>),
    Stream(StreamFn<P>),
}

/// What a native plugin serves.
pub(super) struct Served<P> {
    registrations: Arc<[EndpointRegistration]>,
    /// By position of the registration.
    handlers: Vec<Handler<P>>,
}

impl<P> Default for Served<P> {
    fn default() -> Self {
        Self { registrations: Arc::new([]), handlers: Vec::new() }
    }
}

impl<P: Send + Sync + 'static> Native<P> {
    /// Has an endpoint that `handler` answers whole: `|plugin, call| Box::pin(async move { … })`.
    ///
    /// Its path is below `/plugins/{slug}`, where `slug` is a key of the entry's `config:`, which the kind's schema has
    /// to know.
    #[must_use]
    pub fn endpoint(
        self,
        registration: EndpointRegistration,
        handler: impl for<'a> Fn(&'a P, EndpointCall) -> Fut<'a, Result<EndpointResponse, PluginError>>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        self.serve(
            EndpointRegistration { stream_response: false, ..registration },
            Handler::Whole(Box::new(handler)),
        )
    }

    /// Has an endpoint that `handler` answers piece by piece: `|plugin, call, mut out| Box::pin(async move { … })`. Each
    /// piece goes to the client at once, and the answer ends when the handler returns.
    #[must_use]
    pub fn streaming_endpoint(
        self,
        registration: EndpointRegistration,
        handler: impl for<'a> Fn(&'a P, EndpointCall, EndpointSink) -> Fut<'a, Result<(), PluginError>>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        self.serve(
            EndpointRegistration { stream_response: true, ..registration },
            Handler::Stream(Box::new(handler)),
        )
    }

    fn serve(mut self, registration: EndpointRegistration, handler: Handler<P>) -> Self {
        let served = self.served.get_or_insert_default();
        served.registrations = served.registrations.iter().cloned().chain([registration]).collect();
        served.handlers.push(handler);
        self
    }

    fn handler(&self, route: usize) -> Option<&Handler<P>> {
        self.served.as_ref()?.handlers.get(route)
    }
}

impl<P: Send + Sync + 'static> Endpoints for Native<P> {
    fn registrations(&self) -> Arc<[EndpointRegistration]> {
        self.served.as_ref().map_or_else(|| Arc::new([]) as Arc<[_]>, |served| served.registrations.clone())
    }

    fn handle(self: Arc<Self>, call: EndpointCall) -> Fut<'static, Result<EndpointAnswer, PluginError>> {
        Box::pin(async move {
            let route = call.route;
            match self.handler(route) {
                Some(Handler::Whole(handler)) => handler(&self.plugin, call).await.map(EndpointAnswer::Whole),
                Some(Handler::Stream(_)) => {
                    let (sink, slot) = EndpointSink::new();
                    let writing = self.clone().write(route, call, sink);
                    Ok(EndpointAnswer::Stream(Box::new(Written::new(Box::pin(writing), slot))))
                }
                None => Err(PluginError::failed("it has no such endpoint")),
            }
        })
    }
}

impl<P: Send + Sync + 'static> Native<P> {
    /// Keeps the plugin for as long as the answer takes.
    async fn write(
        self: Arc<Self>,
        route: usize,
        call: EndpointCall,
        sink: EndpointSink,
    ) -> Result<(), PluginError> {
        match self.handler(route) {
            Some(Handler::Stream(handler)) => handler(&self.plugin, call, sink).await,
            _ => Ok(()),
        }
    }
}
