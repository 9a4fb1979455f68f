//! The HTTP and authentication hooks: the request itself, who makes it and what they may, and the call upstream.
//!
//! Their answers are of other types than their payloads: a bare map of headers, a user, a decision. Headers a
//! plugin answers are merged over those there are; none is removed.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::define::{applied, from_wire, hook, payload, refuse};
use crate::{End, Headers, hook::Applied};

/// An HTTP request before authentication.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct HttpPreRequestPayload {
    /// Path without query.
    pub path: String,
    /// Method in upper case.
    pub method: String,
    /// Address of the client.
    #[serde(default)]
    pub client_host: Option<String>,
    /// Port of the client.
    #[serde(default)]
    pub client_port: Option<u16>,
    /// Request headers.
    #[serde(default)]
    pub headers: Headers,
}

payload!(HttpPreRequestPayload, "http_pre_request", subject: |_p| None, size: |p| headers_size(&p.headers),
    carriers: |p| [], replace: |p, edited| {});

/// An HTTP answer before it leaves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct HttpPostRequestPayload {
    /// Path without query.
    pub path: String,
    /// Method in upper case.
    pub method: String,
    /// Address of the client.
    #[serde(default)]
    pub client_host: Option<String>,
    /// Port of the client.
    #[serde(default)]
    pub client_port: Option<u16>,
    /// Request headers.
    #[serde(default)]
    pub headers: Headers,
    /// Answer headers.
    #[serde(default)]
    pub response_headers: Option<Headers>,
    /// Answer status.
    #[serde(default)]
    pub status_code: Option<u16>,
}

payload!(HttpPostRequestPayload, "http_post_request", subject: |_p| None, size: |p| headers_size(&p.headers),
    carriers: |p| [], replace: |p, edited| {});

/// Credentials somebody presents.
#[derive(Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Credentials {
    /// `Bearer`, `Basic`, ….
    pub scheme: String,
    /// The credentials themselves.
    pub credentials: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("scheme", &self.scheme).finish_non_exhaustive()
    }
}

/// The question who makes a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ResolveUserPayload {
    /// What the client presented, if it did.
    #[serde(default)]
    pub credentials: Option<Credentials>,
    /// Request headers.
    #[serde(default)]
    pub headers: Headers,
    /// Address of the client.
    #[serde(default)]
    pub client_host: Option<String>,
    /// Port of the client.
    #[serde(default)]
    pub client_port: Option<u16>,
}

payload!(ResolveUserPayload, "http_auth_resolve_user", subject: |_p| None, size: |p| headers_size(&p.headers),
    carriers: |p| [], replace: |p, edited| {});

/// A caller that was authenticated, for plugins that enrich it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AuthPostCheckPayload {
    /// The caller's record: `app`, `email`, `tenant`, `teams`, `scopes`, `metadata`.
    pub user: UserRecord,
    /// Request headers.
    #[serde(default)]
    pub headers: Headers,
}

payload!(AuthPostCheckPayload, "auth_post_check", subject: |_p| None, size: |p| headers_size(&p.headers),
    carriers: |p| [], replace: |p, edited| {});

/// A user as a plugin knows it: an open object, of which Mortise reads `email` (or `user`), `full_name`,
/// `is_admin`, `tenant` (or `tenant_id`, `team_id`), `teams`, `scopes`, `app` and `metadata`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(transparent)]
pub struct UserRecord(pub Map<String, Value>);

/// The question whether somebody may do something.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct CheckPermissionPayload {
    /// The user.
    pub user_email: String,
    /// What they want, such as `tools.execute`.
    pub permission: String,
    /// Kind of thing it is about.
    #[serde(default)]
    pub resource_type: Option<String>,
    /// Team the thing belongs to.
    #[serde(default)]
    pub team_id: Option<String>,
    /// Whether the user is an administrator.
    #[serde(default)]
    pub is_admin: bool,
    /// How the user was authenticated.
    #[serde(default)]
    pub auth_method: Option<String>,
    /// Address of the client.
    #[serde(default)]
    pub client_host: Option<String>,
    /// User agent of the client.
    #[serde(default)]
    pub user_agent: Option<String>,
}

payload!(CheckPermissionPayload, "http_auth_check_permission", subject: |_p| None, size: |_p| 0,
    carriers: |p| [], replace: |p, edited| {});

/// The answer whether somebody may do something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Permission {
    /// Yes or no.
    pub granted: bool,
    /// Why.
    #[serde(default)]
    pub reason: Option<String>,
}

/// The HTTP call to an upstream, before it is made and after it ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ForwardingPayload {
    /// The upstream's name.
    pub upstream: String,
    /// Method in upper case.
    pub method: String,
    /// Path at the upstream.
    pub path: String,
    /// Before the call the headers that plugins had sent so far, beside the configured ones; after it those of the
    /// answer, without `mcp-session-id` and `set-cookie`.
    #[serde(default)]
    pub headers: Headers,
    /// After the call the status of the answer, as the upstream gave it; null where no answer began.
    #[serde(default)]
    pub status_code: Option<u16>,
    /// After the call how it ended: `ok`, `upstream_failed`, `timed_out` or `cancelled`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<String>,
}

impl ForwardingPayload {
    /// What a hook after the call is shown of one that ended so, with this head of an answer.
    #[must_use]
    pub fn after(&self, end: End, status_code: Option<u16>, headers: Headers) -> Self {
        let ended = Some(end.word().to_owned());
        let Self { upstream, method, path, .. } = self.clone();
        Self { upstream, method, path, headers, status_code, ended }
    }
}

payload!(ForwardingPayload, "http_pre_forwarding_call", subject: |p| Some(&p.upstream),
    size: |p| headers_size(&p.headers), carriers: |p| [], replace: |p, edited| {});

from_wire!(
    HttpPreRequestPayload,
    HttpPostRequestPayload,
    ResolveUserPayload,
    AuthPostCheckPayload,
    UserRecord,
    CheckPermissionPayload,
    Permission,
    ForwardingPayload,
    Headers,
);

fn headers_size(headers: &Headers) -> usize {
    headers.iter().map(|(name, value)| name.len() + value.len()).sum()
}

fn merged(old: &Headers, new: &Headers) -> Headers {
    let mut merged = old.clone();
    merged.merge(new);
    merged
}

fn merge_headers<P: Clone + PartialEq>(
    old: &P,
    new: &Headers,
    field: fn(&mut P) -> &mut Headers,
) -> Applied<P> {
    let mut changed = old.clone();
    field(&mut changed).merge(new);
    applied(old, changed, Vec::new())
}

/// Answers that decide do not change the question.
fn no_change<P>() -> Applied<P> {
    Applied { payload: None, refused: Vec::new() }
}

hook! {
    /// Before authentication.
    HttpPreRequest = 8, "http_pre_request", pre_request_row {
        aliases: &[], family: Http, moment: Before, block: true, change: true, rule: Chain, limit: Content,
        pair: Some(crate::HookId(16)), writable: &["headers"],
        about: "Before authentication: look at an HTTP request, change its headers, or block it.",
        payload: HttpPreRequestPayload, answer: Headers,
        apply: |old, new| merge_headers(old, &new, |p| &mut p.headers),
        example: r#"{"path": "/mcp", "method": "POST", "client_host": "192.0.2.7", "client_port": 51234, "headers": {"content-type": "application/json", "x-api-key": "abc"}}"#
            => r#"{"authorization": "Bearer abc"}"#,
            "A header is added; none is removed.",
    }
}

hook! {
    /// Who is it?
    HttpAuthResolveUser = 9, "http_auth_resolve_user", resolve_user_row {
        aliases: &["auth_pre_check"], family: Http, moment: Before, block: true, change: true,
        rule: FirstAnswer, limit: Content, pair: None, writable: &[],
        about: "Who makes this request: answer the user, reject them, or abstain.",
        payload: ResolveUserPayload, answer: UserRecord,
        apply: |_old, _new| no_change(),
        example: r#"{"credentials": {"scheme": "Bearer", "credentials": "abc"}, "headers": {"authorization": "Bearer abc"}, "client_host": "192.0.2.7", "client_port": 51234}"#
            => r#"{"email": "ann@example.com", "tenant": "acme", "teams": ["platform"], "is_admin": false}"#,
            "The caller is known. A plugin that does not know them answers nothing, and the next one is asked.",
    }
}

hook! {
    /// After authentication.
    AuthPostCheck = 10, "auth_post_check", post_check_row {
        aliases: &[], family: Http, moment: After, block: true, change: true, rule: Chain, limit: Content,
        pair: None, writable: &["user"],
        about: "After authentication: enrich the caller's record, or block them.",
        payload: AuthPostCheckPayload, answer: AuthPostCheckPayload,
        apply: |old, new| {
            let mut refused = Vec::new();
            refuse(&mut refused, "headers", &old.headers, &new.headers);
            applied(old, AuthPostCheckPayload { user: new.user, headers: old.headers.clone() }, refused)
        },
        example: r#"{"user": {"email": "ann@example.com", "tenant": "acme", "teams": []}, "headers": {"user-agent": "agent/1"}}"#
            => r#"{"user": {"email": "ann@example.com", "tenant": "acme", "teams": ["on-call"]}, "headers": {}}"#,
            "A team is added; headers stay as they are.",
    }
}

hook! {
    /// May they?
    HttpAuthCheckPermission = 11, "http_auth_check_permission", check_permission_row {
        aliases: &[], family: Http, moment: Before, block: true, change: true, rule: FirstAnswer, limit: Content,
        pair: None, writable: &["reason"],
        about: "May this user do this: allow, deny, or abstain.",
        payload: CheckPermissionPayload, answer: Permission,
        apply: |_old, _new| no_change(),
        example: r#"{"user_email": "ann@example.com", "permission": "tools.execute", "resource_type": "tool", "team_id": "acme", "is_admin": false, "auth_method": "token", "client_host": "192.0.2.7"}"#
            => r#"{"granted": false, "reason": "outside working hours"}"#,
            "It is denied. A plugin without an opinion answers nothing.",
    }
}

hook! {
    /// Before the call to an upstream.
    HttpPreForwardingCall = 13, "http_pre_forwarding_call", pre_forwarding_row {
        aliases: &[], family: Http, moment: Before, block: false, change: true, rule: Chain, limit: Content,
        pair: Some(<HttpPostForwardingCall as crate::Hook>::ID), writable: &["headers"],
        about: "Before the HTTP call to an upstream: change its headers. A plugin that must run and gives no answer stops the call.",
        payload: ForwardingPayload, answer: Headers,
        apply: |old, new| merge_headers(old, &new, |p| &mut p.headers),
        example: r#"{"upstream": "docs", "method": "POST", "path": "/mcp", "headers": {"x-trace": "7f"}}"#
            => r#"{"x-tenant": "acme"}"#,
            "A header is added to the call.",
    }
}

hook! {
    /// After the call to an upstream.
    HttpPostForwardingCall = 14, "http_post_forwarding_call", post_forwarding_row {
        aliases: &[], family: Http, moment: After, block: false, change: true, rule: Chain, limit: Content,
        pair: Some(<HttpPreForwardingCall as crate::Hook>::ID), writable: &["headers"],
        about: "After the HTTP call to an upstream, however it ended: look at status and headers of its answer, and set headers of the answer to the client.",
        payload: ForwardingPayload, answer: Headers,
        apply: |old, new| merge_headers(old, &new, |p| &mut p.headers),
        example: r#"{"upstream": "docs", "method": "POST", "path": "/mcp", "headers": {"content-type": "application/json", "x-quota-left": "12"}, "status_code": 200, "ended": "ok"}"#
            => r#"{"x-docs-quota": "12"}"#,
            "A header is set on the answer to the client, which gets none of the upstream's own.",
    }
}

hook! {
    /// When the answer leaves.
    HttpPostRequest = 16, "http_post_request", post_request_row {
        aliases: &[], family: Http, moment: After, block: false, change: true, rule: Chain, limit: Content,
        pair: Some(crate::HookId(8)), writable: &["headers"],
        about: "When an HTTP answer leaves: change its headers.",
        payload: HttpPostRequestPayload, answer: Headers,
        apply: |old, new| {
            let empty = Headers::new();
            let response_headers = Some(merged(old.response_headers.as_ref().unwrap_or(&empty), &new));
            applied(old, HttpPostRequestPayload { response_headers, ..old.clone() }, Vec::new())
        },
        example: r#"{"path": "/mcp", "method": "POST", "client_host": "192.0.2.7", "client_port": 51234, "headers": {"user-agent": "agent/1"}, "response_headers": {"content-type": "application/json"}, "status_code": 200}"#
            => r#"{"x-served-by": "mortise"}"#,
            "A header is added to the answer.",
    }
}
