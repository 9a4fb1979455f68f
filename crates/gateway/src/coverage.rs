//! Coverage of what this gateway serves: everything that can be called, at its root and at each virtual server, by hook
//! against the plugins that would run there.
//!
//! The framework judges ([`mortise_framework::pipeline::coverage`]); here is what is asked about, the lists of one
//! snapshot, and the answer in the API's words. An upstream whose lists have never come is told by name: of what is not
//! known nobody can say that it is guarded. [`offline`] does the same for a configuration that no gateway runs.

pub mod offline;

use std::sync::Arc;

use mortise_framework::{
    Framework,
    config::Mode,
    pipeline::{
        coverage::{
            Item, Runs, Standing, Survey, What,
            facts::{Fact, Who},
        },
        scope::Scope,
    },
};
use mortise_mcp::catalog::{Entry, Kind};
use mortise_plugin_api::{
    Hook, Stream,
    hooks::{AuthPostCheck, HttpAuthResolveUser},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    snapshot::Snapshot,
    upstreams::{Upstream, catalogs::Views},
};

/// Which plugins would run where.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Coverage")]
pub struct Report {
    /// Who was taken to call; what is left out could be anything.
    #[serde(rename = "as")]
    pub who: Caller,
    /// Everything that can be called, with its hooks.
    pub items: Vec<Covered>,
    /// Where plugins that bindings say are required would not run.
    pub holes: Vec<Hole>,
    /// Upstreams whose lists have never come, so that nothing is known of what they have.
    pub unlisted: Vec<String>,
    /// Plugins that bindings require and whose scope covers nothing that is there, whoever calls.
    pub idle: Vec<Idle>,
    /// Whether all that is required would run: no holes, nothing required in vain, and where anything is required,
    /// nothing unlisted.
    pub complete: bool,
}

/// A caller, as far as it is known; an empty text says that there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Caller {
    /// The app.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// The user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// The teams.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub teams: Option<Vec<String>>,
}

/// Something that can be called at one place.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Covered {
    /// `request`, `upstream`, `tool`, `prompt`, `resource`, `resource_template` or `llm`.
    pub kind: String,
    /// Its name, URI, template or path.
    pub name: String,
    /// The upstream that has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream: Option<String>,
    /// The virtual server it is called through; null at the root.
    pub server: Option<String>,
    /// Its hooks, in the order they run.
    pub hooks: Vec<AtHook>,
}

/// Who would run at a hook.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AtHook {
    /// The hook.
    pub hook: String,
    /// The plugins, in the order they run.
    pub plugins: Vec<OnePlugin>,
}

/// A plugin at a hook.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OnePlugin {
    /// Its name.
    pub name: String,
    /// The mode it runs in there.
    pub mode: Mode,
    /// `always`, `depends` or `unavailable`.
    pub runs: String,
    /// What it depends on: `app`, `user`, `tenant`, `team`, `content_type`, `uri`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<String>,
    /// Why it is unavailable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Whether calls are refused while it is unavailable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refuses: Option<bool>,
    /// How it takes answers that come as streams: `skip`, `observe`, `window` or `complete`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<String>,
    /// Longest text in bytes that it must see in one piece, where it takes streams in windows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<usize>,
}

/// A place where a required plugin would not run.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Hole {
    /// The plugin.
    pub plugin: String,
    /// Position of the binding that requires it, from 0.
    pub binding: usize,
    /// What is not guarded.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// The virtual server it is called through; null at the root.
    pub server: Option<String>,
    /// The hook; null where the plugin stands at none of its hooks.
    pub hook: Option<String>,
    /// Why it would not run.
    pub reason: String,
}

/// A required plugin with nothing to guard.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Idle {
    /// The plugin.
    pub plugin: String,
    /// Position of the binding that requires it, from 0.
    pub binding: usize,
    /// What its scope does not find.
    #[serde(default)]
    pub reason: String,
}

/// A caller of an app that nobody can be.
#[derive(Debug, thiserror::Error)]
#[error(
    "there is no app `{name}`: {}",
    if known.is_empty() { "none is configured".to_owned() } else { format!("known are {}", known.join(", ")) }
)]
pub struct UnknownApp {
    name: String,
    known: Vec<String>,
}

/// Tells which plugins would run where, in one snapshot, for a caller of whom this much is known.
///
/// It looks at each plugin for each thing that can be called: not a thing to do on a thread that serves calls.
///
/// # Errors
/// When there is no such app, neither configured nor of a plugin that authenticates.
pub fn report(snapshot: &Snapshot, framework: &Framework, caller: Caller) -> Result<Report, UnknownApp> {
    check_app(snapshot, &caller)?;
    let anyone = completed(snapshot, Caller::default());
    let caller = completed(snapshot, caller);
    let who = self::who(&caller);
    let survey = framework.survey(&snapshot.pipelines, &who);
    let items = items(snapshot, &caller);
    let (holes, idle) = survey.holes(&items);
    let idle = if caller == anyone { idle } else { idle_for(snapshot, framework, &anyone) };
    let bindings = snapshot.pipelines.bindings();
    let unlisted: Vec<String> = snapshot
        .catalogs
        .fleet
        .upstreams()
        .iter()
        .filter(|at| is_unlisted(at))
        .map(|at| at.name.to_string())
        .collect();
    let required = bindings.iter().any(|binding| !binding.required.is_no());
    let idle = told(snapshot, &idle);
    Ok(Report {
        complete: holes.is_empty() && idle.is_empty() && (unlisted.is_empty() || !required),
        who: caller,
        items: items.iter().map(|item| covered(&survey, framework, item)).collect(),
        holes: holes
            .into_iter()
            .map(|hole| Hole {
                plugin: hole.plugin.to_string(),
                binding: hole.binding,
                kind: hole.kind.word().to_owned(),
                name: hole.name.to_string(),
                server: hole.server.map(|server| server.to_string()),
                hook: hole.hook.map(|hook| hook.to_string()),
                reason: hole.reason,
            })
            .collect(),
        unlisted,
        idle,
    })
}

/// Required bindings that guard nothing: `idle` ones, whose scope holds nothing that is there, and those whose scope
/// holds nobody who can call.
fn told(snapshot: &Snapshot, idle: &[usize]) -> Vec<Idle> {
    let bindings = snapshot.pipelines.bindings().iter().enumerate();
    let required = bindings.filter(|(_, binding)| !binding.required.is_no());
    required
        .filter_map(|(at, binding)| {
            let reason = if !anybody_in(snapshot, &binding.scope) {
                "nobody who can call is in its scope"
            } else if idle.contains(&at) {
                "nothing that is there is in its scope"
            } else {
                return None;
            };
            Some(Idle { plugin: binding.plugin.clone(), binding: at, reason: reason.to_owned() })
        })
        .collect()
}

/// Whether somebody who can call is in a scope, wherever the call goes.
fn anybody_in(snapshot: &Snapshot, scope: &Scope) -> bool {
    let authenticator = &snapshot.access.authenticator;
    if !scope.names_callers() || authenticator.is_open() || authenticated_by_plugins(snapshot) {
        return true;
    }
    authenticator.callers().any(|caller| scope.admits(&Who::is(&caller)))
}

/// Required bindings that cover nothing, whoever calls: of one caller's view others are left out that these guard.
fn idle_for(snapshot: &Snapshot, framework: &Framework, caller: &Caller) -> Vec<usize> {
    if snapshot.pipelines.bindings().iter().all(|binding| binding.required.is_no()) {
        return Vec::new();
    }
    let who = self::who(caller);
    framework.survey(&snapshot.pipelines, &who).holes(&items(snapshot, caller)).1
}

fn check_app(snapshot: &Snapshot, caller: &Caller) -> Result<(), UnknownApp> {
    let Some(name) = caller.app.as_deref().filter(|name| !name.is_empty()) else { return Ok(()) };
    let known = snapshot.access.authenticator.apps();
    if authenticated_by_plugins(snapshot) || known.contains(&name) {
        return Ok(());
    }
    Err(UnknownApp { name: name.to_owned(), known: known.into_iter().map(str::to_owned).collect() })
}

/// Whether plugins say who calls, so that anybody may.
fn authenticated_by_plugins(snapshot: &Snapshot) -> bool {
    [HttpAuthResolveUser::ID, AuthPostCheck::ID]
        .into_iter()
        .any(|hook| snapshot.pipelines.chain(hook).is_some())
}

/// What follows from what is said of a caller: an app acts for whom its configuration says, and where nobody is
/// authenticated, everyone is nobody in particular.
fn completed(snapshot: &Snapshot, mut caller: Caller) -> Caller {
    let authenticator = &snapshot.access.authenticator;
    if authenticated_by_plugins(snapshot) {
        return caller;
    }
    let known = match caller.app.as_deref() {
        _ if authenticator.is_open() && caller == Caller::default() => Some(Arc::default()),
        Some(app) => authenticator.app(app),
        None => None,
    };
    if let Some(known) = known {
        let text = |value: &Option<Arc<str>>| Some(value.as_deref().unwrap_or_default().to_owned());
        caller.app = caller.app.or_else(|| text(&known.app));
        caller.user = caller.user.or_else(|| text(&known.user));
        caller.tenant = caller.tenant.or_else(|| text(&known.tenant));
        caller.teams = caller.teams.or_else(|| Some(known.teams.iter().map(ToString::to_string).collect()));
    }
    caller
}

fn who(caller: &Caller) -> Who {
    let fact = |value: &Option<String>| match value.as_deref() {
        None => Fact::Unknown,
        Some("") => Fact::Absent,
        Some(value) => Fact::Is(value.into()),
    };
    Who {
        app: fact(&caller.app),
        user: fact(&caller.user),
        tenant: fact(&caller.tenant),
        teams: caller.teams.as_ref().map(|teams| teams.iter().map(|team| Arc::from(team.as_str())).collect()),
    }
}

/// Everything that can be called, place by place. Places that an app may not use are left out.
fn items(snapshot: &Snapshot, caller: &Caller) -> Vec<Item> {
    let app = caller.app.as_deref().filter(|app| !app.is_empty());
    let known = app.and_then(|app| snapshot.access.authenticator.app(app));
    let may = |server: Option<&str>| {
        known.as_ref().is_none_or(|known| snapshot.access.authenticator.may_use_server(known, server))
    };
    let mut servers: Vec<&String> = snapshot.catalogs.servers.keys().collect();
    servers.sort_unstable();
    let servers = servers.into_iter().map(|id| (Some(id.as_str()), &snapshot.catalogs.servers[id]));
    let places = std::iter::once((None, &snapshot.catalogs.root)).chain(servers);
    places
        .filter(|(server, _)| may(*server))
        .flat_map(|(server, views)| of_place(snapshot, server, views))
        .chain(models(snapshot, known.as_deref()))
        .collect()
}

/// LLMs, the requests to them, and the HTTP calls to their vendors.
fn models<'s>(
    snapshot: &'s Snapshot,
    caller: Option<&mortise_plugin_api::Caller>,
) -> impl Iterator<Item = Item> + use<'s> {
    let terms =
        caller.and_then(|caller| snapshot.llms.terms(None, caller, snapshot.access.authenticator.stored()));
    let listed = terms.and_then(|terms| terms.llms.clone());
    let may = move |name: &str| listed.as_ref().is_none_or(|listed| listed.contains(name));
    let usable = snapshot.llms.all().iter().map(|llm| llm.name()).filter(move |name| may(name));
    usable.flat_map(|name| {
        let path: Arc<str> = format!("/llm/call/{name}").into();
        let all = [(What::Request, &path), (What::Upstream, name), (What::Llm, name)];
        all.map(|(what, shown)| Item {
            what,
            name: shown.clone(),
            original: None,
            upstream: Some(name.clone()),
            server: None,
            llm: Some(name.clone()),
            path: Some(path.clone()),
            content_type: None,
        })
    })
}

fn of_place(snapshot: &Snapshot, server: Option<&str>, views: &Views) -> Vec<Item> {
    let path: Arc<str> = server.map_or_else(|| "/mcp".into(), |id| format!("/servers/{id}/mcp").into());
    let server: Option<Arc<str>> = server.map(Arc::from);
    let base = |what: What, name: Arc<str>| Item {
        what,
        name,
        original: None,
        upstream: None,
        server: server.clone(),
        llm: None,
        path: Some(path.clone()),
        content_type: None,
    };
    let mut items = vec![base(What::Request, path.clone())];
    let upstreams = snapshot.catalogs.fleet.upstreams();
    for upstream in views.upstreams.iter().filter_map(|at| upstreams.get(*at)) {
        if upstream.http_path().is_some() {
            items.push(Item {
                upstream: Some(upstream.name.clone()),
                ..base(What::Upstream, upstream.name.clone())
            });
        }
    }
    for (kind, what) in [
        (Kind::Tools, What::Tool),
        (Kind::Prompts, What::Prompt),
        (Kind::Resources, What::Resource),
        (Kind::ResourceTemplates, What::ResourceTemplate),
    ] {
        for entry in views.of(kind).entries() {
            items.push(Item {
                original: Some(entry.original.clone()),
                upstream: upstreams.get(entry.upstream).map(|upstream| upstream.name.clone()),
                content_type: if what == What::Resource { content_type(entry) } else { None },
                ..base(what, entry.exposed.clone())
            });
        }
    }
    items
}

fn content_type(entry: &Entry) -> Option<Arc<str>> {
    let object = entry.raw.object().ok()?;
    object.get_str("mimeType").ok()?.map(|text| Arc::from(&*text))
}

/// Whether what an upstream has is not known.
fn is_unlisted(upstream: &Arc<Upstream>) -> bool {
    let offered = upstream.offered();
    let nothing = Kind::ALL.iter().all(|kind| offered.of(*kind).is_empty());
    nothing && upstream.live().is_none()
}

fn covered(survey: &Survey<'_>, framework: &Framework, item: &Item) -> Covered {
    let at_hook = |hook| {
        let row = framework.hooks().spec(hook)?;
        let plugins = survey.at(item, hook).into_iter().map(one).collect();
        Some(AtHook { hook: row.name.to_string(), plugins })
    };
    Covered {
        kind: item.what.word().to_owned(),
        name: item.name.to_string(),
        upstream: item.upstream.as_ref().map(ToString::to_string),
        server: item.server.as_ref().map(ToString::to_string),
        hooks: item.what.hooks().iter().copied().filter_map(at_hook).collect(),
    }
}

fn one(standing: Standing) -> OnePlugin {
    let (runs, depends_on, reason, refuses) = match standing.runs {
        Runs::Always => ("always", Vec::new(), None, None),
        Runs::Depends(fields) => ("depends", fields.words(), None, None),
        Runs::Unavailable { reason, blocks } => ("unavailable", Vec::new(), Some(reason), Some(blocks)),
        Runs::Never(reason) => ("never", Vec::new(), Some(reason), None),
    };
    let (stream, window) = match standing.stream {
        None => (None, None),
        Some(Stream::Skip) => (Some("skip"), None),
        Some(Stream::Observe) => (Some("observe"), None),
        Some(Stream::Window { longest_match }) => (Some("window"), Some(longest_match)),
        Some(Stream::Complete) => (Some("complete"), None),
    };
    OnePlugin {
        name: standing.plugin.to_string(),
        mode: standing.mode,
        runs: runs.to_owned(),
        depends_on: depends_on.into_iter().map(str::to_owned).collect(),
        reason: reason.map(|reason| reason.to_string()),
        refuses,
        stream: stream.map(str::to_owned),
        window,
    }
}
