use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use mortise_framework::{Framework, HookRun, pipeline::trace::Changed};
use mortise_plugin_api::{
    Caller, End, Hook, Json, Revision,
    hooks::{ToolPreInvoke, tool::ToolPreInvokePayload},
};

use super::{
    recording::{NotRecorded, Wanted},
    *,
};

fn call(calls: &Arc<Calls>, id: &str, explain: ExplainConfig) -> Arc<Call> {
    let call = Call {
        calls: calls.clone(),
        explain,
        began: Instant::now(),
        snapshot: 1,
        context: None,
        facts: Mutex::default(),
    };
    let mut request = Request::new(id);
    request.caller = Arc::new(Caller::default());
    let facts = Facts {
        request: Arc::new(request),
        method: "tools/call".into(),
        subject: Some("echo".into()),
        outcome: CallOutcome::Ok,
        status: None,
        ended: SystemTime::now(),
        took: Duration::from_micros(5),
        upstream: Duration::ZERO,
        upstream_began: None,
        attempts: None,
    };
    call.say(facts);
    Arc::new(call)
}

fn end(call: &Call) {
    let framework = Framework::builder().build();
    call.ended(Happened { runs: [].into_iter().collect(), names: framework.pipelines().names().clone() });
}

fn payload(bytes: usize) -> Arc<Revision> {
    let args = Json::from(serde_json::Value::from("x".repeat(bytes)));
    Revision::new(Box::new(ToolPreInvokePayload { name: "echo".into(), args, headers: None }))
}

/// Ends a call at whose one hook a payload of so many bytes came in, and was changed or not.
fn end_with(call: &Call, bytes: usize, changed: bool) {
    let framework = Framework::builder().build();
    let run = HookRun {
        hook: ToolPreInvoke::ID,
        began: Instant::now(),
        took: Duration::ZERO,
        end: End::Ok,
        payload: Some(payload(bytes)),
        executions: [].into_iter().collect(),
        changes: changed.then(|| Changed { execution: 0, revision: payload(1) }).into_iter().collect(),
        blocked: None,
        finished: true,
    };
    call.ended(Happened { runs: [run].into_iter().collect(), names: framework.pipelines().names().clone() });
}

fn ids(calls: &Calls) -> Vec<String> {
    calls.last().iter().map(|call| call.request.id.to_string()).collect()
}

#[test]
fn the_last_calls_are_kept_and_no_more() {
    let calls = Arc::new(Calls::default());
    let explain = ExplainConfig { keep: 3, ..ExplainConfig::default() };
    for id in ["a", "b", "c", "d", "e"] {
        end(&call(&calls, id, explain));
    }
    assert_eq!(ids(&calls), ["e", "d", "c"]);
    let fewer = ExplainConfig { keep: 1, ..explain };
    end(&call(&calls, "f", fewer));
    assert_eq!(ids(&calls), ["f"], "a smaller bound holds at once");
    end(&call(&calls, "g", ExplainConfig { keep: 0, ..explain }));
    assert_eq!(ids(&calls), ["f"], "calls of which none is to be kept are not");
}

#[test]
fn bytes_of_payloads_are_bounded_and_those_nobody_changed_are_not_kept() {
    let calls = Arc::new(Calls::default());
    let explain = ExplainConfig { keep: 100, max_bytes: 100_000, ..ExplainConfig::default() };
    for id in ["a", "b", "c"] {
        end_with(&call(&calls, id, explain), 1 << 20, false);
    }
    assert_eq!(ids(&calls), ["c", "b", "a"], "what was not changed takes no room");
    assert!(calls.last().iter().all(|call| call.happened.runs[0].payload.is_none()));
    for id in ["d", "e"] {
        end_with(&call(&calls, id, explain), 60_000, true);
    }
    assert_eq!(ids(&calls), ["e", "c", "b", "a"], "those that hold nothing make no room for others");
    assert!(calls.last()[0].happened.runs[0].change(0).is_some());
    end_with(&call(&calls, "f", explain), 1 << 20, true);
    assert_eq!(ids(&calls)[..2], ["f", "c"], "one that is larger than all room is the one that is asked for");
}

#[test]
fn many_calls_come_back_whole_and_in_order() {
    let calls = Arc::new(Calls::default());
    let explain = ExplainConfig { keep: 700, ..ExplainConfig::default() };
    for n in 0..1000 {
        end_with(&call(&calls, &n.to_string(), explain), 1, true);
    }
    let expected: Vec<String> = (300..1000).rev().map(|n| n.to_string()).collect();
    assert_eq!(ids(&calls), expected);
}

#[test]
fn calls_that_passed_untouched_push_no_others_out() {
    let calls = Arc::new(Calls::default());
    let explain = ExplainConfig { keep: 800, ..ExplainConfig::default() };
    end_with(&call(&calls, "changed", explain), 1, true);
    for n in 0..1000 {
        end(&call(&calls, &n.to_string(), explain));
    }
    let kept = ids(&calls);
    assert_eq!((kept.len(), &*kept[0], &*kept[99], &*kept[100]), (101, "999", "900", "changed"));
}

#[test]
fn strangers_who_are_refused_push_nobody_out() {
    let calls = Arc::new(Calls::default());
    end(&call(&calls, "known", ExplainConfig::default()));
    let stranger = call(&calls, "stranger", ExplainConfig::default());
    stranger.refused(Request::new("stranger"), StatusCode::UNAUTHORIZED);
    end(&stranger);
    assert_eq!(ids(&calls), ["known"]);
}

#[test]
fn observers_see_each_call_once_until_they_are_forgotten() {
    #[derive(Default)]
    struct Counts(AtomicUsize);
    impl CallObserver for Counts {
        fn finished(&self, call: &FinishedCall) {
            assert_eq!(call.subject.as_deref(), Some("echo"));
            self.0.fetch_add(1, SeqCst);
        }
    }
    let calls = Arc::new(Calls::default());
    let counts = Arc::new(Counts::default());
    let observer: Arc<dyn CallObserver> = counts.clone();
    calls.observe(&observer);
    let one = call(&calls, "a", ExplainConfig::default());
    end(&one);
    end(&one);
    calls.forget(&observer);
    end(&call(&calls, "b", ExplainConfig::default()));
    assert_eq!(counts.0.load(SeqCst), 1);
}

#[test]
fn nothing_is_recorded_unmasked_unless_that_is_asked_for() {
    let calls = Arc::new(Calls::default());
    let wanted = Wanted { calls: 1, time: Duration::from_secs(1), ..Wanted::default() };
    assert_eq!(calls.recordings().begin(&calls, wanted.clone()), Err(NotRecorded::NoMask));
    let raw = Wanted { raw: true, ..wanted };
    let numbers: Vec<_> = (0..4).map(|_| calls.recordings().begin(&calls, raw.clone()).unwrap()).collect();
    assert_eq!(calls.recordings().begin(&calls, raw.clone()), Err(NotRecorded::TooMany));
    assert!(calls.recordings().end(&calls, numbers[0]));
    assert!(!calls.recordings().end(&calls, numbers[0]));
    assert!(calls.recordings().begin(&calls, raw).is_ok());
}

#[tokio::test]
async fn a_recording_whose_reader_is_gone_holds_nothing_any_more() {
    let calls = Arc::new(Calls::default());
    let wanted = Wanted { calls: 9, time: Duration::from_secs(600), raw: true, ..Wanted::default() };
    let number = calls.recordings().begin(&calls, wanted).unwrap();
    let begun = Instant::now();
    assert!(calls.recordings().any());
    calls.recordings().sweep(&calls, begun + Duration::from_secs(29));
    assert!(calls.recordings().any());

    calls.recordings().sweep(&calls, begun + Duration::from_secs(31));

    assert!(!calls.recordings().any() && calls.observers.load().is_empty());
    let hooks = Arc::new(mortise_plugin_api::HookTable::standard());
    assert!(calls.recordings().fetch(&calls, number, &hooks, Duration::ZERO).await.is_none());
}
