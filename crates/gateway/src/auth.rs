//! Who may call: tokens of apps, and which pages in browsers.
//!
//! A token is looked up by its SHA-256, so that 100,000 apps cost what one costs and what is in memory is no token.
//! The match found is compared once more in constant time. Without apps every caller is the anonymous one.
//!
//! Not here: plugins that authenticate, which run before this and may answer in its stead.

mod forwarded;
mod origin;

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Response, StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE},
};
use jiff::Timestamp;
use mortise_plugin_api::Caller;
use subtle::ConstantTimeEq;

use crate::config::{App, TokenDigest};

pub use forwarded::client_address;
pub use origin::{OriginCheck, OriginRefused, normal_origin, share};

/// Longest token that is looked at, in bytes.
const MAX_TOKEN: usize = 4096;

/// Tells who calls.
pub struct Authenticator {
    anonymous: Option<Arc<Grant>>,
    tokens: HashMap<TokenDigest, Known>,
    /// What apps may reach, for callers that a plugin says belong to one.
    servers: HashMap<String, Option<Arc<BTreeSet<String>>>>,
    /// Those of apps that have no token yet.
    silent: Vec<Arc<Caller>>,
}

struct Known {
    grant: Arc<Grant>,
    expires: Option<Timestamp>,
}

/// What a caller was let in as.
#[derive(Debug)]
pub struct Grant {
    /// Who calls.
    pub caller: Arc<Caller>,
    servers: Option<Arc<BTreeSet<String>>>,
    llms: Option<Arc<BTreeSet<String>>>,
}

impl Grant {
    /// Whether the caller may use a virtual server, or (`None`) everything the gateway has at `/mcp`.
    #[must_use]
    pub fn may_use_server(&self, id: Option<&str>) -> bool {
        match (&self.servers, id) {
            (None, _) => true,
            (Some(listed), Some(id)) => listed.contains(id),
            (Some(_), None) => false,
        }
    }

    /// Whether the caller may use an LLM.
    #[must_use]
    pub fn may_use_llm(&self, name: &str) -> bool {
        self.llms.as_ref().is_none_or(|listed| listed.contains(name))
    }
}

/// Why a caller was not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unauthorized {
    /// No token came with the request.
    #[error("a token is needed: send `Authorization: Bearer TOKEN`")]
    Missing,
    /// The token is not known.
    #[error("the token is not valid")]
    Unknown,
    /// The token is known and has ended.
    #[error("the token has expired")]
    Expired,
}

impl Unauthorized {
    /// The challenge that goes with status 401.
    #[must_use]
    pub fn challenge(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Missing => "Bearer",
            Self::Unknown => "Bearer error=\"invalid_token\"",
            Self::Expired => "Bearer error=\"invalid_token\", error_description=\"the token has expired\"",
        })
    }

    /// The answer: 401 with the challenge and a JSON body that says why.
    #[must_use]
    pub fn response(self) -> Response<Bytes> {
        let mut response = Response::new(Bytes::from(format!("{{\"detail\":{:?}}}", self.to_string())));
        *response.status_mut() = StatusCode::UNAUTHORIZED;
        response.headers_mut().insert(WWW_AUTHENTICATE, self.challenge());
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }
}

impl Authenticator {
    /// Knows the tokens of `apps`; without any `apps` everyone is let in as the anonymous caller.
    #[must_use]
    pub fn new(apps: Option<&[App]>) -> Self {
        let Some(apps) = apps else {
            let grant = Grant { caller: Arc::default(), servers: None, llms: None };
            return Self {
                anonymous: Some(Arc::new(grant)),
                tokens: HashMap::new(),
                servers: HashMap::new(),
                silent: Vec::new(),
            };
        };
        let mut tokens = HashMap::with_capacity(apps.iter().map(|app| app.tokens.len()).sum());
        let mut reach = HashMap::with_capacity(apps.len());
        let mut silent = Vec::new();
        for app in apps {
            if app.tokens.is_empty() {
                silent.push(Arc::new(caller(app, &[])));
            }
            let (servers, llms) = (app.servers.clone().map(Arc::new), app.llms.clone().map(Arc::new));
            reach.insert(app.name.clone(), servers.clone());
            for token in &app.tokens {
                let caller = Arc::new(caller(app, &token.scopes));
                let grant = Arc::new(Grant { caller, servers: servers.clone(), llms: llms.clone() });
                tokens.insert(token.digest, Known { grant, expires: token.expires });
            }
        }
        Self { anonymous: None, tokens, servers: reach, silent }
    }

    /// Whether anyone is let in.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.anonymous.is_some()
    }

    /// Tells who calls, and what they may reach. The token comes as `Authorization: Bearer` or `x-api-key`.
    ///
    /// # Errors
    /// When no token came, or one that is not known or has ended.
    pub fn grant(&self, headers: &HeaderMap) -> Result<&Arc<Grant>, Unauthorized> {
        if let Some(anonymous) = &self.anonymous {
            return Ok(anonymous);
        }
        let token = bearer(headers).ok_or(Unauthorized::Missing)?;
        if token.len() > MAX_TOKEN {
            return Err(Unauthorized::Unknown);
        }
        let digest = TokenDigest::of(token);
        let (key, known) = self.tokens.get_key_value(&digest).ok_or(Unauthorized::Unknown)?;
        if !same(*key, digest) {
            return Err(Unauthorized::Unknown);
        }
        match known.expires {
            Some(end) if end <= Timestamp::now() => Err(Unauthorized::Expired),
            _ => Ok(&known.grant),
        }
    }

    /// Whether a caller that a plugin authenticated may use a virtual server, or (`None`) everything at `/mcp`: what its
    /// app may, where it belongs to a configured one, else anything.
    #[must_use]
    pub fn may_use_server(&self, caller: &Caller, id: Option<&str>) -> bool {
        let app = caller.app.as_deref().and_then(|app| self.servers.get(app));
        match (app, id) {
            (None | Some(None), _) => true,
            (Some(Some(listed)), Some(id)) => listed.contains(id),
            (Some(Some(_)), None) => false,
        }
    }

    /// The configured apps, sorted.
    #[must_use]
    pub fn apps(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.servers.keys().map(AsRef::as_ref).collect();
        names.sort_unstable();
        names
    }

    /// Everybody who is configured to call, also those who have no token yet.
    pub fn callers(&self) -> impl Iterator<Item = &Arc<Caller>> {
        self.tokens.values().map(|known| &known.grant.caller).chain(&self.silent)
    }

    /// Who an app acts for. Looks through all tokens: for people who ask, not for calls.
    #[must_use]
    pub fn app(&self, name: &str) -> Option<&Arc<Caller>> {
        self.callers().find(|caller| caller.app.as_deref() == Some(name))
    }

    /// Tells who calls.
    ///
    /// # Errors
    /// As [`Authenticator::grant`].
    pub fn authenticate(&self, headers: &HeaderMap) -> Result<Arc<Caller>, Unauthorized> {
        self.grant(headers).map(|grant| grant.caller.clone())
    }
}

/// Counts only: who may call is nobody's business.
impl std::fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authenticator")
            .field("open", &self.is_open())
            .field("tokens", &self.tokens.len())
            .finish()
    }
}

/// Compares digests in a time that does not depend on them.
pub(crate) fn same(a: TokenDigest, b: TokenDigest) -> bool {
    a.0.ct_eq(&b.0).into()
}

/// The token of a request: of `Authorization: Bearer`, else of `x-api-key`. An `Authorization` of another scheme is
/// no token.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let from_authorization = headers.get(AUTHORIZATION).and_then(|value| {
        let (scheme, token) = value.as_bytes().split_at_checked(7)?;
        scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
    });
    let token =
        from_authorization.or_else(|| headers.get("x-api-key").map(|value| value.as_bytes().trim_ascii()));
    token.filter(|token| !token.is_empty())
}

fn caller(app: &App, scopes: &[String]) -> Caller {
    let shared = |text: &String| Arc::from(text.as_str());
    Caller {
        app: Some(app.name.as_str().into()),
        user: app.user.as_ref().map(shared),
        full_name: app.full_name.as_ref().map(shared),
        is_admin: app.is_admin,
        tenant: app.tenant.as_ref().map(shared),
        teams: app.teams.iter().map(shared).collect(),
        scopes: scopes.iter().map(shared).collect(),
        auth_method: Some("token".into()),
        metadata: app.metadata.clone(),
    }
}
