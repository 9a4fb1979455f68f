//! A plugin in another process, through the real pipeline: what it costs, and what its trouble costs.

use std::{
    ops::ControlFlow,
    path::PathBuf,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use bytes::Bytes;
use mortise_framework::{Contexts, Framework, Pair, Pipelines, Plan, Runtime, config::PluginEntry};
use mortise_plugin_api::{
    BuildError, EditError, Edits, End, Hook, HookTable, Json, Native, Needs, Payload, Plugin, PluginError,
    Request, Revision, TextId, TextPart, Wire,
    hooks::{
        ToolPostInvoke, ToolPreInvoke,
        tool::{ToolPostInvokePayload, ToolPreInvokePayload},
    },
};
use mortise_testkit::{
    foreign::{ForeignPlugin, Limits, peer},
    mcp_server::scripted::Scripted,
};
use mortise_tests::{Setup, eventually, text};
use serde_json::{Value, json};
use tokio::net::UnixStream;

const HOOKS: [&str; 2] = ["tool_pre_invoke", "tool_post_invoke"];

/// A foreign plugin at the other end of a socket, in this process, so that nothing else has to be built.
fn connected() -> Arc<ForeignPlugin> {
    let (ours, theirs) = UnixStream::pair().unwrap();
    tokio::spawn(async move { peer::serve(theirs, &HOOKS.map(str::to_owned), None).await });
    Arc::new(ForeignPlugin::connected(Arc::new(HookTable::standard()), ours, Limits::default()))
}

/// A runtime of the one plugin.
struct Only {
    kind: &'static str,
    foreign: bool,
    plugin: Arc<dyn Plugin>,
}

impl Runtime for Only {
    fn name(&self) -> &'static str {
        self.kind
    }

    fn foreign(&self) -> bool {
        self.foreign
    }

    fn claims(&self, kind: &str) -> bool {
        kind == self.kind
    }

    fn create(&self, _: &PluginEntry, _: &Value) -> Result<Arc<dyn Plugin>, BuildError> {
        Ok(self.plugin.clone())
    }
}

/// Pipelines of these plugins in this order.
async fn pipelines(plugins: Vec<(&'static str, bool, Arc<dyn Plugin>)>, timeout: Duration) -> Arc<Pipelines> {
    let mut builder = Framework::builder();
    let mut plan = Plan { enabled: true, ..Plan::default() };
    plan.settings.plugin_timeout = timeout;
    for (kind, foreign, plugin) in plugins {
        builder = builder.runtime(Only { kind, foreign, plugin });
        let mut entry = PluginEntry::new(kind, kind);
        entry.hooks = HOOKS.map(str::to_owned).into();
        plan.entries.push(entry);
    }
    builder.build().build(&plan).await.unwrap().0
}

/// A payload that counts how often it is written as JSON, in all its revisions.
#[derive(Debug)]
struct Counted {
    payload: Box<dyn Payload>,
    encodings: Arc<AtomicUsize>,
}

impl Payload for Counted {
    fn encode(&self, wire: Wire) -> Result<Bytes, PluginError> {
        self.encodings.fetch_add(1, SeqCst);
        self.payload.encode(wire)
    }

    fn texts(&self, visit: &mut dyn FnMut(TextPart<'_>) -> ControlFlow<()>) {
        self.payload.texts(visit);
    }

    fn edited(&self, edits: &Edits) -> Result<Box<dyn Payload>, EditError> {
        let payload = self.payload.edited(edits)?;
        Ok(Box::new(Self { payload, encodings: self.encodings.clone() }))
    }

    fn text_path(&self, id: TextId) -> String {
        self.payload.text_path(id)
    }

    fn subject(&self) -> Option<&str> {
        self.payload.subject()
    }

    fn size(&self) -> usize {
        self.payload.size()
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

fn asked(tool: &str) -> ToolPreInvokePayload {
    ToolPreInvokePayload {
        name: tool.to_owned(),
        args: Json::from(json!({ "text": "hello" })),
        headers: None,
    }
}

/// Writes every text in capitals.
fn capitals() -> Arc<dyn Plugin> {
    Native::new(())
        .on_texts(&[ToolPreInvoke::ID, ToolPostInvoke::ID], Needs::change(), |(), part, verdict, _| {
            verdict.edits.replace_all(part.id, part.text.len(), part.text.to_uppercase());
            Ok(())
        })
        .into_plugin()
}

#[tokio::test]
async fn payload_is_written_once_per_change_however_many_foreign_plugins_see_it() {
    let minute = Duration::from_secs(60);
    for (plugins, expected) in [
        (vec![("first", true, connected() as Arc<dyn Plugin>), ("second", true, connected())], 1),
        (vec![("first", true, connected()), ("edit", false, capitals()), ("second", true, connected())], 2),
    ] {
        let pipelines = pipelines(plugins, minute).await;
        let encodings = Arc::new(AtomicUsize::new(0));
        let counted = Counted { payload: Box::new(asked("pass")), encodings: encodings.clone() };
        let chain = pipelines.chain(ToolPreInvoke::ID).unwrap();

        let request = Request::new("r1");
        let payload = Revision::new(Box::new(counted));
        let outcome = chain.run(&pipelines, &request, &mut Contexts::new(), &payload).await;

        assert_eq!(outcome.blocked, None);
        let answered =
            outcome.metadata_by_plugin(&pipelines).filter(|(_, metadata)| metadata["foreign"] == true);
        assert_eq!(answered.count(), 2, "both were asked");
        assert_eq!(encodings.load(SeqCst), expected);
    }
}

#[tokio::test]
async fn change_of_one_foreign_plugin_is_what_the_next_one_sees() {
    let plugins: Vec<(_, _, Arc<dyn Plugin>)> =
        vec![("first", true, connected()), ("second", true, connected())];
    let pipelines = pipelines(plugins, Duration::from_secs(60)).await;
    let chain = pipelines.chain(ToolPreInvoke::ID).unwrap();

    let payload = Revision::new(Box::new(asked("mask")));
    let outcome = chain.run(&pipelines, &Request::new("r1"), &mut Contexts::new(), &payload).await;

    let changed = outcome.changed.unwrap();
    let changed = changed.get::<ToolPreInvokePayload>().unwrap();
    assert_eq!(changed.args.value().unwrap(), &json!({ "text": "HELLO" }));
    // The second one masks what is masked already: nothing effectively changes.
    let words: Vec<&str> = outcome.executions.iter().map(|one| one.status.word()).collect();
    assert_eq!(words, ["change", "pass"]);
}

fn no_result(asked: &dyn Payload, _: End) -> Box<dyn Payload> {
    Box::new(ToolPostInvokePayload {
        name: asked.subject().unwrap_or_default().to_owned(),
        result: Json::null(),
    })
}

#[tokio::test]
async fn state_of_a_foreign_plugin_comes_back_in_the_hook_after() {
    let pipelines = pipelines(vec![("foreign", true, connected())], Duration::from_secs(60)).await;
    let request = Request::new("r1");
    let mut pair = Pair::new(pipelines.clone(), ToolPreInvoke::ID, request, Contexts::new(), no_result);

    pair.before(Revision::new(Box::new(asked("state")))).await;
    let shared = pair.contexts_mut().shared().state.clone();
    let result = Json::from(json!({ "content": [] }));
    let after =
        pair.after(Revision::new(Box::new(ToolPostInvokePayload { name: "state".to_owned(), result }))).await;

    assert_eq!(shared["foreign_seen"], "state", "shared state is there for others");
    assert_eq!(after.metadata()["count"], 1, "own state is there for itself");
    assert_eq!(after.metadata()["seen"], "state");
}

#[tokio::test]
async fn deadline_cancels_on_the_wire() {
    let plugin = connected();
    let pipelines = pipelines(vec![("foreign", true, plugin.clone())], Duration::from_millis(300)).await;
    let chain = pipelines.chain(ToolPreInvoke::ID).unwrap();
    let run = async |id: &str, tool: &str| {
        let payload = Revision::new(Box::new(asked(tool)));
        chain.run(&pipelines, &Request::new(id), &mut Contexts::new(), &payload).await
    };

    let late = run("late-1", "slow").await;
    let next = run("next-1", "pass").await;
    let stubborn = run("late-2", "stubborn").await;

    assert_eq!(late.blocked.unwrap().violation.code, "PLUGIN_TIMEOUT");
    assert_eq!(next.blocked, None);
    assert_eq!(next.metadata()["cancelled"], json!(["late-1"]), "the other side was told");
    assert_eq!(stubborn.blocked.unwrap().violation.code, "PLUGIN_TIMEOUT");
    eventually("the late answer", async || (plugin.late_answers() == 1).then_some(())).await;
    assert_eq!(run("next-2", "pass").await.blocked, None, "a late answer is nobody else's");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_of_its_process_blocks_what_it_guards_and_nothing_else() {
    let upstream = Scripted::start().await.unwrap();
    upstream.set_list("prompts", vec![json!({ "name": "greet" })]);
    upstream.set_tools(&["pass", "slow"]);
    let program = PathBuf::from(env!("CARGO_BIN_EXE_stand-plugin"));
    let table = Arc::new(HookTable::standard());
    let args = HOOKS.map(str::to_owned).into();
    let plugin = Arc::new(ForeignPlugin::command(table, program, args, Limits::default()));
    let stand = Setup::new()
        .upstream("docs", &upstream)
        .foreign("guard", plugin.clone(), json!({ "hooks": HOOKS }))
        .start()
        .await;
    let client = stand.client();
    assert_eq!(text(&client.call("pass", json!({ "text": "alive" })).await), "alive");

    let held = client.begin(9, "tools/call", json!({ "name": "slow", "arguments": {} })).await;
    let pid = plugin.pid().unwrap().to_string();
    assert!(Command::new("kill").args(["-9", &pid]).status().unwrap().success());

    let ended = held.answer().await.message();
    assert!(text(&ended).contains("blocked by plugin guard: PLUGIN_UNAVAILABLE"), "{ended}");
    let later = client.call("pass", json!({ "text": "x" })).await;
    assert!(text(&later).contains("PLUGIN_UNAVAILABLE"), "{later}");
    assert_eq!(upstream.received_of("tools/call").len(), 1);
    let prompt = client.ask("prompts/get", json!({ "name": "greet" })).await;
    assert!(prompt["result"].is_object(), "it does not guard prompts: {prompt}");
}
