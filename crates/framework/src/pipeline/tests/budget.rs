//! The time that all plugins of a request may take together.

use super::*;
use crate::breaker::Stand;

const BUDGET: Duration = Duration::from_millis(20);

/// Computes for a while longer than the budget: what cannot be interrupted uses it up.
fn slow() -> Arc<dyn Plugin> {
    Native::new(())
        .on::<ToolPreInvoke>(Needs::block(), |(), _, _| {
            std::thread::sleep(BUDGET + Duration::from_millis(5));
            Ok(Verdict::Pass)
        })
        .into_plugin()
}

fn with_budget(mut setup: Setup) -> Arc<Pipelines> {
    setup.settings.request_budget = Some(BUDGET);
    setup.build()
}

#[tokio::test]
async fn a_plugin_whose_turn_comes_with_nothing_left_counts_as_timed_out_by_its_mode() {
    for (mode, blocks) in [(Mode::Enforce, true), (Mode::Permissive, false), (Mode::Concurrent, true)] {
        let log = Log::default();
        let pipelines = with_budget(
            Setup::new()
                .with("slow", Mode::Enforce, 1, slow())
                .await
                .with("next", mode, 2, logging(&log, "next", pass))
                .await,
        );
        let outcome = run(&pipelines, &call(json!({}))).await;
        let blocked = outcome.blocked.map(|blocked| blocked.violation);
        assert_eq!(blocked.as_ref().map(|v| v.code.as_str()), blocks.then_some("PLUGIN_TIMEOUT"), "{mode:?}");
        assert!(blocked.is_none_or(|v| v.description.ends_with("may take in a request is used up")));
        assert!(log.lock().unwrap().is_empty(), "it was not called");
        let next = &pipelines.all_instances()[1];
        assert_eq!(next.stats.errors(), [("timeout", 1)]);
    }
}

#[tokio::test]
async fn a_call_ends_when_the_budget_does_and_that_is_not_held_against_the_plugin() {
    let hangs = Native::new(())
        .on_async::<ToolPreInvoke>(Needs::block(), |(), _, cx| {
            assert!(cx.call.deadline <= std::time::Instant::now() + BUDGET);
            Box::pin(std::future::pending())
        })
        .into_plugin();
    let pipelines = with_budget(Setup::new().with("hangs", Mode::Enforce, 1, hangs).await);
    for _ in 0..6 {
        let blocked = run(&pipelines, &call(json!({}))).await.blocked.unwrap();
        assert_eq!(blocked.violation.code, "PLUGIN_TIMEOUT");
    }
    assert_eq!(pipelines.all_instances()[0].circuit_breaker().stand, Stand::Closed);
}

/// One plugin that uses the budget up, and behind it one that notes when it is called.
async fn slow_before_a_witness(log: &Log) -> Arc<Pipelines> {
    let setup = Setup::new().with("slow", Mode::Permissive, 1, slow()).await;
    with_budget(setup.with("post", Mode::Permissive, 2, witness(log, "post", None)).await)
}

#[tokio::test]
async fn the_budget_goes_with_the_request_from_hook_to_hook_and_another_request_has_its_own() {
    let log = Log::default();
    let pipelines = slow_before_a_witness(&log).await;
    let mut request = pair(&pipelines);
    request.before(call(json!({}))).await;
    request.after(result("x")).await;
    assert!(log.lock().unwrap().is_empty(), "the hook before used it up");
    let mut other = pair(&pipelines);
    other.after(result("x")).await;
    assert_eq!(*log.lock().unwrap(), ["post:Ok"]);
}

#[tokio::test]
async fn companions_of_a_request_draw_on_its_budget_and_copies_for_others_have_their_own() {
    let log = Log::default();
    let pipelines = slow_before_a_witness(&log).await;
    let contexts = Contexts::of(&pipelines);
    let (copy, mut companion) = (contexts.copied(), contexts.companion());
    let before = pipelines.chain(ToolPreInvoke::ID).unwrap();
    before.run(&pipelines, &Request::new("r"), &mut companion, &call(json!({}))).await;
    let after = pipelines.chain(ToolPostInvoke::ID).unwrap();
    for (mut contexts, called) in [(contexts, 0), (copy, 1)] {
        after.run(&pipelines, &Request::new("r"), &mut contexts, &result("x")).await;
        assert_eq!(log.lock().unwrap().len(), called);
    }
}

#[tokio::test]
async fn post_hooks_that_only_tidy_up_are_not_held_to_the_budget() {
    let log = Log::default();
    let pipelines = with_budget(
        Setup::new()
            .with("early", Mode::Permissive, 1, witness(&log, "early", None))
            .await
            .with("slow", Mode::Enforce, 2, slow())
            .await
            .with("guard", Mode::Enforce, 3, witness(&log, "guard", None))
            .await,
    );
    let mut request = pair(&pipelines);
    assert!(request.before(call(json!({}))).await.blocked.is_some(), "nothing is left for the guard");
    assert!(log.lock().unwrap().contains(&"early:Blocked".to_owned()));
}

#[tokio::test]
async fn what_runs_at_once_is_counted_once() {
    let whole = Duration::from_millis(400);
    let mut setup = Setup::new();
    for name in ["a", "b", "c"] {
        let plugin = Native::new(())
            .on_async::<ToolPreInvoke>(Needs::block(), move |(), _, _| {
                Box::pin(async move {
                    tokio::time::sleep(whole / 2).await;
                    Ok(Verdict::Pass)
                })
            })
            .into_plugin();
        setup = setup.with(name, Mode::Concurrent, 1, plugin).await;
    }
    setup.settings.request_budget = Some(whole);
    let outcome = run(&setup.build(), &call(json!({}))).await;
    assert!(outcome.blocked.is_none(), "{outcome:?}");
}
