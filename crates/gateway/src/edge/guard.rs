//! The hooks of a request as such: before authentication, who it is, after authentication, and when the answer leaves.
//! Who it is, the gateway's own tokens say where no plugin does.
//!
//! They run where a plugin stands at one of them; elsewhere a request pays a null check for each.

use std::{net::SocketAddr, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header, request::Parts};
use mortise_framework::{Blocked, Contexts};
use mortise_mcp_transport::server::answer::{self, AnswerBody};
use mortise_plugin_api::{
    Caller, Headers, Hook, Request, Revision, Violation,
    hooks::{
        AuthPostCheck, HttpAuthResolveUser, HttpPostRequest, HttpPreRequest,
        http::{
            AuthPostCheckPayload, Credentials, HttpPostRequestPayload, HttpPreRequestPayload,
            ResolveUserPayload, UserRecord,
        },
    },
};
use serde_json::{Map, Value};

use crate::{
    auth::{Authenticator, Grant, Unauthorized},
    llm::RefusedBy,
    snapshot::Snapshot,
};

/// Headers that carry credentials: a plugin may add one that is not there, never replace what the client sent.
const PROTECTED: [HeaderName; 4] = [
    header::AUTHORIZATION,
    header::COOKIE,
    HeaderName::from_static("x-api-key"),
    header::PROXY_AUTHORIZATION,
];

/// Headers that frame a message or belong to its connection.
const FRAMING: [HeaderName; 7] = [
    header::CONNECTION,
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::HOST,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Who makes a request, by what says so.
pub(crate) enum Known<'a> {
    /// A plugin.
    Plugin(Arc<Caller>),
    /// A token of the gateway's, or that it needs none.
    Grant(&'a Arc<Grant>),
}

/// Why a request goes no further.
pub(crate) enum Unidentified {
    /// A plugin refused it.
    Refused(Box<Response<AnswerBody>>),
    /// Nobody knows who makes it.
    Unauthorized(Unauthorized),
}

/// A request on its way past the edge's hooks.
pub(crate) struct Guard {
    snapshot: Arc<Snapshot>,
    contexts: Contexts,
}

impl Guard {
    pub(crate) fn new(snapshot: Arc<Snapshot>, contexts: Contexts) -> Self {
        Self { snapshot, contexts }
    }

    /// The request's memory, for the hooks of its surface.
    pub(crate) fn into_contexts(self) -> Contexts {
        self.contexts
    }

    /// A copy of what plugins noted, for the hook when the answer leaves; native values stay with the surface.
    pub(crate) fn notes(&self) -> Contexts {
        self.contexts.companion()
    }

    /// Runs the hook before authentication; header changes are made in `parts`.
    pub(crate) async fn before(
        &mut self,
        parts: &mut Parts,
        about: &Request,
    ) -> Result<(), Box<Response<AnswerBody>>> {
        let pipelines = self.snapshot.pipelines.clone();
        let Some(chain) = pipelines.chain(HttpPreRequest::ID) else { return Ok(()) };
        let payload = HttpPreRequestPayload {
            path: parts.uri.path().to_owned(),
            method: parts.method.as_str().to_owned(),
            client_host: host(about.client),
            client_port: about.client.map(|client| client.port()),
            headers: shown(&parts.headers),
        };
        let before = payload.headers.clone();
        let outcome =
            chain.run(&pipelines, about, &mut self.contexts, &Revision::new(Box::new(payload))).await;
        if let Some(blocked) = &outcome.blocked {
            return Err(Box::new(refusal(blocked, HttpPreRequest::NAME, StatusCode::FORBIDDEN)));
        }
        if let Some(changed) =
            outcome.changed.as_ref().and_then(|revision| revision.get::<HttpPreRequestPayload>())
        {
            let may = |name: &HeaderName, is_there: bool| !(is_there && PROTECTED.contains(name));
            change(&mut parts.headers, &before, &changed.headers, may);
        }
        Ok(())
    }

    /// Whether a plugin stands at any hook before a request reaches its surface.
    pub(crate) fn stands(&self) -> bool {
        let hooks = [HttpPreRequest::ID, HttpAuthResolveUser::ID, AuthPostCheck::ID];
        hooks.into_iter().any(|hook| self.snapshot.pipelines.chain(hook).is_some())
    }

    /// Settles who makes a request: plugins are asked first, then the gateway's own tokens decide.
    pub(crate) async fn identify<'a>(
        &mut self,
        authenticator: &'a Authenticator,
        headers: &HeaderMap,
        about: &Request,
    ) -> Result<Known<'a>, Unidentified> {
        let asked = self.snapshot.pipelines.chain(HttpAuthResolveUser::ID).is_some();
        match self.who(headers, about).await.map_err(Unidentified::Refused)? {
            Some(caller) => Ok(Known::Plugin(Arc::new(caller))),
            // Where plugins authenticate and nobody else does, a caller none of them knows is nobody.
            None if asked && authenticator.is_open() => {
                Err(Unidentified::Unauthorized(Unauthorized::Missing))
            }
            None => authenticator.grant(headers).map(Known::Grant).map_err(Unidentified::Unauthorized),
        }
    }

    /// Asks plugins who makes a request; `None` where none of them knows.
    async fn who(
        &mut self,
        headers: &HeaderMap,
        about: &Request,
    ) -> Result<Option<Caller>, Box<Response<AnswerBody>>> {
        let pipelines = self.snapshot.pipelines.clone();
        let Some(chain) = pipelines.chain(HttpAuthResolveUser::ID) else { return Ok(None) };
        let authorization = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let payload = ResolveUserPayload {
            credentials: authorization.and_then(|text| text.split_once(' ')).map(|(scheme, rest)| {
                Credentials { scheme: scheme.to_owned(), credentials: rest.trim().to_owned() }
            }),
            headers: shown(headers),
            client_host: host(about.client),
            client_port: about.client.map(|client| client.port()),
        };
        let mut outcome =
            chain.run(&pipelines, about, &mut self.contexts, &Revision::new(Box::new(payload))).await;
        if let Some(blocked) = &outcome.blocked {
            let mut response = refusal(blocked, HttpAuthResolveUser::NAME, StatusCode::UNAUTHORIZED);
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            return Err(Box::new(response));
        }
        let method = outcome.metadata().get("auth_method").and_then(Value::as_str).map(Arc::from);
        Ok(outcome.take_answer::<UserRecord>().map(|record| caller_of(&record, method)))
    }

    /// Lets plugins look at, enrich or refuse a caller that was authenticated.
    pub(crate) async fn after(
        &mut self,
        caller: Arc<Caller>,
        headers: &HeaderMap,
        about: &Request,
    ) -> Result<Arc<Caller>, Box<Response<AnswerBody>>> {
        let pipelines = self.snapshot.pipelines.clone();
        let Some(chain) = pipelines.chain(AuthPostCheck::ID) else { return Ok(caller) };
        let payload = AuthPostCheckPayload { user: record_of(&caller), headers: shown(headers) };
        let outcome =
            chain.run(&pipelines, about, &mut self.contexts, &Revision::new(Box::new(payload))).await;
        if let Some(blocked) = &outcome.blocked {
            return Err(Box::new(refusal(blocked, AuthPostCheck::NAME, StatusCode::FORBIDDEN)));
        }
        let changed = outcome.changed.as_ref().and_then(|revision| revision.get::<AuthPostCheckPayload>());
        Ok(changed.map_or(caller, |changed| Arc::new(caller_of(&changed.user, None))))
    }
}

/// What the hook when an answer leaves needs of the request, kept while a surface answers.
pub(crate) struct Leaving {
    snapshot: Arc<Snapshot>,
    contexts: Contexts,
    about: Request,
    path: String,
    method: String,
    headers: Headers,
}

impl Leaving {
    /// Of a request that was let in; `None` where no plugin stands at that hook.
    pub(crate) fn of(guard: &Guard, parts: &Parts, about: &Request) -> Option<Self> {
        guard.snapshot.pipelines.chain(HttpPostRequest::ID)?;
        Some(Self {
            snapshot: guard.snapshot.clone(),
            contexts: guard.notes(),
            about: about.clone(),
            path: parts.uri.path().to_owned(),
            method: parts.method.as_str().to_owned(),
            headers: shown(&parts.headers),
        })
    }

    /// Runs the hook.
    pub(crate) async fn run(mut self, response: &mut Response<AnswerBody>) {
        let pipelines = &self.snapshot.pipelines;
        let Some(chain) = pipelines.chain(HttpPostRequest::ID) else { return };
        let before = shown(response.headers());
        let payload = HttpPostRequestPayload {
            path: self.path,
            method: self.method,
            client_host: host(self.about.client),
            client_port: self.about.client.map(|client| client.port()),
            headers: self.headers,
            response_headers: Some(before.clone()),
            status_code: Some(response.status().as_u16()),
        };
        let payload = Revision::new(Box::new(payload));
        let outcome = chain.run(pipelines, &self.about, &mut self.contexts, &payload).await;
        let changed = outcome.changed.as_ref().and_then(|revision| revision.get::<HttpPostRequestPayload>());
        if let Some(headers) = changed.and_then(|changed| changed.response_headers.as_ref()) {
            change(response.headers_mut(), &before, headers, |_, _| true);
        }
    }
}

fn host(client: Option<SocketAddr>) -> Option<String> {
    client.map(|client| client.ip().to_string())
}

/// Headers as plugins see them; values that are no text are left out.
fn shown(headers: &HeaderMap) -> Headers {
    headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?))).collect()
}

/// Makes header changes that plugins answered: what they set anew or otherwise. What frames the message stays, and what
/// `may`, told whether the header is there, says no to.
pub(crate) fn change(
    headers: &mut HeaderMap,
    before: &Headers,
    after: &Headers,
    may: impl Fn(&HeaderName, bool) -> bool,
) {
    for (name, value) in after.iter().filter(|(name, value)| before.get(name) != Some(value)) {
        let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) else {
            continue;
        };
        if FRAMING.contains(&name) || !may(&name, headers.contains_key(&name)) {
            tracing::warn!(header = name.as_str(), "a plugin tried to change a header it may not");
            continue;
        }
        headers.insert(name, value);
    }
}

/// A caller as plugins know it.
fn record_of(caller: &Caller) -> UserRecord {
    let mut record = Map::new();
    let mut put = |name: &str, value: Value| record.insert(name.to_owned(), value);
    put("email", caller.user.as_deref().into());
    put("full_name", caller.full_name.as_deref().into());
    put("is_admin", caller.is_admin.into());
    put("app", caller.app.as_deref().into());
    put("tenant", caller.tenant.as_deref().into());
    put("teams", caller.teams.iter().map(|team| Value::from(&**team)).collect());
    put("scopes", caller.scopes.iter().map(|scope| Value::from(&**scope)).collect());
    put("auth_method", caller.auth_method.as_deref().into());
    put("metadata", Value::Object(caller.metadata.clone()));
    UserRecord(record)
}

/// A plugin's record as a caller.
fn caller_of(record: &UserRecord, method: Option<Arc<str>>) -> Caller {
    let text = |names: &[&str]| {
        names.iter().find_map(|name| record.0.get(*name).and_then(Value::as_str)).map(Arc::<str>::from)
    };
    let list = |name: &str| {
        let items = record.0.get(name).and_then(Value::as_array);
        items.map(|items| items.iter().filter_map(Value::as_str).map(Arc::from).collect()).unwrap_or_default()
    };
    Caller {
        app: text(&["app"]),
        user: text(&["email", "user"]),
        full_name: text(&["full_name"]),
        is_admin: record.0.get("is_admin").and_then(Value::as_bool).unwrap_or(false),
        tenant: text(&["tenant", "tenant_id", "team_id"]),
        teams: list("teams"),
        scopes: list("scopes"),
        auth_method: method.or_else(|| text(&["auth_method"])).or_else(|| Some("plugin".into())),
        metadata: record.0.get("metadata").and_then(Value::as_object).cloned().unwrap_or_default(),
    }
}

/// The HTTP answer to a refused request.
pub(crate) fn refusal(blocked: &Blocked, hook: &str, otherwise: StatusCode) -> Response<AnswerBody> {
    let violation = &blocked.violation;
    let status = status_of_violation(violation);
    let body = serde_json::json!({ "error": {
        "code": violation.mcp_error_code.unwrap_or(-32602),
        "message": format!("Plugin Violation: {}", violation.description),
        "data": {
            "hook": hook,
            "description": violation.description,
            "details": violation.details,
            "plugin_error_code": violation.code,
            "plugin_name": &*blocked.plugin,
        },
    }});
    let mut response = answer::json_with_status(status.unwrap_or(otherwise), Bytes::from(body.to_string()));
    if let Some(body) = &violation.http_body {
        *response.body_mut() = AnswerBody::Whole(Some(body.clone()));
        response.headers_mut().remove(header::CONTENT_TYPE);
    }
    for (name, value) in violation.http_headers.iter().flat_map(Headers::iter) {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response.extensions_mut().insert(RefusedBy(Arc::new(blocked.clone())));
    response
}

/// The HTTP status that a violation asks for, or that its code is known to mean.
pub(crate) fn status_of_violation(violation: &Violation) -> Option<StatusCode> {
    let chosen = violation.http_status_code.filter(|status| (400..600).contains(status));
    chosen.or_else(|| status_of(&violation.code)).and_then(|status| StatusCode::from_u16(status).ok())
}

/// The HTTP status of well-known violation codes.
fn status_of(code: &str) -> Option<u16> {
    Some(match code {
        "RATE_LIMIT" => 429,
        "INVALID_URI" => 400,
        "PROTOCOL_BLOCKED" | "DOMAIN_BLOCKED" | "BLOCKED_CONTENT" | "BLOCKED" => 403,
        "CONTENT_TOO_LARGE" | "PAYLOAD_TOO_LARGE" => 413,
        "CONTENT_MODERATION" | "PII_DETECTED" | "SENSITIVE_CONTENT" | "PROHIBITED_CONTENT" => 422,
        "MODERATION_ERROR" | "PLUGIN_UNAVAILABLE" => 503,
        "PLUGIN_TIMEOUT" => 504,
        "INVALID_TOKEN" | "API_KEY_REVOKED" | "AUTH_REQUIRED" => 401,
        "EXECUTION_ERROR" | "PROCESSING_ERROR" | "PLUGIN_ERROR" => 500,
        _ => return None,
    })
}
