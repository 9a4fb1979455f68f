//! Rows of many steps: whom a call concerns, found by words and not by asking everybody.

use proptest::{collection::vec, option, prelude::*};

use super::*;
use crate::{Chain, config::Condition};

const WORDS: [&str; 4] = ["a", "b", "up-a", "a*"];

/// What a plugin is for.
#[derive(Clone, Debug, Default)]
struct For {
    conditions: Vec<Condition>,
    scope: Option<Scope>,
}

fn word() -> impl Strategy<Value = String> {
    proptest::sample::select(WORDS.as_slice()).prop_map(str::to_owned)
}

fn condition() -> impl Strategy<Value = Condition> {
    (vec(word(), 0..3), vec(word(), 0..2), vec(word(), 0..2), vec(word(), 0..2)).prop_map(
        |(tools, server_ids, tenant_ids, user_patterns)| Condition {
            tools,
            server_ids,
            tenant_ids,
            user_patterns,
            ..Condition::default()
        },
    )
}

fn scope() -> impl Strategy<Value = Scope> {
    let field = || option::of(word());
    (field(), field(), field(), field(), field()).prop_map(|(tool, server, upstream, app, tenant)| Scope {
        tool,
        server,
        upstream,
        app,
        tenant,
        ..Scope::default()
    })
}

fn purpose() -> impl Strategy<Value = For> {
    (vec(condition(), 0..3), option::weighted(0.3, scope()))
        .prop_map(|(conditions, scope)| For { conditions, scope })
}

fn request() -> impl Strategy<Value = Request> {
    let field = || option::of(word());
    (field(), field(), field(), field(), field(), field()).prop_map(
        |(server, upstream, original, app, tenant, user)| {
            let text = |word: Option<String>| word.map(Arc::from);
            let mut request = Request::new("r");
            (request.server_id, request.upstream, request.original_name) =
                (text(server), text(upstream), text(original));
            let mut caller = request.caller.as_ref().clone();
            (caller.app, caller.tenant, caller.user) = (text(app), text(tenant), text(user));
            request.caller = Arc::new(caller);
            request
        },
    )
}

fn named(name: &str) -> Arc<Revision> {
    Revision::new(Box::new(ToolPreInvokePayload { name: name.into(), args: Json::object(), headers: None }))
}

async fn of(purposes: &[For], mode: Mode) -> Arc<Pipelines> {
    let mut setup = Setup::new();
    for (at, purpose) in purposes.iter().enumerate() {
        let entry = PluginEntry {
            mode,
            conditions: purpose.conditions.clone(),
            ..PluginEntry::new(format!("p{at}"), "test")
        };
        let plugin = Native::new(())
            .on::<ToolPreInvoke>(Needs::observe(), |(), _, _| Ok::<_, PluginError>(Verdict::Pass))
            .on::<ToolPostInvoke>(Needs::observe(), |(), _, _| Ok::<_, PluginError>(Verdict::Pass))
            .into_plugin();
        setup = setup.entry(entry, Some(plugin), purpose.scope.clone()).await;
    }
    setup.build()
}

fn ran<'a>(pipelines: &'a Pipelines, outcome: &'a Outcome) -> Vec<&'a str> {
    outcome.executions.iter().map(|execution| execution.plugin(pipelines)).collect()
}

/// Who wants a call, by asking each.
fn asked<'a>(chain: &'a Chain, request: &Request, payload: &Revision) -> Vec<&'a str> {
    let wants = |step: &&super::super::chain::Step| step.applies(request, payload.payload());
    chain.steps().filter(wants).map(|step| &*step.instance.name).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn those_found_are_those_who_say_yes_when_asked(
        purposes in vec(purpose(), 30..100),
        request in request(),
        name in word(),
        at_once in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let pipelines = of(&purposes, if at_once { Mode::Concurrent } else { Mode::Enforce }).await;
            let chain = pipelines.chain(ToolPreInvoke::ID).unwrap();
            let payload = named(&name);
            let outcome = chain.run(&pipelines, &request, &mut Contexts::new(), &payload).await;
            prop_assert_eq!(ran(&pipelines, &outcome), asked(chain, &request, &payload));
            Ok(())
        })?;
    }
}

/// So many plugins, each for one tool of its own, `t0`, `t1`, ….
fn each_for_its_own(count: usize) -> Vec<For> {
    let only = |at: usize| Condition { tools: vec![format!("t{at}")], ..Condition::default() };
    (0..count).map(|at| For { conditions: vec![only(at)], scope: None }).collect()
}

#[tokio::test]
async fn a_tool_that_a_plugin_renamed_concerns_those_behind_it_that_are_for_its_new_name() {
    let renames = Native::new(())
        .on::<ToolPreInvoke>(Needs::change(), |(), payload, _| {
            Ok::<_, PluginError>(Verdict::Change(ToolPreInvokePayload {
                name: "t70".into(),
                ..payload.clone()
            }))
        })
        .into_plugin();
    let (log, mut setup) = (Log::default(), Setup::new());
    for at in 0..100 {
        let conditions = each_for_its_own(at + 1).remove(at).conditions;
        let entry = PluginEntry { conditions, ..PluginEntry::new(format!("p{at}"), "test") };
        let plugin = if at == 40 { renames.clone() } else { logging(&log, "saw", pass) };
        setup = setup.entry(entry, Some(plugin), None).await;
    }
    let pipelines = setup.build();
    let outcome = run(&pipelines, &named("t40")).await;
    assert_eq!(ran(&pipelines, &outcome), ["p40", "p70"]);
    let outcome = run(&pipelines, &named("t10")).await;
    assert_eq!(ran(&pipelines, &outcome), ["p10"]);
}

#[tokio::test]
async fn who_ran_before_the_event_runs_after_it_though_the_words_of_the_call_have_changed() {
    let pipelines = of(&each_for_its_own(100), Mode::Enforce).await;
    let contexts = Contexts::new();
    let request = Request::new("r");
    let mut pair = Pair::new(pipelines.clone(), ToolPreInvoke::ID, request, contexts, |_, _| {
        unreachable!("the upstream answers")
    });
    pair.before(named("t5")).await;
    let result = ToolPostInvokePayload { name: "t9".into(), result: Json::object() };
    let outcome = pair.after(Revision::new(Box::new(result))).await;
    let mut names = ran(&pipelines, &outcome);
    names.sort_unstable();
    assert_eq!(names, ["p5", "p9"], "the one that ran before, and the one that the answer is for");
}
