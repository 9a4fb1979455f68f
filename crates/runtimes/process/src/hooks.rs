//! Which hook is which call of a plugin, and what each call says and answers.
//!
//! One file per family.

pub(crate) mod auth;
pub(crate) mod llm;
pub(crate) mod pre_auth;
pub(crate) mod record;

#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use bytes::Bytes;
use mortise_framework::config::Mode;
use mortise_plugin_api::{
    Body, Call, Context, Effect, Hook, HookId, Needs, Outcome, PluginError, Reply, Stream, Violation,
    hooks::{
        HttpAuthResolveUser, HttpPostForwardingCall, HttpPreRequest, LlmInput, LlmOutput, RecordAnalytics,
        RecordBudgetUsage, RecordProxyLog, words::of_word,
    },
};
use mortise_proto::tyk::plugin::PluginResponse;
use tonic::Status;

use crate::{headers, running::Client, status};

/// Every hook that a process plugin can have.
pub(crate) const ALL: &[HookId] = &[
    HttpPreRequest::ID,
    HttpAuthResolveUser::ID,
    LlmInput::ID,
    HttpPostForwardingCall::ID,
    LlmOutput::ID,
    RecordProxyLog::ID,
    RecordAnalytics::ID,
    RecordBudgetUsage::ID,
];

/// The hooks that words of a manifest mean; what is no hook but an offer means none.
pub(crate) fn of_words(words: &[String]) -> Vec<HookId> {
    let mut hooks: Vec<HookId> = words.iter().flat_map(|word| of_word(word)).map(|(id, _)| *id).collect();
    hooks.sort_unstable();
    hooks.dedup();
    hooks
}

/// The mode that programs of this kind are written for, where it is not the usual one.
pub(crate) fn default_mode(hook: HookId) -> Option<Mode> {
    match hook {
        HttpPostForwardingCall::ID | LlmOutput::ID => Some(Mode::EnforceIgnoreError),
        RecordProxyLog::ID | RecordAnalytics::ID | RecordBudgetUsage::ID => Some(Mode::FireAndForget),
        _ => None,
    }
}

/// What a plugin needs at a hook. Streams are shown when they are over, and never held up.
pub(crate) fn needs(hook: HookId) -> Needs {
    match hook {
        HttpPreRequest::ID | HttpAuthResolveUser::ID | HttpPostForwardingCall::ID => {
            Needs::change().without_body()
        }
        LlmInput::ID => Needs::change(),
        LlmOutput::ID => Needs { body: Body::Whole, stream: Stream::Observe, effect: Effect::Change },
        _ => Needs::observe(),
    }
}

/// Makes the call of a plugin that belongs to a hook.
pub(crate) async fn call(client: Client, call: Call<'_>, context: Context<'_>) -> Outcome {
    match call.hook {
        HttpPreRequest::ID => pre_auth::call(client, call, context).await,
        HttpAuthResolveUser::ID => auth::call(client, call, context).await,
        LlmInput::ID => llm::input(client, call, context).await,
        HttpPostForwardingCall::ID => llm::answer_headers(client, call, context).await,
        LlmOutput::ID => llm::output(client, call, context).await,
        RecordProxyLog::ID => record::proxy_log(client, call, context).await,
        RecordAnalytics::ID => record::analytics(client, call, context).await,
        RecordBudgetUsage::ID => record::budget_usage(client, call, context).await,
        _ => Err(PluginError::failed("process plugins have no such hook")),
    }
}

/// How long a call may still take.
fn left(call: &Call<'_>) -> Duration {
    call.deadline.saturating_duration_since(Instant::now())
}

/// How much more time a plugin believes to have than it has. Its library cuts a call off at the end of its time; were
/// that the same moment, a call that is late would look like one whose connection broke.
const GRACE: Duration = Duration::from_secs(1);

/// A message with the time that is left for its answer.
pub(crate) fn timed<T>(message: T, left: Duration) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.set_timeout(left + GRACE);
    request
}

/// The error of a call that did not succeed.
fn failed(method: &'static str, left: Duration) -> impl Fn(Status) -> PluginError {
    move |status| status::error(method, &status, left)
}

/// The payload of a call as its type.
fn payload<'a, H: Hook>(call: &Call<'a>) -> Result<&'a H::Payload, PluginError> {
    call.payload.get::<H::Payload>().ok_or_else(|| PluginError::Payload {
        hook: H::NAME,
        action: "encoded",
        reason: "it is not of the hook's own type".to_owned(),
    })
}

/// The refusal in an answer that blocks, with the status, headers and body it wants.
fn refusal(answer: PluginResponse) -> Reply {
    let status = u16::try_from(answer.status_code).ok().filter(|status| (400..600).contains(status));
    let reason = if answer.error_message.is_empty() { words(&answer.body) } else { answer.error_message };
    let mut violation = Violation::new("PLUGIN_BLOCKED", reason).http_status(status.unwrap_or(403));
    violation.http_body = (!answer.body.is_empty()).then_some(answer.body);
    if !answer.headers.is_empty() {
        violation.http_headers = Some(headers::from_plugin(&answer.headers));
    }
    Reply { violation: Some(Box::new(violation)), ..Reply::pass() }
}

/// Longest body that is told as a reason, in bytes.
const MAX_REASON: usize = 2000;

fn words(body: &Bytes) -> String {
    match std::str::from_utf8(body) {
        Ok(text) if !text.is_empty() && text.len() <= MAX_REASON => text.to_owned(),
        _ => "the request was blocked".to_owned(),
    }
}
