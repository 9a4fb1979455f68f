//! Replacing plugins under calls, one step at a time.

use std::sync::{
    Mutex,
    atomic::{AtomicU64, Ordering::SeqCst},
};

use bytes::Bytes;
use mortise_plugin_api::{
    BuildError, Hook, HookId, Json, Native, Needs, PluginError, Request, Revision, Verdict,
    hooks::ToolPreInvoke, hooks::tool::ToolPreInvokePayload,
};
use tokio::sync::{Semaphore, watch};

use super::*;
use crate::{Contexts, Runtime, config::OnError, pipeline::scope::Binding};

/// A runtime of one kind of plugin: counts calls, hands the count over, and does as its configuration says.
#[derive(Clone, Default)]
struct Counters(Arc<Shared>);

#[derive(Default)]
struct Shared {
    started: AtomicU64,
    stopped: AtomicU64,
    /// Taken by every hand-over of a plugin that is to wait.
    hand_over: watch::Sender<bool>,
    /// Given by every call of a plugin that is to wait.
    calls: Mutex<Option<Arc<Semaphore>>>,
}

struct Counter {
    count: AtomicU64,
    config: Value,
    shared: Arc<Shared>,
}

impl Counter {
    fn is(&self, key: &str) -> bool {
        self.config[key] == true
    }
}

impl Runtime for Counters {
    fn name(&self) -> &'static str {
        "counters"
    }

    fn claims(&self, kind: &str) -> bool {
        kind == "counter"
    }

    fn create(&self, _: &PluginEntry, config: &Value) -> Result<Arc<dyn Plugin>, BuildError> {
        let counter = Counter { count: AtomicU64::new(0), config: config.clone(), shared: self.0.clone() };
        Ok(Native::new(counter)
            .on_async::<ToolPreInvoke>(Needs::block(), |counter, _, cx| {
                Box::pin(async move {
                    let gate = counter.shared.calls.lock().unwrap().clone();
                    if let Some(gate) = gate {
                        gate.acquire().await.unwrap().forget();
                    }
                    if counter.is("fails") {
                        return Err(PluginError::failed("no"));
                    }
                    let count = counter.count.fetch_add(1, SeqCst) + 1;
                    cx.metadata("count", count);
                    Ok(Verdict::Pass)
                })
            })
            .on_start(|counter, init| {
                Box::pin(async move {
                    if counter.is("does_not_start") {
                        return Err(PluginError::failed("no"));
                    }
                    let inherited = init.inherited.map(|bytes| bytes[0]).unwrap_or_default();
                    counter.count.store(inherited.into(), SeqCst);
                    counter.shared.started.fetch_add(1, SeqCst);
                    Ok(())
                })
            })
            .on_hand_over(|counter| {
                Box::pin(async move {
                    if counter.is("hands_over_slowly") {
                        let mut go = counter.shared.hand_over.subscribe();
                        let _ = go.wait_for(|go| *go).await;
                    }
                    let count = u8::try_from(counter.count.load(SeqCst)).unwrap();
                    (!counter.is("forgetful")).then(|| Bytes::from(vec![count]))
                })
            })
            .on_stop(|counter| {
                Box::pin(async move {
                    counter.shared.stopped.fetch_add(1, SeqCst);
                })
            })
            .into_plugin())
    }
}

fn plan(config: Value) -> Plan {
    let Value::Object(config_json) = config else { panic!("no map") };
    let hooks = vec![ToolPreInvoke::NAME.to_owned()];
    let entry = PluginEntry { hooks, config_json, ..PluginEntry::new("counter", "counter") };
    Plan { entries: vec![entry], enabled: true, ..Plan::default() }
}

async fn running(config: Value) -> (Framework, Arc<Shared>) {
    let counters = Counters::default();
    let shared = counters.0.clone();
    let framework = Framework::builder().runtime(counters).build();
    framework.reload(plan(config)).await.unwrap();
    (framework, shared)
}

/// One call under these pipelines; the count it was.
async fn call(pipelines: Arc<Pipelines>) -> Option<u64> {
    let payload = ToolPreInvokePayload { name: "t".into(), args: Json::object(), headers: None };
    let chain = pipelines.chain(ToolPreInvoke::ID).unwrap();
    let payload = Revision::new(Box::new(payload));
    let outcome = chain.run(&pipelines, &Request::new("1"), &mut Contexts::new(), &payload).await;
    assert!(outcome.blocked.is_none(), "{:?}", outcome.blocked);
    outcome.metadata().get("count").and_then(Value::as_u64)
}

#[tokio::test]
async fn call_that_comes_while_state_is_handed_over_waits_and_goes_to_the_successor() {
    let (framework, shared) = running(serde_json::json!({ "hands_over_slowly": true })).await;
    assert_eq!(call(framework.pipelines()).await, Some(1));
    let before = framework.pipelines();
    let changing = tokio::spawn({
        let framework = framework.clone();
        async move { framework.reload(plan(serde_json::json!({}))).await.map(drop) }
    });
    while before.instances()[0].gate().unwrap().enter().is_some() {
        tokio::task::yield_now().await;
    }
    let held = tokio::spawn(call(before.clone()));
    tokio::task::yield_now().await;
    assert!(!held.is_finished());

    shared.hand_over.send_replace(true);

    changing.await.unwrap().unwrap();
    assert_eq!(held.await.unwrap(), Some(2), "counted by the successor, after what it inherited");
    assert_eq!(call(before.clone()).await, Some(3), "state is in one place, whoever asks");
    assert_eq!(call(framework.pipelines()).await, Some(4));
    // It gets no more calls, so it ends although its snapshot is still known.
    framework.supervisor().shutdown(Duration::from_secs(10)).await;
    assert_eq!((shared.started.load(SeqCst), shared.stopped.load(SeqCst)), (2, 1));
}

#[tokio::test]
async fn calls_inside_are_finished_before_state_is_handed_over() {
    let (framework, shared) = running(serde_json::json!({})).await;
    let gate = Arc::new(Semaphore::new(0));
    *shared.calls.lock().unwrap() = Some(gate.clone());
    let calls: Vec<_> = (0..3).map(|_| tokio::spawn(call(framework.pipelines()))).collect();
    tokio::task::yield_now().await;
    let changing = tokio::spawn({
        let framework = framework.clone();
        async move { framework.reload(plan(serde_json::json!({ "changed": 1 }))).await.map(drop) }
    });
    tokio::task::yield_now().await;
    assert!(!changing.is_finished() && shared.started.load(SeqCst) == 1);
    *shared.calls.lock().unwrap() = None;
    gate.add_permits(3);

    changing.await.unwrap().unwrap();

    for call in calls {
        call.await.unwrap();
    }
    assert_eq!(call(framework.pipelines()).await, Some(4));
}

#[tokio::test]
async fn successor_that_does_not_start_leaves_the_old_one_with_its_counts() {
    let (framework, shared) = running(serde_json::json!({})).await;
    let before = framework.pipelines();
    assert_eq!(call(before.clone()).await, Some(1));

    let errors = framework.reload(plan(serde_json::json!({ "does_not_start": true }))).await.unwrap_err();

    assert_eq!(errors.list()[0].kind, DiagnosticKind::NotStarted);
    assert!(Arc::ptr_eq(&framework.pipelines(), &before));
    assert_eq!(call(before).await, Some(2));
    assert_eq!(shared.stopped.load(SeqCst), 0);
}

#[tokio::test]
async fn change_that_is_given_up_half_way_lets_calls_in_again() {
    let (framework, _) = running(serde_json::json!({ "hands_over_slowly": true })).await;
    let before = framework.pipelines();
    let staged = framework.stage(plan(serde_json::json!({})), None).await.unwrap();
    let given_up = tokio::time::timeout(Duration::from_millis(1), staged.commit(|_| panic!("swapped"))).await;
    assert!(given_up.is_err());

    assert!(Arc::ptr_eq(&framework.pipelines(), &before));
    assert_eq!(call(before).await, Some(1));
}

#[tokio::test]
async fn plugin_without_state_serves_its_snapshot_to_the_end() {
    let (framework, shared) = running(serde_json::json!({ "forgetful": true })).await;
    let before = framework.pipelines();
    assert_eq!(call(before.clone()).await, Some(1));

    framework.reload(plan(serde_json::json!({ "forgetful": true, "changed": 1 }))).await.unwrap();

    assert_eq!(call(framework.pipelines()).await, Some(1), "the new one begins anew");
    assert_eq!(call(before.clone()).await, Some(2), "the old one goes on for those that know it");
    assert_eq!((framework.draining(), shared.stopped.load(SeqCst)), (1, 0));
    drop(before);
    framework.supervisor().shutdown(Duration::from_secs(10)).await;
    assert_eq!((framework.draining(), shared.stopped.load(SeqCst)), (0, 1));
}

#[tokio::test]
async fn what_was_staged_and_not_put_in_force_ends() {
    let (framework, shared) = running(serde_json::json!({})).await;
    let mut both = plan(serde_json::json!({}));
    both.entries.push(PluginEntry { name: "second".into(), ..both.entries[0].clone() });

    let staged = framework.stage(both, None).await.unwrap();
    assert_eq!(shared.started.load(SeqCst), 2);
    drop(staged);

    framework.supervisor().shutdown(Duration::from_secs(10)).await;
    assert_eq!(shared.stopped.load(SeqCst), 1);
    assert_eq!(call(framework.pipelines()).await, Some(1));
}

#[tokio::test]
async fn plugin_that_was_switched_off_by_an_error_stays_off_while_it_is_not_changed() {
    let failing = |priority: i64, more: Value| {
        let mut plan = plan(serde_json::json!({ "fails": true, "more": more }));
        plan.entries[0].on_error = Some(OnError::Disable);
        plan.entries[0].priority = priority;
        plan
    };
    let (framework, _) = running(serde_json::json!({})).await;
    framework.reload(failing(1, Value::Null)).await.unwrap();
    let errors =
        |framework: &Framework| framework.stats().all()[0].1.errors().first().map(|(_, count)| *count);
    for _ in 0..2 {
        call(framework.pipelines()).await;
    }
    assert_eq!(errors(&framework), Some(1));

    framework.reload(failing(2, Value::Null)).await.unwrap();
    call(framework.pipelines()).await;
    assert_eq!(errors(&framework), Some(1), "only its place has changed");

    framework.reload(failing(2, 1.into())).await.unwrap();
    call(framework.pipelines()).await;
    assert_eq!(errors(&framework), Some(2), "started anew");
}

#[tokio::test]
async fn open_breaker_stays_open_while_the_plugin_is_not_changed_and_goes_by_the_numbers_in_force() {
    let failing = |threshold: u32, more: Value| {
        let mut plan = plan(serde_json::json!({ "fails": true, "more": more }));
        plan.entries[0].mode = Mode::Permissive;
        plan.settings.breaker.failures = threshold;
        plan
    };
    let stand = |framework: &Framework| framework.pipelines().instances()[0].circuit_breaker().stand.word();
    let (framework, _) = running(serde_json::json!({})).await;
    framework.reload(failing(2, Value::Null)).await.unwrap();
    for _ in 0..2 {
        call(framework.pipelines()).await;
    }
    assert_eq!(stand(&framework), "open");

    framework.reload(failing(3, Value::Null)).await.unwrap();
    assert_eq!(stand(&framework), "open", "only a number has changed");

    framework.reload(failing(3, 1.into())).await.unwrap();
    for expected in ["closed", "closed", "open"] {
        call(framework.pipelines()).await;
        assert_eq!(stand(&framework), expected, "started anew");
    }
}

/// The same, with a mode of its own for those that name none.
struct Lenient(Counters);

impl Runtime for Lenient {
    fn name(&self) -> &'static str {
        "lenient"
    }

    fn claims(&self, kind: &str) -> bool {
        self.0.claims(kind)
    }

    fn default_mode(&self, hook: HookId) -> Option<Mode> {
        (hook == ToolPreInvoke::ID).then_some(Mode::EnforceIgnoreError)
    }

    fn create(&self, entry: &PluginEntry, config: &Value) -> Result<Arc<dyn Plugin>, BuildError> {
        self.0.create(entry, config)
    }
}

#[tokio::test]
async fn mode_of_a_kind_holds_at_its_hook_where_neither_entry_nor_binding_names_one() {
    let (enforce, disabled) = (Mode::Enforce, Mode::Disabled);
    for (mode, given, binding, blocks) in [
        (enforce, false, None, false),
        (enforce, true, None, true),
        (enforce, false, Some(None), false),
        (enforce, false, Some(Some(enforce)), true),
        // Bound by whoever keeps the plugin, who names what the entry has by default.
        (disabled, false, Some(Some(enforce)), false),
        (disabled, true, Some(Some(enforce)), true),
    ] {
        let framework = Framework::builder().runtime(Lenient(Counters::default())).build();
        let mut plan = plan(serde_json::json!({ "fails": true }));
        plan.entries[0].mode = mode;
        plan.entries[0].given = if given { vec!["mode".to_owned()] } else { Vec::new() };
        plan.bindings = binding
            .into_iter()
            .map(|mode| Binding {
                plugin: "counter".to_owned(),
                scope: Scope { tool: Some("t".to_owned()), ..Scope::default() },
                order: None,
                mode,
                on_error: None,
                config: None,
                required: crate::pipeline::scope::Required::default(),
            })
            .collect();
        framework.reload(plan).await.unwrap();
        let pipelines = framework.pipelines();
        let payload = ToolPreInvokePayload { name: "t".into(), args: Json::object(), headers: None };
        let chain = pipelines.chain(ToolPreInvoke::ID).unwrap();
        let payload = Revision::new(Box::new(payload));
        let outcome = chain.run(&pipelines, &Request::new("1"), &mut Contexts::new(), &payload).await;
        assert_eq!(outcome.blocked.is_some(), blocks, "{mode:?}, given: {given}, bound: {binding:?}");
    }
}
