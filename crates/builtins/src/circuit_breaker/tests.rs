use std::sync::{
    Arc, Barrier,
    atomic::{AtomicU32, Ordering::SeqCst},
};

use mortise_plugin_api::{
    End,
    hooks::{ToolPostInvoke, ToolPreInvoke},
};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{
    circuit::{Circuit, Rules},
    kind,
};
use crate::testing::{
    Outcome,
    stage::{BEGIN, Stage, Visit},
};

fn stage(config: Value) -> Stage {
    Stage::new(&kind(), config)
}

fn before(visit: &mut Visit<'_>, tool: &str) -> Outcome {
    visit.call::<ToolPreInvoke>(json!({"name": tool, "args": {}}))
}

fn after(visit: &mut Visit<'_>, tool: &str, end: End, failed: bool) -> Outcome {
    visit.ended::<ToolPostInvoke>(end, json!({"name": tool, "result": {"content": [], "isError": failed}}))
}

/// One call that ends so; its code where it was refused.
fn call(stage: &Stage, tool: &str, failed: bool) -> String {
    let mut visit = stage.visit();
    let refused = before(&mut visit, tool);
    if refused.violation.is_none() {
        after(&mut visit, tool, End::Ok, failed);
    }
    refused.code().to_owned()
}

fn fail(stage: &Stage, tool: &str, times: u32) {
    for _ in 0..times {
        assert_eq!(call(stage, tool, true), "");
    }
}

#[test]
fn failures_in_a_row_open_the_circuit_of_that_tool_alone() {
    let stage = stage(json!({"consecutive_failure_threshold": 3}));
    stage.advance(0.5);
    fail(&stage, "bad", 3);
    let refused = before(&mut stage.visit(), "bad");
    let violation = refused.violation.as_ref().unwrap();
    assert_eq!((violation.code.as_str(), violation.http_status_code), ("CIRCUIT_OPEN", Some(503)));
    assert_eq!(violation.details["open_until"], BEGIN + 61);
    assert_eq!(violation.details["retry_after_seconds"], 60);
    assert_eq!(violation.http_headers.as_ref().unwrap().get("retry-after"), Some("60"));
    assert_eq!(refused.notes.unwrap().response_headers.get("retry-after"), Some("60"));
    assert_eq!(call(&stage, "good", false), "");
}

#[test]
fn success_ends_a_row() {
    let stage = stage(json!({"consecutive_failure_threshold": 3, "min_calls": 100}));
    for _ in 0..10 {
        fail(&stage, "t", 2);
        assert_eq!(call(&stage, "t", false), "");
    }
}

#[test]
fn share_of_failures_opens_it_once_there_are_enough_calls() {
    let stage =
        stage(json!({"error_rate_threshold": 0.5, "min_calls": 4, "consecutive_failure_threshold": 9}));
    for failed in [false, true, false, true] {
        assert_eq!(call(&stage, "t", failed), "");
    }
    assert_eq!(call(&stage, "t", false), "CIRCUIT_OPEN");
}

#[test]
fn failures_outside_the_window_do_not_count() {
    let stage = stage(
        json!({"window_seconds": 10, "min_calls": 4, "error_rate_threshold": 0.75, "consecutive_failure_threshold": 9}),
    );
    fail(&stage, "t", 3);
    stage.advance(10.0);
    fail(&stage, "t", 3);
    assert_eq!(call(&stage, "t", true), "");
    assert_eq!(call(&stage, "t", true), "CIRCUIT_OPEN");
}

#[test]
fn one_call_tries_after_the_pause_and_closes_or_opens_again() {
    let stage = stage(json!({"consecutive_failure_threshold": 1, "cooldown_seconds": 30}));
    fail(&stage, "t", 1);
    stage.advance(29.9);
    assert_eq!(call(&stage, "t", false), "CIRCUIT_OPEN");
    stage.advance(0.1);
    let mut probe = stage.visit();
    assert!(before(&mut probe, "t").passed());
    let other = before(&mut stage.visit(), "t");
    assert_eq!(other.code(), "CIRCUIT_HALF_OPEN_PROBE_IN_FLIGHT");
    assert_eq!(other.metadata("circuit_half_open"), true);
    assert_eq!(other.violation.unwrap().details["retry_after_seconds"], 1);
    after(&mut probe, "t", End::Ok, true);
    assert_eq!(call(&stage, "t", false), "CIRCUIT_OPEN", "it failed");

    stage.advance(30.0);
    assert_eq!(call(&stage, "t", false), "", "it went well");
    assert_eq!(call(&stage, "t", false), "");
}

#[test]
fn try_that_comes_to_nothing_gives_its_place_to_the_next() {
    for end in [Some(End::Blocked), Some(End::Cancelled), None] {
        let stage = stage(json!({"consecutive_failure_threshold": 1}));
        fail(&stage, "t", 1);
        stage.advance(60.0);
        let mut probe = stage.visit();
        assert!(before(&mut probe, "t").passed());
        if let Some(end) = end {
            after(&mut probe, "t", end, true);
        }
        // Without any hook after, the end of the request does.
        drop(probe);
        assert_eq!(call(&stage, "t", false), "", "{end:?}");
    }
}

#[test]
fn every_way_to_fail_counts_and_what_says_nothing_does_not() {
    for (end, counts) in
        [(End::UpstreamFailed, true), (End::TimedOut, true), (End::Blocked, false), (End::Cancelled, false)]
    {
        let stage = stage(json!({"consecutive_failure_threshold": 1}));
        let mut visit = stage.visit();
        before(&mut visit, "t");
        after(&mut visit, "t", end, true);
        assert_eq!(call(&stage, "t", false) == "CIRCUIT_OPEN", counts, "{end:?}");
    }
}

#[test]
fn late_results_of_an_earlier_period_do_not_count() {
    let stage = stage(json!({"consecutive_failure_threshold": 1}));
    let (mut slow, mut slower) = (stage.visit(), stage.visit());
    before(&mut slow, "t");
    before(&mut slower, "t");
    fail(&stage, "t", 1);
    after(&mut slow, "t", End::Ok, false);
    assert_eq!(call(&stage, "t", false), "CIRCUIT_OPEN", "an old success does not close it");
    stage.advance(60.0);
    assert_eq!(call(&stage, "t", false), "");
    after(&mut slower, "t", End::Ok, true);
    assert_eq!(call(&stage, "t", false), "", "an old failure does not open it");
}

#[test]
fn refused_call_that_was_made_all_the_same_does_not_count() {
    let stage = stage(json!({"consecutive_failure_threshold": 1}));
    fail(&stage, "t", 1);
    let mut visit = stage.visit();
    assert_eq!(before(&mut visit, "t").code(), "CIRCUIT_OPEN");
    let outcome = after(&mut visit, "t", End::Ok, false);
    assert_eq!(outcome.metadata("circuit_consecutive_failures"), 1);
    assert_eq!(call(&stage, "t", false), "CIRCUIT_OPEN");
}

#[test]
fn single_tools_have_values_of_their_own() {
    let stage = stage(json!({"consecutive_failure_threshold": 5,
        "tool_overrides": {"pay": {"consecutive_failure_threshold": 2, "cooldown_seconds": 120}}}));
    fail(&stage, "pay", 2);
    fail(&stage, "other", 2);
    assert_eq!(before(&mut stage.visit(), "pay").violation.unwrap().details["retry_after_seconds"], 120);
    assert_eq!(call(&stage, "other", false), "");
}

#[test]
fn tool_is_the_same_under_every_name_and_another_at_every_upstream() {
    let stage = stage(json!({"consecutive_failure_threshold": 1}));
    let at = |upstream: &str, exposed: &str, original: &str| {
        let mut visit = stage.visit().at(upstream);
        visit.request.original_name = Some(original.into());
        let refused = before(&mut visit, exposed);
        after(&mut visit, exposed, End::Ok, true);
        refused.code().to_owned()
    };
    assert_eq!(at("a", "a-t", "t"), "");
    assert_eq!(at("b", "b-t", "t"), "");
    assert_eq!(at("a", "renamed", "t"), "CIRCUIT_OPEN");
}

#[test]
fn tool_that_another_plugin_exchanged_counts_for_itself() {
    let stage = stage(json!({"consecutive_failure_threshold": 1}));
    let mut visit = stage.visit();
    before(&mut visit, "asked");
    after(&mut visit, "called", End::Ok, true);
    assert_eq!(call(&stage, "asked", false), "");
    assert_eq!(call(&stage, "called", false), "CIRCUIT_OPEN");
}

#[test]
fn metadata_says_how_the_circuit_stands() {
    let stage = stage(json!({"consecutive_failure_threshold": 2}));
    call(&stage, "t", false);
    let mut visit = stage.visit();
    before(&mut visit, "t");
    let outcome = after(&mut visit, "t", End::Ok, true);
    assert_eq!(outcome.metadata("circuit_calls_in_window"), 2);
    assert_eq!(outcome.metadata("circuit_failures_in_window"), 1);
    assert_eq!(outcome.metadata("circuit_failure_rate"), 0.5);
    assert_eq!(outcome.metadata("circuit_consecutive_failures"), 1);
    assert_eq!(outcome.metadata("circuit_open_until"), 0);
    assert_eq!(outcome.metadata("circuit_half_open"), false);
    assert_eq!(outcome.metadata("circuit_retry_after_seconds"), 0);
    fail(&stage, "t", 1);
    let open = before(&mut stage.visit(), "t");
    assert_eq!(open.metadata("circuit_open_until"), BEGIN + 60);
    assert_eq!(open.metadata("circuit_retry_after_seconds"), 60);
}

#[test]
fn successor_knows_what_is_open_and_how_close_the_others_are() {
    let first = stage(json!({"consecutive_failure_threshold": 3}));
    fail(&first, "open", 3);
    fail(&first, "close", 2);
    first.advance(10.0);
    let second =
        first.succeeded(&kind(), json!({"consecutive_failure_threshold": 3, "cooldown_seconds": 100}));
    assert_eq!(before(&mut second.visit(), "open").violation.unwrap().details["retry_after_seconds"], 50);
    fail(&second, "close", 1);
    assert_eq!(call(&second, "close", false), "CIRCUIT_OPEN");
    second.advance(50.0);
    assert_eq!(call(&second, "open", false), "");
    let odd = Stage::inheriting(&kind(), json!({}), b"{}");
    assert_eq!((odd.log().len(), call(&odd, "t", false).as_str()), (1, ""));
}

#[test]
fn values_out_of_range_are_refused_by_name() {
    for (config, field) in [
        (json!({"error_rate_threshold": 0.0}), "error_rate_threshold"),
        (json!({"error_rate_threshold": 1.5}), "error_rate_threshold"),
        (json!({"window_seconds": 0}), "window_seconds"),
        (json!({"min_calls": 0}), "min_calls"),
        (json!({"consecutive_failure_threshold": 0}), "consecutive_failure_threshold"),
        (json!({"cooldown_seconds": 100_000}), "cooldown_seconds"),
        (json!({"tool_overrides": {"t": {"min_calls": 0}}}), "tool_overrides.t.min_calls"),
    ] {
        let Err(error) = (kind().build)(&config) else { panic!("{config} was accepted") };
        assert_eq!(error.field, field);
    }
    for config in [json!({"window": 1}), json!({"tool_overrides": {"t": {"x": 1}}})] {
        assert!((kind().build)(&config).is_err(), "{config}");
    }
}

#[test]
fn hostile_names_and_results_are_withstood() {
    let stage = stage(json!({}));
    for name in ["", "\0", &"x".repeat(1_000_000)] {
        assert_eq!(call(&stage, name, true), "");
    }
    let mut visit = stage.visit();
    before(&mut visit, "t");
    let outcome = visit.text::<ToolPostInvoke>(End::Ok, r#"{"name":"t","result":[[[{"isError":[]}]]]}"#);
    assert_eq!(outcome.metadata("circuit_failures_in_window"), 0);
    for i in 0..20_000 {
        before(&mut stage.visit(), &format!("t{i}"));
    }
}

#[test]
fn of_many_threads_one_tries() {
    let rules = Rules { error_rate: 1.0, window: 1_000, min_calls: 1, consecutive: 1, cooldown: 10 };
    for round in 0..200u64 {
        let circuit = Arc::new(Circuit::default());
        circuit.enter(round).unwrap().settle(&rules, round, true);
        let (tried, barrier) = (AtomicU32::new(0), Barrier::new(4));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    barrier.wait();
                    if let Ok(pass) = circuit.enter(round + 10) {
                        tried.fetch_add(1, SeqCst);
                        barrier.wait();
                        drop(pass);
                    } else {
                        barrier.wait();
                    }
                });
            }
        });
        assert_eq!(tried.load(SeqCst), 1);
        assert!(circuit.enter(round + 10).is_ok(), "the place is free again");
    }
}

proptest! {
    #[test]
    fn circuit_never_stays_shut_once_its_pause_is_over(
        steps in proptest::collection::vec((0u64..40, any::<bool>(), 0u8..3), 1..200),
    ) {
        let rules =
            Rules { error_rate: 0.5, window: 300, min_calls: 4, consecutive: 3, cooldown: 50 };
        let circuit = Arc::new(Circuit::default());
        let (mut now, mut held) = (1_000, Vec::new());
        for (pause, failed, what) in steps {
            now += pause;
            match circuit.enter(now) {
                Ok(pass) if what == 0 => drop(pass),
                Ok(pass) if what == 1 => { pass.settle(&rules, now, failed); }
                Ok(pass) => held.push((pass, failed)),
                Err(_) => if let Some((pass, failed)) = held.pop() { pass.settle(&rules, now, failed); },
            }
            let standing = circuit.standing(&rules, now);
            prop_assert!(standing.failures <= standing.calls);
            prop_assert!(standing.open_until <= now + rules.cooldown);
        }
        held.clear();
        prop_assert!(circuit.enter(now + rules.cooldown).is_ok());
    }
}
