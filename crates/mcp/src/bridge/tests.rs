use proptest::prelude::*;

use super::*;

fn raw(text: &str) -> Raw {
    Raw::parse(text.to_owned()).unwrap()
}

fn request(id: RequestId, params: &str) -> Request {
    Request::new(id, "tools/call", Some(raw(params)))
}

#[test]
fn equal_ids_of_two_clients_are_told_apart() {
    let mut calls = PendingCalls::new(10);
    let a = calls.forward("a", &request(RequestId::number(1), "{}"), 'x').unwrap();
    let b = calls.forward("b", &request(RequestId::number(1), "{}"), 'y').unwrap();
    assert_ne!(a.id, b.id);
    let second = calls.complete(&b.id).unwrap();
    assert_eq!((second.owner, second.value), ("b", 'y'));
    assert_eq!(second.id, RequestId::number(1));
    assert_eq!(calls.complete(&a.id).unwrap().owner, "a");
    assert!(calls.is_empty());
}

#[test]
fn answer_is_taken_once() {
    let mut calls = PendingCalls::new(10);
    let call = calls.forward((), &request(RequestId::string("x"), "{}"), ()).unwrap();
    assert!(calls.complete(&call.id).is_some());
    assert!(calls.complete(&call.id).is_none());
    assert!(calls.complete(&RequestId::number(999)).is_none());
    assert!(calls.complete(&RequestId::string("x")).is_none());
}

#[test]
fn own_id_is_found_however_the_peer_echoes_it() {
    for echo in ["7", "7.0", "\"7\""] {
        let mut calls = PendingCalls::new(10);
        for _ in 0..6 {
            calls.own_id();
        }
        calls.forward((), &request(RequestId::number(1), "{}"), ()).unwrap();
        let value = serde_json::from_str::<&serde_json::value::RawValue>(echo).unwrap();
        assert!(calls.complete(&RequestId::from_json(value).unwrap()).is_some(), "{echo}");
    }
}

#[test]
fn id_in_use_and_a_full_table_are_refused() {
    let mut calls = PendingCalls::new(2);
    calls.forward("a", &request(RequestId::number(1), "{}"), ()).unwrap();
    assert!(matches!(
        calls.forward("a", &request(RequestId::number(1), "{}"), ()),
        Err(BridgeError::IdInUse)
    ));
    calls.forward("a", &request(RequestId::number(2), "{}"), ()).unwrap();
    assert!(matches!(
        calls.forward("b", &request(RequestId::number(3), "{}"), ()),
        Err(BridgeError::Full { capacity: 2 })
    ));
}

#[test]
fn progress_token_is_unique_on_the_connection_and_the_owners_own_again_on_the_way_back() {
    let mut calls = PendingCalls::new(10);
    let params = r#"{"name":"t","_meta":{"a":1.0,"progressToken":"tok","b":[ ]},"x":1e5}"#;
    let first = calls.forward("a", &request(RequestId::number(1), params), ()).unwrap();
    let second = calls.forward("b", &request(RequestId::number(1), params), ()).unwrap();
    assert_eq!(
        second.params.unwrap().as_str(),
        r#"{"name":"t","_meta":{"a":1.0,"progressToken":2,"b":[ ]},"x":1e5}"#
    );
    let (pending, back) = calls.progress(Some(&raw(r#"{"progressToken":1,"progress":0.50}"#))).unwrap();
    assert_eq!(pending.owner, "a");
    assert_eq!(back.as_str(), r#"{"progressToken":"tok","progress":0.50}"#);
    calls.complete(&first.id);
    assert!(matches!(calls.progress(Some(&raw(r#"{"progressToken":1}"#))), Err(BridgeError::Unknown)));
}

#[test]
fn progress_token_under_an_escaped_name_is_replaced_too() {
    let mut calls = PendingCalls::new(10);
    let params = r#"{"_meta":{"progress\u0054oken":"other's"}}"#;
    let call = calls.forward((), &request(RequestId::number(1), params), ()).unwrap();
    assert_eq!(call.params.unwrap().as_str(), r#"{"_meta":{"progress\u0054oken":1}}"#);
}

#[test]
fn progress_nobody_asked_for_goes_nowhere() {
    let mut calls = PendingCalls::new(10);
    calls.forward((), &request(RequestId::number(1), r#"{"text":"progressToken"}"#), ()).unwrap();
    for text in
        [r#"{"progressToken":1}"#, r#"{"progressToken":"x"}"#, r#"{"progressToken":null}"#, "{}", "[]"]
    {
        assert!(calls.progress(Some(&raw(text))).is_err(), "{text}");
    }
    assert!(calls.progress(None).is_err());
}

#[test]
fn params_without_a_token_are_not_copied() {
    let mut calls = PendingCalls::new(10);
    let request = request(RequestId::number(1), r#"{"name":"t"}"#);
    let call = calls.forward((), &request, ()).unwrap();
    let sent = call.params.unwrap();
    assert_eq!(sent.as_bytes().as_ptr(), request.params.unwrap().as_bytes().as_ptr());
}

#[test]
fn cancellation_names_the_id_of_the_other_side_and_late_answers_are_dropped() {
    let mut calls = PendingCalls::new(10);
    let call = calls.forward("a", &request(RequestId::string("é"), "{}"), 5).unwrap();
    let params = raw(r#"{ "requestId":"\u00e9", "reason":"why"}"#);
    assert!(matches!(calls.cancelled(&"b", Some(&params)), Err(BridgeError::Unknown)));
    let (pending, sent) = calls.cancelled(&"a", Some(&params)).unwrap();
    assert_eq!(pending.value, 5);
    assert_eq!(sent.as_str(), r#"{ "requestId":1, "reason":"why"}"#);
    assert!(calls.complete(&call.id).is_none());
}

#[test]
fn owner_that_leaves_takes_only_its_own_requests() {
    let mut calls = PendingCalls::new(10);
    for id in 1..=3 {
        calls.forward("a", &request(RequestId::number(id), "{}"), ()).unwrap();
        calls.forward("b", &request(RequestId::number(id), "{}"), ()).unwrap();
    }
    let gone = calls.cancel_owner(&"a");
    assert_eq!(gone.iter().map(|(id, _)| id.to_string()).collect::<Vec<_>>(), ["1", "3", "5"]);
    assert_eq!(calls.len(), 3);
    assert_eq!(calls.drain().len(), 3);
    calls.forward("b", &request(RequestId::number(1), "{}"), ()).unwrap();
}

proptest! {
    #[test]
    fn every_request_is_answered_at_most_once_and_to_its_owner(steps in prop::collection::vec((0_u8..4, 0_u8..3, 0_u64..6), 0..80)) {
        let mut calls = PendingCalls::new(16);
        let mut model: Vec<(u8, u64, RequestId)> = Vec::new();
        for (action, owner, id) in steps {
            let there = model.iter().position(|(o, i, _)| (*o, *i) == (owner, id));
            match action {
                0 | 1 => match calls.forward(owner, &request(RequestId::number(id), "{}"), id) {
                    Ok(call) => {
                        prop_assert!(there.is_none());
                        model.push((owner, id, call.id));
                    }
                    Err(_) => prop_assert!(there.is_some() || model.len() == 16),
                },
                2 => {
                    let cancelled = calls.cancel(&owner, &RequestId::number(id));
                    prop_assert_eq!(cancelled.is_some(), there.is_some());
                    if let Some(at) = there { model.remove(at); }
                }
                _ => if let Some(at) = there {
                    let (_, _, sent) = model.remove(at);
                    let pending = calls.complete(&sent).unwrap();
                    prop_assert_eq!((pending.owner, pending.value), (owner, id));
                },
            }
            prop_assert_eq!(calls.len(), model.len());
        }
    }
}
