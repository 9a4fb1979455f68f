//! Order and idleness as a framework lives them.

use std::time::Duration;

use mortise_plugin_api::{Answer, BuildError, Call, Context, Fut, Init, Needs, Plugin, PluginError, Reply};
use serde_json::Value;

use super::*;
use crate::{Framework, Plan, Runtime, instance::State};

type Log = Arc<Mutex<Vec<String>>>;

/// A runtime of plugins that write down when they start and end.
struct Telling(Log);

struct Told {
    name: String,
    log: Log,
}

impl Told {
    fn say(&self, what: &str) {
        self.log.lock().expect("no panic").push(format!("{what} {}", self.name));
    }
}

impl Plugin for Told {
    fn needs(&self, _hook: HookId) -> Option<Needs> {
        Some(Needs::observe())
    }

    fn call<'a>(&'a self, _call: Call<'a>, _context: Context<'a>) -> Answer<'a> {
        Answer::Ready(Ok(Reply::default()))
    }

    fn initialize(&self, _init: Init) -> Fut<'_, Result<(), PluginError>> {
        Box::pin(async {
            self.say("begins");
            tokio::task::yield_now().await;
            self.say("stands");
            Ok(())
        })
    }

    fn shutdown(&self) -> Fut<'_, ()> {
        Box::pin(async { self.say("ends") })
    }
}

impl Runtime for Telling {
    fn name(&self) -> &'static str {
        "telling"
    }

    fn claims(&self, kind: &str) -> bool {
        kind == "test"
    }

    fn create(&self, entry: &PluginEntry, _config: &Value) -> Result<Arc<dyn Plugin>, BuildError> {
        Ok(Arc::new(Told { name: entry.name.clone(), log: self.0.clone() }))
    }
}

fn at(hook: &str, mut entry: PluginEntry) -> PluginEntry {
    entry.hooks = vec![hook.to_owned()];
    entry
}

#[tokio::test]
async fn plugins_start_after_and_end_before_what_they_need_and_idle_ones_never_start() {
    let log = Log::default();
    let builder = Framework::builder().runtime(Telling(log.clone())).live_hooks(&[ToolPreInvoke::ID]);
    let framework = builder.build();
    let plan = Plan {
        entries: vec![
            at("tool_pre_invoke", entry("last", &["middle"])),
            at("agent_pre_invoke", entry("middle", &["first"])),
            at("tool_pre_invoke", entry("first", &[])),
            at("agent_pre_invoke", entry("idle", &[])),
            entry("nowhere", &[]),
        ],
        enabled: true,
        ..Plan::default()
    };
    let (pipelines, _) = framework.build(&plan).await.expect("a good plan");
    framework.swap(pipelines);
    framework.shutdown(Duration::from_secs(1)).await;
    let told = log.lock().expect("no panic").clone();
    assert_eq!(
        told,
        [
            "begins first",
            "stands first",
            "begins middle",
            "stands middle",
            "begins last",
            "stands last",
            "ends last",
            "ends middle",
            "ends first"
        ]
    );
}

#[tokio::test]
async fn idle_plugins_say_why_keep_their_place_and_start_once_they_are_wanted() {
    let log = Log::default();
    let framework =
        Framework::builder().runtime(Telling(log.clone())).live_hooks(&[ToolPreInvoke::ID]).build();
    let plan =
        |hook: &str| Plan { entries: vec![at(hook, entry("p", &[]))], enabled: true, ..Plan::default() };
    framework.reload(plan("agent_pre_invoke")).await.expect("a good plan");
    let pipelines = framework.pipelines();
    let State::Idle(reason) = pipelines.instances()[0].state() else { unreachable!("it is idle") };
    assert!(reason.contains("nothing here runs its hook `agent_pre_invoke`"), "{reason}");
    assert!(pipelines.chain(AgentPreInvoke::ID).is_some(), "a guard is not missing in silence");
    assert!(log.lock().expect("no panic").is_empty());
    framework.reload(plan("tool_pre_invoke")).await.expect("a good plan");
    assert_eq!(framework.pipelines().instances()[0].state(), State::Ready);
    let all_live = Framework::builder().runtime(Telling(log)).build();
    all_live.reload(plan("agent_pre_invoke")).await.expect("a good plan");
    assert_eq!(all_live.pipelines().instances()[0].state(), State::Ready);
}

#[tokio::test]
async fn plans_with_a_missing_dependency_are_refused_whole() {
    let log = Log::default();
    let framework = Framework::builder().runtime(Telling(log.clone())).build();
    let entries = vec![at("tool_pre_invoke", entry("a", &["gone"])), at("tool_pre_invoke", entry("b", &[]))];
    let plan = Plan { entries, enabled: true, ..Plan::default() };
    assert!(framework.check(&plan).is_err());
    assert!(framework.build(&plan).await.is_err());
    assert!(log.lock().expect("no panic").is_empty());
}
