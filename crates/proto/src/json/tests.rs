use proptest::prelude::*;
use serde_json::json;

use super::*;

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => panic!("no object: {other}"),
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-1_000_000_000_i64..1_000_000_000).prop_map(Value::from),
        (-1000.0..1000.0_f64).prop_map(|f| Value::from(f.trunc() + 0.5)),
        ".*".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::hash_map(".{0,8}", inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(map in prop::collection::hash_map(".{0,8}", any_json(), 0..6)) {
        let map: Map<String, Value> = map.into_iter().collect();
        let bytes = Struct::encode_map(&map);
        prop_assert_eq!(bytes.len(), Struct::Map(map.clone()).encoded_len());
        prop_assert_eq!(Struct::decode(bytes).unwrap().into_map().unwrap(), map);
    }

    #[test]
    fn garbage_is_refused_or_read_and_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Struct::decode(&bytes[..]).map(Struct::into_map);
    }
}

#[test]
fn the_bytes_are_those_of_the_published_message() {
    // {"a": 1} as any protobuf library writes it.
    let expected = [10, 14, 10, 1, b'a', 18, 9, 17, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f];
    assert_eq!(Struct::encode_map(&object(json!({"a": 1})))[..], expected);
    // The same with a field that is not known.
    let mut longer = expected.to_vec();
    longer.extend([16, 5]);
    assert_eq!(Struct::decode(&longer[..]).unwrap().into_map().unwrap(), object(json!({"a": 1})));
}

#[test]
fn an_encoded_object_is_a_message_like_any_other() {
    let map = object(json!({"x": [1, {"y": null}], "z": "ü"}));
    let encoded = Struct::Encoded(Struct::encode_map(&map));
    assert_eq!(encoded.encode_to_vec(), Struct::Map(map.clone()).encode_to_vec());
    assert_eq!(encoded.into_map().unwrap(), map);
}

#[test]
fn nesting_without_end_is_refused() {
    let mut value = json!(1);
    for _ in 0..200 {
        value = json!([value]);
    }
    let bytes = Struct::encode_map(&object(json!({ "deep": value })));
    assert!(Struct::decode(bytes).is_err());
}

#[test]
fn numbers_that_were_not_changed_keep_their_spelling() {
    let went = json!({"big": 9_007_199_254_740_993_i64, "float": 1.0, "list": [2.0, 3], "other": 5});
    let mut came = Struct::decode(Struct::encode_map(&object(went.clone()))).unwrap().into_map().unwrap();
    came.insert("other".into(), json!(6));
    let mut came = Value::Object(came);
    restore_numbers(&mut came, &went);
    assert_eq!(came.to_string(), r#"{"big":9007199254740993,"float":1.0,"list":[2.0,3],"other":6}"#);
}
