//! Hooks of LLM traffic and of records, through the real pipeline; through the front door: `models`.

use std::sync::Arc;

use mortise_framework::{Contexts, Framework, Outcome, Pipelines, Plan, config::PluginEntry};
use mortise_plugin_api::{
    Caller, Headers, Hook, HookId, Json, Payload, Request, Revision,
    hooks::{
        HttpPostForwardingCall, LlmInput, LlmOutput, RecordProxyLog,
        http::ForwardingPayload,
        llm::{LlmInputPayload, LlmOutputPayload},
        record::RecordPayload,
    },
};
use mortise_runtime_process::ProcessRuntime;
use mortise_tests::eventually;
use serde_json::{Map, Value, json};

use crate::program::path;

struct Bench {
    framework: Framework,
    pipelines: Arc<Pipelines>,
}

impl Bench {
    /// Plugins of these names, one after the other.
    async fn start(names: &[&str], config: Map<String, Value>) -> Self {
        Self::start_with(names, config, &[]).await
    }

    /// The same with entries that name these keys, if only to say what holds anyway.
    async fn start_with(names: &[&str], config: Map<String, Value>, given: &[&str]) -> Self {
        let framework = Framework::builder().runtime(ProcessRuntime::new()).build();
        let mut plan = Plan { enabled: true, ..Plan::default() };
        for name in names {
            let mut entry = PluginEntry::new(*name, "process").with_config(config.clone());
            entry.command =
                vec![path().display().to_string(), "-hooks=post_auth,on_response,data_collection".to_owned()];
            entry.given = given.iter().map(|key| (*key).to_owned()).collect();
            plan.entries.push(entry);
        }
        let (pipelines, _) = framework.build(&plan).await.unwrap();
        Self { framework, pipelines }
    }

    async fn run(&self, hook: HookId, payload: impl Payload) -> Outcome {
        let mut request = Request::new("r1");
        request.caller = Arc::new(Caller { user: Some("ann".into()), ..Caller::default() });
        let chain = self.pipelines.chain(hook).unwrap();
        chain.run(&self.pipelines, &request, &mut Contexts::new(), &Revision::new(Box::new(payload))).await
    }

    async fn input(&self, body: Value) -> Outcome {
        let payload = LlmInputPayload {
            llm: "gpt".to_owned(),
            vendor: "openai".to_owned(),
            model: None,
            path: "/v1/chat/completions".to_owned(),
            headers: [("content-type", "application/json")].into_iter().collect(),
            body: Json::from(body),
        };
        self.run(LlmInput::ID, payload).await
    }

    async fn output(&self, body: Value, streamed: bool) -> Outcome {
        let payload = LlmOutputPayload {
            llm: "gpt".to_owned(),
            vendor: "openai".to_owned(),
            model: None,
            status_code: Some(200),
            headers: [("x-upstream", "1")].into_iter().collect(),
            streamed,
            body: Json::from(body),
        };
        self.run(LlmOutput::ID, payload).await
    }

    async fn stop(self) {
        self.framework.stop(&self.pipelines).await;
    }
}

fn headers(payload: &Headers) -> Vec<(&str, &str)> {
    payload.iter().collect()
}

#[tokio::test]
async fn request_to_a_model_is_blocked_changed_and_told_on() {
    let bench = Bench::start(&["first", "second"], Map::new()).await;

    let blocked = bench.input(json!({ "text": "forbidden" })).await.blocked.unwrap();
    assert_eq!(
        (blocked.violation.http_status_code, blocked.violation.reason.as_str()),
        (Some(403), "not for ann")
    );

    let replaced = bench.input(json!({ "text": "replace me" })).await.changed.unwrap();
    let replaced = replaced.get::<LlmInputPayload>().unwrap();
    assert_eq!(replaced.body.value().unwrap(), &json!({ "model": "small" }));
    assert_eq!(
        headers(&replaced.headers),
        [("content-type", "application/json")],
        "an empty map changes none"
    );

    // The first one tells the second who it is; the second one shows it.
    let told = bench.input(json!({ "text": "context" })).await.changed.unwrap();
    let told = told.get::<LlmInputPayload>().unwrap();
    assert!(told.headers.get("x-seen-by").unwrap().parse::<u32>().unwrap() > 0);
    assert_eq!(told.headers.get("content-type"), Some("application/json"));

    assert!(bench.input(json!({ "text": "plain" })).await.changed.is_none());
    bench.stop().await;
}

#[tokio::test]
async fn body_beyond_what_the_plugin_takes_is_an_error_and_not_its_end() {
    let bench = Bench::start(&["only"], Map::new()).await;

    let large = bench.input(json!({ "text": "x".repeat(5 << 20) })).await.blocked.unwrap();
    assert_eq!(large.violation.code, "PLUGIN_ERROR");
    assert!(large.violation.description.contains("ResourceExhausted"), "{}", large.violation.description);

    let answered = bench.input(json!({ "text": "large" })).await.changed.unwrap();
    assert!(answered.get::<LlmInputPayload>().unwrap().body.size() > 5 << 20, "what it answers may be large");
    bench.stop().await;
}

#[tokio::test]
async fn answer_of_a_model_is_changed_emptied_and_shown_when_it_was_a_stream() {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("journal");
    let config = json!({ "journal": journal }).as_object().unwrap().clone();
    let bench = Bench::start(&["only"], config).await;

    let masked = bench.output(json!({ "text": "a secret" }), false).await.changed.unwrap();
    let masked = masked.get::<LlmOutputPayload>().unwrap();
    assert_eq!(masked.body.value().unwrap(), &json!({ "text": "a ******" }));
    assert_eq!(headers(&masked.headers), [("x-upstream", "1")]);

    let emptied = bench.output(json!({ "text": "empty me" }), false).await.changed.unwrap();
    let emptied = emptied.get::<LlmOutputPayload>().unwrap();
    assert_eq!((emptied.body.size(), emptied.headers.len()), (0, 0), "no body, and no headers in its place");

    assert!(bench.output(json!({ "text": "a secret stream" }), true).await.changed.is_none());
    eventually("the stream at the plugin", async || {
        std::fs::read_to_string(&journal).unwrap_or_default().contains("a secret stream").then_some(())
    })
    .await;

    let forwarded = ForwardingPayload {
        upstream: "gpt".to_owned(),
        method: "POST".to_owned(),
        path: "/".to_owned(),
        headers: [("content-type", "text/plain")].into_iter().collect(),
        status_code: Some(200),
        ended: None,
    };
    let forwarded = bench.run(HttpPostForwardingCall::ID, forwarded).await.changed.unwrap();
    let forwarded = forwarded.get::<ForwardingPayload>().unwrap();
    assert_eq!(
        forwarded.headers.get("x-canonical"),
        Some("text/plain"),
        "names were spelt as Go spells them"
    );
    bench.stop().await;
}

#[tokio::test]
async fn records_reach_the_plugin_and_its_trouble_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("journal");
    let bench = Bench::start(&["only"], json!({ "journal": journal }).as_object().unwrap().clone()).await;
    let record = |status: u16| RecordPayload(Json::from(json!({ "status": status })));

    let well = bench.run(RecordProxyLog::ID, record(200)).await;
    bench.run(RecordProxyLog::ID, record(500)).await;

    assert!(well.executions.is_empty(), "nobody waits for it");
    eventually("both records at the plugin", async || {
        let told = std::fs::read_to_string(&journal).unwrap_or_default();
        (told.contains("log: 200 r1") && told.contains("log: 500 r1")).then_some(())
    })
    .await;
    eventually("its trouble in the counters", async || {
        (bench.framework.statistics().errors == 1).then_some(())
    })
    .await;
    bench.stop().await;
}

#[tokio::test]
async fn answer_that_is_there_is_not_lost_to_a_plugin_in_trouble_unless_its_entry_says_so() {
    let lenient = Bench::start(&["only"], Map::new()).await;
    let failed = lenient.output(json!({ "text": "fail me" }), false).await;
    assert!(failed.blocked.is_none());
    let words: Vec<&str> = failed.executions.iter().map(|one| one.status.word()).collect();
    assert_eq!(words, ["error"]);
    lenient.stop().await;

    let strict = Bench::start_with(&["only"], Map::new(), &["mode"]).await;
    let failed = strict.output(json!({ "text": "fail me" }), false).await.blocked.unwrap();
    assert_eq!(failed.violation.code, "PLUGIN_ERROR");
    strict.stop().await;
}
