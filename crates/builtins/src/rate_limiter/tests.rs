use std::sync::{
    Barrier,
    atomic::{AtomicU32, Ordering::SeqCst},
};

use mortise_plugin_api::{
    End,
    hooks::{PromptPreFetch, ResourcePreFetch, ToolPreInvoke},
};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{
    config::Algorithm,
    kind,
    rate::Rate,
    table::{Key, Table, Want, admit},
};
use crate::testing::{
    Outcome,
    stage::{BEGIN, Stage, Visit},
};

const ALGORITHMS: [&str; 3] = ["fixed_window", "sliding_window", "token_bucket"];

fn stage(config: Value) -> Stage {
    Stage::new(&kind(), config)
}

fn tool(visit: &mut Visit<'_>, name: &str) -> Outcome {
    visit.call::<ToolPreInvoke>(json!({"name": name, "args": {}}))
}

/// How many of `calls` pass.
fn passed(visit: &mut Visit<'_>, calls: u32) -> usize {
    (0..calls).filter(|_| tool(visit, "t").violation.is_none()).count()
}

fn headers(outcome: &Outcome) -> Vec<(String, String)> {
    let notes = outcome.notes.as_ref().unwrap();
    notes.response_headers.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn header(outcome: &Outcome, name: &str) -> String {
    headers(outcome).into_iter().find(|(found, _)| found == name).map(|(_, value)| value).unwrap_or_default()
}

#[test]
fn without_limits_everything_passes_and_nothing_is_said() {
    let stage = stage(json!({}));
    let mut visit = stage.by("ann");
    let outcome = tool(&mut visit, "t");
    assert!(outcome.passed() && outcome.notes.is_none());
    assert_eq!(passed(&mut visit, 100), 100);
}

#[test]
fn refusal_says_429_when_to_come_back_and_how_the_limit_stands() {
    let stage = stage(json!({"by_user": "2/m"}));
    stage.advance(15.5);
    let mut ann = stage.by("ann");
    let first = tool(&mut ann, "t");
    assert_eq!(header(&first, "x-ratelimit-limit"), "2");
    assert_eq!(header(&first, "x-ratelimit-remaining"), "1");
    assert_eq!(header(&first, "x-ratelimit-reset"), (BEGIN + 60).to_string());
    assert_eq!(header(&first, "retry-after"), "");
    assert_eq!(header(&tool(&mut ann, "t"), "x-ratelimit-remaining"), "0");

    let refused = tool(&mut ann, "t");

    let violation = refused.violation.as_ref().unwrap();
    assert_eq!((violation.code.as_str(), violation.http_status_code), ("RATE_LIMIT", Some(429)));
    assert_eq!((&*violation.reason, &*violation.description), ("Rate limit exceeded", "Rate limit exceeded"));
    let sent = violation.http_headers.as_ref().unwrap();
    assert_eq!(sent.get("Retry-After"), Some("45"), "44.5 s, rounded up");
    assert_eq!(sent.get("X-RateLimit-Limit"), Some("2"));
    assert_eq!(sent.get("X-RateLimit-Remaining"), Some("0"));
    assert_eq!(sent.get("X-RateLimit-Reset"), Some(&*(BEGIN + 60).to_string()));
    assert_eq!(header(&refused, "retry-after"), "45", "also where no HTTP status can be answered");
    assert_eq!(violation.details["dimension"], "by_user");
}

#[test]
fn users_are_counted_by_themselves_and_within_their_tenant() {
    let stage = stage(json!({"by_user": "3/m"}));
    assert_eq!(passed(&mut stage.by("ann"), 5), 3);
    assert_eq!(passed(&mut stage.by("bob"), 5), 3);
    assert_eq!(passed(&mut stage.by("ann").tenant("acme"), 5), 3);
    assert_eq!(passed(&mut stage.visit(), 5), 3, "anonymous callers");
    assert_eq!(passed(&mut stage.by("anonymous"), 5), 0, "are one user of that name");
}

#[test]
fn tenants_and_apps_share_one_allowance_among_their_users() {
    let stage = stage(json!({"by_tenant": "3/m", "by_app": "2/m"}));
    assert_eq!(passed(&mut stage.by("ann").tenant("acme").caller(|c| c.app = Some("ci".into())), 5), 2);
    assert_eq!(passed(&mut stage.by("bob").tenant("acme").caller(|c| c.app = Some("ide".into())), 5), 1);
    assert_eq!(passed(&mut stage.by("eve").caller(|c| c.app = Some("x".into())), 5), 2, "another tenant");
}

#[test]
fn tools_and_prompts_are_limited_by_name() {
    let stage = stage(json!({"by_tool": {"search": "1/m"}}));
    let mut ann = stage.by("ann");
    assert!(tool(&mut ann, "search").violation.is_none());
    assert_eq!(tool(&mut stage.by("bob"), "search").code(), "RATE_LIMIT");
    assert!(tool(&mut ann, "Search").passed() && tool(&mut ann, "other").notes.is_none());
    let prompt = ann.call::<PromptPreFetch>(json!({"prompt_id": "search", "args": {}}));
    assert_eq!(prompt.code(), "RATE_LIMIT", "a prompt of that name counts as well");
    assert!(ann.call::<ResourcePreFetch>(json!({"uri": "search"})).passed(), "a resource has no name");
    assert!(tool(&mut stage.by("ann").tenant("acme"), "search").violation.is_none(), "tenants are apart");
}

#[test]
fn users_are_limited_at_each_server_for_tools_alone() {
    let stage = stage(json!({"by_user_per_server": "1/m"}));
    assert_eq!(passed(&mut stage.by("ann").at("a"), 3), 1);
    assert_eq!(passed(&mut stage.by("ann").at("b"), 3), 1);
    assert!(stage.by("ann").at("a").call::<PromptPreFetch>(json!({"prompt_id": "p", "args": {}})).passed());
    let lost = tool(&mut stage.by("ann"), "t");
    assert_eq!(lost.code(), "RATE_LIMIT_CONTEXT_MISSING");
    assert_eq!(lost.violation.unwrap().http_status_code, Some(503));
}

#[test]
fn refused_call_uses_up_nothing_of_the_limits_that_would_have_let_it_pass() {
    let stage = stage(json!({"by_user": "10/m", "by_tool": {"t": "1/m"}}));
    let mut ann = stage.by("ann");
    assert_eq!(passed(&mut ann, 50), 1);
    let other = tool(&mut ann, "other");
    assert_eq!(header(&other, "x-ratelimit-remaining"), "8");
}

#[test]
fn closest_limit_is_the_one_that_is_told() {
    let stage = stage(json!({"by_user": "10/h", "by_tenant": "3/m"}));
    let mut ann = stage.by("ann");
    assert_eq!(header(&tool(&mut ann, "t"), "x-ratelimit-limit"), "3");
    assert_eq!(passed(&mut ann, 5), 2);
    assert_eq!(tool(&mut ann, "t").violation.unwrap().details["dimension"], "by_tenant");
}

#[test]
fn window_of_the_clock_begins_anew_on_the_minute() {
    let stage = stage(json!({"by_user": "2/m"}));
    stage.advance(59.0);
    let mut ann = stage.by("ann");
    assert_eq!(passed(&mut ann, 5), 2);
    stage.advance(0.999_999_999);
    assert_eq!(passed(&mut ann, 5), 0);
    stage.advance(0.000_000_001);
    assert_eq!(passed(&mut ann, 5), 2);
}

#[test]
fn sliding_window_has_no_edge() {
    let stage = stage(json!({"by_user": "2/m", "algorithm": "sliding_window"}));
    stage.advance(50.0);
    let mut ann = stage.by("ann");
    assert_eq!(passed(&mut ann, 1), 1);
    stage.advance(9.0);
    assert_eq!(passed(&mut ann, 3), 1);
    stage.advance(50.0);
    let refused = tool(&mut ann, "t");
    assert_eq!(refused.violation.unwrap().http_headers.unwrap().get("retry-after"), Some("1"));
    stage.advance(1.0);
    assert_eq!(passed(&mut ann, 3), 1, "the first is a minute old");
    stage.advance(9.0);
    assert_eq!(passed(&mut ann, 3), 1, "the second is");
}

#[test]
fn bucket_lets_a_burst_pass_and_fills_evenly() {
    let stage = stage(json!({"by_user": "6/m", "algorithm": "token_bucket"}));
    let mut ann = stage.by("ann");
    assert_eq!(passed(&mut ann, 10), 6);
    stage.advance(9.9);
    assert_eq!(passed(&mut ann, 1), 0);
    stage.advance(0.1);
    assert_eq!(passed(&mut ann, 3), 1, "one each ten seconds");
    stage.advance(3600.0);
    assert_eq!(passed(&mut ann, 10), 6, "never more than it holds");
}

#[test]
fn successor_goes_on_counting_where_the_predecessor_stopped() {
    for algorithm in ALGORITHMS {
        for later in ALGORITHMS {
            let first = stage(json!({"by_user": "5/m", "by_tool": {"t": "4/m"}, "algorithm": algorithm}));
            assert_eq!(passed(&mut first.by("ann"), 3), 3);
            let second = first
                .succeeded(&kind(), json!({"by_user": "10/m", "by_tool": {"t": "4/m"}, "algorithm": later}));
            let outcome = tool(&mut second.by("ann"), "other");
            assert_eq!(header(&outcome, "x-ratelimit-remaining"), "6", "{algorithm} then {later}");
            assert_eq!(passed(&mut second.by("ann"), 9), 1, "{algorithm} then {later}");
            second.advance(60.0);
            assert_eq!(passed(&mut second.by("ann"), 9), 4, "{algorithm} then {later}");
        }
    }
}

#[test]
fn successor_with_a_shorter_window_counts_what_lies_in_it() {
    let first = stage(json!({"by_user": "50/h"}));
    assert_eq!(passed(&mut first.by("ann"), 30), 30);
    first.advance(120.0);
    let second = first.succeeded(&kind(), json!({"by_user": "3/m"}));
    assert_eq!(passed(&mut second.by("ann"), 9), 3);
    let third = second.succeeded(&kind(), json!({}));
    assert_eq!(passed(&mut third.by("ann"), 9), 9, "a limit that was taken away");
}

#[test]
fn unreadable_inheritance_is_logged_and_counting_begins_anew() {
    for left in [&b"{"[..], b"[]", b"\xff", br#"{"calls":{"by_user":[[{"name":"ann"},[[1,"x"]]]]}}"#] {
        let stage = Stage::inheriting(&kind(), json!({"by_user": "1/m"}), left);
        assert_eq!(stage.log().len(), 1);
        assert_eq!(passed(&mut stage.by("ann"), 3), 1);
    }
    let far = br#"{"calls":{"by_user":[[{"tenant":null,"name":"ann","server":null},[[18446744073709551615,4294967295]]]],"x":[]}}"#;
    for algorithm in ALGORITHMS {
        let stage = Stage::inheriting(&kind(), json!({"by_user": "1/m", "algorithm": algorithm}), far);
        assert_eq!(passed(&mut stage.by("ann"), 3), 0, "{algorithm}");
    }
}

#[test]
fn redis_is_accepted_and_the_log_says_what_holds() {
    let stage = stage(
        json!({"by_user": "1/m", "backend": "redis", "redis_url": "redis://x", "redis_key_prefix": "a",
        "fail_mode": "closed", "redis_ssl_ca_certs": "/c", "redis_ssl_certfile": "/c", "redis_ssl_keyfile": "/k",
        "redis_ssl_check_hostname": false}),
    );
    assert!(stage.log()[0].contains("this process alone"));
    assert_eq!(passed(&mut stage.by("ann"), 3), 1);
}

#[test]
fn wrong_configurations_are_refused_by_name() {
    for (config, field) in [
        (json!({"by_user": "x"}), "by_user"),
        (json!({"by_user_per_server": "1/year"}), "by_user_per_server"),
        (json!({"by_tenant": "0/m"}), "by_tenant"),
        (json!({"by_app": "1"}), "by_app"),
        (json!({"by_tool": {"a": "1/m", "b": "/"}}), "by_tool.b"),
        (json!({"max_keys": 0}), "max_keys"),
    ] {
        let Err(error) = (kind().build)(&config) else { panic!("{config} was accepted") };
        assert_eq!(error.field, field);
    }
    for config in [json!({"by_usr": "1/m"}), json!({"algorithm": "leaky"}), json!({"fail_mode": "clsoed"})] {
        assert!((kind().build)(&config).is_err(), "{config}");
    }
}

#[test]
fn many_names_stay_within_the_bound_and_none_gets_more_than_its_limit() {
    let stage = stage(json!({"by_user": "2/m", "max_keys": 100}));
    for i in 0..100 {
        assert_eq!(passed(&mut stage.by(&format!("early{i}")), 3), 2);
    }
    let late: usize = (0..1000).map(|i| passed(&mut stage.by(&format!("late{i}")), 3)).sum();
    assert_eq!(late, 2, "who finds no room shares one allowance");
    assert_eq!(passed(&mut stage.by("early7"), 3), 0, "who was there is not forgotten");
    stage.advance(60.0);
    let next: usize = (0..100).map(|i| passed(&mut stage.by(&format!("late{i}")), 3)).sum();
    assert_eq!(next, 200, "in the next window there is room again");
}

#[test]
fn memory_holds_no_more_names_than_allowed() {
    let table = Table::new(Algorithm::SlidingWindow, 2000);
    let rate = Rate::read("r", "1/s").unwrap();
    for i in 0..20_000u64 {
        let key = Key::new(None, &format!("{}{i}", "x".repeat(1000)).into(), None);
        assert!(key.name.len() <= 256);
        admit(&[Want { dimension: "d", table: &table, key, rate }], i * 1_000_000);
    }
    assert!(table.len() <= 2000 + 16, "{}", table.len());
}

#[test]
fn hostile_names_are_only_names() {
    let stage = stage(json!({"by_user": "1/m", "by_tool": {"t": "5/m"}}));
    for name in ["", "\0", "a\nb", "💥", &"é".repeat(100_000)] {
        assert_eq!(passed(&mut stage.by(name), 2), 1, "{:?}", &name.chars().take(5).collect::<String>());
    }
    assert_eq!(passed(&mut stage.by(&"é".repeat(100_000)), 2), 0);
    assert!(tool(&mut stage.by("x"), &"t".repeat(1_000_000)).violation.is_none());
}

/// Calls from `threads` threads while the clock goes over `edges` window edges; how many passed.
fn storm(stage: &Stage, threads: usize, calls: u32, edges: u32) -> u32 {
    let (allowed, barrier) = (AtomicU32::new(0), Barrier::new(threads + 1));
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let (allowed, barrier) = (&allowed, &barrier);
            scope.spawn(move || {
                barrier.wait();
                let mut ann = stage.by("ann").tenant("acme").at(["a", "b"][thread % 2]);
                for _ in 0..calls {
                    let payload = r#"{"name":"t","args":{}}"#;
                    if ann.text::<ToolPreInvoke>(End::Ok, payload).violation.is_none() {
                        allowed.fetch_add(1, SeqCst);
                    }
                }
            });
        }
        barrier.wait();
        for _ in 0..edges {
            // Each step waits for calls of this window, so that edges fall among them.
            let seen = allowed.load(SeqCst);
            for _ in 0..10_000 {
                if allowed.load(SeqCst) > seen {
                    break;
                }
                std::thread::yield_now();
            }
            stage.advance(60.0);
        }
    });
    allowed.load(SeqCst)
}

#[test]
fn many_threads_get_exactly_the_limit() {
    for algorithm in ALGORITHMS {
        for _ in 0..8 {
            let stage = stage(json!({"by_user": "97/m", "by_tenant": "200/m", "by_user_per_server": "90/m",
                "by_tool": {"t": "150/m"}, "algorithm": algorithm}));
            assert_eq!(storm(&stage, 4, 60, 0), 97, "{algorithm}");
        }
    }
}

#[test]
fn calls_refused_to_many_threads_use_up_nothing_of_the_other_limits() {
    for algorithm in ALGORITHMS {
        for _ in 0..8 {
            let limits = json!({"by_user": "30/m", "by_tool": {"scarce": "10/m"}, "algorithm": algorithm});
            let stage = stage(limits);
            let (scarce, other, barrier) = (AtomicU32::new(0), AtomicU32::new(0), Barrier::new(4));
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        barrier.wait();
                        let mut ann = stage.by("ann");
                        // Whoever goes on to the other tool has been refused here first, so the ten are gone.
                        for (name, passes) in [("scarce", &scarce), ("other", &other)] {
                            passes.fetch_add(
                                (0..60).map(|_| u32::from(tool(&mut ann, name).violation.is_none())).sum(),
                                SeqCst,
                            );
                        }
                    });
                }
            });
            assert_eq!((scarce.load(SeqCst), other.load(SeqCst)), (10, 20), "{algorithm}");
        }
    }
}

#[test]
fn many_threads_get_no_more_than_the_limit_of_each_window_across_its_edges() {
    for algorithm in ALGORITHMS {
        for _ in 0..4 {
            let stage = stage(json!({"by_user": "50/m", "algorithm": algorithm}));
            let allowed = storm(&stage, 4, 400, 5);
            assert!((50..=300).contains(&allowed), "{algorithm}: {allowed} in six windows of 50");
        }
    }
}

proptest! {
    #[test]
    fn no_stretch_of_time_holds_more_than_the_limit(
        limit in 1u32..200,
        steps in proptest::collection::vec(0u64..400_000_000, 1..150),
        algorithm in 0usize..3,
    ) {
        let algorithm = [Algorithm::FixedWindow, Algorithm::SlidingWindow, Algorithm::TokenBucket][algorithm];
        let rate = Rate { limit, window: 1_000_000_000 };
        let table = Table::new(algorithm, 10);
        let key = Key::new(None, &"k".into(), None);
        let mut now = 1_800_000_000_000_000_000u64;
        let mut times = Vec::new();
        for step in steps {
            // Several calls at a time, and times that come late.
            now += step;
            for late in [0, 5, 0] {
                let want = Want { dimension: "d", table: &table, key: key.clone(), rate };
                let decision = admit(&[want], now - late).unwrap();
                prop_assert!(decision.level.free_at >= now - late && decision.remaining < limit.max(1));
                if decision.allowed {
                    times.push(now);
                }
            }
        }
        for (i, begin) in times.iter().enumerate() {
            let within = |length: u64| times[i..].iter().filter(|at| **at < begin + length).count() as u64;
            let limit = u64::from(limit);
            match algorithm {
                Algorithm::FixedWindow => {
                    let slot = begin / rate.window;
                    let same = times.iter().filter(|at| *at / rate.window == slot).count() as u64;
                    prop_assert!(same <= limit);
                }
                Algorithm::SlidingWindow => prop_assert!(within(rate.window) <= limit),
                // What it holds and what flows in meanwhile.
                Algorithm::TokenBucket => prop_assert!(within(rate.window) <= 2 * limit),
            }
        }
    }

    #[test]
    fn sliding_window_forgets_late_by_a_sixty_fourth_at_most(limit in 65u32..500) {
        let rate = Rate { limit, window: 64_000_000 };
        let table = Table::new(Algorithm::SlidingWindow, 10);
        let key = Key::new(None, &"k".into(), None);
        let allowed = |now: u64| {
            let want = Want { dimension: "d", table: &table, key: key.clone(), rate };
            admit(&[want], now).unwrap().allowed
        };
        for i in 0..u64::from(limit) {
            prop_assert!(allowed(1_000_000_000 + i * 1_000));
        }
        prop_assert!(!allowed(1_000_000_000 + u64::from(limit) * 1_000));
        for i in 0..u64::from(limit) {
            prop_assert!(allowed(1_000_000_000 + 65_000_000 + i * 1_000));
        }
    }
}
