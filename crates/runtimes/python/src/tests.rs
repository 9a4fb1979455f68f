//! The runtime with real workers, and the worker's own tests.

use std::{path::Path, process::Command, sync::Arc, time::Duration};

use mortise_framework::{
    Contexts, Framework, Plan,
    config::{PluginEntry, PythonSettings, Seconds, Surroundings},
    instance::State,
};
use mortise_plugin_api::{
    Hook, Json, Request, Revision,
    hooks::{ToolPreInvoke, tool::ToolPreInvokePayload},
};
use serde_json::{Value, json};

use super::*;

/// `python -m unittest` over `worker/tests`. Fails where there is no Python: nothing here works then.
#[test]
fn tests_of_the_worker_pass() {
    let ran = Command::new("python3")
        .args(["-m", "unittest", "discover", "-s", "worker", "-t", "worker"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .expect("python3 is on the path");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
}

#[test]
fn only_class_paths_are_claimed() {
    let runtime = PythonRuntime::new(Arc::default_table());
    for (kind, claimed) in [
        ("plugins.mine.guard.Guard", true),
        ("acme.Guard", true),
        ("isolated_venv", true),
        ("builtin.no_such", false),
        ("external", false),
        ("a..b", false),
        ("1.2", false),
        ("../x.py", false),
    ] {
        assert_eq!(runtime.claims(kind), claimed, "{kind}");
    }
}

trait DefaultTable {
    fn default_table() -> Self;
}

impl DefaultTable for Arc<HookTable> {
    fn default_table() -> Self {
        Self::new(HookTable::standard())
    }
}

const GUARD: &str = "
import asyncio, os
from cpex.framework import Plugin, PluginResult, PluginViolation

class Guard(Plugin):
    async def tool_pre_invoke(self, payload, context):
        if payload.name == 'crash':
            os._exit(3)
        if payload.name == 'spin':
            while True: pass
        if payload.name == 'wait':
            await asyncio.sleep(60)
        return PluginResult(metadata={'pid': os.getpid(), 'version': 1})
";

fn entry(name: &str, kind: &str, dir: &Path, python: &PythonSettings) -> PluginEntry {
    let around = Surroundings {
        directory: dir.to_path_buf(),
        state_dir: Some(dir.join("state")),
        plugin_dirs: vec![dir.to_path_buf()],
        python: python.clone(),
    };
    let hooks = vec!["tool_pre_invoke".to_owned()];
    PluginEntry { surroundings: Arc::new(around), hooks, ..PluginEntry::new(name, kind) }
}

struct Running {
    framework: Framework,
    dir: tempfile::TempDir,
}

impl Running {
    /// A framework with these entries, over a folder with `guard.py` and `more`.
    async fn start(entries: &[(&str, &str)], python: PythonSettings, more: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("guard.py"), GUARD).unwrap();
        for (name, text) in more {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        let framework = Framework::builder().runtime(PythonRuntime::new(Arc::default_table())).build();
        let entries = entries.iter().map(|(name, kind)| entry(name, kind, dir.path(), &python)).collect();
        let mut plan = Plan { entries, enabled: true, ..Plan::default() };
        plan.settings.plugin_timeout = Duration::from_millis(1500);
        let (pipelines, _) = framework.build(&plan).await.unwrap();
        framework.swap(pipelines);
        Self { framework, dir }
    }

    async fn call(&self, tool: &str) -> Result<Value, String> {
        let pipelines = self.framework.pipelines();
        let chain = pipelines.chain(ToolPreInvoke::ID).unwrap();
        let payload =
            ToolPreInvokePayload { name: tool.to_owned(), args: Json::from(json!({})), headers: None };
        let payload = Revision::new(Box::new(payload));
        let outcome = chain.run(&pipelines, &Request::new("r1"), &mut Contexts::new(), &payload).await;
        match &outcome.blocked {
            Some(blocked) => Err(format!("{}: {}", blocked.violation.code, blocked.violation.description)),
            None => Ok(Value::Object(outcome.metadata().clone())),
        }
    }

    fn state(&self, name: &str) -> State {
        let pipelines = self.framework.pipelines();
        pipelines.instances().iter().find(|instance| &*instance.name == name).unwrap().state()
    }
}

fn quick() -> PythonSettings {
    PythonSettings { stuck_after: Seconds(Duration::from_millis(800)), ..PythonSettings::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plugins_of_one_environment_share_a_worker_which_ends_with_the_last() {
    let running = Running::start(&[("one", "guard.Guard"), ("two", "guard.Guard")], quick(), &[]).await;
    assert_eq!((running.state("one"), running.state("two")), (State::Ready, State::Ready));
    let pid = running.call("pass").await.unwrap()["pid"].as_u64().unwrap();
    assert!(Path::new(&format!("/proc/{pid}")).exists());
    let told =
        running.framework.pipelines().instances().iter().map(|one| one.plugin()?.process_id()).collect();
    let of_each: Vec<Option<u32>> = told;
    assert_eq!(of_each, [u32::try_from(pid).ok(); 2], "its memory is looked for there");
    running.framework.shutdown(Duration::from_secs(5)).await;
    assert!(!Path::new(&format!("/proc/{pid}")).exists(), "the worker is gone once it was shut down");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crash_costs_the_call_inside_and_the_next_finds_a_new_worker() {
    let running = Running::start(&[("one", "guard.Guard")], quick(), &[]).await;
    let before = running.call("pass").await.unwrap()["pid"].clone();
    let crashed = running.call("crash").await.unwrap_err();
    assert!(crashed.starts_with("PLUGIN_UNAVAILABLE"), "{crashed}");
    let after = running.call("pass").await.unwrap()["pid"].clone();
    assert_ne!(before, after);
    running.framework.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn worker_that_computes_for_ever_is_killed_and_one_that_waits_is_not() {
    let running = Running::start(&[("one", "guard.Guard")], quick(), &[]).await;
    let before = running.call("pass").await.unwrap()["pid"].clone();
    let waited = running.call("wait").await.unwrap_err();
    assert!(waited.starts_with("PLUGIN_TIMEOUT"), "{waited}");
    assert_eq!(running.call("pass").await.unwrap()["pid"], before, "waiting is no reason to be killed");
    let stuck = running.call("spin").await.unwrap_err();
    assert!(stuck.starts_with("PLUGIN_UNAVAILABLE") && stuck.contains("no sign of life"), "{stuck}");
    assert_ne!(running.call("pass").await.unwrap()["pid"], before);
    running.framework.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn class_that_cannot_be_used_is_unavailable_with_the_reason() {
    let broken = [("broken.py", "import no_such_package")];
    let kinds = [("gone", "gone.Guard"), ("broken", "broken.Guard"), ("fine", "guard.Guard")];
    let running = Running::start(&kinds, quick(), &broken).await;
    assert_eq!(running.state("fine"), State::Ready);
    let State::Unavailable(why) = running.state("gone") else { panic!("{:?}", running.state("gone")) };
    assert!(why.contains("no module `gone`"), "{why}");
    let State::Unavailable(why) = running.state("broken") else { panic!("{:?}", running.state("broken")) };
    assert!(why.contains("pip install no_such_package"), "{why}");
    running.framework.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn environment_is_made_once_and_a_failing_one_says_what_pip_said() {
    let requirements = mortise_framework::config::OneOrMany::One("./own-package".to_owned());
    let python = PythonSettings { requirements: Some(requirements), ..quick() };
    let running = Running::start(&[("one", "guard.Guard")], python, &[]).await;
    let State::Unavailable(why) = running.state("one") else { panic!("{:?}", running.state("one")) };
    assert!(why.contains("pip failed") && why.contains("own-package"), "{why}");
    assert!(running.dir.path().join("state/python").is_dir());
    running.framework.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement, not a test: -- --ignored --nocapture"]
async fn time_of_a_call() {
    let running = Running::start(&[("one", "guard.Guard")], quick(), &[]).await;
    let pipelines = running.framework.pipelines();
    let chain = pipelines.chain(ToolPreInvoke::ID).unwrap();
    let args = Json::from(json!({ "text": "x".repeat(1000) }));
    let payload = ToolPreInvokePayload { name: "pass".to_owned(), args, headers: None };
    let payload = Revision::new(Box::new(payload));
    let mut times = Vec::new();
    for _ in 0..3000 {
        let began = std::time::Instant::now();
        let outcome = chain.run(&pipelines, &Request::new("r1"), &mut Contexts::new(), &payload).await;
        assert!(outcome.blocked.is_none());
        times.push(began.elapsed());
    }
    times.sort();
    println!("median {:?}, 99 % {:?}", times[1500], times[2970]);
    running.framework.shutdown(Duration::from_secs(5)).await;
}
