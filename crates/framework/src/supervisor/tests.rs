//! When a replaced plugin ends: after the last request that knows it, not before; step by step against a model, and
//! under calls from many threads.

use std::sync::atomic::{
    AtomicBool, AtomicU64,
    Ordering::{Relaxed, SeqCst},
};

use bytes::Bytes;
use mortise_plugin_api::{
    BuildError, Hook, Json, Native, Needs, Plugin, Request, Revision, Verdict, hooks::ToolPreInvoke,
    hooks::tool::ToolPreInvokePayload,
};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{Contexts, Framework, Pipelines, Plan, Runtime, config::PluginEntry};

/// What all plugins of a test did.
#[derive(Default)]
struct Census {
    started: AtomicU64,
    stopped: AtomicU64,
    calls: AtomicU64,
    /// Calls that a plugin got after its end.
    late: AtomicU64,
    /// Which have ended, by the number in their configuration.
    ended: std::sync::Mutex<Vec<u64>>,
}

/// Counts calls; hands the count over where its configuration says so.
struct Counter {
    number: u64,
    count: AtomicU64,
    is_over: AtomicBool,
    census: Arc<Census>,
}

impl Counter {
    fn called(&self) -> u64 {
        if self.is_over.load(SeqCst) {
            self.census.late.fetch_add(1, SeqCst);
        }
        self.census.calls.fetch_add(1, SeqCst);
        self.count.fetch_add(1, SeqCst) + 1
    }
}

#[derive(Clone, Default)]
struct Counters(Arc<Census>);

impl Runtime for Counters {
    fn name(&self) -> &'static str {
        "counters"
    }

    fn claims(&self, kind: &str) -> bool {
        kind == "counter"
    }

    fn create(&self, _: &PluginEntry, config: &Value) -> Result<Arc<dyn Plugin>, BuildError> {
        let counter = Counter {
            number: config["number"].as_u64().unwrap(),
            count: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
            census: self.0.clone(),
        };
        let plugin = Native::new(counter)
            .on_async::<ToolPreInvoke>(Needs::block(), |counter, _, cx| {
                Box::pin(async move {
                    // The call is under way for a while, so that changes fall into it.
                    tokio::task::yield_now().await;
                    cx.metadata("count", counter.called());
                    Ok(Verdict::Pass)
                })
            })
            .on_start(|counter, init| {
                Box::pin(async move {
                    let inherited = init.inherited.map(|bytes| (&*bytes).try_into().map(u64::from_le_bytes));
                    counter.count.store(inherited.transpose().unwrap().unwrap_or_default(), SeqCst);
                    counter.census.started.fetch_add(1, SeqCst);
                    Ok(())
                })
            })
            .on_stop(|counter| {
                Box::pin(async move {
                    counter.is_over.store(true, SeqCst);
                    counter.census.stopped.fetch_add(1, SeqCst);
                    counter.census.ended.lock().unwrap().push(counter.number);
                })
            });
        let hands_over = config["hands_over"] == true;
        let plugin =
            if hands_over { plugin.on_hand_over(|counter| Box::pin(count_of(counter))) } else { plugin };
        Ok(plugin.into_plugin())
    }
}

async fn count_of(counter: &Counter) -> Option<Bytes> {
    Some(Bytes::copy_from_slice(&counter.count.load(SeqCst).to_le_bytes()))
}

/// One plugin of this number, in this place among others.
fn plan(number: u64, hands_over: bool, priority: i64) -> Plan {
    let Value::Object(config_json) = json!({ "number": number, "hands_over": hands_over }) else {
        unreachable!("it is a map")
    };
    let hooks = vec![ToolPreInvoke::NAME.to_owned()];
    let entry = PluginEntry { hooks, config_json, priority, ..PluginEntry::new("counter", "counter") };
    Plan { entries: vec![entry], enabled: true, ..Plan::default() }
}

fn framework() -> (Framework, Arc<Census>) {
    let counters = Counters::default();
    let census = counters.0.clone();
    (Framework::builder().runtime(counters).build(), census)
}

/// One call under these pipelines; the count it was.
async fn call(pipelines: &Pipelines) -> u64 {
    let payload = ToolPreInvokePayload { name: "t".into(), args: Json::object(), headers: None };
    let chain = pipelines.chain(ToolPreInvoke::ID).unwrap();
    let payload = Revision::new(Box::new(payload));
    let outcome = chain.run(pipelines, &Request::new("1"), &mut Contexts::new(), &payload).await;
    assert!(outcome.blocked.is_none(), "{:?}", outcome.blocked);
    outcome.metadata().get("count").and_then(Value::as_u64).expect("the plugin answered")
}

#[derive(Debug, Clone)]
enum Act {
    /// A request begins.
    Begin,
    /// One of the requests under way makes a call.
    Call(prop::sample::Index),
    /// One of them ends.
    End(prop::sample::Index),
    /// The plugin is replaced by another one.
    Replace,
    /// Only its place changes.
    Move,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => Just(Act::Begin),
        3 => any::<prop::sample::Index>().prop_map(Act::Call),
        3 => any::<prop::sample::Index>().prop_map(Act::End),
        2 => Just(Act::Replace),
        1 => Just(Act::Move),
    ]
}

/// Lets every task run until it waits for something that this thread does.
async fn settle() {
    for _ in 0..32 {
        tokio::task::yield_now().await;
    }
}

/// Does as told, and looks after each act which plugins have ended.
async fn lives_as_long_as_it_is_known(acts: Vec<Act>) -> Result<(), TestCaseError> {
    let (framework, census) = framework();
    framework.reload(plan(0, false, 0)).await.unwrap();
    let (mut number, mut place) = (0, 0);
    // Requests under way, each with the number of the plugin it began with.
    let mut requests: Vec<(Arc<Pipelines>, u64)> = Vec::new();
    for act in acts {
        match act {
            Act::Begin => requests.push((framework.pipelines(), number)),
            Act::Call(at) if !requests.is_empty() => {
                call(&requests[at.index(requests.len())].0).await;
            }
            Act::End(at) if !requests.is_empty() => {
                requests.swap_remove(at.index(requests.len()));
            }
            Act::Call(_) | Act::End(_) => {}
            Act::Replace => {
                number += 1;
                framework.reload(plan(number, false, place)).await.unwrap();
            }
            Act::Move => {
                place += 1;
                framework.reload(plan(number, false, place)).await.unwrap();
            }
        }
        settle().await;
        let known = |one: &u64| *one == number || requests.iter().any(|(_, with)| with == one);
        let over: Vec<u64> = (0..=number).filter(|one| !known(one)).collect();
        let mut ended = census.ended.lock().unwrap().clone();
        ended.sort_unstable();
        prop_assert_eq!(&ended, &over, "each ends once nobody knows it, and only once");
        let waiting = usize::try_from(number).unwrap() - over.len();
        prop_assert_eq!(framework.draining(), waiting);
        prop_assert_eq!(census.late.load(Relaxed), 0);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn replaced_plugin_ends_with_the_last_request_that_knows_it_and_not_before(
        acts in prop::collection::vec(act(), 1..40),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(lives_as_long_as_it_is_known(acts))?;
    }
}

/// Callers call while the plugin is replaced again and again.
async fn storm(hands_over: bool) {
    const CHANGES: u64 = 100;
    let (framework, census) = framework();
    framework.reload(plan(0, hands_over, 0)).await.unwrap();
    let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let callers: Vec<_> = (0..4)
        .map(|_| {
            let (framework, stop, answered) = (framework.clone(), stop.clone(), answered.clone());
            tokio::spawn(async move {
                let mut counts = Vec::new();
                while !stop.load(SeqCst) {
                    // A request makes more than one call, and changes fall between them too.
                    let pipelines = framework.pipelines();
                    for _ in 0..3 {
                        counts.push(call(&pipelines).await);
                        answered.fetch_add(1, SeqCst);
                    }
                }
                counts
            })
        })
        .collect();
    for number in 1..=CHANGES {
        framework.reload(plan(number, hands_over, 0)).await.unwrap();
        // Each of them serves a call at least.
        let before = answered.load(SeqCst);
        while answered.load(SeqCst) == before {
            tokio::task::yield_now().await;
        }
    }
    stop.store(true, SeqCst);
    let mut counts = Vec::new();
    for caller in callers {
        counts.extend(caller.await.unwrap());
    }
    framework.supervisor().shutdown(Duration::from_secs(10)).await;

    assert_eq!(census.late.load(SeqCst), 0, "calls that came to a plugin after its end");
    assert_eq!(census.calls.load(SeqCst), counts.len() as u64, "each call is made once and answered once");
    assert_eq!((census.started.load(SeqCst), census.stopped.load(SeqCst)), (CHANGES + 1, CHANGES));
    assert_eq!(framework.draining(), 0);
    if hands_over {
        counts.sort_unstable();
        assert!(counts.iter().copied().eq(1..=counts.len() as u64), "a count was lost or given twice");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn no_call_is_lost_or_made_twice_or_late_while_a_plugin_is_replaced_again_and_again() {
    tokio::time::timeout(Duration::from_secs(60), storm(false)).await.expect("it comes to its end");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn no_call_is_lost_or_counted_twice_while_its_count_is_handed_over_again_and_again() {
    tokio::time::timeout(Duration::from_secs(60), storm(true)).await.expect("it comes to its end");
}
