//! The cases of `sdks/conformance/cases.json`, against the plugin of each kit.

use std::{fs, path::Path, sync::Arc};

use mortise_framework::{
    Framework, Outcome, Pipelines, Plan,
    config::{Mode, PluginEntry},
};
use mortise_plugin_api::{Caller, HookTable, Request, Revision, Wire, hooks::http::UserRecord};
use mortise_runtime_process::ProcessRuntime;
use mortise_tests::{Setup, eventually};
use serde_json::{Map, Value, json};

use crate::programs::{go, python, root};

fn cases(kind: &str) -> Vec<Value> {
    let cases: Value =
        serde_json::from_str(&fs::read_to_string(root().join("sdks/conformance/cases.json")).unwrap())
            .unwrap();
    cases[kind].as_array().unwrap().clone()
}

fn config(journal: &Path) -> Map<String, Value> {
    let config = json!({
        "greeting": "héllo, \"you\"", "limit": 1_000_000, "list": [1, "two"], "journal": journal,
        "slug": "conformance",
    });
    config.as_object().unwrap().clone()
}

/// Whether every member that is wanted is there.
fn holds(found: &Value, wanted: &Value) -> bool {
    match (found, wanted) {
        (Value::Object(found), Value::Object(wanted)) => {
            wanted.iter().all(|(key, wanted)| found.get(key).is_some_and(|found| holds(found, wanted)))
        }
        _ => found == wanted,
    }
}

/// Plugins of a kit in pipelines of their own.
struct Bench {
    framework: Framework,
    pipelines: Arc<Pipelines>,
}

impl Bench {
    async fn start(command: &[String], names: &[&str], config: &Map<String, Value>) -> Self {
        let framework = Framework::builder().runtime(ProcessRuntime::new()).build();
        let mut plan = Plan { enabled: true, ..Plan::default() };
        for name in names {
            let mut entry =
                PluginEntry::new(*name, "process").with_config(config.clone()).with_mode(Mode::Enforce);
            command.clone_into(&mut entry.command);
            plan.entries.push(entry);
        }
        let (pipelines, _) = framework.build(&plan).await.unwrap();
        Self { framework, pipelines }
    }

    async fn run(&self, hook: &str, payload: &Value) -> Result<Outcome, String> {
        let table = HookTable::standard();
        let spec = table.get(hook).ok_or("there is no such hook")?;
        let payload =
            spec.decode(payload.to_string().as_bytes(), Wire::Json).map_err(|error| error.to_string())?;
        let mut request = Request::new("r1");
        request.caller = Arc::new(Caller { user: Some("ann".into()), ..Caller::default() });
        let chain = self.pipelines.chain(spec.id).ok_or("the plugin does not have the hook")?;
        let mut contexts = mortise_framework::Contexts::new();
        Ok(chain.run(&self.pipelines, &request, &mut contexts, &Revision::new(payload)).await)
    }

    async fn stop(self) {
        self.framework.stop(&self.pipelines).await;
    }
}

/// What an outcome is, as cases have it.
fn told(outcome: &mut Outcome) -> Value {
    let words: Vec<&str> = outcome.executions.iter().map(|one| one.status.word()).collect();
    let blocked = outcome.blocked.as_ref().map(|blocked| {
        let violation = &blocked.violation;
        let body = violation.http_body.as_ref().map(|body| String::from_utf8_lossy(body).into_owned());
        json!({
            "code": violation.code, "status": violation.http_status_code, "reason": violation.reason,
            "headers": violation.http_headers, "body": body, "description": violation.description,
        })
    });
    let changed = outcome.changed.as_ref().map(|changed| match changed.payload().encode(Wire::Json) {
        Ok(json) => serde_json::from_slice(&json).unwrap(),
        // An empty body is no JSON.
        Err(_) => json!("emptied"),
    });
    let answer = outcome.answer.take().and_then(|answer| answer.downcast::<UserRecord>().ok());
    let answer = answer.map(|answer| Value::Object(answer.0));
    json!({ "words": words, "blocked": blocked, "changed": changed, "answered": answer })
}

fn differs(expect: &Value, told: &Value) -> bool {
    let is_error = told["words"].as_array().is_some_and(|words| words.iter().any(|word| word == "error"));
    if let Some(words) = expect["error"].as_str() {
        // Where a hook cannot block, what the error says is in the log only.
        let said = told["blocked"]["description"].as_str().is_none_or(|said| said.contains(words));
        return !(is_error && said);
    }
    let passed = told["blocked"].is_null() && told["changed"].is_null() && told["answered"].is_null();
    let wanted =
        [("blocked", &expect["blocked"]), ("changed", &expect["changed"]), ("answered", &expect["answered"])];
    let other = wanted.iter().any(|(key, wanted)| !wanted.is_null() && !holds(&told[*key], wanted));
    let emptied = expect["emptied"] == true && told["changed"] != "emptied";
    is_error || other || emptied || (expect["pass"] == true && !passed)
}

async fn hooks(command: &[String]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("journal");
    let one = Bench::start(command, &["one"], &config(&journal)).await;
    let two = Bench::start(command, &["first", "second"], &config(&journal)).await;
    let mut wrong = Vec::new();
    for case in cases("hooks") {
        let bench = if case["chain"] == 2 { &two } else { &one };
        let told = match bench.run(case["hook"].as_str().unwrap(), &case["payload"]).await {
            Ok(mut outcome) => told(&mut outcome),
            Err(error) => json!(error),
        };
        let expect = &case["expect"];
        if told.is_string() || differs(expect, &told) {
            wrong.push(format!("{}: {told}", case["name"]));
        }
        if let Some(line) = expect["journal"].as_str() {
            eventually(&format!("`{line}` in the journal"), async || {
                fs::read_to_string(&journal).unwrap_or_default().lines().any(|one| one == line).then_some(())
            })
            .await;
        }
    }
    one.stop().await;
    two.stop().await;
    let ends = fs::read_to_string(&journal).unwrap().lines().filter(|line| *line == "shutdown").count();
    if ends != 3 {
        wrong.push(format!("{ends} of 3 plugins were told that they end"));
    }
    wrong
}

fn entry(command: &[String], config: &Map<String, Value>) -> Value {
    json!({ "name": "conformance", "kind": "process", "command": command, "config": config })
}

async fn starts(command: &[String]) -> Vec<String> {
    let mut wrong = Vec::new();
    for case in cases("starts") {
        let config = case["config"].as_object().unwrap();
        let mut entry = entry(command, config);
        entry["hooks"] = json!(["http_pre_request"]);
        let stand = Setup::new().process().entry(entry).start().await;
        let ready = stand.client().get("/ready").await.text();
        if !ready.contains(case["unavailable"].as_str().unwrap()) {
            wrong.push(format!("{}: {ready}", case["name"]));
        }
    }
    wrong
}

async fn endpoints(command: &[String]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let mut entry = entry(command, &config(&folder.path().join("journal")));
    entry["hooks"] = json!(["http_pre_request"]);
    entry["offers"] = json!(["custom_endpoint"]);
    let app = json!({ "metadata": { "tier": "gold" } });
    let stand = Setup::new().process().app("ci", "sesame", app).entry(entry).start().await;
    let mut wrong = Vec::new();
    for case in cases("endpoints") {
        let (request, expect) = (&case["request"], &case["expect"]);
        let path = format!("/plugins/conformance{}", request["path"].as_str().unwrap());
        let mut client = stand.client().at(&path);
        for (name, value) in request["headers"].as_object().into_iter().flatten() {
            client = client.with(name, value.as_str().unwrap());
        }
        if let Some(token) = request["token"].as_str() {
            client = client.token(token);
        }
        let body = request["body"].as_str().map(str::as_bytes);
        let answer = client.send(request["method"].as_str().unwrap(), body).await;
        let json = serde_json::from_slice::<Value>(&answer.body).unwrap_or_default();
        let headers = expect["headers"].as_object().into_iter().flatten();
        let fits = answer.status == expect["status"].as_u64().unwrap() as u16
            && headers.clone().all(|(name, value)| answer.header(name) == value.as_str())
            && expect["body"].as_str().is_none_or(|body| answer.text() == body)
            && expect["contains"].as_str().is_none_or(|text| answer.text().contains(text))
            && (expect["json"].is_null() || holds(&json, &expect["json"]));
        if !fits {
            wrong.push(format!("{}: {} {:?} {}", case["name"], answer.status, answer.headers, answer.text()));
        }
    }
    wrong
}

async fn conforms(command: Vec<String>) {
    let mut wrong = hooks(&command).await;
    wrong.extend(starts(&command).await);
    wrong.extend(endpoints(&command).await);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn plugin_of_the_go_kit_passes_all_cases() {
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("conformance-go");
    go("sdks/go", "./conformance", &program);
    conforms(vec![program.display().to_string()]).await;
}

#[tokio::test]
async fn plugin_of_the_python_kit_passes_all_cases() {
    let program = root().join("sdks/python/conformance/plugin.py");
    conforms(vec![python().display().to_string(), program.display().to_string()]).await;
}

#[tokio::test]
async fn plugin_of_the_rust_kit_passes_all_cases() {
    conforms(vec![env!("CARGO_BIN_EXE_stand-conformance").to_owned()]).await;
}

#[test]
fn json_that_is_wanted_is_looked_for_in_depth() {
    let found = json!({ "a": { "b": 1, "c": 2 }, "d": [1] });
    assert!(holds(&found, &json!({ "a": { "b": 1 } })));
    assert!(!holds(&found, &json!({ "a": { "b": 2 } })));
    assert!(!holds(&found, &json!({ "e": null })));
}
