//! Tokens: made here, shown once, and never again.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{Response, StatusCode};
use jiff::Timestamp;
use mortise_store::{Collection, Filter, Page, Store, Stored, Token};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use super::{Kind, crud, number, refusing, storage};
use crate::{
    config::{TokenDigest, end_of},
    manage::{
        answers::{Refused, made, ok, refused},
        asked::Asked,
    },
};

/// How tokens begin, so that a scanner for leaked secrets knows one.
const BEGINNING: &str = "mortise_";

/// How much of a token is kept to be shown, in characters.
const SHOWN: usize = BEGINNING.len() + 6;

/// A token that is wanted.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    /// The app, by number or name.
    app: AppOf,
    /// What it is for.
    #[serde(default)]
    name: Option<String>,
    /// What it may be used for; shown to plugins. An empty list means anything.
    #[serde(default)]
    scopes: Vec<String>,
    /// When it ends: a moment, or a day to whose end in UTC it is good. Not given, never.
    #[serde(default)]
    expires: Option<String>,
}

/// An app, by number or name.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum AppOf {
    Number(i64),
    Name(String),
}

/// What changes of a token.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Patch {
    /// What it is for.
    #[serde(default)]
    name: Option<String>,
    /// What it may be used for.
    #[serde(default)]
    scopes: Option<Vec<String>>,
    /// When it ends; null for never.
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "Option<String>")]
    expires: Option<Option<String>>,
    /// Whether it lets anybody in.
    #[serde(default)]
    active: Option<bool>,
}

/// Null is something else than nothing.
fn given<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(from).map(Some)
}

/// A token that was just made.
#[derive(Serialize, JsonSchema)]
pub(super) struct Fresh {
    #[serde(flatten)]
    stored: Stored<Token>,
    /// The token itself. Only its SHA-256 is kept: it is shown here and never again.
    token: String,
}

impl Kind for Token {
    fn of(store: &Store) -> Collection<'_, Self> {
        store.tokens()
    }

    fn narrowed(asked: &Asked<'_>, filter: Filter) -> Result<Filter, Refused> {
        let Some(app) = asked.parameter("app") else { return Ok(filter) };
        let app = match app.parse() {
            Ok(number) => AppOf::Number(number),
            Err(_) => AppOf::Name(app),
        };
        Ok(filter.app(app_number(asked, &app)?))
    }
}

/// Makes a token.
pub(super) async fn create(asked: &Asked<'_>) -> Response<Bytes> {
    crud::answer(fresh(asked).await.map(|fresh| made(&fresh)))
}

async fn fresh(asked: &Asked<'_>) -> Result<Fresh, Refused> {
    let wanted: Wanted = asked.json()?;
    let storage = storage(asked)?;
    let app = match wanted.app {
        AppOf::Number(number) => number,
        AppOf::Name(name) => {
            let named = Filter::new().name(&name);
            let found = storage
                .read(move |store| async move { store.apps().list(&named, Page::new(1, 1)).await })
                .await;
            let found = found.map_err(refusing)?.and_then(|mut listing| listing.items.pop());
            let unknown = || no_such_app(&name);
            found.map(|app| app.id).ok_or_else(unknown)?
        }
    };
    let token = random()?;
    let fields = Token {
        app,
        name: wanted.name,
        prefix: token.chars().take(SHOWN).collect(),
        scopes: wanted.scopes,
        expires: wanted.expires.as_deref().map(end).transpose()?,
        active: true,
        last_used: None,
        digest: TokenDigest::of(token.as_bytes()).to_hex(),
    };
    let stored = storage.write(move |store| async move { store.tokens().create(fields).await }).await;
    let stored = stored.map_err(refusing)?;
    storage.catch_up().await.map_err(refusing)?;
    Ok(Fresh { stored, token })
}

/// Changes a token.
pub(super) async fn patch(asked: &Asked<'_>) -> Response<Bytes> {
    let patched = async {
        let id = number(asked)?;
        let patch: Patch = asked.json()?;
        let mut fields = crud::get::<Token>(asked, id).await?.fields;
        fields.name = patch.name.or(fields.name);
        fields.scopes = patch.scopes.unwrap_or(fields.scopes);
        fields.active = patch.active.unwrap_or(fields.active);
        if let Some(expires) = patch.expires {
            fields.expires = expires.as_deref().map(end).transpose()?;
        }
        crud::put(asked, id, fields).await
    };
    crud::answer(patched.await.map(|stored| ok(&stored)))
}

/// The number of an app that is in force.
fn app_number(asked: &Asked<'_>, app: &AppOf) -> Result<i64, Refused> {
    match app {
        AppOf::Number(number) => Ok(*number),
        AppOf::Name(name) => {
            let roster = asked.managed.storage().map(|storage| storage.roster());
            let found = roster.as_ref().and_then(|roster| roster.app(name));
            found.map(|app| app.id).ok_or_else(|| no_such_app(name))
        }
    }
}

fn no_such_app(name: &str) -> Refused {
    let why = format!("there is no app `{name}` in storage: tokens of apps in files are written there");
    refused(StatusCode::UNPROCESSABLE_ENTITY, &why)
}

/// An end, as it is kept.
fn end(text: &str) -> Result<String, Refused> {
    let why = "`expires` is a moment (2027-01-31T12:00:00Z) or a day (2027-01-31)";
    let unfit = || refused(StatusCode::UNPROCESSABLE_ENTITY, why);
    let end: Timestamp = end_of(text).ok_or_else(unfit)?;
    Ok(end.to_string())
}

fn random() -> Result<String, Refused> {
    let mut bytes = [0; 32];
    let failed = |_| refused(StatusCode::INTERNAL_SERVER_ERROR, "the system gives no random numbers");
    getrandom::fill(&mut bytes).map_err(failed)?;
    Ok(format!("{BEGINNING}{}", URL_SAFE_NO_PAD.encode(bytes)))
}
