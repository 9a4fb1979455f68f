use mortise_plugin_api::HookTable;
use serde_json::json;

use super::*;

fn decision(result: &str) -> Decision {
    Decision { result: result.to_owned(), ..Decision::default() }
}

fn changed(payload: Value) -> Decided {
    Some(Decision { payload: Some(payload), ..decision("change") })
}

#[test]
fn decisions_differ_by_result_blocker_and_changed_text() {
    let input = json!({ "args": { "a": "x", "b": "y" } });
    let differs = |was: Decided, would: Decided| {
        compared(&was, &would, &input, true).map(|difference| difference.paths)
    };
    let block = |plugin: &str, code: &str| {
        Some(Decision { plugin: Some(plugin.into()), code: Some(code.into()), ..decision("block") })
    };
    assert_eq!(differs(Some(decision("pass")), Some(decision("pass"))), None);
    assert_eq!(differs(Some(decision("pass")), block("p", "C")), Some(vec![]));
    assert_eq!(differs(block("p", "C"), block("p", "C")), None);
    assert_eq!(differs(block("p", "C"), block("q", "C")), Some(vec![]));
    assert_eq!(differs(Some(decision("pass")), None), Some(vec![]));
    let one = changed(json!({ "args": { "a": "1", "b": "y" } }));
    let other = changed(json!({ "args": { "a": "2", "b": "y" } }));
    assert_eq!(differs(one.clone(), one.clone()), None);
    assert_eq!(differs(one, other), Some(vec!["args.a".to_owned()]));
}

#[test]
fn of_masked_text_only_the_changed_places_are_compared() {
    let input = json!({ "args": { "a": "fake", "b": "y" } });
    let one = changed(json!({ "args": { "a": "1", "b": "y" } }));
    let same_place = changed(json!({ "args": { "a": "2", "b": "y" } }));
    let more = changed(json!({ "args": { "a": "2", "b": "z" } }));
    assert_eq!(compared(&one, &same_place, &input, false), None);
    let found = compared(&one, &more, &input, false).unwrap();
    assert_eq!(found.paths, ["args.b"]);
}

#[test]
fn a_line_that_is_no_call_is_named() {
    let hooks = HookTable::standard();
    let error = RecordedCall::read(b"\n{\"recorded\": 1}\n", &hooks).unwrap_err();
    assert!(format!("{error:#}").starts_with("line 2 is no recorded call"), "{error:#}");
    assert_eq!(RecordedCall::read(b"", &hooks).unwrap().len(), 0);
}
