use std::time::{Duration, Instant};

use mortise_plugin_api::{
    End,
    hooks::{ToolPostInvoke, ToolPreInvoke},
};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{kind, store::Store};
use crate::testing::stage::{Stage, Visit};

fn stage(config: Value) -> Stage {
    let mut all = json!({"cacheable_tools": ["t", "u"]});
    all.as_object_mut().unwrap().extend(config.as_object().unwrap().clone());
    Stage::new(&kind(), all)
}

/// One call of `tool` with arguments as written; whether it was served.
fn called(visit: &mut Visit<'_>, tool: &str, args: &str) -> bool {
    let pre = visit.text::<ToolPreInvoke>(End::Ok, &format!(r#"{{"name":"{tool}","args":{args}}}"#));
    let hit = pre.metadata("cache_hit") == true;
    assert_eq!(pre.served, hit.then(|| json!({"content": []})), "a hit is served, and nothing else is");
    assert!(hit || pre.passed());
    visit.call::<ToolPostInvoke>(json!({"name": tool, "result": {"content": []}}));
    hit
}

#[test]
fn second_call_finds_the_result_of_the_first() {
    let stage = stage(json!({}));
    let mut ann = stage.by("ann");
    let pre = |visit: &mut Visit<'_>| visit.call::<ToolPreInvoke>(json!({"name": "t", "args": {"a": 1}}));
    assert_eq!(pre(&mut ann).metadata("cache_hit"), false);
    let post = ann.call::<ToolPostInvoke>(json!({"name": "t", "result": {"content": []}}));
    assert!(post.passed() && post.metadata("cache_stored") == true);
    let mut again = stage.by("ann");
    let hit = pre(&mut again);
    assert_eq!((hit.metadata("cache_hit"), hit.served), (true.into(), Some(json!({"content": []}))));
    let post = again.call::<ToolPostInvoke>(json!({"name": "t", "result": {"content": []}}));
    assert!(post.passed() && post.notes.is_none(), "what was served is not kept anew");
}

#[test]
fn being_served_does_not_make_a_result_last() {
    let stage = stage(json!({"ttl": 10}));
    assert!(!called(&mut stage.by("ann"), "t", "{}"));
    for _ in 0..3 {
        stage.advance(3.0);
        assert!(called(&mut stage.by("ann"), "t", "{}"));
    }
    stage.advance(1.0);
    assert!(!called(&mut stage.by("ann"), "t", "{}"), "ten seconds after it was kept");
}

#[test]
fn tools_that_are_not_listed_are_left_alone() {
    let stage = stage(json!({}));
    let mut visit = stage.visit();
    for _ in 0..2 {
        let pre = visit.call::<ToolPreInvoke>(json!({"name": "other", "args": {}}));
        let post = visit.call::<ToolPostInvoke>(json!({"name": "other", "result": {}}));
        assert!(pre.passed() && pre.notes.is_none() && post.notes.is_none());
    }
}

#[test]
fn tools_arguments_and_servers_tell_calls_apart() {
    let stage = stage(json!({}));
    assert!(!called(&mut stage.by("ann"), "t", r#"{"a":1,"b":[2]}"#));
    assert!(called(&mut stage.by("ann"), "t", r#"{ "b":[2], "a":1 }"#), "in any order");
    assert!(!called(&mut stage.by("ann"), "u", r#"{"a":1,"b":[2]}"#));
    assert!(!called(&mut stage.by("ann"), "t", r#"{"a":1}"#));
    assert!(!called(&mut stage.by("ann"), "t", r#"{"a":1,"b":null}"#));
    assert!(!called(&mut stage.by("ann").at("elsewhere"), "t", r#"{"a":1,"b":[2]}"#));
    assert!(!called(&mut stage.by("ann"), "t", "{}"));
    assert!(called(&mut stage.by("ann"), "t", "null"), "no arguments are no arguments");
}

#[test]
fn numbers_that_a_parser_would_round_are_different_numbers() {
    let stage = stage(json!({}));
    assert!(!called(&mut stage.by("ann"), "t", r#"{"id":123456789012345678901}"#));
    assert!(!called(&mut stage.by("ann"), "t", r#"{"id":123456789012345678902}"#));
    assert!(!called(&mut stage.by("ann"), "t", r#"{"id":[9007199254740993.0]}"#));
    assert!(!called(&mut stage.by("ann"), "t", r#"{"id":[9007199254740992.0]}"#));
}

#[test]
fn chosen_arguments_alone_count_where_some_are_chosen() {
    let stage = stage(json!({"key_fields": {"t": ["id"], "u": []}}));
    assert!(!called(&mut stage.by("ann"), "t", r#"{"id":1,"trace":"a"}"#));
    assert!(called(&mut stage.by("ann"), "t", r#"{"id":1,"trace":"b"}"#));
    assert!(!called(&mut stage.by("ann"), "t", r#"{"id":2}"#));
    assert!(!called(&mut stage.by("ann"), "t", r#"{"trace":"a"}"#), "missing");
    assert!(!called(&mut stage.by("ann"), "t", r#"{"id":null}"#), "is not null");
    assert!(!called(&mut stage.by("ann"), "u", r#"{"id":1}"#));
    assert!(!called(&mut stage.by("ann"), "u", r#"{"id":2}"#), "an empty list chooses all");
}

#[test]
fn nothing_leaks_between_callers() {
    let stage = stage(json!({}));
    assert!(!called(&mut stage.by("ann").tenant("acme"), "t", "{}"));
    assert!(!called(&mut stage.by("bob").tenant("acme"), "t", "{}"), "another user");
    assert!(!called(&mut stage.by("ann").tenant("evil"), "t", "{}"), "another tenant");
    assert!(!called(&mut stage.by("ann"), "t", "{}"), "no tenant");
    assert!(!called(&mut stage.visit().tenant("acme"), "t", "{}"), "no user");
    let ann = || stage.by("ann").tenant("acme");
    assert!(!called(&mut ann().caller(|c| c.app = Some("ci".into())), "t", "{}"), "another app");
    assert!(!called(&mut ann().caller(|c| c.teams = vec!["a".into()]), "t", "{}"), "other teams");
    assert!(!called(&mut ann().caller(|c| c.scopes = vec!["a".into()]), "t", "{}"), "other scopes");
    assert!(called(&mut ann(), "t", "{}"));
    assert!(!called(&mut stage.by("ann\",\"acme"), "t", "{}"), "names cannot be joined to others");
}

#[test]
fn results_are_shared_where_the_configuration_says_so() {
    let tenant = stage(json!({"scope": "tenant"}));
    assert!(!called(&mut tenant.by("ann").tenant("acme"), "t", "{}"));
    assert!(called(&mut tenant.by("bob").tenant("acme"), "t", "{}"));
    assert!(!called(&mut tenant.by("bob").tenant("evil"), "t", "{}"));
    let shared = stage(json!({"scope": "shared"}));
    assert!(!called(&mut shared.by("ann").tenant("acme"), "t", "{}"));
    assert!(called(&mut shared.visit(), "t", "{}"));
}

#[test]
fn results_are_kept_for_their_time() {
    let stage = stage(json!({"ttl": 10}));
    assert!(!called(&mut stage.by("ann"), "t", "{}"));
    stage.advance(9.9);
    let pre = stage.by("ann").call::<ToolPreInvoke>(json!({"name": "t", "args": {}}));
    assert_eq!(pre.metadata("cache_hit"), true);
    stage.advance(0.1);
    assert!(!called(&mut stage.by("ann"), "t", "{}"));
    let never = stage_with_ttl(0);
    assert!(!called(&mut never.by("ann"), "t", "{}") && !called(&mut never.by("ann"), "t", "{}"));
    let ever = stage_with_ttl(u64::MAX);
    assert!(!called(&mut ever.by("ann"), "t", "{}") && !called(&mut ever.by("ann"), "t", "{}"));
}

fn stage_with_ttl(ttl: u64) -> Stage {
    stage(json!({ "ttl": ttl }))
}

#[test]
fn failures_are_not_kept() {
    let stage = stage(json!({}));
    for (end, result) in [
        (End::Ok, json!({"content": [], "isError": true})),
        (End::UpstreamFailed, json!({"content": []})),
        (End::TimedOut, json!({"content": []})),
        (End::Blocked, json!({"content": []})),
        (End::Cancelled, json!({"content": []})),
    ] {
        let mut visit = stage.by("ann");
        let pre = visit.call::<ToolPreInvoke>(json!({"name": "t", "args": {}}));
        assert_eq!(pre.metadata("cache_hit"), false, "{end:?}");
        visit.ended::<ToolPostInvoke>(end, json!({"name": "t", "result": result}));
    }
}

#[test]
fn bounds_of_number_and_bytes_hold() {
    let stage = stage(json!({"max_entries": 2}));
    for args in [r#"{"i":1}"#, r#"{"i":2}"#, r#"{"i":1}"#, r#"{"i":3}"#] {
        called(&mut stage.by("ann"), "t", args);
    }
    assert!(called(&mut stage.by("ann"), "t", r#"{"i":1}"#), "used lately");
    assert!(!called(&mut stage.by("ann"), "t", r#"{"i":2}"#), "not used for longest");
    let small = stage_with_bytes(10);
    assert!(!called(&mut small.by("ann"), "t", "{}") && !called(&mut small.by("ann"), "t", "{}"));
}

fn stage_with_bytes(bytes: usize) -> Stage {
    stage(json!({ "max_bytes": bytes }))
}

#[test]
fn ambiguous_or_broken_arguments_have_no_key() {
    let stage = stage(json!({"scope": "shared"}));
    for args in [r#"{"id":1,"id":2}"#, r#"{"id":1,"\u0069d":2}"#, "[1]", "7", "\"x\""] {
        assert!(!called(&mut stage.visit(), "t", args), "{args}");
        assert!(!called(&mut stage.visit(), "t", args), "{args}");
    }
    let deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(100), "]".repeat(100));
    assert!(!called(&mut stage.visit(), "t", &deep) && called(&mut stage.visit(), "t", &deep));
}

#[test]
fn wrong_configurations_are_refused() {
    for config in [
        json!({"max_entries": 0}),
        json!({"max_bytes": 0}),
        json!({"ttl": -1}),
        json!({"scope": "everyone"}),
        json!({"tools": []}),
    ] {
        assert!((kind().build)(&config).is_err(), "{config}");
    }
}

proptest! {
    #[test]
    fn store_never_holds_more_than_it_may_and_gives_back_what_was_put(
        steps in proptest::collection::vec((0u8..20, 0usize..600, 0u64..20), 1..200),
    ) {
        let mut store = Store::new(5, 1500);
        let mut now = Instant::now();
        for (name, length, pause) in steps {
            now += Duration::from_secs(pause);
            let key = [name; 32];
            if let Some(found) = store.get(&key, now) {
                prop_assert!(found.iter().all(|byte| *byte == name));
            }
            let kept = store.put(key, &vec![name; length], Duration::from_secs(30), now);
            prop_assert!(kept && store.get(&key, now).is_some_and(|found| found.len() == length));
            let (entries, bytes) = store.size();
            prop_assert!(entries <= 5 && bytes <= 1500);
        }
    }
}
