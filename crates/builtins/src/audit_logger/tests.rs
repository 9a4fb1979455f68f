use std::{
    collections::VecDeque,
    path::Path,
    sync::{Arc, Condvar, Mutex},
    time::{Duration, Instant, SystemTime},
};

use bytes::Bytes;
use mortise_plugin_api::{
    Answer, Body, Call, Caller, Context, End, Fut, Headers, Hook, Host, Init, Part, Payload, Plugin,
    PluginError, Request, Revision, Shared, State,
    hooks::{ResourcePreFetch, ToolPostInvoke, ToolPreInvoke},
    host::{Http, HttpRequest, HttpResponse, LogLevel},
};
use serde_json::{Value, json};

use super::{kind, signal::block_on};

/// A host with a clock, a log and, where wanted, HTTP.
struct TestHost {
    time: Mutex<SystemTime>,
    log: Mutex<Vec<String>>,
    http: Option<Endpoints>,
}

/// Answers requests with the statuses set, then with 200; 0 is no answer at all.
#[derive(Default)]
struct Endpoints {
    answers: Mutex<VecDeque<u16>>,
    requests: Mutex<Vec<HttpRequest>>,
    arrived: Condvar,
}

impl Endpoints {
    fn wait_for(&self, count: usize) -> Vec<HttpRequest> {
        let requests = self.requests.lock().unwrap();
        let patience = Duration::from_secs(30);
        let (requests, late) =
            self.arrived.wait_timeout_while(requests, patience, |requests| requests.len() < count).unwrap();
        assert!(!late.timed_out(), "{} of {count} requests came", requests.len());
        requests.clone()
    }
}

impl Http for Endpoints {
    fn send(&self, request: HttpRequest) -> Fut<'_, Result<HttpResponse, PluginError>> {
        Box::pin(async move {
            self.requests.lock().unwrap().push(request);
            self.arrived.notify_all();
            let status = self.answers.lock().unwrap().pop_front().unwrap_or(200);
            if status == 0 {
                std::future::pending::<()>().await;
            }
            Ok(HttpResponse { status, headers: Headers::new(), body: Bytes::new() })
        })
    }
}

impl Host for TestHost {
    fn now(&self) -> SystemTime {
        *self.time.lock().unwrap()
    }

    fn log(&self, level: LogLevel, message: &str, fields: &[(&str, &str)]) {
        let fields: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
        self.log.lock().unwrap().push(format!("{level:?} {message} {}", fields.join(" ")));
    }

    fn http(&self) -> Result<&dyn Http, PluginError> {
        self.http.as_ref().map(|http| http as &dyn Http).ok_or(PluginError::NoService("http"))
    }
}

struct Trail {
    plugin: Arc<dyn Plugin>,
    host: Arc<TestHost>,
    own: Option<Box<State>>,
}

fn start(config: &Value, http: Option<Endpoints>) -> Result<Trail, PluginError> {
    let plugin = (kind().build)(config).unwrap();
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_000_000);
    let host = Arc::new(TestHost { time: Mutex::new(time), log: Mutex::default(), http });
    let init = Init { name: "Audit".into(), instance: "i".into(), host: host.clone(), inherited: None };
    soon(plugin.initialize(init))?;
    Ok(Trail { plugin, host, own: None })
}

fn soon<T>(future: Fut<'_, T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(30);
    block_on(future, || deadline).expect("an answer")
}

impl Trail {
    fn call<H: Hook>(&mut self, payload: Value, end: End) -> bool
    where
        H::Payload: serde::de::DeserializeOwned + Payload,
    {
        let payload: H::Payload = serde_json::from_str(&payload.to_string()).unwrap();
        let mut request = Request::new("req-1");
        request.caller = Arc::new(Caller {
            user: Some("ann".into()),
            tenant: Some("acme".into()),
            teams: vec!["a".into()],
            ..Caller::default()
        });
        request.upstream = Some("weather".into());
        let call = Call {
            hook: H::ID,
            payload: &Revision::new(Box::new(payload)),
            part: Part::Whole,
            request: &request,
            end,
            deadline: Instant::now() + Duration::from_secs(60),
            host: &*self.host,
        };
        let (shared, mut patch) = (Shared::default(), None);
        match self.plugin.call(call, Context::new(&mut self.own, &shared, &mut patch)) {
            Answer::Ready(Ok(reply)) => reply.violation.is_none() && reply.change.is_none(),
            _ => false,
        }
    }

    fn tool(&mut self, args: Value) {
        assert!(self.call::<ToolPreInvoke>(json!({"name": "get_weather", "args": args}), End::Ok));
    }

    fn stop(&self) {
        soon(self.plugin.shutdown());
    }

    fn log(&self) -> Vec<String> {
        self.host.log.lock().unwrap().clone()
    }

    fn http(&self) -> &Endpoints {
        self.host.http.as_ref().unwrap()
    }
}

fn lines(text: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(text).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn read(path: &Path) -> Vec<Value> {
    lines(&std::fs::read(path).unwrap())
}

fn folder() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log").to_str().unwrap().to_owned();
    (folder, path)
}

#[test]
fn a_call_leaves_a_line_before_and_one_after_in_a_private_file() {
    let (_folder, path) = folder();
    let mut trail = start(&json!({"file": path}), None).unwrap();
    trail.tool(json!({"city": "Oslo"}));
    assert!(trail.call::<ToolPostInvoke>(json!({"name": "get_weather", "result": "rain"}), End::Ok));
    trail.stop();
    let records = read(Path::new(&path));
    assert_eq!(records.len(), 2);
    let took = records[1]["duration_ms"].as_f64().unwrap();
    assert!((0.0..60_000.0).contains(&took));
    assert_eq!(
        records[0],
        json!({"time": "2026-11-18T11:06:40.000Z", "level": "INFO", "plugin": "Audit", "event": "tool_pre_invoke",
               "request_id": "req-1", "subject": "get_weather", "user": "ann", "tenant": "acme", "teams": ["a"],
               "upstream": "weather", "payload_bytes": 15})
    );
    assert_eq!((&records[1]["event"], &records[1]["outcome"]), (&json!("tool_post_invoke"), &json!("ok")));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn payloads_are_recorded_only_when_asked_and_redacted_then() {
    let needs = |config: Value| (kind().build)(&config).unwrap().needs(ToolPreInvoke::ID).unwrap().body;
    assert_eq!(needs(json!({})), Body::None);
    assert_eq!(needs(json!({"include_payloads": true})), Body::Whole);
    let (_folder, path) = folder();
    let config = json!({"file": path, "include_payloads": true, "max_payload_bytes": 300});
    let mut trail = start(&config, None).unwrap();
    trail.tool(json!({"q": "from ann@example.com", "password": "hunter2", "n": 5}));
    trail.tool(json!({"q": "x".repeat(400)}));
    trail.tool(json!({"q": "x".repeat(10_000_000)}));
    trail.stop();
    let records = read(Path::new(&path));
    assert_eq!(
        records[0]["payload"],
        json!({"name": "get_weather", "args": {"q": "from ***", "password": "***", "n": 5}})
    );
    for record in &records[1..] {
        assert_eq!((&record["payload"], &record["payload_omitted"]), (&Value::Null, &json!(true)));
        assert!(record["payload_bytes"].as_u64().unwrap() > 300);
    }
}

#[test]
fn records_below_the_level_are_left_out() {
    for (level, expected) in [
        ("DEBUG", &["ok", "blocked", "cancelled", "timed_out", "upstream_failed"][..]),
        ("INFO", &["ok", "blocked", "cancelled", "timed_out", "upstream_failed"]),
        ("WARNING", &["blocked", "cancelled", "timed_out", "upstream_failed"]),
        ("ERROR", &["timed_out", "upstream_failed"]),
    ] {
        let (_folder, path) = folder();
        let mut trail = start(&json!({"file": path, "log_level": level}), None).unwrap();
        for end in [End::Ok, End::Blocked, End::Cancelled, End::TimedOut, End::UpstreamFailed] {
            assert!(trail.call::<ToolPostInvoke>(json!({"name": "t", "result": 1}), end));
        }
        trail.stop();
        let outcomes: Vec<_> = read(Path::new(&path)).iter().map(|r| r["outcome"].clone()).collect();
        assert_eq!(outcomes, expected, "{level}");
    }
}

#[test]
fn without_file_and_endpoints_records_go_to_the_log() {
    let mut trail = start(&json!({}), None).unwrap();
    assert!(trail.call::<ResourcePreFetch>(json!({"uri": "https://me:pw@host/a"}), End::Ok));
    trail.stop();
    let log = trail.log();
    assert_eq!(log.len(), 1);
    assert!(log[0].starts_with("Info audit record={") && log[0].contains("\"https://host/a\""), "{}", log[0]);
}

#[test]
fn endpoints_get_batches_of_lines_with_the_configured_headers() {
    let config = json!({
        "audit_endpoints": ["https://audit.internal.corp/api/v1/logs"], "batch_records": 3,
        "endpoint_headers": {"Authorization": "Bearer s3cr3t"}, "endpoint_timeout_seconds": 7,
    });
    let mut trail = start(&config, Some(Endpoints::default())).unwrap();
    for _ in 0..4 {
        trail.tool(json!({}));
    }
    trail.stop();
    let requests = trail.http().wait_for(2);
    assert_eq!(
        (requests[0].method.as_str(), requests[0].url.as_str()),
        ("POST", "https://audit.internal.corp/api/v1/logs")
    );
    assert_eq!(requests[0].headers.get("content-type"), Some("application/x-ndjson"));
    assert_eq!(requests[0].headers.get("authorization"), Some("Bearer s3cr3t"));
    assert!(requests[0].timeout <= Duration::from_secs(7));
    let sizes: Vec<usize> = requests.iter().map(|request| lines(&request.body).len()).collect();
    assert_eq!(sizes.iter().sum::<usize>(), 4);
    assert!(sizes.iter().all(|size| *size <= 3));
    let config: super::config::Config = serde_json::from_value(config).unwrap();
    assert!(!format!("{config:?}").contains("s3cr3t"));
}

#[test]
fn what_may_pass_is_sent_again_and_what_may_not_is_dropped_and_told() {
    let http = Endpoints { answers: Mutex::new([503, 200, 400, 200].into()), ..Endpoints::default() };
    let config = json!({"audit_endpoints": ["https://audit.example/x?key=s3cr3t"], "batch_delay_ms": 0});
    let mut trail = start(&config, Some(http)).unwrap();
    trail.tool(json!({}));
    let requests = trail.http().wait_for(2);
    assert_eq!(requests[0].body, requests[1].body);
    trail.tool(json!({}));
    trail.http().wait_for(3);
    trail.tool(json!({}));
    let requests = trail.http().wait_for(4);
    trail.stop();
    // The second record is lost; the third comes behind the note that one is missing.
    let last = lines(&requests[3].body);
    assert_eq!((&last[0]["event"], &last[0]["dropped"]), (&json!("audit_records_dropped"), &json!(1)));
    let log = trail.log().join("\n");
    assert!(
        log.contains("destination=https://audit.example dropped=1 reason=answered with status 400"),
        "{log}"
    );
    assert!(!log.contains("s3cr3t"));
}

#[test]
fn a_host_without_http_makes_the_plugin_unavailable() {
    let error = start(&json!({"audit_endpoints": ["https://audit.example"]}), None).err().unwrap();
    assert!(error.to_string().contains("http"), "{error}");
}

#[test]
fn a_full_queue_drops_and_counts_and_complains_once() {
    let http = Endpoints { answers: Mutex::new([0].into()), ..Endpoints::default() };
    let config = json!({
        "audit_endpoints": ["https://audit.example"], "batch_delay_ms": 0, "queue_records": 2,
        "endpoint_timeout_seconds": 1, "endpoint_retries": 0,
    });
    let mut trail = start(&config, Some(http)).unwrap();
    trail.tool(json!({"n": 1}));
    trail.http().wait_for(1);
    let begun = Instant::now();
    for _ in 0..1000 {
        trail.tool(json!({}));
    }
    assert!(begun.elapsed() < Duration::from_secs(5), "calls do not wait for the endpoint");
    let complaints: Vec<_> = trail.log().into_iter().filter(|line| line.contains("queue is full")).collect();
    assert_eq!(complaints.len(), 1, "{complaints:?}");
    let requests = trail.http().wait_for(2);
    trail.stop();
    let records = lines(&requests[1].body);
    // 998 found no room, and the one on its way got no answer.
    assert_eq!((records.len(), &records[0]["dropped"]), (3, &json!(999)));
}

#[test]
fn payloads_that_wait_are_bounded_in_bytes() {
    let http = Endpoints { answers: Mutex::new([0].into()), ..Endpoints::default() };
    let config = json!({
        "audit_endpoints": ["https://audit.example"], "batch_delay_ms": 0, "queue_bytes": 1000,
        "include_payloads": true, "shutdown_timeout_seconds": 1,
    });
    let mut trail = start(&config, Some(http)).unwrap();
    trail.tool(json!({}));
    trail.http().wait_for(1);
    trail.tool(json!({"q": "x".repeat(600)}));
    trail.tool(json!({"q": "x".repeat(600)}));
    assert!(trail.log().iter().any(|line| line.contains("dropped=1")), "{:?}", trail.log());
    trail.stop();
}

#[test]
fn stopping_keeps_its_deadline_when_an_endpoint_hangs() {
    let http = Endpoints { answers: Mutex::new([0, 0, 0].into()), ..Endpoints::default() };
    let config = json!({
        "audit_endpoints": ["https://audit.example"], "batch_records": 1, "shutdown_timeout_seconds": 1,
        "endpoint_timeout_seconds": 300,
    });
    let mut trail = start(&config, Some(http)).unwrap();
    trail.tool(json!({}));
    trail.tool(json!({}));
    trail.http().wait_for(1);
    let begun = Instant::now();
    trail.stop();
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert!(trail.log().iter().any(|line| line.contains("not written in time")), "{:?}", trail.log());
}

#[test]
fn files_are_rotated_by_size_and_the_oldest_removed() {
    let (folder, path) = folder();
    let mut trail = start(&json!({"file": path, "max_file_bytes": 4096, "keep_files": 2}), None).unwrap();
    for n in 0..100 {
        trail.call::<ToolPreInvoke>(json!({"name": format!("tool-{n}"), "args": {}}), End::Ok);
    }
    trail.stop();
    let mut names: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["audit.log", "audit.log.1", "audit.log.2"]);
    let subjects: Vec<String> = ["audit.log.2", "audit.log.1", "audit.log"]
        .iter()
        .flat_map(|name| {
            let file = folder.path().join(name);
            assert!(std::fs::metadata(&file).unwrap().len() <= 4096);
            read(&file)
        })
        .map(|record| record["subject"].as_str().unwrap().to_owned())
        .collect();
    let first = 100 - subjects.len();
    let expected: Vec<String> = (first..100).map(|n| format!("tool-{n}")).collect();
    assert_eq!(subjects, expected, "none is missing in between");
}

#[test]
fn files_are_rotated_by_age_and_none_is_kept_where_none_is_wanted() {
    for (keep, count) in [(1, 2), (0, 1)] {
        let (folder, path) = folder();
        let config = json!({"file": path, "max_file_age_seconds": 60, "keep_files": keep});
        let mut trail = start(&config, None).unwrap();
        // The file is as old as the machine's clock says; the records are of the host's.
        *trail.host.time.lock().unwrap() = SystemTime::now() + Duration::from_secs(30);
        trail.tool(json!({}));
        *trail.host.time.lock().unwrap() += Duration::from_secs(60);
        trail.tool(json!({}));
        trail.stop();
        assert_eq!(read(Path::new(&path)).len(), 1);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), count);
    }
}

#[test]
fn a_file_that_is_renamed_away_is_followed_by_a_new_one_and_an_old_one_is_appended_to() {
    let (folder, path) = folder();
    std::fs::write(&path, "{\"old\":1}\n").unwrap();
    let mut trail = start(&json!({"file": path}), None).unwrap();
    trail.tool(json!({}));
    trail.stop();
    assert_eq!(read(Path::new(&path)).len(), 2);
    let mut trail = start(&json!({"file": path}), None).unwrap();
    std::fs::rename(&path, folder.path().join("away")).unwrap();
    trail.tool(json!({}));
    trail.stop();
    assert_eq!(read(Path::new(&path)).len(), 1);
    assert_eq!(read(&folder.path().join("away")).len(), 2);
}

#[test]
fn a_file_that_cannot_be_opened_makes_the_plugin_unavailable() {
    let (folder, path) = folder();
    for bad in [
        format!("{path}/deeper/audit.log"),
        folder.path().to_str().unwrap().to_owned(),
        "/dev/null".to_owned(),
    ] {
        let error = start(&json!({ "file": bad }), None).err().unwrap().to_string();
        assert!(error.contains(&bad) && error.contains("cannot be opened"), "{error}");
    }
}

#[test]
fn health_tells_of_a_destination_that_fails() {
    let http = Endpoints { answers: Mutex::new([400; 3].into()), ..Endpoints::default() };
    let config = json!({"audit_endpoints": ["https://audit.example"], "batch_delay_ms": 0});
    let mut trail = start(&config, Some(http)).unwrap();
    assert!(soon(trail.plugin.health()).is_ok());
    trail.tool(json!({}));
    trail.stop();
    let error = soon(trail.plugin.health()).unwrap_err().to_string();
    assert!(error.contains("https://audit.example") && error.contains("400"), "{error}");
}

#[test]
fn impossible_configurations_are_refused_by_name() {
    for (config, field) in [
        (json!({"audit_endpoints": ["audit.example"]}), "audit_endpoints[0]"),
        (json!({"audit_endpoints": ["https://a.example", "file:///x"]}), "audit_endpoints[1]"),
        (json!({"endpoint_headers": {"a b": "x"}}), "endpoint_headers.a b"),
        (json!({"endpoint_headers": {"x": "a\nb"}}), "endpoint_headers.x"),
        (json!({"endpoint_timeout_seconds": 0}), "endpoint_timeout_seconds"),
        (json!({"endpoint_retries": 11}), "endpoint_retries"),
        (json!({"batch_records": 0}), "batch_records"),
        (json!({"batch_delay_ms": 60_001}), "batch_delay_ms"),
        (json!({"max_file_bytes": 1}), "max_file_bytes"),
        (json!({"keep_files": 1001}), "keep_files"),
        (json!({"queue_records": 0}), "queue_records"),
        (json!({"shutdown_timeout_seconds": 0}), "shutdown_timeout_seconds"),
        (json!({"file": ""}), "file"),
    ] {
        assert_eq!((kind().build)(&config).err().unwrap().field, field, "{config}");
    }
    assert!((kind().build)(&json!({"log_level": "LOUD"})).is_err());
}

#[test]
fn many_threads_and_hostile_payloads_lose_nothing_that_is_not_counted() {
    let (_folder, path) = folder();
    let config =
        json!({"file": path, "include_payloads": true, "queue_records": 64, "max_payload_bytes": 1_000_000});
    let trail = start(&config, None).unwrap();
    let deep = (0..120).fold(json!("AKIAA1B2C3D4E5F6G7H8"), |inner, _| json!([inner]));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut own = Trail { plugin: trail.plugin.clone(), host: trail.host.clone(), own: None };
                for _ in 0..500 {
                    own.tool(json!({"x": deep}));
                }
            });
        }
    });
    trail.stop();
    let records = read(Path::new(&path));
    let dropped: u64 = records.iter().filter_map(|record| record["dropped"].as_u64()).sum();
    let written = records.iter().filter(|record| record["event"] == "tool_pre_invoke").count() as u64;
    assert_eq!(written + dropped, 2000);
    assert!(records.iter().all(|record| !record.to_string().contains("AKIA")));
}
