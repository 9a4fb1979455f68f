//! Who makes a request: `Authenticate`.
//!
//! An answer decides: a plugin that does not know the caller rejects them. So where several plugins authenticate, the
//! first one decides, and a plugin cannot be asked at all only where its mode says what that means.

use mortise_plugin_api::{
    Call, Change, Context, Outcome, Reply, Request, Violation,
    hooks::{
        HttpAuthResolveUser,
        http::{ResolveUserPayload, UserRecord},
    },
};
use mortise_proto::tyk::plugin::{AuthRequest, AuthResponse, PluginRequest};
use serde_json::{Map, Value, json};

use super::{failed, left, payload, pre_auth::remote, timed};
use crate::{about, headers, running::Client};

const METHOD: &str = "Authenticate";

pub(super) async fn call(mut client: Client, call: Call<'_>, context: Context<'_>) -> Outcome {
    let asked = payload::<HttpAuthResolveUser>(&call)?;
    let left = left(&call);
    let request = timed(shown(asked, call.request, &context), left);
    let answer = client.authenticate(request).await.map_err(failed(METHOD, left))?.into_inner();
    if answer.authenticated {
        let change = Change::Answer(Box::new(record(&answer)));
        return Ok(Reply { change: Some(change), ..Reply::pass() });
    }
    let reason = match answer.error_message {
        reason if reason.is_empty() => "authentication rejected by auth plugin".to_owned(),
        reason => reason,
    };
    let violation = Violation::new("INVALID_TOKEN", reason).http_status(401);
    Ok(Reply { violation: Some(Box::new(violation)), ..Reply::pass() })
}

fn shown(asked: &ResolveUserPayload, request: &Request, context: &Context<'_>) -> AuthRequest {
    let bearer = asked.credentials.as_ref().filter(|given| given.scheme.eq_ignore_ascii_case("bearer"));
    let credential =
        bearer.map(|given| given.credentials.as_str()).or_else(|| asked.headers.get("x-api-key"));
    let about = about::context(request, context);
    AuthRequest {
        credential: credential.unwrap_or_default().to_owned(),
        auth_type: "bearer".to_owned(),
        request: Some(PluginRequest {
            path: request.path.as_deref().unwrap_or_default().to_owned(),
            headers: headers::to_plugin(&asked.headers),
            context: Some(about.clone()),
            remote_addr: remote(asked.client_host.as_deref(), asked.client_port),
            ..PluginRequest::default()
        }),
        context: Some(about),
    }
}

/// Claims that say what a caller's record has a place for; all of them go along as metadata. None makes anybody an
/// administrator.
fn record(answer: &AuthResponse) -> UserRecord {
    let claim = |names: &[&str]| names.iter().find_map(|name| answer.claims.get(*name)).cloned();
    let list = |names: &[&str]| {
        let items = claim(names).unwrap_or_default();
        let items = items.split([',', ' ']).filter(|item| !item.is_empty());
        items.map(Value::from).collect::<Vec<Value>>()
    };
    let named = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let record = json!({
        "email": claim(&["email"]).or_else(|| named(&answer.user_id)),
        "full_name": claim(&["name", "full_name"]),
        "app": named(&answer.app_id),
        "tenant": claim(&["tenant", "tenant_id"]),
        "teams": list(&["teams", "groups"]),
        "scopes": list(&["scopes", "scope"]),
        "metadata": answer.claims.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str()))).collect::<Map<_, _>>(),
    });
    let Value::Object(mut record) = record else { return UserRecord::default() };
    record.retain(|_, value| !value.is_null());
    UserRecord(record)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answer_becomes_the_callers_record_and_claims_make_nobody_an_administrator() {
        let claims = [("tenant", "acme"), ("groups", "a,b"), ("scope", "read write"), ("is_admin", "true")];
        let answer = AuthResponse {
            authenticated: true,
            user_id: "ann".to_owned(),
            app_id: "7".to_owned(),
            claims: claims.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            error_message: String::new(),
        };
        let UserRecord(record) = record(&answer);
        assert_eq!(record["email"], "ann");
        assert_eq!(record["app"], "7");
        assert_eq!(record["tenant"], "acme");
        assert_eq!(record["teams"], json!(["a", "b"]));
        assert_eq!(record["scopes"], json!(["read", "write"]));
        assert_eq!(record.get("is_admin"), None);
        assert_eq!(record["metadata"]["is_admin"], "true");
        assert_eq!(record.get("full_name"), None);
    }
}
