//! The table of routes: everything the management surface serves. The dispatcher and the OpenAPI document are both
//! made of it, so what is served is described and what is described is served.

use super::{
    calls, changes, coverage, health, history, kept, openapi,
    overrides::{self, SwitchPatch},
    plugins,
    route::{
        Content::{Json, Text},
        Handler::{Later, Now},
        Parameter, Route, Tag, Verb, one,
    },
    shapes::{
        ChangedPlugin, Healthy, OverrideList, PluginDetail, PluginSummary, Ready, Reloaded, ReloadedPlugin,
        Switched, UpstreamStatus,
    },
    stats::{self, StatsReset},
};
use mortise_framework::stats::Report;

use crate::{history::Entry, overrides::PluginPatch, trace::shown::ShownCall};

/// Refusals of what changes the configuration.
const REFUSALS: &[(u16, &str)] = &[
    (422, "It was refused, with all reasons; what was in force stays"),
    (500, "It did not come to its end"),
    (503, "Another change has been under way for too long"),
];

/// What `/api/v1/coverage` may be told of the caller.
const CALLER: &[Parameter] = &[
    Parameter {
        name: "app",
        about: "The app that calls; of a configured one the rest is known",
        schema: one::<String>,
    },
    Parameter { name: "user", about: "The user; empty where there is none", schema: one::<String> },
    Parameter { name: "tenant", about: "The tenant; empty where there is none", schema: one::<String> },
    Parameter { name: "team", about: "A team of the user; may be repeated", schema: one::<String> },
];

/// Every route but those of what is kept in storage.
static ROUTES: &[Route] = &[
    Route::get("/health", "health", "Whether the process answers at all", Json(one::<Healthy>), Now(health::health))
        .open()
        .of(Tag::Health),
    Route::get(
        "/ready",
        "ready",
        "Whether everything was started once, and what is degraded or switched off",
        Json(one::<Ready>),
        Now(health::ready),
    )
    .open()
    .of(Tag::Health)
    .refuses(&[(503, "Not everything was started once")]),
    Route::get(
        "/api/v1/coverage",
        "coverage",
        "Which plugins would run where, and which that are required would not",
        Json(one::<crate::coverage::Report>),
        Later(|asked| Box::pin(coverage::coverage(asked))),
    )
    .query(CALLER),
    Route::get(
        "/metrics",
        "metrics",
        "Everything that is counted, for Prometheus",
        Text(health::METRICS_TYPE),
        Now(health::metrics),
    ),
    Route::get(
        "/plugins",
        "listPluginsAsDocumented",
        "All plugins by priority, under the path of the ContextForge documents",
        Json(one::<Vec<PluginSummary>>),
        Now(plugins::list),
    )
    .of(Tag::Plugins),
    Route::change(
        Verb::Post,
        "/plugins/reload/{name}",
        "reloadPluginAsDocumented",
        "Reads the entry of one plugin anew and starts it anew, under the path of the ContextForge documents",
        Json(one::<ReloadedPlugin>),
        Later(|asked| Box::pin(changes::reload_plugin(asked))),
    )
    .of(Tag::Plugins)
    .refuses(REFUSALS),
    Route::get(
        "/plugins/stats",
        "showStatisticsAsDocumented",
        "What plugins counted since the start or the last reset, under the path of the documents",
        Json(one::<Report>),
        Now(stats::show),
    )
    .of(Tag::Plugins),
    Route::change(
        Verb::Post,
        "/plugins/stats/reset",
        "resetStatisticsAsDocumented",
        "Begins the statistics of plugins anew; metrics go on, under the path of the ContextForge documents",
        Json(one::<StatsReset>),
        Now(stats::reset),
    )
    .of(Tag::Plugins),
    Route::get(
        "/api/v1/plugins",
        "listPlugins",
        "All plugins by priority, those that are disabled or wait too",
        Json(one::<Vec<PluginSummary>>),
        Now(plugins::list),
    )
    .of(Tag::Plugins),
    Route::change(
        Verb::Patch,
        "/api/v1/plugins",
        "switchPlugins",
        "Switches all plugins off or on; kept over a restart",
        Json(one::<Switched>),
        Later(|asked| Box::pin(overrides::switch(asked))),
    )
    .of(Tag::Plugins)
    .takes(one::<SwitchPatch>)
    .refuses(REFUSALS),
    Route::get(
        "/api/v1/plugins/{name}",
        "showPlugin",
        "One plugin with its configuration, secrets as `***`, and its counters",
        Json(one::<PluginDetail>),
        Now(plugins::show),
    )
    .of(Tag::Plugins),
    Route::change(
        Verb::Post,
        "/api/v1/plugins/{name}/reload",
        "reloadPlugin",
        "Reads the entry of one plugin anew and starts it anew",
        Json(one::<ReloadedPlugin>),
        Later(|asked| Box::pin(changes::reload_plugin(asked))),
    )
    .of(Tag::Plugins)
    .refuses(REFUSALS),
    Route::change(
        Verb::Patch,
        "/api/v1/plugins/{name}",
        "changePlugin",
        "Changes a plugin over its configuration: off or on, mode, priority, keys of its config; kept over a restart",
        Json(one::<ChangedPlugin>),
        Later(|asked| Box::pin(overrides::change_plugin(asked))),
    )
    .of(Tag::Plugins)
    .takes(one::<PluginPatch>)
    .refuses(REFUSALS),
    Route::change(
        Verb::Delete,
        "/api/v1/plugins/{name}/override",
        "resetPlugin",
        "Leaves a plugin to its configuration again",
        Json(one::<ChangedPlugin>),
        Later(|asked| Box::pin(overrides::reset_plugin(asked))),
    )
    .of(Tag::Plugins)
    .refuses(REFUSALS),
    Route::get(
        "/api/v1/overrides",
        "listOverrides",
        "Everything that is changed over the configuration",
        Json(one::<OverrideList>),
        Now(overrides::list),
    )
    .of(Tag::Plugins),
    Route::change(
        Verb::Delete,
        "/api/v1/overrides",
        "resetEverything",
        "Leaves everything to the configuration again",
        Json(one::<Reloaded>),
        Later(|asked| Box::pin(overrides::reset_all(asked))),
    )
    .of(Tag::Plugins)
    .refuses(REFUSALS),
    Route::get(
        "/api/v1/plugin-stats",
        "showStatistics",
        "What plugins counted since the start or the last reset",
        Json(one::<Report>),
        Now(stats::show),
    )
    .of(Tag::Plugins),
    Route::change(
        Verb::Post,
        "/api/v1/plugin-stats/reset",
        "resetStatistics",
        "Begins the statistics of plugins anew; metrics go on",
        Json(one::<StatsReset>),
        Now(stats::reset),
    )
    .of(Tag::Plugins),
    Route::get(
        "/api/v1/upstreams",
        "listUpstreams",
        "The upstreams in file order, and where they stand",
        Json(one::<Vec<UpstreamStatus>>),
        Now(health::upstreams),
    ),
    Route::get(
        "/api/v1/history",
        "listHistory",
        "Changes of the configuration that were tried, the newest first",
        Json(one::<Vec<Entry>>),
        Later(|asked| Box::pin(history::list(asked))),
    )
    .of(Tag::Configuration)
    .query(&[
        Parameter { name: "limit", about: "Most entries; 100 without it, at most 1,000", schema: one::<u32> },
        Parameter { name: "plugin", about: "Only what concerns this plugin", schema: one::<String> },
    ])
    .refuses(&[(400, "`limit` is no number")]),
    Route::change(
        Verb::Post,
        "/api/v1/reload",
        "reload",
        "Reads the configuration anew and puts it in force",
        Json(one::<Reloaded>),
        Later(|asked| Box::pin(changes::reload(asked))),
    )
    .of(Tag::Configuration)
    .refuses(REFUSALS),
    Route::get(
        "/api/v1/calls",
        "listCalls",
        "The last calls, the newest first: which plugins ran, and how long",
        Json(one::<Vec<ShownCall>>),
        Now(calls::list),
    )
    .query(&[
        Parameter { name: "limit", about: "Most calls; 100 without it, at most 10,000", schema: one::<u32> },
        Parameter { name: "plugin", about: "Only calls for which this plugin ran", schema: one::<String> },
        Parameter { name: "blocked", about: "Only calls that a plugin blocked, or that none did", schema: one::<bool> },
        Parameter {
            name: "tool",
            about: "Only calls of this tool, prompt or resource; `*` at an end stands for anything",
            schema: one::<String>,
        },
        Parameter {
            name: "since",
            about: "Only calls that began then or later: a moment, or how long ago (`30s`, `5m`, `2h`)",
            schema: one::<String>,
        },
    ])
    .refuses(&[(400, "A parameter is none of what it may be")]),
    Route::get(
        "/api/v1/calls/{request_id}",
        "explainCall",
        "One call: which plugins ran, how long, what each changed, who blocked; `last` is the last one",
        Json(one::<ShownCall>),
        Now(calls::show),
    ),
    Route::change(
        Verb::Post,
        "/api/v1/recordings",
        "beginRecording",
        "Begins to record inputs of hooks, to be fetched within 30 seconds and from then on as often",
        Json(one::<calls::Begun>),
        Now(calls::record),
    )
    .query(&[
        Parameter { name: "calls", about: "Most calls; 1,000 without it", schema: one::<u32> },
        Parameter { name: "seconds", about: "Longest time; 60 without it, at most a day", schema: one::<u32> },
        Parameter {
            name: "tool",
            about: "Only calls of this tool, prompt or resource; `*` at an end stands for anything",
            schema: one::<String>,
        },
        Parameter { name: "raw", about: "Personal data and secrets stay as they are", schema: one::<bool> },
    ])
    .refuses(&[
        (400, "A parameter is none of what it may be"),
        (409, "There are as many recordings as there may be"),
        (422, "There is nothing to mask personal data with"),
    ]),
    Route::change(
        Verb::Get,
        "/api/v1/recordings/{recording}",
        "fetchRecording",
        "What was recorded since it was last fetched, one call a line; `x-mortise-over` says whether that is all, \
         `x-mortise-dropped` how many calls found no room",
        Text(calls::LINES),
        Later(|asked| Box::pin(calls::fetch(asked))),
    )
    .query(&[Parameter {
        name: "wait",
        about: "Seconds to wait where there is nothing yet; 0 without it, at most 20",
        schema: one::<u32>,
    }])
    .refuses(&[(400, "`wait` is no number")]),
    Route::change(
        Verb::Delete,
        "/api/v1/recordings/{recording}",
        "endRecording",
        "Ends a recording",
        Json(one::<calls::Ended>),
        Now(calls::end),
    ),
    Route::get(
        "/api/v1/openapi.json",
        "openapi",
        "This document",
        Json(one::<serde_json::Value>),
        Now(openapi::serve),
    )
    .open(),
];

/// Every route of every table.
pub(super) fn all() -> impl Iterator<Item = &'static Route> {
    ROUTES.iter().chain(kept::ROUTES).chain(kept::SPENT)
}

/// What a path and method lead to.
pub(super) enum Found {
    /// A row, and what stands in the path for what its path has in braces.
    Route(&'static Route, String),
    /// The path is served, with these methods.
    OtherMethods(String),
    /// Nothing here.
    Nothing,
}

/// Looks a request up. Where a path fits one row word for word and another by what stands in braces, the former is meant.
pub(super) fn find(method: &http::Method, path: &str) -> Found {
    let mut fitting: Vec<(&'static Route, String)> =
        all().filter_map(|route| Some((route, route.matches(path)?))).collect();
    if fitting.iter().any(|(route, _)| route.parameter().is_none()) {
        fitting.retain(|(route, _)| route.parameter().is_none());
    }
    if fitting.is_empty() {
        return Found::Nothing;
    }
    let allowed: Vec<&str> = fitting.iter().map(|(route, _)| route.verb.allowed()).collect();
    let allowed = allowed.join(", ");
    let meant = fitting.into_iter().find(|(route, _)| route.verb.takes(method));
    meant.map_or(Found::OtherMethods(allowed), |(route, name)| Found::Route(route, name))
}
