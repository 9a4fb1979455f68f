//! Plugins of equal priority at the same time.

use mortise_plugin_api::Effect;

use super::*;

/// A guard that answers only once as many as `party` are under way.
fn meets(log: &Log, name: &'static str, party: &Arc<tokio::sync::Barrier>) -> Arc<dyn Plugin> {
    let (log, party) = (log.clone(), party.clone());
    Native::new(())
        .on_async::<ToolPreInvoke>(Needs::block(), move |(), payload, _| {
            let (log, party) = (log.clone(), party.clone());
            Box::pin(async move {
                party.wait().await;
                log.lock().unwrap().push(format!("{name}:{}", payload.args.as_str()));
                Ok(Verdict::Pass)
            })
        })
        .into_plugin()
}

/// A guard that waits, shares under one key, and then blocks or not.
fn waits(name: &'static str, millis: u64, blocks: bool) -> Arc<dyn Plugin> {
    Native::new(())
        .on_async::<ToolPreInvoke>(Needs::block(), move |(), _, cx| {
            Box::pin(async move {
                cx.context.set_shared("last", name);
                cx.context.set("own", name);
                cx.metadata("last", name);
                tokio::time::sleep(Duration::from_millis(millis)).await;
                Ok(if blocks { Violation::new("NO", name).into() } else { Verdict::Pass })
            })
        })
        .into_plugin()
}

fn in_bands(mut setup: Setup) -> Arc<Pipelines> {
    setup.settings.parallel_bands = true;
    setup.build()
}

#[tokio::test(start_paused = true)]
async fn members_that_change_run_in_file_order_and_the_others_then_at_once_on_what_came_of_it() {
    let (log, party) = (Log::default(), Arc::new(tokio::sync::Barrier::new(2)));
    let pipelines = in_bands(
        Setup::new()
            .with("guard", Mode::Enforce, 5, meets(&log, "guard", &party))
            .await
            .with("one", Mode::Enforce, 5, logging(&log, "one", replace(json!({"a": 1}))))
            .await
            .with("other", Mode::Enforce, 5, meets(&log, "other", &party))
            .await
            .with("two", Mode::Permissive, 5, logging(&log, "two", replace(json!({"a": 2}))))
            .await,
    );
    let outcome = run(&pipelines, &call(json!({}))).await;
    assert!(outcome.blocked.is_none(), "they met: {outcome:?}");
    let mut log = log.lock().unwrap().clone();
    assert_eq!(log[..2], ["one:{}", r#"two:{"a":1}"#]);
    log[2..].sort();
    assert_eq!(log[2..], [r#"guard:{"a":2}"#, r#"other:{"a":2}"#]);
    let ran: Vec<_> = outcome.executions.iter().map(|execution| execution.plugin(&pipelines)).collect();
    assert_eq!(ran, ["one", "two", "guard", "other"]);
}

#[tokio::test(start_paused = true)]
async fn without_the_setting_and_across_priorities_plugins_run_one_after_another() {
    for (bands, priority) in [(false, 5), (true, 6)] {
        let (log, party) = (Log::default(), Arc::new(tokio::sync::Barrier::new(2)));
        let mut setup = Setup::new()
            .with("a", Mode::Permissive, 5, meets(&log, "a", &party))
            .await
            .with("b", Mode::Permissive, priority, meets(&log, "b", &party))
            .await;
        setup.settings.parallel_bands = bands;
        let outcome = run(&setup.build(), &call(json!({}))).await;
        assert_eq!(
            outcome.executions[0].status.word(),
            "error",
            "it waited in vain for the other to be called"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn of_refusals_the_first_decides_and_of_those_at_once_the_one_that_stands_first() {
    let mut setup = Setup::new();
    for (name, millis, blocks) in
        [("slow", 50, true), ("late", 5, true), ("early", 5, true), ("fine", 5, false)]
    {
        setup = setup.with(name, Mode::Enforce, 5, waits(name, millis, blocks)).await;
    }
    let pipelines = in_bands(setup);
    let (chain, mut contexts) = (pipelines.chain(ToolPreInvoke::ID).unwrap(), Contexts::new());
    for _ in 0..20 {
        let outcome = chain.run(&pipelines, &Request::new("r"), &mut contexts, &call(json!({}))).await;
        assert_eq!(&*outcome.blocked.unwrap().plugin, "late", "stands before `early` in the file");
    }
    assert_eq!(contexts.shared().state["last"], "fine", "merged in file order, without the cancelled one");
}

#[tokio::test(start_paused = true)]
async fn contexts_stay_apart_and_what_is_shared_merges_in_file_order() {
    let mut setup = Setup::new();
    for (name, millis) in [("first", 30), ("second", 10), ("third", 20)] {
        setup = setup.with(name, Mode::Enforce, 5, waits(name, millis, false)).await;
    }
    let pipelines = in_bands(setup);
    let (chain, mut contexts) = (pipelines.chain(ToolPreInvoke::ID).unwrap(), Contexts::new());
    let outcome = chain.run(&pipelines, &Request::new("r"), &mut contexts, &call(json!({}))).await;
    assert_eq!(contexts.shared().state["last"], "third");
    assert_eq!(outcome.metadata()["last"], "third");
    let own: Vec<_> = contexts.own().map(|(ix, state)| (ix, state.values["own"].clone())).collect();
    assert_eq!(own, [(0, json!("first")), (1, json!("second")), (2, json!("third"))]);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_needs_no_waiting_keeps_later_members_from_being_asked() {
    let log = Log::default();
    let quick = |name: &'static str, verdict: fn(&ToolPreInvokePayload) -> Verdict<ToolPreInvokePayload>| {
        let log = log.clone();
        Native::new(())
            .on::<ToolPreInvoke>(Needs::block(), move |(), payload, _| {
                log.lock().unwrap().push(name.to_owned());
                Ok(verdict(payload))
            })
            .into_plugin()
    };
    let pipelines = in_bands(
        Setup::new()
            .with("slow", Mode::Enforce, 5, waits("slow", 50, true))
            .await
            .with("guard", Mode::Enforce, 5, quick("guard", block))
            .await
            .with("later", Mode::Enforce, 5, quick("later", pass))
            .await,
    );
    let outcome = run(&pipelines, &call(json!({}))).await;
    assert_eq!(&*outcome.blocked.unwrap().plugin, "guard");
    assert_eq!(*log.lock().unwrap(), ["guard"]);
}

#[tokio::test(start_paused = true)]
async fn a_change_that_was_not_declared_is_left_out_beside_others() {
    let undeclared = Native::new(())
        .on::<ToolPreInvoke>(Needs::block(), |(), payload, _| Ok(replace(json!({"bad": 1}))(payload)))
        .into_plugin();
    let log = Log::default();
    let pipelines = in_bands(
        Setup::new()
            .with("changes", Mode::Enforce, 5, logging(&log, "changes", replace(json!({"good": 1}))))
            .await
            .with("undeclared", Mode::Enforce, 5, undeclared)
            .await
            .with("guard", Mode::Enforce, 5, waits("guard", 1, false))
            .await,
    );
    assert_eq!(args_of(&run(&pipelines, &call(json!({}))).await), r#"{"good":1}"#);
}

#[tokio::test]
async fn foreign_plugins_count_as_changing_and_modes_without_changes_do_not() {
    let at_once = |pipelines: &Pipelines| {
        let chain = pipelines.chain(ToolPreInvoke::ID).unwrap();
        chain.stages.iter().map(|stage| (stage.in_turn.len(), stage.at_once.len())).collect::<Vec<_>>()
    };
    let log = Log::default();
    let mut setup = Setup::new();
    for (name, mode) in [("a", Mode::Enforce), ("b", Mode::Enforce), ("c", Mode::Audit), ("d", Mode::Audit)] {
        setup = setup.with(name, mode, 5, logging(&log, name, pass)).await;
    }
    assert_eq!(at_once(&in_bands(setup)), [(2, 2)], "audit counts no changes");

    let table = Arc::new(HookTable::standard());
    let mut setup = Setup::new();
    for name in ["a", "b", "c"] {
        setup = setup.with(name, Mode::Enforce, 5, waits(name, 1, false)).await;
    }
    let foreign = Instance::new(
        Arc::new(PluginEntry::new("f", "test")),
        "elsewhere",
        true,
        Arc::default(),
        Arc::new(LocalHost::new("f".into())),
    );
    foreign.start(waits("f", 1, false), None, Duration::from_secs(1)).await;
    setup.members[1].instance = Arc::new(foreign);
    let settings = Settings { parallel_bands: true, ..Settings::default() };
    let pipelines = compile(table, &setup.members, Vec::new(), settings, Background::new(1));
    assert_eq!(at_once(&pipelines), [(1, 2)]);
    assert_eq!(Needs::block().effect, Effect::Block);
}

#[tokio::test]
async fn hooks_that_look_for_an_answer_keep_file_order() {
    let guard = Native::new(())
        .on::<HttpAuthResolveUser>(Needs::block(), |(), _, _| Ok(Violation::new("NO", "no").into()))
        .into_plugin();
    let other =
        Native::new(()).on::<HttpAuthResolveUser>(Needs::block(), |(), _, _| Ok(Verdict::Pass)).into_plugin();
    let answers = Native::new(())
        .on::<HttpAuthResolveUser>(Needs::change(), |(), _, _| Ok(Verdict::Change(UserRecord::default())))
        .into_plugin();
    let pipelines = in_bands(
        Setup::new()
            .with("guard", Mode::Enforce, 5, guard)
            .await
            .with("other", Mode::Enforce, 5, other)
            .await
            .with("answers", Mode::Enforce, 5, answers)
            .await,
    );
    let who = Revision::new(Box::new(ResolveUserPayload {
        credentials: None,
        headers: std::iter::empty::<(&str, &str)>().collect(),
        client_host: None,
        client_port: None,
    }));
    let chain = pipelines.chain(HttpAuthResolveUser::ID).unwrap();
    let outcome = chain.run(&pipelines, &Request::new("r"), &mut Contexts::new(), &who).await;
    assert_eq!(&*outcome.blocked.unwrap().plugin, "guard", "an answer must not overtake a guard");
}

/// A plugin made up by the property test.
#[derive(Clone, Debug)]
struct MadeUp {
    name: usize,
    priority: i64,
    mode: Mode,
    changes: bool,
    refuses: bool,
}

impl MadeUp {
    fn plugin(&self) -> Arc<dyn Plugin> {
        let Self { name, changes, refuses, .. } = *self;
        let needs = if changes { Needs::change() } else { Needs::block() };
        Native::new(())
            .on::<ToolPreInvoke>(needs, move |(), payload, cx| {
                cx.context.set_shared("last", name);
                let mut seen = payload.args.value().unwrap()["seen"].as_array().unwrap().clone();
                cx.metadata(name.to_string(), seen.len());
                if refuses {
                    return Ok(Violation::new("NO", "no").into());
                }
                seen.push(name.into());
                Ok(if changes { replace(json!({ "seen": seen }))(payload) } else { Verdict::Pass })
            })
            .into_plugin()
    }

    fn may_change(&self) -> bool {
        self.changes && self.mode != Mode::Audit
    }
}

fn made_up() -> impl proptest::strategy::Strategy<Value = Vec<MadeUp>> {
    use proptest::prelude::*;
    let mode = prop_oneof![
        3 => Just(Mode::Enforce), 1 => Just(Mode::Permissive), 1 => Just(Mode::Transform), 1 => Just(Mode::Audit)
    ];
    let one = (1_i64..4, mode, any::<bool>(), proptest::bool::weighted(0.15));
    prop::collection::vec(one, 1..9).prop_map(|all| {
        let numbered = all.into_iter().enumerate();
        numbered
            .map(|(name, (priority, mode, changes, refuses))| MadeUp {
                name,
                priority,
                mode,
                changes,
                refuses,
            })
            .collect()
    })
}

/// What a chain of these comes to: who ran and how, who blocked, what was changed, shared and noted.
async fn comes_to(plugins: &[MadeUp], bands: bool) -> String {
    let mut setup = Setup::new();
    for plugin in plugins {
        let name = plugin.name.to_string();
        setup = setup.with(&name, plugin.mode, plugin.priority, plugin.plugin()).await;
    }
    setup.settings.parallel_bands = bands;
    let pipelines = setup.build();
    let (chain, mut contexts) = (pipelines.chain(ToolPreInvoke::ID).unwrap(), Contexts::new());
    let payload = call(json!({ "seen": [] }));
    let outcome = chain.run(&pipelines, &Request::new("r"), &mut contexts, &payload).await;
    let ran: Vec<_> = outcome
        .executions
        .iter()
        .map(|one| format!("{}:{}", one.plugin(&pipelines), one.status.word()))
        .collect();
    let blocked = outcome.blocked.as_ref().map(|blocked| blocked.plugin.clone());
    let changed = outcome.changed.as_ref().map(|_| args_of(&outcome));
    format!("{ran:?} {blocked:?} {changed:?} {:?} {:?}", contexts.shared(), outcome.metadata())
}

proptest::proptest! {
    /// Plugins that answer without waiting come to the same as one after another, with those that change moved to the
    /// front of their band.
    #[test]
    fn a_band_of_plugins_that_do_not_wait_is_an_order(plugins in made_up()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let mut in_order = plugins.clone();
        in_order.sort_by_key(|plugin| (plugin.priority, !plugin.may_change()));
        let (bands, order) = runtime.block_on(async {
            (comes_to(&plugins, true).await, comes_to(&in_order, false).await)
        });
        proptest::prop_assert_eq!(bands, order);
    }
}
