use mortise_plugin_api::hooks::{AgentPreInvoke, ToolPreInvoke};
use serde_json::{Value, json};

use super::kind;
use crate::testing::Bench;

fn call(headers: Value) -> Value {
    json!({"name": "search", "args": {}, "headers": headers})
}

#[test]
fn credentials_end_here_in_any_letter_case() {
    let mut bench = Bench::new(&kind(), json!({}));
    let outcome = bench
        .call::<ToolPreInvoke>(call(json!({"AUTHORIZATION": "Bearer x", "x-api-key": "k", "x-trace": "1"})));
    assert_eq!(outcome.changed.as_ref().unwrap()["headers"], json!({"x-trace": "1"}));
    assert_eq!(outcome.metadata("filtered_headers"), json!(["authorization", "x-api-key"]));
    assert_eq!(bench.log(), ["headers filtered headers=authorization,x-api-key subject=search"]);
    assert!(!bench.log()[0].contains("Bearer"));
}

#[test]
fn a_call_without_such_headers_is_not_changed() {
    let mut bench = Bench::new(&kind(), json!({}));
    assert!(bench.call::<ToolPreInvoke>(call(json!({"x-trace": "1"}))).passed());
    assert!(bench.call::<ToolPreInvoke>(json!({"name": "search"})).passed());
}

#[test]
fn what_may_go_on_goes_on_everywhere_or_to_one() {
    for allow in [json!(["Cookie"]), json!({"search": ["cookie"]})] {
        let mut bench =
            Bench::new(&kind(), json!({"allow_passthrough_headers": allow, "log_filtered_headers": false}));
        assert!(bench.call::<ToolPreInvoke>(call(json!({"cookie": "a"}))).passed());
        assert!(bench.log().is_empty());
    }
    let mut bench = Bench::new(&kind(), json!({"allow_passthrough_headers": {"other": ["cookie"]}}));
    assert!(!bench.call::<ToolPreInvoke>(call(json!({"cookie": "a"}))).passed());
}

#[test]
fn agents_are_guarded_too_and_names_are_configured() {
    let mut bench = Bench::new(&kind(), json!({"filter_headers": ["x-own"]}));
    let outcome =
        bench.call::<AgentPreInvoke>(json!({"agent_id": "a", "headers": {"X-Own": "1", "cookie": "c"}}));
    assert_eq!(outcome.changed.unwrap()["headers"], json!({"cookie": "c"}));
}
