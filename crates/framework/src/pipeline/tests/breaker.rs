//! The circuit breaker as calls meet it.

use super::*;
use crate::breaker::{Limits, Stand};

/// What the plugin does with its next calls.
#[derive(Clone, Default)]
struct Script(Arc<Inner>);

#[derive(Default)]
struct Inner {
    calls: AtomicUsize,
    fails: AtomicUsize,
    /// Calls wait here until there is a permit, if they are to wait at all.
    door: Mutex<Option<Arc<tokio::sync::Semaphore>>>,
}

impl Script {
    fn failing(times: usize) -> Self {
        let script = Self::default();
        script.0.fails.store(times, SeqCst);
        script
    }

    fn calls(&self) -> usize {
        self.0.calls.load(SeqCst)
    }

    fn holds_calls(&self) -> Arc<tokio::sync::Semaphore> {
        let door = Arc::new(tokio::sync::Semaphore::new(0));
        *self.0.door.lock().unwrap() = Some(door.clone());
        door
    }

    fn plugin(&self) -> Arc<dyn Plugin> {
        let script = self.0.clone();
        Native::new(())
            .on_async::<ToolPreInvoke>(Needs::block(), move |(), _, _| {
                let script = script.clone();
                Box::pin(async move {
                    script.calls.fetch_add(1, SeqCst);
                    let door = script.door.lock().unwrap().clone();
                    if let Some(door) = door {
                        door.acquire().await.unwrap().forget();
                    }
                    let fail = |left: usize| left.checked_sub(1);
                    match script.fails.fetch_update(SeqCst, SeqCst, fail) {
                        Ok(_) => Err(PluginError::failed("no")),
                        Err(_) => Ok(Verdict::Pass),
                    }
                })
            })
            .on::<ToolPostInvoke>(Needs::observe(), |(), _, _| Ok(Verdict::Pass))
            .into_plugin()
    }
}

async fn guarded(script: &Script, mode: Mode) -> Arc<Pipelines> {
    Setup::new().with("p", mode, 1, script.plugin()).await.build()
}

async fn times(pipelines: &Pipelines, count: usize) {
    for _ in 0..count {
        run(pipelines, &call(json!({}))).await;
    }
}

fn stand(pipelines: &Pipelines) -> Stand {
    pipelines.all_instances()[0].circuit_breaker().stand
}

async fn cooled_down() {
    tokio::time::advance(Duration::from_millis(30_001)).await;
}

#[tokio::test(start_paused = true)]
async fn after_five_failures_in_a_row_a_plugin_is_not_called_until_one_probe_succeeds() {
    let script = Script::failing(5);
    let pipelines = guarded(&script, Mode::Enforce).await;
    times(&pipelines, 4).await;
    assert_eq!(stand(&pipelines), Stand::Closed);
    times(&pipelines, 1).await;
    assert_eq!((stand(&pipelines), script.calls()), (Stand::Open, 5));
    let blocked = run(&pipelines, &call(json!({}))).await.blocked.unwrap();
    assert_eq!(blocked.violation.code, "PLUGIN_UNAVAILABLE");
    assert!(blocked.violation.description.contains("circuit breaker is open after 5 failures"));
    assert_eq!(script.calls(), 5, "an open breaker keeps calls away");
    cooled_down().await;
    assert_eq!(stand(&pipelines), Stand::HalfOpen);
    assert!(run(&pipelines, &call(json!({}))).await.blocked.is_none());
    assert_eq!((stand(&pipelines), script.calls()), (Stand::Closed, 6));
    let instance = &pipelines.all_instances()[0];
    assert_eq!((instance.circuit_breaker().failures, instance.stats.breaker_openings()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn under_a_lenient_mode_calls_pass_an_open_breaker_and_are_counted() {
    for mode in [Mode::Permissive, Mode::EnforceIgnoreError, Mode::Audit] {
        let script = Script::failing(5);
        let pipelines = guarded(&script, mode).await;
        times(&pipelines, 7).await;
        let instance = &pipelines.all_instances()[0];
        assert_eq!(script.calls(), 5, "{mode:?}");
        assert_eq!(instance.stats.errors(), [("error", 5), ("unavailable", 2)], "{mode:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn exactly_one_call_is_the_probe_and_the_others_meet_the_open_breaker() {
    let script = Script::failing(5);
    let pipelines = guarded(&script, Mode::Enforce).await;
    times(&pipelines, 5).await;
    cooled_down().await;
    let door = script.holds_calls();
    let calls: Vec<_> = (0..8)
        .map(|_| {
            let pipelines = pipelines.clone();
            tokio::spawn(async move { run(&pipelines, &call(json!({}))).await.blocked.is_some() })
        })
        .collect();
    while script.calls() < 6 {
        tokio::task::yield_now().await;
    }
    door.add_permits(8);
    let mut refused = 0;
    for call in calls {
        refused += usize::from(call.await.unwrap());
    }
    assert_eq!((refused, script.calls()), (7, 6));
    assert_eq!(stand(&pipelines), Stand::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_times_out_opens_the_breaker_for_longer() {
    let script = Script::failing(5);
    let pipelines = guarded(&script, Mode::Enforce).await;
    times(&pipelines, 5).await;
    cooled_down().await;
    let _closed_door = script.holds_calls();
    let blocked = run(&pipelines, &call(json!({}))).await.blocked.unwrap();
    assert_eq!(blocked.violation.code, "PLUGIN_TIMEOUT");
    assert_eq!(stand(&pipelines), Stand::Open);
    cooled_down().await;
    assert_eq!(stand(&pipelines), Stand::Open, "twice as long");
    cooled_down().await;
    assert_eq!(stand(&pipelines), Stand::HalfOpen);
}

#[tokio::test(start_paused = true)]
async fn a_probe_whose_client_leaves_makes_room_for_the_next_one() {
    let script = Script::failing(5);
    let pipelines = guarded(&script, Mode::Enforce).await;
    times(&pipelines, 5).await;
    cooled_down().await;
    let door = script.holds_calls();
    let left = {
        let pipelines = pipelines.clone();
        tokio::spawn(async move { run(&pipelines, &call(json!({}))).await })
    };
    while script.calls() < 6 {
        tokio::task::yield_now().await;
    }
    left.abort();
    assert!(left.await.unwrap_err().is_cancelled());
    assert_eq!(stand(&pipelines), Stand::HalfOpen);
    door.add_permits(1);
    assert!(run(&pipelines, &call(json!({}))).await.blocked.is_none());
    assert_eq!(stand(&pipelines), Stand::Closed);
}

#[tokio::test(start_paused = true)]
async fn panics_and_time_outs_count_and_violations_and_successes_between_do_not() {
    for how in ["error", "panic", "late panic", "hang"] {
        let pipelines = Setup::new().with("bad", Mode::Enforce, 1, failing(how)).await.build();
        times(&pipelines, 5).await;
        assert_eq!(stand(&pipelines), Stand::Open, "{how}");
    }
    let log = Log::default();
    let refusing = Setup::new().with("guard", Mode::Enforce, 1, logging(&log, "guard", block)).await.build();
    times(&refusing, 20).await;
    assert_eq!((stand(&refusing), log.lock().unwrap().len()), (Stand::Closed, 20));

    let script = Script::failing(4);
    let pipelines = guarded(&script, Mode::Enforce).await;
    times(&pipelines, 5).await;
    script.0.fails.store(4, SeqCst);
    times(&pipelines, 4).await;
    assert_eq!(stand(&pipelines), Stand::Closed, "never five in a row");
}

#[tokio::test(start_paused = true)]
async fn all_hooks_of_a_plugin_share_its_breaker() {
    let script = Script::failing(5);
    let pipelines = guarded(&script, Mode::Enforce).await;
    times(&pipelines, 5).await;
    let chain = pipelines.chain(ToolPostInvoke::ID).unwrap();
    let outcome = chain.run(&pipelines, &Request::new("r"), &mut Contexts::new(), &result("x")).await;
    assert_eq!(outcome.blocked.unwrap().violation.code, "PLUGIN_UNAVAILABLE");
}

#[tokio::test(start_paused = true)]
async fn concurrent_and_background_plugins_have_breakers_too() {
    for mode in [Mode::Concurrent, Mode::FireAndForget] {
        let script = Script::failing(100);
        let pipelines = guarded(&script, mode).await;
        for _ in 0..8 {
            run(&pipelines, &call(json!({}))).await;
            while !pipelines.background().is_empty() {
                tokio::task::yield_now().await;
            }
        }
        assert_eq!((stand(&pipelines), script.calls()), (Stand::Open, 5), "{mode:?}");
    }
}

#[tokio::test]
async fn a_breaker_can_be_set_and_turned_off_for_all_or_for_one() {
    let script = Script::failing(100);
    let mut setup = Setup::new().with("p", Mode::Enforce, 1, script.plugin()).await;
    setup.settings.breaker = Limits { failures: 2, ..Limits::default() };
    let pipelines = setup.build();
    times(&pipelines, 3).await;
    assert_eq!((stand(&pipelines), script.calls()), (Stand::Open, 2));

    let script = Script::failing(100);
    let mut setup = Setup::new().with("p", Mode::Enforce, 1, script.plugin()).await;
    setup.settings.breaker = Limits::OFF;
    let pipelines = setup.build();
    times(&pipelines, 20).await;
    assert_eq!((stand(&pipelines), script.calls()), (Stand::Closed, 20));

    let keys = crate::config::BreakerKeys { failure_threshold: Some(1), ..Default::default() };
    assert_eq!(keys.over(Limits::default()).failures, 1);
    assert_eq!(keys.over(Limits::OFF), Limits::OFF, "a number alone does not turn it on");
    let on = crate::config::BreakerKeys { enabled: Some(true), ..keys };
    assert_eq!(on.over(Limits::OFF), Limits { failures: 1, ..Limits::default() });
    let off = crate::config::BreakerKeys { enabled: Some(false), ..keys };
    assert_eq!(off.over(Limits::default()), Limits::OFF);
}

#[tokio::test]
async fn a_plugin_that_never_started_keeps_saying_why() {
    let pipelines = Setup::new().member("absent", Mode::Enforce, None, 1, None, None).await.build();
    times(&pipelines, 10).await;
    assert_eq!(stand(&pipelines), Stand::Closed);
    let blocked = run(&pipelines, &call(json!({}))).await.blocked.unwrap();
    assert!(!blocked.violation.description.contains("breaker"), "{}", blocked.violation.description);
}
