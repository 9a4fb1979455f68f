//! Many calls and many reloads at once, with a plugin that panics now and then.

use std::sync::Arc;

use mortise_plugin_api::{
    Hook, Native, Needs, Plugin, Verdict,
    hooks::{ToolPreInvoke, tool::ToolPreInvokePayload},
};
use mortise_testkit::mcp_server::scripted::Scripted;
use mortise_tests::text;
use serde_json::{Value, json};

use super::{Census, api, limiter, prefix, quiet};

/// Panics where a call's number can be divided by 100.
pub(super) fn panicky(_: &Value) -> Arc<dyn Plugin> {
    #[expect(clippy::panic, reason = "panicking is what it is for")]
    fn look(call: &ToolPreInvokePayload) -> Verdict<ToolPreInvokePayload> {
        let number = call.args.value().ok().and_then(|args| args["number"].as_u64());
        assert!(number.is_some());
        if number.is_some_and(|number| number % 100 == 0) {
            panic!("test plugin panicked");
        }
        Verdict::Pass
    }
    Native::new(()).on::<ToolPreInvoke>(Needs::block(), |(), call, _| Ok(look(call))).into_plugin()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ten_thousand_calls_during_a_hundred_reloads_fail_exactly_where_a_plugin_panics() {
    const CALLERS: u64 = 64;
    const EACH: u64 = 157;
    let upstream = Scripted::start().await.unwrap();
    let census = Arc::new(Census::default());
    let counted = census.clone();
    let entries = |round: u64| {
        json!([
            { "name": "panicky", "kind": "builtin.panicky", "config": { "round": round } },
            { "name": "limit", "kind": "builtin.limiter", "config": { "round": round } },
            prefix(&format!("{round} ")),
        ])
    };
    let mut stand = quiet()
        .kind("panicky", &[ToolPreInvoke::ID], panicky)
        .kind("limiter", &[ToolPreInvoke::ID], move |_| limiter(&counted))
        .upstream("docs", &upstream)
        .set("plugins", entries(0))
        .start()
        .await;
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let client = stand.client();
            tokio::spawn(async move {
                let mut failed = 0;
                for number in (0..EACH).map(|at| caller * EACH + at) {
                    let words = format!("call {number}");
                    let answer = client.call("echo", json!({ "text": words, "number": number })).await;
                    if number % 100 == 0 {
                        assert!(text(&answer).contains("PLUGIN_ERROR"), "{answer}");
                        failed += 1;
                    } else {
                        let (_, rest) = text(&answer).split_once(' ').unwrap();
                        assert_eq!(rest, words, "{answer}");
                    }
                }
                failed
            })
        })
        .collect();

    let mut rounds = 0;
    while rounds < 100 || callers.iter().any(|caller| !caller.is_finished()) {
        rounds += 1;
        stand.write(|config| config["plugins"] = entries(rounds));
        stand.reloader.reload(api()).await.unwrap();
    }

    let mut failed = 0;
    for caller in callers {
        failed += caller.await.unwrap();
    }
    assert_eq!(failed, (CALLERS * EACH).div_ceil(100));
    let call = json!({ "name": "echo", "arguments": { "text": "x", "number": 1 } });
    let last = stand.client().rpc("tools/call", call).await;
    let passed = CALLERS * EACH - failed + 1;
    assert_eq!(last.header("x-count"), Some(passed.to_string().as_str()), "each counted once");
}
