//! Behaviour of chains and pairs, with native plugins written on the spot.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use mortise_plugin_api::{
    Cx, End, Hook, HookTable, Json, Native, Needs, Payload, Plugin, PluginError, Request, Revision, TextId,
    Verdict, Violation,
    hooks::{
        HttpAuthResolveUser, TEXT_HOOKS, ToolPostInvoke, ToolPreInvoke,
        http::{ResolveUserPayload, UserRecord},
        tool::{ToolPostInvokePayload, ToolPreInvokePayload},
    },
};
use serde_json::json;

use super::{
    Member, Pipelines, Settings, compile, context::Contexts, outcome::Outcome, pair::Pair, scope::Scope,
};
use crate::{
    background::Background,
    config::{Mode, OnError, PluginEntry},
    host::LocalHost,
    instance::Instance,
    stats::PluginStats,
};

type Log = Arc<Mutex<Vec<String>>>;

/// A plugin that writes its name to a log, then does `then`.
fn logging(
    log: &Log,
    name: &'static str,
    then: impl Fn(&ToolPreInvokePayload) -> Verdict<ToolPreInvokePayload> + Send + Sync + 'static,
) -> Arc<dyn Plugin> {
    let log = log.clone();
    Native::new(())
        .on::<ToolPreInvoke>(Needs::change(), move |(), payload, _| {
            log.lock().unwrap().push(format!("{name}:{}", payload.args.as_str()));
            Ok(then(payload))
        })
        .into_plugin()
}

fn pass(_: &ToolPreInvokePayload) -> Verdict<ToolPreInvokePayload> {
    Verdict::Pass
}

fn block(_: &ToolPreInvokePayload) -> Verdict<ToolPreInvokePayload> {
    Violation::new("NO", "no").into()
}

fn replace(args: serde_json::Value) -> impl Fn(&ToolPreInvokePayload) -> Verdict<ToolPreInvokePayload> {
    move |payload| Verdict::Change(ToolPreInvokePayload { args: Json::from(args.clone()), ..payload.clone() })
}

struct Setup {
    members: Vec<Member>,
    settings: Settings,
    background: Background,
}

impl Setup {
    fn new() -> Self {
        Self { members: Vec::new(), settings: Settings::default(), background: Background::new(16) }
    }

    async fn with(self, name: &str, mode: Mode, priority: i64, plugin: Arc<dyn Plugin>) -> Self {
        self.member(name, mode, None, priority, Some(plugin), None).await
    }

    async fn member(
        self,
        name: &str,
        mode: Mode,
        on_error: Option<OnError>,
        priority: i64,
        plugin: Option<Arc<dyn Plugin>>,
        scope: Option<Scope>,
    ) -> Self {
        let entry = PluginEntry { mode, on_error, priority, ..PluginEntry::new(name, "test") };
        self.entry(entry, plugin, scope).await
    }

    async fn entry(
        mut self,
        entry: PluginEntry,
        plugin: Option<Arc<dyn Plugin>>,
        scope: Option<Scope>,
    ) -> Self {
        let (mode, on_error, priority) = (entry.mode, entry.on_error, entry.priority);
        let host = Arc::new(LocalHost::new(entry.name.as_str().into()));
        let instance =
            Arc::new(Instance::new(Arc::new(entry), "native", false, Arc::new(PluginStats::default()), host));
        let table = HookTable::standard();
        let mut hooks: Vec<_> = table.rows().iter().map(|row| row.id).collect();
        if let Some(plugin) = plugin {
            hooks.retain(|hook| plugin.needs(*hook).is_some());
            instance.start(plugin, None, Duration::from_secs(1)).await;
        } else {
            hooks = vec![ToolPreInvoke::ID, ToolPostInvoke::ID];
        }
        let (modes, unless) = (Vec::new(), Vec::new());
        self.members.push(Member { instance, hooks, mode, modes, on_error, priority, scope, unless });
        self
    }

    fn build(self) -> Arc<Pipelines> {
        let table = Arc::new(HookTable::standard());
        Arc::new(compile(table, &self.members, Vec::new(), self.settings, self.background))
    }
}

fn call(args: serde_json::Value) -> Arc<Revision> {
    Revision::new(Box::new(ToolPreInvokePayload { name: "t".into(), args: Json::from(args), headers: None }))
}

async fn run(pipelines: &Pipelines, payload: &Arc<Revision>) -> Outcome {
    let chain = pipelines.chain(ToolPreInvoke::ID).unwrap();
    chain.run(pipelines, &Request::new("r1"), &mut Contexts::new(), payload).await
}

fn args_of(outcome: &Outcome) -> String {
    let revision = outcome.changed.as_ref().expect("changed");
    revision.get::<ToolPreInvokePayload>().unwrap().args.as_str().into_owned()
}

#[tokio::test]
async fn plugins_run_by_priority_and_each_sees_the_payload_as_changed_so_far() {
    let log = Log::default();
    let pipelines = Setup::new()
        .with("last", Mode::Permissive, 30, logging(&log, "last", pass))
        .await
        .with("first", Mode::Enforce, 10, logging(&log, "first", replace(json!({"a": 2}))))
        .await
        .with("tie", Mode::Enforce, 10, logging(&log, "tie", pass))
        .await
        .build();
    let outcome = run(&pipelines, &call(json!({"a": 1}))).await;
    assert_eq!(*log.lock().unwrap(), [r#"first:{"a":1}"#, r#"tie:{"a":2}"#, r#"last:{"a":2}"#]);
    assert_eq!(args_of(&outcome), r#"{"a":2}"#);
    let plugins: Vec<&str> =
        outcome.executions.iter().map(|execution| execution.plugin(&pipelines)).collect();
    assert_eq!(plugins, ["first", "tie", "last"]);
}

#[tokio::test]
async fn the_newest_modes_run_in_their_groups_and_old_words_stand_among_the_sequential() {
    let log = Log::default();
    let mut setup = Setup::new();
    for (name, mode, priority) in [
        ("concurrent", Mode::Concurrent, 1),
        ("audit", Mode::Audit, 1),
        ("transform", Mode::Transform, 1),
        ("permissive", Mode::Permissive, 50),
        ("sequential", Mode::Sequential, 60),
    ] {
        setup = setup.with(name, mode, priority, logging(&log, name, pass)).await;
    }
    run(&setup.build(), &call(json!({}))).await;
    let order: Vec<String> =
        log.lock().unwrap().iter().map(|line| line.split(':').next().unwrap().into()).collect();
    assert_eq!(order, ["permissive", "sequential", "transform", "audit", "concurrent"]);
}

#[tokio::test]
async fn a_violation_blocks_or_is_suppressed_by_mode() {
    for (mode, blocks) in [
        (Mode::Enforce, true),
        (Mode::EnforceIgnoreError, true),
        (Mode::Sequential, true),
        (Mode::Concurrent, true),
        (Mode::Permissive, false),
        (Mode::Transform, false),
        (Mode::Audit, false),
    ] {
        let log = Log::default();
        let pipelines = Setup::new()
            .with("guard", mode, 1, logging(&log, "guard", block))
            .await
            .with("late", Mode::Concurrent, 99, logging(&log, "late", pass))
            .await
            .build();
        let outcome = run(&pipelines, &call(json!({}))).await;
        assert_eq!(outcome.blocked.is_some(), blocks, "{mode:?}");
        if blocks {
            let blocked = outcome.blocked.unwrap();
            assert_eq!(&*blocked.plugin, "guard");
            assert_eq!(
                blocked.message("tool_pre_invoke"),
                "tool_pre_invoke blocked by plugin guard: NO - no (no)"
            );
        }
        if blocks && mode != Mode::Concurrent {
            assert_eq!(log.lock().unwrap().len(), 1, "{mode:?}: later plugins do not run");
        }
    }
}

#[tokio::test]
async fn changes_count_by_mode() {
    for (mode, counts) in [
        (Mode::Enforce, true),
        (Mode::Permissive, true),
        (Mode::Transform, true),
        (Mode::Audit, false),
        (Mode::Concurrent, false),
    ] {
        let log = Log::default();
        let plugin = logging(&log, "p", replace(json!({"x": 1})));
        let pipelines = Setup::new().with("p", mode, 1, plugin).await.build();
        let outcome = run(&pipelines, &call(json!({}))).await;
        assert_eq!(outcome.changed.is_some(), counts, "{mode:?}");
    }
}

fn failing(how: &'static str) -> Arc<dyn Plugin> {
    match how {
        "error" => Native::new(())
            .on::<ToolPreInvoke>(Needs::block(), |(), _, _| Err(PluginError::failed("boom")))
            .into_plugin(),
        "panic" => {
            Native::new(()).on::<ToolPreInvoke>(Needs::block(), |(), _, _| panic!("at once")).into_plugin()
        }
        "late panic" => Native::new(())
            .on_async::<ToolPreInvoke>(Needs::block(), |(), _, _| {
                Box::pin(async {
                    tokio::task::yield_now().await;
                    panic!("later")
                })
            })
            .into_plugin(),
        _ => Native::new(())
            .on_async::<ToolPreInvoke>(Needs::block(), |(), _, _| Box::pin(std::future::pending()))
            .into_plugin(),
    }
}

#[tokio::test(start_paused = true)]
async fn trouble_blocks_or_passes_by_mode_and_says_what_it_was() {
    for (how, code) in [
        ("error", "PLUGIN_ERROR"),
        ("panic", "PLUGIN_ERROR"),
        ("late panic", "PLUGIN_ERROR"),
        ("hang", "PLUGIN_TIMEOUT"),
    ] {
        for (mode, blocks) in [
            (Mode::Enforce, true),
            (Mode::Sequential, true),
            (Mode::Concurrent, true),
            (Mode::EnforceIgnoreError, false),
            (Mode::Permissive, false),
            (Mode::Transform, false),
            (Mode::Audit, false),
        ] {
            let pipelines = Setup::new().with("bad", mode, 1, failing(how)).await.build();
            let outcome = run(&pipelines, &call(json!({}))).await;
            let found = outcome.blocked.map(|blocked| blocked.violation.code);
            assert_eq!(found.as_deref(), blocks.then_some(code), "{how} under {mode:?}");
        }
    }
}

#[tokio::test]
async fn a_plugin_that_is_not_there_blocks_under_enforce_and_passes_under_permissive() {
    for (mode, blocks) in
        [(Mode::Enforce, true), (Mode::Permissive, false), (Mode::EnforceIgnoreError, false)]
    {
        let pipelines = Setup::new().member("absent", mode, None, 1, None, None).await.build();
        let outcome = run(&pipelines, &call(json!({}))).await;
        let code = outcome.blocked.map(|blocked| blocked.violation.code);
        assert_eq!(code.as_deref(), blocks.then_some("PLUGIN_UNAVAILABLE"), "{mode:?}");
    }
}

#[tokio::test]
async fn on_error_overrides_the_mode_and_disable_switches_the_plugin_off() {
    let plugin = failing("error");
    let ignore =
        Setup::new().member("bad", Mode::Enforce, Some(OnError::Ignore), 1, Some(plugin.clone()), None).await;
    assert!(run(&ignore.build(), &call(json!({}))).await.blocked.is_none());
    let fail = Setup::new()
        .member("bad", Mode::Permissive, Some(OnError::Fail), 1, Some(plugin.clone()), None)
        .await;
    assert!(run(&fail.build(), &call(json!({}))).await.blocked.is_some());
    let off = Setup::new()
        .member("bad", Mode::Enforce, Some(OnError::Disable), 1, Some(plugin), None)
        .await
        .build();
    assert_eq!(run(&off, &call(json!({}))).await.executions.len(), 1);
    assert_eq!(run(&off, &call(json!({}))).await.executions.len(), 0, "not called again");
}

#[tokio::test]
async fn payloads_over_the_limit_are_refused_whatever_the_mode_but_only_where_a_plugin_looks() {
    let log = Log::default();
    let mut setup = Setup::new().with("p", Mode::Permissive, 1, logging(&log, "p", pass)).await;
    setup.settings.max_arguments = 20;
    let pipelines = setup.build();
    assert!(run(&pipelines, &call(json!({"a": "short"}))).await.blocked.is_none());
    let blocked = run(&pipelines, &call(json!({"a": "quite a bit longer"}))).await.blocked.unwrap();
    assert_eq!(blocked.violation.code, "PAYLOAD_TOO_LARGE");
    assert_eq!(log.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn own_state_reaches_the_post_hook_of_the_same_plugin_and_nobody_else() {
    #[derive(Default)]
    struct Seen(Arc<Mutex<Vec<String>>>);
    fn pre(
        _: &Seen,
        _: &ToolPreInvokePayload,
        cx: &mut Cx<'_>,
    ) -> Result<Verdict<ToolPreInvokePayload>, PluginError> {
        cx.context.set("started", 7);
        cx.context.set_shared("by", "someone");
        Ok(Verdict::Pass)
    }
    fn post(
        seen: &Seen,
        _: &ToolPostInvokePayload,
        cx: &mut Cx<'_>,
    ) -> Result<Verdict<ToolPostInvokePayload>, PluginError> {
        let line = format!("{:?} {:?}", cx.context.get("started"), cx.context.shared("by"));
        seen.0.lock().unwrap().push(line);
        Ok(Verdict::Pass)
    }
    let (a, b) = (Seen::default(), Seen::default());
    let (seen_a, seen_b) = (a.0.clone(), b.0.clone());
    let with_both = Native::new(a)
        .on::<ToolPreInvoke>(Needs::observe(), pre)
        .on::<ToolPostInvoke>(Needs::observe(), post)
        .into_plugin();
    let only_post = Native::new(b).on::<ToolPostInvoke>(Needs::observe(), post).into_plugin();
    let pipelines = Setup::new()
        .with("both", Mode::Enforce, 1, with_both)
        .await
        .with("other", Mode::Enforce, 2, only_post)
        .await
        .build();
    for _ in 0..2 {
        let mut pair = pair(&pipelines);
        pair.before(call(json!({}))).await;
        pair.after(result("ok")).await;
    }
    assert_eq!(*seen_a.lock().unwrap(), [r#"Some(Number(7)) Some(String("someone"))"#; 2]);
    assert_eq!(*seen_b.lock().unwrap(), [r#"None Some(String("someone"))"#; 2]);
}

fn pair(pipelines: &Arc<Pipelines>) -> Pair {
    fn substitute(_: &dyn Payload, end: End) -> Box<dyn Payload> {
        Box::new(ToolPostInvokePayload { name: "t".into(), result: Json::from(json!(format!("{end:?}"))) })
    }
    Pair::new(pipelines.clone(), ToolPreInvoke::ID, Request::new("r1"), Contexts::new(), substitute)
}

fn result(text: &str) -> Arc<Revision> {
    Revision::new(Box::new(ToolPostInvokePayload { name: "t".into(), result: Json::from(json!(text)) }))
}

/// A plugin with both hooks that logs how each call ended, and tries to block at the end.
fn witness(log: &Log, name: &'static str, mut before: Option<Violation>) -> Arc<dyn Plugin> {
    let log = log.clone();
    let before = before.take();
    Native::new(())
        .on::<ToolPreInvoke>(Needs::block(), move |(), _, _| {
            Ok(before.clone().map_or(Verdict::Pass, Verdict::from))
        })
        .on::<ToolPostInvoke>(Needs::change(), move |(), _, cx| {
            log.lock().unwrap().push(format!("{name}:{:?}", cx.call.end));
            Ok(Verdict::Change(ToolPostInvokePayload {
                name: "t".into(),
                result: Json::from(json!("changed")),
            }))
        })
        .into_plugin()
}

#[tokio::test]
async fn every_pre_hook_that_ran_gets_its_post_hook_exactly_once_however_the_call_ends() {
    let log = Log::default();
    let pipelines = Setup::new()
        .with("early", Mode::Enforce, 1, witness(&log, "early", None))
        .await
        .with("blocker", Mode::Enforce, 2, witness(&log, "blocker", Some(Violation::new("NO", "no"))))
        .await
        .with("never", Mode::Enforce, 3, witness(&log, "never", None))
        .await
        .build();
    let mut blocked = pair(&pipelines);
    assert!(blocked.before(call(json!({}))).await.blocked.is_some());
    drop(blocked);
    assert_eq!(*log.lock().unwrap(), ["early:Blocked", "blocker:Blocked"]);
}

#[tokio::test]
async fn post_hooks_see_failures_and_may_change_what_the_client_gets() {
    let log = Log::default();
    let pipelines = Setup::new().with("p", Mode::Enforce, 1, witness(&log, "p", None)).await.build();
    for end in [End::UpstreamFailed, End::TimedOut] {
        let mut pair = pair(&pipelines);
        pair.before(call(json!({}))).await;
        assert!(pair.failed(end).await.changed.is_some());
    }
    assert_eq!(*log.lock().unwrap(), ["p:UpstreamFailed", "p:TimedOut"]);
}

#[tokio::test]
async fn a_dropped_call_runs_its_post_hooks_in_the_background_without_influence() {
    let log = Log::default();
    let pipelines = Setup::new().with("p", Mode::Enforce, 1, witness(&log, "p", None)).await.build();
    let mut dropped = pair(&pipelines);
    dropped.before(call(json!({}))).await;
    drop(dropped);
    assert_eq!(pipelines.background().drain(Duration::from_secs(5)).await, 0);
    assert_eq!(*log.lock().unwrap(), ["p:Cancelled"]);
}

#[tokio::test(start_paused = true)]
async fn concurrent_plugins_run_at_once_and_the_first_refusal_cancels_the_rest() {
    struct Cancelled(Arc<AtomicUsize>);
    impl Drop for Cancelled {
        fn drop(&mut self) {
            self.0.fetch_add(1, SeqCst);
        }
    }
    let cancelled = Arc::new(AtomicUsize::new(0));
    let count = cancelled.clone();
    let slow = Native::new(())
        .on_async::<ToolPreInvoke>(Needs::block(), move |(), _, _| {
            let guard = Cancelled(count.clone());
            Box::pin(async move {
                std::future::pending::<()>().await;
                drop(guard);
                Ok(Verdict::Pass)
            })
        })
        .into_plugin();
    let quick = Native::new(())
        .on_async::<ToolPreInvoke>(Needs::block(), |(), _, _| {
            Box::pin(async {
                tokio::time::sleep(Duration::from_millis(5)).await;
                Ok(Violation::new("NO", "no").into())
            })
        })
        .into_plugin();
    let pipelines = Setup::new()
        .with("slow", Mode::Concurrent, 1, slow)
        .await
        .with("quick", Mode::Concurrent, 2, quick)
        .await
        .build();
    let started = tokio::time::Instant::now();
    let outcome = run(&pipelines, &call(json!({}))).await;
    assert_eq!(&*outcome.blocked.unwrap().plugin, "quick");
    assert_eq!(cancelled.load(SeqCst), 1);
    assert!(started.elapsed() < Duration::from_secs(1), "nobody waited for the slow one");
}

#[tokio::test]
async fn background_plugins_see_the_original_also_when_the_call_is_blocked() {
    let log = Log::default();
    let pipelines = Setup::new()
        .with("changer", Mode::Enforce, 1, logging(&log, "changer", replace(json!({"x": 1}))))
        .await
        .with("guard", Mode::Enforce, 2, logging(&log, "guard", block))
        .await
        .with("observer", Mode::FireAndForget, 3, logging(&log, "observer", block))
        .await
        .build();
    assert!(run(&pipelines, &call(json!({"a": 1}))).await.blocked.is_some());
    pipelines.background().drain(Duration::from_secs(5)).await;
    assert!(log.lock().unwrap().contains(&r#"observer:{"a":1}"#.to_owned()));
}

#[tokio::test]
async fn a_binding_runs_instead_of_the_plugin_within_its_scope() {
    let log = Log::default();
    let scope = Scope { tool: Some("t".into()), ..Scope::default() };
    let mut setup = Setup::new().with("base", Mode::Enforce, 1, logging(&log, "base", pass)).await;
    setup.members[0].unless = vec![scope.clone()];
    let bound = logging(&log, "bound", block);
    let pipelines = setup.member("base", Mode::Enforce, None, 1, Some(bound), Some(scope)).await.build();
    assert!(run(&pipelines, &call(json!({}))).await.blocked.is_some());
    let other = Revision::new(Box::new(ToolPreInvokePayload {
        name: "other".into(),
        args: Json::object(),
        headers: None,
    }));
    assert!(run(&pipelines, &other).await.blocked.is_none());
    assert_eq!(*log.lock().unwrap(), ["bound:{}", "base:{}"]);
}

#[tokio::test]
async fn the_first_plugin_that_does_not_abstain_answers() {
    let answering = |name: &'static str| {
        Native::new(())
            .on::<HttpAuthResolveUser>(Needs::change(), move |(), payload, _| {
                if payload.headers.get("x-user") != Some(name) {
                    return Ok(Verdict::Pass);
                }
                let mut user = UserRecord::default();
                user.0.insert("email".into(), name.into());
                Ok(Verdict::Change(user))
            })
            .into_plugin()
    };
    let pipelines = Setup::new()
        .with("a", Mode::Enforce, 1, answering("ann"))
        .await
        .with("b", Mode::Enforce, 2, answering("bob"))
        .await
        .build();
    let ask = |user: &str| {
        Revision::new(Box::new(ResolveUserPayload {
            credentials: None,
            headers: [("x-user", user)].into_iter().collect(),
            client_host: None,
            client_port: None,
        }))
    };
    let chain = pipelines.chain(HttpAuthResolveUser::ID).unwrap();
    let mut outcome = chain.run(&pipelines, &Request::new("r"), &mut Contexts::new(), &ask("bob")).await;
    assert_eq!(outcome.take_answer::<UserRecord>().unwrap().0["email"], "bob");
    let mut outcome = chain.run(&pipelines, &Request::new("r"), &mut Contexts::new(), &ask("eve")).await;
    assert!(outcome.take_answer::<UserRecord>().is_none());
}

#[tokio::test]
async fn one_text_plugin_serves_every_hook_and_metadata_is_kept_per_plugin() {
    let mask = Native::new(())
        .on_texts(TEXT_HOOKS, Needs::change(), |(), part, verdict, cx| {
            for (at, found) in part.text.match_indices("secret") {
                verdict.edits.replace(part.id, at..at + found.len(), "***");
                cx.metadata("found", true);
            }
            Ok(())
        })
        .into_plugin();
    let broken = Native::new(())
        .on_texts(&[ToolPreInvoke::ID], Needs::change(), |(), _, verdict, _| {
            verdict.edits.replace(TextId(99), 0..1, "x");
            Ok(())
        })
        .into_plugin();
    let pipelines = Setup::new()
        .with("mask", Mode::Enforce, 1, mask)
        .await
        .with("broken", Mode::Permissive, 2, broken)
        .await
        .build();
    let outcome = run(&pipelines, &call(json!({"a": ["my secret", "none"], "b": {"c": "secret"}}))).await;
    assert_eq!(args_of(&outcome), r#"{"a":["my ***","none"],"b":{"c":"***"}}"#);
    let by_plugin: Vec<_> =
        outcome.metadata_by_plugin(&pipelines).map(|(name, map)| (name, map.len())).collect();
    assert_eq!(by_plugin, [("mask", 1)]);
    let statuses: Vec<_> = outcome.executions.iter().map(|execution| execution.status.word()).collect();
    assert_eq!(statuses, ["change", "error"], "an edit of text that is not there is an error of that plugin");
    let chain = pipelines.chain(ToolPostInvoke::ID).unwrap();
    let payload = Revision::new(Box::new(ToolPostInvokePayload {
        name: "t".into(),
        result: Json::from(json!({"content": [{"type": "text", "text": "secret"}], "isError": false})),
    }));
    let outcome = chain.run(&pipelines, &Request::new("r"), &mut Contexts::new(), &payload).await;
    let changed = outcome.changed.unwrap();
    let result = &changed.get::<ToolPostInvokePayload>().unwrap().result;
    assert_eq!(result.value().unwrap()["content"][0]["text"], "***");
}

#[tokio::test]
async fn contexts_of_requests_never_mix() {
    let plugin = Native::new(())
        .on::<ToolPreInvoke>(Needs::observe(), |(), payload, cx| {
            assert_eq!(cx.context.get("mine"), None, "a request starts without memory");
            cx.context.set("mine", payload.args.value().unwrap()["n"].clone());
            Ok(Verdict::Pass)
        })
        .on::<ToolPostInvoke>(Needs::change(), |(), payload, cx| {
            let mine = cx.context.get("mine").cloned().unwrap_or_default();
            Ok(Verdict::Change(ToolPostInvokePayload { result: Json::from(mine), ..payload.clone() }))
        })
        .into_plugin();
    let pipelines = Setup::new().with("p", Mode::Enforce, 1, plugin).await.build();
    let calls = (0..64).map(|n| {
        let pipelines = pipelines.clone();
        async move {
            let mut pair = pair(&pipelines);
            pair.before(call(json!({ "n": n }))).await;
            tokio::task::yield_now().await;
            let outcome = pair.after(result("x")).await;
            let changed = outcome.changed.unwrap();
            assert_eq!(changed.get::<ToolPostInvokePayload>().unwrap().result.value().unwrap(), &json!(n));
        }
    });
    futures_util::future::join_all(calls).await;
}

mod bands;
mod breaker;
mod budget;
mod rows;
