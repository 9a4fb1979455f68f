//! What every runtime must be able to do through the plugin trait, shown with a plugin in another process.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests fail by panicking, in functions they share too"
)]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use mortise_plugin_api::{
    Answer, Call, Change, Context, End, Hook, HookId, HookTable, Init, Json, Outcome, Part, Payload, Plugin,
    PluginError, Reply, Request, Revision, Shared, State,
    hooks::{
        ToolPostInvoke, ToolPreInvoke,
        tool::{ToolPostInvokePayload, ToolPreInvokePayload},
    },
    host::NoHost,
};
use mortise_testkit::foreign::{ForeignPlugin, Limits, peer};
use serde_json::{Value, json};
use tokio::net::UnixStream;

/// A started plugin in a process of its own.
async fn process(args: &[&str], limits: Limits) -> Result<ForeignPlugin, PluginError> {
    let program = env!("CARGO_BIN_EXE_foreign-plugin").into();
    let args = args.iter().map(|arg| (*arg).to_owned()).collect();
    let plugin = ForeignPlugin::command(Arc::new(HookTable::standard()), program, args, limits);
    plugin.initialize(init()).await.map(|()| plugin)
}

async fn started() -> ForeignPlugin {
    process(&[], Limits::default()).await.unwrap()
}

fn init() -> Init {
    Init { name: "foreign".into(), instance: "0".repeat(32).into(), host: Arc::new(NoHost), inherited: None }
}

fn tool_call(name: &str, args: Value) -> Arc<Revision> {
    Revision::new(Box::new(ToolPreInvokePayload { name: name.into(), args: Json::from(args), headers: None }))
}

/// What a request remembers for one plugin.
#[derive(Default)]
struct Memory {
    own: Option<Box<State>>,
    shared: Shared,
}

/// One call; shared writes are merged back as a pipeline does.
async fn call(
    plugin: &dyn Plugin,
    hook: HookId,
    payload: &Arc<Revision>,
    request: &str,
    memory: &mut Memory,
) -> Outcome {
    let (request, mut patch) = (Request::new(request), None);
    let call = Call {
        hook,
        payload,
        part: Part::Whole,
        request: &request,
        end: End::Ok,
        deadline: Instant::now() + Duration::from_secs(30),
        host: &NoHost,
    };
    let context = Context::new(&mut memory.own, &memory.shared, &mut patch);
    let outcome = match plugin.call(call, context) {
        Answer::Ready(outcome) => outcome,
        Answer::Later(future) => future.await,
    };
    if let Some(patch) = patch {
        memory.shared.merge(*patch);
    }
    outcome
}

async fn pre(plugin: &dyn Plugin, tool: &str, request: &str) -> Outcome {
    call(plugin, ToolPreInvoke::ID, &tool_call(tool, json!({})), request, &mut Memory::default()).await
}

fn metadata(reply: Reply) -> serde_json::Map<String, Value> {
    reply.notes.expect("the foreign plugin always adds metadata").metadata
}

#[tokio::test]
async fn handshake_says_which_hooks_it_has() {
    let plugin = process(&["--hooks", "tool_pre_invoke"], Limits::default()).await.unwrap();
    assert!(plugin.needs(ToolPreInvoke::ID).is_some());
    assert!(plugin.needs(ToolPostInvoke::ID).is_none());
    let unknown = process(&["--hooks", "no_such_hook"], Limits::default()).await.err().unwrap();
    assert!(unknown.to_string().contains("no_such_hook"));
}

#[tokio::test]
async fn answers_change_and_refuse_like_a_native_plugin() {
    let plugin = started().await;
    assert!(pre(&plugin, "pass", "r").await.unwrap().change.is_none());
    let refused = pre(&plugin, "block", "r").await.unwrap().violation.unwrap();
    assert_eq!(
        (refused.code.as_str(), &refused.details["hook"]),
        ("FOREIGN_BLOCK", &json!("tool_pre_invoke"))
    );
    let payload = tool_call("mask", json!({"a": ["x", {"b": "y"}]}));
    let reply = call(&plugin, ToolPreInvoke::ID, &payload, "r", &mut Memory::default()).await.unwrap();
    let Some(Change::Answer(change)) = reply.change else { panic!("no change") };
    let spec_table = HookTable::standard();
    let applied = spec_table.spec(ToolPreInvoke::ID).unwrap().apply(payload.payload(), change).unwrap();
    let changed = applied.payload.unwrap();
    let changed = changed.as_any().downcast_ref::<ToolPreInvokePayload>().unwrap();
    assert_eq!(changed.args, Json::from(json!({"a": ["X", {"b": "Y"}]})));
    plugin.shutdown().await;
    assert_eq!(pre(&plugin, "pass", "r").await.unwrap_err().kind(), "unavailable");
}

#[tokio::test]
async fn one_revision_is_encoded_once_for_all_plugins() {
    let (one, other) = tokio::join!(started(), started());
    let payload = tool_call("pass", json!({"text": "hello"}));
    assert_eq!(payload.encodings(), 0);
    for plugin in [&one, &other, &one] {
        call(plugin, ToolPreInvoke::ID, &payload, "r", &mut Memory::default()).await.unwrap();
    }
    assert_eq!(payload.encodings(), 1);
}

#[tokio::test]
async fn given_up_calls_are_cancelled_on_the_wire() {
    let plugin = started().await;
    // The deadline is the pipeline's: it drops the answer.
    let given_up = tokio::time::timeout(Duration::from_millis(30), pre(&plugin, "slow", "r-slow")).await;
    assert!(given_up.is_err());
    let next = metadata(pre(&plugin, "pass", "r-next").await.unwrap());
    assert_eq!(next["cancelled"], json!(["r-slow"]));
    assert!(!metadata(pre(&plugin, "pass", "r-third").await.unwrap()).contains_key("cancelled"));
}

#[tokio::test]
async fn late_answers_are_dropped() {
    let plugin = started().await;
    let given_up = tokio::time::timeout(Duration::from_millis(30), pre(&plugin, "stubborn", "r1")).await;
    assert!(given_up.is_err());
    // Answers come in order on one connection: when this one is there, the late one has been.
    assert!(pre(&plugin, "pass", "r2").await.unwrap().violation.is_none());
    assert_eq!(plugin.late_answers(), 1);
}

#[tokio::test]
async fn state_merges_back_and_is_there_in_the_hook_after() {
    let plugin = started().await;
    let mut memory = Memory::default();
    memory.shared.state.insert("other".into(), json!("kept"));
    let payload = tool_call("state", json!({}));
    call(&plugin, ToolPreInvoke::ID, &payload, "r1", &mut memory).await.unwrap();
    assert_eq!(memory.shared.state["foreign_seen"], "state");
    assert_eq!(memory.shared.state["other"], "kept");
    let result = ToolPostInvokePayload { name: "state".into(), result: Json::object() };
    let result: Box<dyn Payload> = Box::new(result);
    let reply = call(&plugin, ToolPostInvoke::ID, &Revision::new(result), "r1", &mut memory).await.unwrap();
    let notes = metadata(reply);
    assert_eq!((&notes["count"], &notes["seen"]), (&json!(1), &json!("state")));
    let reply = call(&plugin, ToolPreInvoke::ID, &payload, "r2", &mut Memory::default()).await.unwrap();
    assert!(reply.violation.is_none());
    assert_eq!(memory.own.unwrap().values["count"], 1, "another request has another memory");
}

#[tokio::test]
async fn death_of_the_process_makes_it_unavailable() {
    let plugin = started().await;
    plugin.health().await.unwrap();
    let waiting = pre(&plugin, "slow", "r1");
    let crashing = pre(&plugin, "crash", "r2");
    let (waiting, crashing) = tokio::join!(waiting, crashing);
    for outcome in [waiting, crashing, pre(&plugin, "pass", "r3").await] {
        assert_eq!(outcome.unwrap_err().kind(), "unavailable");
    }
    assert_eq!(plugin.health().await.unwrap_err().kind(), "unavailable");
}

#[tokio::test]
async fn errors_and_garbage_cost_the_call_or_the_connection_and_no_more() {
    let plugin = started().await;
    assert_eq!(pre(&plugin, "fail", "r").await.unwrap_err().kind(), "error");
    assert_eq!(pre(&plugin, "garbage_result", "r").await.unwrap_err().kind(), "invalid_answer");
    assert!(pre(&plugin, "pass", "r").await.is_ok(), "an answer that is none costs one call");
    assert_eq!(pre(&plugin, "garbage", "r").await.unwrap_err().kind(), "invalid_answer");
    assert_eq!(
        pre(&plugin, "pass", "r").await.unwrap_err().kind(),
        "unavailable",
        "garbage costs the connection"
    );
}

#[tokio::test]
async fn sixty_four_calls_at_once_are_not_mixed() {
    let plugin = Arc::new(started().await);
    let mut tasks = tokio::task::JoinSet::new();
    for mine in 0..64 {
        let plugin = plugin.clone();
        tasks.spawn(async move {
            let payload = tool_call("gather", json!({"n": 64, "mine": mine}));
            let mut memory = Memory::default();
            let reply = call(&*plugin, ToolPreInvoke::ID, &payload, &format!("r{mine}"), &mut memory).await;
            assert_eq!(metadata(reply.unwrap())["gathered"], mine);
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
}

#[tokio::test]
async fn calls_beyond_the_limit_wait_and_cancelled_ones_give_their_place_back() {
    let limits = Limits { max_in_flight: 2, ..Limits::default() };
    let plugin = process(&[], limits).await.unwrap();
    {
        let slow = async { tokio::join!(pre(&plugin, "slow", "r1"), pre(&plugin, "slow", "r2")) };
        let third = async { tokio::join!(slow, pre(&plugin, "pass", "r3")) };
        assert!(tokio::time::timeout(Duration::from_millis(30), third).await.is_err());
    }
    for _ in 0..4 {
        pre(&plugin, "pass", "r4").await.unwrap();
    }
}

#[tokio::test]
async fn frames_over_the_limit_are_refused_before_they_are_sent() {
    let limits = Limits { max_frame: 10_000, ..Limits::default() };
    let plugin = process(&[], limits).await.unwrap();
    let payload = tool_call("pass", json!({"text": "x".repeat(20_000)}));
    let refused = call(&plugin, ToolPreInvoke::ID, &payload, "r", &mut Memory::default()).await;
    assert!(refused.unwrap_err().to_string().contains("10000"));
    pre(&plugin, "pass", "r").await.unwrap();
}

#[tokio::test]
async fn process_that_cannot_start_or_says_nothing_is_not_available() {
    let table = Arc::new(HookTable::standard());
    let limits = Limits { patience: Duration::from_millis(50), ..Limits::default() };
    let missing = ForeignPlugin::command(table.clone(), "/no/such/program".into(), vec![], limits);
    assert_eq!(missing.initialize(init()).await.unwrap_err().kind(), "unavailable");
    assert!(missing.needs(ToolPreInvoke::ID).is_none());
    assert_eq!(pre(&missing, "pass", "r").await.unwrap_err().kind(), "unavailable");
    let (ours, _silent) = UnixStream::pair().unwrap();
    let silent = ForeignPlugin::connected(table, ours, limits);
    assert_eq!(silent.initialize(init()).await.unwrap_err().kind(), "timeout");
}

#[tokio::test]
async fn the_other_side_can_live_in_the_same_process() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let hooks = ["tool_pre_invoke".to_owned()];
    let peer = tokio::spawn(async move { peer::serve(theirs, &hooks, Some("block".into())).await });
    let plugin = ForeignPlugin::connected(Arc::new(HookTable::standard()), ours, Limits::default());
    plugin.initialize(init()).await.unwrap();
    assert!(pre(&plugin, "anything", "r").await.unwrap().violation.is_some());
    plugin.shutdown().await;
    peer.await.unwrap().unwrap();
}
