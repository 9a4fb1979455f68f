use std::time::Duration;

use mortise_plugin_api::{
    Caller, HookTable, Json, Native, Needs, Verdict, hooks::tool::ToolPreInvokePayload,
};
use proptest::prelude::*;

use super::{facts::Fact, *};
use crate::{
    background::Background,
    config::{Condition, PluginEntry},
    host::LocalHost,
    pipeline::{
        Member, Settings, compile,
        condition::Conditions,
        scope::{Required, Scope},
    },
    stats::PluginStats,
};

fn some(word: &str) -> Option<String> {
    Some(word.to_owned())
}

/// A plugin at the hook before tools, with its conditions and bindings.
async fn survey_of(
    entry: PluginEntry,
    bindings: Vec<Binding>,
    started: bool,
    test: impl FnOnce(Survey<'_>),
    who: &Who,
) {
    let host = Arc::new(LocalHost::new("guard".into()));
    let entry = Arc::new(entry);
    let instance = Instance::new(entry.clone(), "native", false, Arc::new(PluginStats::default()), host);
    if started {
        let plugin = Native::new(())
            .on::<ToolPreInvoke>(Needs::change(), |(), _: &ToolPreInvokePayload, _| Ok(Verdict::Pass))
            .into_plugin();
        instance.start(plugin, None, Duration::from_secs(1)).await;
    } else {
        instance.set_state(State::Unavailable("its server is away".into()));
    }
    let instance = Arc::new(instance);
    let mut ranked: Vec<&Binding> = bindings.iter().rev().collect();
    ranked.sort_by_key(|binding| std::cmp::Reverse(binding.scope.rank()));
    let scopes: Vec<Scope> = ranked.iter().map(|binding| binding.scope.clone()).collect();
    let member = |mode, scope: Option<Scope>, unless: &[Scope]| Member {
        instance: instance.clone(),
        hooks: vec![ToolPreInvoke::ID],
        mode,
        modes: Vec::new(),
        on_error: None,
        priority: 1,
        scope,
        unless: unless.to_vec(),
    };
    let mut members = vec![member(entry.mode, None, &scopes)];
    for (at, binding) in ranked.iter().enumerate() {
        members.push(member(binding.mode.unwrap_or(entry.mode), Some(binding.scope.clone()), &scopes[..at]));
    }
    let mut pipelines = compile(
        Arc::new(HookTable::standard()),
        &members,
        vec![instance],
        Settings::default(),
        Background::new(1),
    );
    pipelines.bindings = bindings;
    test(Survey::new(&pipelines, |_| vec![ToolPreInvoke::ID], who));
}

fn binding(scope: Scope, mode: Option<Mode>, required: bool) -> Binding {
    Binding {
        plugin: "guard".to_owned(),
        scope,
        order: None,
        mode,
        on_error: None,
        config: None,
        required: Required::All(required),
    }
}

fn entry() -> PluginEntry {
    PluginEntry { mode: Mode::Enforce, ..PluginEntry::new("guard", "test") }
}

fn tool(name: &str) -> Item {
    Item {
        what: What::Tool,
        name: name.into(),
        original: None,
        upstream: Some("docs".into()),
        server: None,
        llm: None,
        path: Some("/mcp".into()),
        content_type: None,
    }
}

fn prompt(name: &str) -> Item {
    Item { what: What::Prompt, ..tool(name) }
}

fn app(name: &str) -> Scope {
    Scope { app: some(name), ..Scope::default() }
}

fn runs(survey: &Survey<'_>, item: &Item) -> Option<Runs> {
    survey.at(item, ToolPreInvoke::ID).into_iter().next().map(|standing| standing.runs)
}

#[tokio::test]
async fn plugin_without_conditions_always_runs_and_one_that_leaves_the_tool_out_never() {
    survey_of(
        entry(),
        Vec::new(),
        true,
        |survey| {
            assert_eq!(runs(&survey, &tool("search")), Some(Runs::Always));
            assert!(survey.at(&tool("search"), ToolPostInvoke::ID).is_empty(), "it is not at that hook");
        },
        &Who::default(),
    )
    .await;
    let narrowed = PluginEntry {
        conditions: vec![Condition { tools: vec!["other".into()], ..Condition::default() }],
        ..entry()
    };
    survey_of(
        narrowed,
        Vec::new(),
        true,
        |survey| {
            assert_eq!(runs(&survey, &tool("search")), None);
            assert_eq!(runs(&survey, &tool("other")), Some(Runs::Always));
        },
        &Who::default(),
    )
    .await;
}

#[tokio::test]
async fn conditions_on_callers_depend_until_the_caller_is_known() {
    let narrowed = || PluginEntry {
        conditions: vec![Condition { tenant_ids: vec!["acme".into()], ..Condition::default() }],
        ..entry()
    };
    survey_of(
        narrowed(),
        Vec::new(),
        true,
        |survey| {
            assert_eq!(runs(&survey, &tool("t")), Some(Runs::Depends(Fields::TENANT)));
        },
        &Who::default(),
    )
    .await;
    for (tenant, expected) in [("acme", Some(Runs::Always)), ("other", None)] {
        let who = Who { tenant: Fact::Is(tenant.into()), ..Who::default() };
        survey_of(
            narrowed(),
            Vec::new(),
            true,
            |survey| {
                assert_eq!(runs(&survey, &tool("t")), expected, "{tenant}");
            },
            &who,
        )
        .await;
    }
}

#[tokio::test]
async fn bindings_that_together_leave_nobody_out_are_no_dependence() {
    let bindings = vec![binding(app("ci"), Some(Mode::Permissive), false)];
    survey_of(
        entry(),
        bindings,
        true,
        |survey| {
            let standing = survey.at(&tool("t"), ToolPreInvoke::ID).remove(0);
            assert_eq!((standing.runs, standing.mode), (Runs::Always, Mode::Enforce));
        },
        &Who::default(),
    )
    .await;
    let bindings = vec![binding(app("ci"), Some(Mode::Disabled), false)];
    survey_of(
        entry(),
        bindings,
        true,
        |survey| {
            assert_eq!(runs(&survey, &tool("t")), Some(Runs::Depends(Fields::APP)));
        },
        &Who::default(),
    )
    .await;
}

async fn holes_of(
    entry: PluginEntry,
    bindings: Vec<Binding>,
    started: bool,
    items: &[Item],
    who: &Who,
) -> Vec<String> {
    let mut found = Vec::new();
    survey_of(
        entry,
        bindings,
        started,
        |survey| {
            found = survey
                .holes(items)
                .0
                .into_iter()
                .map(|hole| format!("{}: {}", hole.name, hole.reason))
                .collect();
        },
        who,
    )
    .await;
    found
}

#[tokio::test]
async fn required_plugin_that_runs_everywhere_has_no_hole() {
    let required = || vec![binding(Scope::default(), None, true)];
    assert!(holes_of(entry(), required(), true, &[tool("t")], &Who::default()).await.is_empty());
    let off = PluginEntry { mode: Mode::Disabled, ..entry() };
    let found = holes_of(off, required(), true, &[tool("t")], &Who::default()).await;
    assert_eq!(found, ["t: its mode is disabled"]);
    let found = holes_of(entry(), required(), false, &[tool("t")], &Who::default()).await;
    assert_eq!(found, ["t: it is unavailable, and calls are refused: its server is away"]);
}

#[tokio::test]
async fn required_plugin_must_stand_around_all_its_scope_covers() {
    let everything = || vec![binding(Scope::default(), None, true)];
    let found = holes_of(entry(), everything(), true, &[tool("t"), prompt("p")], &Who::default()).await;
    assert_eq!(found, ["p: it stands at no hook of a prompt"]);
    let of_hooks = Binding {
        required: Required::At(vec!["tool_pre_invoke".into(), "tool_post_invoke".into()]),
        ..binding(Scope::default(), None, true)
    };
    let found = holes_of(entry(), vec![of_hooks], true, &[tool("t"), prompt("p")], &Who::default()).await;
    assert_eq!(found, ["t: it does not stand at this hook"], "prompts have none of the hooks named");
}

#[tokio::test]
async fn narrower_binding_that_switches_a_required_plugin_off_is_a_hole() {
    let narrow = Scope { tool: some("t"), ..Scope::default() };
    let bindings = vec![binding(Scope::default(), None, true), binding(narrow, Some(Mode::Disabled), false)];
    let found = holes_of(entry(), bindings, true, &[tool("t"), tool("u")], &Who::default()).await;
    assert_eq!(found, ["t: bindings[1] switches it off here"]);
}

#[tokio::test]
async fn required_for_some_callers_is_asked_of_those() {
    let off = || PluginEntry { mode: Mode::Disabled, ..entry() };
    let bindings = || vec![binding(app("ci"), Some(Mode::Enforce), true)];
    assert!(holes_of(off(), bindings(), true, &[tool("t")], &Who::default()).await.is_empty());
    let other = Who { app: Fact::Is("web".into()), ..Who::default() };
    assert!(holes_of(off(), bindings(), true, &[tool("t")], &other).await.is_empty(), "out of its scope");
    let narrowed = PluginEntry {
        conditions: vec![Condition { user_patterns: vec!["admin".into()], ..Condition::default() }],
        ..entry()
    };
    let everything = vec![binding(Scope::default(), None, true)];
    let found = holes_of(narrowed, everything, true, &[tool("t")], &Who::default()).await;
    assert_eq!(found, ["t: it runs only for some calls: that depends on user"]);
}

#[tokio::test]
async fn required_binding_that_covers_nothing_is_told() {
    let scope = Scope { tool: some("gone"), ..Scope::default() };
    survey_of(
        entry(),
        vec![binding(scope, None, true)],
        true,
        |survey| {
            assert_eq!(survey.holes(&[tool("t")]), (Vec::new(), vec![0]));
        },
        &Who::default(),
    )
    .await;
}

fn word() -> impl Strategy<Value = String> {
    prop_oneof![Just("a"), Just("b"), Just("a*"), Just("*")].prop_map(str::to_owned)
}

fn words() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(word(), 0..2)
}

fn value() -> impl Strategy<Value = Option<Arc<str>>> {
    prop_oneof![Just(None), Just(Some("a")), Just(Some("ab")), Just(Some("c"))]
        .prop_map(|value| value.map(Arc::from))
}

prop_compose! {
    fn any_scope()(app in prop::option::of(word()), team in prop::option::of(word()), tenant in prop::option::of(word()),
        upstream in prop::option::of(word()), server in prop::option::of(word()), tool in prop::option::of(word()),
        path in prop::option::of(word())) -> Scope {
        Scope { app, team, tenant, upstream, server, tool, path, llm: None }
    }
}

prop_compose! {
    fn any_condition()(server_ids in words(), tenant_ids in words(), tools in words(), user_patterns in words(),
        content_types in words()) -> Condition {
        Condition { server_ids, tenant_ids, tools, user_patterns, content_types, ..Condition::default() }
    }
}

prop_compose! {
    fn any_caller()(app in value(), user in value(), tenant in value(), team in value()) -> Caller {
        Caller { app, user, tenant, teams: team.into_iter().collect(), ..Caller::default() }
    }
}

prop_compose! {
    fn any_request()(caller in any_caller(), server_id in value(), upstream in value(), original_name in value(),
        content_type in value(), path in value()) -> Request {
        let mut request = Request::new("r");
        request.caller = Arc::new(caller);
        (request.server_id, request.upstream, request.original_name) = (server_id, upstream, original_name);
        (request.content_type, request.path) = (content_type, path);
        request
    }
}

proptest! {
    /// What is judged of a call of which something is not known holds for the call, whatever it turns out to be.
    #[test]
    fn verdicts_on_what_is_known_hold_for_the_call_itself(
        scope in any_scope(), conditions in prop::collection::vec(any_condition(), 0..3), request in any_request(),
        name in value(), hidden in any::<[bool; 6]>(),
    ) {
        let name = name.unwrap_or_else(|| "a".into());
        let mut who = Who::is(&request.caller);
        if hidden[0] { who.app = Fact::Unknown; }
        if hidden[1] { who.user = Fact::Unknown; }
        if hidden[2] { who.tenant = Fact::Unknown; }
        if hidden[3] { who.teams = None; }
        let facts = Facts {
            request: &request,
            who: &who,
            subject: (!hidden[4]).then_some(&*name),
            content_type: (!hidden[5]).then_some(None),
        };
        let payload = ToolPreInvokePayload { name: name.to_string(), args: Json::object(), headers: None };
        let conditions = Conditions::compile(&conditions, Family::Tool, false);
        for (judged, holds) in [
            (scope.judge(&facts), scope.holds(&request, &payload)),
            (conditions.judge(&facts), conditions.match_call(&request, &payload)),
        ] {
            match judged {
                Truth::Unknown(fields) => prop_assert!(hidden.iter().any(|hidden| *hidden) && !fields.words().is_empty()),
                known => prop_assert_eq!(known, Truth::of(holds)),
            }
        }
    }
}
