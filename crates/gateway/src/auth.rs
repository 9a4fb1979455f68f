//! Who may call: tokens of apps, and which pages in browsers.
//!
//! A token is looked up by its SHA-256, so that 100,000 apps cost what one costs and what is in memory is no token.
//! The match found is compared once more in constant time. Without apps every caller is the anonymous one. Apps of the
//! configuration change with it as a whole; those that are kept in storage one at a time ([`Roster`]).
//!
//! Not here: plugins that authenticate, which run before this and may answer in its stead.

mod forwarded;
mod origin;
mod reach;
mod roster;
mod spread;

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
use mortise_plugin_api::{Caller, host::Credential};
use serde_json::{Map, Value};
use subtle::ConstantTimeEq;

use crate::config::{App, TokenDigest};

pub use forwarded::client_address;
pub use origin::{OriginCheck, OriginRefused, normal_origin, share};
pub use reach::{Reach, TOOLS};
use roster::Pass;
pub use roster::{Roster, caller as stored_caller};

/// Longest token that is looked at, in bytes.
const MAX_TOKEN: usize = 4096;

/// Tells who calls. Cheap to clone.
#[derive(Clone)]
pub struct Authenticator {
    configured: Arc<Configured>,
    stored: Roster,
}

/// Who may call by the configuration.
struct Configured {
    anonymous: Option<Arc<Grant>>,
    tokens: HashMap<TokenDigest, Known>,
    /// What apps may reach, for callers that a plugin says belong to one.
    servers: HashMap<String, Option<Arc<BTreeSet<String>>>>,
    /// What they may use of tools and data sources, where that is not everything.
    reaches: HashMap<String, Reach>,
    /// Those of apps that have no token yet.
    silent: Vec<Arc<Caller>>,
    facts: Vec<Arc<GrantedApp>>,
}

struct Known {
    grant: Arc<Grant>,
    expires: Option<Timestamp>,
}

/// A token that is known, of the configuration or of storage.
struct Found<'a> {
    grant: &'a Arc<Grant>,
    /// Its end in milliseconds since 1970.
    expires: Option<i64>,
    /// What is kept of it, of one that is stored.
    pass: Option<&'a Pass>,
}

impl Found<'_> {
    fn has_ended(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|end| end <= now.as_millisecond())
    }
}

/// What a caller was let in as.
#[derive(Debug)]
pub struct Grant {
    /// Who calls.
    pub caller: Arc<Caller>,
    servers: Option<Arc<BTreeSet<String>>>,
    llms: Option<Arc<BTreeSet<String>>>,
    /// Tools and data sources it may use.
    pub reach: Reach,
    /// The app whose token came; `None` for the anonymous caller.
    pub app: Option<Arc<GrantedApp>>,
}

/// What is known of an app beside who it acts for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GrantedApp {
    /// Its number in storage; `None` for one of the configuration.
    pub id: Option<i64>,
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// Who answers for it.
    pub owner: Option<String>,
    /// Money it may spend on LLM calls in a month.
    pub monthly_budget: Option<f64>,
    /// Day of the month on which that begins anew, 1 to 28.
    pub budget_reset_day: u8,
    /// LLM calls per minute.
    pub rate_limit: Option<u64>,
    /// Tokens of LLM calls per minute.
    pub token_limit: Option<u64>,
    /// Whether it may call at all.
    pub active: bool,
    /// Free data.
    pub metadata: Map<String, Value>,
    /// When it was made, in UTC; empty for one of the configuration.
    pub created: String,
    /// When it was last changed.
    pub updated: String,
}

impl GrantedApp {
    /// Of the configuration.
    #[must_use]
    pub fn configured(app: &App) -> Self {
        Self {
            name: app.name.clone(),
            owner: app.user.clone(),
            monthly_budget: app.monthly_budget,
            budget_reset_day: app.budget_reset_day,
            rate_limit: app.rate_limit,
            token_limit: app.token_limit,
            active: true,
            metadata: app.metadata.clone(),
            ..Self::default()
        }
    }

    /// Of storage.
    #[must_use]
    pub fn stored(app: &mortise_store::Stored<mortise_store::App>) -> Self {
        Self {
            id: Some(app.id),
            name: app.fields.name.clone(),
            description: app.fields.description.clone(),
            owner: app.fields.owner.clone(),
            monthly_budget: app.fields.monthly_budget,
            budget_reset_day: app.fields.budget_reset_day,
            rate_limit: app.fields.rate_limit,
            token_limit: app.fields.token_limit,
            active: app.fields.active,
            metadata: app.fields.metadata.clone(),
            created: app.created.clone(),
            updated: app.updated.clone(),
        }
    }
}

impl Grant {
    /// Whether the caller may use a virtual server, or (`None`) everything the gateway has at `/mcp`.
    #[must_use]
    pub fn may_use_server(&self, id: Option<&str>) -> bool {
        if let Some(tool) = id.and_then(|id| id.strip_prefix(TOOLS)) {
            return self.reach.may_use_tool(tool);
        }
        match (&self.servers, id) {
            (None, _) => true,
            (Some(listed), Some(id)) => listed.contains(id),
            (Some(_), None) => false,
        }
    }

    /// LLMs the caller may use, `None` for all.
    #[must_use]
    pub fn llms(&self) -> Option<&Arc<BTreeSet<String>>> {
        self.llms.as_ref()
    }

    /// The same with every LLM: for what a caller has an LLM do without naming it.
    #[must_use]
    pub fn with_every_llm(&self) -> Self {
        Self {
            caller: self.caller.clone(),
            servers: self.servers.clone(),
            llms: None,
            reach: self.reach.clone(),
            app: self.app.clone(),
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
        Self { configured: Arc::new(Configured::new(apps)), stored: Roster::default() }
    }

    /// The same with those that are kept in storage.
    #[must_use]
    pub fn with_stored(&self, stored: Roster) -> Self {
        Self { configured: self.configured.clone(), stored }
    }

    /// Those that are kept in storage.
    #[must_use]
    pub fn stored(&self) -> &Roster {
        &self.stored
    }

    /// Whether anyone is let in.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.anonymous().is_some()
    }

    fn anonymous(&self) -> Option<&Arc<Grant>> {
        self.configured.anonymous.as_ref().filter(|_| !self.stored.guards())
    }

    /// Tells who calls, and what they may reach. The token comes as `Authorization: Bearer` or `x-api-key`.
    ///
    /// # Errors
    /// When no token came, or one that is not known or has ended.
    pub fn grant(&self, headers: &HeaderMap) -> Result<&Arc<Grant>, Unauthorized> {
        if let Some(anonymous) = self.anonymous() {
            return Ok(anonymous);
        }
        self.grant_token(bearer(headers).ok_or(Unauthorized::Missing)?)
    }

    /// Whose token this is, and what they may reach, however it came.
    ///
    /// # Errors
    /// When it is not known or has ended.
    pub fn grant_token(&self, token: &[u8]) -> Result<&Arc<Grant>, Unauthorized> {
        let found = self.find(token).ok_or(Unauthorized::Unknown)?;
        let now = Timestamp::now();
        if found.has_ended(now) {
            return Err(Unauthorized::Expired);
        }
        if let Some(pass) = found.pass {
            pass.note(now);
        }
        Ok(found.grant)
    }

    /// The token with this text, whether it has ended or not.
    fn find(&self, token: &[u8]) -> Option<Found<'_>> {
        if token.len() > MAX_TOKEN {
            return None;
        }
        let digest = TokenDigest::of(token);
        if let Some((key, known)) = self.configured.tokens.get_key_value(&digest) {
            let expires = known.expires.map(Timestamp::as_millisecond);
            return same(*key, digest).then_some(Found { grant: &known.grant, expires, pass: None });
        }
        let (_, pass) = self.stored.find(digest).filter(|(key, _)| same(*key, digest))?;
        Some(Found { grant: &pass.grant, expires: pass.expires, pass: Some(pass) })
    }

    /// Whether a caller that a plugin authenticated may use a virtual server, or (`None`) everything at `/mcp`: what its
    /// app may, where it belongs to a configured one, else anything.
    #[must_use]
    pub fn may_use_server(&self, caller: &Caller, id: Option<&str>) -> bool {
        let Some(app) = caller.app.as_deref() else { return true };
        if let Some(tool) = id.and_then(|id| id.strip_prefix(TOOLS)) {
            return self.reach(caller).may_use_tool(tool);
        }
        let may = |listed: &BTreeSet<String>| id.is_some_and(|id| listed.contains(id));
        match self.configured.servers.get(app) {
            Some(listed) => listed.as_ref().is_none_or(|listed| may(listed)),
            None => self.stored.may_use_server(app, id),
        }
    }

    /// Tools and data sources that a caller's app may use; everything, where it belongs to none that is known.
    #[must_use]
    pub fn reach(&self, caller: &Caller) -> Reach {
        let Some(app) = caller.app.as_deref() else { return Reach::default() };
        match self.configured.reaches.get(app) {
            Some(reach) => reach.clone(),
            None if self.configured.servers.contains_key(app) => Reach::default(),
            None => self.stored.reach(app),
        }
    }

    /// The apps, sorted.
    #[must_use]
    pub fn apps(&self) -> Vec<&str> {
        let stored = self.stored.apps().map(|app| app.fields.name.as_str());
        let mut names: Vec<&str> = self.configured.servers.keys().map(AsRef::as_ref).chain(stored).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Whether the configuration has an app of this name.
    #[must_use]
    pub fn has_configured(&self, app: &str) -> bool {
        self.configured.servers.contains_key(app)
    }

    /// What is known of every app.
    pub fn facts(&self) -> impl Iterator<Item = GrantedApp> {
        let configured = self.configured.facts.iter().map(|app| GrantedApp::clone(app));
        configured.chain(self.stored.apps().map(|app| GrantedApp::stored(app)))
    }

    /// What a token is good for, if it lets anybody in now. Counts as no use of it.
    #[must_use]
    pub fn credential(&self, token: &[u8]) -> Option<Credential> {
        let found = self.find(token).filter(|found| !found.has_ended(Timestamp::now()))?;
        let app = found.grant.caller.app.as_deref()?.to_owned();
        let number = found.pass.map_or(0, |pass| u32::try_from(pass.number()).unwrap_or(0));
        Some(Credential { app, number, expires: found.expires.map(|end| end.div_euclid(1_000)) })
    }

    /// Everybody who is known to call, also those who have no token yet.
    pub fn callers(&self) -> impl Iterator<Item = Arc<Caller>> {
        let known = self.configured.tokens.values().map(|known| known.grant.caller.clone());
        let stored = self.stored.apps().map(|app| Arc::new(roster::caller(&app.fields, &[])));
        known.chain(self.configured.silent.iter().cloned()).chain(stored)
    }

    /// Who an app acts for. Looks through all tokens: for people who ask, not for calls.
    #[must_use]
    pub fn app(&self, name: &str) -> Option<Arc<Caller>> {
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
            .field("tokens", &self.configured.tokens.len())
            .field("stored", &self.stored)
            .finish()
    }
}

impl Configured {
    fn new(apps: Option<&[App]>) -> Self {
        let Some(apps) = apps else {
            let reach = Reach::default();
            let grant = Grant { caller: Arc::default(), servers: None, llms: None, reach, app: None };
            return Self {
                anonymous: Some(Arc::new(grant)),
                tokens: HashMap::new(),
                servers: HashMap::new(),
                reaches: HashMap::new(),
                silent: Vec::new(),
                facts: Vec::new(),
            };
        };
        let mut known = Vec::with_capacity(apps.len());
        let mut tokens = HashMap::with_capacity(apps.iter().map(|app| app.tokens.len()).sum());
        let mut reach = HashMap::with_capacity(apps.len());
        let mut reaches = HashMap::new();
        let mut silent = Vec::new();
        for app in apps {
            if app.tokens.is_empty() {
                silent.push(Arc::new(caller(app, &[])));
            }
            let (servers, llms) = (app.servers.clone().map(Arc::new), app.llms.clone().map(Arc::new));
            reach.insert(app.name.clone(), servers.clone());
            let may_use = Reach::new(app.tools.as_ref(), app.datasources.as_ref());
            if !may_use.is_all() {
                reaches.insert(app.name.clone(), may_use.clone());
            }
            let facts = Arc::new(GrantedApp::configured(app));
            known.push(facts.clone());
            for token in &app.tokens {
                let (caller, app) = (Arc::new(caller(app, &token.scopes)), Some(facts.clone()));
                let (servers, llms, reach) = (servers.clone(), llms.clone(), may_use.clone());
                let grant = Arc::new(Grant { caller, servers, llms, reach, app });
                tokens.insert(token.digest, Known { grant, expires: token.expires });
            }
        }
        Self { anonymous: None, tokens, servers: reach, reaches, silent, facts: known }
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
