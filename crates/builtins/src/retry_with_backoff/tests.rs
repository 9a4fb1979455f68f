use std::time::Duration;

use mortise_plugin_api::{
    End,
    hooks::{ResourcePostFetch, ToolPostInvoke},
};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::kind;
use crate::testing::{
    Outcome,
    stage::{Stage, Visit},
};

fn stage(config: Value) -> Stage {
    Stage::new(&kind(), config)
}

fn after(visit: &mut Visit<'_>, result: Value) -> Outcome {
    visit.call::<ToolPostInvoke>(json!({"name": "t", "result": result}))
}

fn wish(outcome: &Outcome) -> u128 {
    outcome.notes.as_ref().map_or(0, |notes| notes.retry_after.as_millis())
}

fn error() -> Value {
    json!({"content": [{"type": "text", "text": "no"}], "isError": true})
}

/// Milliseconds asked for after each of so many failures.
fn wishes(config: Value, count: usize) -> Vec<u128> {
    let stage = stage(config);
    let mut visit = stage.visit();
    (0..count).map(|_| wish(&after(&mut visit, error()))).collect()
}

#[test]
fn waits_double_up_to_the_longest_until_there_are_enough() {
    assert_eq!(wishes(json!({"jitter": false}), 4), [200, 400, 0, 0]);
    let config = json!({"jitter": false, "max_retries": 6, "backoff_base_ms": 100, "max_backoff_ms": 1000});
    assert_eq!(wishes(config, 7), [100, 200, 400, 800, 1000, 1000, 0]);
    assert_eq!(wishes(json!({"max_retries": 0}), 2), [0, 0]);
}

#[test]
fn waits_are_random_up_to_the_computed_time() {
    let stage = stage(json!({}));
    let mut seen: Vec<u128> = (0..200).map(|_| wish(&after(&mut stage.visit(), error()))).collect();
    assert!(seen.iter().all(|millis| (1..=200).contains(millis)), "{seen:?}");
    assert!(seen.iter().any(|m| *m < 60) && seen.iter().any(|m| *m > 140), "over the whole range: {seen:?}");
    seen.sort_unstable();
    seen.dedup();
    assert!(seen.len() > 50, "{seen:?}");
}

#[test]
fn wish_is_never_for_no_wait_at_all() {
    assert_eq!(wishes(json!({"backoff_base_ms": 0}), 2), [1, 1]);
    assert_eq!(wishes(json!({"max_backoff_ms": 0, "jitter": false}), 1), [1]);
}

#[test]
fn success_asks_for_nothing_and_the_row_begins_anew() {
    let stage = stage(json!({"jitter": false}));
    let mut visit = stage.visit();
    let fine = after(&mut visit, json!({"content": [], "isError": false}));
    assert!(fine.passed() && fine.notes.is_none());
    assert_eq!(wish(&after(&mut visit, error())), 200);
    assert_eq!(wish(&after(&mut visit, json!({"content": []}))), 0);
    assert_eq!(wish(&after(&mut visit, error())), 200);
    assert_eq!(wish(&after(&mut stage.visit(), error())), 200, "another request has a row of its own");
}

#[test]
fn statuses_that_results_tell_decide() {
    let stage = stage(json!({"jitter": false, "retry_on_status": [503]}));
    for (result, retries) in [
        (json!({"structuredContent": {"status_code": 503}}), true),
        (json!({"structuredContent": {"status_code": 503}, "isError": true}), true),
        (json!({"structuredContent": {"status_code": 404}, "isError": true}), false),
        (json!({"structuredContent": {"status_code": 200}}), false),
        (json!({"content": [{"type": "text", "text": "{\"status_code\": 503}"}]}), false),
    ] {
        assert_eq!(wish(&after(&mut stage.visit(), result.clone())) > 0, retries, "{result}");
    }
}

#[test]
fn texts_are_read_where_asked() {
    let result = json!({"content": [{"type": "text", "text": "{\"status_code\": 503}"}]});
    assert!(wish(&after(&mut stage(json!({"check_text_content": true})).visit(), result)) > 0);
}

#[test]
fn failures_of_the_upstream_count_and_calls_that_are_over_do_not() {
    let stage = stage(json!({}));
    for (end, retries) in
        [(End::UpstreamFailed, true), (End::TimedOut, true), (End::Blocked, false), (End::Cancelled, false)]
    {
        let payload = json!({"name": "t", "result": error()});
        let outcome = stage.visit().ended::<ToolPostInvoke>(end, payload);
        assert_eq!(wish(&outcome) > 0, retries, "{end:?}");
    }
}

#[test]
fn single_tools_have_values_of_their_own() {
    let own = json!({"max_retries": 1, "backoff_base_ms": 7, "max_backoff_ms": 7, "retry_on_status": [418],
        "jitter": false, "check_text_content": true});
    let stage = stage(json!({"jitter": false, "tool_overrides": {"t": own}}));
    let mut visit = stage.visit();
    let teapot = json!({"content": [{"type": "text", "text": "{\"status_code\":418}"}]});
    assert_eq!(wish(&after(&mut visit, teapot.clone())), 7);
    assert_eq!(wish(&after(&mut visit, teapot.clone())), 0);
    let other = stage.visit().call::<ToolPostInvoke>(json!({"name": "u", "result": teapot}));
    assert_eq!(wish(&other), 0);
}

#[test]
fn metadata_says_how_often_it_failed_and_how_long_it_waits() {
    let stage = stage(json!({"jitter": false, "max_retries": 1}));
    let mut visit = stage.visit();
    let told = |outcome: &Outcome| outcome.metadata("retry_with_backoff");
    assert_eq!(told(&after(&mut visit, error())), json!({"retry_count": 1, "retry_delay_ms": 200}));
    assert_eq!(told(&after(&mut visit, error())), json!({"retry_count": 2, "retry_delay_ms": 0}));
    visit.request.traceparent = Some("00-1-2-01".into());
    let fine = after(&mut visit, json!({"content": []}));
    assert_eq!(told(&fine), json!({"retry_count": 0, "retry_delay_ms": 0}), "where the call is traced");
}

#[test]
fn resources_are_told_the_policy_and_nothing_is_asked_for() {
    let stage = stage(json!({"max_retries": 3}));
    let outcome = stage.visit().call::<ResourcePostFetch>(json!({"uri": "a:b", "content": {"text": "x"}}));
    let policy = json!({"max_retries": 3, "backoff_base_ms": 200, "max_backoff_ms": 5000,
        "retry_on_status": [429, 500, 502, 503, 504]});
    assert_eq!((outcome.metadata("retry_policy"), wish(&outcome)), (policy, 0));
}

#[test]
fn wrong_configurations_are_refused() {
    for config in [
        json!({"max_retries": -1}),
        json!({"retry_on_status": [70_000]}),
        json!({"tool_overrides": {"t": {"retries": 1}}}),
        json!({"backoff": 1}),
    ] {
        assert!((kind().build)(&config).is_err(), "{config}");
    }
}

proptest! {
    #[test]
    fn no_wait_is_longer_than_allowed(
        retries in any::<u32>(), base in any::<u64>(), longest in any::<u64>(), jitter in any::<bool>(),
    ) {
        let config = json!({"max_retries": retries, "backoff_base_ms": base, "max_backoff_ms": longest, "jitter": jitter});
        let stage = stage(config);
        let mut visit = stage.visit();
        for attempt in 0..80u32 {
            let notes = after(&mut visit, error()).notes.unwrap();
            prop_assert!(notes.retry_after <= Duration::from_millis(longest.max(1)));
            prop_assert_eq!(notes.retry_after.is_zero(), attempt >= retries);
        }
    }

    #[test]
    fn any_result_is_answered_without_panic(text in "\\PC{0,60}") {
        let stage = stage(json!({"check_text_content": true}));
        after(&mut stage.visit(), json!({"content": [{"type": "text", "text": text}], "structuredContent": text}));
    }
}
