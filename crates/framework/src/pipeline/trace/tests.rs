use std::sync::Mutex;

use mortise_plugin_api::{
    Hook, HookTable, Json, Native, Needs, Plugin, Request, Verdict, Violation,
    hooks::{
        ToolPostInvoke, ToolPreInvoke,
        tool::{ToolPostInvokePayload, ToolPreInvokePayload},
    },
};
use serde_json::json;

use super::*;
use crate::{
    background::Background,
    config::{Mode, PluginEntry},
    host::LocalHost,
    instance::Instance,
    pipeline::{Member, Settings, compile, context::Contexts, outcome::Status, pair::Pair},
    stats::PluginStats,
};

#[derive(Default)]
struct Told(Mutex<Vec<Happened>>);

impl Observer for Told {
    fn ended(&self, happened: Happened) {
        self.0.lock().unwrap().push(happened);
    }
}

impl Told {
    fn all(&self) -> Vec<Happened> {
        self.0.lock().unwrap().clone()
    }
}

fn plugin(
    then: impl Fn(&ToolPreInvokePayload) -> Verdict<ToolPreInvokePayload> + Send + Sync + 'static,
) -> Arc<dyn Plugin> {
    Native::new(())
        .on::<ToolPreInvoke>(Needs::change(), move |(), payload, _| Ok(then(payload)))
        .on::<ToolPostInvoke>(Needs::observe(), |(), _, _| Ok(Verdict::Pass))
        .into_plugin()
}

fn to(args: serde_json::Value) -> impl Fn(&ToolPreInvokePayload) -> Verdict<ToolPreInvokePayload> {
    move |asked| Verdict::Change(ToolPreInvokePayload { args: Json::from(args.clone()), ..asked.clone() })
}

async fn pipelines(plugins: Vec<(&str, Mode, Arc<dyn Plugin>)>) -> Arc<Pipelines> {
    let mut members = Vec::new();
    for (priority, (name, mode, plugin)) in (0..).zip(plugins) {
        let entry = PluginEntry { mode, ..PluginEntry::new(name, "test") };
        let host = Arc::new(LocalHost::new(name.into()));
        let stats = Arc::new(PluginStats::default());
        let instance = Arc::new(Instance::new(Arc::new(entry), "native", false, stats, host));
        instance.start(plugin, None, Duration::from_secs(1)).await;
        let hooks = vec![ToolPreInvoke::ID, ToolPostInvoke::ID];
        members.push(Member {
            instance,
            hooks,
            mode,
            modes: Vec::new(),
            on_error: None,
            priority,
            scope: None,
            unless: Vec::new(),
        });
    }
    let table = Arc::new(HookTable::standard());
    Arc::new(compile(table, &members, Vec::new(), Settings::default(), Background::new(16)))
}

fn observed(pipelines: &Arc<Pipelines>, told: &Arc<Told>) -> Pair {
    fn substitute(_: &dyn Payload, end: End) -> Box<dyn Payload> {
        Box::new(ToolPostInvokePayload { name: "t".into(), result: Json::from(json!(format!("{end:?}"))) })
    }
    let mut contexts = Contexts::new();
    contexts.set_trace(Trace::new(pipelines, told.clone()));
    Pair::new(pipelines.clone(), ToolPreInvoke::ID, Request::new("r1"), contexts, substitute)
}

fn call(args: serde_json::Value) -> Arc<Revision> {
    Revision::new(Box::new(ToolPreInvokePayload { name: "t".into(), args: Json::from(args), headers: None }))
}

fn args(revision: &Revision) -> String {
    revision.get::<ToolPreInvokePayload>().unwrap().args.as_str().into_owned()
}

#[tokio::test]
async fn a_trace_tells_who_ran_what_each_changed_and_who_blocked() {
    let pipelines = pipelines(vec![
        ("looks", Mode::Enforce, plugin(|_| Verdict::Pass)),
        ("first", Mode::Enforce, plugin(to(json!({"a": 1})))),
        ("second", Mode::Enforce, plugin(to(json!({"a": 2})))),
        ("blocker", Mode::Enforce, plugin(|_| Violation::new("NO", "no").into())),
        ("never", Mode::Enforce, plugin(|_| Verdict::Pass)),
        ("aside", Mode::FireAndForget, plugin(|_| Verdict::Pass)),
    ])
    .await;
    let told = Arc::new(Told::default());
    let mut pair = observed(&pipelines, &told);
    assert!(pair.before(call(json!({"a": 0}))).await.blocked.is_some());
    assert!(told.all().is_empty(), "the request is not over");
    drop(pair);

    let happened = &told.all()[0];
    let run = happened.runs.iter().find(|run| run.hook == ToolPreInvoke::ID).unwrap();
    let ran: Vec<_> = run.executions.iter().map(|e| (&**happened.plugin(e), e.status)).collect();
    let expected = [
        ("looks", Status::Pass),
        ("first", Status::Change),
        ("second", Status::Change),
        ("blocker", Status::Block),
    ];
    assert_eq!(ran, expected);
    let change = |index| run.change(index).map(|(before, after)| (args(before), args(after)));
    assert_eq!(change(0), None);
    assert_eq!(change(1), Some((r#"{"a":0}"#.into(), r#"{"a":1}"#.into())));
    assert_eq!(change(2), Some((r#"{"a":1}"#.into(), r#"{"a":2}"#.into())));
    assert_eq!(&*run.blocked.as_ref().unwrap().plugin, "blocker");
    let absent = pipelines.absent(happened, run).unwrap();
    assert_eq!(absent, [("never".into(), Absence::Over), ("aside".into(), Absence::Background)]);
    let post = happened.runs.iter().find(|run| run.hook == ToolPostInvoke::ID).unwrap();
    assert_eq!((post.end, post.executions.len()), (End::Blocked, 4));
    let absent = pipelines.absent(happened, post).unwrap();
    assert_eq!(absent, [("never".into(), Absence::NotBefore), ("aside".into(), Absence::Background)]);
}

#[tokio::test]
async fn those_that_were_asked_beside_a_blocker_were_given_up() {
    let slow = Native::new(())
        .on_async::<ToolPreInvoke>(Needs::block(), |(), _, _| Box::pin(std::future::pending()))
        .into_plugin();
    let pipelines = pipelines(vec![
        ("slow", Mode::Concurrent, slow),
        ("blocker", Mode::Concurrent, plugin(|_| Violation::new("NO", "no").into())),
    ])
    .await;
    let told = Arc::new(Told::default());
    let mut pair = observed(&pipelines, &told);
    assert!(pair.before(call(json!({}))).await.blocked.is_some());
    drop(pair);
    pipelines.background().drain(Duration::from_secs(5)).await;

    let happened = &told.all()[0];
    let run = happened.runs.iter().find(|run| run.hook == ToolPreInvoke::ID).unwrap();
    assert_eq!(pipelines.absent(happened, run).unwrap(), [("slow".into(), Absence::Over)]);
}

#[tokio::test]
async fn a_dropped_call_ends_its_trace_after_its_post_hooks() {
    let pipelines = pipelines(vec![("p", Mode::Enforce, plugin(|_| Verdict::Pass))]).await;
    let told = Arc::new(Told::default());
    let mut pair = observed(&pipelines, &told);
    pair.before(call(json!({}))).await;
    drop(pair);
    assert_eq!(pipelines.background().drain(Duration::from_secs(5)).await, 0);

    let happened = &told.all()[0];
    let ends: Vec<_> = happened.runs.iter().map(|run| (run.hook, run.end)).collect();
    assert_eq!(ends, [(ToolPreInvoke::ID, End::Ok), (ToolPostInvoke::ID, End::Cancelled)]);
    assert_eq!(told.all().len(), 1);
}

#[tokio::test]
async fn a_run_that_is_cut_off_is_noted_as_unfinished() {
    let slow = Native::new(())
        .on_async::<ToolPreInvoke>(Needs::block(), |(), _, _| {
            Box::pin(async {
                std::future::pending::<()>().await;
                Ok(Verdict::Pass)
            })
        })
        .into_plugin();
    let pipelines = pipelines(vec![("slow", Mode::Enforce, slow)]).await;
    let told = Arc::new(Told::default());
    let mut pair = observed(&pipelines, &told);
    {
        let mut running = std::pin::pin!(pair.before(call(json!({}))));
        assert!(futures_util::poll!(running.as_mut()).is_pending());
    }
    drop(pair);
    assert_eq!(pipelines.background().drain(Duration::from_secs(5)).await, 0);

    let happened = &told.all()[0];
    assert!(!happened.runs[0].finished);
    assert!(happened.runs[0].executions.is_empty());
}

#[tokio::test]
async fn who_was_absent_is_unknown_under_other_pipelines() {
    let make = || pipelines(vec![("p", Mode::Enforce, plugin(|_| Verdict::Pass))]);
    let (then, now) = (make().await, make().await);
    let told = Arc::new(Told::default());
    let mut pair = observed(&then, &told);
    pair.before(call(json!({}))).await;
    pair.after(call(json!({}))).await;
    drop(pair);

    let happened = &told.all()[0];
    assert_eq!(then.absent(happened, &happened.runs[0]), Some(Vec::new()));
    assert_eq!(now.absent(happened, &happened.runs[0]), None);
}

#[tokio::test]
async fn a_request_that_nobody_observes_remembers_no_changes() {
    let pipelines = pipelines(vec![("p", Mode::Enforce, plugin(to(json!({"a": 1}))))]).await;
    let chain = pipelines.chain(ToolPreInvoke::ID).unwrap();
    let outcome = chain.run(&pipelines, &Request::new("r"), &mut Contexts::new(), &call(json!({}))).await;
    assert!(outcome.changed.is_some() && outcome.changes.is_none());
}
