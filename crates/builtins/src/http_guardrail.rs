//! Asks a guardrail that any service can be: the texts of a call go out, a verdict comes back.
//!
//! The contract is Mortise's own and small enough to be implemented in an afternoon; it is written down in
//! `contracts/openapi/guardrail.yaml`. Positions in it count characters, since bytes mean nothing to most languages that
//! such a service is written in. Everything it answers is checked before any of it is believed.

pub mod config;
mod wire;

#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use mortise_plugin_api::{
    Answer, BuildError, Call, Change, Context, Edits, Hook, NativeKind, Needs, Notes, Payload, Plugin,
    PluginError, Reply, Violation,
    hooks::{PromptPreFetch, ResourcePostFetch, TEXT_HOOKS, ToolPostInvoke, ToolPreInvoke},
    host::LogLevel,
};
use serde_json::Value;

use crate::service::{Action, Asking, Cache, Judge, Key, Reach, Service, cache, facts::HookNames};
use config::Config;
use wire::{Asked, Judged, Shown, Word};

/// Largest answer that is kept, in bytes.
const LARGEST_KEPT: usize = 16_384;

/// The kind, for registration.
#[must_use]
pub fn kind() -> NativeKind {
    NativeKind {
        name: "http_guardrail",
        class_paths: &[],
        about: "Asks a guardrail service over HTTP, by a small contract that any service can implement.",
        hooks: &[ToolPreInvoke::ID, ToolPostInvoke::ID, PromptPreFetch::ID, ResourcePostFetch::ID],
        config_schema: NativeKind::schema_of::<Config>,
        build,
    }
}

fn build(config: &Value) -> Result<Arc<dyn Plugin>, BuildError> {
    let config: Config = NativeKind::read(config)?;
    let reach = Reach {
        name: "the guardrail",
        field: "url",
        url: &config.url,
        token: config.api_key.as_deref(),
        headers: &config.headers,
        timeout_ms: config.timeout_ms,
        max_answer_bytes: config.max_answer_bytes,
        on_failure: config.on_failure,
    };
    let guardrail = HttpGuardrail {
        service: Service::new(&reach)?,
        cache: cache(config.cache_seconds, config.cache_entries)?,
        hooks: HookNames::new(),
        config,
    };
    Ok(Arc::new(Asking { judge: guardrail, hooks: TEXT_HOOKS, needs: Needs::change() }))
}

struct HttpGuardrail {
    service: Service,
    cache: Option<Cache<Bytes>>,
    hooks: HookNames,
    config: Config,
}

impl Judge for HttpGuardrail {
    fn service(&self) -> &Service {
        &self.service
    }

    fn judge<'a>(&'a self, call: Call<'a>, _: Context<'a>) -> Answer<'a> {
        let payload = call.payload.payload();
        let shown = match Shown::of(payload, self.config.max_text_bytes) {
            Ok(shown) => shown,
            Err(error) => return Answer::Ready(Err(error)),
        };
        if shown.is_empty() && !self.config.include_payload {
            return Answer::Ready(Ok(Reply::pass()));
        }
        let asked = Asked::new(self.hooks.of(&call), &call, &shown, &self.config);
        let asked = match asked.and_then(Asked::encode) {
            Ok(asked) => asked,
            Err(error) => return Answer::Ready(Err(error)),
        };
        let key = self.cache.as_ref().map(|_| Key::of([&asked.kept_by[..]]));
        if let (Some(cache), Some(key)) = (&self.cache, &key)
            && let Some(answer) = cache.get(key, call.host.instant())
        {
            return Answer::Ready(
                self.service.read::<Judged>(&answer).and_then(|judged| self.reply(judged, &shown, &call)),
            );
        }
        Answer::Later(Box::pin(async move {
            let answer = self.service.ask(call.host, asked.body).await?;
            let judged: Judged = self.service.read(&answer)?;
            let limit = judged.cache_seconds.map(Duration::from_secs);
            let reply = self.reply(judged, &shown, &call)?;
            if let (Some(cache), Some(key)) = (&self.cache, key)
                && answer.len() <= LARGEST_KEPT
            {
                cache.put(key, answer, call.host.instant(), limit);
            }
            Ok(reply)
        }))
    }
}

impl HttpGuardrail {
    /// What the verdict means for this call.
    fn reply(&self, judged: Judged, shown: &Shown, call: &Call<'_>) -> Result<Reply, PluginError> {
        let mut reply = Reply::pass();
        match judged.verdict {
            Word::Pass => {}
            Word::Block => {
                let violation = judged.violation.unwrap_or_default().into_violation();
                if self.config.action == Action::Audit {
                    let fields = [("code", &*violation.code), ("reason", &*violation.reason)];
                    call.host.log(LogLevel::Warn, "the guardrail would block", &fields);
                    note(&mut reply, "guardrail_would_block", violation.code);
                } else {
                    reply.violation = Some(Box::new(violation));
                }
            }
            Word::Change if self.config.action == Action::Audit => {
                let count = judged.replacements.len().to_string();
                call.host.log(LogLevel::Warn, "the guardrail would change", &[("replacements", &count)]);
                note(&mut reply, "guardrail_would_change", judged.replacements.len());
            }
            Word::Change => {
                let mut edits = Edits::new();
                for replacement in &judged.replacements {
                    let (id, range) = shown
                        .place(replacement)
                        .ok_or_else(|| self.service.invalid("a replacement of text that was not shown"))?;
                    edits.replace(id, range, replacement.text.as_str());
                }
                reply.change = (!edits.is_empty()).then_some(Change::Text(edits));
            }
        }
        if let Some(metadata) = judged.metadata.filter(|metadata| !metadata.is_empty()) {
            note(&mut reply, "guardrail", metadata);
        }
        Ok(reply)
    }
}

fn note(reply: &mut Reply, key: &str, value: impl Into<Value>) {
    let notes: &mut Notes = reply.notes.get_or_insert_default();
    notes.metadata.insert(key.to_owned(), value.into());
}

/// Code of a violation that names none.
const CODE: &str = "GUARDRAIL";

impl wire::Refusal {
    fn into_violation(self) -> Violation {
        let or = |text: String, otherwise: &str| if text.is_empty() { otherwise.to_owned() } else { text };
        let reason = or(self.reason, "Blocked by a guardrail");
        let description = or(self.description, &reason);
        let mut violation = Violation::new(or(self.code, CODE), reason).describe(description);
        violation.details = self.details.unwrap_or_default();
        violation
    }
}

/// What the payload is about, for the contract.
fn subject(payload: &dyn Payload) -> &str {
    crate::service::facts::subject(payload)
}
