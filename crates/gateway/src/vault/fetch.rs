//! One secret: logging in where that is needed, finding out what is mounted, reading.
//!
//! What is mounted where is asked as Vault's own programs ask it. A token that may not ask that is often all there is;
//! then the path is tried as one of a versioned engine and as it is written, and the shape of the answer tells.

use std::{
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode};
use serde_json::{Map, Value, json};

use super::{
    Login, Logins,
    client::{Answer, Client, Question},
    reference::Reference,
    settings::{Settings, WayIn, token_in},
};

/// Longest time that the token of a login is kept.
const LONGEST_LOGIN: Duration = Duration::from_secs(3600);

/// Why there is no secret.
pub(super) enum Trouble {
    /// Vault has none there.
    Absent(String),
    /// It does not give it.
    Failed(String),
    /// It does not answer, which asking for another one would not change.
    Away(String),
}

/// An engine of key-value pairs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mount {
    /// Parts of its path.
    path: Vec<String>,
    versioned: bool,
}

/// What fetching one secret needs.
pub(super) struct Fetch<'f> {
    pub(super) settings: &'f Settings,
    pub(super) logins: &'f Logins,
    /// Those that are known.
    pub(super) mounts: &'f mut Vec<Mount>,
}

impl Fetch<'_> {
    /// Fetches it on a thread of its own, within the time there is.
    pub(super) fn run(mut self, reference: &Reference) -> Result<Map<String, Value>, Trouble> {
        // Files are read here, where it is noted which ones a load looked at.
        let token = match &self.settings.way_in {
            WayIn::TokenFile(file) => Some(token_in(file).map_err(Trouble::Failed)?),
            WayIn::Token(token) => Some(token.clone()),
            WayIn::AppRole { .. } => None,
        };
        let (patience, shown) = (self.settings.timeout, self.settings.shown());
        let work = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.map_err(|error| Trouble::Failed(format!("starting a runtime: {error}")))?;
            runtime.block_on(async {
                let late = || format!("Vault at {shown} gave no answer within {} ms", patience.as_millis());
                let read = tokio::time::timeout(patience, self.read(reference, token)).await;
                read.unwrap_or_else(|_| Err(Trouble::Away(late())))
            })
        };
        thread::scope(|scope| {
            let fetching = scope.spawn(work);
            fetching.join().unwrap_or_else(|_| Err(Trouble::Failed("fetching it broke off".to_owned())))
        })
    }

    async fn read(
        &mut self,
        reference: &Reference,
        token: Option<HeaderValue>,
    ) -> Result<Map<String, Value>, Trouble> {
        let mut client = Client::new(self.settings).map_err(Trouble::Failed)?;
        if let Some(token) = token {
            return self.find(&mut client, reference, &token).await.map_err(|refused| refused.trouble);
        }
        let (token, kept) = self.log_in(&mut client, true).await?;
        match self.find(&mut client, reference, &token).await {
            // It may have been revoked since.
            Err(refused) if refused.forbidden && kept => {
                let (token, _) = self.log_in(&mut client, false).await?;
                self.find(&mut client, reference, &token).await.map_err(|refused| refused.trouble)
            }
            found => found.map_err(|refused| refused.trouble),
        }
    }

    /// The token of a login, and whether it was kept from an earlier one.
    async fn log_in(&self, client: &mut Client<'_>, kept: bool) -> Result<(HeaderValue, bool), Trouble> {
        let WayIn::AppRole { mount, role_id, secret_id } = &self.settings.way_in else {
            return Err(Trouble::Failed("there is no role to log in as".to_owned()));
        };
        let of = self.settings.digest(mount, role_id, secret_id.as_ref());
        if let Some(token) = self.logins.token(of).filter(|_| kept) {
            return Ok((token, true));
        }
        self.logins.forget();
        let mut body = json!({ "role_id": role_id.expose() });
        if let Some(secret_id) = secret_id {
            body["secret_id"] = secret_id.expose().into();
        }
        let mut path = vec!["auth"];
        path.extend(mount.split('/'));
        path.push("login");
        let body = Bytes::from(body.to_string());
        let question = Question { method: Method::POST, path, version: None, token: None, body };
        let answer = self.ask(client, &question).await?;
        let given = answer.body.get("auth").filter(|_| answer.status.is_success());
        let token = given.and_then(|given| given.get("client_token")).and_then(Value::as_str);
        let token = token.and_then(|token| HeaderValue::from_str(token).ok());
        let Some(mut token) = token else {
            let (shown, errors) = (self.settings.shown(), answer.errors());
            return Err(Trouble::Failed(format!("Vault at {shown} refuses the login by AppRole: {errors}")));
        };
        token.set_sensitive(true);
        let lease = given.and_then(|given| given.get("lease_duration")).and_then(Value::as_u64);
        // Without an end it is kept all the same for a while only.
        let lease = lease.filter(|seconds| *seconds > 0).map_or(LONGEST_LOGIN, Duration::from_secs);
        let until = Instant::now() + (lease.min(LONGEST_LOGIN) * 2 / 3);
        self.logins.keep(Login { token: token.clone(), until, of });
        Ok((token, false))
    }

    async fn ask(&self, client: &mut Client<'_>, question: &Question<'_>) -> Result<Answer, Trouble> {
        let asked = client.ask(question).await;
        asked.map_err(|why| {
            Trouble::Away(format!("Vault at {} does not answer: {why}", self.settings.shown()))
        })
    }

    /// Reads the secret where it turns out to be.
    async fn find(
        &mut self,
        client: &mut Client<'_>,
        reference: &Reference,
        token: &HeaderValue,
    ) -> Result<Map<String, Value>, Refused> {
        let path: Vec<&str> = reference.segments().iter().map(String::as_str).collect();
        let places = match self.mount(client, &path, token).await? {
            Some(Mount { path: mount, versioned: true }) => vec![data_path(&path, mount.len())],
            Some(_) => vec![path],
            None if path.get(1) == Some(&"data") && path.len() > 2 => vec![path],
            None => vec![data_path(&path, 1), path],
        };
        let mut refused: Option<Refused> = None;
        for place in places {
            let version = reference.version();
            let question = Question { version, ..Question::get(place, token) };
            let answer = self.ask(client, &question).await?;
            match self.values(answer) {
                Ok(values) => return Ok(values),
                // That it may not be read tells more than that it is not where it was guessed.
                Err(found) if refused.as_ref().is_none_or(|refused| !refused.forbidden) => {
                    refused = Some(found);
                }
                Err(_) => {}
            }
        }
        Err(refused.unwrap_or_else(|| Trouble::Failed("its path leads nowhere".to_owned()).into()))
    }

    /// What is mounted where the path leads; `None` where Vault does not say.
    async fn mount(
        &mut self,
        client: &mut Client<'_>,
        path: &[&str],
        token: &HeaderValue,
    ) -> Result<Option<Mount>, Refused> {
        let leads_to = |mount: &&Mount| {
            let same = path.iter().zip(&mount.path).all(|(asked, known)| *asked == known.as_str());
            same && mount.path.len() < path.len()
        };
        if let Some(known) = self.mounts.iter().find(leads_to) {
            return Ok(Some(known.clone()));
        }
        if let Some(version) = self.settings.kv_version {
            let first = path.first().map(|first| (*first).to_owned());
            return Ok(Some(Mount { path: first.into_iter().collect(), versioned: version == 2 }));
        }
        let mut asked = vec!["sys", "internal", "ui", "mounts"];
        asked.extend(path);
        let answer = self.ask(client, &Question::get(asked, token)).await?;
        let Some(about) = answer.body.get("data").filter(|_| answer.status.is_success()) else {
            return Ok(None);
        };
        let word = |key: &str| about.get(key).and_then(Value::as_str).unwrap_or_default();
        let mount: Vec<String> =
            word("path").split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect();
        if mount.is_empty() {
            return Ok(None);
        }
        let kind = word("type");
        if !matches!(kind, "kv" | "generic" | "cubbyhole") {
            let why = format!(
                "`{}` is an engine of type `{kind}`; only key-value secrets are read",
                mount.join("/")
            );
            return Err(Trouble::Failed(why).into());
        }
        let version = about.pointer("/options/version");
        let versioned = version.is_some_and(|version| *version == 2 || version == "2");
        let mount = Mount { path: mount, versioned };
        self.mounts.push(mount.clone());
        Ok(Some(mount))
    }

    /// The values in an answer.
    fn values(&self, mut answer: Answer) -> Result<Map<String, Value>, Refused> {
        let shown = self.settings.shown();
        match answer.status {
            status if status.is_success() => {
                let data = answer.body.get_mut("data").map(Value::take);
                match data {
                    Some(Value::Object(data)) => unwrapped(data).map_err(Refused::from),
                    _ => {
                        let why = format!("Vault at {shown} answers with something that is no secret");
                        Err(Trouble::Failed(why).into())
                    }
                }
            }
            StatusCode::NOT_FOUND if answer.errors().contains("no handler for route") => {
                Err(Trouble::Failed(format!("nothing is mounted there in Vault at {shown}")).into())
            }
            StatusCode::NOT_FOUND => {
                Err(Trouble::Absent(format!("Vault at {shown} has no secret there")).into())
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                Err(Trouble::Away(format!("Vault at {shown} does not serve: {}", answer.errors())).into())
            }
            status => {
                let why = format!("Vault at {shown} refuses ({}): {}", status.as_u16(), answer.errors());
                Err(Refused { trouble: Trouble::Failed(why), forbidden: status == StatusCode::FORBIDDEN })
            }
        }
    }
}

/// Why a secret was not read, and whether that is for want of a permission.
struct Refused {
    trouble: Trouble,
    forbidden: bool,
}

impl From<Trouble> for Refused {
    fn from(trouble: Trouble) -> Self {
        Self { trouble, forbidden: false }
    }
}

/// The path that a versioned engine has its data at; one that is written so stays.
fn data_path<'p>(path: &[&'p str], mount: usize) -> Vec<&'p str> {
    let (mount, rest) = path.split_at(mount.min(path.len()));
    if rest.first() == Some(&"data") && rest.len() > 1 {
        return path.to_vec();
    }
    [mount, &["data"][..], rest].concat()
}

/// The pairs of a versioned secret, or those there are.
fn unwrapped(mut data: Map<String, Value>) -> Result<Map<String, Value>, Trouble> {
    let versioned = data.get("metadata").is_some_and(Value::is_object) && data.contains_key("data");
    if !versioned {
        return Ok(data);
    }
    match data.remove("data") {
        Some(Value::Object(pairs)) => Ok(pairs),
        _ => Err(Trouble::Absent("this version of the secret is deleted".to_owned())),
    }
}
