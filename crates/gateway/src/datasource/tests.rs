//! What is asked of a data source, as its documents say it.

use serde_json::{Value, json};

use super::asked::{ByData, ByVector, Query};

fn read<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

#[test]
fn what_is_left_out_has_its_default_and_too_much_is_bounded() {
    assert_eq!(read::<Query>(json!({ "query": "x" })).most(), 3);
    assert_eq!(read::<Query>(json!({ "query": "x", "n": 5000 })).most(), 100);
    let vector: ByVector = read(json!({ "embedding": [1, 0.5] }));
    assert_eq!((vector.most(), vector.embedding.len()), (10, 2));
    assert!(vector.at_least() < -1.0);
    let vector: ByVector = read(json!({ "embedding": [1], "similarity_threshold": 0.7 }));
    assert!((vector.at_least() - 0.7).abs() < 1e-9);
    let data: ByData = read(json!({}));
    assert_eq!((data.most(), data.offset, data.is_empty()), (10, 0, true));
}

#[test]
fn filters_are_met_by_all_or_by_any() {
    let of = |mode: &str| read::<ByData>(json!({ "filter": { "a": 1 }, "filter_mode": mode })).matching();
    assert!(!of("").unwrap().any && !of("and").unwrap().any && of("OR").unwrap().any);
    assert!(of("XOR").unwrap_err().contains("filter_mode"));
}
