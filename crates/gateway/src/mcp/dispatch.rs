//! Which method is answered how.

use std::time::Duration;

use mortise_mcp::{
    catalog::Kind,
    envelope::{ErrorObject, RpcError, method},
    params::{Completion, CompletionTarget, UriCall},
    raw::Raw,
    stateless::{self, discover_result},
};
use mortise_mcp_transport::upstream::Outcome;
use mortise_plugin_api::Headers;

use super::{
    exchange::{Inbound, no_answer},
    invalid_params, listing, permission, prompts, resources, rpc, tools,
};

/// What a request came to, for metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Answered.
    Ok,
    /// Blocked by a plugin.
    Blocked,
    /// Answered with an error.
    Error,
}

/// An answer, and what it came to.
pub(crate) struct Answer {
    pub(crate) outcome: Outcome,
    pub(crate) verdict: Verdict,
    /// Headers plugins would like on the HTTP answer; they go out where it is no event stream.
    pub(crate) headers: Headers,
    /// How long plugins would like to wait before the same is tried again; zero where none would.
    pub(super) again: Duration,
}

impl Answer {
    pub(crate) fn blocked(outcome: Outcome) -> Self {
        Self { outcome, verdict: Verdict::Blocked, headers: Headers::new(), again: Duration::ZERO }
    }

    /// The same with the headers plugins of a chain would like, and their wish for another attempt.
    pub(crate) fn wishing(mut self, chain: &mortise_framework::Outcome) -> Self {
        self.headers.merge(&chain.response_headers());
        self.again = self.again.max(chain.retry_after());
        self
    }

    /// After which pause the same should be tried again; never where it was blocked.
    pub(crate) fn again(&self) -> Option<Duration> {
        (self.verdict != Verdict::Blocked && !self.again.is_zero()).then_some(self.again)
    }
}

impl From<Outcome> for Answer {
    fn from(outcome: Outcome) -> Self {
        let verdict = if outcome.is_ok() { Verdict::Ok } else { Verdict::Error };
        Self { outcome, verdict, headers: Headers::new(), again: Duration::ZERO }
    }
}

impl From<RpcError> for Answer {
    fn from(error: RpcError) -> Self {
        Self::from(Err(error))
    }
}

/// Answers a request.
pub(crate) async fn answer(inbound: &mut Inbound, name: &str) -> Answer {
    if inbound.stateless.is_some() {
        if stateless::is_removed(name) {
            return rpc(&ErrorObject::method_not_found(name)).into();
        }
        if let Some(params) = &inbound.params {
            match stateless::strip(params) {
                Ok(stripped) => inbound.params = Some(stripped),
                Err(error) => return invalid_params(error).into(),
            }
        }
        let stamp = inbound.surface.stamp.clone();
        let mut answer = by_method(inbound, name).await;
        if let Ok(result) = &answer.outcome {
            answer.outcome = stateless::complete_result(name, result, &stamp).map_err(|_| {
                super::server_error(
                    "the upstream's result cannot be put into the form of protocol version 2026-07-28",
                )
            });
        }
        return answer;
    }
    by_method(inbound, name).await
}

async fn by_method(inbound: &mut Inbound, name: &str) -> Answer {
    if permission::is_asked(inbound)
        && let Err(error) = Box::pin(permission::check(inbound, name)).await
    {
        return Answer::blocked(Err(error));
    }
    match name {
        method::TOOLS_CALL => tools::call(inbound).await,
        // Boxed, so that the future of a tool call, the one that counts, stays small.
        other => Box::pin(rarely(inbound, other)).await,
    }
}

async fn rarely(inbound: &mut Inbound, name: &str) -> Answer {
    match name {
        method::PROMPTS_GET => prompts::get(inbound).await,
        method::RESOURCES_READ => resources::read(inbound).await,
        method::TOOLS_LIST => listing::list(inbound, Kind::Tools).await.into(),
        method::PROMPTS_LIST => listing::list(inbound, Kind::Prompts).await.into(),
        method::RESOURCES_LIST => listing::list(inbound, Kind::Resources).await.into(),
        method::RESOURCES_TEMPLATES_LIST => listing::list(inbound, Kind::ResourceTemplates).await.into(),
        method::PING => Ok(Raw::EMPTY_OBJECT).into(),
        method::SERVER_DISCOVER if inbound.stateless.is_some() => {
            let views = inbound.views();
            let stamp = &inbound.surface.stamp;
            Ok(discover_result(&views.capabilities, views.instructions.as_deref(), stamp)).into()
        }
        method::COMPLETION_COMPLETE => complete(inbound).await.unwrap_or_else(Answer::from),
        method::RESOURCES_SUBSCRIBE | method::RESOURCES_UNSUBSCRIBE => {
            subscribe(inbound, name).await.unwrap_or_else(Answer::from)
        }
        method::LOGGING_SET_LEVEL => set_level(inbound).await.into(),
        other => pass_on(inbound, other).await,
    }
}

/// Completion of an argument: goes where the prompt or resource is.
async fn complete(inbound: &Inbound) -> Result<Answer, RpcError> {
    let completion = Completion::parse(inbound.params.as_ref()).map_err(invalid_params)?;
    let views = inbound.views();
    let (at, target) = match &completion.target {
        CompletionTarget::Prompt(name) => {
            let entry = listing::find(inbound, Kind::Prompts, name).await;
            let (at, original) = entry.ok_or_else(|| invalid_params(format!("Unknown prompt: {name}")))?;
            (at, original.to_string())
        }
        CompletionTarget::Resource(uri) => {
            let listed = views.templates.find(uri).or_else(|| views.resources.find(uri));
            let at = listed.map(|entry| entry.upstream).or_else(|| views.find_resource(uri));
            (at.ok_or_else(|| invalid_params(format!("Unknown resource: {uri}")))?, uri.to_string())
        }
    };
    let params = completion.rewrite(&target).map_err(invalid_params)?;
    let outcome = inbound.forward(at, method::COMPLETION_COMPLETE, Some(&params), None).await;
    Ok(outcome.map_or_else(|error| error.answer("completion"), Answer::from))
}

async fn subscribe(inbound: &Inbound, name: &str) -> Result<Answer, RpcError> {
    let call = UriCall::parse(inbound.params.as_ref()).map_err(invalid_params)?;
    let Some(at) = inbound.views().find_resource(&call.uri) else {
        let stateless = inbound.stateless.is_some();
        return Err(rpc(&mortise_mcp::errors::resource_not_found(&call.uri, stateless)));
    };
    if inbound.session.is_none() {
        return Err(invalid_params("subscriptions need a session: open one with initialize"));
    }
    let outcome = inbound.forward(at, name, inbound.params.as_ref(), None).await;
    Ok(outcome.map_or_else(|error| error.answer("subscription"), Answer::from))
}

/// The log level goes to every upstream that logs; one that refuses does not keep the others from it.
async fn set_level(inbound: &Inbound) -> Outcome {
    if inbound.session.is_none() {
        return Err(invalid_params("the log level belongs to a session: open one with initialize"));
    }
    let mut first_error = None;
    let mut taken = false;
    for at in inbound.views().upstreams.clone() {
        if !listing::announces(inbound, at, "logging") {
            continue;
        }
        match inbound.forward(at, method::LOGGING_SET_LEVEL, inbound.params.as_ref(), None).await {
            Ok(Ok(_)) => taken = true,
            Ok(Err(error)) => first_error = first_error.or(Some(error)),
            Err(error) => {
                first_error = first_error.or_else(|| Some(no_answer("setting the log level", &error)));
            }
        }
    }
    match first_error {
        Some(error) if !taken => Err(error),
        None if !taken => Err(rpc(&ErrorObject::method_not_found(method::LOGGING_SET_LEVEL))),
        _ => Ok(Raw::EMPTY_OBJECT),
    }
}

/// A method that Mortise does not know goes on where it is clear to whom.
async fn pass_on(inbound: &Inbound, name: &str) -> Answer {
    let [at] = inbound.views().upstreams[..] else {
        return rpc(&ErrorObject::method_not_found(name)).into();
    };
    let outcome = inbound.forward(at, name, inbound.params.as_ref(), None).await;
    outcome.map_or_else(|error| error.answer(name), Answer::from)
}
