//! A call as a line of a recording: its form, and how a call that is over is brought into it.

use std::sync::Arc;

use mortise_framework::{HookRun, Status};
use mortise_plugin_api::{Family, HookTable, Payload, Revision, Wire};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Mask, hidden, read::FORM};
use crate::trace::{FinishedCall, shown};

/// One call, as a line of a recording.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedCall {
    /// Version of this form: 1.
    pub recorded: u32,
    /// Id of the request.
    pub request_id: String,
    /// When it began, in UTC.
    pub at: String,
    /// Whether personal data and secrets were replaced.
    pub masked: bool,
    /// MCP method.
    pub method: String,
    /// What it was about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// What it came to.
    pub outcome: String,
    /// The request, as far as conditions and bindings look at it.
    pub request: RecordedRequest,
    /// The hooks that ran, in the order in which they began.
    pub hooks: Vec<RecordedHook>,
}

/// What conditions, bindings and plugins see of a request.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RecordedRequest {
    /// App.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// User.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// Teams of the user.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub teams: Vec<String>,
    /// Scopes of the caller.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// Whether the caller is an administrator.
    pub is_admin: bool,
    /// Virtual server, or the upstream where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// Upstream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream: Option<String>,
    /// The thing's name at the upstream, where it is another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub original_name: Option<String>,
    /// Content type of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// Path of the HTTP request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

/// One hook of a recorded call: its input, and what was decided.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedHook {
    /// The hook.
    pub hook: String,
    /// How the event before it ended.
    pub end: String,
    /// What plugins were shown first.
    pub payload: Value,
    /// What was decided.
    pub decision: Decision,
}

/// What the plugins of a hook decided.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Decision {
    /// `pass`, `change`, `block` or `serve`.
    pub result: String,
    /// Plugin that blocked the call, or served it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plugin: Option<String>,
    /// Code of its violation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Plugins that changed the payload, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changed_by: Vec<String>,
    /// The payload as changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload: Option<Value>,
}

/// A line for each call of which there is something to record.
pub(super) fn lines(calls: &[FinishedCall], hooks: &HookTable, mask: Option<&Mask>) -> String {
    let mut lines = String::new();
    for line in calls.iter().filter_map(|call| serde_json::to_string(&recorded(call, hooks, mask)?).ok()) {
        lines.push_str(&line);
        lines.push('\n');
    }
    lines
}

/// A call as a line; `None` where none of its hooks can be recorded.
fn recorded(call: &FinishedCall, table: &HookTable, mask: Option<&Mask>) -> Option<RecordedCall> {
    let mut runs: Vec<&HookRun> = call.happened.runs.iter().filter(|run| run.finished).collect();
    runs.sort_by_key(|run| run.began);
    let hooks: Vec<_> = runs.into_iter().filter_map(|run| hook(call, run, table, mask)).collect();
    if hooks.is_empty() {
        return None;
    }
    let (request, caller) = (&call.request, &call.request.caller);
    let text = |text: &Option<Arc<str>>| text.as_deref().map(str::to_owned);
    let hidden = |text: String| mask.map(|mask| hidden::text("", &text, mask)).unwrap_or(text);
    let all = |texts: &[Arc<str>]| texts.iter().map(ToString::to_string).collect();
    Some(RecordedCall {
        recorded: FORM,
        request_id: request.id.to_string(),
        at: shown::timestamp(call.started),
        masked: mask.is_some(),
        method: call.method.to_string(),
        subject: text(&call.subject).map(hidden),
        outcome: call.outcome.word().to_owned(),
        request: RecordedRequest {
            app: text(&caller.app),
            user: text(&caller.user).map(hidden),
            tenant: text(&caller.tenant),
            teams: all(&caller.teams),
            scopes: all(&caller.scopes),
            is_admin: caller.is_admin,
            server: text(&request.server_id),
            upstream: text(&request.upstream),
            original_name: text(&request.original_name),
            content_type: text(&request.content_type),
            path: text(&request.path).map(hidden),
        },
        hooks,
    })
}

fn hook(call: &FinishedCall, run: &HookRun, table: &HookTable, mask: Option<&Mask>) -> Option<RecordedHook> {
    let row = table.spec(run.hook)?;
    if matches!(row.family, Family::Http) {
        return None;
    }
    let payload = run.payload.as_ref()?;
    let changed_by: Vec<String> = run
        .executions
        .iter()
        .enumerate()
        .filter(|(index, execution)| execution.status == Status::Change || run.change(*index).is_some())
        .map(|(_, execution)| call.happened.plugin(execution).to_string())
        .collect();
    let changed = run.changes.last().map(|change| &change.revision);
    let decision = Decision {
        result: match (&run.blocked, changed) {
            (Some(_), _) => "block",
            (None, _) if run.served().is_some() => "serve",
            (None, Some(_)) => "change",
            (None, None) => "pass",
        }
        .to_owned(),
        plugin: match (&run.blocked, run.served()) {
            (Some(blocked), _) => Some(blocked.plugin.to_string()),
            (None, served) => served.map(|execution| call.happened.plugin(execution).to_string()),
        },
        code: run.blocked.as_ref().map(|blocked| blocked.violation.code.clone()),
        changed_by,
        payload: changed.filter(|_| run.blocked.is_none()).and_then(|changed| written(changed, mask)),
    };
    Some(RecordedHook {
        hook: row.name.to_string(),
        end: shown::end(run.end).to_owned(),
        payload: written(payload, mask)?,
        decision,
    })
}

/// A payload as JSON, masked.
fn written(revision: &Revision, mask: Option<&Mask>) -> Option<Value> {
    let mut json: Value =
        serde_json::from_slice(&Payload::encode(revision.payload(), Wire::Json).ok()?).ok()?;
    if let Some(mask) = mask {
        // Headers are no text that a mask is made for: credentials of any form.
        if let Some(headers) = json.get_mut("headers").filter(|headers| !headers.is_null()) {
            *headers = Value::Null;
        }
        hidden::tree("", &mut json, mask);
    }
    Some(json)
}
