//! Asking a plugin for the answer of an endpoint, its panics kept to itself.
//!
//! A plugin with state that is just being replaced is waited for like at its hooks: the call goes to the successor. Once
//! an answer is being streamed it belongs to the plugin that began it.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    task::{Context, Poll},
};

use futures_util::FutureExt;
use mortise_plugin_api::{EndpointAnswer, EndpointCall, EndpointChunk, EndpointStream, PluginError};

use super::Mount;
use crate::{
    gate::Way,
    instance::{Instance, State},
    pipeline::isolate::panicked,
};

type Answered = Result<EndpointAnswer, PluginError>;

impl Mount {
    /// Why its plugin takes no calls now, where that is known without asking it.
    #[must_use]
    pub fn unavailable(&self) -> Option<PluginError> {
        let instance = &self.instance;
        match instance.state() {
            State::Ready if instance.foreign => None,
            // What runs elsewhere is asked, since it may have come back meanwhile.
            State::Ready => {
                let unwell = instance.unwell()?;
                Some(PluginError::Unavailable(format!("its health check failed: {unwell}")))
            }
            _ => Some(instance.why_unavailable()),
        }
    }

    /// Asks the plugin.
    ///
    /// # Errors
    /// As [`Endpoints::handle`](mortise_plugin_api::Endpoints::handle); a panic is an error too.
    pub async fn serve(&self, call: EndpointCall) -> Answered {
        let Some(gate) = self.instance.gate() else { return ask(&self.instance, call).await };
        if let Some(_inside) = gate.enter() {
            return ask(&self.instance, call).await;
        }
        match gate.way().await {
            Way::Here => ask(&self.instance, call).await,
            Way::There(successor) => ask(&successor, call).await,
            Way::Inside(inside) => ask(&inside.0, call).await,
        }
    }
}

async fn ask(instance: &Instance, call: EndpointCall) -> Answered {
    let Some(plugin) = instance.plugin() else { return Err(instance.why_unavailable()) };
    let Some(endpoints) = plugin.clone().endpoints() else {
        return Err(PluginError::failed("it has no endpoints"));
    };
    // Made inside, so that a panic before the first wait is caught too.
    let asked = AssertUnwindSafe(async move { endpoints.handle(call).await }).catch_unwind();
    match asked.await {
        Ok(Ok(EndpointAnswer::Stream(stream))) => {
            Ok(EndpointAnswer::Stream(Box::new(Caught { stream: Some(stream) })))
        }
        Ok(answered) => answered,
        Err(panic) => Err(panicked(&*panic)),
    }
}

/// A stream whose panic is an error, and its end.
struct Caught {
    stream: Option<Box<dyn EndpointStream>>,
}

impl EndpointStream for Caught {
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<EndpointChunk, PluginError>>> {
        let Some(stream) = &mut self.stream else { return Poll::Ready(None) };
        catch_unwind(AssertUnwindSafe(|| stream.poll_chunk(cx))).unwrap_or_else(|panic| {
            self.stream = None;
            Poll::Ready(Some(Err(panicked(&*panic))))
        })
    }
}
