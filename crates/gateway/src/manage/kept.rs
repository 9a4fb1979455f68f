//! What is kept in storage, managed: apps, tokens, LLMs, prices, and plugins that are in no file.
//!
//! All kinds are listed, shown, made, changed and removed in one way ([`crud`]). What changes who may call is in force
//! when the answer goes out. What changes what gateways are configured by ([`configured`]) is put in force first, as a
//! reload does it, and kept only then: what was refused is never kept.

mod configured;
mod crud;
mod plugins;
mod spent;
mod tokens;

use bytes::Bytes;
use http::{Response, StatusCode};
use mortise_mcp_transport::chain::Chain;
use mortise_store::{App, Collection, Filter, Llm, Plugin, Price, Store, StoreError, Stored, entity::Entity};
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    answers::{Refused, detail, refused},
    asked::Asked,
    route::{
        Content::{Json, Made, Nothing},
        Handler::Later,
        Parameter, Route, Tag, Verb, one, whole,
    },
    shapes::ReloadedPlugin,
};
use crate::storage::{Storage, StorageError};
use std::sync::Arc;

pub(super) use plugins::name_of;
pub(super) use spent::ROUTES as SPENT;

/// A part of a list.
#[derive(Serialize, JsonSchema)]
struct Paged<T> {
    /// Those of the page, in the order in which they were made.
    items: Vec<Stored<T>>,
    /// How many there are on all pages.
    total: u64,
    /// The page, from 1.
    page: u32,
    /// How many a page holds at most.
    limit: u32,
}

/// A kind of entity that is managed.
trait Kind: Entity + JsonSchema {
    /// Where they are.
    fn of(store: &Store) -> Collection<'_, Self>;

    /// Those that the query asks for, beside what all kinds know.
    fn narrowed(_asked: &Asked<'_>, filter: Filter) -> Result<Filter, Refused> {
        Ok(filter)
    }

    /// What the gateway has against one.
    fn admit(&self, _asked: &Asked<'_>) -> Result<(), Refused> {
        Ok(())
    }

    /// One as it may be shown.
    fn shown(stored: Stored<Self>) -> Stored<Self> {
        stored
    }
}

impl Kind for App {
    fn of(store: &Store) -> Collection<'_, Self> {
        store.apps()
    }

    fn admit(&self, asked: &Asked<'_>) -> Result<(), Refused> {
        let Some(snapshot) = asked.managed.snapshot() else { return Ok(()) };
        if snapshot.access.authenticator.has_configured(&self.name) {
            let why =
                format!("the configuration has an app `{}`: apps in files are changed there", self.name);
            return Err(refused(StatusCode::CONFLICT, &why));
        }
        let known = &snapshot.catalogs.servers;
        match self.servers.iter().flatten().find(|server| !known.contains_key(server.as_str())) {
            Some(server) => {
                let mut names: Vec<&str> = known.keys().map(AsRef::as_ref).collect();
                names.sort_unstable();
                let why = format!(
                    "`servers`: there is no virtual server `{server}`; there are: {}",
                    names.join(", ")
                );
                Err(refused(StatusCode::UNPROCESSABLE_ENTITY, &why))
            }
            None => Ok(()),
        }
    }
}

impl Kind for Price {
    fn of(store: &Store) -> Collection<'_, Self> {
        store.prices()
    }

    fn narrowed(asked: &Asked<'_>, filter: Filter) -> Result<Filter, Refused> {
        Ok(asked.parameter("vendor").into_iter().fold(filter, |filter, vendor| filter.vendor(&vendor)))
    }
}

/// The database, and who asks for it.
fn storage<'a>(asked: &'a Asked<'_>) -> Result<&'a Arc<Storage>, Refused> {
    asked
        .managed
        .storage()
        .ok_or_else(|| refused(StatusCode::NOT_FOUND, "this gateway keeps nothing in storage"))
}

/// The number in the path.
fn number(asked: &Asked<'_>) -> Result<i64, Refused> {
    asked.name.parse().map_err(|_| refused(StatusCode::NOT_FOUND, "it is asked for by its number"))
}

fn missing(what: &str, id: i64) -> Refused {
    refused(StatusCode::NOT_FOUND, &format!("there is no {what} {id}"))
}

/// The answer to what storage did not do.
fn told(error: &StorageError) -> Response<Bytes> {
    let status = match error {
        StorageError::Store(StoreError::Taken { .. }) => StatusCode::CONFLICT,
        StorageError::Store(StoreError::Missing { .. }) => StatusCode::NOT_FOUND,
        StorageError::Store(StoreError::Unfit { .. } | StoreError::Full { .. }) => {
            StatusCode::UNPROCESSABLE_ENTITY
        }
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    detail(status, &Chain(error).to_string())
}

#[expect(clippy::needless_pass_by_value, reason = "what a failure is mapped by")]
fn refusing(error: StorageError) -> Refused {
    Box::new(told(&error))
}

/// What every list may be asked for.
const LISTED: &[Parameter] = &[
    Parameter { name: "page", about: "Which page, from 1", schema: one::<u32> },
    Parameter { name: "limit", about: "How many a page holds, 1 to 100; 20 without it", schema: one::<u32> },
    Parameter {
        name: "search",
        about: "Only what has this in its name or another text",
        schema: one::<String>,
    },
    Parameter { name: "active", about: "Only what is active, or (`false`) what is not", schema: one::<bool> },
];

const TOKENS_LISTED: &[Parameter] = &[
    Parameter { name: "app", about: "Only tokens of this app, by number or name", schema: one::<String> },
    Parameter { name: "page", about: "Which page, from 1", schema: one::<u32> },
    Parameter { name: "limit", about: "How many a page holds, 1 to 100; 20 without it", schema: one::<u32> },
    Parameter {
        name: "search",
        about: "Only what has this in its name or its beginning",
        schema: one::<String>,
    },
    Parameter { name: "active", about: "Only what is active, or (`false`) what is not", schema: one::<bool> },
];

const LLMS_LISTED: &[Parameter] = &[
    Parameter { name: "page", about: "Which page, from 1", schema: one::<u32> },
    Parameter { name: "limit", about: "How many a page holds, 1 to 100; 20 without it", schema: one::<u32> },
    Parameter {
        name: "search",
        about: "Only what has this in its name or another text",
        schema: one::<String>,
    },
    Parameter { name: "active", about: "Only what is active, or (`false`) what is not", schema: one::<bool> },
    Parameter { name: "vendor", about: "Only those of this vendor", schema: one::<String> },
    Parameter {
        name: "namespace",
        about: "Only what is global, and of this namespace",
        schema: one::<String>,
    },
];

const PRICES_LISTED: &[Parameter] = &[
    Parameter { name: "page", about: "Which page, from 1", schema: one::<u32> },
    Parameter { name: "limit", about: "How many a page holds, 1 to 100; 20 without it", schema: one::<u32> },
    Parameter { name: "search", about: "Only what has this in vendor or model", schema: one::<String> },
    Parameter { name: "vendor", about: "Only those of this vendor", schema: one::<String> },
];

const REFUSALS: &[(u16, &str)] = &[
    (409, "There is another one of this name"),
    (422, "Something in it is wrong"),
    (503, "The database cannot be used"),
];

const AWAY: &[(u16, &str)] =
    &[(400, "A parameter is none of what it may be"), (503, "The database cannot be used")];

/// Every route.
pub(super) static ROUTES: &[Route] = &[
    Route::change(
        Verb::Get,
        "/api/v1/apps",
        "listApps",
        "Apps that are kept in storage",
        Json(one::<Paged<App>>),
        Later(|asked| Box::pin(crud::list::<App>(asked))),
    )
    .of(Tag::Storage)
    .query(LISTED)
    .refuses(AWAY),
    Route::change(
        Verb::Post,
        "/api/v1/apps",
        "createApp",
        "Makes an app. From the first on, callers need a token",
        Made(one::<Stored<App>>),
        Later(|asked| Box::pin(crud::create::<App>(asked))),
    )
    .of(Tag::Storage)
    .takes(whole::<App>)
    .refuses(REFUSALS),
    Route::change(
        Verb::Get,
        "/api/v1/apps/{id}",
        "showApp",
        "One app",
        Json(one::<Stored<App>>),
        Later(|asked| Box::pin(crud::show::<App>(asked))),
    )
    .of(Tag::Storage)
    .refuses(AWAY),
    Route::change(
        Verb::Put,
        "/api/v1/apps/{id}",
        "replaceApp",
        "Puts other fields in the place of an app's; what is left out gets its default",
        Json(one::<Stored<App>>),
        Later(|asked| Box::pin(crud::replace::<App>(asked))),
    )
    .of(Tag::Storage)
    .takes(whole::<App>)
    .refuses(REFUSALS),
    Route::change(
        Verb::Patch,
        "/api/v1/apps/{id}",
        "changeApp",
        "Changes fields of an app (a merge patch); in force at once",
        Json(one::<Stored<App>>),
        Later(|asked| Box::pin(crud::patch::<App>(asked))),
    )
    .of(Tag::Storage)
    .takes(one::<serde_json::Value>)
    .refuses(REFUSALS),
    Route::change(
        Verb::Delete,
        "/api/v1/apps/{id}",
        "deleteApp",
        "Removes an app with its tokens",
        Nothing,
        Later(|asked| Box::pin(crud::delete::<App>(asked))),
    )
    .of(Tag::Storage)
    .refuses(AWAY),
    Route::change(
        Verb::Get,
        "/api/v1/tokens",
        "listTokens",
        "Tokens that are kept in storage, without what lets anybody in",
        Json(one::<Paged<mortise_store::Token>>),
        Later(|asked| Box::pin(crud::list::<mortise_store::Token>(asked))),
    )
    .of(Tag::Storage)
    .query(TOKENS_LISTED)
    .refuses(AWAY),
    Route::change(
        Verb::Post,
        "/api/v1/tokens",
        "createToken",
        "Makes a token. The answer is the only place where it is shown",
        Made(one::<tokens::Fresh>),
        Later(|asked| Box::pin(tokens::create(asked))),
    )
    .of(Tag::Storage)
    .takes(whole::<tokens::Wanted>)
    .refuses(REFUSALS),
    Route::change(
        Verb::Get,
        "/api/v1/tokens/{id}",
        "showToken",
        "One token, without what lets anybody in",
        Json(one::<Stored<mortise_store::Token>>),
        Later(|asked| Box::pin(crud::show::<mortise_store::Token>(asked))),
    )
    .of(Tag::Storage)
    .refuses(AWAY),
    Route::change(
        Verb::Patch,
        "/api/v1/tokens/{id}",
        "changeToken",
        "Changes name, scopes, end of a token, or whether it lets anybody in",
        Json(one::<Stored<mortise_store::Token>>),
        Later(|asked| Box::pin(tokens::patch(asked))),
    )
    .of(Tag::Storage)
    .takes(whole::<tokens::Patch>)
    .refuses(REFUSALS),
    Route::change(
        Verb::Delete,
        "/api/v1/tokens/{id}",
        "revokeToken",
        "Removes a token: it lets nobody in any more",
        Nothing,
        Later(|asked| Box::pin(crud::delete::<mortise_store::Token>(asked))),
    )
    .of(Tag::Storage)
    .refuses(AWAY),
    Route::change(
        Verb::Get,
        "/api/v1/llms",
        "listLlms",
        "LLMs that are kept in storage",
        Json(one::<Paged<Llm>>),
        Later(|asked| Box::pin(crud::list::<Llm>(asked))),
    )
    .of(Tag::Storage)
    .query(LLMS_LISTED)
    .refuses(AWAY),
    Route::change(
        Verb::Post,
        "/api/v1/llms",
        "createLlm",
        "Makes an LLM",
        Made(one::<Stored<Llm>>),
        Later(|asked| Box::pin(configured::create::<Llm>(asked))),
    )
    .of(Tag::Storage)
    .takes(whole::<Llm>)
    .refuses(REFUSALS),
    Route::change(
        Verb::Get,
        "/api/v1/llms/{id}",
        "showLlm",
        "One LLM",
        Json(one::<Stored<Llm>>),
        Later(|asked| Box::pin(crud::show::<Llm>(asked))),
    )
    .of(Tag::Storage)
    .refuses(AWAY),
    Route::change(
        Verb::Put,
        "/api/v1/llms/{id}",
        "replaceLlm",
        "Puts other fields in the place of an LLM's; what is left out gets its default",
        Json(one::<Stored<Llm>>),
        Later(|asked| Box::pin(configured::replace::<Llm>(asked))),
    )
    .of(Tag::Storage)
    .takes(whole::<Llm>)
    .refuses(REFUSALS),
    Route::change(
        Verb::Patch,
        "/api/v1/llms/{id}",
        "changeLlm",
        "Changes fields of an LLM (a merge patch)",
        Json(one::<Stored<Llm>>),
        Later(|asked| Box::pin(configured::patch::<Llm>(asked))),
    )
    .of(Tag::Storage)
    .takes(one::<serde_json::Value>)
    .refuses(REFUSALS),
    Route::change(
        Verb::Delete,
        "/api/v1/llms/{id}",
        "deleteLlm",
        "Removes an LLM",
        Nothing,
        Later(|asked| Box::pin(configured::delete::<Llm>(asked))),
    )
    .of(Tag::Storage)
    .refuses(REFUSALS),
    Route::change(
        Verb::Get,
        "/api/v1/prices",
        "listPrices",
        "What models cost, as it is kept in storage",
        Json(one::<Paged<Price>>),
        Later(|asked| Box::pin(crud::list::<Price>(asked))),
    )
    .of(Tag::Storage)
    .query(PRICES_LISTED)
    .refuses(AWAY),
    Route::change(
        Verb::Post,
        "/api/v1/prices",
        "createPrice",
        "Makes a price, for a model from a day on",
        Made(one::<Stored<Price>>),
        Later(|asked| Box::pin(crud::create::<Price>(asked))),
    )
    .of(Tag::Storage)
    .takes(whole::<Price>)
    .refuses(REFUSALS),
    Route::change(
        Verb::Get,
        "/api/v1/prices/{id}",
        "showPrice",
        "One price",
        Json(one::<Stored<Price>>),
        Later(|asked| Box::pin(crud::show::<Price>(asked))),
    )
    .of(Tag::Storage)
    .refuses(AWAY),
    Route::change(
        Verb::Put,
        "/api/v1/prices/{id}",
        "replacePrice",
        "Puts other fields in the place of a price's",
        Json(one::<Stored<Price>>),
        Later(|asked| Box::pin(crud::replace::<Price>(asked))),
    )
    .of(Tag::Storage)
    .takes(whole::<Price>)
    .refuses(REFUSALS),
    Route::change(
        Verb::Patch,
        "/api/v1/prices/{id}",
        "changePrice",
        "Changes fields of a price (a merge patch); calls that end from now on cost that",
        Json(one::<Stored<Price>>),
        Later(|asked| Box::pin(crud::patch::<Price>(asked))),
    )
    .of(Tag::Storage)
    .takes(one::<serde_json::Value>)
    .refuses(REFUSALS),
    Route::change(
        Verb::Delete,
        "/api/v1/prices/{id}",
        "deletePrice",
        "Removes a price",
        Nothing,
        Later(|asked| Box::pin(crud::delete::<Price>(asked))),
    )
    .of(Tag::Storage)
    .refuses(AWAY),
    Route::change(
        Verb::Post,
        "/api/v1/plugins",
        "createPlugin",
        "Makes a plugin that is kept in storage, and starts it",
        Made(one::<Stored<Plugin>>),
        Later(|asked| Box::pin(configured::create::<Plugin>(asked))),
    )
    .of(Tag::Plugins)
    .takes(whole::<Plugin>)
    .refuses(REFUSALS),
    Route::change(
        Verb::Get,
        "/api/v1/plugins/{name}/stored",
        "showStoredPlugin",
        "A plugin as it is kept in storage, by name or number, secrets as `***`",
        Json(one::<Stored<Plugin>>),
        Later(|asked| Box::pin(plugins::show(asked))),
    )
    .of(Tag::Plugins)
    .refuses(plugins::REFUSALS),
    Route::change(
        Verb::Put,
        "/api/v1/plugins/{name}",
        "replacePlugin",
        "Puts other fields in the place of those of a plugin that is kept in storage; `***` leaves a secret as it is",
        Json(one::<Stored<Plugin>>),
        Later(|asked| Box::pin(plugins::replace(asked))),
    )
    .of(Tag::Plugins)
    .takes(whole::<Plugin>)
    .refuses(plugins::REFUSALS),
    Route::change(
        Verb::Delete,
        "/api/v1/plugins/{name}",
        "deletePlugin",
        "Ends a plugin that is kept in storage, and removes it",
        Nothing,
        Later(|asked| Box::pin(plugins::delete(asked))),
    )
    .of(Tag::Plugins)
    .refuses(plugins::REFUSALS),
    Route::change(
        Verb::Delete,
        "/api/v1/plugins/{name}/data",
        "clearPluginData",
        "Removes all values that a plugin keeps",
        Json(one::<plugins::Cleared>),
        Later(|asked| Box::pin(plugins::clear(asked))),
    )
    .of(Tag::Plugins)
    .refuses(AWAY),
    Route::get(
        "/api/v1/plugins/{name}/health",
        "pluginHealth",
        "Whether a plugin is well, asked now",
        Json(one::<plugins::Health>),
        Later(|asked| Box::pin(plugins::health(asked))),
    )
    .of(Tag::Plugins),
    Route::get(
        "/api/v1/plugins/{name}/config-schema",
        "pluginConfigSchema",
        "The JSON Schema of a plugin's own configuration; null where it tells none",
        Json(one::<serde_json::Value>),
        Later(|asked| Box::pin(plugins::config_schema(asked))),
    )
    .of(Tag::Plugins),
    Route::change(
        Verb::Post,
        "/api/v1/plugins/{name}/approve-scopes",
        "approvePluginScopes",
        "Approves or denies the services of the gateway that a plugin in storage asks for",
        Json(one::<ReloadedPlugin>),
        Later(|asked| Box::pin(plugins::approve(asked))),
    )
    .of(Tag::Plugins)
    .takes(whole::<plugins::Approval>)
    .refuses(plugins::REFUSALS),
];
