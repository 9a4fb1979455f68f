//! What filters with different configurations have in common.

use std::sync::{Arc, Weak};

use serde_json::{Value, json};

use crate::pii_filter::{
    config::{Config, Settings},
    scanner::Scanner,
};

fn settings(config: Value) -> Settings {
    Settings::new(&serde_json::from_value::<Config>(config).unwrap()).unwrap()
}

#[test]
fn filters_that_look_for_the_same_share_one_compiled_scanner() {
    let custom = json!([{ "pattern": "EMP-\\d{6}", "description": "employee" }]);
    // As two bindings of one plugin: one masks, the other blocks.
    let masks =
        settings(json!({ "custom_patterns": custom, "detect_phone": false, "redaction_text": "[X]" }));
    let blocks =
        settings(json!({ "custom_patterns": custom, "detect_phone": false, "block_on_detection": true }));
    assert!(Arc::ptr_eq(&masks.scanner, &blocks.scanner));
    let other = settings(json!({ "custom_patterns": custom, "detect_phone": true }));
    assert!(!Arc::ptr_eq(&masks.scanner, &other.scanner));
}

#[test]
fn scanner_ends_with_the_last_filter_that_has_it() {
    let one = settings(json!({ "whitelist_patterns": ["only-here"] }));
    let two = settings(json!({ "whitelist_patterns": ["only-here"], "log_detections": false }));
    let held: Weak<Scanner> = Arc::downgrade(&one.scanner);
    drop(one);
    assert!(held.upgrade().is_some());
    drop(two);
    assert!(held.upgrade().is_none());
}
