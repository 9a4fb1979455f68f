//! Apps and tokens that are kept in storage, as a snapshot holds them.
//!
//! Found by digest as those of the configuration are, and changed one at a time: a token that is made, revoked or ends
//! costs what one costs, however many there are. Apps that are not active, and tokens that are not, are not found at
//! all. Expiry is looked at when a token comes, as nothing happens at that moment by itself.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
};

use jiff::Timestamp;
use mortise_plugin_api::Caller;
use mortise_store::{App, Stored, Token};

use super::{Grant, GrantedApp, Reach, spread::Spread};
use crate::config::TokenDigest;

/// Everybody who may call and is kept in storage.
#[derive(Clone, Default)]
pub struct Roster {
    tokens: Spread<TokenDigest, Pass>,
    apps: Spread<i64, Arc<Member>>,
    names: Spread<Arc<str>, i64>,
    /// Of tokens, by number: to find one that changed.
    digests: Spread<i64, (i64, TokenDigest)>,
    /// Whether callers need a token, be there any or none.
    guards: bool,
}

/// A token that lets somebody in.
#[derive(Clone)]
pub(super) struct Pass {
    pub(super) grant: Arc<Grant>,
    /// Its end in milliseconds since 1970.
    pub(super) expires: Option<i64>,
    used: Arc<Used>,
}

/// When a token was last used.
#[derive(Debug)]
struct Used {
    token: i64,
    /// In minutes since 1970; 0 for not since this was last asked for.
    minute: AtomicI64,
}

/// An app and its tokens.
struct Member {
    app: Arc<Stored<App>>,
    tokens: Vec<Arc<Stored<Token>>>,
}

impl Pass {
    /// The number of the token.
    pub(super) fn number(&self) -> i64 {
        self.used.token
    }

    /// Notes that it was used. Writes once a minute.
    pub(super) fn note(&self, now: Timestamp) {
        let minute = now.as_second() / 60;
        if self.used.minute.load(Relaxed) != minute {
            self.used.minute.store(minute, Relaxed);
        }
    }
}

impl Roster {
    /// Of all there are. `guards`: whether callers need a token even if there are none.
    #[must_use]
    pub fn of(apps: Vec<Stored<App>>, tokens: Vec<Stored<Token>>, guards: bool) -> Self {
        let mut owned: std::collections::HashMap<i64, Vec<Arc<Stored<Token>>>> = Default::default();
        for token in tokens {
            owned.entry(token.fields.app).or_default().push(Arc::new(token));
        }
        let members = apps.into_iter().map(|app| {
            let tokens = owned.remove(&app.id).unwrap_or_default();
            Arc::new(Member { app: Arc::new(app), tokens })
        });
        let members: Vec<Arc<Member>> = members.collect();
        let listed = members.iter().flat_map(|member| {
            let id = member.app.id;
            member.tokens.iter().filter_map(move |token| Some((token.id, (id, digest(token)?))))
        });
        Self {
            tokens: Spread::of(members.iter().flat_map(|member| passes(member))),
            digests: Spread::of(listed),
            names: Spread::of(members.iter().map(|member| (name(&member.app), member.app.id))),
            guards: guards || !members.is_empty(),
            apps: Spread::of(members.iter().map(|member| (member.app.id, member.clone()))),
        }
    }

    /// The same where callers need a token even if there are none.
    #[must_use]
    pub fn guarding(mut self) -> Self {
        self.guards = true;
        self
    }

    /// Whether callers need a token.
    #[must_use]
    pub fn guards(&self) -> bool {
        self.guards
    }

    /// How many tokens let somebody in.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Whether no token lets anybody in.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn find(&self, digest: TokenDigest) -> Option<(TokenDigest, &Pass)> {
        self.tokens.entry(&digest).map(|(key, pass)| (*key, pass))
    }

    /// The app of a name.
    #[must_use]
    pub fn app(&self, name: &str) -> Option<&Arc<Stored<App>>> {
        Some(&self.apps.get(self.names.get(name)?)?.app)
    }

    /// The app of a number.
    #[must_use]
    pub fn app_numbered(&self, id: i64) -> Option<&Arc<Stored<App>>> {
        Some(&self.apps.get(&id)?.app)
    }

    /// Every app.
    pub fn apps(&self) -> impl Iterator<Item = &Arc<Stored<App>>> {
        self.apps.iter().map(|(_, member)| &member.app)
    }

    /// Whether the app of a name may use a virtual server, or (`None`) everything at `/mcp`. One that is not here may:
    /// nobody has said what it may not.
    pub(super) fn may_use_server(&self, name: &str, id: Option<&str>) -> bool {
        let listed = self.app(name).and_then(|app| app.fields.servers.as_ref());
        listed.is_none_or(|listed| id.is_some_and(|id| listed.iter().any(|one| one == id)))
    }

    /// Tools and data sources that the app of a name may use; everything, where it is not here.
    pub(super) fn reach(&self, name: &str) -> Reach {
        self.app(name).map(|app| reach(&app.fields)).unwrap_or_default()
    }

    /// Puts an app in, or in the place of what it was; `None` for one that is there no more.
    pub fn put_app(&mut self, id: i64, app: Option<Stored<App>>) {
        let before = self.apps.get(&id).cloned();
        if let Some(before) = &before {
            self.names.remove(&*before.app.fields.name);
            self.drop_passes(before);
        }
        match app {
            Some(app) => {
                let tokens = before.map(|before| before.tokens.clone()).unwrap_or_default();
                self.guards = true;
                self.names.insert(name(&app), id);
                self.put(Member { app: Arc::new(app), tokens });
            }
            None => {
                for token in before.iter().flat_map(|before| &before.tokens) {
                    self.digests.remove(&token.id);
                }
                self.apps.remove(&id);
            }
        }
    }

    /// Puts a token in, or in the place of what it was; `None` for one that is there no more.
    pub fn put_token(&mut self, id: i64, token: Option<Stored<Token>>) {
        if let Some((app, digest)) = self.digests.remove(&id) {
            self.tokens.remove(&digest);
            if let Some(member) = self.apps.get(&app).cloned() {
                let tokens = member.tokens.iter().filter(|token| token.id != id).cloned().collect();
                self.put(Member { app: member.app.clone(), tokens });
            }
        }
        let Some(token) = token else { return };
        // Of an app that has gone in the meantime: so has the token.
        let Some(member) = self.apps.get(&token.fields.app).cloned() else { return };
        let Some(digest) = digest(&token) else { return };
        self.digests.insert(id, (token.fields.app, digest));
        let mut tokens = member.tokens.clone();
        tokens.push(Arc::new(token));
        self.put(Member { app: member.app.clone(), tokens });
    }

    /// Tokens that were used since this was last asked: their numbers, and the moment in milliseconds since 1970.
    #[must_use]
    pub fn take_used(&self) -> Vec<(i64, i64)> {
        let used = self.tokens.iter().filter_map(|(_, pass)| {
            let minute = pass.used.minute.swap(0, Relaxed);
            (minute != 0).then_some((pass.used.token, minute.saturating_mul(60_000)))
        });
        used.collect()
    }

    fn put(&mut self, member: Member) {
        let member = Arc::new(member);
        for (digest, pass) in passes(&member) {
            // One that goes on keeps the note of its use.
            let used = self.tokens.get(&digest).map(|before| before.used.clone());
            let used = used.filter(|used| used.token == pass.used.token);
            self.tokens.insert(digest, Pass { used: used.unwrap_or(pass.used), ..pass });
        }
        self.apps.insert(member.app.id, member);
    }

    fn drop_passes(&mut self, member: &Member) {
        for token in &member.tokens {
            if let Some(digest) = digest(token) {
                self.tokens.remove(&digest);
            }
        }
    }
}

/// Counts only: who may call is nobody's business.
impl std::fmt::Debug for Roster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Roster").field("apps", &self.apps.len()).field("tokens", &self.tokens.len()).finish()
    }
}

fn name(app: &Stored<App>) -> Arc<str> {
    app.fields.name.as_str().into()
}

fn digest(token: &Stored<Token>) -> Option<TokenDigest> {
    TokenDigest::parse(&token.fields.digest)
}

/// What lets somebody in as this app.
fn passes(member: &Member) -> Vec<(TokenDigest, Pass)> {
    let app = &member.app;
    if !app.fields.active || member.tokens.is_empty() {
        return Vec::new();
    }
    let shared = |names: &Option<Vec<String>>| {
        names.as_ref().map(|names| Arc::new(names.iter().cloned().collect::<BTreeSet<_>>()))
    };
    let (servers, llms) = (shared(&app.fields.servers), shared(&app.fields.llms));
    let may_use = reach(&app.fields);
    let facts = Arc::new(GrantedApp::stored(app));
    let active = member.tokens.iter().filter(|token| token.fields.active);
    let passes = active.filter_map(|token| {
        // An end that cannot be read is one that has come.
        let read = |end: &String| end.parse::<Timestamp>().map_or(0, Timestamp::as_millisecond);
        let expires = token.fields.expires.as_ref().map(read);
        let grant = Grant {
            caller: Arc::new(caller(&app.fields, &token.fields.scopes)),
            servers: servers.clone(),
            llms: llms.clone(),
            reach: may_use.clone(),
            app: Some(facts.clone()),
        };
        let used = Arc::new(Used { token: token.id, minute: AtomicI64::new(0) });
        Some((digest(token)?, Pass { grant: Arc::new(grant), expires, used }))
    });
    passes.collect()
}

fn reach(app: &App) -> Reach {
    Reach::new(app.tools.as_ref(), app.datasources.as_ref())
}

/// Who an app acts for.
#[must_use]
pub fn caller(app: &App, scopes: &[String]) -> Caller {
    let shared = |text: &String| Arc::from(text.as_str());
    Caller {
        app: Some(app.name.as_str().into()),
        user: app.user.as_ref().or(app.owner.as_ref()).map(shared),
        full_name: app.full_name.as_ref().map(shared),
        is_admin: app.is_admin,
        tenant: app.tenant.as_ref().map(shared),
        teams: app.teams.iter().map(shared).collect(),
        scopes: scopes.iter().map(shared).collect(),
        auth_method: Some("token".into()),
        metadata: app.metadata.clone(),
    }
}
