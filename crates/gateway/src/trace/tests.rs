use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use mortise_framework::Framework;
use mortise_plugin_api::Caller;

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
    };
    call.say(facts);
    Arc::new(call)
}

fn end(call: &Call) {
    let framework = Framework::builder().build();
    call.ended(Happened { runs: [].into_iter().collect(), names: framework.pipelines().names().clone() });
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
