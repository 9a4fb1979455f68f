//! HTTP endpoints of a plugin's own: what it registers, what it is asked, and how it answers, whole or piece by piece.
//!
//! One contract for every runtime: a plugin that has endpoints gives an [`Endpoints`] ([`Plugin::endpoints`]), and
//! whoever serves HTTP routes to it. Nothing here opens a socket, matches a path or knows who may call. A streamed
//! answer is pulled ([`EndpointStream`]), not pushed: who reads slowly is waited for without a queue in between, and who
//! leaves drops the stream, which cancels whatever makes it. Native authors write into an [`EndpointSink`] instead.
//!
//! [`Plugin::endpoints`]: crate::Plugin::endpoints

mod answer;
mod registration;
mod request;
mod sink;

#[cfg(test)]
mod tests;

use std::{fmt, sync::Arc, time::Instant};

use crate::{Fut, Host, PluginError, Request};

pub use answer::{EndpointAnswer, EndpointChunk, EndpointResponse, EndpointStream};
pub use registration::{EndpointMethod, EndpointRegistration};
pub use request::{EndpointApp, EndpointRequest};
pub use sink::EndpointSink;
pub(crate) use sink::Written;

/// The endpoints of one plugin.
pub trait Endpoints: Send + Sync {
    /// What it serves now. Asked for every request, so it is kept and not made anew: as long as nothing has changed, the
    /// same list is given out again.
    fn registrations(&self) -> Arc<[EndpointRegistration]>;

    /// Answers a request. Dropping the future, or the stream it gives, cancels the call, on the wire too.
    ///
    /// # Errors
    /// [`PluginError::Unavailable`] where the plugin cannot be asked now, [`PluginError::Timeout`] where it has not
    /// answered in time, any other where it failed.
    fn handle(self: Arc<Self>, call: EndpointCall) -> Fut<'static, Result<EndpointAnswer, PluginError>>;
}

/// One request to an endpoint, and what is known of it beside.
pub struct EndpointCall {
    /// What was asked.
    pub request: EndpointRequest,
    /// The request it belongs to: id, caller, trace.
    pub about: Request,
    /// Position of the registration it fits, among those that [`Endpoints::registrations`] gave.
    pub route: usize,
    /// Whether that registration is answered piece by piece.
    pub stream: bool,
    /// When an answer is no longer waited for; of a streamed one, its end.
    pub deadline: Instant,
    /// Host services.
    pub host: Arc<dyn Host>,
}

impl fmt::Debug for EndpointCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EndpointCall")
            .field("request", &self.request)
            .field("id", &self.about.id)
            .field("stream", &self.stream)
            .finish_non_exhaustive()
    }
}
