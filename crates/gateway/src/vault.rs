//! HashiCorp Vault as a store of secrets that values of the configuration refer to.
//!
//! `${vault:PATH#KEY}`: what the command `vault kv get -field=KEY PATH` gives, of key-value engines of both versions.
//! Other engines are refused: what they give is made for whoever asks and ends after a while, and nobody here would
//! renew it. A path is asked for once in a load, so that all values of one secret are of one moment; a Vault that does
//! not answer is waited for once and not for each value. Nothing is kept between loads but the token of a login, until
//! shortly before it ends, as logins are counted and kept by Vault.
//!
//! Loading is synchronous and may run on a thread of a runtime, so each secret is fetched on a thread of its own, with
//! a runtime that ends with it. Where no value refers to Vault, none of this is made.

mod client;
mod fetch;
mod reference;
mod settings;

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use http::HeaderValue;
use mortise_framework::config::{NoSecret, SecretStore};
use serde_json::{Map, Value};

use fetch::{Fetch, Mount, Trouble};
use reference::Reference;
pub(crate) use settings::{Settings, Unfit};

/// The scheme of references.
pub(crate) const SCHEME: &str = "vault";

/// Tokens of logins, kept from one load to the next. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Logins(Arc<Mutex<Option<Login>>>);

/// A token that a login gave.
#[derive(Clone)]
struct Login {
    token: HeaderValue,
    until: Instant,
    /// A digest of what was logged in with, and where.
    of: [u8; 32],
}

impl Logins {
    /// A token of a login with the same credentials that is good for a while.
    fn token(&self, of: [u8; 32]) -> Option<HeaderValue> {
        let kept = lock(&self.0);
        kept.as_ref().filter(|login| login.of == of && Instant::now() < login.until).map(|l| l.token.clone())
    }

    fn keep(&self, login: Login) {
        *lock(&self.0) = Some(login);
    }

    fn forget(&self) {
        *lock(&self.0) = None;
    }
}

impl fmt::Debug for Logins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Logins").field("any", &lock(&self.0).is_some()).finish()
    }
}

/// Vault, for the length of one load.
pub(crate) struct Vault {
    /// Reads the settings, when a value first needs them.
    settings: Box<dyn Fn() -> Result<Settings, String> + Send + Sync>,
    logins: Logins,
    state: Mutex<State>,
}

/// What is known so far.
#[derive(Default)]
struct State {
    settings: Option<Result<Arc<Settings>, String>>,
    mounts: Vec<Mount>,
    /// Secrets by path and version.
    secrets: HashMap<String, Result<Arc<Map<String, Value>>, NoSecret>>,
    /// Why it is not asked any more.
    away: Option<String>,
}

impl Vault {
    /// A store for one load whose settings are read when they are needed.
    pub(crate) fn new(
        settings: impl Fn() -> Result<Settings, String> + Send + Sync + 'static,
        logins: Logins,
    ) -> Self {
        Self { settings: Box::new(settings), logins, state: Mutex::default() }
    }

    /// The whole secret.
    fn secret(&self, reference: &Reference) -> Result<Arc<Map<String, Value>>, NoSecret> {
        let mut state = lock(&self.state);
        if let Some(known) = state.secrets.get(reference.secret()) {
            return known.clone();
        }
        let settings = state.settings.get_or_insert_with(|| (self.settings)().map(Arc::new)).clone();
        let settings = settings.map_err(|why| failed(&why))?;
        if let Some(why) = &state.away {
            return Err(failed(why));
        }
        let found =
            Fetch { settings: &settings, logins: &self.logins, mounts: &mut state.mounts }.run(reference);
        let found = found.map(Arc::new).map_err(|trouble| match trouble {
            Trouble::Absent(why) => NoSecret::Absent(format!("has no value: {why}")),
            Trouble::Failed(why) => failed(&why),
            Trouble::Away(why) => failed(state.away.insert(why)),
        });
        state.secrets.insert(reference.secret().to_owned(), found.clone());
        found
    }
}

impl SecretStore for Vault {
    fn look_up(&self, reference: &str) -> Result<String, NoSecret> {
        let reference = Reference::parse(reference).map_err(|why| failed(&why))?;
        let secret = self.secret(&reference)?;
        match secret.get(reference.key()) {
            Some(Value::String(text)) => Ok(text.clone()),
            Some(Value::Null) | None => {
                let names: Vec<String> = secret.keys().take(10).map(|name| format!("`{name}`")).collect();
                let has = if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
                let why = format!("has no value: the secret has no key `{}`; it has {has}", reference.key());
                Err(NoSecret::Absent(why))
            }
            Some(other) => Ok(other.to_string()),
        }
    }
}

fn failed(why: &str) -> NoSecret {
    NoSecret::Failed(format!("has no value: {why}"))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
