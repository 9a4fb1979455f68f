//! Asks an Open Policy Agent whether a call may go on.
//!
//! By its data API: the call is the `input`, the decision is the `result`, a boolean or an object that says `allow`.
//! A decision that is not there, because no rule of that name is defined or none applies, refuses: a mistyped path must
//! not open every door. Nothing is kept unless it is asked for, since policies and their data change at any time.

pub mod config;
mod decision;
mod routes;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::Bytes;
use mortise_plugin_api::{
    Answer, BuildError, Call, Context, Hook, Json, NativeKind, Needs, Plugin, PluginError, Reply, Violation,
    hooks::{PromptPreFetch, ResourcePreFetch, ToolPreInvoke},
    host::{Host, LogLevel},
};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::service::{
    Action, Asking, Cache, Judge, Key, Reach, Service, between, cache,
    facts::{self, CallerFacts, HookNames, JUDGED, RequestFacts},
    noted,
};
use config::Config;
use decision::Decision;
use routes::Routes;

/// The kind, for registration.
#[must_use]
pub fn kind() -> NativeKind {
    NativeKind {
        name: "opa",
        class_paths: &["opapluginfilter.plugin.OPAPluginFilter"],
        about: "Asks an Open Policy Agent whether a call may go on.",
        hooks: &[ToolPreInvoke::ID, PromptPreFetch::ID, ResourcePreFetch::ID],
        config_schema: NativeKind::schema_of::<Config>,
        build,
    }
}

fn build(config: &Value) -> Result<Arc<dyn Plugin>, BuildError> {
    let config: Config = NativeKind::read(config)?;
    between("max_input_bytes", config.max_input_bytes as u64, 1, 64 << 20)?;
    let base = config.base();
    let reach = Reach {
        name: "the policy agent",
        field: "url",
        url: &base,
        token: config.token.as_deref(),
        headers: &config.headers,
        timeout_ms: config.timeout_ms,
        max_answer_bytes: config.max_answer_bytes,
        on_failure: config.on_failure,
    };
    let opa = Opa {
        service: Service::new(&reach)?,
        routes: Routes::new(&base, &config)?,
        cache: cache(config.cache_seconds, config.cache_entries)?,
        hooks: HookNames::new(),
        config,
    };
    let needs = Needs::block();
    let needs = if opa.config.include_payload { needs } else { needs.without_body() };
    Ok(Arc::new(Asking { judge: opa, hooks: JUDGED, needs }))
}

struct Opa {
    service: Service,
    routes: Routes,
    cache: Option<Cache<Arc<Decision>>>,
    hooks: HookNames,
    config: Config,
}

/// What is decided about.
#[derive(Serialize)]
struct Input<'a> {
    hook: &'a str,
    subject: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<Json>,
    caller: CallerFacts<'a>,
    request: RequestFacts<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
    context: Shared<'a>,
}

/// What plugins before this one have noted for all.
#[derive(Serialize)]
struct Shared<'a> {
    state: &'a Map<String, Value>,
    metadata: &'a Map<String, Value>,
}

#[derive(Serialize)]
struct Question<'a> {
    input: &'a Input<'a>,
}

/// A question, written.
struct Written {
    body: Bytes,
    /// What a decision on it is kept by: all but the request's id.
    key: Option<Key>,
}

impl Judge for Opa {
    fn service(&self) -> &Service {
        &self.service
    }

    fn ready(&self) -> Result<(), PluginError> {
        if self.routes.is_empty() {
            let message = "names no policy: write `path` under `config`, or, as ContextForge does, `applied_to` beside it";
            return Err(PluginError::Unavailable(message.to_owned()));
        }
        Ok(())
    }

    fn judge<'a>(&'a self, call: Call<'a>, context: Context<'a>) -> Answer<'a> {
        let hook = self.hooks.of(&call);
        let Some(url) = self.routes.find(hook, facts::subject(call.payload.payload())) else {
            return Answer::Ready(Ok(Reply::pass()));
        };
        let written = match self.write(hook, url, &call, &context) {
            Ok(written) => written,
            Err(error) => return Answer::Ready(Err(error)),
        };
        if let (Some(cache), Some(key)) = (&self.cache, &written.key)
            && let Some(decision) = cache.get(key, call.host.instant())
        {
            return Answer::Ready(Ok(self.reply(&decision, call.host)));
        }
        Answer::Later(Box::pin(async move {
            let answer = self.service.ask_at(url, call.host, written.body).await?;
            let answer: decision::Answer = self.service.read(&answer)?;
            let decision = Decision::of(answer, &self.config.allow).ok_or_else(|| {
                self.service.invalid("no decision: neither a boolean nor an object that says allow")
            })?;
            let decision = Arc::new(decision);
            if let (Some(cache), Some(key)) = (&self.cache, written.key) {
                cache.put(key, decision.clone(), call.host.instant(), None);
            }
            Ok(self.reply(&decision, call.host))
        }))
    }
}

impl Opa {
    fn write(
        &self,
        hook: &str,
        url: &str,
        call: &Call<'_>,
        context: &Context<'_>,
    ) -> Result<Written, PluginError> {
        let payload = if self.config.include_payload { Some(facts::payload(call)?) } else { None };
        let shared = context.shared_base();
        let mut input = Input {
            hook,
            subject: facts::subject(call.payload.payload()),
            payload,
            caller: CallerFacts::of(call.request),
            request: RequestFacts::of(call.request),
            request_id: None,
            context: Shared { state: &shared.state, metadata: &shared.metadata },
        };
        let failed = |_| PluginError::failed("the call cannot be written as JSON");
        let write = |input: &Input<'_>| serde_json::to_vec(&Question { input }).map_err(failed);
        let key = match &self.cache {
            Some(_) => Some(Key::of([url.as_bytes(), &write(&input)?])),
            None => None,
        };
        input.request_id = Some(&call.request.id);
        let body = write(&input)?;
        let most = self.config.max_input_bytes;
        if body.len() > most {
            return Err(PluginError::failed(format!("the input is larger than {most} bytes")));
        }
        Ok(Written { body: body.into(), key })
    }

    fn reply(&self, decision: &Decision, host: &dyn Host) -> Reply {
        let Decision::Refused { code, reason } = decision else { return Reply::pass() };
        if self.config.action == Action::Audit {
            host.log(LogLevel::Warn, "the policy would refuse", &[("reason", reason)]);
            return noted("policy_would_refuse", reason.as_str());
        }
        let violation =
            Violation::new(code.as_str(), "Refused by policy").describe(reason.as_str()).http_status(403);
        Reply { violation: Some(Box::new(violation)), ..Reply::pass() }
    }
}
